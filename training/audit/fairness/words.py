"""Groups of clients and heads in words."""

from training.audit.fairness.cells import EVERYONE
from training.audit.therapists.words import head_label
from training.bands import UNKNOWN

ATTRIBUTES = {
    "gender": "gender",
    "age_band": "age",
    "ethnicity": "ethnicity",
    "language": "first language",
    "payer": "payer",
    "deprivation": "deprivation of the area, 1 the most deprived",
    "severity_band": "severity at intake",
    "problem": "main problem",
    "disability": "disability",
    "sexual_orientation": "sexual orientation",
}
SHORT = {"deprivation": "deprivation"}
HEADS = {"utility": "all results together, as they are weighed (utility)"}


def attribute_words(name: str) -> str:
    """An attribute as people call it."""
    return ATTRIBUTES.get(name, name.replace("_", " "))


def short_words(name: str) -> str:
    """An attribute in one or two words."""
    return SHORT.get(name, attribute_words(name))


def group_words(group: str) -> str:
    """A group as people call it."""
    return "not on record" if group == UNKNOWN else group.replace("_", " ")


def named(name: tuple[str, str]) -> str:
    """A group with its attribute: ethnicity black."""
    attribute, group = name
    if name == EVERYONE:
        return "everyone"
    return f"{short_words(attribute)} {group_words(group)}"


def head_words(name: str) -> str:
    """A head, or the utility, inside a sentence."""
    found = HEADS.get(name, head_label(name))
    return found[0].lower() + found[1:]
