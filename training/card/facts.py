"""What the run knows of itself, as the sentences that the card's texts leave room for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from training.bands import FEWEST_IN_CELL, UNKNOWN
from training.bundle import Bundle, Manifest
from training.gate import GROUP_ROWS, LEAST_GROUP_GAIN, MOST_GROUP_BIAS
from training.telling import group_lines, head_lines

NOT_TESTED = "Not done: nothing was tested"
LEAST_NAMED = 100
"""Groups with fewer clients in the test are named as hardly seen."""


def facts_of(manifest: Manifest, bundle: Bundle, traits: Mapping[str, Sequence[str]], hazards: int) -> dict[str, str]:
    """Every name that the texts may ask for.

    `traits` are the features that say something of each trait of the rule, `hazards` how many the log has.
    """
    evaluation, heads = manifest.evaluation, [head.info for head in bundle.heads.values()]
    config = manifest.config
    return {
        "program": f"therapist-fit {manifest.versions.get('therapist-fit', 'of an unknown version')}",
        "name": manifest.name,
        "bundle": manifest.bundle_id or "without an id yet",
        "created": manifest.created_at.date().isoformat(),
        "dataset": manifest.dataset,
        "data_hash": manifest.data_hash,
        "as_of": manifest.as_of.isoformat() if manifest.as_of else "no date",
        "policy": manifest.policy_hash,
        "synthetic": "The data are synthetic: invented people, of whom nothing follows for real therapy."
        if manifest.synthetic
        else "The data are not declared to be synthetic: they are taken for records of people.",
        "heads": ", ".join(f"{head.name} (weight {head.weight:g})" for head in heads if head.weight > 0),
        "head_names": ", ".join(head.name for head in heads),
        "learned": ", ".join(f"{head.name} from {head.rows:,} courses" for head in heads),
        "wait_weeks": str(config.get("split", {}).get("wait_weeks", "an unknown number of")),
        "flags": " ".join(f"{what}: {share:.0%} of the rows." for what, share in manifest.flags.items()),
        "left_out": " ".join(f"Not learned: {name} ({why})." for name, why in manifest.left_out.items()),
        "features": str(len(bundle.features.words)),
        "traits": _traits(bundle, traits),
        "group_rows": str(GROUP_ROWS),
        "group_bias": f"{MOST_GROUP_BIAS}",
        "group_loss": f"{-LEAST_GROUP_GAIN}",
        "hazards": str(hazards),
        **_people(evaluation),
        **_figures(manifest, evaluation),
    }


def _traits(bundle: Bundle, traits: Mapping[str, Sequence[str]]) -> str:
    told = []
    for trait, names in traits.items():
        used = [name for name in names if name in bundle.features.words]
        told.append(f"{trait}: {', '.join(used) if used else 'not used'}")
    return "; ".join(told) + "."


def counted_groups(evaluation: Mapping[str, Any]) -> dict[str, dict[str, int | None]]:
    """Attribute -> group -> clients of the test with a choice; None where too few to be shown, and for the smallest
    beside such a group, or the total would give it away."""
    found: dict[str, dict[str, int | None]] = {}
    heads = evaluation.get("heads", {}).values()
    counted: list[Mapping[str, Any]] = evaluation.get("utility", {}).get("groups", [])
    for row in counted or next((head["groups"] for head in heads if "groups" in head), []):
        found.setdefault(row["attribute"], {})[row["group"]] = row["n"]
    for rows in found.values():
        shown = [(n, group) for group, n in rows.items() if n is not None]
        if shown and len(shown) < len(rows):
            rows[min(shown)[1]] = None
    return found


def _people(evaluation: Mapping[str, Any]) -> dict[str, str]:
    groups = counted_groups(evaluation)
    if not groups:
        return {
            "represented": "Not known: nothing was tested by group.",
            "unseen": "any group, as nothing was tested by group",
            "minors": "not known, as nothing was tested by group.",
        }
    told = "; ".join(f"{_plain(name)}: {_counted(rows)}" for name, rows in groups.items())
    few = [f"{_plain(name)} {_plain(group)}" for name, rows in groups.items() for group in _few(rows)]
    minors = groups.get("age_band", {}).get("under_18", 0)
    return {
        "represented": (
            f"Clients of the test with a choice (not shown: fewer than {FEWEST_IN_CELL}, or the number would tell "
            f"another's): {told}."
        ),
        "unseen": f"groups with fewer than {LEAST_NAMED} clients in the test: {', '.join(few) or 'none was counted'}",
        "minors": "not shown, as too few are under 18 or of unknown age."
        if minors is None
        else f"{minors:,} under 18.",
    }


def _few(rows: Mapping[str, int | None]) -> Iterator[str]:
    yield from (group for group, n in rows.items() if group != UNKNOWN and (n is None or n < LEAST_NAMED))


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _counted(rows: Mapping[str, int | None]) -> str:
    return ", ".join(f"{_plain(group)} {'not shown' if n is None else format(n, ',')}" for group, n in rows.items())


def _figures(manifest: Manifest, evaluation: Mapping[str, Any]) -> dict[str, str]:
    heads = {name: head for name, head in evaluation.get("heads", {}).items() if "r2" in head}
    if not heads:
        why = str(evaluation.get("note", "no result could be compared"))
        none = f"{NOT_TESTED}: {why}."
        names = ("tested", "validity", "validity_short", "fairness", "local", "gain", "beside", "proven", "shown")
        plain = "We have not yet tested whether it helps."
        return dict.fromkeys(names, none) | {"shown": plain, "proven": "Nothing is proven: it was not tested."}
    utility = evaluation.get("utility", {})
    gain = utility.get("over_next_available", {}).get("model", {}).get("gain")
    beside = utility.get("model_over_therapist_mean")
    return {
        "tested": _tested(evaluation),
        "validity": " ".join((_tested(evaluation), *_validity(heads))),
        "validity_short": " ".join(_explained(heads)),
        "fairness": " ".join(_fairness(heads, utility)) or "Not done: no group was looked at.",
        "local": f"Local data are those it was trained and tested on, where {manifest.dataset} is the service's own.",
        "gain": "No gain was tested."
        if gain is None
        else f"Gain over the next available therapist: {figure(gain)} SD of the combined result.",
        "beside": "not tested." if beside is None else f"{figure(beside)} SD more than that.",
        "proven": _proven(manifest),
        "shown": _shown(gain if manifest.proven else None),
    }


def _shown(gain: Mapping[str, float] | None) -> str:
    if gain is None:
        return "We have not been able to show yet that it helps."
    return (
        "In our test, people who saw a therapist high in such a list did a little better on the whole. That may not be "
        "so for you."
    )


def _tested(evaluation: Mapping[str, Any]) -> str:
    count = f"{evaluation['test_episodes']:,} courses of {evaluation['therapists_tested']} therapists"
    if not evaluation["forward"]:
        return f"Tested on {count} held out; not forward in time, as the data have no dates."
    return f"Tested forward in time on {count} from {evaluation['test_from']}."


def _proven(manifest: Manifest) -> str:
    if manifest.proven:
        return "The gain is proven forward in time on records, not in a trial."
    return "A gain is not proven."


def _explained(heads: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, head in heads.items():
        yield f"{name}: R2 {figure(head['r2']['model'], 3)}."


def _validity(heads: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, head in heads.items():
        yield (
            f"{name}: R2 {figure(head['r2']['model'], 3)}, over patient-only "
            f"{figure(head['r2_over_patient_only'], 3)}; results from lowest to highest rank "
            f"{figure(head['rank_validity'])} SD."
        )
        yield from (f"{line}." for line in head_lines(name, head))


def _fairness(heads: Mapping[str, Mapping[str, Any]], utility: Mapping[str, Any]) -> Iterator[str]:
    for name, head in heads.items():
        yield from (f"{line}." for line in group_lines(name, head))
    rows = [row for row in utility.get("groups", []) if row["n"] and row["n"] >= GROUP_ROWS]
    if rows:
        least = min(rows, key=lambda row: row["gain_free_choice"]["value"])
        yield (
            f"The least predicted gain of {len(rows)} groups of {GROUP_ROWS} or more is that of {least['attribute']} "
            f"{least['group']} (n = {least['n']}): {figure(least['gain_free_choice'])} SD."
        )


def figure(told: Mapping[str, float], digits: int = 2) -> str:
    """0.23 (0.16 to 0.30)."""
    return f"{told['value']:z.{digits}f} ({told['low']:z.{digits}f} to {told['high']:z.{digits}f})"
