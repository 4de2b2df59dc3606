"""What an evaluation found, in plain lines: the same sentences for the command line and the model card."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

REGIMES = ("free choice", "available slots", "full caseloads")
NAMES = {
    "model": "this model",
    "therapist_mean": "a shrunken therapist mean",
    "therapist_severity_problem": "therapist mean, severity and problem",
    "preferences_only": "preferences only",
    "top_rule": "the rule of strengths by domain",
    "neighbours": "nearest neighbours",
    "one_model": "one boosted model",
}
"""Ways to choose, in the order in which they are told."""


def head_lines(name: str, head: Mapping[str, Any]) -> Iterator[str]:
    """Whether the head's predictions and ranks came true, a line each; nothing where it was not tested."""
    if "calibration" not in head:
        return
    slope = head["calibration"]["slope"]
    if slope is not None:
        yield f"{name}: results rose by {_rise(slope)} for every 1 predicted"
    inside = head["intervals"]["coverage"]
    if head["intervals"]["kind"] == "conformal":
        held = " and ".join(f"{one['covered']:.1%} inside {level} % intervals" for level, one in inside.items())
        yield f"{name}: of {inside['80']['n']} results {held}"
    if "slope" in head.get("therapists_held_out", {}):
        found = head["therapists_held_out"]
        said = f"{name}: with {found['therapists']} therapists held out, results rose by {_rise(found['slope'])}"
        yield f"{said} for every 1 that their profile foretold"
    yield from _steps(name, head["dose_response"])


def _rise(slope: Mapping[str, float]) -> str:
    return f"{slope['value']:.2f} ({slope['low']:.2f} to {slope['high']:.2f})"


def _steps(name: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(rows) < 2:
        return
    low, high = rows[0], rows[-1]
    yield (
        f"{name}: where the therapist seen ranked lowest, results were {low['mean']['value']:+.2f} SD from the "
        f"prognosis (n = {low['n']}); where highest, {high['mean']['value']:+.2f} (n = {high['n']})"
    )


def regime_lines(utility: Mapping[str, Any]) -> Iterator[str]:
    """What came true of each way to choose, under the three regimes, with all who were offered."""
    rows = [row for row in utility.get("regimes", []) if row["eligible"] == "all"]
    for regime in REGIMES:
        mine = {row["policy"]: row for row in rows if row["regime"] == regime}
        if "model" in mine:
            gain, others = mine["model"]["gain"], {n: r for n, r in mine.items() if n != "model"}
            beside = max(others, key=lambda name: others[name]["gain"]["value"], default=None)
            best = f"; next best {NAMES[beside]} {others[beside]['gain']['value']:+.3f}" if beside else ""
            claim = f"of {mine['model']['claimed']:+.3f} claimed"
            yield f"{regime}: {gain['value']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f}) SD {claim}{best}"


def group_lines(name: str, head: Mapping[str, Any]) -> Iterator[str]:
    """The group for whom the head's predictions were furthest off, with its interval."""
    rows = [row for row in head.get("groups", []) if row["n"] is not None and row["n"] >= 100 and "bias" in row]
    if rows:
        worst = max(rows, key=lambda row: abs(row["bias"]["value"]))
        bias, who = worst["bias"], f"{worst['attribute']} {worst['group']} (n = {worst['n']})"
        yield (
            f"{name}: of {len(rows)} groups of 100 or more the furthest off is {who}: "
            f"observed less predicted {bias['value']:+.2f} ({bias['low']:+.2f} to {bias['high']:+.2f}) SD"
        )


def off_policy_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What the log of choices says policies would have brought, and the smallest gain it could have shown."""
    for name, head in found.get("heads", {}).items():
        if "policies" not in head:
            yield f"{name}: {head['note']}"
            continue
        for policy, words in (("top_tenth", "the top tenth of those available"), ("argmax", "the first choice")):
            gain = head["policies"][policy]["gain"]
            if isinstance(gain, Mapping):
                said = f"{gain['value']:+.3f} SD ({gain['low']:+.3f} to {gain['high']:+.3f}, 90 %)"
            else:
                said = str(gain)
            yield f"{name}: sending to {words}, valued from past choices, over next available: {said}"
        yield f"{name}: {head['power']['words']}"
