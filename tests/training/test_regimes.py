"""Three regimes: what a choice is worth when anyone may have it, when slots are few, and when all places are taken."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluate import Offered, Resamples
from training.regimes import Choices

DAY = np.datetime64("2026-01-01", "D")


def clinic(clients: int, therapists: int, seed: int, days: int = 365) -> Choices:
    """Clients who could all see everyone, and saw one at random, some day of a year."""
    rng = np.random.default_rng(seed)
    seen = rng.integers(0, therapists, clients)
    offered = Offered(np.repeat(np.arange(clients), therapists), (np.arange(therapists) == seen[:, None]).ravel())
    day = DAY + np.sort(rng.integers(0, days, clients)).astype("timedelta64[D]")
    return Choices(offered, np.tile(np.arange(therapists), clients), day, seed)


def found(choices: Choices, fit: np.ndarray, score: np.ndarray, noise: float = 0.3) -> dict[tuple[str, Any], Any]:
    clients = len(choices.day)
    response = choices.offered.of_assigned(fit) + noise * np.random.default_rng(9).normal(size=clients)
    seen = choices.therapist[choices.offered.assigned]
    rows = choices.regimes({"model": (response, score)}, np.ones(clients), Resamples.of(seen, 200, 0))
    return {(row["regime"], row["eligible"]): row for row in rows}


def test_a_therapist_who_is_better_for_everyone_is_worth_something_until_all_places_are_taken() -> None:
    choices = clinic(1500, 12, 0)
    better = np.random.default_rng(1).normal(size=12)
    fit = better[choices.therapist]
    rows = found(choices, fit, fit)
    best = better.max() - better.mean()
    assert rows["free choice", "all"]["claimed"] == pytest.approx(best, abs=1e-3)
    assert rows["free choice", "all"]["gain"]["low"] < best < rows["free choice", "all"]["gain"]["high"]
    assert rows["full caseloads", "all"]["claimed"] == pytest.approx(0, abs=1e-3)
    assert rows["free choice", 10]["claimed"] < rows["free choice", "all"]["claimed"]


def test_what_differs_between_clients_for_the_same_therapist_is_worth_something_in_every_regime() -> None:
    choices = clinic(1500, 12, 2)
    fit = 0.5 * np.random.default_rng(3).normal(size=1500 * 12)
    rows = found(choices, fit, fit)
    for regime in ("free choice", "available slots", "full caseloads"):
        row = rows[regime, "all"]
        assert row["claimed"] > 0.2
        assert row["gain"]["low"] < row["claimed"] < row["gain"]["high"]
        assert row["calibration_slope"]["low"] < 1 < row["calibration_slope"]["high"]
    claims = [rows[regime, "all"]["claimed"] for regime in ("free choice", "available slots", "full caseloads")]
    assert claims[0] >= claims[1]
    assert claims[0] > claims[2]


def test_claims_that_do_not_come_true_are_cut_to_nothing_in_full_caseloads_even_where_main_effects_are_real() -> None:
    choices = clinic(1500, 12, 4)
    main = np.random.default_rng(5).normal(size=12)[choices.therapist]
    invented = 0.5 * np.random.default_rng(6).normal(size=1500 * 12)
    row = found(choices, main, main + invented)["full caseloads", "all"]
    assert row["claimed"] > 0.2
    assert row["gain"]["low"] < 0 < row["gain"]["high"]


@given(st.integers(0, 500), st.integers(2, 30), st.integers(2, 6), st.booleans())
def test_places_shared_out_are_exactly_those_taken_among_those_offered_and_the_sum_is_no_lower(
    seed: int, clients: int, therapists: int, some: bool
) -> None:
    choices = clinic(clients, therapists, seed)
    score = np.random.default_rng(seed).normal(size=clients * therapists)
    kept = choices.offered.among(2 if some else None, seed)
    pairs = choices.assign(score, kept)
    assert kept[pairs].all()
    assert (choices.offered.position[pairs] == np.arange(clients)).all()
    seen = choices.therapist[choices.offered.assigned]
    assert sorted(choices.therapist[pairs]) == sorted(seen)
    assert score[pairs].sum() >= choices.offered.of_assigned(score).sum() - 1e-9


@given(st.integers(0, 500), st.floats(-3, 3), st.floats(-3, 3))
def test_centred_scores_know_nothing_of_clients_or_therapists_as_such(seed: int, up: float, down: float) -> None:
    choices = clinic(15, 4, seed)
    rng = np.random.default_rng(seed)
    score = rng.normal(size=60)
    moved = score + up * rng.normal(size=15)[choices.offered.position] + down * rng.normal(size=4)[choices.therapist]
    assert choices.centred(moved)[0] == pytest.approx(choices.centred(score)[0], abs=1e-9)
    rest, therapist = choices.centred(score)
    assert np.bincount(choices.therapist, weights=rest) == pytest.approx(np.zeros(4), abs=1e-9)
    assert len(np.unique(therapist.round(9))) <= 4


def test_a_slot_is_a_therapist_who_began_with_someone_within_two_weeks() -> None:
    day = DAY + np.array([0, 14, 29]).astype("timedelta64[D]")
    offered = Offered(np.repeat(np.arange(3), 3), np.eye(3, dtype=bool).ravel())
    choices = Choices(offered, np.tile(np.arange(3), 3), day, 0)
    assert choices._slots().reshape(3, 3).tolist() == [
        [True, True, False],
        [True, True, False],
        [False, False, True],
    ]


def test_without_days_nothing_is_said_of_slots_and_a_small_choice_is_not_cut() -> None:
    choices = clinic(200, 5, 7)
    undated = Choices(choices.offered, choices.therapist, np.full(200, np.datetime64("NaT", "D")), 0)
    fit = np.random.default_rng(0).normal(size=1000)
    assert set(found(undated, fit, fit)) == {("free choice", "all"), ("full caseloads", "all")}
    assert ("available slots", "all") in found(choices, fit, fit)


def test_a_smaller_choice_keeps_the_assigned_and_draws_the_others() -> None:
    offered = clinic(50, 8, 1).offered
    kept = offered.among(3, 0)
    assert (np.bincount(offered.client[kept]) == 3).all()
    assert kept[offered.assigned].all()
    assert offered.among(None, 0).all()
    assert (offered.among(3, 0) == kept).all()
    assert (offered.among(3, 1) != kept).any()
