"""Propensities within what was offered."""

import numpy as np
import pytest
from scipy.special import softmax

from training.propensity import LEAST_OF_EVEN, Drivers, Propensities, estimate, lift

CLIENTS, OFFERS, PEOPLE = 1200, 8, 30


def drivers(seed: int, strength: float = 1.0) -> tuple[Drivers, np.ndarray]:
    """Choices by one column that matters, one that does not, a popular therapist, and severity with another."""
    rng = np.random.default_rng(seed)
    therapist = rng.permuted(np.tile(np.arange(PEOPLE), (CLIENTS, 1)), axis=1)[:, :OFFERS]
    columns, severity = rng.normal(size=(CLIENTS, OFFERS, 2)), rng.normal(size=CLIENTS)
    utility = strength * (0.8 * columns[:, :, 0] + (therapist == 0) + 0.8 * severity[:, None] * (therapist == 1))
    chance = softmax(utility, axis=1)
    chosen = (chance.cumsum(axis=1) > rng.random((CLIENTS, 1))).argmax(axis=1)
    assigned = (np.arange(OFFERS) == chosen[:, None]).ravel()
    position = np.repeat(np.arange(CLIENTS), OFFERS)
    block = columns.reshape(-1, 2)
    made = Drivers(position, assigned, (block[:, :1], block[:, 1:]), therapist.ravel(), severity[position])
    return made, chance.ravel()


def estimated(made: Drivers, recorded: np.ndarray | None = None) -> Propensities:
    return estimate(made, np.arange(CLIENTS) % 5, np.full(CLIENTS, np.nan) if recorded is None else recorded)


def test_probabilities_that_made_the_choices_are_found() -> None:
    made, chance = drivers(0)
    found = estimated(made)
    assert np.bincount(made.position, found.chance) == pytest.approx(np.ones(CLIENTS))
    assert np.corrcoef(chance, found.chance)[0, 1] > 0.95
    assert np.abs(chance - found.chance).mean() < 0.03
    assert found.slope == pytest.approx(1.0, abs=0.15)
    assert all(said == pytest.approx(was, abs=0.03) for said, was in found.bins)


def test_choices_by_lot_leave_every_therapist_nearly_the_same_chance() -> None:
    made, _ = drivers(1, strength=0.0)
    found = estimated(made)
    assert np.abs(found.chance - 1 / OFFERS).max() < 0.05


def test_what_was_recorded_is_used_and_not_learned_from() -> None:
    made, _ = drivers(2)
    recorded = np.where(np.arange(CLIENTS) < 300, 0.25, np.nan)
    found = estimated(made, recorded)
    assert (found.assigned[:300] == 0.25).all()
    assert found.recorded.mean() == 0.25
    swapped = made.assigned.copy()
    swapped[: 300 * OFFERS] = np.tile(np.arange(OFFERS) == 0, 300)  # other choices in the rows that are recorded
    other = Drivers(made.position, swapped, made.groups, made.therapist, made.severity)
    assert estimated(other, recorded).chance == pytest.approx(found.chance)


def test_a_clients_own_choice_does_not_shape_their_propensity() -> None:
    made, _ = drivers(3)
    fold = np.arange(CLIENTS) % 5
    first = estimated(made).chance[: OFFERS * 5]
    swapped = made.assigned.copy()
    swapped[:OFFERS] = np.roll(swapped[:OFFERS], 1)
    second = estimated(Drivers(made.position, swapped, made.groups, made.therapist, made.severity)).chance
    assert fold[0] == 0
    assert second[:OFFERS] == pytest.approx(first[:OFFERS], rel=0.02)  # the factor of the calibration is everyone's
    assert not np.allclose(second[OFFERS : OFFERS * 5], first[OFFERS:], rtol=1e-4)


def test_small_propensities_are_clipped_and_counted() -> None:
    made, _ = drivers(4, strength=3.0)
    found = estimated(made)
    assert found.assigned.min() >= LEAST_OF_EVEN / OFFERS
    assert 0 < found.clipped.mean() < 0.2
    assert found.as_json()["share_clipped"] == found.clipped.mean()


def test_a_lift_is_the_log_of_how_much_more_often_a_kind_went_to_a_therapist() -> None:
    past = {"therapist_id": ["t1"] * 100 + ["t2"] * 100, "site": ["a"] * 100 + ["b"] * 100}
    now = {"therapist_id": ["t1", "t1", "t3", "t2", "t2"], "site": ["a", "b", "a", "c", None]}
    found = lift(past, now, "site", even=1e-6)
    assert found[0] == pytest.approx(np.log(2))
    assert found[1] < -5
    assert found[2:].tolist() == [0, 0, 0]


def test_without_any_kind_on_record_there_is_no_lift() -> None:
    past = {"therapist_id": ["t1", "t2"], "site": [None, None]}
    assert lift(past, {"therapist_id": ["t1"], "site": ["a"]}, "site").tolist() == [0]
