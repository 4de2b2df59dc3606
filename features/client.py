"""What is known of the client at the match. These features inform the prognosis; they do not rank therapists."""

from features.columns import Columns, Floats
from features.feature import Feature, RowBuilder, code_of, number_of, words_of


def age(rows: Columns) -> Floats:
    """Age in the year of the match, give or take one: only the birth year is held."""
    return rows.number("year") - rows.number("birth_year")


def _client(name: str, meaning: str, build: RowBuilder) -> Feature:
    return Feature(name, meaning, "client", build)


FEATURES = (
    _client(
        "severity",
        "how severe the symptoms were at intake, as a share of the questionnaires' range",
        number_of("severity"),
    ),
    _client("phq9_intake", "depression at intake (PHQ-9 total)", number_of("phq9.0")),
    _client("gad7_intake", "anxiety at intake (GAD-7 total)", number_of("gad7.0")),
    _client("wsas_intake", "difficulty in daily life at intake (WSAS)", number_of("wsas.0")),
    _client("core10_intake", "general distress at intake (CORE-10)", number_of("core10.0")),
    _client("sleep_intake", "trouble sleeping at intake (PHQ-9 item 3)", number_of("phq9.3")),
    _client("irritability_intake", "irritability at intake (GAD-7 item 6)", number_of("gad7.6")),
    _client("age", "the client's age", age),
    _client("client_gender", "the client's gender", code_of("gender")),
    _client("client_ethnicity", "the client's ethnicity", code_of("ethnicity")),
    _client(
        "client_languages",
        "how many languages the client can use in therapy",
        lambda rows: rows.set("languages").sizes(),
    ),
    _client("interpreter", "an interpreter will be there", number_of("interpreter")),
    _client("main_problem", "the problem given first", lambda rows: rows.set("problems").first_codes()),
    _client("problem", "a problem the client seeks help with", words_of("problems")),
    _client("problem_count", "how many problems were given", lambda rows: rows.set("problems").sizes()),
    _client("care_level", "the level of care needed", code_of("care_level")),
    _client("prior_episodes", "courses of therapy before this one", number_of("prior_episodes")),
    _client("expectancy", "how much the client expects therapy to help", number_of("expectancy")),
    _client("motivation", "the client's motivation", number_of("motivation")),
    _client("social_support", "support from people around the client", number_of("social_support")),
    _client("employment", "the client's employment", code_of("employment")),
    _client("deprivation_decile", "deprivation of the area the client lives in", number_of("deprivation_decile")),
    _client("long_term_condition", "a long-term physical condition", number_of("long_term_condition")),
    _client("disability", "a disability", number_of("disability")),
    _client("sexual_orientation", "the client's sexual orientation", code_of("sexual_orientation")),
    _client("payer", "who pays", code_of("payer")),
    _client("wants_directiveness", "how directive a therapist the client wants", number_of("style_directiveness")),
    _client("wants_expressiveness", "how expressive a therapist the client wants", number_of("style_expressiveness")),
    _client("wants_homework", "how much work between sessions the client wants", number_of("style_homework")),
)
