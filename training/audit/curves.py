"""How results change along what matters: features, alliance and adherence, severity, early alliance."""

from training.audit.document import Chart, Section
from training.audit.examined import Examined


def examine(looked_at: Examined) -> tuple[Section, dict[str, Chart]]:
    """The section, and the curve of each important feature for its own page."""
    return Section(id="curves", title="How do results change along what matters?", says=(looked_at.config.name,)), {}
