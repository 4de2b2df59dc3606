"""The audit as one file: it stands alone, loads nothing, runs nothing, and prints."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from data.decisions import Decision
from training.audit.document import Audit, Chart, Section, Table
from training.report.cells import csv_of
from training.report.drawings import data_uri
from training.report.people import NO_RANKING, people_table
from training.report.records import day, decisions_table, facts
from training.report.rendering import STATIC, anchor, environment


@dataclass(frozen=True)
class _File:
    """Everything is further up or down."""

    pages: frozenset[str]

    def href(self, page: str) -> str | None:
        return f"#{quote(anchor(page))}" if page in self.pages else None

    def picture(self, _page: str, chart: Chart) -> str:
        return data_uri(chart.svg)

    def data(self, _page: str, part: Table | Chart) -> str:
        return f"data:text/csv;charset=utf-8,{quote(csv_of(part), safe=_PLAIN)}"


_PLAIN = " ,.;:!?/()[]=+*_-|"
"""Letters that may stand in the address of data between double quotes as they are."""


def file_of(
    audit: Audit,
    extra_sections: Sequence[Section] = (),
    decisions: Sequence[Decision] | None = None,
    evidence_hash: str = "",
) -> str:
    """The whole audit as one HTML document; `extra_sections` follow those of the audit.

    `decisions` are those on record about the bundle; None where no database was asked.
    """
    sections = (*audit.sections, *extra_sections)
    people = people_table(audit.therapists)
    return (
        environment()
        .get_template("file.html")
        .render(
            audit=audit,
            sections=sections,
            people=people,
            no_ranking=NO_RANKING,
            decisions=None if decisions is None else decisions_table(decisions),
            facts=facts(audit, evidence_hash),
            evidence_hash=evidence_hash,
            door=_File(_pages(audit, sections)),
            style="".join((STATIC / name).read_text() for name in ("parts.css", "file.css")),
            day=_day,
        )
    )


def _pages(audit: Audit, sections: Sequence[Section]) -> frozenset[str]:
    kinds = {
        "section": [one.id for one in sections],
        "feature": audit.features,
        "group": audit.groups,
        "therapist": audit.therapists,
    }
    return frozenset(f"{kind}/{name}" for kind, names in kinds.items() for name in names)


def _day(moment: dt.datetime) -> str:
    return day(moment)
