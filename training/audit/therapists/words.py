"""Sentences about therapists: calm, with intervals, and no verdict on anyone. Light: workers import it."""

from collections.abc import Container, Iterator, Mapping
from typing import Any

from training.audit.reports import FEWEST_CASES, NOT_FOR, Caseload, Expected, Exposure, TherapistReport

HEADS = {
    "outcome": "Improvement",
    "alliance": "Alliance as clients rate it",
    "retention": "Staying to the planned end",
    "early_dropout": "Not dropping out early",
}
UNITS = {"intake_sd": "SD at intake", "points": "points", "probability": "percentage points"}
PROFILE = "what is shown is what the profile foretells"
TOO_FEW = f"fewer than {FEWEST_CASES} cases: {PROFILE}"
FEW_RESULTS = f"fewer than {FEWEST_CASES} cases with a known result: {PROFILE}"
OPTED_OUT = f"opted out of learning: own cases are not used, {PROFILE}"


def head_label(name: str) -> str:
    """A head in words."""
    return HEADS.get(name, name.replace("_", " "))


def amount(value: float, unit: str) -> str:
    """A difference as people read it, without its unit."""
    if unit == "probability":
        return f"{round(100 * value, 1) + 0.0:+.1f}"
    return f"{round(value, 2) + 0.0:+.2f}"  # + 0.0 takes the sign off a 0


def span(one: Expected) -> str:
    """A difference with its unit and interval."""
    ends = f"{amount(one.low, one.unit)} to {amount(one.high, one.unit)}"
    return f"{amount(one.value, one.unit)} {UNITS[one.unit]} beside the average therapist (95 % interval {ends})"


def reaches_zero(low: float, high: float) -> bool:
    """Whether no difference can be told."""
    return low <= 0 <= high


def report_lines(report: TherapistReport, clients: int | None = None, unlearned: Container[str] = ()) -> Iterator[str]:
    """A therapist's report in sentences.

    `clients` is how many had a choice in the test block; in `unlearned` heads nobody's own results count.
    """
    yield _known_line(report)
    for head, one in report.expected.items():
        yield f"{head_label(head)}: {span(one)}; {_behind(one, report, head in unlearned)}.{_told(one)}"
    yield from _kinds_line(report.expected)
    if report.caseload is not None:
        yield from _caseload_lines(report.caseload)
    if report.exposure is not None and clients:
        yield _exposure_line(report.exposure, clients)
    yield _profile_line(report)
    yield NOT_FOR


def _known_line(report: TherapistReport) -> str:
    until = f" up to {report.as_of}" if report.as_of else ""
    if report.learning_opt_out and report.cases:
        return (
            f"You opted out of learning. The model of today was learned before that and knows {report.cases} of your "
            f"cases; the next one will not. Here {PROFILE}."
        )
    if report.learning_opt_out:
        return f"You opted out of learning: your own cases are not used, {PROFILE}."
    if report.cases is None:
        return "How many of your cases the model knows cannot be said: its data have no dates."
    return f"The model knows {report.cases or 'none'} of your cases{until}."


def _told(one: Expected) -> str:
    return " No difference can be told." if reaches_zero(one.low, one.high) else ""


def _behind(one: Expected, report: TherapistReport, unlearned: bool) -> str:
    if one.cases:
        return f"from {one.cases} of your results"
    if report.learning_opt_out or unlearned or report.cases is None:
        return PROFILE
    return TOO_FEW if report.cases < FEWEST_CASES else FEW_RESULTS


def _kinds_line(expected: Mapping[str, Expected]) -> Iterator[str]:
    """Only of the first head: the numbers of all are there."""
    for head, one in list(expected.items())[:1]:
        if one.by_kind:
            kinds = ", ".join(f"{_kind(of)} {amount(told[1], one.unit)}" for of, told in one.by_kind.items())
            yield f"{head_label(head)} by kind of client, from {FEWEST_CASES} results on: {kinds}."


def _kind(of: str) -> str:
    return of.partition(".")[2].replace("_", " ")


def _caseload_lines(mix: Caseload) -> Iterator[str]:
    if mix.severity is not None:
        yield f"Your clients' severity at intake lies {mix.severity:+.2f} SD from the mean of all clients."
    if mix.risk_share is not None:
        yield f"Of your clients who were asked, {mix.risk_share:.0%} reported thoughts of self-harm at intake."


def _exposure_line(one: Exposure, clients: int) -> str:
    seen = "" if one.seen is None else f" and {one.seen} did"
    return (
        f"Of {clients} clients who were looked back at, {one.offered} could have seen you{seen}; the ranking would "
        f"have placed you first for {one.first} and among the first five for {one.first_five}."
    )


def _profile_line(report: TherapistReport) -> str:
    missing = [name for name, value in report.profile.items() if not value]
    updated = f", updated on {report.profile_updated_on}" if report.profile_updated_on else ""
    lacks = f"; not on record: {', '.join(missing)}" if missing else ""
    return f"Your profile has {len(report.profile) - len(missing)} of {len(report.profile)} facts{updated}{lacks}."


def foretelling(head: str, evaluation: Mapping[str, Any]) -> str:
    """What the test with therapists held out says of how well a profile foretells results."""
    found = evaluation.get("heads", {}).get(head, {}).get("therapists_held_out") or {}
    if "slope" not in found:
        why = found.get("note", "not tested")
        return f"{head_label(head)}: how well a profile foretells results is not known ({why})."
    slope, gain = found["slope"], found["r2_gain"]
    sure = "it foretells something" if slope["low"] > 0 else "whether it foretells anything cannot be told"
    return (
        f"{head_label(head)}: with {found['therapists']} therapists held out, results rose by {slope['value']:.2f} "
        f"({slope['low']:.2f} to {slope['high']:.2f}) for every 1 that the profile foretold, and the profile explained "
        f"{100 * gain['value']:+.1f} % more of the differences ({100 * gain['low']:+.1f} to "
        f"{100 * gain['high']:+.1f}): {sure}."
    )
