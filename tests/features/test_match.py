"""Each match, track, client and therapist feature on an example anyone can check by hand."""

from typing import Any

import numpy as np
import pytest

from features.catalog import CATALOG, PAIR_FEATURES, ROW_FEATURES
from features.columns import Columns, Pairs
from features.feature import Feature, PairFeature
from features.rows import client_columns, therapist_columns

UNKNOWN = np.nan
SEVERITY = {"phq9.0": (0.0, 27.0), "gad7.0": (0.0, 21.0)}
CLIENT = {
    "problems": "anxiety|sleep",
    "style_directiveness": 0.8,
    "style_expressiveness": 0.2,
    "style_homework": 0.5,
    "expectancy": 0.75,
    "social_support": 0.4,
    "motivation": 0.25,
    "phq9.0": 27,
    "gad7.0": 21,
    "prefer.gender": "woman",
    "prefer.language": "cy",
    "avoid.modality": "phone",
}
THERAPIST = {
    "trained_for": "sleep|ptsd",
    "specialties": "anxiety|sleep|ptsd",
    "gender": "woman",
    "languages": "en",
    "modalities": "phone|video",
    "style_directiveness": 0.7,
    "style_expressiveness": 0.6,
    "style_homework": 0.9,
    "interpersonal_skill": -1.0,
    "practising_since": 2014,
}
TRACK = {"cases": [9.0], "days_since_last_case": [365.25], "cases_with.anxiety": [3.0], "cases_with.sleep": [0.0]}
BY_HAND = {
    "main_problem_trained": 0.0,  # anxiety, but trained for sleep and ptsd
    "main_problem_specialty": 1.0,
    "problems_trained": 0.5,
    "problems_specialty": 1.0,
    "wishes_met": 0.5,  # a woman, but no Welsh
    "dislikes_hit": 1.0,
    "directiveness_gap": 0.1,
    "expressiveness_gap": 0.4,
    "homework_gap": 0.4,
    "severity_x_skill": -0.5,  # severity: (27/27 + 21/21) / 2, half a range above the middle
    "severity_x_years": 5.0,
    "expectancy_x_directiveness": 0.05,  # (.75 - .5) (.7 - .5)
    "support_x_expressiveness": -0.01,
    "motivation_x_homework": -0.1,
    "cases": np.log(10),
    "cases_with_problem": np.log(4),
    "recency": 1.0,
}


def client(**row: Any) -> Columns:
    return client_columns({name: [value] for name, value in row.items()}, 1, np.array([2024.0]), SEVERITY)


def therapist(track: dict[str, list[float]] = TRACK, **row: Any) -> Columns:
    counts = {name: np.array(values) for name, values in track.items()}
    return therapist_columns({name: [value] for name, value in row.items()}, 1, np.array([2024.0]), counts)


def of_pair(name: str, one: Columns, other: Columns) -> float:
    feature = CATALOG[name]
    assert isinstance(feature, PairFeature)
    return float(feature.build(one, other, Pairs.each(1))[0])


@pytest.mark.parametrize(("name", "value"), BY_HAND.items(), ids=BY_HAND)
def test_a_feature_of_a_pair_is_what_one_computes_by_hand(name: str, value: float):
    assert of_pair(name, client(**CLIENT), therapist(**THERAPIST)) == pytest.approx(value)


def test_every_feature_of_a_pair_has_an_example():
    assert set(BY_HAND) == {feature.name for feature in PAIR_FEATURES}


NOTHING_ASKED = {"wishes_met": 0.0, "dislikes_hit": 0.0}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_feature_of_a_pair_is_unknown_where_either_side_is_unknown(name: str):
    without_client = of_pair(name, client(), therapist(**THERAPIST))
    without_therapist = of_pair(name, client(**CLIENT), therapist({}))
    about_client = {} if name not in ("cases", "recency") else {name: BY_HAND[name]}
    assert without_client == pytest.approx((NOTHING_ASKED | about_client).get(name, UNKNOWN), nan_ok=True)
    assert without_therapist == pytest.approx(NOTHING_ASKED.get(name, UNKNOWN), nan_ok=True)


def test_a_therapist_without_cases_has_none_and_no_recency():
    new = therapist({"cases": [0.0], "days_since_last_case": [UNKNOWN]})
    assert of_pair("cases", client(), new) == 0.0
    assert np.isnan(of_pair("recency", client(), new))


def test_recency_stops_at_three_years():
    assert of_pair("recency", client(), therapist({"days_since_last_case": [4000.0]})) == 3.0


def test_a_problem_whose_cases_are_not_counted_is_unknown_not_zero():
    assert np.isnan(of_pair("cases_with_problem", client(problems="psychosis"), therapist()))


def test_severity_is_the_mean_over_the_questionnaires_given():
    def severity(**row: Any) -> float:
        return float(client(**row).number("severity")[0])

    assert severity(**{"phq9.0": 27, "gad7.0": 0}) == 0.5
    assert severity(**{"gad7.0": 7}) == pytest.approx(1 / 3)
    assert np.isnan(severity())


def of_row(name: str, rows: Columns) -> Any:
    feature = CATALOG[name]
    assert isinstance(feature, Feature)
    return feature.build(rows)


def test_ages_and_years_are_counted_to_the_year_of_the_match():
    assert of_row("age", client(birth_year=1984)).tolist() == [40]
    assert of_row("therapist_age", therapist(birth_year=1974)).tolist() == [50]
    assert of_row("years_practising", therapist(practising_since=2014)).tolist() == [10]
    assert of_row("years_practising", therapist(practising_since=2025)).tolist() == [0]
    assert np.isnan(of_row("years_practising", therapist())).all()


def test_counts_of_words_are_unknown_where_none_is_on_record():
    assert of_row("problem_count", client(problems="anxiety|sleep")).tolist() == [2]
    assert np.isnan(of_row("problem_count", client())).all()
    assert of_row("language_count", therapist(languages="en|cy")).tolist() == [2]


def test_the_main_problem_is_the_one_given_first():
    codes = of_row("main_problem", client(problems="sleep|anxiety"))
    assert codes.vocabulary[codes.index[0]] == "sleep"


NUMBERS = {
    "phq9_intake": "phq9.0",
    "gad7_intake": "gad7.0",
    "wsas_intake": "wsas.0",
    "core10_intake": "core10.0",
    "sleep_intake": "phq9.3",
    "irritability_intake": "gad7.6",
    "interpreter": "interpreter",
    "prior_episodes": "prior_episodes",
    "expectancy": "expectancy",
    "motivation": "motivation",
    "social_support": "social_support",
    "deprivation_decile": "deprivation_decile",
    "long_term_condition": "long_term_condition",
    "disability": "disability",
    "wants_directiveness": "style_directiveness",
    "wants_expressiveness": "style_expressiveness",
    "wants_homework": "style_homework",
    "interpersonal_skill": "interpersonal_skill",
    "directiveness": "style_directiveness",
    "expressiveness": "style_expressiveness",
    "homework": "style_homework",
}


@pytest.mark.parametrize(("name", "column"), NUMBERS.items(), ids=NUMBERS)
def test_a_number_is_taken_from_its_own_column(name: str, column: str):
    rows = client(**{column: 1}) if CATALOG[name].group == "client" else therapist(**{column: 1})
    assert of_row(name, rows).tolist() == [1]


CODES = {"client_gender": "gender", "client_ethnicity": "ethnicity", "care_level": "care_level"}
CODES |= {"employment": "employment", "sexual_orientation": "sexual_orientation", "payer": "payer"}
CODES |= {"orientation": "orientation", "therapist_gender": "gender", "therapist_ethnicity": "ethnicity"}
CODES |= {"therapist_faith": "faith", "problem": "problems", "qualification": "qualifications"}


@pytest.mark.parametrize(("name", "column"), CODES.items(), ids=CODES)
def test_a_code_is_taken_from_its_own_column(name: str, column: str):
    rows = client(**{column: "x"}) if CATALOG[name].group == "client" else therapist(**{column: "x"})
    assert of_row(name, rows).vocabulary == ("x",)


def test_every_feature_of_a_row_has_an_example():
    counted = {"severity", "age", "therapist_age", "years_practising", "main_problem", "problem_count"}
    counted |= {"client_languages", "language_count", "specialty_count", "training_count"}
    assert {feature.name for feature in ROW_FEATURES} == counted | set(NUMBERS) | set(CODES)
