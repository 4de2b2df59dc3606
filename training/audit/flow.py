"""Whose data this is: from referral to use, who is lost where, whom the model has not seen."""

from training.audit.document import Section
from training.audit.examined import Examined


def section(looked_at: Examined) -> Section:
    """The section."""
    return Section(id="data", title="Whose data is this?", says=(looked_at.config.name,))
