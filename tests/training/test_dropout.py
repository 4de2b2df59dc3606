"""Clients who drop out: made-up courses of which the end is known, with obvious answers."""

import numpy as np
import pytest
from scipy.special import expit

from training.dropout import Courses, expected_at_the_end, weights_for_staying

WEEKS = 8


class Made:
    """Clients who change by the same each session, faster with some therapists; some leave, by lot or by score."""

    def __init__(
        self, by_score: float, therapist_sd: float = 0.0, therapists: int = 40, cases: int = 60, seed: int = 0
    ):
        rng = np.random.default_rng(seed)
        n = therapists * cases
        self.therapist = np.repeat(np.arange(therapists), cases)
        self.effect = therapist_sd * rng.standard_normal(therapists)
        pace = (1.0 + self.effect[self.therapist] + 0.4 * rng.standard_normal(n)) / np.log1p(WEEKS)
        sessions = np.arange(1, WEEKS + 1)
        noise = 0.15 * rng.standard_normal((n, WEEKS))
        change = pace[:, None] * np.log1p(sessions) + noise
        chance = expit(-2.0 - by_score * (change - 0.6))
        goes = (rng.random((n, WEEKS)) < chance) & (sessions < WEEKS)
        self.left = goes.any(axis=1)
        stays = np.where(self.left, goes.argmax(axis=1) + 1, WEEKS)
        kept = sessions[None, :] <= stays[:, None]
        row, at = np.nonzero(kept)
        self.courses = Courses(row, sessions[at].astype(float), change[row, at], np.full(len(row), 3.0))
        self.value = change[np.arange(n), stays - 1]
        self.truth = pace * np.log1p(WEEKS)

    def expected(self) -> np.ndarray:
        return expected_at_the_end(self.value, self.courses, self.left, self.therapist)


def test_who_leaves_early_is_expected_to_change_further_as_those_did_who_stayed():
    made = Made(by_score=0.0)
    found = made.expected()
    assert made.left.mean() > 0.3
    assert made.value[made.left].mean() < made.truth[made.left].mean() - 0.25
    assert found[made.left].mean() == pytest.approx(made.truth[made.left].mean(), abs=0.03)


def test_it_is_so_where_leaving_depends_on_the_last_score():
    made = Made(by_score=3.0)
    assert made.value[~made.left].mean() > made.truth.mean() + 0.1  # who stayed does better than everyone would
    assert made.value.mean() < made.truth.mean() - 0.1
    assert made.expected().mean() == pytest.approx(made.truth.mean(), abs=0.03)


def test_outcomes_of_those_who_stayed_are_left_as_they_are():
    made = Made(by_score=1.0)
    assert made.expected()[~made.left].tolist() == made.value[~made.left].tolist()


def test_therapists_keep_their_influence_on_those_who_left():
    """Slope of therapists' mean outcomes on their true effects: 1 is right, last scores hide part of it."""
    made = Made(by_score=0.0, therapist_sd=0.4, cases=120)

    def slope(value: np.ndarray) -> float:
        means = np.bincount(made.therapist[made.left], value[made.left]) / np.bincount(made.therapist[made.left])
        return float(np.polyfit(made.effect, means, 1)[0])

    assert slope(made.value) < 0.75
    assert slope(made.expected()) == pytest.approx(1.0, abs=0.12)


def test_who_never_had_a_score_stays_without_an_outcome():
    made = Made(by_score=0.0)
    silent = np.isin(made.courses.row, [0, 1])
    kept = Courses(*(values[~silent] for values in vars(made.courses).values()))
    value = np.where(np.arange(len(made.value)) < 2, np.nan, made.value)
    found = expected_at_the_end(value, kept, made.left, made.therapist)
    assert np.isnan(found).tolist() == np.isnan(value).tolist()


def test_nothing_is_changed_where_there_is_too_little_to_learn_from():
    made = Made(by_score=0.0, therapists=2, cases=10)
    assert made.expected().tolist() == made.value.tolist()
    assert (weights_for_staying(made.courses, made.left, made.therapist) == 1).all()


def test_weights_bring_the_mean_of_those_who_stayed_to_that_of_everyone():
    made = Made(by_score=2.0)
    weight = weights_for_staying(made.courses, made.left, made.therapist)
    stayed, all_of_them = made.truth[~made.left], made.truth.mean()
    plain, weighted = stayed.mean() - all_of_them, np.average(stayed, weights=weight[~made.left]) - all_of_them
    assert plain > 0.05
    assert abs(weighted) < plain / 3
    assert weight[~made.left].mean() == pytest.approx(1.0)


def test_weights_do_not_differ_where_leaving_is_a_lot():
    made = Made(by_score=0.0)
    assert weights_for_staying(made.courses, made.left, made.therapist)[~made.left].std() < 0.1
