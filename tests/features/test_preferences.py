"""Whether a therapist has what a client asked for, topic by topic."""

from typing import Any

import numpy as np
import pytest

from data.tables import PREFERENCE_TOPICS
from features.columns import Columns, Pairs
from features.preferences import TOPICS, met, wanted, widen, wish_kinds
from features.rows import CLIENT_KINDS, therapist_columns

KINDS = CLIENT_KINDS
YES, NO, OPEN = 1.0, 0.0, np.nan


def clients(*rows: dict[str, str]) -> Columns:
    names = {name for row in rows for name in row}
    return Columns.of({name: [row.get(name) for row in rows] for name in names}, KINDS, len(rows))


def therapists(*rows: dict[str, Any]) -> Columns:
    names = {name for row in rows for name in row}
    table = {name: [row.get(name) for row in rows] for name in names}
    return therapist_columns(table, len(rows), np.full(len(rows), 2024.0), {})


CASES = [
    ("gender", "woman", {"gender": "woman"}, {"gender": "man"}),
    ("ethnicity", "black", {"ethnicity": "black"}, {"ethnicity": "white"}),
    ("faith", "muslim", {"faith": "muslim"}, {"faith": "none"}),
    ("orientation", "cbt", {"orientation": "cbt"}, {"orientation": "systemic"}),
    ("language", "cy", {"languages": "en|cy"}, {"languages": "en"}),
    ("affirming", "lgbtq", {"affirming": "lgbtq"}, {"affirming": "neurodivergent"}),
    ("modality", "video", {"modalities": "phone|video"}, {"modalities": "in_person"}),
    ("age_band", "under_35", {"birth_year": 1990}, {"birth_year": 1989}),
    ("age_band", "35_to_49", {"birth_year": 1989}, {"birth_year": 1974}),
    ("age_band", "50_and_over", {"birth_year": 1974}, {"birth_year": 1975}),
    ("style", "directiveness_high", {"style_directiveness": 1.0}, {"style_directiveness": 0.59}),
    ("style", "directiveness_low", {"style_directiveness": 0.0}, {"style_directiveness": 0.4}),
    ("style", "expressiveness_high", {"style_expressiveness": 0.6}, {"style_expressiveness": 0.5}),
    ("style", "homework_low", {"style_homework": 0.39}, {"style_homework": 0.8}),
]


@pytest.mark.parametrize(("topic", "value", "has", "lacks"), CASES)
@pytest.mark.parametrize("strength", ["must", "prefer", "avoid", "must_not"])
def test_a_wish_is_met_or_not_or_open_where_the_record_is_silent(
    topic: str, value: str, has: dict[str, Any], lacks: dict[str, Any], strength: str
):
    crowd = therapists(has, lacks, {})
    answer = met(topic, strength, clients({f"{strength}.{topic}": value}), crowd, Pairs.all(1, 3))
    np.testing.assert_array_equal(answer, [YES, NO, OPEN])


def test_the_cases_above_cover_every_topic_a_profile_can_answer():
    assert {topic for topic, *_ in CASES} == set(TOPICS)
    assert {*TOPICS, "time"} == set(PREFERENCE_TOPICS)
    assert len(wish_kinds()) == 4 * len(PREFERENCE_TOPICS)


def test_where_nothing_is_wanted_nothing_is_met_or_unmet():
    asked = clients({"prefer.gender": "woman"}, {})
    answer = met("gender", "prefer", asked, therapists({"gender": "woman"}), Pairs.all(2, 1))
    np.testing.assert_array_equal(answer, [YES, OPEN])
    assert wanted("gender", "prefer", asked).tolist() == [True, False]
    assert wanted("gender", "must", asked).tolist() == [False, False]


def test_several_values_of_one_topic_mean_any_of_them():
    asked = clients({"prefer.language": "cy|de"})
    answer = met("language", "prefer", asked, therapists({"languages": "de"}, {"languages": "en"}), Pairs.all(1, 2))
    np.testing.assert_array_equal(answer, [YES, NO])


def test_a_style_on_record_answers_and_one_that_is_not_leaves_the_wish_open():
    asked = clients({"prefer.style": "directiveness_high|homework_high"})
    crowd = therapists({"style_directiveness": 0.9}, {"style_directiveness": 0.1})
    np.testing.assert_array_equal(met("style", "prefer", asked, crowd, Pairs.all(1, 2)), [YES, OPEN])


def test_what_one_client_wants_does_not_change_the_answer_to_another():
    one, other = {"prefer.style": "directiveness_high"}, {"prefer.style": "homework_high"}
    therapist = therapists({"style_directiveness": 0.1})
    alone = met("style", "prefer", clients(one), therapist, Pairs.all(1, 1))
    among = met("style", "prefer", clients(one, other), therapist, Pairs.all(2, 1))
    np.testing.assert_array_equal(alone, [NO])
    np.testing.assert_array_equal(among, [NO, OPEN])


def test_a_clients_wishes_are_widened_to_one_cell_a_topic_and_strength():
    wishes = [("gender", "woman", "prefer"), ("language", "cy", "must"), ("language", "de", "must")]
    rows = [{"about": about, "value": value, "strength": strength} for about, value, strength in wishes]
    assert widen(rows) == {"prefer.gender": "woman", "must.language": "cy|de"}
