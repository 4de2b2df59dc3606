"""Therapists: shrunken effects with intervals, exposure, caseloads, and what each may see of themselves."""

from training.audit.document import Finding, Part, Section, Table, Words
from training.audit.examined import Examined
from training.audit.reports import FEWEST_CASES, NOT_FOR, RIGHTS, TherapistReport
from training.audit.therapists import caseload, exposure, reliable, spread
from training.audit.therapists.caseload import Caseloads
from training.audit.therapists.exposure import Shown
from training.audit.therapists.known import Known
from training.audit.therapists.reports import reports
from training.audit.therapists.screening import NO_VERDICT
from training.audit.therapists.words import foretelling

TITLE = "What does it say of therapists?"


def examine(looked_at: Examined) -> tuple[Section, dict[str, TherapistReport]]:
    """The section, and a report for each therapist of the dataset."""
    known = Known.of(looked_at)
    shown = exposure.shown(known)
    found = Caseloads(shown) if shown else None
    table = spread.table(known, shown)
    section = Section(
        id="therapists",
        title=TITLE,
        says=(*_says(known, shown, found), NOT_FOR),
        findings=tuple(_findings(known, shown, found)),
        parts=(*_effects(known, table), *_exposure(shown, found), *_screening(known, table), _rights()),
    )
    return section, reports(known, shown)


def _says(known: Known, shown: Shown | None, found: Caseloads | None) -> list[str]:
    if not known.heads:
        return ["No head of this model ranks therapists, so it says nothing of them."]
    return [
        *(spread.words(known, head) for head in known.heads[:1]),
        f"Nobody's track record is told under {FEWEST_CASES} cases: there the estimate is what the profile foretells.",
        *(exposure.words(shown) if shown else [_no_choice()]),
        *(list(caseload.words(found))[:1] if found else []),
    ]


def _no_choice() -> str:
    return "Whom the ranking would place first cannot be said: no client had a choice of therapists on record."


def _findings(known: Known, shown: Shown | None, found: Caseloads | None) -> list[Finding]:
    said = exposure.findings(shown) if shown else []
    return [*said, *(caseload.findings(found) if found else []), *spread.findings(known)]


def _effects(known: Known, table: Table) -> list[Part]:
    if not known.heads:
        return []
    lines = [spread.words(known, head) for head in known.heads]
    pictures = [picture for head in known.heads if (picture := spread.caterpillar(known, head)) is not None]
    return [
        Words(title="How therapists differ", lines=tuple(lines)),
        *pictures,
        reliable.table(known),
        table,
    ]


def _exposure(shown: Shown | None, found: Caseloads | None) -> list[Part]:
    if shown is None or found is None:
        return [Words(title="Who would be shown, and who comes to whom", lines=(_no_choice(),))]
    return [
        Words(title="Who would be shown", lines=tuple(exposure.words(shown))),
        *exposure.parts(shown),
        Words(title="Who comes to whom", lines=tuple(caseload.words(found))),
        caseload.table(found),
    ]


def _screening(known: Known, table: Table) -> list[Part]:
    """What the profile foretells of those with few cases: by id, without an order and without a cut-off."""
    evaluation, width = known.looked_at.evaluation, 2 + len(known.heads)
    tests = tuple(foretelling(head, evaluation) for head in known.heads)
    words = Words(title="New therapists: what a profile foretells", lines=(NO_VERDICT, *tests))
    new = [row[:width] for row, few in zip(table.rows, known.seen < FEWEST_CASES, strict=True) if few]
    if not new or not known.heads:
        return [words]
    note = "From the profile alone, with 95 % intervals; by id. Cases are not shown of who opted out of learning."
    return [
        words,
        Table(
            id="screening",
            title="What the profiles of new therapists foretell",
            columns=table.columns[:width],
            rows=tuple(new),
            note=note,
        ),
    ]


def _rights() -> Words:
    return Words(title="Therapists' rights", lines=RIGHTS)
