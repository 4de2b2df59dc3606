"""Courses of treatment: what is true is on record, a start keeps the place, an ending frees it."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from data.dataset import Dataset
from data.directory import open_cases
from data.exporting import export
from data.loading import from_dataset
from data.loading import load as load_directory
from data.sql import EPISODES
from serving.treatment.courses import EXAMPLE_COURSE

if TYPE_CHECKING:
    from data.synthetic.truth import Truth
    from tests.serving.treatment.conftest import Desk

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
PHQ9 = {"instrument": "phq9", "item": 0, "value": 14}
ENDED = {"ended_on": "2026-10-01", "ending": "dropout"}


def chosen(desk: "Desk", places: int = 1, slot: bool = False) -> dict[str, Any]:
    """A choice of somebody who has so many places left before it."""
    answer = desk.ask()
    first = answer["recommendations"][0]
    desk.leave_places(first["therapist_id"], places)
    starts_at = {"starts_at": first["next_slots"][0]["starts_at"]} if slot else {}
    response = desk.choose(answer, therapist_id=first["therapist_id"], **starts_at)
    assert response.status_code == 201, response.text
    told: dict[str, Any] = response.json()
    return told


def taken(desk: "Desk", therapist_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.on_record(therapist_id)["caseload"].get("taken", [])
    return found


def test_a_start_keeps_the_place_beyond_the_time_of_the_choice(desk: "Desk") -> None:
    choice = chosen(desk)
    other = desk.ask(k=100)
    desk.moment = NOW + dt.timedelta(days=10)
    started = desk.put(choice["episode_id"], started_on="2026-10-09")
    assert started.status_code == 200, started.text
    assert started.json()["state"] == "started"
    assert started.json()["place"]["status"] == "kept"
    assert taken(desk, choice["therapist_id"]) == [{"episode_id": choice["episode_id"], "until": None}]
    desk.moment = NOW + dt.timedelta(days=60)
    refused = desk.choose(other, kind="overridden", reason="other", therapist_id=choice["therapist_id"])
    assert refused.status_code == 409


def test_an_ending_frees_the_place_for_the_next_request(desk: "Desk") -> None:
    choice = chosen(desk)
    desk.put(choice["episode_id"], started_on="2026-10-01")
    assert choice["therapist_id"] not in [one["therapist_id"] for one in desk.ask(k=100)["recommendations"]]
    ended = desk.put(choice["episode_id"], **ENDED, sessions_attended=1)
    assert (ended.json()["state"], ended.json()["place"]["status"]) == ("ended", "free")
    assert taken(desk, choice["therapist_id"]) == []
    assert choice["therapist_id"] in [one["therapist_id"] for one in desk.ask(k=100)["recommendations"]]


def test_who_cancels_before_the_first_session_gives_the_slot_back_too(desk: "Desk") -> None:
    choice = chosen(desk, slot=True)
    before = desk.on_record(choice["therapist_id"])["slots"]["rows"]
    assert [row["status"] for row in before if row.get("episode_id")] == ["booked"]
    desk.put(choice["episode_id"], ended_on="2026-10-01", ending="declined")
    rows = desk.on_record(choice["therapist_id"])["slots"]["rows"]
    assert not [row for row in rows if "episode_id" in row]
    (slot,) = [row for row in rows if dt.datetime.fromisoformat(row["starts_at"]) == moment(choice["starts_at"])]
    assert slot["status"] == "free"


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def test_a_first_session_can_be_moved_to_another_free_time_and_the_old_one_is_free_again(desk: "Desk") -> None:
    choice = chosen(desk, places=5, slot=True)
    later, booked = "2026-11-02T17:00:00Z", "2026-11-03T17:00:00Z"
    known = desk.on_record(choice["therapist_id"])["slots"]
    more = [{"starts_at": later, "status": "free"}, {"starts_at": booked, "status": "booked"}]
    desk.record(choice["therapist_id"], slots={**known, "rows": [*known["rows"], *more]})
    assert desk.put(choice["episode_id"], starts_at=booked).status_code == 409
    moved = desk.put(choice["episode_id"], starts_at=later)
    assert moved.status_code == 200, moved.text
    assert moment(moved.json()["holds_until"]) == moment(later) + dt.timedelta(days=14)
    rows = desk.on_record(choice["therapist_id"])["slots"]["rows"]
    assert [row["starts_at"] for row in rows if row.get("episode_id") == choice["episode_id"]] == [later]


def test_what_is_sent_again_changes_nothing(desk: "Desk") -> None:
    choice = chosen(desk)
    first = desk.put(choice["episode_id"], started_on="2026-10-01")
    version = desk.version
    again = desk.put(choice["episode_id"], started_on="2026-10-01")
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    assert desk.version == version
    read = desk.client.get(f"/v1/episodes/{choice['episode_id']}")
    assert read.content == first.content
    assert read.headers["etag"] == first.headers["etag"]


def test_what_is_left_out_stays_and_null_takes_back(desk: "Desk") -> None:
    choice = chosen(desk)
    desk.put(choice["episode_id"], started_on="2026-10-01", sessions_attended=1)
    assert desk.put(choice["episode_id"], sessions_attended=2).json()["started_on"] == "2026-10-01"
    back = desk.put(choice["episode_id"], started_on=None, sessions_attended=None).json()
    assert (back["state"], back["started_on"]) == ("held", None)


def test_a_change_that_rests_on_what_somebody_else_has_changed_is_refused(desk: "Desk") -> None:
    choice = chosen(desk)
    tag = desk.client.get(f"/v1/episodes/{choice['episode_id']}").headers["etag"]
    assert desk.put(choice["episode_id"], if_match=tag, started_on="2026-10-01").status_code == 200
    assert desk.put(choice["episode_id"], if_match=tag, **ENDED).status_code == 412
    assert desk.put(choice["episode_id"], if_match="*", **ENDED).status_code == 200
    assert desk.put("e-new-1", if_match="*", **EXAMPLE_COURSE).status_code == 412


def test_days_that_cannot_be_are_named(desk: "Desk") -> None:
    choice = chosen(desk)
    for sent, fields in (
        ({"started_on": "2026-10-02"}, ["started_on"]),
        ({"started_on": "2026-09-30"}, ["started_on"]),
        ({"started_on": "2026-10-01", "ended_on": "2026-09-30", "ending": "dropout"}, ["ended_on"]),
        ({"ended_on": "2026-10-01"}, ["ending"]),
        ({"ending": "dropout"}, ["ended_on"]),
        ({"sessions_attended": 2}, ["started_on"]),
        ({"ending": "ongoing", "ended_on": "2026-10-01"}, ["ending"]),
        ({"ended_on": "2026-10-09", "ending": "planned", "started_on": "2026-10-08"}, ["started_on", "ended_on"]),
    ):
        refused = desk.put(choice["episode_id"], **sent)
        assert refused.status_code == 422, sent
        assert [one["field"] for one in refused.json()["problems"]] == fields
    assert desk.client.get(f"/v1/episodes/{choice['episode_id']}").json()["state"] == "held"


def test_an_ending_can_be_corrected_but_only_a_place_brings_a_course_back(desk: "Desk") -> None:
    choice = chosen(desk)
    desk.put(choice["episode_id"], started_on="2026-10-01", **ENDED)
    corrected = desk.put(choice["episode_id"], ending="planned")
    assert (corrected.json()["ending"], corrected.json()["state"]) == ("planned", "ended")
    back = desk.put(choice["episode_id"], ended_on=None, ending=None)
    assert (back.status_code, back.json()["state"]) == (200, "started")
    desk.put(choice["episode_id"], **ENDED)
    desk.leave_places(choice["therapist_id"], 0)
    refused = desk.put(choice["episode_id"], ended_on=None, ending=None)
    assert refused.status_code == 409
    assert "even_if_full" in refused.json()["detail"]
    forced = desk.put(choice["episode_id"], ended_on=None, ending=None, even_if_full=True)
    assert (forced.status_code, forced.json()["place"]["status"]) == (200, "over_capacity")


def test_a_choice_that_expired_needs_a_place_again_when_it_starts_late(desk: "Desk") -> None:
    choice = chosen(desk)
    other = desk.ask(k=100)
    desk.moment = NOW + dt.timedelta(days=20)
    assert desk.client.get(f"/v1/episodes/{choice['episode_id']}").json()["state"] == "expired"
    sent = {"kind": "overridden", "reason": "other", "therapist_id": choice["therapist_id"]}
    assert desk.choose(other, **sent).status_code == 201
    refused = desk.put(choice["episode_id"], started_on="2026-10-20")
    assert refused.status_code == 409
    assert "had expired" in refused.json()["detail"]
    desk.moment = NOW + dt.timedelta(days=40)
    started = desk.put(choice["episode_id"], started_on="2026-10-20")
    assert (started.status_code, started.json()["place"]["status"]) == (200, "kept")


def test_a_course_that_was_booked_elsewhere_takes_a_place_and_is_true_even_where_there_is_none(desk: "Desk") -> None:
    desk.leave_places("t-00000", 1)
    first = desk.begin("e-1")
    assert (first["state"], first["place"]["status"], first["assigned_by"]) == ("started", "kept", "staff")
    second = desk.begin("e-2", started_on=None, starts_at="2026-10-05T17:00:00Z")
    assert (second["state"], second["place"]["status"]) == ("held", "over_capacity")
    assert "more open cases than places" in second["place"]["words"]
    elsewhere = desk.begin("e-3", therapist_id="t-99999")
    assert elsewhere["place"]["status"] == "not_listed"
    over = desk.begin("e-4", ended_on="2026-09-20", ending="planned", assigned_by="random")
    assert (over["place"]["status"], over["assigned_by"]) == ("free", "random")
    assert [one["episode_id"] for one in taken(desk, "t-00000")] == ["e-1", "e-2"]


def test_a_new_course_says_whose_it_is(desk: "Desk") -> None:
    assert desk.put("e-1", started_on="2026-09-01").status_code == 404
    refused = desk.put("e-1", started_on="2026-09-01", therapist_id="t-00000")
    assert refused.status_code == 422
    assert [one["field"] for one in refused.json()["problems"]] == ["client_id"]


def test_a_course_stays_with_its_client_and_its_therapist(desk: "Desk") -> None:
    desk.begin("e-1")
    for sent in ({"therapist_id": "t-00001"}, {"client_id": "c-2"}, {"matched_on": "2026-08-01"}):
        refused = desk.put("e-1", **sent)
        assert refused.status_code == 409
        assert next(iter(sent)) in refused.json()["detail"]
    same = {"client_id": "c-1042", "therapist_id": "t-00000", "started_on": "2026-09-01"}
    assert desk.put("e-1", **same).status_code == 200


def test_the_example_records_a_course(desk: "Desk") -> None:
    response = desk.client.put("/v1/episodes/e-1042", json=EXAMPLE_COURSE)
    assert response.status_code == 201, response.text
    assert response.headers["location"] == "/v1/episodes/e-1042"


def test_courses_as_they_are_on_record_make_a_dataset_without_problems(desk: "Desk", tmp_path: Path) -> None:
    """Also where a questionnaire was answered days before anybody was asked for."""
    answer = desk.ask(measures=[{"instrument": "phq9", "item": 0, "value": 14, "taken_on": "2026-09-20"}])
    episode = desk.choose(answer, therapist_id=answer["recommendations"][0]["therapist_id"]).json()["episode_id"]
    desk.ask(client={**desk.body["client"], "client_id": "c-2"}, measures=[{**PHQ9, "taken_on": "2026-09-20"}])
    desk.begin("e-5", therapist_id="t-00001", referred_on="2026-08-20", matched_on="2026-08-28")
    desk.moment = NOW + dt.timedelta(days=3)
    assert desk.put(episode, started_on="2026-10-03", sessions_attended=1).status_code == 200
    for measured in (
        desk.measure({**PHQ9, "taken_on": "2026-10-03"}, episode_id=episode),
        desk.measure({**PHQ9, "taken_on": "2026-08-20"}, episode_id="e-5", session=0),
    ):
        assert measured.status_code == 200, measured.text
    exported = export(desk.engine, tmp_path / "served", desk.moment, desk.tenant)
    assert (exported.tables["episodes"], exported.tables["measures"]) == (3, 4)


def test_a_course_that_a_loaded_dataset_counts_too_is_counted_once_and_frees_its_place(
    desk: "Desk", clinic: "tuple[Dataset, Truth]"
) -> None:
    frames = dict(clinic[0].frames)
    frames["therapists"] = frames["therapists"].drop(columns=["caseload", "caseload_on"], errors="ignore")
    load_directory(desk.engine, from_dataset(Dataset(clinic[0].manifest, frames)), NOW, desk.tenant)
    held = next(one["therapist_id"] for one in desk.ask()["recommendations"] if one["therapist_id"] != "t-00000")
    alone = {therapist: cases(desk, therapist) for therapist in ("t-00000", held)}
    choice = desk.choose(desk.ask(), kind="overridden", reason="other", therapist_id=held).json()["episode_id"]
    desk.begin("e-5")
    courses = frames["episodes"].iloc[:2].assign(episode_id=[choice, "e-5"], therapist_id=[held, "t-00000"])
    courses[["ended_on", "ending", "started_on", "sessions_attended"]] = None
    frames["episodes"] = pd.concat([frames["episodes"], courses.astype(frames["episodes"].dtypes)], ignore_index=True)
    for _ in range(2):
        load_directory(desk.engine, from_dataset(Dataset(clinic[0].manifest, frames)), NOW, desk.tenant)
        assert {therapist: cases(desk, therapist) - 1 for therapist in alone} == alone
    assert desk.put("e-5", **ENDED).json()["place"]["status"] == "free"
    assert cases(desk, "t-00000") == alone["t-00000"]
    desk.moment = NOW + dt.timedelta(days=15)
    assert cases(desk, held) == alone[held]


def cases(desk: "Desk", therapist_id: str) -> int:
    return open_cases(desk.on_record(therapist_id)["caseload"], desk.moment)


def test_another_tenant_and_another_scope_are_told_nothing_of_a_course(desk: "Desk") -> None:
    desk.begin("e-1")
    south = desk.elsewhere("platform")
    assert south.get("/v1/episodes/e-1").status_code == 404
    assert desk.put("e-1", south, **ENDED).status_code == 404
    mine = desk.put("e-1", south, client_id="c-1", therapist_id="t-00000")
    assert (mine.status_code, mine.json()["place"]["status"]) == (201, "not_listed")
    assert desk.client.get("/v1/episodes/e-1").json()["client_id"] == "c-1042"
    assert len(desk.rows(EPISODES)) == 1
    assert desk.put("e-1", desk.as_("auditor"), **ENDED).status_code == 403
    assert desk.as_("auditor").get("/v1/episodes/e-1").status_code == 200
    assert desk.as_("admin").get("/v1/episodes/e-1").status_code == 403
