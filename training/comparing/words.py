"""A comparison of two bundles for people, from the same values that programs get."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST_GROUPS = 10
NAMES = {"gain": "predicted gain", "bias": "observed less predicted"}


def lines(told: Mapping[str, Any]) -> list[str]:
    """What they learned from, what they look at, what drives them, what their tests found, whom they rank."""
    found = [*_data(told["data"]), *_features(told["features"]), *_importance(told["importance"])]
    found += [*_metrics(told["metrics"]), *_worse(told["groups_worse"])]
    return [*found, *_ranked(told["ranked"])] if told.get("ranked") else found


def _data(data: Mapping[str, Any]) -> Iterator[str]:
    yield "Data" + (": both learned from the same" if data["same"] else "")
    for which in ("first", "second"):
        one = data[which]
        rows = ", ".join(f"{name} {count:,}" for name, count in one["rows"].items())
        synthetic = " (synthetic)" if one["synthetic"] else ""
        day = one["as_of"] or "undated"
        yield f"  {which:<6}  {one['dataset']}{synthetic}, as of {day}, hash {one['data_hash']}; results: {rows}"
        if one["notes"]:
            yield f"          {one['notes']}"


def _features(features: Mapping[str, Any]) -> Iterator[str]:
    yield "Features"
    for key in ("added", "removed", "heads_added", "heads_removed"):
        if features[key]:
            yield f"  {key.replace('_', ' ')}: {', '.join(features[key])}"
    for one in features["rules"]:
        changed = [key for key in one["first"] if one["first"][key] != one["second"][key]]
        each = ", ".join(f"{key} {one['first'][key]} -> {one['second'][key]}" for key in changed)
        yield f"  rule of {one['feature']}: {each}"
    if not (features["added"] or features["removed"]):
        yield "  the same in both"
    yield f"  {features['note']}"


def _importance(importance: Mapping[str, Any]) -> Iterator[str]:
    yield "Importance"
    if importance["order"] is None:
        yield f"  {importance['note']}"
        return
    yield "  for the order of therapists, largest changes (SD of the utility)"
    yield from (_change(row) for row in importance["order"])
    yield "  for what to expect whoever the therapist is, largest changes (SD of the head)"
    yield from (_change(row) for row in importance["prognosis"])


def _change(row: Mapping[str, Any]) -> str:
    return f"    {row['feature']:<28} {row['head']:<14} {figure(row['first'], 3)}  ->  {figure(row['second'], 3)}"


def _metrics(metrics: Mapping[str, Any]) -> Iterator[str]:
    yield f"Tests: {metrics['note']}"
    for row in metrics["figures"]:
        yield f"  {row['head']:<14} {row['figure']:<38} {figure(row['first'])}  ->  {figure(row['second'])}"


def _worse(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        yield "Groups: none for whom the second does worse"
        return
    yield f"Groups for whom the second does worse: {len(rows)}, of which clearly {sum(row['clear'] for row in rows)}"
    for row in rows[:MOST_GROUPS]:
        who = f"{row['head']}, {row['attribute']} {row['group']} ({row['n']})"
        sure = "" if row["clear"] else "  (the intervals overlap)"
        yield f"  {who:<48} {NAMES[row['figure']]} {figure(row['first'])}  ->  {figure(row['second'])}{sure}"
    if len(rows) > MOST_GROUPS:
        yield f"  and {len(rows) - MOST_GROUPS} more: see --json"


def _ranked(ranked: Mapping[str, Any]) -> Iterator[str]:
    yield f"Who is ranked differently: {ranked['whose']}"
    yield from (_row(row) for row in (ranked["all"], *ranked["by_group"]) if row["n"] is not None)
    hidden = sum(row["n"] is None for row in ranked["by_group"])
    if hidden:
        yield f"  {hidden} groups are too small to show"


def _row(row: Mapping[str, Any]) -> str:
    who = f"{row['attribute']} {row['group']} ({row['n']})"
    other = f"another first {figure(row.get('another_first'), 0, '%')}"
    return f"  {who:<40} {other}, rank correlation {figure(row.get('correlation'))}"


def figure(value: Mapping[str, float] | None, digits: int = 2, sign: str = "f") -> str:
    """A figure with its interval."""
    if value is None:
        return "unknown"
    return f"{value['value']:.{digits}{sign}} ({value['low']:.{digits}{sign}} to {value['high']:.{digits}{sign}})"
