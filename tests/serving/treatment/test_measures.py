"""Scores of a course: kept, scored, and what they say of self-harm brought before a clinician."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from data.sql import CORRECTIONS, MEASURES, SAFETY_TASKS
from serving.routes.measures import EXAMPLE_MEASURES

if TYPE_CHECKING:
    from tests.serving.treatment.conftest import Desk

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)


def answers(instrument: str, *values: int, **more: Any) -> list[dict[str, Any]]:
    """Answers to the items of an instrument in order; -1 leaves one out."""
    return [
        {"instrument": instrument, "item": i, "value": value, **more} for i, value in enumerate(values, 1) if value >= 0
    ]


def score(answer: dict[str, Any], item: str = "0") -> dict[str, Any]:
    (found,) = [one for one in answer["scores"] if one["item"] == item]
    told: dict[str, Any] = found
    return told


def test_the_example_is_kept_and_scored(desk: "Desk") -> None:
    desk.begin("e-1042", started_on="2026-09-08")
    response = desk.client.post("/v1/measures", json=EXAMPLE_MEASURES)
    assert response.status_code == 200, response.text
    told = response.json()
    assert (told["added"], told["corrected"], told["unchanged"]) == (3, 0, 0)
    assert [(one["instrument"], one["value"], one["band"], one["at_caseness"]) for one in told["scores"]] == [
        ("gad7", 9, "mild", True),
        ("phq9", 12, "moderate", True),
    ]
    assert told["safety"]["status"] == "nothing_reported"
    assert "keep asking" in told["safety"]["words"]


def test_all_answers_make_a_total_and_some_make_none_unless_proration_is_asked_for(desk: "Desk") -> None:
    desk.begin()
    some = answers("phq9", 1, 1, 1, 1, 1, 1, -1, -1, 0)
    assert desk.measure(*some).json()["scores"] == []
    prorated = desk.measure(*answers("phq9", 1, 1, 1, 1, 1, 1, 1, -1, 0), missing="prorate").json()
    assert (score(prorated)["value"], score(prorated)["prorated"], score(prorated)["computed"]) == (8, True, True)
    whole = desk.measure({"instrument": "phq9", "item": 8, "value": 3}).json()
    assert (score(whole)["value"], score(whole)["band"], score(whole)["prorated"]) == (10, "moderate", False)
    (total,) = [row for row in desk.rows(MEASURES) if row["item"] == "0"]
    assert (total["value"], total["scored"], total["client_id"]) == (10, True, "c-1042")


def test_an_alliance_is_an_item_mean_with_its_subscales_and_never_at_intake(desk: "Desk") -> None:
    desk.begin()
    rated = answers("wai_sr", *[4] * 12)
    refused = desk.measure(*[{**one, "taken_on": "2026-09-01"} for one in rated], session=0)
    assert refused.status_code == 422
    assert "before a first session" in refused.text
    told = desk.measure(*rated).json()
    assert {one["item"]: one["value"] for one in told["scores"]} == {"0": 4, "bond": 4, "goal": 4, "task": 4}
    assert [one["band"] for one in told["scores"]] == [None] * 4


def test_what_cannot_be_is_named_entry_by_entry(desk: "Desk") -> None:
    desk.begin()
    for sent, field in (
        ({"instrument": "phq9", "item": 1, "value": 4}, "value"),
        ({"instrument": "phq9", "item": 10, "value": 0}, "item"),
        ({"instrument": "phq9", "item": 1, "value": 0.5}, "value"),
        ({"instrument": "phq9", "item": 0, "value": 28}, "value"),
        ({"instrument": "oq45", "item": 3, "value": 1}, "instrument"),
        ({"instrument": "srs", "item": 0, "value": 36}, "instrument"),
        ({"instrument": "mood9", "item": 0, "value": 1}, "instrument"),
        ({"instrument": "absence_days", "item": 1, "value": 1}, "item"),
        ({"instrument": "phq9", "item": 1, "value": 0, "taken_on": "2026-10-02"}, "taken_on"),
        ({"instrument": "phq9", "item": 1, "value": 0, "taken_on": "2026-08-31"}, "taken_on"),
        ({"instrument": "phq9", "item": 1, "value": 0, "rater": "neighbour"}, "rater"),
    ):
        good = {"instrument": "gad7", "item": 1, "value": 1}
        refused = desk.measure(good, sent)
        assert refused.status_code == 422, sent
        assert f"measures[1].{field}" in [one["field"] for one in refused.json()["problems"]]
    assert desk.rows(MEASURES) == []


def test_a_total_is_one_that_its_answers_can_make_up_wherever_they_were_sent(desk: "Desk") -> None:
    desk.begin()
    assert desk.measure({"instrument": "gad7", "item": 1, "value": 3}).status_code == 200
    refused = desk.measure({"instrument": "gad7", "item": 0, "value": 2})
    assert refused.status_code == 422
    assert "item 1 on record" in refused.text or "cannot make up" in refused.text
    assert desk.measure({"instrument": "gad7", "item": 0, "value": 9}).status_code == 200
    twice = desk.measure(*[{"instrument": "phq9", "item": 1, "value": value} for value in (1, 2)])
    assert "measures[0]" in twice.json()["problems"][0]["rule"]


def test_days_go_up_with_the_sessions(desk: "Desk") -> None:
    desk.begin()
    item = {"instrument": "gad7", "item": 0, "value": 9}
    assert desk.measure({**item, "taken_on": "2026-09-15"}, session=2).status_code == 200
    refused = desk.measure({**item, "taken_on": "2026-09-20"}, session=1)
    assert (refused.status_code, refused.json()["problems"][0]["field"]) == (422, "measures[0].taken_on")
    assert desk.measure({**item, "taken_on": "2026-08-20"}, session=0).status_code == 200


def test_the_same_values_change_nothing_and_others_must_be_said_to_correct(desk: "Desk") -> None:
    desk.begin()
    item = {"instrument": "phq9", "item": 1, "value": 1}
    desk.measure(item)
    again = desk.measure(item).json()
    assert (again["added"], again["unchanged"]) == (0, 1)
    refused = desk.measure({**item, "value": 2})
    assert refused.status_code == 409
    assert "measures[0]" in refused.json()["detail"]
    corrected = desk.measure({**item, "value": 2}, correct=True).json()
    assert corrected["corrected"] == 1
    (before,) = desk.rows(CORRECTIONS)
    assert (before["value"], before["made_at"], before["corrected_at"]) == (1, NOW, NOW)
    assert [row["value"] for row in desk.rows(MEASURES)] == [2]


def test_a_computed_total_follows_its_corrected_answers(desk: "Desk") -> None:
    desk.begin()
    told = desk.measure(*answers("gad7", 1, 1, 1, 1, 1, 1, 1)).json()
    assert score(told)["value"] == 7
    told = desk.measure({"instrument": "gad7", "item": 7, "value": 3}, correct=True).json()
    assert score(told)["value"] == 9
    assert len(desk.rows(CORRECTIONS)) == 1


def test_a_report_of_self_harm_opens_a_task_with_the_scores_and_says_who_acts(desk: "Desk") -> None:
    desk.begin()
    told = desk.measure({"instrument": "phq9", "item": 9, "value": 1}).json()
    (task,) = desk.rows(SAFETY_TASKS)
    assert told["safety"]["task_id"] == task["task_id"]
    assert told["safety"]["status"] == task["status"] == "flagged"
    assert (task["episode_id"], task["client_id"], task["raised_by"]) == ("e-1", "c-1042", ["phq9.9"])
    assert task["due_at"] == NOW + dt.timedelta(hours=24)
    assert "The clinician on duty." in told["safety"]["words"]
    assert "safe" not in told["safety"]["words"].lower()
    higher = {"instrument": "core10", "item": 6, "value": 3, "taken_on": "2026-09-15"}
    assert desk.measure(higher, session=2).json()["safety"]["status"] == "held"
    assert [(row["status"], row["raised_by"]) for row in desk.rows(SAFETY_TASKS)] == [
        ("flagged", ["phq9.9"]),
        ("held", ["core10.6"]),
    ]


def test_one_report_opens_one_task_however_often_it_is_sent(desk: "Desk") -> None:
    desk.begin()
    sent = [{"instrument": "phq9", "item": 9, "value": 2}]
    first = desk.measure(*sent).json()
    assert desk.measure(*sent).json()["safety"] == first["safety"]
    desk.measure({"instrument": "phq9", "item": 1, "value": 2}, {"instrument": "gad7", "item": 0, "value": 2})
    lower = desk.measure({"instrument": "phq9", "item": 9, "value": 1}, correct=True).json()
    assert lower["safety"]["task_id"] == first["safety"]["task_id"]
    assert len(desk.rows(SAFETY_TASKS)) == 1
    later = {"instrument": "phq9", "item": 9, "value": 1, "taken_on": "2026-09-15"}
    desk.measure(later, session=2)
    assert len(desk.rows(SAFETY_TASKS)) == 2


def test_a_total_that_cannot_be_reached_without_it_is_a_report(desk: "Desk") -> None:
    desk.begin()
    told = desk.measure({"instrument": "phq9", "item": 0, "value": 26}).json()
    assert told["safety"]["status"] == "held"
    assert "cannot be reached without" in told["safety"]["words"]


def test_what_was_not_asked_is_not_called_anything_else(desk: "Desk") -> None:
    desk.begin()
    told = desk.measure({"instrument": "gad7", "item": 0, "value": 2}).json()
    assert told["safety"]["status"] == "not_asked"
    assert told["safety"]["task_id"] is None


def test_measures_belong_to_a_course_of_the_tenant(desk: "Desk") -> None:
    item = {"instrument": "gad7", "item": 0, "value": 2}
    assert desk.measure(item).status_code == 404
    desk.begin()
    assert desk.measure(item, client=desk.elsewhere("platform")).status_code == 404
    assert desk.measure(item, client=desk.as_("auditor", "admin")).status_code == 403
    assert desk.measure(item, client=desk.as_("clinician")).status_code == 200
