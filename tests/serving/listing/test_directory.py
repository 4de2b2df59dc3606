"""The directory in memory: read whole or changed step by step, it is the same; places and prices are of the moment."""

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from data.database import connect, writing
from data.directory import KINDS, DirectoryData, DirectoryMeta
from data.loading import load
from data.versions import Changes, change, read_directory
from features.columns import Codes, Columns, Sets
from features.practice import Licences, Slots
from features.rows import THERAPIST_KINDS
from serving.listing.directory import Directory, newest
from serving.settings import Settings

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
DAY = np.datetime64("2026-03-01", "D")
META = DirectoryMeta(name="tiny", rules=("capacity",), therapist_kinds={"travel": "number", "room": "code"})
LATER, BEFORE = ((NOW + dt.timedelta(days=days)).isoformat() for days in (1, -1))

names = st.sampled_from([f"t{i}" for i in range(7)])
words = st.lists(st.sampled_from(["en", "tr", "de", "ps"]), min_size=1, max_size=3, unique=True).map("|".join)
profiles = st.fixed_dictionaries(
    {},
    optional={
        "profile_updated_on": st.sampled_from(["2026-01-01", "2025-06-30"]),
        "gender": st.sampled_from(["woman", "man", "non_binary"]),
        "languages": words,
        "specialties": words,
        "birth_year": st.integers(1950, 2000),
        "caseload_capacity": st.integers(0, 3),
        "accepts_new": st.booleans(),
        "travel": st.floats(0, 1),
        "room": st.sampled_from(["a", "b"]),
    },
)
licence_rows = st.lists(
    st.fixed_dictionaries(
        {
            "jurisdiction": st.sampled_from(["GB", "US-CA", "DE"]),
            "kind": st.just("full"),
            "valid_from": st.just("2020-01-01"),
        },
        optional={"valid_until": st.just("2030-01-01"), "status": st.sampled_from(["active", "suspended"])},
    ),
    max_size=2,
)
slot_rows = st.lists(
    st.fixed_dictionaries(
        {"starts_at": st.integers(1, 5).map(lambda day: f"2026-03-0{day}T09:00:00Z")},
        optional={"modality": st.sampled_from(["video", "phone"]), "status": st.sampled_from(["free", "booked"])},
    ),
    max_size=3,
    unique_by=lambda row: row["starts_at"],
)
slots = st.fixed_dictionaries({"rows": slot_rows}, optional={"updated_at": st.sampled_from(["2026-02-01", LATER])})
places = st.lists(
    st.fixed_dictionaries({"episode_id": st.just("e1"), "until": st.sampled_from([None, BEFORE, LATER])}), max_size=3
)
caseloads = st.fixed_dictionaries({"open_cases": st.integers(0, 3)}, optional={"taken": places})
prices = st.fixed_dictionaries({"price": st.floats(0, 1), "until": st.sampled_from([BEFORE, LATER])})
payloads = dict(zip(KINDS, (profiles, licence_rows, slots, caseloads, prices), strict=True))
steps = st.fixed_dictionaries(
    {}, optional={kind: st.dictionaries(names, st.none() | one, max_size=4) for kind, one in payloads.items()}
)


@pytest.fixture(scope="module")
def shared(new_database: Callable[[str, Path], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    """One database for all examples of a law; each has a tenant of its own."""
    engine = connect(new_database("sqlite", tmp_path_factory.mktemp("shared")))
    yield engine
    engine.dispose()


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


def same(one: Any, other: Any) -> bool:
    """Whether two values hold the same: arrays cell by cell, unknown equal to unknown."""
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fM")
    if is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return bool(one == other)


def told_of(directory: Directory) -> dict[str, Any]:
    """All that rules and model read, however it is kept."""
    now = directory.practice_on(NOW.date(), NOW)
    everything = {field.name: getattr(directory, field.name) for field in fields(Directory)}
    kept = {name: one for name, one in everything.items() if name not in ("cases", "costs", "profiles_at")}
    expiring = sorted(zip(directory.cases.row.tolist(), directory.cases.until.tolist(), strict=True))
    told = {"now": now, "expiring": expiring, "staying": directory.cases.staying}
    return {**kept, **told, "prices": directory.prices(NOW), "places": directory.places(NOW)}


def read_at_once(data: DirectoryData, told: Settings) -> dict[str, Any]:
    """What the tables of all therapists hold, put into arrays in one go."""
    profiles = data.entries["profile"]
    ids = sorted(profiles)
    table = {name: [profiles[one].get(name) for one in ids] for name in {n for p in profiles.values() for n in p}}
    hanging = {
        kind: [(row, one) for row, name in enumerate(ids) for one in of.get(name, [])]
        for kind, of in (
            ("licences", data.entries["licences"]),
            ("slots", {name: one["rows"] for name, one in data.entries["slots"].items()}),
        )
    }
    rows = {kind: ([row for row, _ in found], [one for _, one in found]) for kind, found in hanging.items()}
    return {
        "ids": tuple(ids),
        "columns": Columns.of(table, THERAPIST_KINDS | dict(data.meta.therapist_kinds), len(ids)),
        "licences": Licences.of(*rows["licences"]),
        "slots": Slots.of(*rows["slots"], told.zone),
    }


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(steps, min_size=1, max_size=5))
def test_a_directory_changed_step_by_step_is_the_one_that_is_read_whole(
    shared: sa.Engine, told: Settings, steps: list[dict[str, Any]]
) -> None:
    tenant, followed = uuid.uuid4().hex, None
    for step in steps:
        with writing(shared) as connection:
            change(connection, tenant, "a step", step, NOW, META)
        followed = newest(shared, told, tenant, followed)
        read = Directory.read(shared, told, tenant)
        assert followed is not None
        assert read is not None
        assert same(told_of(followed), told_of(read))
    data, read = read_directory(shared, tenant), Directory.read(shared, told, tenant)
    assert data is not None
    assert read is not None
    once = read_at_once(data, told)
    assert same(once["ids"], read.ids)
    assert same(once["licences"], read.practice.licences)
    assert same(once["slots"], read.practice.slots)
    assert same(once["columns"].sets, read.columns.sets)
    assert same(once["columns"].codes, read.columns.codes)
    assert same(once["columns"].numbers, read.columns.numbers)
    assert same(told_of(Directory.of(data, told)), told_of(read))


def a_directory(told: Settings, **kinds: dict[str, Any]) -> Directory:
    listed = {name: {"caseload_capacity": 3, "accepts_new": True, "birth_year": 1980} for name in ("t1", "t2")}
    counted = {name: {"open_cases": 1} for name in listed}
    return Directory.of(DirectoryData(1, "test", META, {"profile": listed, "caseload": counted, **kinds}), told)


def changes(**entries: dict[str, Any]) -> Changes:
    return Changes(2, "test", META, entries)


def test_a_place_that_nobody_came_for_is_free_when_its_choice_has_expired(told: Settings) -> None:
    taken = [{"episode_id": "e1", "until": None}, {"episode_id": "e2", "until": NOW.isoformat()}]
    directory = a_directory(told).changed(changes(caseload={"t1": {"open_cases": 1, "taken": taken}}), told)
    just_before = NOW - dt.timedelta(microseconds=1)
    assert directory.practice_on(NOW.date(), just_before).therapists.number("open_cases").tolist() == [3, 1]
    assert directory.practice_on(NOW.date(), NOW).therapists.number("open_cases").tolist() == [2, 1]
    assert directory.practice_on(NOW.date()).therapists.number("open_cases").tolist() == [3, 1]
    assert directory.places(just_before).tolist() == [0, 2]
    assert directory.places(NOW).tolist() == [1, 2]


def test_who_takes_no_new_clients_has_no_place_nor_has_who_is_over_full_or_unknown(told: Settings) -> None:
    capacity = {"caseload_capacity": 3}
    listed = {"t1": {**capacity, "accepts_new": False}, "t2": {**capacity, "accepts_new": True}, "t3": capacity}
    cases = {"t1": {"open_cases": 0}, "t2": {"open_cases": 5}, "t3": {"open_cases": 0}}
    assert a_directory(told, profile=listed, caseload=cases).places(NOW).tolist() == [0, 0, 0]


def test_ages_are_those_in_the_year_of_the_day(told: Settings) -> None:
    assert a_directory(told).practice_on(dt.date(2030, 1, 1)).therapists.number("age").tolist() == [50, 50]


def test_a_price_holds_until_it_runs_out_and_where_none_holds_there_is_none(told: Settings) -> None:
    directory = a_directory(told, price={"t2": {"price": 0.2, "until": NOW.isoformat()}})
    found = directory.prices(NOW - dt.timedelta(seconds=1))
    assert found is not None
    assert found.tolist() == [0, 0.2]
    assert directory.prices(NOW) is None
    assert a_directory(told).prices(NOW) is None


def test_slots_are_as_old_as_the_day_they_were_given(told: Settings) -> None:
    given = {"t1": {"rows": [], "updated_at": "2026-02-01"}, "t2": {"rows": []}}
    directory = a_directory(told, slots=given)
    assert directory.slots_age_days(0, DAY) == 28
    assert directory.slots_age_days(1, DAY) is None
    again = directory.changed(changes(slots={"t2": {"rows": [], "updated_at": "2026-03-01T23:00:00+00:00"}}), told)
    assert again.slots_age_days(1, DAY) == 0


def test_slots_that_were_kept_as_a_plain_list_are_still_read(told: Settings) -> None:
    directory = a_directory(told, slots={"t1": [{"starts_at": "2026-03-02T09:00:00Z"}]})
    assert directory.practice.slots.therapist.tolist() == [0]
    assert directory.practice.slots.of_therapist(0).tolist() == [0]
    assert directory.practice.slots.of_therapist(1).tolist() == []


def test_a_choice_leaves_everything_but_places_and_slots_as_it_is(told: Settings) -> None:
    directory = a_directory(told)
    later = directory.changed(changes(caseload={"t1": {"open_cases": 2}}, slots={"t1": {"rows": []}}), told)
    assert later.version == 2
    assert later.columns is directory.columns
    assert later.place is directory.place
    assert later.practice.licences is directory.practice.licences
    assert later.profiles_at == directory.profiles_at == 1
    assert directory.cases.at(None).tolist() == [1, 1]
    assert directory.changed(changes(profile={"t1": None}), told).profiles_at == 2


def test_new_rules_of_the_directory_hold_from_the_next_version(told: Settings) -> None:
    meta = META.model_copy(update={"rules": ("capacity", "slot")})
    assert a_directory(told).changed(Changes(2, "test", meta, {}), told).practice.rules == ("capacity", "slot")


def test_a_column_whose_kind_was_declared_anew_is_read_again(engine: sa.Engine, told: Settings) -> None:
    listed = {"t1": {"travel": "1"}}
    load(engine, DirectoryData(0, "one", META, {**empty(), "profile": listed}), NOW)
    before = newest(engine, told, "default")
    meta = META.model_copy(update={"therapist_kinds": {"travel": "code"}})
    load(engine, DirectoryData(0, "two", meta, {**empty(), "profile": listed}), NOW)
    after = newest(engine, told, "default", before)
    assert before is not None
    assert after is not None
    assert before.columns.number("travel").tolist() == [1]
    assert after.columns.code("travel").vocabulary == ("1",)


def empty() -> dict[str, dict[str, Any]]:
    return {kind: {} for kind in KINDS}


def test_there_is_no_directory_before_the_first(engine: sa.Engine, told: Settings) -> None:
    assert newest(engine, told, "default") is None


def test_the_past_is_read_as_it_was(engine: sa.Engine, told: Settings) -> None:
    data = DirectoryData(0, "one", META, {**empty(), "profile": {"t1": {"gender": "woman"}, "t2": {}}})
    load(engine, data, NOW)
    with writing(engine) as connection:
        change(connection, "default", "gone", {"profile": {"t1": None}}, NOW)
    then, now = (Directory.read(engine, told, version=version) for version in (1, None))
    assert then is not None
    assert now is not None
    assert (then.version, then.ids) == (1, ("t1", "t2"))
    assert (now.version, now.ids) == (2, ("t2",))


def test_the_same_is_told_apart_from_the_other() -> None:
    assert same(Codes.of(["a", None]), Codes.of(["a", None]))
    assert not same(Codes.of(["a", None]), Codes.of(["a", "a"]))
    assert not same(Sets.of(["a|b"]), Sets.of(["b|a"]))


def test_free_times_given_long_ago_are_a_caution_with_their_age(client: httpx.Client, body: dict[str, Any]) -> None:
    today = client.post("/v1/recommendations", json={**body, "k": 100}).json()
    later = dt.date.fromisoformat(today["as_of"]) + dt.timedelta(days=8)
    then = client.post("/v1/recommendations", json={**body, "k": 100, "as_of": later.isoformat()}).json()
    with_slots = [one for one in then["recommendations"] if one["next_slots"]]
    assert with_slots
    words = "The free times were given 8 days ago; please check them."
    assert all(words in one["cautions"] for one in with_slots)
    assert not any("free times were given" in said for one in today["recommendations"] for said in one["cautions"])
