"""Trees over the ranking columns: kept where columns say something together, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from features.columns import Columns
from training.config import FitConfig
from training.fits import Met, Prepared, Together
from training.head import Head, HeadInfo
from training.mixed import Structure, fit
from training.parts import Fits
from training.proving import search
from training.ranking import Weighing
from training.remainder import Remainder, grow
from training.shares import Crossed
from training.stack import Stack
from training.sums import Sums


def left(size: float, seed: int = 0) -> tuple[Crossed, np.ndarray, np.ndarray]:
    """Rows of which a fit has left a corner of two columns of that size, and noise of SD 1."""
    rng = np.random.default_rng(seed)
    n = 4000
    columns = rng.normal(size=(n, 6))
    corner = size * ((columns[:, 0] > 0.5) & (columns[:, 3] > 0))
    rest = corner - corner.mean() + rng.normal(size=n)
    return Crossed(rest, np.zeros((n, 4)), np.ones(n), rng.integers(0, 50, n)), columns, rng.permutation(n) % 5


def test_a_corner_that_no_column_has_is_found_and_kept():
    crossed, columns, fold = left(0.8)
    kept, gains = search(crossed, columns, fold, 1.0, 0)
    assert kept.text
    assert gains["remainder"]["low"] > 0
    inside = np.array([[1.0, 0, 0, 1.0, 0, 0]])
    assert kept(inside)[0] - kept(-inside)[0] > 0.3


@pytest.mark.parametrize("seed", range(5))
def test_trees_that_would_foretell_noise_are_not_kept(seed: int):
    crossed, columns, fold = left(0.0, seed)
    kept, gains = search(crossed, columns, fold, 1.0, 0)
    assert kept.text == ""
    assert gains["remainder"]["low"] < 0
    assert kept(columns).tolist() == [0.0] * len(columns)


def test_few_rows_or_no_columns_are_not_searched():
    crossed, columns, fold = left(0.8)
    assert search(crossed, columns[:, :0], fold, 1.0, 0) == (Remainder(), {})
    few = Crossed(crossed.rest[:300], crossed.parts[:300], crossed.weight[:300], crossed.therapist[:300])
    assert search(few, columns[:300], fold[:300], 1.0, 0) == (Remainder(), {})


def test_the_ranking_columns_are_the_last_of_those_given():
    crossed, columns, _ = left(0.8)
    trees = grow(columns, crossed.rest, crossed.weight, 0)
    wider = np.column_stack([np.full((len(columns), 3), 99.0), columns])
    assert trees(wider).tolist() == trees(columns).tolist()


def test_parts_of_a_fit_with_trees_still_sum_to_the_fit():
    crossed, columns, _ = left(0.8)
    trees = grow(columns, crossed.rest, crossed.weight, 0)
    x = np.column_stack([np.ones(len(columns)), columns])
    owner = np.arange(len(columns)) % 10
    solution = fit(Sums.of(x, np.ones((len(x), 1)), crossed.rest, owner, 10), Structure(1, 0, 7))
    info = HeadInfo("outcome", "outcome", "gaussian", "higher", 1.0, 1.0, len(x), 0, FitConfig())
    head = Head(info, "", 0.0, np.zeros(0), np.zeros(0), np.zeros(0), solution, trees)
    some, place, all_five = columns[:5], np.array([0, 3, -1, 7, 9]), np.arange(5)
    mean = head.posterior(some, np.ones((5, 1)), place).mean
    stack = Stack.of({"outcome": head}, [[0]], 1, 6)
    prepared = Prepared(Columns(5), place, some[:, :2], stack.b[:, :2] @ some[:, :2].T)
    met = Met(prepared, all_five, some[:, 2:].T, some[:, 2:].T, place)
    fits = Fits(Together(stack, met, np.array([0]), np.ones(1), {}), [str(i) for i in range(6)], ["therapist"])
    assert fits.heads["outcome"].mean == pytest.approx(mean)
    one = Weighing(("outcome",), np.ones(1), np.ones(1), np.eye(1))
    assert fits.parts(one, all_five).values.sum(axis=1) == pytest.approx(mean - mean.mean())
    assert head.mean(some, np.ones((5, 1)), place) == pytest.approx(mean)
    assert mean - trees(some) == pytest.approx(replace(head, remainder=Remainder()).mean(some, np.ones((5, 1)), place))
