"""The directory in SQL: versions under one counter, readable as they were, one tenant blind to another."""

import datetime as dt
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.database import connect, writing
from data.directory import DirectoryData, DirectoryMeta, keeping_booked, open_cases
from data.errors import NotReadyError
from data.loading import load
from data.sql import DIRECTORY_ENTRIES, TENANT
from data.versions import change, changes_since, current, latest_version, read_directory, take_turn

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
META = DirectoryMeta(name="tiny", rules=("capacity",))


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


def a_directory(*therapists: str, **kinds: dict[str, Any]) -> DirectoryData:
    entries: dict[str, dict[str, Any]] = {
        "profile": {name: {"languages": "en", "caseload_capacity": 3} for name in therapists},
        "licences": {name: [] for name in therapists},
        "slots": {name: {"rows": []} for name in therapists},
        "caseload": {name: {"open_cases": 0} for name in therapists},
    }
    return DirectoryData(0, "tiny@1", META, {**entries, **kinds})


def changed(engine: sa.Engine, entries: dict[str, dict[str, Any]], tenant: str = TENANT) -> int:
    with writing(engine) as connection:
        return change(connection, tenant, "test", entries, NOW)


def at(engine: sa.Engine, version: int | None = None) -> dict[str, Any]:
    found = read_directory(engine, version=version)
    assert found is not None
    return dict(found.entries)


def test_a_change_is_one_new_version_of_what_it_names_and_nothing_else(engine: sa.Engine) -> None:
    load(engine, a_directory("t1", "t2"), NOW)
    assert changed(engine, {"caseload": {"t1": {"open_cases": 2}}, "profile": {"t2": None}}) == 2
    assert latest_version(engine) == 2
    entries = at(engine)
    assert entries["caseload"] == {"t1": {"open_cases": 2}, "t2": {"open_cases": 0}}
    assert list(entries["profile"]) == ["t1"]


def test_the_past_stays_readable_as_it_was(engine: sa.Engine) -> None:
    load(engine, a_directory("t1"), NOW)
    before = read_directory(engine)
    changed(engine, {"profile": {"t1": None}})
    assert read_directory(engine, version=1) == before
    assert at(engine)["profile"] == {}
    assert read_directory(engine, version=0) is None


def test_changes_since_a_version_name_the_newest_payload_of_what_changed(engine: sa.Engine) -> None:
    load(engine, a_directory("t1", "t2"), NOW)
    changed(engine, {"caseload": {"t1": {"open_cases": 1}}})
    changed(engine, {"caseload": {"t1": {"open_cases": 2}}, "price": {"t2": {"price": 0.1, "until": "2026-03-02"}}})
    changed(engine, {"slots": {"t2": None}})
    with engine.connect() as connection:
        found = changes_since(connection, TENANT, 1)
        later = changes_since(connection, TENANT, 4)
    assert found is not None
    assert later is not None
    assert (found.version, found.source, found.meta) == (4, "test", META)
    assert {kind: payloads for kind, payloads in found.entries.items() if payloads} == {
        "caseload": {"t1": {"open_cases": 2}},
        "price": {"t2": {"price": 0.1, "until": "2026-03-02"}},
        "slots": {"t2": None},
    }
    assert not any(later.entries.values())


steps = st.lists(
    st.dictionaries(
        st.sampled_from(["profile", "slots", "caseload", "price"]),
        st.dictionaries(st.sampled_from(["t1", "t2", "t3"]), st.none() | st.integers(0, 3).map(lambda n: {"n": n})),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_a_directory_and_its_changes_since_make_the_directory_that_is_read_whole(
    engine: sa.Engine, steps: list[dict[str, dict[str, Any]]]
) -> None:
    start = load(engine, a_directory("t1", "t2"), NOW)
    for step in steps:
        changed(engine, step)
    with engine.connect() as connection:
        for version in range(start, start + len(steps) + 1):
            found = changes_since(connection, TENANT, version)
            assert found is not None
            then = at(engine, version)
            merged = {kind: {**then[kind], **found.entries[kind]} for kind in then}
            listed = {kind: {name: one for name, one in of.items() if one is not None} for kind, of in merged.items()}
            assert listed == at(engine)


def test_what_is_on_record_of_one_therapist_is_their_newest_payloads(engine: sa.Engine) -> None:
    load(engine, a_directory("t1", "t2"), NOW)
    changed(engine, {"caseload": {"t1": {"open_cases": 1}}, "slots": {"t1": None}})
    with engine.connect() as connection:
        found = current(connection, TENANT, "t1")
        assert current(connection, TENANT, "t9") == {}
        assert current(connection, "other", "t1") == {}
    assert found == {
        "profile": {"languages": "en", "caseload_capacity": 3},
        "licences": [],
        "caseload": {"open_cases": 1},
    }


def test_tenants_have_directories_of_their_own(engine: sa.Engine) -> None:
    load(engine, a_directory("t1"), NOW, tenant="one")
    assert read_directory(engine, tenant="two") is None
    assert latest_version(engine, "two") is None
    assert latest_version(engine, "one") == 1
    load(engine, a_directory("t2"), NOW, tenant="two")
    assert changed(engine, {"profile": {"t2": None}}, "two") == 2
    assert latest_version(engine, "one") == 1


def test_a_tenant_without_a_directory_is_told_how_to_get_one(engine: sa.Engine) -> None:
    with pytest.raises(NotReadyError, match="data load"):
        changed(engine, {"profile": {"t1": {}}})
    with engine.connect() as connection:
        assert changes_since(connection, TENANT, 0) is None


def test_changes_made_at_once_are_versions_one_after_the_other_and_none_is_lost(engine: sa.Engine) -> None:
    load(engine, a_directory("t1"), NOW)

    def add_one() -> None:
        with writing(engine) as connection:
            take_turn(connection, TENANT)
            cases = current(connection, TENANT, "t1")["caseload"]["open_cases"]
            change(connection, TENANT, "test", {"caseload": {"t1": {"open_cases": cases + 1}}}, NOW)

    writers = [threading.Thread(target=add_one) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert latest_version(engine) == 9
    assert at(engine)["caseload"]["t1"]["open_cases"] == 8


def test_a_tenant_does_not_wait_for_another_tenants_writer(new_database: Any, tmp_path: Any) -> None:
    engine = connect(new_database("postgresql", tmp_path))  # on SQLite all writers take turns
    load(engine, a_directory("t1"), NOW, tenant="one")
    load(engine, a_directory("t1"), NOW, tenant="two")
    with writing(engine) as slow:
        take_turn(slow, "one")
        with writing(engine) as connection:
            connection.execute(sa.text("SET LOCAL lock_timeout = '2s'"))
            assert change(connection, "two", "test", {}, NOW) == 2
    engine.dispose()


def test_loading_a_dataset_keeps_places_that_it_does_not_count_itself(engine: sa.Engine) -> None:
    load(engine, a_directory("t1"), NOW)
    later = (NOW + dt.timedelta(days=1)).isoformat()
    over = (NOW - dt.timedelta(days=1)).isoformat()
    started = {"episode_id": "e1", "until": None}
    waiting = {"episode_id": "e2", "until": later}
    counted = {"episode_id": "e3", "until": None}
    expired = {"episode_id": "e4", "until": over}
    taken = [started, waiting, counted, expired]
    changed(engine, {"caseload": {"t1": {"open_cases": 0, "taken": taken}}})
    again = a_directory("t1", caseload={"t1": {"open_cases": 1}})
    load(engine, DirectoryData(0, "tiny@2", META, again.entries, frozenset({"e3"})), NOW)
    assert at(engine)["caseload"]["t1"] == {"open_cases": 1, "taken": [started, waiting]}


def test_places_of_a_therapist_who_leaves_and_comes_back_are_still_taken(engine: sa.Engine) -> None:
    load(engine, a_directory("t1", "t2"), NOW)
    taken = [{"episode_id": "e1", "until": None}]
    changed(engine, {"caseload": {"t2": {"open_cases": 0, "taken": taken}}})
    load(engine, a_directory("t1"), NOW)
    assert list(at(engine)["profile"]) == ["t1"]
    load(engine, a_directory("t1", "t2"), NOW)
    assert at(engine)["caseload"]["t2"]["taken"] == taken


def test_loading_a_dataset_keeps_slots_booked_that_an_open_choice_holds(engine: sa.Engine) -> None:
    booked = {"starts_at": "2026-03-05T09:00:00Z", "status": "booked", "episode_id": "e1"}
    free = {"starts_at": "2026-03-05T09:00:00Z", "status": "free"}
    other = {"starts_at": "2026-03-04T09:00:00Z", "status": "free"}
    load(engine, a_directory("t1"), NOW)
    taken = [{"episode_id": "e1", "until": None}]
    changed(engine, {"caseload": {"t1": {"open_cases": 0, "taken": taken}}, "slots": {"t1": {"rows": [booked]}}})
    load(engine, a_directory("t1", slots={"t1": {"rows": [free, other], "updated_at": "2026-03-01"}}), NOW)
    assert at(engine)["slots"]["t1"] == {"rows": [other, booked], "updated_at": "2026-03-01"}


def test_a_slot_is_given_back_when_the_choice_that_held_it_has_expired() -> None:
    before = {"rows": [{"starts_at": "2026-03-05T09:00:00Z", "status": "booked", "episode_id": "e1"}]}
    free = [{"starts_at": "2026-03-05T09:00:00Z", "status": "free"}]
    caseload = {"open_cases": 0, "taken": [{"episode_id": "e1", "until": NOW.isoformat()}]}
    assert keeping_booked(free, before, caseload, NOW) == free


def test_a_place_is_taken_until_its_choice_expires_and_for_good_once_started() -> None:
    taken = [{"episode_id": "e1", "until": None}, {"episode_id": "e2", "until": "2026-03-01T12:00:00Z"}]
    caseload = {"open_cases": 3, "taken": taken}
    assert open_cases(caseload, NOW - dt.timedelta(microseconds=1)) == 5
    assert open_cases(caseload, NOW) == 4


def test_what_did_not_change_is_not_written_again(engine: sa.Engine) -> None:
    load(engine, a_directory("t1", "t2"), NOW)
    load(engine, a_directory("t1", "t2", caseload={"t1": {"open_cases": 1}, "t2": {"open_cases": 0}}), NOW)
    written = sa.select(DIRECTORY_ENTRIES.c.kind, DIRECTORY_ENTRIES.c.therapist_id)
    with engine.connect() as connection:
        rows = connection.execute(written.where(DIRECTORY_ENTRIES.c.version == 2)).all()
    assert [tuple(row) for row in rows] == [("caseload", "t1")]
