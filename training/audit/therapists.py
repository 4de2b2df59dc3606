"""Therapists: shrunken effects with intervals, exposure, caseloads, and what each may see of themselves."""

from training.audit.document import Section
from training.audit.examined import Examined
from training.audit.reports import TherapistReport


def examine(looked_at: Examined) -> tuple[Section, dict[str, TherapistReport]]:
    """The section, and a report for each therapist whom the bundle knows."""
    reports = {one: TherapistReport(therapist_id=one) for one in looked_at.bundle.records.ids}
    return Section(id="therapists", title="What does it say of therapists?", says=()), reports
