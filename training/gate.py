"""The gate: what must hold before a bundle is served to anyone."""

from collections.abc import Mapping
from typing import Any

from data.errors import Problem
from features.policy import Policy
from training.bundle import Bundle
from training.signing import DEMO, Asked, Record, flagged, is_demo

LEAST_R2_DIFFERENCE = -0.005
LEAST_RANK_VALIDITY = -0.02
SLOPES = (0.8, 1.25)
"""Calibration: the interval of the slope of observed on predicted must reach into this band."""
MOST_BIAS = 0.10
"""Mean of observed less predicted, in SD: its interval must reach inside this, either way."""
MOST_GROUP_BIAS = 0.15
"""The same in any group of at least `GROUP_ROWS`: wider, as some forty groups are looked at in every head."""
LEAST_GROUP_GAIN = -0.02
"""Gain, in SD of any head, predicted for the mean client of such a group with the therapists ranked first."""
GROUP_ROWS = 100


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


def undecided(bundle: Bundle, record: Record, who: str) -> list[Problem]:
    """Every decision of a person that is missing before the bundle may be served, or that stands against it.

    Each of its features is signed under today's rule (the flagged ones by name), and it is approved.
    """
    manifest = bundle.manifest
    newest = record.newest(manifest.bundle_id)
    audit = None if newest is None else record.audit(newest.evidence_hash)
    flags = {} if audit is None else flagged(audit)
    asked = Asked(manifest.bundle_id, manifest.synthetic, tuple(sorted(bundle.features.words)), flags)
    return record.unsigned(asked, who) + record.unapproved(manifest.bundle_id, who)


def never(bundle: Bundle, record: Record, who: str) -> list[Problem]:
    """What no demonstration waives and no return to an earlier bundle passes over.

    A feature that the policy does not allow: the reviewed text says that it may harm people, and a demonstration that
    serves it would show the forbidden as ordinary. A rejection: a person said no to this bundle. The name `demo` for
    a bundle of real people: nobody would answer for it.
    """
    manifest = bundle.manifest
    problems = record.policy.refused(sorted(bundle.features.words)) + record.rejected(manifest.bundle_id, who)
    if is_demo(who) and not manifest.synthetic:
        rule = f"the name {DEMO} is for synthetic data"
        problems.append(Problem("--who", who, rule, "a named person must answer for a model of real people"))
    return problems


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
    missed = [
        Problem(
            f"head {name}",
            f"{words}: lower 95 % bound {head[key]['low']:.4f}",
            f"must be above {least}",
            "bring more data, or leave the head out",
        )
        for key, (least, words) in limits.items()
        if not head[key]["low"] > least
    ]
    return missed + _calibration_problems(name, head) + _group_problems(name, head)


def _calibration_problems(name: str, head: Mapping[str, Any]) -> list[Problem]:
    if "calibration" not in head:
        rule = "must be known: whether predictions come true is part of the test"
        return [Problem(f"head {name}", "calibration not tested", rule, "train again with this version")]
    found, problems = head["calibration"], []
    slope, bias = found["slope"], found["bias"]
    if slope is not None and not (slope["high"] >= SLOPES[0] and slope["low"] <= SLOPES[1]):
        said = f"calibration slope {slope['value']:.2f} ({slope['low']:.2f} to {slope['high']:.2f})"
        rule = f"its interval must reach into {SLOPES[0]} to {SLOPES[1]}"
        problems.append(Problem(f"head {name}", said, rule, "train on more recent data, or with fewer rounds or parts"))
    if not _reaches(bias, MOST_BIAS):
        said = f"observed less predicted {_between(bias)} SD"
        rule = f"its interval must reach inside {MOST_BIAS} SD"
        problems.append(
            Problem(f"head {name}", said, rule, "look for what changed since, and train on more recent data")
        )
    return problems


def _group_problems(name: str, head: Mapping[str, Any]) -> list[Problem]:
    if "groups" not in head:
        rule = "must be known: for whom it works is part of the test"
        return [Problem(f"head {name}", "groups not tested", rule, "train again with this version")]
    problems = []
    for row in head["groups"]:
        if row["n"] is None or row["n"] < GROUP_ROWS:
            continue
        where = f"head {name}, {row['attribute']} {row['group']} ({row['n']} results)"
        if "bias" in row and not _reaches(row["bias"], MOST_GROUP_BIAS):
            said, rule = (
                f"observed less predicted {_between(row['bias'])} SD",
                f"must reach inside {MOST_GROUP_BIAS} SD",
            )
            problems.append(Problem(where, said, rule, "look at what the model does not know of this group"))
        if "gain" in row and row["gain"]["value"] < LEAST_GROUP_GAIN:
            said, rule = f"predicted gain {row['gain']['value']:.3f} SD", f"must not be below {LEAST_GROUP_GAIN}"
            problems.append(Problem(where, said, rule, "weigh this head more, or the others less"))
    return problems


def _reaches(figure: Mapping[str, float], most: float) -> bool:
    """Whether the interval holds any value between -most and most."""
    return figure["low"] <= most and figure["high"] >= -most


def _between(figure: Mapping[str, float]) -> str:
    return f"observed less predicted {figure['value']:+.2f} ({figure['low']:+.2f} to {figure['high']:+.2f}) SD"
