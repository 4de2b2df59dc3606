"""Therapists' reports as a table of all: no ranking, the order is that of the pseudonyms."""

from collections.abc import Mapping

from training.audit.document import Column, Table
from training.audit.reports import TherapistReport


def people_table(reports: Mapping[str, TherapistReport]) -> Table | None:
    """A row for each therapist in the order of their pseudonyms; None where there are none."""
    if not reports:
        return None
    names = sorted(reports)
    return Table(
        id="therapists",
        title="All therapists",
        columns=(Column(name="therapist_id", label="Therapist"),),
        rows=tuple((name,) for name in names),
        pages=tuple(f"therapist/{name}" for name in names),
    )
