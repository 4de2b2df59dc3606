"""The gate: every condition that a bundle misses, in words."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from features.policy import Policy
from training.bundle import Bundle
from training.gate import unmet
from training.run import Trained

Said = Callable[..., Bundle]
HEAD = {
    "rows": 90,
    "r2": {"model": 0.2, "therapist_mean": 0.1, "patient_only": 0.1},
    "r2_over_patient_only": {"value": 0.01, "low": 0.0, "high": 0.02},
    "r2_over_therapist_only": {"value": 0.01, "low": 0.0, "high": 0.02},
    "rank_validity": {"value": 0.1, "low": 0.0, "high": 0.2},
}
GOOD = {"forward": True, "test_from": "2026-01-01", "heads": {"outcome": HEAD}}


@pytest.fixture
def said(trained: Trained) -> Said:
    """The bundle of the shared run, with other words in its manifest."""

    def say(**words: Any) -> Bundle:
        manifest = trained.bundle.manifest.model_copy(update={"evaluation": GOOD, **words})
        return replace(trained.bundle, manifest=manifest)

    return say


def told(bundle: Bundle) -> list[str]:
    return [str(problem) for problem in unmet(bundle, Policy.read())]


def with_low(key: str, low: float) -> dict[str, Any]:
    return {**GOOD, "heads": {"outcome": {**HEAD, key: {**HEAD[key], "low": low}}}}


def test_a_bundle_that_meets_every_condition_passes(said: Said):
    assert told(said()) == []


@pytest.mark.parametrize(
    ("key", "low", "words"),
    [
        ("r2_over_patient_only", -0.005, "R2 difference to patient-only"),
        ("r2_over_therapist_only", -0.0051, "R2 difference to therapist-only"),
        ("rank_validity", -0.02, "rank validity"),
    ],
)
def test_a_lower_bound_at_the_limit_does_not_pass(said: Said, key: str, low: float, words: str):
    (line,) = told(said(evaluation=with_low(key, low)))
    assert words in line
    assert f"{low:.4f}" in line


@pytest.mark.parametrize(
    ("key", "low"), [("r2_over_patient_only", -0.0049), ("r2_over_therapist_only", 0.0), ("rank_validity", -0.0199)]
)
def test_a_lower_bound_above_the_limit_passes(said: Said, key: str, low: float):
    assert told(said(evaluation=with_low(key, low))) == []


def test_a_bound_that_is_not_a_number_does_not_pass(said: Said):
    assert len(told(said(evaluation=with_low("rank_validity", float("nan"))))) == 1


def test_a_bundle_without_an_evaluation_does_not_pass(said: Said):
    (line,) = told(said(evaluation={"note": "not evaluated: 60 episodes before the test block"}))
    assert "not evaluated: 60 episodes" in line


def test_a_head_that_could_not_be_tested_does_not_pass(said: Said):
    untested = {"rows": 1, "note": "no results to compare in the test block"}
    (line,) = told(said(evaluation={**GOOD, "heads": {"outcome": HEAD, "alliance": untested}}))
    assert line.startswith("head alliance: no results to compare")


def test_a_bundle_of_undated_data_does_not_pass(said: Said):
    (line,) = told(said(evaluation={**GOOD, "forward": False}))
    assert "not tested forward in time" in line


def test_a_bundle_of_another_policy_does_not_pass(said: Said):
    (line,) = told(said(policy_hash="0" * 16))
    assert Policy.read().hash() in line


def test_a_feature_that_the_policy_keeps_for_audits_does_not_pass(said: Said):
    bundle = said()
    features = replace(bundle.features, words={**bundle.features.words, "disability": None})
    (line,) = told(replace(bundle, features=features))
    assert line.startswith("disability: audit-only")


def test_a_bundle_for_analysis_does_not_pass(said: Said):
    bundle = said()
    head = bundle.heads["outcome"]
    landmark = replace(head, info=replace(head.info, landmark=("landmark.phq9@1",)))
    (line,) = told(replace(bundle, heads={**bundle.heads, "outcome": landmark}))
    assert "for analysis only" in line


def test_all_conditions_are_told_at_once(said: Said):
    heads = {"outcome": {**with_low("rank_validity", -1)["heads"]["outcome"]}, "alliance": {"note": "no results"}}
    lines = told(said(policy_hash="0" * 16, evaluation={"forward": False, "heads": heads}))
    assert len(lines) == 4


def beside(**found: Any) -> dict[str, Any]:
    return {**GOOD, "champion": {"bundle_id": "served", **found}}


def told_beside(bundle: Bundle) -> list[str]:
    return [str(problem) for problem in unmet(bundle, Policy.read(), "served")]


def test_a_challenger_that_was_not_compared_with_the_champion_does_not_pass(said: Said):
    (line,) = told_beside(said())
    assert "the champion served must have been fitted again before the same cut" in line
    other = {**GOOD, "champion": {"bundle_id": "older", "r2_over_champion": {}}}
    assert len(told_beside(said(evaluation=other))) == 1


def test_a_challenger_is_held_to_the_same_limit_beside_the_champion(said: Said):
    def compared(low: float) -> list[str]:
        figure = {"value": 0.0, "low": low, "high": 0.1}
        return told_beside(said(evaluation=beside(r2_over_champion={"outcome": figure})))

    assert compared(-0.0049) == []
    (line,) = compared(-0.005)
    assert "R2 difference to the champion: lower 95 % bound -0.0050" in line


def test_a_champion_that_could_not_be_fitted_again_is_said(said: Said):
    (line,) = told_beside(said(evaluation=beside(note="cannot be fitted on these data")))
    assert "cannot be fitted on these data" in line
