"""What the test found, in words: gains, controls that must fail, off-policy values, limits."""

from training.audit.document import Section
from training.audit.examined import Examined


def section(looked_at: Examined) -> Section:
    """The section."""
    return Section(id="evaluation", title="Does it work, and how sure are we?", says=(looked_at.config.name,))
