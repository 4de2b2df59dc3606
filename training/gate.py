"""The gate: what must hold before a bundle is served to anyone."""

from collections.abc import Mapping
from typing import Any

from data.errors import Problem
from features.policy import Policy
from training.bundle import Bundle

LEAST_R2_DIFFERENCE = -0.005
LEAST_RANK_VALIDITY = -0.02


def unmet(bundle: Bundle, policy: Policy, champion: str | None = None) -> list[Problem]:
    """Every condition of the gate that the bundle does not meet, in words; empty when it may be served.

    `champion` is the id of the bundle that is served now, if there is one and it is another.
    """
    manifest = bundle.manifest
    where = f"bundle {manifest.bundle_id}"
    problems = policy.refused(sorted(bundle.features.words))
    if manifest.policy_hash != policy.hash():
        step = "train again under today's policy"
        problems.append(Problem(where, manifest.policy_hash, f"the feature policy is now {policy.hash()}", step))
    if not bundle.servable:
        rule = "a head looks at measures taken after the match (landmark): for analysis only"
        problems.append(Problem(where, "landmark", rule, "train without the landmark"))
    controls = [h["name"] for h in manifest.config["heads"] if str(h["source"]).endswith("@0")]
    problems += [
        Problem(
            f"head {name}", "a score at intake", "is known before the match: a control, never a result", "take it out"
        )
        for name in controls
    ]
    if "heads" not in manifest.evaluation:
        problems.append(
            Problem(where, manifest.evaluation.get("note", "no evaluation"), "a test is required", "add data")
        )
        return problems
    if not manifest.evaluation["forward"]:
        rule = "the data have no dates, so it was not tested forward in time"
        problems.append(Problem(where, "undated", rule, "for analysis only; bring dated data"))
    for name, head in manifest.evaluation["heads"].items():
        problems += _head_problems(name, head)
    return problems + ([] if champion is None else _beside_champion(where, champion, manifest.evaluation))


def _beside_champion(where: str, champion: str, evaluation: Mapping[str, Any]) -> list[Problem]:
    found = evaluation.get("champion", {})
    if found.get("bundle_id") != champion:
        rule = f"the champion {champion} must have been fitted again before the same cut"
        return [Problem(where, "not compared", rule, "train again: a tracked run does so")]
    if "note" in found:
        return [
            Problem(where, "not compared with the champion", found["note"], "train on data that both can learn from")
        ]
    lost = [
        Problem(
            f"head {name}",
            "not compared",
            "the champion ranks by it, and this model has none that is the same",
            "learn it too, from the same measures",
        )
        for name in found.get("not_compared", [])
    ]
    return lost + [
        Problem(
            f"head {name}",
            f"R2 difference to the champion: lower 95 % bound {figure['low']:.4f}",
            f"must be above {LEAST_R2_DIFFERENCE}",
            "keep the champion, or bring more data",
        )
        for name, figure in found["r2_over_champion"].items()
        if not figure["low"] > LEAST_R2_DIFFERENCE
    ]


def _head_problems(name: str, head: Mapping[str, Any]) -> list[Problem]:
    if "r2" not in head:
        return [Problem(f"head {name}", head["note"], "every head is tested", "take the head out, or bring more data")]
    limits = {
        "r2_over_patient_only": (LEAST_R2_DIFFERENCE, "R2 difference to patient-only"),
        "r2_over_therapist_only": (LEAST_R2_DIFFERENCE, "R2 difference to therapist-only"),
        "rank_validity": (LEAST_RANK_VALIDITY, "rank validity"),
    }
    return [
        Problem(
            f"head {name}",
            f"{words}: lower 95 % bound {head[key]['low']:.4f}",
            f"must be above {least}",
            "bring more data, or leave the head out",
        )
        for key, (least, words) in limits.items()
        if not head[key]["low"] > least
    ]
