"""The directory as a platform keeps it: written whole, held to the contract, never behind somebody's back."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
import sqlalchemy as sa

from data.database import connect, writing
from data.directory import DirectoryMeta
from data.errors import ConflictError, NotFoundError, PreconditionError, RequestError
from data.sql import TENANT
from data.tables import LICENCES, SLOTS, THERAPISTS
from data.versions import change, current, latest_version, read_directory
from serving.listing import therapists
from serving.listing.bulk import BulkAnswer, Mode, put_all
from serving.listing.bulk_body import body_schema, kinds, read_body
from serving.listing.profiles import Licence, Slot, Slots, TherapistProfile
from serving.listing.therapists import At, Stored
from serving.routes.therapists import EXAMPLE_BULK, EXAMPLE_PROFILE, EXAMPLE_SLOTS

if TYPE_CHECKING:
    from tests.serving.conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, tzinfo=dt.UTC)
AT = At.of(NOW, dt.UTC, {"travel": "number", "room": "code", "diary": "text"})
META = DirectoryMeta(name="tiny", rules=("capacity",))
PROFILE: dict[str, Any] = {"gender": "woman", "languages": ["en", "tr"], "caseload_capacity": 3, "accepts_new": True}
LICENCE = {"jurisdiction": "US-CA", "kind": "full", "valid_from": "2020-01-01"}
T = TypeVar("T")


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


@pytest.fixture
def known(engine: sa.Engine) -> sa.Engine:
    """A database in which t1 is listed."""
    in_one(engine, lambda found: change(found, TENANT, "test", {"profile": {"t1": {"gender": "man"}}}, NOW, META))
    return engine


def in_one(engine: sa.Engine, work: Callable[[sa.Connection], T]) -> T:
    with writing(engine) as connection:
        return work(connection)


def put(engine: sa.Engine, name: str, if_match: str | None = None, at: At = AT, **columns: Any) -> Stored:
    sent = TherapistProfile.model_validate(columns)
    return in_one(engine, lambda found: therapists.put(found, TENANT, name, sent, if_match, at))


def remove(engine: sa.Engine, name: str, if_match: str | None = None) -> int:
    return in_one(engine, lambda found: therapists.remove(found, TENANT, name, if_match, AT))


def put_slots(engine: sa.Engine, name: str, *slots: dict[str, Any], if_match: str | None = None) -> Stored:
    sent = Slots.model_validate({"slots": slots})
    return in_one(engine, lambda found: therapists.put_slots(found, TENANT, name, sent, if_match, AT))


def bulk(engine: sa.Engine, mode: Mode, *rows: Any, **head: Any) -> BulkAnswer:
    body = json.dumps({"therapists": rows, **head}).encode()
    with engine.connect() as connection:
        sent = read_body(body, kinds(connection, TENANT, AT), AT)
    return in_one(engine, lambda found: put_all(found, TENANT, sent, mode, AT))


def on_record(engine: sa.Engine, name: str) -> dict[str, Any]:
    with engine.connect() as connection:
        return current(connection, TENANT, name)


def names(engine: sa.Engine) -> list[str]:
    found = read_directory(engine)
    return sorted(found.entries["profile"]) if found else []


def fields(found: pytest.ExceptionInfo[RequestError]) -> set[str]:
    return {one.where for one in found.value.problems}


def test_a_therapist_is_kept_as_sent_and_read_back_in_the_same_form(known: sa.Engine) -> None:
    stored = put(known, "t2", **PROFILE, licences=[LICENCE], travel=1.5)
    assert stored.created
    assert on_record(known, "t2") == {
        "profile": {**PROFILE, "languages": "en|tr", "profile_updated_on": "2026-10-01", "travel": 1.5},
        "licences": [{**LICENCE, "status": "active"}],
        "caseload": {"open_cases": 0},
    }
    with known.connect() as connection:
        again = therapists.read(connection, TENANT, "t2")
    assert again == Stored(stored.content, stored.etag, 2)
    given = {name: value for name, value in again.content.items() if value is not None}
    assert given == {
        **PROFILE, "therapist_id": "t2", "profile_updated_on": "2026-10-01", "travel": 1.5,
        "licences": [{**LICENCE, "status": "active", "valid_until": None}],
    }  # fmt: skip
    found = read_directory(known)
    assert found is not None
    assert found.meta.therapist_kinds == {"travel": "number"}


def test_a_put_replaces_what_is_left_out_becomes_unknown_and_the_past_stays(known: sa.Engine) -> None:
    assert not put(known, "t1", caseload_capacity=4).created
    assert "gender" not in on_record(known, "t1")["profile"]
    then = read_directory(known, version=1)
    assert then is not None
    assert then.entries["profile"] == {"t1": {"gender": "man"}}


def test_the_same_again_is_no_new_version(known: sa.Engine) -> None:
    first = put(known, "t2", **PROFILE)
    again = put(known, "t2", **PROFILE)
    assert (again.version, again.etag) == (first.version, first.etag)
    assert latest_version(known) == 2


def test_places_taken_here_stay_taken_whatever_is_sent(known: sa.Engine) -> None:
    taken = [{"episode_id": "e1", "until": None}]
    caseload = {"t1": {"open_cases": 5, "taken": taken}}
    in_one(known, lambda found: change(found, TENANT, "test", {"caseload": caseload}, NOW))
    put(known, "t1", gender="man")
    assert on_record(known, "t1")["caseload"] == caseload["t1"]
    put(known, "t1", gender="man", caseload=2)
    kept = {"open_cases": 2, "counted_on": "2026-10-01", "taken": taken}
    assert on_record(known, "t1")["caseload"] == kept
    remove(known, "t1")
    assert on_record(known, "t1") == {"caseload": kept}
    put(known, "t1", gender="man")
    assert on_record(known, "t1")["caseload"] == kept


def test_who_is_removed_is_not_listed_and_cannot_be_removed_twice(known: sa.Engine) -> None:
    remove(known, "t1")
    assert names(known) == []
    with pytest.raises(NotFoundError):
        remove(known, "t1")
    with known.connect() as connection, pytest.raises(NotFoundError):
        therapists.read(connection, TENANT, "t1")


def test_a_change_based_on_an_older_state_is_refused(known: sa.Engine) -> None:
    first = put(known, "t1", gender="man").etag
    second = put(known, "t1", if_match=first, gender="woman").etag
    assert first != second
    with pytest.raises(PreconditionError, match="GET"):
        put(known, "t1", if_match=first, gender="man")
    with pytest.raises(PreconditionError):
        remove(known, "t1", if_match=first)
    put(known, "t1", if_match="*", gender="woman", faith="none")
    third = put(known, "t1", if_match=f'"other", {put(known, "t1", gender="man").etag}', gender="man").etag
    assert remove(known, "t1", if_match=third)


def test_nothing_is_there_to_match_for_somebody_who_is_not_listed(known: sa.Engine) -> None:
    with pytest.raises(PreconditionError):
        put(known, "t9", if_match="*", gender="man")
    assert names(known) == ["t1"]


def test_the_mark_changes_with_licences_too(known: sa.Engine) -> None:
    assert put(known, "t1", licences=[LICENCE]).etag != put(known, "t1", licences=[]).etag


def test_a_tenant_without_a_directory_is_told_how_to_get_one(engine: sa.Engine) -> None:
    with pytest.raises(ConflictError, match="bulk"):
        put(engine, "t1", gender="man")


def test_every_problem_of_a_profile_is_told_at_once_and_no_value_is(known: sa.Engine) -> None:
    with pytest.raises(RequestError) as found:
        put(
            known, "t2", birth_year=2000, practising_since=2010, profile_updated_on="2026-10-02",
            caseload_on="2026-10-01", travel="far away", room="Room 5", diary="a secret", motto="Carpe diem",
            licences=[LICENCE, LICENCE, {**LICENCE, "kind": "compact", "valid_until": "2019-01-01"}],
        )  # fmt: skip
    assert fields(found) == {
        "practising_since", "profile_updated_on", "caseload_on", "travel", "room", "diary", "motto", "licences[1]",
        "licences[2].valid_until",
    }  # fmt: skip
    assert not any(value in str(found.value) for value in ("far away", "Room 5", "secret", "Carpe"))
    assert names(known) == ["t1"]


@pytest.mark.parametrize("year", [1900, 2027])
def test_a_year_beyond_a_life_is_a_slip(known: sa.Engine, year: int) -> None:
    with pytest.raises(RequestError) as found:
        put(known, "t2", birth_year=year)
    assert fields(found) == {"birth_year"}


@pytest.mark.parametrize(
    "columns",
    [
        {"gender": "Ms Smith"},
        {"languages": ["mail@example.org"]},
        {"payers": ["a|b"]},
        {"age_groups": ["adult", "old"]},
        {"npi": "1234567890"},
        {"npi": "123456789"},
        {"style_homework": 1.1},
        {"accepts_new": "perhaps"},
        {"interpersonal_skill": True},
        {"licences": [{**LICENCE, "kind": "special"}]},
        {"licences": [{**LICENCE, "valid_from": "soon"}]},
        {"licences": [{**LICENCE, "name": "A. B."}]},
    ],
)
def test_what_the_contract_does_not_allow_is_refused(columns: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        TherapistProfile.model_validate(columns)


def test_a_provider_identifier_whose_check_digit_fits_is_taken() -> None:
    assert TherapistProfile(npi="1234567893").npi == "1234567893"  # the example of the CMS's own text


def test_every_column_of_the_contract_can_be_sent_and_no_other() -> None:
    own = set(TherapistProfile.model_fields) - {"licences"}
    assert own == set(THERAPISTS.names) - {"therapist_id"}
    assert set(Licence.model_fields) == set(LICENCES.names) - {"therapist_id"}
    assert set(Slot.model_fields) == set(SLOTS.names) - {"therapist_id"}


@pytest.mark.parametrize(
    "column", [one for one in THERAPISTS.columns if one.high is not None], ids=lambda one: one.name
)
def test_ranges_are_those_of_the_contract(column: Any) -> None:
    low, high = int(column.low), int(column.high)
    for value in (low, high):
        assert getattr(TherapistProfile.model_validate({column.name: value}), column.name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=column.name):
            TherapistProfile.model_validate({column.name: value})


SLOT = {"starts_at": "2026-10-05T11:00:00+02:00", "ends_at": "2026-10-05T11:50:00+02:00", "modality": "video"}


def test_slots_are_kept_in_order_of_time_in_utc_with_the_moment_they_were_given(known: sa.Engine) -> None:
    stored = put_slots(known, "t1", SLOT, {"starts_at": "2026-10-04T09:00Z", "status": "held"})
    assert on_record(known, "t1")["slots"] == {
        "rows": [
            {"starts_at": "2026-10-04T09:00:00Z", "status": "held"},
            {**SLOT, "starts_at": "2026-10-05T09:00:00Z", "ends_at": "2026-10-05T09:50:00Z", "status": "free"},
        ],
        "updated_at": "2026-10-01T09:00:00+00:00",
    }
    with known.connect() as connection:
        assert therapists.read_slots(connection, TENANT, "t1") == stored
    put_slots(known, "t1")
    assert on_record(known, "t1")["slots"]["rows"] == []


def test_slots_that_are_past_reversed_or_overlapping_are_refused_all_at_once(known: sa.Engine) -> None:
    reversed_ = {"starts_at": "2026-10-06T11:00Z", "ends_at": "2026-10-06T10:00Z"}
    across = {"starts_at": "2026-10-05T09:30Z", "ends_at": "2026-10-05T10:00Z"}
    with pytest.raises(RequestError) as found:
        put_slots(known, "t1", SLOT, {"starts_at": "2025-10-05T11:00Z"}, reversed_, across, SLOT)
    assert fields(found) == {"slots[1].starts_at", "slots[2].ends_at", "slots[3]", "slots[4]"}
    assert "slots" not in on_record(known, "t1")


def test_slots_one_after_the_other_and_one_that_has_just_begun_are_fine(known: sa.Engine) -> None:
    just = {"starts_at": "2026-10-01T08:55Z", "ends_at": "2026-10-01T09:45Z"}
    then = {"starts_at": "2026-10-01T09:45Z", "ends_at": "2026-10-01T10:30Z"}
    assert len(put_slots(known, "t1", just, then).content["slots"]) == 2


BOOKED = {
    "starts_at": "2026-10-05T09:00:00Z",
    "ends_at": "2026-10-05T09:50:00Z",
    "status": "booked",
    "episode_id": "e1",
}


@pytest.fixture
def held(known: sa.Engine) -> sa.Engine:
    """t1 has one slot, which an open choice holds."""
    entries: dict[str, dict[str, Any]] = {
        "slots": {"t1": {"rows": [BOOKED]}},
        "caseload": {"t1": {"open_cases": 0, "taken": [{"episode_id": "e1", "until": "2026-10-12T09:00:00+00:00"}]}},
    }
    in_one(known, lambda found: change(found, TENANT, "test", entries, NOW))
    return known


@pytest.mark.parametrize("sent", [[], [SLOT]])
def test_a_slot_that_an_open_choice_holds_stays_booked(held: sa.Engine, sent: list[dict[str, Any]]) -> None:
    put_slots(held, "t1", *sent)
    assert on_record(held, "t1")["slots"]["rows"] == [BOOKED]


def test_no_slot_may_lie_across_one_that_an_open_choice_holds(held: sa.Engine) -> None:
    across = {"starts_at": "2026-10-05T09:30Z", "ends_at": "2026-10-05T10:00Z"}
    with pytest.raises(RequestError) as found:
        put_slots(held, "t1", across)
    assert fields(found) == {"slots[0]"}
    with pytest.raises(RequestError) as found:
        bulk(held, "merge", {"therapist_id": "t1", "slots": [across]})
    assert fields(found) == {"therapists[0].slots[0]"}


def test_a_held_slot_outlives_that_its_therapist_is_not_listed_for_a_while(held: sa.Engine) -> None:
    remove(held, "t1")
    put(held, "t1", gender="man")
    put_slots(held, "t1")
    assert on_record(held, "t1")["slots"]["rows"] == [BOOKED]


def test_a_slot_whose_choice_expired_can_be_given_anew(held: sa.Engine) -> None:
    later = At.of(dt.datetime(2026, 10, 12, 9, tzinfo=dt.UTC), dt.UTC, {})
    none = Slots(slots=[])
    stored = in_one(held, lambda found: therapists.put_slots(found, TENANT, "t1", none, None, later))
    assert stored.content["slots"] == []


def test_slots_changed_in_between_are_noticed(known: sa.Engine) -> None:
    first = put_slots(known, "t1", SLOT).etag
    put_slots(known, "t1", if_match=first)
    with pytest.raises(PreconditionError):
        put_slots(known, "t1", SLOT, if_match=first)
    with pytest.raises(NotFoundError):
        put_slots(known, "t9", SLOT)


def test_a_list_is_read_page_by_page_in_one_order(known: sa.Engine) -> None:
    marks = {name: put(known, name, gender="man").etag for name in ("t4", "t1", "t3", "t2", "t5")}
    remove(known, "t3")
    pages: list[dict[str, str]] = []
    cursor: str | None = None
    with known.connect() as connection:
        while cursor is not None or not pages:
            rows, cursor = therapists.listed(connection, TENANT, 2, cursor or "")
            pages.append({row["therapist_id"]: row["etag"] for row in rows})
    assert pages == [{"t1": marks["t1"], "t2": marks["t2"]}, {"t4": marks["t4"], "t5": marks["t5"]}]


def row(name: str, **columns: Any) -> dict[str, Any]:
    return {"therapist_id": name, **PROFILE, **columns}


def test_a_new_directory_is_sent_whole_with_the_rules_it_can_answer(engine: sa.Engine) -> None:
    with pytest.raises(ConflictError, match="replace"):
        bulk(engine, "merge", row("t1"), name="new", rules=["capacity"])
    with pytest.raises(RequestError) as found:
        bulk(engine, "replace", row("t1"))
    assert fields(found) == {"name", "rules"}
    answer = bulk(engine, "replace", row("t1", slots=[SLOT]), row("t2", room="a"), name="new", rules=["capacity"])
    assert answer == BulkAnswer(version=1, listed=2, created=2, replaced=0, unchanged=0, removed=0)
    data = read_directory(engine)
    assert data is not None
    assert data.meta == DirectoryMeta(name="new", rules=("capacity",), therapist_kinds={"room": "code"})
    assert data.entries["slots"]["t1"]["rows"][0]["starts_at"] == "2026-10-05T09:00:00Z"
    assert "t2" not in data.entries["slots"]


def test_a_rule_that_nothing_can_answer_would_exclude_everybody_and_is_refused(engine: sa.Engine) -> None:
    with pytest.raises(RequestError) as found:
        bulk(engine, "replace", row("t1"), name="new", rules=["capacity", "licence", "payer", "slot", "must"])
    assert fields(found) == {"rules[1]", "rules[2]"}


def test_merging_adds_and_replaces_those_named_and_writes_only_what_changed(known: sa.Engine) -> None:
    put(known, "t2", **PROFILE)
    answer = bulk(known, "merge", row("t1"), row("t2"), row("t3"))
    assert answer == BulkAnswer(version=3, listed=3, created=1, replaced=1, unchanged=1, removed=0)
    assert bulk(known, "merge", row("t2")).version == 3
    assert names(known) == ["t1", "t2", "t3"]


def test_replacing_lists_nobody_who_is_missing_and_keeps_what_choices_hold(held: sa.Engine) -> None:
    put(held, "t2", **PROFILE)
    answer = bulk(held, "replace", row("t2"), rules=[])
    assert (answer.listed, answer.removed, answer.unchanged) == (1, 1, 1)
    assert names(held) == ["t2"]
    assert on_record(held, "t1")["slots"]["rows"] == [BOOKED]
    assert bulk(held, "replace", row("t1", slots=[]), row("t2"))
    assert on_record(held, "t1")["slots"]["rows"] == [BOOKED]
    assert on_record(held, "t1")["caseload"]["taken"][0]["episode_id"] == "e1"


def test_one_bad_row_refuses_all_and_every_problem_is_named_by_its_place(known: sa.Engine) -> None:
    with pytest.raises(RequestError) as found:
        bulk(
            known, "replace", row("t1"), row("nobody"), row("t2", gender="Mrs X", motto="x"), row("t3", birth_year=2000,
            practising_since=2001), row("t1"), "t5", row("t6", slots=[SLOT, SLOT]), rules=["luck"], colour="red",
        )  # fmt: skip
    assert fields(found) == {
        "rules[0]", "colour", "therapists[1].therapist_id", "therapists[2].gender", "therapists[3].practising_since",
        "therapists[4].therapist_id", "therapists[5]", "therapists[6].slots[1]",
    }  # fmt: skip
    assert "Mrs X" not in str(found.value)
    assert names(known) == ["t1"]


def test_many_problems_are_counted_beyond_those_that_are_named(known: sa.Engine) -> None:
    with pytest.raises(RequestError, match="100 more problems"):
        bulk(known, "merge", *({"therapist_id": "x"} for _ in range(600)))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"therapists": 3}', b"{}"])
def test_a_body_that_is_no_list_of_therapists_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        read_body(body, {}, AT)


def test_the_form_of_the_body_is_told_in_one_piece() -> None:
    schema = body_schema()
    assert "$ref" not in json.dumps(schema)
    assert "therapist_id" in schema["properties"]["therapists"]["items"]["required"]


def ids(answer: httpx.Response) -> set[str]:
    return {one["therapist_id"] for one in answer.json()["recommendations"]}


def test_over_http_a_therapist_is_hidden_from_the_next_request_on(service: Any, body: dict[str, Any]) -> None:
    with service.as_("platform") as platform:
        shown = platform.post("/v1/recommendations", json={**body, "k": 100})
        gone, full, *_ = sorted(ids(shown))
        assert platform.delete(f"/v1/therapists/{gone}").status_code == 204
        record = platform.get(f"/v1/therapists/{full}")
        sent = {name: value for name, value in record.json().items() if name != "therapist_id"}
        headers = {"If-Match": record.headers["ETag"]}
        closed = platform.put(f"/v1/therapists/{full}", json={**sent, "accepts_new": False}, headers=headers)
        assert closed.status_code == 200
        assert ids(shown) - ids(platform.post("/v1/recommendations", json={**body, "k": 100})) >= {gone, full}
        stale = platform.put(f"/v1/therapists/{full}", json=sent, headers=headers)
        assert stale.status_code == 412
        opened = platform.put(f"/v1/therapists/{full}", json=sent, headers={"If-Match": closed.headers["ETag"]})
        assert opened.status_code == 200
        assert full in ids(platform.post("/v1/recommendations", json={**body, "k": 100}))


def test_over_http_the_examples_work_as_they_stand_and_may_be_sent_again(service: Any) -> None:
    with service.as_("platform") as platform, service.as_("auditor") as auditor:
        key = {"Idempotency-Key": "one"}
        made = platform.put("/v1/therapists/t-9001", json=EXAMPLE_PROFILE, headers=key)
        assert made.status_code == 201
        again = platform.put("/v1/therapists/t-9001", json=EXAMPLE_PROFILE, headers=key)
        assert (again.status_code, again.content) == (201, made.content)
        assert platform.put("/v1/therapists/t-9001/slots", json=EXAMPLE_SLOTS).status_code == 200
        key = {"Idempotency-Key": "two"}
        sent = platform.post("/v1/therapists:bulk?mode=merge", json=EXAMPLE_BULK, headers=key)
        assert sent.json()["created"] == 1
        assert platform.post("/v1/therapists:bulk?mode=merge", json=EXAMPLE_BULK, headers=key).content == sent.content
        page = auditor.get("/v1/therapists?limit=3").json()
        assert len(page["therapists"]) == 3
        assert auditor.get("/v1/therapists", params={"cursor": page["next_cursor"]}).status_code == 200
        assert auditor.get("/v1/therapists/t-9001").headers["ETag"] == made.headers["ETag"]
        assert auditor.get("/v1/therapists/t-9001/slots").json()["slots"] == []
        assert auditor.delete("/v1/therapists/t-9001").status_code == 403
        assert platform.delete("/v1/therapists/t-9002").status_code == 404
        wrong = platform.post("/v1/therapists:bulk?mode=merge", json={"therapists": [{"therapist_id": "Ann"}]})
        assert [one["field"] for one in wrong.json()["problems"]] == ["therapists[0].therapist_id"]


def test_over_http_a_new_tenant_sends_a_directory_and_is_answered_from_it(service: Any, body: dict[str, Any]) -> None:
    with service.as_("platform", tenant="new") as platform:
        assert platform.put("/v1/therapists/t-1", json=EXAMPLE_PROFILE).status_code == 409
        head = {"name": "new", "rules": ["licence", "capacity"]}
        sent = platform.post("/v1/therapists:bulk?mode=replace", json={**EXAMPLE_BULK, **head})
        assert sent.json()["listed"] == 1
        answer = platform.post("/v1/recommendations", json=body)
        assert answer.json()["counts"]["considered"] == 1


def test_a_dataset_served_as_it_stands_is_not_written_to(client: httpx.Client) -> None:
    for answer in (client.put("/v1/therapists/t-1", json=EXAMPLE_PROFILE), client.get("/v1/therapists")):
        assert answer.status_code == 409
        assert "data load" in answer.json()["detail"]


def test_an_empty_list_takes_nobody_off_the_directory(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    refused = client.post("/v1/therapists:bulk?mode=replace", json={"therapists": []})
    assert refused.status_code == 422
    assert "lists somebody" in refused.text
    assert client.post("/v1/recommendations", json=body).json()["counts"]["considered"] == 40
