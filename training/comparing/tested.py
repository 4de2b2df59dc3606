"""What the tests of two bundles found, side by side, and the groups for whom the second does worse."""

from collections.abc import Iterator, Mapping
from typing import Any

from training.comparing.sides import Side

HEAD_FIGURES = {
    "share of variance explained": ("r2", "model"),
    "explained beyond the client alone": ("r2_over_patient_only",),
    "explained beyond the therapist alone": ("r2_over_therapist_only",),
    "rank validity": ("rank_validity",),
    "gain over the next available": ("policy", "gain"),
    "calibration slope": ("calibration", "slope"),
    "observed less predicted": ("calibration", "bias"),
}
"""Words -> where a head's evaluation has the figure."""
UTILITY_FIGURES = {
    "gain over the next available": ("over_next_available", "model", "gain"),
    "gain over the therapist mean": ("model_over_therapist_mean",),
    "rank validity": ("rank_validity",),
}
WORSE_GAIN = 0.02
"""A gain that falls by more than this many SD is told, as the gate lets no group lose more."""
WORSE_BIAS = 0.05
"""So is a mean error that grows by more than this many SD, either way."""


def metrics(first: Side, second: Side) -> dict[str, Any]:
    """Every figure of the tests that either has, with its interval; None where one has none."""
    both = [_figures(side.bundle.manifest.evaluation) for side in (first, second)]
    rows = [
        {"head": head, "figure": words, "first": both[0].get((head, words)), "second": both[1].get((head, words))}
        for head, words in dict.fromkeys([*both[0], *both[1]])
    ]
    return {"figures": rows, "note": _note(first, second)}


def _figures(evaluation: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, float]]:
    found = {("utility", words): _at(evaluation.get("utility", {}), path) for words, path in UTILITY_FIGURES.items()}
    for name, head in evaluation.get("heads", {}).items():
        found |= {(name, words): _at(head, path) for words, path in HEAD_FIGURES.items()}
    return {key: figure for key, figure in found.items() if figure is not None}


def _at(values: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, float] | None:
    found: Any = values
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) and "value" in found else None


def _note(first: Side, second: Side) -> str:
    manifests = [side.bundle.manifest for side in (first, second)]
    untested = [one.bundle_id for one in manifests if "heads" not in one.evaluation]
    if untested:
        return f"not tested: bundle {' and '.join(untested)}"
    days = {one.evaluation.get("test_from") for one in manifests}
    if len({one.data_hash for one in manifests}) == 1 and len(days) == 1:
        return "tested on the same clients"
    return "tested on different clients: a difference may come from them and not from the model"


def groups_worse(first: Side, second: Side) -> list[dict[str, Any]]:
    """Groups whose predicted gain fell or whose mean error grew, the largest change first.

    `clear` is whether the two intervals lie apart. Groups too small to be shown are left out.
    """
    ours, theirs = _cells(first), _cells(second)
    found = [row for cell in ours if cell in theirs for row in _worse(cell, ours[cell], theirs[cell])]
    return sorted(found, key=lambda row: (not row["clear"], -row["change"], row["head"], row["attribute"]))


Cell = tuple[str, str, str]


def _cells(side: Side) -> dict[Cell, Mapping[str, Any]]:
    heads = side.bundle.manifest.evaluation.get("heads", {})
    return {
        (name, row["attribute"], row["group"]): row
        for name, head in heads.items()
        for row in head.get("groups", ())
        if row["n"] is not None
    }


def _worse(cell: Cell, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for figure, least in (("gain", WORSE_GAIN), ("bias", WORSE_BIAS)):
        if figure not in before or figure not in after:
            continue
        one, other = before[figure], after[figure]
        change = one["value"] - other["value"] if figure == "gain" else abs(other["value"]) - abs(one["value"])
        if change > least:
            clear = one["high"] < other["low"] or other["high"] < one["low"]
            told = {"head": cell[0], "attribute": cell[1], "group": cell[2], "n": after["n"], "figure": figure}
            yield {**told, "first": one, "second": other, "change": change, "clear": clear}
