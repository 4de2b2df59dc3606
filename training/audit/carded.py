"""The model card as a part of the audit."""

from training.audit.document import Section
from training.audit.examined import Examined


def section(looked_at: Examined) -> Section:
    """The section."""
    return Section(id="card", title="What is this model, and what is it for?", says=(looked_at.config.name,))
