"""What a request says twice and differently is asked back, naming both."""

import datetime as dt
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.instruments import CORE10, GAD7, PHQ9, Instrument
from data.scoring import total
from serving.answering.contradictions import contradictions
from serving.schemas import Measure, Preference

Score = tuple[str, int, float] | tuple[str, int, float, str]


def measures(*scores: Score) -> list[Measure]:
    return [
        Measure(instrument=name, item=str(item), value=value, taken_on=dt.date.fromisoformat(day[0]) if day else None)
        for name, item, value, *day in scores
    ]


def found(scores: list[Measure], wishes: list[Preference] | None = None) -> dict[str, str]:
    problems = contradictions(scores, wishes or [], lambda name, i: f"{name}[{i}]")
    return {problem.where: problem.rule for problem in problems}


def all_items(instrument: Instrument, value: float, day: str = "2026-10-01") -> list[Score]:
    return [(instrument.id, item, value, day) for item in range(1, instrument.items + 1)]


def test_an_item_given_twice_on_a_day_with_different_values_names_both() -> None:
    ((where, rule),) = found(measures(("phq9", 9, 0), ("gad7", 1, 1), ("phq9", 9, 2))).items()
    assert where == "measures[2].value"
    assert "measures[0].value" in rule


@pytest.mark.parametrize(
    "scores",
    [
        [("phq9", 9, 0), ("phq9", 9, 0)],
        [("phq9", 9, 0, "2026-10-01"), ("phq9", 9, 2, "2026-10-02")],
        [("phq9", 9, 0), ("phq9", 9, 2, "2026-10-02")],
        [("phq9", 1, 0), ("phq9", 2, 2), ("gad7", 1, 2)],
    ],
)
def test_the_same_value_or_another_day_is_no_contradiction(scores: list[Score]) -> None:
    assert found(measures(*scores)) == {}


def test_a_total_that_its_items_cannot_make_up_names_the_items() -> None:
    scores = measures(("phq9", 0, 10, "2026-10-01"), *all_items(PHQ9, 1))
    ((where, rule),) = found(scores).items()
    assert where == "measures[0].value"
    assert "measures[1]" in rule
    assert "measures[9]" in rule
    assert found(measures(("phq9", 0, 9, "2026-10-01"), *all_items(PHQ9, 1))) == {}
    assert found(measures(("phq9", 0, 27), ("phq9", 9, 0))) != {}


def test_a_total_of_another_day_contradicts_nothing() -> None:
    assert found(measures(("phq9", 0, 20, "2026-09-20"), *all_items(PHQ9, 1))) == {}


@pytest.mark.parametrize("instrument", [PHQ9, GAD7, CORE10])
@given(data=st.data())
def test_the_total_of_the_answers_contradicts_none_of_them(instrument: Instrument, data: st.DataObject) -> None:
    answer = st.integers(0, int(instrument.item_high))
    answers = data.draw(st.lists(answer, min_size=instrument.items, max_size=instrument.items))
    shown = data.draw(st.sets(st.integers(1, instrument.items)))
    score = float(total(instrument, [answers])[0])
    entries: list[Score] = [(instrument.id, item, answers[item - 1]) for item in shown]
    assert found(measures((instrument.id, 0, score), *entries)) == {}
    everything: list[Score] = [(instrument.id, item, answers[item - 1]) for item in range(1, instrument.items + 1)]
    assert list(found(measures((instrument.id, 0, score + 1), *everything))) == ["measures[0].value"]


@pytest.mark.parametrize(("wanted", "unwanted"), [("prefer", "avoid"), ("must", "must_not"), ("must", "avoid")])
def test_a_value_that_is_wanted_and_not_names_both(wanted: str, unwanted: str) -> None:
    wishes = [
        Preference(about="gender", value="woman", strength=wanted),
        Preference(about="gender", value="man", strength=unwanted),
    ]
    assert found([], wishes) == {}
    again = wishes[0].model_copy(update={"strength": unwanted})
    ((where, rule),) = found([], [*wishes, again]).items()
    assert where == "preferences[2].strength"
    assert "preferences[0]" in rule


def test_the_service_refuses_what_contradicts_itself(client: httpx.Client, body: dict[str, Any]) -> None:
    scores = [{"instrument": "phq9", "item": 9, "value": value} for value in (0, 1)]
    response = client.post("/v1/recommendations", json={**body, "measures": scores})
    assert response.status_code == 422
    assert [one["field"] for one in response.json()["problems"]] == ["measures[1].value"]
