"""Fits worked out as far as an answer needs them are those of the whole posterior, for any head and any therapists."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.columns import Columns
from training.config import FitConfig
from training.fits import HeadFits, Met, Prepared
from training.head import Head, HeadInfo
from training.mixed import Solution

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
    st.booleans(),
    st.sampled_from([0, EFFECTS]),
    st.booleans(),
)
@settings(max_examples=150)
def test_fits_are_those_of_the_whole_posterior(
    seed: int, size: int, known: int, columns: bool, effects: int, chance: bool
):
    rng = np.random.default_rng(seed)
    head = head_of(rng, known, columns, effects)
    ids = np.append(np.arange(known), np.full(size, -1))  # each therapist once
    position = rng.permutation(ids)[:size]
    own, rows = rng.normal(size=(size, OWN)), np.flatnonzero(rng.random(size) < 0.7)
    rows = rows if len(rows) else np.arange(size)
    pair, client = rng.normal(size=(PAIR, len(rows))), rng.normal(size=effects) * rng.integers(0, 2, effects)
    ranking = np.column_stack([own[rows], pair.T])[:, : (OWN + PAIR) * columns]
    full = head.posterior(ranking, np.tile(client, (len(rows), 1)), position[rows])

    base = own @ head.solution.b[CLIENT : CLIENT + OWN] if columns else np.zeros(size)
    met = Met(Prepared(Columns(size), position, own, own.sum(axis=0), {}), rows, pair, pair, position[rows])
    at = np.flatnonzero(client)
    fits = HeadFits(head, met, base, at, at, client[at])
    if chance:
        fits = replace(fits, expected=0.7)
        odds = np.exp(0.7 + full.mean.mean())
        full = full.scaled(odds / (1 + odds) ** 2)
    assert fits.mean == pytest.approx(full.mean)
    assert fits.gain_sd() == pytest.approx(full.gain_sd(), abs=1e-6)
    some = rng.integers(0, len(rows), 3)
    assert fits.difference_sd(0, some) == pytest.approx(full.difference_sd(0)[some], abs=1e-6)
    assert fits.posterior(some).loading == pytest.approx(full.loading[some])
    assert fits.posterior(some).own == pytest.approx(full.own[some])
    parts = sum(part.sum(axis=1) if part.ndim == 2 else part for part in fits.parts(some))
    assert parts == pytest.approx((full.mean - full.mean.mean())[some])
