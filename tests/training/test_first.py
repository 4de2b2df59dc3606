"""The first few of an order are those of the whole order, whatever was left out to find them."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.first import FIRST_LOOK, best_first, first, soonest_first, told
from training.head import PairPosterior
from training.ranking import Weighing, rank

Floats = npt.NDArray[np.float64]
NAMES = ("outcome", "alliance", "early_dropout")
WEIGHING = Weighing(
    NAMES,
    np.array([1.0, 0.5, 0.0]),
    np.array([0.9, 0.6, 0.43]),
    np.array([[1, 0.3, 0.2], [0.3, 1, 0.1], [0.2, 0.1, 1]]),
)


def drawn(rng: np.random.Generator, n: int, scale: float, unsure: float) -> PairPosterior:
    own = unsure * rng.uniform(0.05, 0.6, n)
    return PairPosterior(scale * rng.normal(size=n), unsure * rng.normal(size=(n, 3)), own)


@given(
    st.integers(0, 10_000),
    st.integers(1, 5 * FIRST_LOOK),
    st.integers(1, 30),
    st.sampled_from([0.01, 0.3, 3.0]),
    st.sampled_from([0.0, 0.02, 0.3]),
    st.booleans(),
)
@settings(max_examples=300)
def test_the_first_are_those_of_the_whole_order(seed: int, n: int, k: int, scale: float, unsure: float, priced: bool):
    rng = np.random.default_rng(seed)
    fits = {name: drawn(rng, n, scale, unsure) for name in NAMES}
    waits, price = rng.choice([1.0, 5.0, 9.0, np.nan], n), 0.3 * rng.random(n) if priced else None
    whole = rank(fits, WEIGHING, waits, list(range(n)), k, price)  # type: ignore[arg-type]
    found = first(fits, WEIGHING, waits, k, price)
    assert found.order.tolist() == whole.order[:k].tolist()
    assert found.tie_group.tolist() == whole.tie_group[found.order].tolist()
    assert found.meaningful_difference == whole.meaningful_difference
    shown = told(fits, WEIGHING, found.utility, found.order)
    assert shown.utility.low == pytest.approx(whole.utility.low[found.order])
    for name in NAMES:
        assert shown.gains[name].high == pytest.approx(whole.gains[name].high[found.order])


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6 * FIRST_LOOK))
def test_the_best_come_part_by_part_and_equal_ones_in_their_own_order(worth: list[int]):
    net = np.array(worth, dtype=float)
    found = np.concatenate(list(best_first(net)))
    assert found.tolist() == np.argsort(-net, kind="stable").tolist()


def test_the_soonest_come_first_then_the_better_and_an_unknown_wait_last():
    wait, net = np.array([3.0, np.nan, 3.0, 1.0]), np.array([0.0, 9.0, 0.1, -1.0])
    assert soonest_first(wait, net, 3).tolist() == [3, 2, 0]
    assert soonest_first(wait, net, 9).tolist() == [3, 2, 0, 1]
