"""For whom it works less well: error, calibration, gain, exposure, abstention and wait by group of clients."""

from training.audit.document import Section
from training.audit.examined import Examined


def examine(looked_at: Examined) -> tuple[Section, dict[str, Section]]:
    """The section, and a page for each attribute by which clients are grouped."""
    pages = {name: Section(id=name, title=name, says=()) for name in looked_at.groups}
    return Section(id="groups", title="For whom does it work less well?", says=()), pages
