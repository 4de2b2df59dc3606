"""Refits: therapists drawn again are therapists of their own, and trees are grown as the first ones were."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from training.config import PrognosisConfig
from training.mixed import Structure, fit, means
from training.prognosis import learn
from training.refits import LOOKED_AT, REFITS, REGROWN, drawn_again, refitted, regrown
from training.shares import Rows

Floats = npt.NDArray[np.float64]
THERAPISTS, EACH = 20, 15
SHAPE = Structure(joint=1, strengths=0, border=3, shrunken=((2,),), near=0.1)


@pytest.fixture(scope="module")
def rows() -> Rows:
    rng = np.random.default_rng(1)
    therapist = np.repeat(np.arange(THERAPISTS), EACH)
    border = np.column_stack([np.ones(len(therapist)), rng.standard_normal((len(therapist), 2))])
    own = 0.5 * rng.standard_normal(THERAPISTS)
    response = border @ [1.0, 0.5, 0.3] + own[therapist] + rng.standard_normal(len(therapist))
    weight = rng.uniform(0.5, 2, len(therapist))
    return Rows(border, np.ones((len(therapist), 1)), response, weight, therapist, THERAPISTS)


@pytest.fixture(scope="module")
def theta(rows: Rows) -> Floats:
    return fit(rows.total, SHAPE).theta


def test_everyone_drawn_once_gives_the_fit_itself(rows: Rows, theta: Floats) -> None:
    again = drawn_again(rows, SHAPE, theta, np.arange(THERAPISTS))
    np.testing.assert_allclose(again, means(rows.total, SHAPE, theta)[1], rtol=1e-10)


def test_a_therapist_drawn_twice_is_two_therapists(rows: Rows, theta: Floats) -> None:
    drawn = np.array([0, 0, 3, 5, 5, 5, 7, 11])
    picked = np.concatenate([np.flatnonzero(rows.therapist == one) for one in drawn])
    anew = np.repeat(np.arange(len(drawn)), EACH)
    copied = Rows(
        rows.border[picked], rows.effects[picked], rows.response[picked], rows.weight[picked], anew, len(drawn)
    )
    np.testing.assert_allclose(drawn_again(rows, SHAPE, theta, drawn), means(copied.total, SHAPE, theta)[1], rtol=1e-9)


def test_refits_spread_like_the_error_of_the_fit(rows: Rows, theta: Floats) -> None:
    found = refitted(rows, SHAPE, theta, seed=0)
    assert found.shape == (REFITS, 3)
    error = np.sqrt(np.diag(fit(rows.total, SHAPE).b_cov))
    assert (found.std(axis=0) > error / 3).all()
    assert (found.std(axis=0) < 3 * error).all()


def test_therapists_without_rows_are_never_drawn(rows: Rows, theta: Floats) -> None:
    more = replace(rows, therapists=THERAPISTS + 30)
    np.testing.assert_allclose(refitted(more, SHAPE, theta, 0), refitted(rows, SHAPE, theta, 0), rtol=1e-9)


def test_trees_grown_again_read_the_column_that_matters() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((900, 3))
    y = 2 * np.sign(x[:, 1]) + 0.5 * rng.standard_normal(900)
    ones, none, config = np.ones(900), np.zeros(900), PrognosisConfig(rounds=40)
    found = learn(x, y, ones, np.arange(900) % 5, "gaussian", config, 0, none)
    drawn = regrown(x, y, ones, np.arange(900), "gaussian", config, 0, none, found)
    assert drawn.shape == (REGROWN, LOOKED_AT, 3)
    assert (np.abs(drawn).mean(axis=1).argmax(axis=1) == 1).all()


def test_without_trees_nothing_is_grown() -> None:
    x, y = np.zeros((60, 2)), np.arange(60.0)
    config = PrognosisConfig(boosted=False)
    found = learn(x, y, np.ones(60), np.arange(60) % 5, "gaussian", config, 0, np.zeros(60))
    assert regrown(x, y, np.ones(60), np.arange(60), "gaussian", config, 0, np.zeros(60), found).shape == (
        REGROWN,
        0,
        2,
    )
