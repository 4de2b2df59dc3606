"""The estimand as a target trial."""

import json

import pytest

from training.config import DEFAULT_HEADS, HeadConfig, OutcomeConfig, TrainConfig
from training.target_trial import target_trial

FACTS = {
    "clients": 1890,
    "therapists": 131,
    "offers_recorded": True,
    "test_from": "2025-06-01",
    "share_recorded": 0.125,
    "share_known": 0.9,
}


def test_every_part_of_a_trial_is_said_with_the_numbers_of_this_one() -> None:
    said = target_trial(TrainConfig(), DEFAULT_HEADS[0], FACTS)
    assert {
        "eligibility", "strategies", "assignment", "time_zero", "follow_up", "outcome", "contrast", "assumptions",
    } <= set(said)  # fmt: skip
    assert "1,890" in said["eligibility"]
    assert "2025-06-01" in said["eligibility"]
    assert "12%" in said["assignment"]
    assert "90%" in said["outcome"]
    json.dumps(said)


def test_every_assumption_comes_with_what_breaks_it() -> None:
    said = target_trial(TrainConfig(), DEFAULT_HEADS[0], FACTS)["assumptions"]
    assert {"no unmeasured confounding", "positivity"} <= set(said)
    assert all(one["holds_if"] and one["broken_by"] for one in said.values())


def test_guessed_offers_and_undated_data_are_named() -> None:
    said = target_trial(TrainConfig(), DEFAULT_HEADS[0], FACTS | {"offers_recorded": False, "test_from": None})
    assert said["available"].startswith("guessed")
    assert "clients held out" in said["eligibility"]


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (HeadConfig(name="outcome", source="outcome"), "within 20 weeks"),
        (HeadConfig(name="alliance", source="alliance"), "sessions 3 to 5"),
        (HeadConfig(name="retention", source="retention"), "ending"),
        (HeadConfig(name="panss", source="measure:panss@8", direction="lower"), "panss at session 8"),
    ],
)
def test_the_follow_up_is_that_of_the_head(head: HeadConfig, words: str) -> None:
    config = TrainConfig(outcome=OutcomeConfig(weeks=20))
    assert words in target_trial(config, head, FACTS)["follow_up"]
