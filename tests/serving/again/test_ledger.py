"""The ledger: for everybody who was not eligible every rule that says so, with what is on record and its day."""

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from data.directory import DirectoryData, DirectoryMeta
from data.manifest import RULES
from serving.again.ledger import FailedRule, ledger
from serving.answering.matcher import Matcher, question
from serving.listing.directory import Directory
from serving.schemas import RecommendationRequest
from serving.settings import Settings

if TYPE_CHECKING:
    from conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
GOOD: dict[str, Any] = {
    "age_groups": "adult",
    "care_levels": "outpatient",
    "trained_for": "ptsd",
    "payers": "self-pay",
    "languages": "en",
    "modalities": "video",
    "gender": "woman",
    "caseload_capacity": 3,
    "accepts_new": True,
    "profile_updated_on": "2026-08-01",
}
LICENCE = {"jurisdiction": "US-CA", "valid_from": "2020-01-01"}
SLOT = {"starts_at": "2026-10-05T17:00:00Z", "modality": "video", "status": "free"}
CLIENT = {
    "birth_year": 1990,
    "jurisdiction": "US-CA",
    "care_level": "outpatient",
    "problems": ["ptsd", "anxiety"],
    "payer": "self-pay",
    "languages": ["en"],
    "modalities": ["video"],
}


@pytest.fixture
def failed(matcher: Matcher, told: Settings) -> Any:
    """The one rule that excludes a therapist who is good but for what is given."""

    def of(
        profile: dict[str, Any] | None = None,
        licences: list[dict[str, Any]] | None = None,
        slots: list[dict[str, Any]] | None = None,
        caseload: dict[str, Any] | None = None,
        client: dict[str, Any] | None = None,
        **asked: Any,
    ) -> FailedRule:
        known = {name: value for name, value in {**GOOD, **(profile or {})}.items() if value is not None}
        rows = [SLOT] if slots is None else slots
        entries = {
            "profile": {"t-1": known},
            "licences": {"t-1": [LICENCE] if licences is None else licences},
            "slots": {"t-1": {"rows": rows, "updated_at": "2026-09-28"}},
            "caseload": {"t-1": caseload or {"open_cases": 1}},
        }
        data = DirectoryData(1, "made up", DirectoryMeta(name="made up", rules=RULES), entries)
        here = replace(matcher, directory=Directory.of(data, told), _prepared={})
        request = RecommendationRequest.model_validate({"client": {**CLIENT, **(client or {})}, **asked})
        (one,) = ledger("r-1", here, question(here, request, NOW)).therapists
        (rule,) = one.failed
        assert one.counted_as == rule.rule
        assert one.profile_updated_on == dt.date(2026, 8, 1)
        assert rule.judged_on == dt.date(2026, 10, 1)
        return rule

    return of


# -- the datum of each rule ------------------------------------------------------------------------------------------


def test_a_conflict_is_the_requests_own_word(failed: Any) -> None:
    rule = failed(exclude_therapists=[{"therapist_id": "t-1", "reason": "former therapist"}])
    assert rule.rule == "conflict"
    assert rule.words == "The request asks to leave this therapist out (former therapist)."
    assert rule.recorded_on is None


def test_a_licence_is_told_with_place_days_and_status(failed: Any) -> None:
    rule = failed(
        licences=[
            {"jurisdiction": "US-NY", "valid_from": "2020-01-01"},
            {"jurisdiction": "US-CA", "valid_from": "2018-01-01", "valid_until": "2026-09-30"},
            {"jurisdiction": "US-CA", "valid_from": "2019-01-01", "status": "suspended"},
        ]
    )
    assert rule.rule == "licence"
    assert rule.asked == {"jurisdiction": "US-CA", "day": "2026-10-01"}
    assert [(one["jurisdiction"], one["valid_until"], one["status"]) for one in rule.on_record["licences"]] == [
        ("US-NY", None, "active"),
        ("US-CA", "2026-09-30", "active"),
        ("US-CA", None, "suspended"),
    ]
    assert "US-CA from 2018-01-01 until 2026-09-30" in rule.words
    assert "US-CA from 2019-01-01, suspended" in rule.words
    assert rule.recorded_on == dt.date(2026, 8, 1)


def test_no_licence_at_all_is_not_on_record(failed: Any) -> None:
    assert failed(licences=[]).words == "No licence that holds in US-CA on 2026-10-01. None is on record."


def test_a_licence_is_judged_on_the_day(failed: Any) -> None:
    ends = [{"jurisdiction": "US-CA", "valid_from": "2018-01-01", "valid_until": "2026-10-01"}]
    rule = failed(licences=ends, slots=[])
    assert rule.rule == "slot"


def test_two_possible_age_groups_must_both_be_served(failed: Any) -> None:
    rule = failed(client={"birth_year": 2008})
    assert rule.rule == "age_group"
    assert rule.asked == {"age_groups": ["adolescent", "adult"]}
    assert rule.on_record == {"age_groups": ["adult"]}
    assert "both must be served" in rule.words


@pytest.mark.parametrize(
    ("rule", "column", "client", "asked"),
    [
        ("care_level", "care_levels", {"care_level": "intensive"}, ["intensive"]),
        ("payer", "payers", {"payer": "Aetna"}, ["Aetna"]),
        ("language", "languages", {"languages": ["es", "fr"]}, ["es", "fr"]),
    ],
)
def test_what_a_profile_offers_stands_beside_what_was_asked(
    failed: Any, rule: str, column: str, client: dict[str, Any], asked: list[str]
) -> None:
    found = failed(client=client)
    assert found.rule == rule
    assert found.asked == {column: asked}
    assert found.on_record == {column: GOOD[column].split("|")}
    assert GOOD[column] in found.words


@pytest.mark.parametrize("column", ["age_groups", "care_levels", "payers", "languages"])
def test_what_is_unknown_is_not_on_record(failed: Any, column: str) -> None:
    found = failed({column: None})
    assert found.on_record == {column: None}
    assert found.words.endswith("not on record.")


def test_training_names_the_problem_that_asks_for_it(failed: Any) -> None:
    rule = failed({"trained_for": "ocd"})
    assert rule.rule == "training"
    assert rule.asked == {"trained_for": ["ptsd"], "problems": ["ptsd"]}
    assert rule.on_record == {"trained_for": ["ocd"]}


def test_a_modality_that_is_not_offered(failed: Any) -> None:
    rule = failed({"modalities": "phone"})
    assert rule.rule == "modality"
    assert rule.words == "Asked for: video. Meets by: phone."


def test_only_the_wishes_that_are_not_met_are_told(failed: Any) -> None:
    wishes = [
        {"about": "gender", "value": "man", "strength": "must"},
        {"about": "language", "value": "en", "strength": "must"},
        {"about": "faith", "value": "sikh", "strength": "must_not"},
        {"about": "orientation", "value": "cbt", "strength": "prefer"},
    ]
    rule = failed(preferences=wishes)
    assert rule.rule == "must"
    assert rule.on_record == {"gender": "woman", "faith": None}
    assert [one["about"] for one in rule.asked["wishes"]] == ["gender", "faith"]
    assert rule.words == "Gender must be man; on record: woman. Faith must not be sikh; on record: not on record."


def test_a_wish_about_times_says_how_many_others_there_are(failed: Any) -> None:
    rule = failed(preferences=[{"about": "time", "value": "sat", "strength": "must"}])
    assert rule.rule == "must"
    assert rule.words == "Time must be sat; on record: 1 free time at other times."


def test_a_full_caseload_is_told_with_its_numbers(failed: Any) -> None:
    taken = [{"episode_id": "e-1", "until": "2026-10-01T10:00:00+00:00"}, {"episode_id": "e-2", "until": None}]
    rule = failed(caseload={"open_cases": 1, "taken": taken})
    assert rule.rule == "capacity"
    assert rule.on_record == {"open_cases": 3, "caseload_capacity": 3, "accepts_new": True}
    assert rule.words == "No free place on record: open cases: 3, places in all: 3, takes new clients: yes."
    assert "takes new clients: not on record" in failed({"accepts_new": None}).words


def test_free_times_that_do_not_fit_are_counted_and_the_next_is_told(failed: Any) -> None:
    slots = [
        {"starts_at": "2026-10-01T08:00:00Z", "modality": "video"},
        {"starts_at": "2026-10-03T17:00:00Z", "modality": "phone"},
        {"starts_at": "2026-10-04T17:00:00Z", "modality": "video", "status": "booked"},
        {"starts_at": "2026-10-20T17:00:00Z", "modality": "video"},
        {"starts_at": "2026-10-21T17:00:00Z"},
    ]
    rule = failed(slots=slots, window={"from": "2026-10-01", "to": "2026-10-10"})
    assert rule.rule == "slot"
    assert rule.on_record == {
        "free": 3,
        "other_times": 2,
        "other_modalities": 1,
        "next": {"starts_at": "2026-10-03T17:00:00Z", "modality": "phone"},
    }
    assert rule.recorded_on == dt.date(2026, 9, 28)
    assert failed(slots=[]).words == "No free time to come is on record."


# -- over HTTP -------------------------------------------------------------------------------------------------------


def test_the_ledger_of_an_answer_adds_up_page_by_page(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    given = client.post("/v1/recommendations", json=body).json()
    path = f"/v1/recommendations/{given['recommendation_id']}/exclusions"
    whole = client.get(path, params={"limit": 200}).json()
    assert whole["excluded"] == given["excluded"]
    assert whole["counts"] == given["counts"]
    assert len(whole["therapists"]) == sum(given["excluded"].values())
    assert whole["next_cursor"] is None
    pages, cursor = [], None
    while True:
        page = client.get(path, params={"limit": 4} | ({"cursor": cursor} if cursor else {})).json()
        pages += page["therapists"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == whole["therapists"]
    full = client.get(path, params={"rule": "capacity"}).json()
    assert full["matching"] == whole["failures"]["capacity"]
    assert all("capacity" in [one["rule"] for one in them["failed"]] for them in full["therapists"])
    top = given["recommendations"][0]["therapist_id"]
    assert client.get(path, params={"therapist_id": top}).json()["words"].startswith(f"{top} was eligible")


def test_a_ledger_is_asked_for_in_words_it_knows(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    given = client.post("/v1/recommendations", json=body).json()
    path = f"/v1/recommendations/{given['recommendation_id']}/exclusions"
    statuses = [
        client.get(path, params=asked).status_code
        for asked in ({"rule": "nonsense"}, {"limit": 0}, {"limit": 201}, {"therapist_id": "t-99999"})
    ]
    assert statuses == [422, 422, 422, 404]
    assert client.get("/v1/recommendations/nobody-1/exclusions").status_code == 404


def test_what_a_softer_rule_would_bring_is_what_asking_so_brings(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    must = {"about": "gender", "value": "woman", "strength": "must"}
    given = client.post("/v1/recommendations", json={**body, "preferences": [must], "k": 100}).json()
    softer = {**body, "preferences": [{**must, "strength": "prefer"}], "k": 100}
    soft = client.post("/v1/recommendations", json=softer).json()
    path = f"/v1/recommendations/{given['recommendation_id']}/exclusions"
    found = client.get(path).json()["relaxations"]
    assert {one["rule"]: one["more_therapists"] for one in found} == {
        one["rule"]: one["more_therapists"] for one in given["relaxations"]
    }
    utility = {one["therapist_id"]: one["utility"]["mean"] for one in soft["recommendations"]}
    before = {one["therapist_id"] for one in given["recommendations"]}
    (told,) = [one for one in found if one["rule"] == "must"]
    added = {name: value for name, value in utility.items() if name not in before}
    assert len(added) == told["more_therapists"]
    assert told["best"] == max(added, key=lambda name: added[name])
    best = max(value for name, value in utility.items() if name in before)
    assert told["gain"]["mean"] == pytest.approx(added[told["best"]] - best, abs=1e-9)
    assert told["best"] in told["words"]


def test_of_a_held_answer_nobody_is_named_as_what_a_softer_rule_would_bring(
    service: "Live", body: dict[str, Any]
) -> None:
    client = service.as_("platform")
    held = [{"instrument": "phq9", "item": "9", "value": 3}]
    given = client.post("/v1/recommendations", json={**body, "measures": held}).json()
    found = client.get(f"/v1/recommendations/{given['recommendation_id']}/exclusions").json()["relaxations"]
    assert found
    assert {(one["best"], one["gain"]) for one in found} == {(None, None)}


def test_nothing_of_the_client_is_told_that_no_rule_asks_for(service: "Live", body: dict[str, Any]) -> None:
    canaries = {"client_id": "canary-1", "employment": "canary.employment", "ethnicity": "canary.ethnicity"}
    wish = {"about": "orientation", "value": "canary-wish", "strength": "prefer"}
    asked = {**body, "client": {**body["client"], **canaries}, "preferences": [wish], "k": 3}
    client = service.as_("platform")
    given = client.post("/v1/recommendations", json=asked).json()
    found = client.get(f"/v1/recommendations/{given['recommendation_id']}/exclusions", params={"limit": 200})
    assert found.json()["therapists"]
    assert "canary" not in found.text
    assert "1990" not in found.text
