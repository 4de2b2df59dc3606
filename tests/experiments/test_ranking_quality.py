"""Ranking quality against the truth of synthetic clinics."""

import numpy as np
import pytest

from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from experiments.contest import PLACES, Contest, free, full, gain, prepare
from experiments.ranking_quality import measure, run

EVERYONE = np.ones((6, 2), bool)
SAID = np.array([[1.0, 0.0], [0.9, 0.0], [0.8, 0.0], [0.7, 0.0], [0.2, 0.1], [0.0, 0.3]])


def test_with_free_choice_everyone_gets_the_best_of_those_they_may_see() -> None:
    assert free(SAID, EVERYONE).tolist() == [0, 0, 0, 0, 0, 1]
    barred = EVERYONE.copy()
    barred[0, 0] = False
    assert free(SAID, barred)[0] == 1


def test_with_full_caseloads_every_place_is_taken_by_those_who_gain_most_from_it() -> None:
    chosen = full(SAID, EVERYONE)
    assert np.bincount(chosen).tolist() == [PLACES, PLACES]
    assert chosen.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_gain_is_over_the_average_of_the_eligible_and_a_main_effect_is_worth_nothing_in_full_caseloads() -> None:
    better = np.tile([1.0, 0.0], (6, 1))
    assert gain(better, free(better, EVERYONE), EVERYONE) == 0.5
    assert gain(better, full(better, EVERYONE), EVERYONE) == 0.0


@pytest.fixture(scope="module")
def trial() -> Contest:
    return prepare(*simulate(Plan(episodes=1500, therapists=40, seed=3)), seed=3)


def test_clients_are_later_than_anything_learned_and_places_equal_clients(trial: Contest) -> None:
    learned_from = set(trial.material.episodes["episode_id"])
    assert not learned_from & set(trial.truth.episode_ids[trial.clients])
    assert len(trial.clients) == PLACES * len(trial.therapists)
    assert trial.eligible.sum(axis=1).min() == trial.eligible.sum(axis=1).max()


def test_the_ceiling_stands_above_the_model_and_the_model_above_one_boosted_model() -> None:
    found = [
        measure(prepare(*simulate(plan), plan.seed), plan)
        for plan in (Plan(episodes=2500, therapists=50, seed=seed) for seed in range(2))
    ]
    mean = {name: np.mean([one[name] for one in found]) for name in found[0]}
    for regime in ("free", "full"):
        assert mean[f"ceiling_{regime}"] > mean[f"model_{regime}"] > mean[f"one_model_{regime}"]


def test_where_nothing_differs_between_therapists_no_share_is_printed() -> None:
    found = run(episodes=1500, therapists=40, seeds=2, arms=("null",))["arms"]["null"]
    assert found["ceiling_d_full"] == pytest.approx(0, abs=1e-9)
    assert found["share_of_ceiling_full"] is None
    assert found["one_model_share_full"] is None
    assert found["claimed_d_full_low"] <= found["claimed_d_full"] <= found["claimed_d_full_high"]
    assert 0 <= found["abstained"] <= 1
