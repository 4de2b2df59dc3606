"""What answers about self-harm lead to, and that configuration can only be stricter."""

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from data.instruments import CORE10, PHQ9, Instrument
from data.scoring import total
from serving.answering.safety import Assessment, assess, at_least, risk_items
from serving.schemas import Measure
from serving.settings import SafetySettings, Settings

if TYPE_CHECKING:
    from tests.serving.conftest import Live

RISK = {"instrument": "phq9", "item": 9, "value": 2}
USUAL = SafetySettings()
TODAY = dt.date(2026, 10, 1)


def measure(instrument: str, item: int, value: float, days_ago: int | None = None) -> Measure:
    day = None if days_ago is None else TODAY - dt.timedelta(days=days_ago)
    return Measure(instrument=instrument, item=str(item), value=value, taken_on=day)


def assessed(*answers: Measure, settings: SafetySettings = USUAL) -> Assessment:
    return assess(answers, settings, TODAY)


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([], "not_asked"),
        ([("phq9", 0, 20), ("phq9", 1, 3)], "not_asked"),
        ([("phq9", 9, 0)], "nothing_reported"),
        ([("phq9", 9, 1)], "flagged"),
        ([("phq9", 9, 2)], "held"),
        ([("phq9", 9, 3)], "held"),
        ([("core10", 6, 1)], "flagged"),
        ([("core10", 6, 4)], "held"),
        ([("phq9", 9, 0), ("core10", 6, 2)], "held"),
        ([("phq9", 9, 2), ("phq9", 9, 0)], "held"),
        ([("core10", 9, 4)], "not_asked"),
    ],
)
def test_the_highest_answer_decides(answers: list[tuple[str, int, float]], status: str) -> None:
    assert assessed(*(measure(*answer) for answer in answers)).status == status


@pytest.mark.parametrize("item", [9, "9", "09", "0009"])
def test_however_the_question_is_numbered_its_answer_is_seen(item: int | str) -> None:
    sent = Measure.model_validate({"instrument": "phq9", "item": item, "value": 2})
    assert (assessed(sent).status, assessed(sent).raised_by) == ("held", ("phq9.9",))


@pytest.mark.parametrize("item", [0, "0", "00"])
def test_however_the_total_is_numbered_what_it_proves_is_seen(item: int | str) -> None:
    sent = Measure.model_validate({"instrument": "phq9", "item": item, "value": 27})
    assert (assessed(sent).status, assessed(sent).raised_by) == ("held", ("phq9.0",))


def test_phq9_item_9_and_core10_item_6_are_watched() -> None:
    assert set(risk_items()) == {"phq9.9", "core10.6"}


def test_a_service_may_hold_earlier_but_never_later() -> None:
    assert assessed(measure("phq9", 9, 1), settings=SafetySettings(hold_at=1)).status == "held"
    with pytest.raises(ValidationError):
        SafetySettings(hold_at=3)
    with pytest.raises(ValidationError):
        SafetySettings(hours_to_act=48)
    with pytest.raises(ValidationError):
        SafetySettings(answers_hold_days=31)


def test_what_raised_it_is_named() -> None:
    assessment = assessed(measure("phq9", 9, 0), measure("core10", 6, 1))
    assert assessment.asked == ("phq9.9", "core10.6")
    assert assessment.raised_by == ("core10.6",)


# -- totals that prove an answer -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([("phq9", 0, 24)], "not_asked"),
        ([("phq9", 0, 25)], "flagged"),
        ([("phq9", 0, 26)], "held"),
        ([("phq9", 0, 23), ("phq9", 1, 1)], "flagged"),
        ([("phq9", 0, 3), *(("phq9", item, 0) for item in range(1, 9))], "held"),
        ([("core10", 0, 36)], "not_asked"),
        ([("core10", 0, 37)], "flagged"),
        ([("core10", 0, 38)], "held"),
        ([("core10", 0, 35), ("core10", 2, 4)], "held"),  # reversed: 4 adds nothing
        ([("core10", 0, 36), ("core10", 2, 0)], "not_asked"),
        ([("gad7", 0, 21)], "not_asked"),
    ],
)
def test_a_total_that_cannot_be_reached_without_it_answers_the_question(
    answers: list[tuple[str, int, float]], status: str
) -> None:
    assessment = assessed(*(measure(*answer) for answer in answers))
    assert assessment.status == status
    assert assessment.asked == ()
    assert assessment.raised_by == ((f"{answers[0][0]}.0",) if status != "not_asked" else ())


def test_only_items_of_the_same_day_are_set_against_a_total() -> None:
    others = [measure("phq9", item, 0, days_ago=7) for item in range(1, 9)]
    assert assessed(measure("phq9", 0, 20, days_ago=1), *others).status == "not_asked"


@pytest.mark.parametrize("instrument", [PHQ9, CORE10])
@given(data=st.data())
def test_a_total_never_proves_more_than_was_answered(instrument: Instrument, data: st.DataObject) -> None:
    answers = data.draw(st.lists(st.integers(0, int(instrument.item_high)), min_size=instrument.items,
                                 max_size=instrument.items))  # fmt: skip
    shown = data.draw(st.sets(st.integers(1, instrument.items)))
    (item,) = instrument.risk_items
    score = float(total(instrument, [answers])[0])
    proven = at_least(instrument, item, score, {number: answers[number - 1] for number in shown - {item}})
    assert proven <= answers[item - 1]
    everything = {number: float(answers[number - 1]) for number in range(1, instrument.items + 1)}
    assert at_least(instrument, item, score, everything) == answers[item - 1]


# -- the day of an answer --------------------------------------------------------------------------------------------


def test_an_answer_of_nothing_older_than_thirty_days_is_no_answer() -> None:
    assert assessed(measure("phq9", 9, 0, days_ago=30)).status == "nothing_reported"
    old = assessed(measure("phq9", 9, 0, days_ago=31))
    assert (old.status, old.asked, old.raised_by) == ("not_asked", (), ())


@pytest.mark.parametrize(("value", "status"), [(1, "flagged"), (3, "held")])
def test_a_thought_once_reported_stands_until_the_question_is_answered_again(value: int, status: str) -> None:
    long_ago = measure("phq9", 9, value, days_ago=400)
    assert assessed(long_ago).status == status
    assert assessed(long_ago, measure("phq9", 9, 0, days_ago=2)).status == "nothing_reported"
    lately = measure("phq9", 9, value, days_ago=20)
    assert assessed(lately, measure("phq9", 9, 0, days_ago=2)).status == status


def test_a_shorter_time_forgets_only_answers_of_nothing() -> None:
    strict = SafetySettings(answers_hold_days=7)
    assert assessed(measure("phq9", 9, 0, days_ago=8), settings=strict).status == "not_asked"
    assert assessed(measure("phq9", 9, 2, days_ago=8), settings=strict).status == "held"


def test_an_old_total_that_proves_a_thought_stands_as_the_thought_does() -> None:
    assert assessed(measure("phq9", 0, 27, days_ago=31)).status == "held"


def test_the_words_name_the_day_or_say_that_none_was_given(told: Settings) -> None:
    for value in (0, 1, 2):
        assert "reported on 2026-09-29" in assessed(measure("phq9", 9, value, days_ago=2)).words(told)
        assert "reported (no day was given)" in assessed(measure("phq9", 9, value)).words(told)
        assert "2026-08-22" in assessed(measure("phq9", 9, value, days_ago=40)).words(told)
    assert "Please ask" in assessed(measure("phq9", 9, 0, days_ago=40)).words(told)


def test_the_words_of_a_flag_name_who_acts_and_within_how_many_hours(told: Settings) -> None:
    words = assessed(measure("phq9", 9, 1)).words(told)
    assert "A clinician talks with the client within 24 hours" in words
    assert "The clinician on duty." in words


def test_no_words_ever_say_safe(told: Settings) -> None:
    for value in (0, 1, 2):
        for days_ago in (None, 3, 40):
            words = assessed(measure("phq9", 9, value, days_ago)).words(told)
            assert "safe" not in json.dumps(words).lower()


def test_asking_again_with_less_does_not_let_a_hold_go_before_a_clinician_has_acted(
    service: "Live", body: dict[str, Any]
) -> None:
    platform, clinician = service.as_("platform"), service.as_("clinician")
    held = platform.post("/v1/recommendations", json={**body, "measures": [RISK]}).json()
    again = platform.post("/v1/recommendations", json={**body, "measures": []}).json()
    assert again["safety"]["status"] == "held"
    assert again["safety"]["task_id"] == held["safety"]["task_id"]
    assert again["recommendations"] == []
    listed = {"episode_id": "e-1", "request": {**body, "measures": []}}
    placed = platform.post("/v1/allocations", json={"clients": [listed]}).json()
    assert [one["client_id"] for one in placed["held"]] == [body["client"]["client_id"]]
    assert placed["assignments"] == []
    other = {**body, "client": {**body["client"], "client_id": "c-2"}}
    assert platform.post("/v1/recommendations", json=other).json()["recommendations"]
    closing = {"who": "dr-7", "reason": "talked with the client"}
    assert clinician.post(f"/v1/recommendations/{held['recommendation_id']}/release", json=closing).status_code == 200
    assert platform.post("/v1/recommendations", json={**body, "measures": []}).json()["recommendations"]


def test_a_day_of_the_past_makes_no_old_answer_of_nothing_young(service: "Live", body: dict[str, Any]) -> None:
    nothing = [{"instrument": "phq9", "item": 9, "value": 0, "taken_on": "2026-08-01"}]
    asked = {**body, "measures": nothing, "as_of": "2026-08-02"}
    answer = service.as_("platform").post("/v1/recommendations", json=asked).json()
    assert answer["safety"]["status"] == "not_asked"
