"""What a therapist's profile says on the day. Age, gender, ethnicity and faith are kept for audits only."""

import numpy as np

from features.columns import Columns, Floats
from features.feature import Feature, RowBuilder, code_of, number_of, words_of


def years_practising(rows: Columns) -> Floats:
    """Years from the start of practice to the year of the match, never below 0."""
    return np.maximum(rows.number("year") - rows.number("practising_since"), 0.0)


def _therapist(name: str, meaning: str, build: RowBuilder) -> Feature:
    return Feature(name, meaning, "therapist", build)


FEATURES = (
    _therapist(
        "interpersonal_skill", "interpersonal skill as rated by clients or observers", number_of("interpersonal_skill")
    ),
    _therapist("years_practising", "years in practice", years_practising),
    _therapist("orientation", "theoretical orientation", code_of("orientation")),
    _therapist("qualification", "a qualification the therapist holds", words_of("qualifications")),
    _therapist(
        "specialty_count",
        "how many problems the therapist says they work with",
        lambda rows: rows.set("specialties").sizes(),
    ),
    _therapist(
        "training_count",
        "how many problems the therapist has verified training for",
        lambda rows: rows.set("trained_for").sizes(),
    ),
    _therapist("language_count", "how many languages the therapist offers", lambda rows: rows.set("languages").sizes()),
    _therapist("directiveness", "how directive the therapist's style is", number_of("style_directiveness")),
    _therapist("expressiveness", "how expressive the therapist's style is", number_of("style_expressiveness")),
    _therapist("homework", "how much work between sessions the therapist gives", number_of("style_homework")),
    _therapist("therapist_age", "the therapist's age", lambda rows: rows.number("year") - rows.number("birth_year")),
    _therapist("therapist_gender", "the therapist's gender", code_of("gender")),
    _therapist("therapist_ethnicity", "the therapist's ethnicity", code_of("ethnicity")),
    _therapist("therapist_faith", "the therapist's faith", code_of("faith")),
)
