"""Fits worked out as far as an answer needs them are those of the whole posterior, for any head and any therapists."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.columns import Columns
from training.config import FitConfig
from training.fits import Met, Prepared, Together, chance_a_unit
from training.head import Head, HeadInfo
from training.mixed import Solution
from training.stack import Stack

Floats = npt.NDArray[np.float64]
OWN, PAIR, CLIENT, EFFECTS = 3, 2, 2, 4


def covariance(rng: np.random.Generator, *shape: int) -> Floats:
    root = rng.normal(size=shape)
    found: Floats = root @ np.swapaxes(root, -1, -2)
    return found


def head_of(rng: np.random.Generator, known: int, columns: bool, effects: int) -> Head:
    """A head of made-up numbers: `known` therapists, each with `effects`."""
    p = CLIENT + OWN + PAIR
    solution = Solution(
        b=rng.normal(size=p),
        b_cov=covariance(rng, p, p),
        at_zero=rng.normal(size=(known, effects)),
        per_border=rng.normal(size=(known, effects, p)),
        within=covariance(rng, known, effects, effects),
        prior=covariance(rng, effects, effects),
        noise=1.0,
        theta=np.zeros(0),
        criterion=0.0,
        shrinkage=np.ones(p),
    )
    parts = FitConfig(columns=columns, therapist=effects > 0)
    info = HeadInfo("outcome", "outcome", "gaussian", "higher", 1.0, 1.0, 9, 0, parts, unseen=0.3)
    return Head(info, "", 0.0, np.zeros(0), np.zeros(0), np.zeros(0), solution)


@given(
    st.integers(0, 10_000),
    st.integers(1, 9),
    st.sampled_from([0, 1, 6]),
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([(), (0,), (0, 1, 2, 3)]), st.booleans()), min_size=1, max_size=3
    ),
)
@settings(max_examples=150)
def test_fits_are_those_of_the_whole_posterior(
    seed: int, size: int, known: int, kinds: list[tuple[bool, tuple[int, ...], bool]]
):
    """Heads with and without columns, effects and chances, side by side."""
    rng = np.random.default_rng(seed)
    heads = {f"h{i}": head_of(rng, known, kind[0], len(kind[1])) for i, kind in enumerate(kinds)}
    used = {name: list(kind[1]) for name, kind in zip(heads, kinds, strict=True)}
    position = rng.permutation(np.append(np.arange(known), np.full(size, -1)))[:size]  # each known one once
    own, rows = rng.normal(size=(size, OWN)), np.flatnonzero(rng.random(size) < 0.7)
    rows = rows if len(rows) else np.arange(size)
    n = len(rows)
    pair, client = rng.normal(size=(PAIR, n)), rng.normal(size=EFFECTS) * rng.integers(0, 2, EFFECTS)
    ranking, at = np.column_stack([own[rows], pair.T]), np.flatnonzero(client)

    stack = Stack.of(heads, list(used.values()), EFFECTS, OWN + PAIR)
    prepared = Prepared(Columns(size), position, own, stack.b[:, :OWN] @ own.T)
    chances = {name: 0.7 for name, kind in zip(heads, kinds, strict=True) if kind[2]}
    fits = Together(stack, Met(prepared, rows, pair, pair, position[rows]), at, client[at], chances)
    some = rng.integers(0, n, 3)
    for i, (name, head) in enumerate(heads.items()):
        columns = ranking if head.info.parts.columns else ranking[:, :0]
        full = head.posterior(columns, np.tile(client[used[name]], (n, 1)), position[rows])
        if name in chances:
            full = full.scaled(chance_a_unit(0.7 + float(full.mean.mean())))
        assert fits.mean[i] == pytest.approx(full.mean)
        few = fits.gain_sds(np.array([i]), some)[0]
        assert few == pytest.approx(full.gain_sd()[some], abs=1e-6)
        assert fits.difference_sds(np.array([i]), 0, some)[0] == pytest.approx(full.difference_sd(0)[some], abs=1e-6)
        assert fits[name].loading[:, : full.loading.shape[1]] == pytest.approx(full.loading)
        assert fits[name].own == pytest.approx(full.own)
