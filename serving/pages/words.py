"""Codes as people say them, rules in plain words, and what the form calls its fields."""

from collections.abc import Mapping

from data.manifest import Rule
from training.audit.words import capital

SHEETS: Mapping[str, str] = {"phq9": "PHQ-9", "gad7": "GAD-7"}
"""Questionnaires on the form."""
LABELS: Mapping[str, str] = {
    "client.client_id": "Pseudonym",
    "client.birth_year": "Year of birth",
    "client.jurisdiction": "Where the client will be during sessions",
    "client.payer": "Who pays",
    "client.languages": "Languages the client can use in therapy",
    "client.interpreter": "Interpreter",
    "client.modalities": "How the client can attend",
    "client.data_use": "What the client agreed to",
    "client.problems": "Main problem",
    "client.care_level": "Level of care",
    "client.availability": "Times the client can attend",
    "exclude_therapists": "Therapists who must not be considered",
    "window.from": "First session no earlier than",
    "window.to": "First session no later than",
    "k": "How many to show",
}
"""Fields of the form, as it calls them."""

RULES: Mapping[Rule, str] = {
    "conflict": "A former therapist, a relative, or somebody else who must not be considered",
    "licence": "No valid licence on record where the client will be",
    "age_group": "Does not see the client's age group",
    "care_level": "Does not offer the level of care",
    "training": "No verified training for a problem that asks for it",
    "payer": "Does not work with this payer",
    "language": "No language in common",
    "modality": "Does not meet in a way the client can attend",
    "must": "Does not have what must be",
    "capacity": "No place free now",
    "slot": "No free time in the days asked for",
}
"""Why somebody is not shown."""

CHECKS: Mapping[Rule, str] = {
    "conflict": "conflicts of interest",
    "licence": "licences",
    "age_group": "age groups",
    "care_level": "levels of care",
    "training": "required training",
    "payer": "payers",
    "language": "languages",
    "modality": "ways of meeting",
    "must": "what must be",
    "capacity": "free places",
    "slot": "free times",
}

HEADS: Mapping[str, str] = {
    "outcome": "Symptoms",
    "alliance": "Working relationship",
    "retention": "Staying to a planned end",
    "early_dropout": "Staying beyond the first sessions",
}

TOPICS: Mapping[str, str] = {
    "gender": "Gender",
    "age_band": "Age",
    "ethnicity": "Ethnicity",
    "language": "Language",
    "faith": "Faith",
    "affirming": "Affirming practice",
    "orientation": "Way of working",
    "modality": "Way of meeting",
    "time": "Time",
    "style": "Style",
}
STRENGTHS: Mapping[str, str] = {
    "prefer": "would like",
    "must": "must have",
    "avoid": "would rather avoid",
    "must_not": "must not have",
}

_AS_SAID: Mapping[str, str] = {
    "ptsd": "PTSD",
    "ocd": "OCD",
    "adhd": "ADHD",
    "cbt": "CBT",
    "dbt": "DBT",
    "emdr": "EMDR",
    "lgbtq": "LGBTQ+",
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
    "am": "morning",
    "pm": "afternoon",
    "eve": "evening",
}
_LANGUAGES: Mapping[str, str] = {
    "ar": "Arabic", "bn": "Bengali", "cy": "Welsh", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "fa": "Persian", "fr": "French", "gu": "Gujarati", "he": "Hebrew", "hi": "Hindi", "it": "Italian",
    "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "pa": "Punjabi", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "so": "Somali", "sv": "Swedish", "ta": "Tamil", "th": "Thai", "tl": "Tagalog",
    "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese", "yue": "Cantonese", "zh": "Chinese",
}  # fmt: skip


def said(code: str) -> str:
    """A code such as `social_anxiety` or `mon_am` as somebody would say it: Social anxiety, Monday morning."""
    return capital(" ".join(_AS_SAID.get(part, part) for part in code.split("_")))


def language(tag: str) -> str:
    """A BCP 47 tag with its English name where it is a common one: `es` is Spanish, `es-MX` is Spanish (es-MX)."""
    first = tag.split("-")[0].lower()
    if first not in _LANGUAGES:
        return tag
    return _LANGUAGES[first] if tag.lower() == first else f"{_LANGUAGES[first]} ({tag})"


def way_of_meeting(code: str | None) -> str:
    """`in_person` within a sentence: in person; nothing where unknown."""
    return "" if code is None else {"in_person": "in person"}.get(code, f"by {code.replace('_', ' ')}")


def label_of(place: str) -> str:
    """What a field of the form is called."""
    name, _, item = place.partition(".")
    if name in SHEETS:
        part = {"0": "total", "taken_on": "day"}.get(item, f"question {item}")
        return f"{SHEETS[name]}, {part}"
    if name == "wish":
        return f"Wish {int(item.split('.')[0]) + 1}"
    return LABELS.get(place, place)
