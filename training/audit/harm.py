"""Whether anyone was harmed and anything missed: deterioration, dropout, declined matches, safety holds."""

from training.audit.document import Section
from training.audit.examined import Examined


def section(looked_at: Examined) -> Section:
    """The section."""
    return Section(id="harm", title="Was anyone harmed, was anything missed?", says=(looked_at.config.name,))
