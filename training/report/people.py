"""Therapists' reports: one as a page, all as a table in the order of the pseudonyms, which is no ranking."""

from collections.abc import Iterator, Mapping, Sequence

from training.audit.document import Cell, Column, Estimate, Section, Table, Words
from training.audit.reports import RIGHTS, Expected, TherapistReport
from training.report.records import day

UNITS: Mapping[str, str] = {"intake_sd": "SD at intake", "points": "points", "probability": "probability"}
NO_RANKING = (
    "One row for each therapist, in the order of their pseudonyms: this is no ranking, and it says nothing about how "
    "well somebody works.",
    "It is not for pay, promotion or dismissal. Each therapist may see their own report, have it put right, object to "
    "it, and opt out of learning.",
)
"""Above any list of therapists."""
_BASIS = {"own_results": "own results", "profile": "profile alone"}


def people_table(reports: Mapping[str, TherapistReport]) -> Table | None:
    """A row for each therapist in the order of their pseudonyms; None where there are none."""
    if not reports:
        return None
    heads = {name: one.unit for report in reports.values() for name, one in report.expected.items()}
    columns = [
        Column(name="therapist_id", label="Therapist"),
        Column(name="cases", label="Past cases"),
        Column(name="basis", label="Rests on"),
        *(Column(name=head, label=f"Expected {head}", unit=UNITS.get(unit, unit)) for head, unit in heads.items()),
        Column(name="severity", label="Severity of clients", unit="SD"),
        Column(name="offered", label="Was available to"),
        Column(name="first", label="Stood first for"),
        Column(name="seen", label="Was seen by"),
    ]
    return Table(
        id="therapists",
        title="All therapists, by pseudonym",
        columns=tuple(columns),
        rows=tuple(_row(reports[name], list(heads)) for name in sorted(reports)),
        pages=tuple(f"therapist/{name}" for name in sorted(reports)),
        note="Expected: against the average therapist, who is 0, with the 95 % interval; higher is better. Two whose "
        "intervals overlap cannot be told apart. A dash: too few people, or nothing known.",
    )


def person(report: TherapistReport) -> Section:
    """A therapist's own report as a page."""
    expected = [_expected(report.expected)] if report.expected else []
    return Section(
        id=report.therapist_id,
        title=f"Report for {report.therapist_id}",
        says=report.words or (f"The model knows nothing of {report.therapist_id} but the profile.",),
        parts=(*expected, *_counted(report), *_profile(report), Words(title="Your rights", lines=RIGHTS)),
    )


def _row(report: TherapistReport, heads: Sequence[str]) -> tuple[Cell, ...]:
    found = {name: Estimate(value=one.value, low=one.low, high=one.high) for name, one in report.expected.items()}
    exposure = report.exposure
    return (
        report.therapist_id,
        report.cases,
        "opted out of learning" if report.learning_opt_out else _BASIS[report.basis],
        *(found.get(head) for head in heads),
        report.caseload.severity if report.caseload else None,
        *((exposure.offered, exposure.first, exposure.seen) if exposure else (None, None, None)),
    )


def _expected(by_head: Mapping[str, Expected]) -> Table:
    columns = (
        Column(name="head", label="Of what"),
        Column(name="of", label="With whom"),
        Column(name="expected", label="Expected, against the average therapist"),
        Column(name="unit", label="In"),
        Column(name="cases", label="Own cases behind it"),
    )
    rows = tuple(row for head, one in by_head.items() for row in _of_head(head, one))
    note = "Higher is better. The interval holds the true value 95 times in 100."
    return Table(id="expected", title="What is expected, and how sure that is", columns=columns, rows=rows, note=note)


def _of_head(head: str, one: Expected) -> Iterator[tuple[Cell, ...]]:
    """With all clients, then with those of one kind."""
    unit = UNITS.get(one.unit, one.unit)
    yield head, "all clients", Estimate(value=one.value, low=one.low, high=one.high), unit, one.cases
    for kind, (cases, value, low, high) in one.by_kind.items():
        said = kind.partition(".")[2].replace("_", " ")
        yield head, said, Estimate(value=value, low=low, high=high), unit, cases


def _counted(report: TherapistReport) -> list[Table]:
    """Who comes to them, and how often the ranking would have shown them."""
    rows: list[tuple[Cell, ...]] = []
    if report.caseload:
        load = report.caseload
        rows += [
            ("Clients", load.clients),
            ("Mean severity at intake, in SD from the mean of all clients", load.severity),
            ("Share of those asked who reported thoughts of self-harm", load.risk_share),
        ]
    if report.exposure:
        seen = report.exposure
        rows += [
            ("Clients of the test to whom they were available", seen.offered),
            ("Stood first for", seen.first),
            ("Stood among the first five for", seen.first_five),
            ("Were seen by", seen.seen),
        ]
    columns = (Column(name="what", label="What"), Column(name="value", label="Figure"))
    note = "A dash: fewer than 10 people are behind it."
    title = "Who comes, and how often the ranking would have shown them"
    return [Table(id="caseload", title=title, columns=columns, rows=tuple(rows), note=note)] if rows else []


def _profile(report: TherapistReport) -> list[Table]:
    if not report.profile:
        return []
    columns = (Column(name="what", label="What"), Column(name="value", label="On record"))
    rows = tuple((name.replace("_", " "), said or None) for name, said in report.profile.items())
    known = "" if report.profile_updated_on is None else f"Updated on {day(report.profile_updated_on)}. "
    note = f"{known}A dash: not on record. Anything wrong here can be put right."
    return [Table(id="profile", title="The profile that the model reads", columns=columns, rows=rows, note=note)]
