"""The hard rules against a slow loop that anyone can read, and each rule on a case with an obvious answer."""

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import RequestError
from data.manifest import RULES
from features.columns import Columns
from features.eligibility import NEVER_RELAX, Judgement, age_groups_of, covers, judge, spoken
from features.practice import Ask, Licences, Practice, Slots, in_times
from features.preferences import widen
from features.rows import CLIENT_KINDS, THERAPIST_KINDS

DAY = dt.date(2026, 3, 2)  # a Monday
NOW = dt.datetime(2026, 3, 2, 8, 0)
TRAINING = {"ptsd": "trauma", "psychosis": "psychosis"}
Row = Mapping[str, Any]


def columns(rows: list[dict[str, Any]], kinds: Mapping[str, str]) -> Columns:
    """Rows as the builder sees them: sets joined by `|`, what a row lacks unknown."""
    names = sorted({name for row in rows for name in row if name not in ("therapist_id", "licences", "slots")})
    cell = {
        name: ["|".join(row[name]) or None if isinstance(row.get(name), list) else row.get(name) for row in rows]
        for name in names
    }
    return Columns.of(cell, kinds, len(rows))


def practice_of(therapists: list[dict[str, Any]], rules: tuple[str, ...] = RULES) -> Practice:
    place = [(i, one) for i, row in enumerate(therapists) for one in row.get("licences", [])]
    open_slots = [(i, one) for i, row in enumerate(therapists) for one in row.get("slots", [])]
    profile = columns(therapists, {**THERAPIST_KINDS, "open_cases": "number"})
    age = DAY.year - profile.number("birth_year")
    return Practice(
        profile.with_numbers(age=age),
        Licences.of([i for i, _ in place], [one for _, one in place]),
        Slots.of([i for i, _ in open_slots], [one for _, one in open_slots]),
        tuple(rule for rule in RULES if rule in rules),
        TRAINING,
    )


def ask_of(client: Row, wishes: list[dict[str, str]], excluded: list[int], days: int | None) -> Ask:
    window = None if days is None else (np.datetime64(NOW), np.datetime64(NOW + dt.timedelta(days=days)))
    return Ask(
        columns([{**client, **widen(wishes)}], CLIENT_KINDS),
        np.datetime64(DAY),
        np.datetime64(NOW),
        window,
        np.array(excluded, dtype=np.int64),
    )


# -- the slow loop ---------------------------------------------------------------------------------------------------


def slowly(therapist: Row, row: int, client: Row, wishes: list[dict[str, str]], excluded: list[int], days: int | None):
    """Every rule that excludes one therapist, written as a person would check it."""
    failed = set()
    if row in excluded:
        failed.add("conflict")
    if not any(licence_holds(one, client["jurisdiction"]) for one in therapist["licences"]):
        failed.add("licence")
    if not possible_groups(client["birth_year"]) <= set(therapist["age_groups"]):
        failed.add("age_group")
    if client["care_level"] not in therapist["care_levels"]:
        failed.add("care_level")
    if any(p in TRAINING and TRAINING[p] not in therapist["trained_for"] for p in client["problems"]):
        failed.add("training")
    if client["payer"] not in therapist["payers"]:
        failed.add("payer")
    if not client["interpreter"] and not set(client["languages"]) & set(therapist["languages"]):
        failed.add("language")
    if not set(client["modalities"]) & set(therapist["modalities"]):
        failed.add("modality")
    slots = [one for one in therapist["slots"] if can_take(one, client, days)]
    if not wishes_hold(therapist, wishes, slots):
        failed.add("must")
    room = therapist["open_cases"] is not None and therapist["caseload_capacity"] is not None
    if not (room and therapist["open_cases"] < therapist["caseload_capacity"] and therapist["accepts_new"]):
        failed.add("capacity")
    if not slots:
        failed.add("slot")
    return failed


def licence_holds(one: Row, jurisdiction: str) -> bool:
    if one["status"] == "suspended" or one["valid_from"] > DAY.isoformat():
        return False
    if one["valid_until"] is not None and one["valid_until"] < DAY.isoformat():
        return False
    if one["jurisdiction"] == "US":
        return False
    return jurisdiction == one["jurisdiction"] or jurisdiction.split("-")[0] == one["jurisdiction"]


def possible_groups(birth_year: int) -> set[str]:
    groups = set()
    for age in (DAY.year - birth_year - 1, DAY.year - birth_year):
        if age < 13:
            groups.add("child")
        elif age < 18:
            groups.add("adolescent")
        elif age < 65:
            groups.add("adult")
        else:
            groups.add("older_adult")
    return groups


def can_take(slot: Row, client: Row, days: int | None) -> bool:
    start = dt.datetime.fromisoformat(slot["starts_at"].removesuffix("Z"))
    inside = days is None or start <= NOW + dt.timedelta(days=days)
    return slot["status"] == "free" and start > NOW and inside and slot["modality"] in client["modalities"]


def wishes_hold(therapist: Row, wishes: list[dict[str, str]], slots: list[Row]) -> bool:
    mornings = [slot for slot in slots if int(slot["starts_at"][11:13]) < 12 and is_monday(slot)]
    for strength in ("must", "must_not"):
        for about in ("gender", "language", "time"):
            wanted = {w["value"] for w in wishes if w["about"] == about and w["strength"] == strength}
            if not wanted:
                continue
            if about == "time":
                kept = mornings if strength == "must" else [slot for slot in slots if slot not in mornings]
                slots = [slot for slot in slots if slot in kept]
                if not slots:
                    return False
                continue
            has = {therapist["gender"]} - {None} if about == "gender" else set(therapist["languages"])
            if not has or bool(has & wanted) != (strength == "must"):
                return False
    return True


def is_monday(slot: Row) -> bool:
    return dt.datetime.fromisoformat(slot["starts_at"].removesuffix("Z")).weekday() == 0


# -- random practices and clients ------------------------------------------------------------------------------------


def some(words: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(words), unique=True, max_size=len(words))


PLACES = ["GB", "GB-ENG", "GB-SCT", "US", "US-CA", "DE"]
LANGUAGES = ["en", "de", "tr"]
MODALITIES = ["video", "phone", "in_person"]
DAYS = ["2026-02-01", "2026-03-01", "2026-03-02", "2026-03-03", "2026-06-01"]
STARTS = ["2026-03-02T07:00:00Z", "2026-03-02T09:00:00Z", "2026-03-02T14:00:00Z", "2026-03-04T09:00:00Z"]
STARTS += ["2026-03-09T10:00:00Z", "2026-04-13T09:00:00Z"]

LICENCE = st.fixed_dictionaries(
    {
        "jurisdiction": st.sampled_from(PLACES),
        "valid_from": st.sampled_from(DAYS),
        "valid_until": st.sampled_from([None, *DAYS]),
        "status": st.sampled_from(["active", "active", "suspended"]),
    }
)
SLOT = st.fixed_dictionaries(
    {
        "starts_at": st.sampled_from(STARTS),
        "modality": st.sampled_from([*MODALITIES, None]),
        "status": st.sampled_from(["free", "free", "held", "booked"]),
    }
)
THERAPIST = st.fixed_dictionaries(
    {
        "gender": st.sampled_from(["woman", "man", None]),
        "birth_year": st.just(1980),
        "age_groups": some(["child", "adolescent", "adult", "older_adult"]),
        "care_levels": some(["low", "high"]),
        "trained_for": some(["trauma", "psychosis", "anxiety"]),
        "payers": some(["nhs", "AOK"]),
        "languages": some(LANGUAGES),
        "modalities": some(MODALITIES),
        "open_cases": st.sampled_from([0, 1, 5]),
        "caseload_capacity": st.sampled_from([None, 0, 1, 5, 6]),
        "accepts_new": st.sampled_from([True, True, False, None]),
        "licences": st.lists(LICENCE, max_size=3),
        "slots": st.lists(SLOT, max_size=4),
    }
)
CLIENT = st.fixed_dictionaries(
    {
        "jurisdiction": st.sampled_from(["GB-ENG", "GB-SCT", "US-CA", "DE"]),
        "birth_year": st.sampled_from([1940, 1960, 1961, 1985, 2007, 2008, 2009, 2013, 2020]),
        "care_level": st.sampled_from(["low", "high"]),
        "problems": some(["ptsd", "anxiety", "psychosis"]).filter(bool),
        "payer": st.sampled_from(["nhs", "AOK", "self"]),
        "languages": some(LANGUAGES).filter(bool),
        "interpreter": st.sampled_from([True, False, False, False]),
        "modalities": some(MODALITIES).filter(bool),
    }
)
WISHES = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {
                "about": st.just("gender"),
                "value": st.sampled_from(["woman", "man", "non_binary"]),
                "strength": st.sampled_from(["must", "must_not", "prefer"]),
            }
        ),
        st.fixed_dictionaries(
            {
                "about": st.just("language"),
                "value": st.sampled_from(LANGUAGES),
                "strength": st.sampled_from(["must", "must_not"]),
            }
        ),
        st.fixed_dictionaries(
            {
                "about": st.just("time"),
                "value": st.just("mon_am"),
                "strength": st.sampled_from(["must", "must_not"]),
            }
        ),
    ),
    max_size=2,
)
WORLD = st.tuples(
    st.lists(THERAPIST, min_size=1, max_size=8),
    CLIENT,
    WISHES,
    st.lists(st.integers(0, 0), max_size=1),
    st.sampled_from([None, 1, 14]),
)


@settings(max_examples=300, deadline=None)
@given(WORLD)
def test_the_rules_find_what_the_slow_loop_finds(world: Any) -> None:
    therapists, client, wishes, excluded, days = world
    judgement = judge(practice_of(therapists), ask_of(client, wishes, excluded, days))
    for row, therapist in enumerate(therapists):
        expected = slowly(therapist, row, client, wishes, excluded, days)
        assert set(judgement.rules_failed(row)) == expected
        assert judgement.eligible[row] == (not expected)


@settings(max_examples=100, deadline=None)
@given(WORLD)
def test_exclusions_add_up_and_each_counts_where_it_first_fails(world: Any) -> None:
    therapists, client, wishes, excluded, days = world
    judgement = judge(practice_of(therapists), ask_of(client, wishes, excluded, days))
    firsts = [judgement.rules_failed(row)[0] for row in range(len(therapists)) if not judgement.eligible[row]]
    assert judgement.counts() == {rule: firsts.count(rule) for rule in RULES if rule in firsts}
    assert sum(judgement.counts().values()) + int(judgement.eligible.sum()) == len(therapists)


@settings(max_examples=100, deadline=None)
@given(WORLD, st.sets(st.sampled_from(RULES)))
def test_a_rule_that_the_directory_does_not_list_excludes_nobody(world: Any, listed: set[str]) -> None:
    therapists, client, wishes, _, days = world
    judgement = judge(practice_of(therapists, tuple(listed)), ask_of(client, wishes, [], days))
    assert set(judgement.not_checked) == set(RULES) - listed
    for row, therapist in enumerate(therapists):
        assert set(judgement.rules_failed(row)) == slowly(therapist, row, client, wishes, [], days) & listed


@settings(max_examples=200, deadline=None)
@given(WORLD)
def test_a_relaxation_brings_exactly_those_whom_it_makes_eligible(world: Any) -> None:
    therapists, client, wishes, excluded, days = world
    brought = judge(practice_of(therapists), ask_of(client, wishes, excluded, days)).relaxations
    assert not set(brought) & set(NEVER_RELAX)
    expected = {"modality": 0, "must": 0, "capacity": 0, "slot": 0}
    for row, therapist in enumerate(therapists):
        failed = slowly(therapist, row, client, wishes, excluded, days)
        anyhow = {**client, "modalities": [*MODALITIES, None]}
        reachable = any(can_take(slot, anyhow, days) for slot in therapist["slots"])
        capacity = therapist["caseload_capacity"]
        full = capacity is not None and therapist["open_cases"] >= capacity and therapist["accepts_new"] is True
        expected["modality"] += bool(failed) and failed <= {"modality", "slot"} and reachable
        expected["must"] += failed == {"must"}
        expected["capacity"] += "capacity" in failed and failed <= {"capacity", "slot"} and full
        expected["slot"] += failed == {"slot"}
    assert brought == {rule: count for rule, count in expected.items() if count}


# -- one rule at a time ----------------------------------------------------------------------------------------------

OPEN_DOOR: dict[str, Any] = {
    "birth_year": 1980,
    "age_groups": ["child", "adolescent", "adult", "older_adult"],
    "care_levels": ["low"],
    "trained_for": ["trauma"],
    "payers": ["nhs"],
    "languages": ["en"],
    "modalities": ["video"],
    "open_cases": 3,
    "caseload_capacity": 4,
    "accepts_new": True,
    "licences": [{"jurisdiction": "GB", "valid_from": "2020-01-01", "valid_until": None, "status": "active"}],
    "slots": [{"starts_at": "2026-03-03T09:00:00Z", "modality": "video", "status": "free"}],
}
SOMEONE: dict[str, Any] = {
    "jurisdiction": "GB-ENG",
    "birth_year": 1990,
    "care_level": "low",
    "problems": ["anxiety"],
    "payer": "nhs",
    "languages": ["en"],
    "modalities": ["video"],
}


def verdict(therapist: dict[str, Any], client: dict[str, Any], **asked: Any) -> Judgement:
    values = {"wishes": [], "excluded": [], "days": 14, **asked}
    return judge(practice_of([{**OPEN_DOOR, **therapist}]), ask_of({**SOMEONE, **client}, **values))


def test_whoever_meets_every_rule_may_be_seen() -> None:
    assert verdict({}, {}).eligible.tolist() == [True]


@pytest.mark.parametrize(
    ("rule", "column"),
    [
        ("age_group", "age_groups"),
        ("care_level", "care_levels"),
        ("payer", "payers"),
        ("language", "languages"),
        ("modality", "modalities"),
        ("capacity", "caseload_capacity"),
        ("capacity", "accepts_new"),
        ("licence", "licences"),
        ("slot", "slots"),
    ],
)
def test_what_is_not_on_record_excludes(rule: str, column: str) -> None:
    unknown: Any = [] if column in ("licences", "slots") else None
    assert verdict({column: unknown}, {}).rules_failed(0) == (rule,)


def test_a_wish_that_must_be_met_excludes_whoever_has_nothing_on_record() -> None:
    wish = {"about": "faith", "value": "muslim", "strength": "must"}
    assert verdict({}, {}, wishes=[wish]).rules_failed(0) == ("must",)
    assert verdict({}, {}, wishes=[{**wish, "strength": "must_not"}]).rules_failed(0) == ("must",)
    assert verdict({"faith": "muslim"}, {}, wishes=[wish]).eligible[0]


def test_a_problem_that_asks_for_training_excludes_the_untrained_wherever_it_is_listed() -> None:
    assert verdict({"trained_for": ["grief"]}, {"problems": ["ptsd"]}).rules_failed(0) == ("training",)
    assert verdict({"trained_for": None}, {"problems": ["anxiety", "ptsd"]}).rules_failed(0) == ("training",)
    assert verdict({"trained_for": ["grief"]}, {"problems": ["anxiety"]}).eligible[0]
    assert verdict({}, {"problems": ["ptsd"]}).eligible[0]


def test_an_interpreter_satisfies_the_language_rule() -> None:
    assert verdict({}, {"languages": ["tr"]}).rules_failed(0) == ("language",)
    assert verdict({}, {"languages": ["tr"], "interpreter": True}).eligible[0]
    assert verdict({}, {"languages": None, "interpreter": True}).eligible[0]


def test_the_client_fields_that_a_rule_needs_are_all_named_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        judge(practice_of([OPEN_DOOR]), ask_of({"birth_year": 1990}, [], [], None))
    named = {problem.where for problem in caught.value.problems}
    fields = ("jurisdiction", "care_level", "problems", "payer", "languages", "modalities")
    assert named == {f"client.{name}" for name in fields}


def test_a_directory_without_rules_asks_for_nothing_and_says_what_it_did_not_check() -> None:
    judgement = judge(practice_of([OPEN_DOOR, {"licences": [], "slots": []}], rules=()), ask_of({}, [], [], None))
    assert judgement.eligible.all()
    assert judgement.not_checked == RULES


def test_a_conflict_in_the_request_is_honoured_even_where_the_directory_lists_no_rule() -> None:
    judgement = judge(practice_of([OPEN_DOOR, OPEN_DOOR], rules=()), ask_of(SOMEONE, [], [1], None))
    assert judgement.eligible.tolist() == [True, False]
    assert "conflict" not in judgement.not_checked


def test_in_the_united_states_the_state_must_be_named() -> None:
    with pytest.raises(RequestError, match="name the state"):
        verdict({}, {"jurisdiction": "US"})


@pytest.mark.parametrize(
    ("licence", "place", "holds"),
    [
        ("GB", "GB-ENG", True),
        ("GB-ENG", "GB-ENG", True),
        ("GB-ENG", "GB", False),
        ("GB-ENG", "GB-SCT", False),
        ("US", "US-CA", False),
        ("US-CA", "US-CA", True),
        ("G", "GB-ENG", False),
    ],
)
def test_a_licence_covers_the_parts_of_its_country_but_us_covers_no_state(
    licence: str, place: str, holds: bool
) -> None:
    assert covers(licence, place) == holds


@pytest.mark.parametrize(
    ("birth_year", "groups"),
    [
        (2020, ("child",)),
        (2013, ("child", "adolescent")),
        (2008, ("adolescent", "adult")),
        (1961, ("adult", "older_adult")),
        (1960, ("older_adult",)),
        (2026, ("child",)),
    ],
)
def test_a_birth_year_that_leaves_two_age_groups_needs_both(birth_year: int, groups: tuple[str, ...]) -> None:
    assert age_groups_of(birth_year, 2026) == groups


def test_languages_are_compared_as_they_are_spoken() -> None:
    assert spoken("en-GB") == spoken("EN") == "en"
    assert spoken("zh-yue") != spoken("zh-cmn")
    assert verdict({"languages": ["en-GB"]}, {"languages": ["en-US"]}).eligible[0]


def test_times_are_judged_by_the_clock_on_the_wall() -> None:
    row = {"starts_at": "2026-03-02T20:30:00Z", "modality": "video", "status": "free"}
    summer = {**row, "starts_at": "2026-07-06T19:30:00Z"}
    slots = Slots.of([0, 0], [summer, row], zoneinfo.ZoneInfo("America/Los_Angeles"))
    assert slots.local().tolist() == [dt.datetime(2026, 3, 2, 12, 30), dt.datetime(2026, 7, 6, 12, 30)]
    assert in_times(slots.local(), ["mon_pm"]).tolist() == [True, True]
    assert in_times(slots.local(), ["mon_am", "tue"]).tolist() == [False, False]
