"""Intervals hold as many results as they say, are wider where noise is, and travel as plain values."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.truth import Truth
from training.config import TrainConfig
from training.conformal import (
    LEVELS,
    Conformal,
    Credible,
    severity_of,
)
from training.intervals import _ends, _noise, conformal, coverage, credibility, expectation, left_out
from training.run import Trained
from training.scoring import Scored, score


@pytest.fixture(scope="module")
def seen(clinic: tuple[Dataset, Truth], trained: Trained) -> Scored:
    return score(History(for_learning(clinic[0])), trained.material.episodes, trained.material)


@given(st.integers(9, 400), st.sampled_from([0.5, 0.8]))
def test_a_new_result_of_the_same_kind_lies_inside_at_least_as_often_as_the_level_says(n: int, level: float) -> None:
    low, high = _ends(np.arange(1, n + 1, dtype=float), level)
    inside = high - low  # of n + 1 gaps between ranks that a new one falls into with equal chance
    assert inside / (n + 1) >= level - 1e-9
    assert inside / (n + 1) <= level + 3 / (n + 1)


def test_coverage_of_normal_results_is_what_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    ends = {level: _ends(np.sort(rng.normal(size=5000)), level / 100) for level in LEVELS}
    for level, (low, high) in ends.items():
        assert norm.cdf(high) - norm.cdf(low) == pytest.approx(level / 100, abs=0.012)


def test_noise_that_grows_with_severity_is_found_and_noise_that_does_not_is_left_alone() -> None:
    rng = np.random.default_rng(1)
    severity, predicted, fold = rng.normal(size=4000), rng.normal(size=4000), np.arange(4000) % 5
    size = np.abs(rng.normal(size=4000))
    constant, floor = _noise(predicted, severity, size, fold)
    assert constant == (pytest.approx(size.mean()),)
    assert floor == pytest.approx(0.3 * size.mean())
    growing, _ = _noise(predicted, severity, size * np.exp(0.3 * severity), fold)
    assert len(growing) == 4
    assert growing[2] == pytest.approx(0.24, abs=0.06)
    found = Conformal({}, growing, 0.2)
    assert found.spread(np.zeros(2), np.array([-5.0, 2.0])).tolist() == [
        0.2,
        pytest.approx(growing[0] + 2 * growing[2]),
    ]


def test_both_tails_are_held_where_results_are_skewed() -> None:
    rng = np.random.default_rng(2)
    skewed = np.sort(1 - rng.exponential(size=20_000))
    low, high = _ends(skewed, 0.8)
    assert low == pytest.approx(1 + np.log(0.1), abs=0.1)
    assert high == pytest.approx(1 + np.log(0.9), abs=0.02)


def test_the_share_inside_is_counted_and_held_to_two_points_or_to_chance() -> None:
    y = np.arange(100.0)
    found = coverage(y, np.full(100, -1.0), np.full(100, 79.0), 80)
    assert (found["covered"], found["n"], found["width"], found["holds"]) == (0.8, 100, 80.0, True)
    assert found["bounds"][0] == pytest.approx(0.69, abs=0.01)
    assert found["bounds"][1] == pytest.approx(0.90, abs=0.01)
    many = np.arange(2000.0)
    assert coverage(many, np.full(2000, -1.0), np.full(2000, 1630.0), 80)["holds"]
    assert not coverage(many, np.full(2000, -1.0), np.full(2000, 1650.0), 80)["holds"]


def test_a_row_left_out_is_missed_by_more_than_the_fit_that_saw_it_says(trained: Trained) -> None:
    material, learned = trained.material, trained.learned["outcome"]
    predicted, residual, variance = left_out(material, learned)
    assert (variance > 0).all()
    assert predicted + residual == pytest.approx(learned.target)
    flat = replace(learned, weight=np.full(len(learned.weight), 1e-9))
    fitted = left_out(material, flat)[1]
    assert (np.abs(residual) >= np.abs(fitted) - 1e-9).all()
    assert (residual**2).mean() > 1.005 * (fitted**2).mean()


def test_intervals_of_a_run_hold_the_results_they_were_made_of_and_travel_as_plain_values(trained: Trained) -> None:
    material = trained.material
    for name in ("outcome", "alliance"):
        learned = trained.learned[name]
        found = conformal(material, learned)
        assert Conformal.from_json(json.loads(json.dumps(found.as_json()))) == found
        predicted, _, variance = left_out(material, learned)
        assert found.typical == pytest.approx(variance.mean())
        severity = severity_of(material.effects[learned.rows], material.design)
        for level in LEVELS:
            low, high = found.interval(predicted, severity, level, variance)
            assert ((low <= learned.target) & (learned.target <= high)).mean() == pytest.approx(level / 100, abs=0.005)


def test_the_manifest_says_how_often_intervals_held(trained: Trained) -> None:
    heads = trained.bundle.manifest.evaluation["heads"]
    for name in ("outcome", "alliance"):
        found = heads[name]["intervals"]
        assert found["kind"] == "conformal"
        for level in LEVELS:
            one = found["coverage"][str(level)]
            assert one["n"] == heads[name]["rows"]
            assert abs(one["covered"] - level / 100) < 0.1
        assert found["coverage"]["95"]["width"] > found["coverage"]["80"]["width"]
    assert heads["retention"]["intervals"]["kind"] == "credible"


@given(st.floats(0.3, 2), st.floats(0.01, 0.5), st.floats(0, 2))
def test_an_interval_is_wider_where_the_expectation_is_less_sure(size: float, typical: float, more: float) -> None:
    found = Conformal({80: (-1.5, 1.5)}, (size,), 0.3 * size, typical)
    assert found.spread(np.zeros(1), np.zeros(1), np.array([typical])) == pytest.approx(size)
    assert found.spread(np.zeros(1), np.zeros(1)) == pytest.approx(size)
    wide = found.spread(np.zeros(1), np.zeros(1), np.array([typical + more]))
    assert wide == pytest.approx(np.hypot(size, np.sqrt(2 / np.pi * more)))
    assert found.spread(np.zeros(1), np.zeros(1), np.zeros(1)) >= found.floor - 1e-12


def test_intervals_of_probabilities_are_probabilities_around_what_is_expected(trained: Trained, seen: Scored) -> None:
    head, place = trained.bundle.heads["retention"], trained.material.place
    link, variance = expectation(head, seen, place)
    expected = seen.expected(head, place)
    found = Credible(0.05)
    narrow, wide = (found.interval(link, variance, level) for level in LEVELS)
    assert (wide[0] > 0).all()
    assert (wide[1] < 1).all()
    for low, high in (narrow, wide):
        assert (low < expected).all()
        assert (expected < high).all()
    assert (wide[0] < narrow[0]).all()
    strangers = replace(seen, therapist_id=np.full(len(seen.therapist_id), "never-seen-0", dtype=object))
    low, high = found.interval(*expectation(head, strangers, place), 80)
    assert (high - low).mean() > (narrow[1] - narrow[0]).mean()
    sure = Credible().interval(link, variance, 80)
    assert (sure[1] - sure[0] < narrow[1] - narrow[0]).all()


def test_trees_that_clients_of_the_other_half_would_not_have_grown_are_not_trusted(trained: Trained) -> None:
    material, learned = trained.material, trained.learned["retention"]
    assert learned.head.trees
    config = TrainConfig(bootstraps=50)
    found = credibility(material, learned, config)
    assert found.trees > 0
    assert Credible.from_json(json.loads(json.dumps(found.as_json()))) == found
    overgrown = replace(learned.head, info=replace(learned.head.info, rounds=20 * learned.head.info.rounds + 200))
    assert credibility(material, replace(learned, head=overgrown), config).trees > 3 * found.trees
    none = replace(learned.head, trees="")
    assert credibility(material, replace(learned, head=none), config) == Credible()
