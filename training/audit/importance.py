"""What drives the ranking, and what the prognosis: importance by feature and by group, apart from each other."""

from training.audit.document import Section
from training.audit.examined import Examined
from training.audit.importances import Importance


def examine(looked_at: Examined) -> tuple[Section, Importance, dict[str, Section]]:
    """The section, the numbers for programs, and a page for each feature of the bundle."""
    pages = {name: Section(id=name, title=name, says=()) for name in looked_at.bundle.features.words}
    return Section(id="importance", title="What drives the ranking?", says=()), Importance(), pages
