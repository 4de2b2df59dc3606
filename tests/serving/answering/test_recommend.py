"""What an answer says: order, ties, waits, reasons, cautions, exclusions, and what happens next."""

import datetime as dt
import json
import re
from typing import Any

import httpx
import numpy as np
import pytest

from data.manifest import RULES
from features.build import FeatureSet
from features.catalog import CATALOG
from features.eligibility import judge
from serving.answering import reasons
from serving.answering.matcher import Matcher, question
from serving.answering.recommend import Ids, answer
from serving.answering.safety import Assessment
from serving.schemas import RecommendationAnswer, RecommendationRequest
from training.ranking import utility

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)


MEANINGS = {name: feature.meaning for name, feature in CATALOG.items()}


def nothing(_name: str) -> None:
    """Nothing is on record."""


def ask(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/v1/recommendations", json=body)
    assert response.status_code == 200, response.text
    return response.json()  # type: ignore[no-any-return]


def test_an_answer_has_every_field_and_nothing_else(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = ask(client, body)
    assert set(answer) == {
        "recommendation_id", "model", "as_of", "counts", "meaningful_difference", "recommendations",
        "versus_soonest", "excluded", "rules_not_checked", "relaxations", "safety", "next_step",
        "notes",
    }  # fmt: skip
    assert set(answer["model"]) == {"version", "bundle_id", "proven", "notes"}
    assert set(answer["recommendations"][0]) == {
        "therapist_id", "rank", "tie_group", "utility", "gain", "next_slots", "wait_days", "reasons", "cautions",
        "data_age_days",
    }  # fmt: skip
    assert set(answer["recommendations"][0]["gain"]) == {"outcome", "alliance", "retention", "early_dropout"}
    assert set(answer["versus_soonest"]) == {"gain", "low", "high", "extra_days", "words"}
    RecommendationAnswer.model_validate(answer)


def test_no_answer_shows_a_predicted_outcome(client: httpx.Client, body: dict[str, Any]) -> None:
    assert "predicted" not in json.dumps(ask(client, body))


def test_a_dataset_served_as_it_stands_is_judged_on_its_own_day(client: httpx.Client, body: dict[str, Any]) -> None:
    assert ask(client, body)["as_of"] == "2026-09-30"
    assert ask(client, {**body, "as_of": "2026-10-03"})["as_of"] == "2026-10-03"


def test_exclusions_and_the_eligible_add_up_to_the_directory(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = ask(client, body)
    counts = answer["counts"]
    assert counts["considered"] == sum(answer["excluded"].values()) + counts["eligible"]
    assert set(answer["excluded"]) <= set(RULES)
    assert answer["rules_not_checked"] == ["conflict"]


@pytest.mark.parametrize("k", [1, 3, 100])
def test_k_therapists_are_returned_or_all_who_are_eligible(client: httpx.Client, body: dict[str, Any], k: int) -> None:
    answer = ask(client, {**body, "k": k})
    found = answer["recommendations"]
    assert len(found) == min(k, answer["counts"]["eligible"])
    assert [one["rank"] for one in found] == list(range(1, len(found) + 1))
    assert len({one["therapist_id"] for one in found}) == len(found)


def test_a_shorter_list_is_the_start_of_a_longer_one(client: httpx.Client, body: dict[str, Any]) -> None:
    long, short = (ask(client, {**body, "k": k})["recommendations"] for k in (8, 3))
    for one, same in zip(short, long, strict=False):
        for name in ("mean", "low", "high"):
            assert one["utility"].pop(name) == pytest.approx(same["utility"].pop(name), rel=1e-9)
        gains = [[list(gain.values()) for gain in each.pop("gain").values()] for each in (one, same)]
        assert gains[0] == pytest.approx(np.array(gains[1]), rel=1e-9)
        assert one == same


def test_the_first_group_of_ties_is_group_1_and_the_list_follows_what_matters(
    client: httpx.Client, body: dict[str, Any]
) -> None:
    answer = ask(client, {**body, "k": 100})
    found = answer["recommendations"]
    assert found[0]["tie_group"] == 1
    if answer["meaningful_difference"]:
        means = [one["utility"]["mean"] for one in found]
        assert means == sorted(means, reverse=True)
    else:
        waits = [one["next_slots"][0]["starts_at"] for one in found]
        assert waits == sorted(waits)


def test_slots_are_free_in_the_window_and_of_a_kind_the_client_can_attend(
    client: httpx.Client, body: dict[str, Any]
) -> None:
    body["client"]["modalities"] = ["video"]
    answer = ask(client, {**body, "window": {"from": "2026-10-05", "to": "2026-10-09"}, "k": 100})
    assert answer["recommendations"]
    for one in answer["recommendations"]:
        starts = [dt.datetime.fromisoformat(slot["starts_at"]) for slot in one["next_slots"]]
        assert starts == sorted(starts)
        assert 1 <= len(starts) <= 3
        assert all(slot["modality"] == "video" for slot in one["next_slots"])
        assert dt.datetime(2026, 10, 5, 7, tzinfo=dt.UTC) <= starts[0] < dt.datetime(2026, 10, 10, 7, tzinfo=dt.UTC)
        assert one["wait_days"] == (starts[0].date() - dt.date(2026, 9, 30)).days


def test_an_excluded_therapist_is_counted_as_a_conflict_and_never_shown(
    client: httpx.Client, body: dict[str, Any]
) -> None:
    first = ask(client, body)["recommendations"][0]["therapist_id"]
    excluded = [{"therapist_id": first, "reason": "former therapist"}, {"therapist_id": "t-not-listed-1"}]
    answer = ask(client, {**body, "exclude_therapists": excluded, "k": 100})
    assert answer["excluded"]["conflict"] == 1
    assert answer["rules_not_checked"] == []
    assert first not in [one["therapist_id"] for one in answer["recommendations"]]


def test_excluded_therapists_who_are_not_listed_are_named(client: httpx.Client, body: dict[str, Any]) -> None:
    listed = ask(client, body)["recommendations"][0]["therapist_id"]
    excluded = [{"therapist_id": name} for name in (listed, *(f"t-not-listed-{i}" for i in range(7)))]
    (note,) = ask(client, {**body, "exclude_therapists": excluded})["notes"]
    assert "t-not-listed-0" in note
    assert "and 2 more" in note
    assert listed not in note


def test_an_answer_for_the_past_says_what_it_may_hold(client: httpx.Client, body: dict[str, Any]) -> None:
    assert ask(client, body)["notes"] == []
    past, learned = ask(client, {**body, "as_of": "2026-09-01"})["notes"]
    assert past.startswith("Judged on 2026-09-01, a day of the past")
    assert learned == (
        "The model learned from data up to 2026-09-30: what was learned after 2026-09-01 may be in this answer."
    )


def test_a_directory_whose_times_have_all_passed_says_so(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = ask(client, {**body, "as_of": "2027-06-01"})
    assert answer["counts"]["eligible"] == 0
    (note,) = answer["notes"]
    assert re.fullmatch(r"The directory has no free time after 2026-1\d-\d\d: load newer slots\.", note)


def test_nobody_eligible_is_an_answer_that_says_what_happens_next(client: httpx.Client, body: dict[str, Any]) -> None:
    body["client"]["payer"] = "a payer nobody bills"
    answer = ask(client, body)
    assert answer["counts"]["eligible"] == 0
    assert answer["recommendations"] == []
    assert answer["meaningful_difference"] is None
    assert answer["versus_soonest"] is None
    assert answer["next_step"] == {
        "contact": "The intake team.",
        "place_kept": "The place is kept.",
        "who_acts": "The coordinator calls.",
        "by_when": "In two days.",
    }


def test_a_ranking_needs_no_next_step(client: httpx.Client, body: dict[str, Any]) -> None:
    assert ask(client, body)["next_step"] is None


def test_relaxations_name_only_rules_that_may_relax(client: httpx.Client, body: dict[str, Any]) -> None:
    body["client"]["modalities"] = ["phone"]
    relaxed = ask(client, body)["relaxations"]
    assert relaxed
    assert {one["rule"] for one in relaxed} <= {"modality", "must", "capacity", "slot"}
    assert all(one["more_therapists"] > 0 and str(one["more_therapists"]) in one["words"] for one in relaxed)


def test_a_model_from_synthetic_data_says_so(client: httpx.Client, body: dict[str, Any]) -> None:
    assert any("synthetic" in note for note in ask(client, body)["model"]["notes"])


def test_waiting_is_compared_with_the_soonest_free_time(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = ask(client, {**body, "k": 100})
    versus, found = answer["versus_soonest"], answer["recommendations"]
    soonest = min(found, key=lambda one: one["next_slots"][0]["starts_at"])
    assert versus["extra_days"] == found[0]["wait_days"] - soonest["wait_days"]
    assert versus["gain"] == pytest.approx(found[0]["utility"]["mean"] - soonest["utility"]["mean"])
    assert versus["low"] <= versus["gain"] <= versus["high"]


# -- reasons ---------------------------------------------------------------------------------------------------------


def test_reasons_add_up_to_the_utility_exactly(matcher: Matcher, body: dict[str, Any]) -> None:
    request = RecommendationRequest.model_validate(body)
    asked = question(matcher, request, NOW)
    rows = np.flatnonzero(judge(asked.practice, asked.ask).eligible)
    prepared, bundle = matcher.prepared(asked.day), matcher.bundle
    total = utility(bundle.posteriors(asked.client, prepared, rows), bundle.weighing)
    shares = bundle.fits(asked.client, prepared, rows).parts(bundle.weighing, np.arange(len(rows)))
    for at, parts in enumerate(reasons.parts_of(shares, bundle.features)):
        assert sum(part.share for part in parts) == pytest.approx(total[at], abs=1e-12)


def test_the_numbers_shown_add_up_to_the_utility_shown(client: httpx.Client, body: dict[str, Any]) -> None:
    for one in ask(client, {**body, "k": 20})["recommendations"]:
        shown = sum(float(reason.rsplit("(", 1)[1].rstrip(")")) for reason in one["reasons"])
        assert shown == pytest.approx(round(one["utility"]["mean"], 2), abs=1e-9)


def test_reasons_name_what_is_so_and_never_blame() -> None:
    parts = [
        reasons.Part("main_problem_trained", 0.06),
        reasons.Part("effect.therapist", -0.03),
        reasons.Part("orientation", 0.02),
        reasons.Part("years_practising", 0.001),
    ]
    values = {"main_problem_trained": 1.0, "orientation": "cbt", "years_practising": 12.0}
    assert reasons.in_words(parts, 0.051, values.get, MEANINGS, few_cases=False) == [
        "Verified training for the main problem (+0.06)",
        "Theoretical orientation: cbt (+0.02)",
        "Results in earlier courses of treatment lie a little below what the profile suggests (-0.03)",
    ]


def test_a_track_record_of_few_cases_is_not_called_good_or_bad() -> None:
    parts = [reasons.Part("effect.therapist", -0.05), reasons.Part("effect.strength", 0.02)]
    words = reasons.in_words(parts, -0.03, nothing, MEANINGS, few_cases=True)
    assert words == ["What is known from earlier courses of treatment (-0.03)"]


def test_what_is_not_on_record_is_said_to_be_so() -> None:
    (words, *_) = reasons.in_words(
        [reasons.Part("interpersonal_skill", 0.02)], 0.02, nothing, MEANINGS, few_cases=False
    )
    assert words.startswith("Not on record: interpersonal skill")


def test_a_feature_that_the_dataset_declared_is_told_by_its_meaning() -> None:
    features = FeatureSet({"therapist.mentions": ("grief",)}, {"therapist.mentions": "what the profile mentions"})
    meanings, values = reasons.meanings_of(features), {"therapist.mentions": "grief"}
    (words,) = reasons.in_words([reasons.Part("therapist.mentions", 0.02)], 0.02, values.get, meanings, few_cases=False)
    assert words == "What the profile mentions: grief (+0.02)"


def test_someone_close_to_the_average_is_said_to_be_so() -> None:
    assert reasons.in_words([], 0.0, nothing, MEANINGS, few_cases=False) == [
        "Close to the average of the therapists who can see this client (+0.00)"
    ]


# -- for clinicians --------------------------------------------------------------------------------------------------


def test_only_clinicians_are_told_what_to_expect(matcher: Matcher, body: dict[str, Any]) -> None:
    asked = question(matcher, RecommendationRequest.model_validate(body), NOW)
    clinical = answer(matcher, asked, Assessment("not_asked"), Ids("r-1"), "clinical", None).answer
    platform = answer(matcher, asked, Assessment("not_asked"), Ids("r-1"), "platform", None).answer
    assert clinical.recommendations
    for one in clinical.recommendations:
        assert one.predicted is not None
        assert set(one.predicted) == set(matcher.bundle.heads)
        assert all(told.low <= told.mean <= told.high for told in one.predicted.values())
        assert one.predicted["retention"].low >= 0
        assert one.predicted["retention"].high <= 1
    hidden = [one.model_copy(update={"predicted": None}) for one in clinical.recommendations]
    assert platform.recommendations == hidden
    assert "predicted" not in platform.model_dump_json()


# -- cautions --------------------------------------------------------------------------------------------------------


def test_an_old_profile_is_a_caution_with_its_age(client: httpx.Client, body: dict[str, Any]) -> None:
    found = ask(client, {**body, "k": 100})["recommendations"]
    for one in found:
        old = [caution for caution in one["cautions"] if "last updated" in caution]
        assert bool(old) == (one["data_age_days"] > 365)
        assert all(str(one["data_age_days"]) in caution for caution in old)
    assert {one["data_age_days"] > 365 for one in found} == {True, False}


def test_an_interpreter_is_a_caution_where_no_language_is_shared(client: httpx.Client, body: dict[str, Any]) -> None:
    body["client"] |= {"languages": ["xx"], "interpreter": True}
    found = ask(client, body)["recommendations"]
    assert found
    assert all(any("interpreter" in caution for caution in one["cautions"]) for one in found)


def test_a_wish_that_is_not_met_is_a_caution(client: httpx.Client, body: dict[str, Any]) -> None:
    wish = {"about": "orientation", "value": "not_taught_anywhere", "strength": "prefer"}
    found = ask(client, {**body, "preferences": [wish]})["recommendations"]
    assert all("Does not match a wish: orientation." in one["cautions"] for one in found)


def test_free_times_that_the_client_cannot_attend_are_a_caution(client: httpx.Client, body: dict[str, Any]) -> None:
    body["client"]["availability"] = ["sun_eve"]
    found = ask(client, body)["recommendations"]
    assert all("None of the free times lies at the times the client gave." in one["cautions"] for one in found)


def test_a_time_that_must_be_is_kept_by_every_slot_shown(client: httpx.Client, body: dict[str, Any]) -> None:
    wish = {"about": "time", "value": "mon_am", "strength": "must"}
    found = ask(client, {**body, "preferences": [wish], "k": 100})["recommendations"]
    assert found
    pacific = dt.timezone(dt.timedelta(hours=-7))
    for one in found:
        for slot in one["next_slots"]:
            local = dt.datetime.fromisoformat(slot["starts_at"]).astimezone(pacific)
            assert (local.weekday(), local.hour < 12) == (0, True)


# -- safety ----------------------------------------------------------------------------------------------------------


def risk(value: int) -> list[dict[str, Any]]:
    return [{"instrument": "phq9", "item": 9, "value": value}]


@pytest.mark.parametrize("answered", [2, 3])
def test_thoughts_of_self_harm_on_more_days_hold_the_ranking(
    client: httpx.Client, body: dict[str, Any], answered: int
) -> None:
    answer = ask(client, {**body, "measures": risk(answered)})
    assert answer["safety"]["status"] == "held"
    assert answer["safety"]["task_id"]
    assert answer["recommendations"] == []
    assert answer["versus_soonest"] is None
    assert answer["meaningful_difference"] is None
    assert answer["next_step"]["who_acts"] == "A clinician talks first."


def test_a_single_day_opens_a_task_beside_the_ranking(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = ask(client, {**body, "measures": risk(1)})
    assert answer["safety"]["status"] == "flagged"
    assert answer["safety"]["task_id"]
    assert answer["recommendations"]


def test_without_the_question_the_answer_says_not_asked(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = ask(client, {**body, "measures": [{"instrument": "phq9", "value": 20}]})
    assert answer["safety"]["status"] == "not_asked"
    assert answer["safety"]["asked"] == []


def test_a_total_that_proves_it_holds_the_ranking_and_opens_a_task(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = ask(client, {**body, "measures": [{"instrument": "phq9", "value": 26}]})
    assert answer["safety"]["status"] == "held"
    assert answer["safety"]["task_id"]
    assert answer["recommendations"] == []


def test_an_old_answer_is_looked_at_on_the_day_of_the_request(client: httpx.Client, body: dict[str, Any]) -> None:
    old = [{"instrument": "phq9", "item": 9, "value": 0, "taken_on": "2026-08-30"}]
    assert ask(client, {**body, "measures": old})["safety"]["status"] == "not_asked"


def test_a_day_ahead_does_not_let_a_reported_thought_go(client: httpx.Client, body: dict[str, Any]) -> None:
    measures = [{"instrument": "phq9", "item": 9, "value": 2, "taken_on": "2026-09-29"}]
    assert ask(client, {**body, "measures": measures, "as_of": "2027-01-01"})["safety"]["status"] == "held"


def test_no_answer_ever_says_safe(client: httpx.Client, body: dict[str, Any]) -> None:
    for measures in ([], risk(0), risk(1), risk(2)):
        said = ask(client, {**body, "measures": measures})["safety"]
        assert "safe" not in json.dumps(said).replace("safety", "").lower()


def test_the_same_question_gets_the_same_answer(client: httpx.Client, body: dict[str, Any]) -> None:
    first, second = ask(client, body), ask(client, body)
    assert first.pop("recommendation_id") != second.pop("recommendation_id")
    assert first == second


def test_items_alone_are_scored_like_the_total_they_make(client: httpx.Client, body: dict[str, Any]) -> None:
    items = [{"instrument": "phq9", "item": i, "value": 1} for i in range(1, 9)] + risk(0)
    total = [{"instrument": "phq9", "item": 0, "value": 8}]
    by_items = ask(client, {**body, "measures": items})["recommendations"]
    assert by_items == ask(client, {**body, "measures": [*total, *items]})["recommendations"]


def test_the_directory_is_prepared_once_a_day(matcher: Matcher) -> None:
    assert matcher.prepared(dt.date(2026, 9, 30)) is matcher.prepared(dt.date(2026, 9, 30))


def test_the_model_tells_nobody_apart_for_clients_it_has_not_seen(client: httpx.Client, body: dict[str, Any]) -> None:
    """Of their problem, at least: whoever is free soonest comes first, and the answer says why."""
    body = body | {"k": 50, "client": body["client"] | {"problems": ["gambling"]}}
    answer = ask(client, body)
    waits = [one["wait_days"] for one in answer["recommendations"] if one["wait_days"] is not None]
    assert answer["meaningful_difference"] is False
    assert waits == sorted(waits)
    assert {one["tie_group"] for one in answer["recommendations"]} == {1}
    assert any("hardly seen clients of this problem" in note for note in answer["notes"])
    known = body | {"client": body["client"] | {"problems": ["anxiety"]}}
    assert not any("hardly seen" in note for note in ask(client, known)["notes"])
