"""The one set of templates for both doors: how a section, a table, a picture and a finding look."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

import jinja2

from training.audit.document import Chart, Finding, Level, Table
from training.report.cells import is_number, minus, shown

HERE = Path(__file__).parent
TEMPLATES, STATIC = HERE / "templates", HERE / "static"

LEVELS: Mapping[Level, str] = {
    "stop": "Mend first",
    "look": "Please look",
    "note": "Good to know",
    "fine": "As it should be",
}
"""What a finding asks of its reader, the most urgent first."""


class Door(Protocol):
    """Where things lead: the file has everything in it, the service's pages are apart."""

    def href(self, page: str) -> str | None:
        """Address of a page such as `feature/NAME`; None for one that there is not."""

    def picture(self, page: str, chart: Chart) -> str:
        """The `src` of a picture, safe between double quotes."""

    def data(self, page: str, part: Table | Chart) -> str:
        """Address of the data as CSV, safe between double quotes."""


def by_level(findings: Sequence[Finding]) -> list[tuple[Level, list[Finding]]]:
    """Findings apart by what they ask of a reader, the most urgent first; levels without any are left out."""
    apart = [(level, [one for one in findings if one.level == level]) for level in LEVELS]
    return [(level, found) for level, found in apart if found]


def anchor(page: str) -> str:
    """The page's id within a file: `feature/wishes_met` is `feature.wishes_met`."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "." for letter in page)


def dress(environment: jinja2.Environment) -> jinja2.Environment:
    """Gives an environment what the shared templates need."""
    environment.filters.update(shown=shown, anchor=anchor, minus=minus)
    environment.tests.update(number=is_number)
    environment.globals.update(LEVELS=LEVELS, by_level=by_level)
    return environment


@cache
def environment() -> jinja2.Environment:
    """The environment of the file."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return dress(made)
