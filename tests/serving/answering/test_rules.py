"""Hard rules never leak: random directories and clients against the rules as written, therapist by therapist."""

import datetime as dt
import zoneinfo
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from data.directory import DirectoryData, DirectoryMeta
from data.manifest import RULES
from features.eligibility import judge
from serving.again.ledger import Ledger, ledger
from serving.answering.matcher import Matcher, problems_of, question
from serving.answering.recommend import Ids, answer
from serving.answering.safety import Assessment
from serving.listing.directory import Directory
from serving.schemas import RecommendationAnswer, RecommendationRequest
from serving.settings import Settings

NOW = dt.datetime(2026, 10, 1, 5, 30, tzinfo=dt.UTC)
ZONE = zoneinfo.ZoneInfo("America/Los_Angeles")
DAY = dt.date(2026, 9, 30)
"""At that moment it is still the day before in the clinic."""
NEEDS = {"ptsd": "ptsd", "ocd": "ocd", "eating_disorder": "eating_disorder"}
Row = Mapping[str, Any]

# -- random directories and clients ----------------------------------------------------------------------------------


def few(usual: dict[str, Any], others: dict[str, list[Any]], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """The usual row with a few columns otherwise; None is unknown and left out."""

    def other(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({name: st.sampled_from(others[name]) for name in names})

    changed = st.lists(st.sampled_from(sorted(others)), unique=True, max_size=most).flatmap(other)
    return changed.map(lambda new: {name: value for name, value in {**usual, **new}.items() if value is not None})


def usually(rows: st.SearchStrategy[Any], good: dict[str, Any]) -> st.SearchStrategy[list[Any]]:
    """A few rows, often with a good one among them, and often just one."""
    with_good = st.lists(rows, max_size=2).map(lambda others: [*others, good])
    kinds = [with_good, with_good, st.lists(rows, min_size=1, max_size=1), st.lists(rows, max_size=3)]
    return st.sampled_from(kinds).flatmap(lambda one: one)


def days(*offsets: int) -> list[str]:
    return [(DAY + dt.timedelta(days=offset)).isoformat() for offset in offsets]


def starts(hours: int) -> str:
    return f"{NOW + dt.timedelta(minutes=30 + 60 * hours):%Y-%m-%dT%H:%M:%SZ}"


LICENCES = st.fixed_dictionaries(
    {
        "jurisdiction": st.sampled_from(["US-CA"] * 5 + ["US-NY", "US", "GB", "GB-ENG", "GB-SCT"]),
        "valid_from": st.sampled_from(days(*[-900] * 4, 0, 1)),
    },
    optional={
        "valid_until": st.sampled_from(days(-1, 0, 400)),
        "status": st.sampled_from(["active", "suspended"]),
    },
)
SLOTS = st.fixed_dictionaries(
    {"starts_at": st.sampled_from([starts(hours) for hours in (-20, -1, 0, 20, 40, 40, 70, 90, 120, 160)])},
    optional={
        "modality": st.sampled_from(["video", "video", "phone", "in_person"]),
        "status": st.sampled_from(["free", "free", "held", "booked"]),
    },
)
PROFILES = few(
    {
        "age_groups": "adult",
        "care_levels": "outpatient|intensive",
        "trained_for": "ptsd",
        "payers": "self-pay|Aetna",
        "languages": "en|es",
        "modalities": "video|in_person",
        "gender": "woman",
        "affirming": "lgbtq|trans",
        "orientation": "cbt",
        "birth_year": 1980,
        "style_directiveness": 0.6,
        "style_homework": 0.2,
        "caseload_capacity": 3,
        "accepts_new": True,
        "profile_updated_on": days(-30)[0],
    },
    {
        "age_groups": ["adult|older_adult", "child|adolescent|adult", "older_adult", None],
        "care_levels": ["intensive", None],
        "trained_for": ["ptsd|ocd", "ocd", "anxiety", None],
        "payers": ["Aetna", None],
        "languages": ["en-GB", "zh-yue", "es", None],
        "modalities": ["video", "phone", None],
        "gender": ["man", "non_binary", None],
        "faith": ["jewish", "sikh"],
        "affirming": ["lgbtq", None],
        "orientation": ["emdr", None],
        "birth_year": [1991, 1992, 1976, 1960, None],
        "style_directiveness": [0.39, 0.4, 0.9, None],
        "style_homework": [0.7, None],
        "caseload_capacity": [0, 1, 2, None],
        "accepts_new": [False, None],
        "profile_updated_on": [None],
    },
    3,
)
TAKEN = st.sampled_from([None, *((NOW + dt.timedelta(hours=hours)).isoformat() for hours in (-1, 0, 1))])
PLACES = st.fixed_dictionaries(
    {
        "open_cases": st.sampled_from([1, 1, 0, 2, 3]),
        "taken": st.lists(TAKEN.map(lambda until: {"episode_id": "e-1", "until": until}), max_size=2),
    }
)
THERAPISTS = st.fixed_dictionaries(
    {
        "profile": PROFILES,
        "licences": usually(LICENCES, {"jurisdiction": "US-CA", "valid_from": days(-900)[0]}),
        "slots": usually(SLOTS, {"starts_at": starts(40), "modality": "video"}),
        "caseload": st.sampled_from([{"open_cases": 1, "taken": []}] * 2) | PLACES | PLACES | st.none(),
    }
)
CLIENTS = few(
    {
        "birth_year": 1990,
        "jurisdiction": "US-CA",
        "care_level": "outpatient",
        "problems": ["ptsd", "anxiety"],
        "payer": "self-pay",
        "languages": ["en"],
        "modalities": ["video", "in_person"],
    },
    {
        "birth_year": [1961, 1961, 2008, 2008, 2013, 2020, None],
        "jurisdiction": ["US-NY", "GB-ENG", "GB", "US", None],
        "care_level": ["intensive", None],
        "problems": [["anxiety"], ["ptsd", "ocd"], ["eating_disorder"], None],
        "payer": ["Aetna", None],
        "languages": [["es", "fr"], ["zh-yue"], ["zh-cmn"], None],
        "interpreter": [True, False],
        "modalities": [["phone"], ["video"], None],
    },
    2,
)
WISHES = {
    "gender": ["woman", "man", "non_binary"],
    "faith": ["jewish", "sikh"],
    "affirming": ["lgbtq", "trans"],
    "orientation": ["cbt", "emdr"],
    "language": ["en", "es"],
    "modality": ["video", "phone"],
    "age_band": ["under_35", "35_to_49", "50_and_over"],
    "style": ["directiveness_high", "directiveness_low", "homework_high"],
    "time": ["thu", "fri_am", "fri_pm", "sat_eve", "mon_eve", "tue"],
}


@st.composite
def wishes(draw: st.DrawFn) -> list[dict[str, str]]:
    topics = draw(st.lists(st.sampled_from([*sorted(WISHES), *["time"] * 4]), unique=True, max_size=2))
    return [
        {"about": topic, "strength": strength, "value": value}
        for topic in topics
        for strength in [draw(st.sampled_from(["must", "must_not", "prefer", "avoid"]))]
        for value in draw(st.lists(st.sampled_from(WISHES[topic]), unique=True, min_size=1, max_size=2))
    ]


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    first = draw(st.integers(0, 4))
    between = [days(first, first + 3), [f"{moment}T09:00:00Z" for moment in days(first, first + 4)]]
    window = draw(st.sampled_from([None, None, *between]))
    return {
        "client": draw(CLIENTS),
        "preferences": draw(wishes()),
        "exclude_therapists": [
            {"therapist_id": one} for one in draw(st.sampled_from([[], [], ["t-1"], ["t-2", "t-99"]]))
        ],
        "k": 100,
        **({} if window is None else {"window": {"from": window[0], "to": window[1]}}),
    }


@st.composite
def directories(draw: st.DrawFn) -> DirectoryData:
    found = draw(st.lists(THERAPISTS, min_size=1, max_size=7))
    left_out = draw(st.sets(st.sampled_from(RULES), max_size=2))
    entries: dict[str, dict[str, Any]] = {kind: {} for kind in ("profile", "licences", "slots", "caseload")}
    for i, therapist in enumerate(found):
        for kind, payload in therapist.items():
            entries[kind][f"t-{i}"] = {"rows": payload} if kind == "slots" else payload
    rules = tuple(rule for rule in RULES if rule not in left_out)
    return DirectoryData(1, "random", DirectoryMeta(name="random", rules=rules), entries)


# -- the rules, as they are written ----------------------------------------------------------------------------------


class Written:
    """One therapist and one request; every rule in a few lines that can be read beside the design."""

    def __init__(self, data: DirectoryData, therapist_id: str, request: Row):
        self.id, self.request, self.client = therapist_id, request, request["client"]
        self.profile = data.entries["profile"][therapist_id]
        self.licences = data.entries["licences"][therapist_id]
        self.slots = data.entries["slots"][therapist_id]["rows"]
        self.caseload = data.entries["caseload"][therapist_id]
        self.rules = data.meta.rules

    def failed(self, *given_up: str, any_modality: bool = False) -> list[str]:
        """Every rule that excludes, in the order in which exclusions are counted."""
        own = {
            "conflict": self.is_named(),
            "licence": "licence" in self.rules and not any(map(self.holds, self.licences)),
            "age_group": "age_group" in self.rules and not self.has("age_groups", *self.ages()),
            "care_level": "care_level" in self.rules and not self.has("care_levels", self.client["care_level"]),
            "training": "training" in self.rules and not self.is_trained(),
            "payer": "payer" in self.rules and not self.has("payers", self.client["payer"]),
            "language": "language" in self.rules and not self.can_talk(),
            "modality": "modality" in self.rules and not self.shares("modalities", self.client["modalities"]),
            "must": "must" in self.rules and not self.meets_wishes(any_modality),
            "capacity": "capacity" in self.rules and not self.has_place(),
            "slot": "slot" in self.rules and not self.free(any_modality),
        }
        return [rule for rule in RULES if own[rule] and rule not in given_up]

    def words(self, column: str) -> list[str]:
        return self.profile.get(column, "").split("|") if column in self.profile else []

    def has(self, column: str, *needed: str) -> bool:
        return column in self.profile and all(word in self.words(column) for word in needed)

    def shares(self, column: str, wanted: list[str]) -> bool:
        return any(word in wanted for word in self.words(column))

    def is_named(self) -> bool:
        return any(one["therapist_id"] == self.id for one in self.request["exclude_therapists"])

    def holds(self, licence: Row) -> bool:
        if licence.get("status") == "suspended" or licence["valid_from"] > DAY.isoformat():
            return False
        if licence.get("valid_until") is not None and licence["valid_until"] < DAY.isoformat():
            return False
        where, there = licence["jurisdiction"], self.client["jurisdiction"]
        return where != "US" and (where == there or (where == "GB" and there.startswith("GB-")))

    def ages(self) -> set[str]:
        groups = set()
        for age in (DAY.year - self.client["birth_year"], DAY.year - self.client["birth_year"] - 1):
            groups.add("child" if age < 13 else "adolescent" if age < 18 else "adult" if age < 65 else "older_adult")
        return groups

    def is_trained(self) -> bool:
        needed = [NEEDS[problem] for problem in self.client["problems"] if problem in NEEDS]
        return not needed or self.has("trained_for", *needed)

    def can_talk(self) -> bool:
        if self.client.get("interpreter"):
            return True
        alike = {"en-GB": "en"}
        return any(alike.get(word, word) in self.client["languages"] for word in self.words("languages"))

    def meets_wishes(self, any_modality: bool) -> bool:
        wished: dict[tuple[str, str], list[str]] = {}
        for wish in self.request["preferences"]:
            wished.setdefault((wish["about"], wish["strength"]), []).append(wish["value"])
        return all(
            self.meets(about, strength, values, any_modality)
            for (about, strength), values in wished.items()
            if strength in ("must", "must_not")
        )

    def meets(self, about: str, strength: str, values: list[str], any_modality: bool) -> bool:
        if about == "time":
            free = self.free(any_modality)
            return any(any(self.lies_in(slot, time) for time in values) == (strength == "must") for slot in free)
        answers = [self.is_so(about, value) for value in values]
        if strength == "must":
            return True in answers
        return all(answer is False for answer in answers)

    def is_so(self, about: str, value: str) -> bool | None:
        """None where it is not on record."""
        if about == "age_band":
            if "birth_year" not in self.profile:
                return None
            age = DAY.year - self.profile["birth_year"]
            return {"under_35": age < 35, "35_to_49": 35 <= age < 50, "50_and_over": age >= 50}[value]
        if about == "style":
            name, _, level = value.partition("_")
            given = self.profile.get(f"style_{name}")
            return None if given is None else given >= 0.6 if level == "high" else given < 0.4
        column = {"language": "languages", "modality": "modalities"}.get(about, about)
        return value in self.words(column) if column in self.profile else None

    def lies_in(self, slot: Row, time: str) -> bool:
        local = dt.datetime.fromisoformat(slot["starts_at"]).astimezone(ZONE)
        name, _, part = time.partition("_")
        low, high = {"": (0, 24), "am": (0, 12), "pm": (12, 17), "eve": (17, 24)}[part]
        return f"{local:%a}".lower() == name and low <= local.hour < high

    def free(self, any_modality: bool) -> list[Row]:
        """Free times to come, inside the window, held in a way the client can attend."""
        return [slot for slot in self.slots if self.is_free(slot, any_modality)]

    def is_free(self, slot: Row, any_modality: bool) -> bool:
        start = dt.datetime.fromisoformat(slot["starts_at"])
        if slot.get("status", "free") != "free" or start <= NOW:
            return False
        asked = self.client.get("modalities")
        if asked is not None and not any_modality and slot.get("modality") not in asked:
            return False
        if "window" not in self.request:
            return True
        first, last = self.request["window"]["from"], self.request["window"]["to"]
        if len(first) > 10:
            return dt.datetime.fromisoformat(first) <= start <= dt.datetime.fromisoformat(last)
        return first <= start.astimezone(ZONE).date().isoformat() <= last

    def open_cases(self) -> int | None:
        if self.caseload is None:
            return None
        until = [one["until"] for one in self.caseload["taken"]]
        taken = [one for one in until if one is None or dt.datetime.fromisoformat(one) > NOW]
        return int(self.caseload["open_cases"]) + len(taken)

    def has_place(self) -> bool:
        count, capacity = self.open_cases(), self.profile.get("caseload_capacity")
        return None not in (count, capacity) and count < capacity and self.profile.get("accepts_new") is True

    def is_full(self) -> bool:
        count, capacity = self.open_cases(), self.profile.get("caseload_capacity")
        return None not in (count, capacity) and count >= capacity and self.profile.get("accepts_new") is True

    def would_bring(self) -> set[str]:
        """Rules that alone keep an excluded therapist away, each as it would be relaxed."""
        if not self.failed():
            return set()
        softer = {
            "modality": not self.failed("modality", any_modality=True),
            "must": not self.failed("must"),
            "capacity": "capacity" in self.failed() and self.is_full() and not self.failed("capacity", "slot"),
            "slot": not self.failed("slot"),
        }
        return {rule for rule, brings in softer.items() if brings}


def unanswered(data: DirectoryData, request: Row) -> set[str]:
    """Fields of the client without which a rule of the directory cannot be judged."""
    asked = {
        "licence": "jurisdiction",
        "age_group": "birth_year",
        "care_level": "care_level",
        "training": "problems",
        "payer": "payer",
        "language": "languages",
        "modality": "modalities",
    }
    missing = {f"client.{name}" for rule, name in asked.items() if rule in data.meta.rules} - {
        f"client.{name}" for name in request["client"]
    }
    if request["client"].get("interpreter"):
        missing.discard("client.languages")
    if "licence" in data.meta.rules and request["client"].get("jurisdiction") == "US":
        missing.add("client.jurisdiction")
    return missing


# -- the law ---------------------------------------------------------------------------------------------------------


def answered(matcher: Matcher, request: RecommendationRequest) -> RecommendationAnswer:
    asked = question(matcher, request, NOW)
    return answer(matcher, asked, Assessment("not_asked"), Ids("r-1"), "platform", None).answer


@pytest.fixture(scope="session")
def clinic_settings(told: Settings) -> Settings:
    assert told.zone == ZONE
    assert dict(told.required_training) == NEEDS
    return told


def elsehow() -> DirectoryData:
    """Somebody whose only free time is on a Friday afternoon, by phone."""
    good = {"age_groups": "adult", "payers": "self-pay", "languages": "en", "modalities": "video|phone"}
    entries = {
        "profile": {"t-0": good},
        "licences": {"t-0": []},
        "slots": {"t-0": {"rows": [{"starts_at": starts(40), "modality": "phone"}]}},
        "caseload": {"t-0": None},
    }
    return DirectoryData(1, "made up", DirectoryMeta(name="made up", rules=("modality", "must", "slot")), entries)


ON_FRIDAY_BY_VIDEO = {
    "client": {"modalities": ["video"]},
    "preferences": [{"about": "time", "value": "fri_pm", "strength": "must"}],
    "exclude_therapists": [],
    "k": 100,
}


@example(elsehow(), ON_FRIDAY_BY_VIDEO)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(directories(), requests())
def test_nobody_ineligible_is_returned_and_nobody_eligible_is_counted_out(
    matcher: Matcher, clinic_settings: Settings, data: DirectoryData, request: dict[str, Any]
) -> None:
    here = replace(matcher, directory=Directory.of(data, clinic_settings), _prepared={})
    asked = RecommendationRequest.model_validate(request)
    missing = unanswered(data, request)
    assert {problem.where for problem in problems_of(here, asked, NOW)} == missing
    if missing:
        event("unknown on the client's side")
        return
    written = {name: Written(data, name, request) for name in data.entries["profile"]}
    excluded = {name: rules for name, one in written.items() if (rules := one.failed())}
    event(f"eligible: {len(written) - len(excluded) > 0}")
    given = answered(here, asked)
    assert {one.therapist_id for one in given.recommendations} == written.keys() - excluded.keys()
    assert given.counts.considered == len(written)
    assert given.counts.eligible + sum(given.excluded.values()) == len(written)
    firsts = [rules[0] for rules in excluded.values()]
    assert given.excluded == {rule: firsts.count(rule) for rule in RULES if rule in firsts}
    brings = [rule for one in written.values() for rule in one.would_bring()]
    assert {one.rule: one.more_therapists for one in given.relaxations} == {rule: brings.count(rule) for rule in brings}
    assert {one.rule for one in given.relaxations} <= {"modality", "must", "capacity", "slot"}
    told = ledger("r-1", here, question(here, asked, NOW))
    assert {one.therapist_id: [failed.rule for failed in one.failed] for one in told.therapists} == excluded
    assert_adds_up(told, given, data)


def assert_adds_up(told: Ledger, given: RecommendationAnswer, data: DirectoryData) -> None:
    assert told.excluded == given.excluded
    assert told.counts == given.counts
    assert told.matching == len(told.therapists) == given.counts.considered - given.counts.eligible
    counted = [one.counted_as for one in told.therapists]
    assert {rule: counted.count(rule) for rule in counted} == given.excluded
    for one in told.therapists:
        assert one.counted_as == one.failed[0].rule
        updated = data.entries["profile"][one.therapist_id].get("profile_updated_on")
        assert one.profile_updated_on == (None if updated is None else dt.date.fromisoformat(updated))
        for failed in one.failed:
            assert failed.judged_on == DAY
            assert failed.words.endswith(".")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(directories(), requests(), st.integers(1, 3))
def test_pages_of_the_ledger_are_the_ledger(
    matcher: Matcher, clinic_settings: Settings, data: DirectoryData, request: dict[str, Any], limit: int
) -> None:
    here = replace(matcher, directory=Directory.of(data, clinic_settings), _prepared={})
    asked = RecommendationRequest.model_validate(request)
    if unanswered(data, request):
        return
    put = question(here, asked, NOW)
    whole, found, cursor = ledger("r-1", here, put), [], None
    while True:
        page = ledger("r-1", here, put, limit=limit, cursor=cursor)
        assert len(page.therapists) <= limit
        assert page.matching == whole.matching
        found += page.therapists
        cursor = page.next_cursor
        if cursor is None:
            break
    assert found == whole.therapists
    for rule, count in whole.failures.items():
        mine = ledger("r-1", here, put, rule=rule)
        assert mine.matching == count
        assert [one for one in whole.therapists if rule in [failed.rule for failed in one.failed]] == mine.therapists
    for name in data.entries["profile"]:
        (one,) = ledger("r-1", here, put, therapist_id=name).therapists or (None,)
        eligible = judge(put.practice, put.ask).eligible[here.directory.place[name]]
        assert (one is None) == eligible
