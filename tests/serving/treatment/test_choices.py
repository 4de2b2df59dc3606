"""What comes of an answer: places are taken once, kept for a while, and free again."""

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from fastapi import FastAPI

from data.sql import CHOICES, EPISODES, RECOMMENDATIONS
from serving.app import create_app
from serving.settings import Settings
from serving.sources import Sources
from serving.treatment.choices import EXAMPLE_CHOICE

if TYPE_CHECKING:
    from tests.serving.conftest import Live
    from tests.serving.treatment.conftest import Desk

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)


def first_slot(one: dict[str, Any]) -> str:
    return str(one["next_slots"][0]["starts_at"])


def slot_at(desk: "Desk", therapist_id: str, moment: str) -> dict[str, Any]:
    rows = desk.on_record(therapist_id)["slots"]["rows"]
    (row,) = [r for r in rows if dt.datetime.fromisoformat(r["starts_at"]) == dt.datetime.fromisoformat(moment)]
    found: dict[str, Any] = row
    return found


# -- taking a place --------------------------------------------------------------------------------------------------


def test_a_choice_takes_the_place_and_books_the_slot_as_one_version_of_the_directory(desk: "Desk") -> None:
    answer = desk.ask()
    first = answer["recommendations"][0]
    before = desk.version
    chosen = desk.choose(answer, therapist_id=first["therapist_id"], starts_at=first_slot(first))
    assert chosen.status_code == 201, chosen.text
    told = chosen.json()
    assert told["therapist_id"] == first["therapist_id"]
    assert told["rank"] == 1
    starts_at = dt.datetime.fromisoformat(first_slot(first))
    assert dt.datetime.fromisoformat(told["starts_at"]) == starts_at
    assert dt.datetime.fromisoformat(told["holds_until"]) == starts_at + dt.timedelta(days=14)
    assert before is not None
    assert desk.version == before + 1
    (place,) = desk.on_record(first["therapist_id"])["caseload"]["taken"]
    assert place["episode_id"] == told["episode_id"]
    assert dt.datetime.fromisoformat(place["until"]) == starts_at + dt.timedelta(days=14)
    slot = slot_at(desk, first["therapist_id"], first_slot(first))
    assert (slot["status"], slot["episode_id"]) == ("booked", told["episode_id"])
    assert chosen.headers["location"] == f"/v1/episodes/{told['episode_id']}"
    (kept,) = desk.rows(CHOICES)
    assert (kept["kind"], kept["rank"], kept["episode_id"]) == ("chosen", 1, told["episode_id"])


def test_a_slot_that_was_booked_is_offered_to_nobody_else(desk: "Desk") -> None:
    desk.leave_places(desk.ask()["recommendations"][0]["therapist_id"], 5)
    answer, other = desk.ask(), desk.ask()
    first = answer["recommendations"][0]
    desk.choose(answer, therapist_id=first["therapist_id"], starts_at=first_slot(first))
    shown = {one["therapist_id"]: one["next_slots"] for one in desk.ask(k=100)["recommendations"]}
    assert first_slot(first) not in [slot["starts_at"] for slot in shown.get(first["therapist_id"], [])]
    second = desk.choose(other, therapist_id=first["therapist_id"], starts_at=first_slot(first))
    assert second.status_code == 409
    assert "another of their times" in second.json()["detail"]


def test_a_time_is_the_same_moment_whatever_its_offset(desk: "Desk") -> None:
    answer = desk.ask()
    first = answer["recommendations"][0]
    elsewhere = dt.datetime.fromisoformat(first_slot(first)).astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))
    chosen = desk.choose(answer, therapist_id=first["therapist_id"], starts_at=elsewhere.isoformat())
    assert chosen.status_code == 201, chosen.text
    assert slot_at(desk, first["therapist_id"], first_slot(first))["status"] == "booked"


def test_a_time_that_is_past_or_not_listed_takes_nothing(desk: "Desk") -> None:
    answer = desk.ask()
    first = answer["recommendations"][0]["therapist_id"]
    slots = desk.on_record(first)["slots"]
    desk.record(first, slots={**slots, "rows": [{"starts_at": "2026-09-30T17:00:00Z", "status": "free"}]})
    for when in ("2026-09-30T17:00:00Z", "2026-10-02T03:17:00Z"):
        assert desk.choose(answer, therapist_id=first, starts_at=when).status_code == 409
    assert "taken" not in desk.on_record(first)["caseload"]
    assert desk.rows(EPISODES) == []
    assert desk.rows(CHOICES) == []


def test_the_last_place_is_given_once(desk: "Desk") -> None:
    answers = [desk.ask(), desk.ask()]
    therapist = answers[0]["recommendations"][0]["therapist_id"]
    desk.leave_places(therapist, 1)
    assert desk.choose(answers[0], therapist_id=therapist).status_code == 201
    refused = desk.choose(answers[1], therapist_id=therapist)
    assert refused.status_code == 409
    assert "-> choose the next one" in refused.json()["detail"]
    assert therapist not in [one["therapist_id"] for one in desk.ask(k=100)["recommendations"]]


def test_a_place_that_nobody_came_for_is_free_again_when_its_time_is_up(desk: "Desk") -> None:
    answers = [desk.ask() for _ in range(3)]
    therapist = answers[0]["recommendations"][0]["therapist_id"]
    desk.leave_places(therapist, 1)
    assert desk.choose(answers[0], therapist_id=therapist).status_code == 201
    desk.moment = NOW + dt.timedelta(days=13, hours=23)
    assert desk.choose(answers[1], therapist_id=therapist).status_code == 409
    desk.moment = NOW + dt.timedelta(days=14)
    assert desk.choose(answers[2], therapist_id=therapist).status_code == 201


def test_somebody_who_has_stopped_taking_clients_since_is_not_chosen(desk: "Desk") -> None:
    answer = desk.ask()
    therapist = answer["recommendations"][0]["therapist_id"]
    known = desk.on_record(therapist)["profile"]
    for profile, words in (
        ({**known, "accepts_new": False}, "takes no new clients"),
        ({**known, "caseload_capacity": None}, "not on record"),
        (None, "no longer listed"),
    ):
        desk.record(therapist, profile=profile)
        refused = desk.choose(answer, therapist_id=therapist)
        assert refused.status_code == 409
        assert words in refused.json()["detail"]


def test_a_licence_that_has_run_out_since_the_answer_is_seen_when_choosing(desk: "Desk") -> None:
    answer = desk.ask()
    therapist = answer["recommendations"][0]["therapist_id"]
    (licence, *_) = desk.on_record(therapist)["licences"]
    desk.record(therapist, licences=[{**licence, "status": "suspended"}])
    refused = desk.choose(answer, therapist_id=therapist)
    assert refused.status_code == 409
    assert "`licence`" in refused.json()["detail"]


def test_a_licence_is_judged_on_the_day_of_the_first_session(desk: "Desk") -> None:
    answer = desk.ask()
    first = answer["recommendations"][0]
    (licence, *_) = desk.on_record(first["therapist_id"])["licences"]
    desk.record(first["therapist_id"], licences=[{**licence, "valid_until": "2026-10-01"}])
    refused = desk.choose(answer, therapist_id=first["therapist_id"], starts_at=first_slot(first))
    assert refused.status_code == 409
    assert desk.choose(answer, therapist_id=first["therapist_id"]).status_code == 201


def test_one_answer_is_chosen_from_once_at_a_time(desk: "Desk") -> None:
    answer = desk.ask()
    first, second = (one["therapist_id"] for one in answer["recommendations"][:2])
    episode = desk.choose(answer, therapist_id=first).json()["episode_id"]
    refused = desk.choose(answer, therapist_id=second)
    assert refused.status_code == 409
    assert episode in refused.json()["detail"]
    ended = desk.client.put(f"/v1/episodes/{episode}", json={"ended_on": "2026-10-01", "ending": "declined"})
    assert ended.status_code == 200, ended.text
    assert desk.choose(answer, therapist_id=second).status_code == 201


def test_the_same_choice_sent_again_with_its_key_takes_one_place(desk: "Desk") -> None:
    answer = desk.ask()
    path = f"/v1/recommendations/{answer['recommendation_id']}/choice"
    sent = {"kind": "chosen", "therapist_id": answer["recommendations"][0]["therapist_id"]}
    both = [desk.client.post(path, json=sent, headers={"Idempotency-Key": "choice-1"}) for _ in range(2)]
    assert [one.status_code for one in both] == [201, 201]
    assert both[0].content == both[1].content
    assert both[1].headers["idempotency-replayed"] == "true"
    assert len(desk.rows(EPISODES)) == 1


# -- who decided -----------------------------------------------------------------------------------------------------


def test_who_decided_is_on_record_with_the_rank_that_was_shown(desk: "Desk") -> None:
    for rank, by in ((1, "algorithm"), (3, "choice")):
        answer = desk.ask()
        told = desk.choose(answer, therapist_id=answer["recommendations"][rank - 1]["therapist_id"]).json()
        (episode,) = [row for row in desk.rows(EPISODES) if row["episode_id"] == told["episode_id"]]
        assert told["rank"] == rank
        assert (episode["assigned_by"], episode["propensity"]) == (by, None)
        assert episode["client_id"] == desk.body["client"]["client_id"]
    answer = desk.ask()
    sent = {"reason": "clinical_judgement", "therapist_id": answer["recommendations"][1]["therapist_id"]}
    told = desk.choose(answer, kind="overridden", **sent).json()
    (episode,) = [row for row in desk.rows(EPISODES) if row["episode_id"] == told["episode_id"]]
    assert episode["assigned_by"] == "staff"


def test_the_chance_of_a_lot_goes_with_the_first_who_is_chosen_and_with_nobody_else(desk: "Desk") -> None:
    for rank, propensity in ((0, 0.95), (1, None)):
        answer = desk.ask()
        one, two = (one["therapist_id"] for one in answer["recommendations"][:2])
        mine = RECOMMENDATIONS.c.recommendation_id == answer["recommendation_id"]
        with desk.engine.begin() as connection:
            connection.execute(sa.update(RECOMMENDATIONS).where(mine).values(propensities={one: 0.95, two: 0.05}))
        told = desk.choose(answer, therapist_id=(one, two)[rank]).json()
        (episode,) = [row for row in desk.rows(EPISODES) if row["episode_id"] == told["episode_id"]]
        assert episode["propensity"] == propensity


def test_somebody_not_shown_is_an_override_with_a_reason(desk: "Desk") -> None:
    shown = [one["therapist_id"] for one in desk.ask(k=100)["recommendations"]]
    answer = desk.ask(k=1)
    refused = desk.choose(answer, therapist_id=shown[-1])
    assert refused.status_code == 422
    assert "overridden" in refused.text
    assert desk.choose(answer, kind="overridden", therapist_id=shown[-1]).status_code == 422
    sent = {"kind": "overridden", "reason": "client_asked_for_them", "therapist_id": shown[-1]}
    taken = desk.choose(answer, **sent)
    assert taken.status_code == 201, taken.text
    assert taken.json()["rank"] is None
    assert len(desk.on_record(shown[-1])["caseload"]["taken"]) == 1


def test_an_override_passes_no_rule_that_never_relaxes(desk: "Desk") -> None:
    barred = desk.ask(k=100)["recommendations"][-1]["therapist_id"]
    answer = desk.ask(exclude_therapists=[{"therapist_id": barred, "reason": "relative"}])
    sent = {"kind": "overridden", "reason": "other", "therapist_id": barred}
    refused = desk.choose(answer, **sent)
    assert refused.status_code == 409
    assert "`conflict`" in refused.json()["detail"]
    licensed = desk.ask(client={**desk.body["client"], "jurisdiction": "US-NY"})
    assert licensed["counts"]["eligible"] == 0
    refused = desk.choose(licensed, **sent)
    assert "`licence`" in refused.json()["detail"]


def test_a_held_answer_is_released_before_anybody_is_chosen(desk: "Desk") -> None:
    therapist = desk.ask()["recommendations"][0]["therapist_id"]
    held = desk.ask(measures=[{"instrument": "phq9", "item": 9, "value": 3}])
    assert held["safety"]["status"] == "held"
    for kind, reason in (("chosen", None), ("overridden", "other")):
        refused = desk.choose(held, kind=kind, reason=reason, therapist_id=therapist)
        assert refused.status_code == 409
        assert "clinician" in refused.json()["detail"]


def test_from_what_a_clinician_released_somebody_can_be_chosen(desk: "Desk") -> None:
    held = desk.ask(measures=[{"instrument": "phq9", "item": 9, "value": 3}])
    path = f"/v1/recommendations/{held['recommendation_id']}/release"
    released = desk.as_("clinician").post(path, json={"who": "clinician-7", "reason": "Talked on the phone."})
    assert released.status_code == 200, released.text
    answer = released.json()
    chosen = desk.choose(answer, therapist_id=answer["recommendations"][0]["therapist_id"])
    assert chosen.status_code == 201, chosen.text


# -- declined, and what does not fit ---------------------------------------------------------------------------------


def test_the_example_is_a_decline_that_takes_nothing_and_keeps_the_reason(desk: "Desk") -> None:
    answer, before = desk.ask(), desk.version
    declined = desk.choose(answer, **EXAMPLE_CHOICE)
    assert declined.status_code == 201, declined.text
    assert declined.json()["episode_id"] is None
    assert desk.version == before
    (kept,) = desk.rows(CHOICES)
    assert (kept["kind"], kept["reason"]) == ("declined", "wait_too_long")


def test_what_does_not_fit_together_is_named_field_by_field(desk: "Desk") -> None:
    path = f"/v1/recommendations/{desk.ask()['recommendation_id']}/choice"
    for sent, fields in (
        ({"kind": "declined"}, ["reason"]),
        ({"kind": "declined", "reason": "clinical_judgement"}, ["reason"]),
        ({"kind": "declined", "reason": "other", "therapist_id": "t-1"}, ["therapist_id"]),
        ({"kind": "chosen"}, ["therapist_id"]),
        ({"kind": "chosen", "therapist_id": "t-1", "reason": "other"}, ["reason"]),
        ({"kind": "overridden"}, ["therapist_id", "reason"]),
        ({"kind": "declined", "reason": "she told us about her divorce"}, ["reason"]),
        ({"kind": "chosen", "therapist_id": "t-1", "starts_at": "2026-10-05T17:00:00"}, ["starts_at"]),
        ({"kind": "chosen", "therapist_id": "t-1", "starts_at": "0001-01-01T00:00:00+14:00"}, ["starts_at"]),
    ):
        refused = desk.client.post(path, json=sent)
        assert refused.status_code == 422
        assert [one["field"] for one in refused.json()["problems"]] == fields
        assert "divorce" not in refused.text


def test_another_tenant_and_another_scope_are_told_nothing(desk: "Desk") -> None:
    answer = desk.ask()
    sent = {"therapist_id": answer["recommendations"][0]["therapist_id"]}
    assert desk.choose(answer, desk.elsewhere("platform"), **sent).status_code == 404
    assert desk.choose(answer, desk.as_("auditor", "admin"), **sent).status_code == 403
    assert desk.rows(EPISODES) == []


def test_of_a_dataset_served_as_it_stands_nothing_is_taken(
    folder: Path, bundle: Path, database: str, told: Settings, body: dict[str, Any],
    serve_live: "Callable[[FastAPI], AbstractContextManager[Live]]",
) -> None:  # fmt: skip
    with serve_live(create_app(told, Sources(bundle, data=folder, database=database), lambda: NOW)) as live:
        client = live.as_("platform")
        answer = client.post("/v1/recommendations", json=body).json()
        path = f"/v1/recommendations/{answer['recommendation_id']}/choice"
        wanted = {"kind": "chosen", "therapist_id": answer["recommendations"][0]["therapist_id"]}
        refused = client.post(path, json=wanted)
        assert refused.status_code == 409
        assert "data load" in refused.json()["detail"]
        assert client.post(path, json={"kind": "declined", "reason": "other"}).status_code == 201
