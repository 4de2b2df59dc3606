"""What drives two bundles: the features whose importance differs most, by their audits."""

from collections.abc import Callable
from typing import Any

from training.audit.importances import UTILITY, FeatureImportance, Interval
from training.comparing.sides import Side

MOST = 10
"""So many of the largest changes are told."""


def importance(first: Side, second: Side) -> dict[str, Any]:
    """The largest changes for the order of therapists (SD of the utility) and for the prognosis (SD of the head)."""
    missing = [side.bundle_id for side in (first, second) if not side.importance]
    if missing:
        words = f"not compared: no audit that tells the importance of features in bundle {' and '.join(missing)}"
        return {"order": None, "prognosis": None, "note": f"{words} -> therapist-fit audit"}
    return {
        "order": _largest([(name, UTILITY) for name in _names(first, second)], first, second, _order),
        "prognosis": _largest(
            [(name, head) for name in _names(first, second) for head in _heads(first, second, name)],
            first,
            second,
            _prognosis,
        ),
        "note": "a feature that one of the two does not have counts as 0 there",
    }


def _names(first: Side, second: Side) -> list[str]:
    return sorted({*first.importance, *second.importance})


def _heads(first: Side, second: Side, name: str) -> list[str]:
    both = [side.importance[name].prognostic for side in (first, second) if name in side.importance]
    return sorted({head for found in both for head in found})


def _order(one: FeatureImportance, head: str) -> Interval | None:
    found = one.matching.get(head)
    return None if found is None else found.spread


def _prognosis(one: FeatureImportance, head: str) -> Interval | None:
    found = one.prognostic.get(head)
    return None if found is None else found.contribution


Read = Callable[[FeatureImportance, str], Interval | None]


def _largest(asked: list[tuple[str, str]], first: Side, second: Side, read: Read) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, head in asked:
        both = [read(side.importance[name], head) if name in side.importance else None for side in (first, second)]
        if both == [None, None]:
            continue
        before, after = (0.0 if figure is None else figure.value for figure in both)
        told = [None if figure is None else figure.model_dump() for figure in both]
        rows.append({"feature": name, "head": head, "first": told[0], "second": told[1], "change": after - before})
    return sorted(rows, key=lambda row: (-abs(row["change"]), row["feature"]))[:MOST]
