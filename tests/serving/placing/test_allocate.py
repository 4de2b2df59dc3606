"""The command `therapist-fit allocate`, and the allocation of a waiting list by the service's own chain."""

import datetime as dt
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from data.dataset import Dataset, read
from data.errors import ConfigError, NotFoundError
from features.eligibility import judge
from serving.answering.matcher import Matcher, question
from serving.answering.recommend import Ids, answer
from serving.answering.safety import Assessment
from serving.placing.allocate import app
from serving.placing.allocation import Terms, pose
from serving.placing.allocation_answer import AllocationAnswer
from serving.placing.allocation_text import lines
from serving.placing.allocation_told import allocation
from serving.placing.cases import OpenCases, Waiting
from serving.placing.waiting import open_cases, waiting_list
from serving.schemas import Measure, RecommendationRequest
from serving.settings import Settings

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
NO_CASES = OpenCases.none()


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return read(folder)


@pytest.fixture(scope="module")
def waiting(dataset: Dataset) -> list[Waiting]:
    return waiting_list(dataset)


def given_request(one: Waiting) -> RecommendationRequest:
    assert one.request is not None
    return one.request


def with_risk(one: Waiting, value: float) -> Waiting:
    """The same client with another answer to PHQ-9 item 9, its total left out."""
    request = given_request(one)
    kept = [m for m in request.measures if m.instrument != "phq9"]
    answered = Measure(instrument="phq9", item="9", value=value)
    return replace(one, request=request.model_copy(update={"measures": [*kept, answered]}))


def copies(waiting: list[Waiting], count: int) -> list[Waiting]:
    """A list of that length: the clients over and over, with ids of their own."""
    return [replace(waiting[i % len(waiting)], episode_id=f"e-{i:05d}", client_id=f"c-{i:05d}") for i in range(count)]


# -- the list of a dataset ----------------------------------------------------------------------------------------


def test_those_without_a_therapist_who_wait_are_listed_longest_waiting_first(
    dataset: Dataset, waiting: list[Waiting]
) -> None:
    episodes = dataset["episodes"]
    rows = episodes[episodes["therapist_id"].isna() & (episodes["ending"] == "waiting")]
    assert {one.client_id for one in waiting} == set(rows["client_id"])
    days = [one.referred_on for one in waiting if one.referred_on is not None]
    assert days == sorted(days)
    assert len(days) == len(waiting) > 3


def test_their_requests_hold_what_the_tables_hold(dataset: Dataset, waiting: list[Waiting], matcher: Matcher) -> None:
    clients = dataset["clients"].set_index("client_id")
    for one in waiting:
        sent = given_request(one).client
        assert sent.gender == clients.loc[one.client_id, "gender"]
        assert "|".join(sent.languages or []) == clients.loc[one.client_id, "languages"]
        assert question(matcher, given_request(one), NOW).client.number("severity")[0] >= 0


def test_open_cases_are_those_that_have_not_ended_with_their_severity(dataset: Dataset, matcher: Matcher) -> None:
    cases = open_cases(dataset, matcher.directory.place, matcher.bundle.manifest.severity_of)
    episodes = dataset["episodes"]
    still = episodes[(episodes["ending"] == "ongoing") & episodes["therapist_id"].notna()]
    counts = Counter(matcher.directory.ids[row] for row in cases.therapist.tolist())
    assert counts == Counter(still["therapist_id"])
    assert np.nanmax(cases.severity) <= 1
    assert cases.risk.any()
    assert not cases.severe.all()


def test_a_client_without_a_row_waits_with_the_reason(dataset: Dataset, waiting: list[Waiting]) -> None:
    clients = dataset.frames["clients"]
    without = Dataset(
        dataset.manifest, {**dataset.frames, "clients": clients[clients["client_id"] != waiting[0].client_id]}
    )
    first = waiting_list(without)[0]
    assert (first.client_id, first.request) == (waiting[0].client_id, None)
    assert first.problems[0].where == "client_id"


def test_a_dataset_in_which_nobody_waits_is_refused_by_name(dataset: Dataset) -> None:
    episodes = dataset.frames["episodes"]
    nobody = Dataset(dataset.manifest, {**dataset.frames, "episodes": episodes[episodes["therapist_id"].notna()]})
    with pytest.raises(NotFoundError, match="waiting list"):
        waiting_list(nobody)


# -- what always holds --------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 30),
    st.sampled_from([None, 0.0, 5.0]),
    st.sampled_from([None, 0, 2]),
    st.sampled_from([None, 1]),
    st.sampled_from([(), ("gender", "deprivation_decile")]),
)
def test_hard_rules_places_and_terms_hold_and_everyone_is_accounted_for(
    matcher: Matcher,
    waiting: list[Waiting],
    count: int,
    extra: float | None,
    severe: int | None,
    new: int | None,
    groups: tuple[str, ...],
) -> None:
    listed = copies(waiting, count)
    answer = allocation(matcher, listed, NO_CASES, Terms(extra, severe, None, new, groups=groups), NOW)
    told = [one.client_id for part in (answer.assignments, answer.held, answer.unassigned) for one in part]
    assert sorted(told) == sorted(one.client_id for one in listed)
    counts = answer.counts
    assert (counts.waiting, counts.placed + counts.held + counts.unplaced) == (count, count)
    requests = {one.client_id: given_request(one) for one in listed}
    load = Counter(one.therapist_id for one in answer.assignments)
    places = dict(zip(matcher.directory.ids, matcher.directory.places(NOW).tolist(), strict=True))
    assert all(number <= min(places[name], new or 99) for name, number in load.items())
    booked = [(one.therapist_id, one.starts_at) for one in answer.assignments]
    assert len(set(booked)) == len(booked)
    for one in answer.assignments:
        asked = question(matcher, requests[one.client_id], NOW)
        assert judge(asked.practice, asked.ask).eligible[matcher.directory.place[one.therapist_id]]
        assert extra is None or one.extra_days is None or one.extra_days <= extra
    assert severe is None or all(line.after.severe <= severe for line in answer.caseloads)
    for group in answer.groups:
        if group.allocated is not None and group.next_available is not None and not answer.missed_floors:
            assert group.allocated >= group.next_available - 0.02 - 1e-6


def test_the_sum_is_at_least_that_of_next_available(matcher: Matcher, waiting: list[Waiting]) -> None:
    answer = allocation(matcher, waiting, NO_CASES, Terms(), NOW)
    assert answer.utility is not None
    assert answer.utility_next_available is not None
    assert answer.utility > answer.utility_next_available


def test_utility_is_the_one_that_ranking_shows(matcher: Matcher, waiting: list[Waiting]) -> None:
    one = allocation(matcher, waiting, NO_CASES, Terms(), NOW).assignments[0]
    request = next(given_request(w) for w in waiting if w.client_id == one.client_id).model_copy(update={"k": 100})
    ranked = answer(
        matcher, question(matcher, request, NOW), Assessment("not_asked"), Ids("r-1"), "platform", None
    ).answer
    shown = {r.therapist_id: r.utility.mean for r in ranked.recommendations}
    assert one.utility == pytest.approx(shown[one.therapist_id], abs=1e-9)


# -- safety -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2, 3])
def test_thoughts_of_self_harm_on_many_days_are_held_with_a_place_set_aside(
    matcher: Matcher, waiting: list[Waiting], told: Settings, value: int
) -> None:
    listed = [with_risk(waiting[0], value), *waiting[1:3]]
    answer = allocation(matcher, listed, NO_CASES, Terms(), NOW)
    first = answer.held[0]
    assert first.client_id == waiting[0].client_id
    assert first.client_id not in {one.client_id for one in answer.assignments}
    assert first.place_set_aside
    assert first.next_step == told.held_next_step
    assert "A clinician talks with the client before anyone is proposed." in first.words


def test_fewer_are_proposed_with_the_words_that_a_clinician_needs(matcher: Matcher, waiting: list[Waiting]) -> None:
    answer = allocation(matcher, [with_risk(waiting[0], 1)], NO_CASES, Terms(), NOW)
    assert answer.assignments[0].safety.status == "flagged"
    assert "within 24 hours" in answer.assignments[0].safety.words


def test_a_held_client_keeps_their_turn_before_those_who_came_later(matcher: Matcher, waiting: list[Waiting]) -> None:
    """As many copies of one client as fill every place they could have; the first is held, the last waits."""
    many = copies([with_risk(waiting[0], 0)], 100)
    answer = allocation(matcher, [with_risk(many[0], 3), *many[1:]], NO_CASES, Terms(), NOW)
    assert [one.place_set_aside for one in answer.held] == [True]
    assert answer.unassigned
    assert [one.client_id for one in answer.unassigned] == [one.client_id for one in many[-len(answer.unassigned) :]]
    assert {one.why for one in answer.unassigned} == {"places"}


# -- those who wait on --------------------------------------------------------------------------------------------


def test_a_client_who_cannot_be_read_waits_with_every_problem_and_the_rest_are_placed(
    matcher: Matcher, waiting: list[Waiting]
) -> None:
    request = given_request(waiting[0])
    unknown = request.client.model_copy(update={"payer": None, "jurisdiction": None})
    listed = [replace(waiting[0], request=request.model_copy(update={"client": unknown})), *waiting[1:3]]
    answer = allocation(matcher, listed, NO_CASES, Terms(), NOW)
    (one,) = answer.unassigned
    assert one.why == "unreadable"
    assert "client.payer" in one.words
    assert "client.jurisdiction" in one.words
    assert one.next_step
    assert answer.counts.placed + answer.counts.held == 2


def test_a_client_whom_nobody_can_see_waits_with_the_rules_that_exclude(
    matcher: Matcher, waiting: list[Waiting]
) -> None:
    request = given_request(with_risk(waiting[0], 0))
    nowhere = request.client.model_copy(update={"payer": "nobody-takes-this"})
    listed = [replace(waiting[0], request=request.model_copy(update={"client": nowhere}))]
    (one,) = allocation(matcher, listed, NO_CASES, Terms(), NOW).unassigned
    assert one.why == "nobody"
    assert sum(one.excluded.values()) == matcher.directory.size
    assert one.excluded["payer"] > 0


def test_open_severe_cases_count_against_the_limit(matcher: Matcher, waiting: list[Waiting]) -> None:
    size = matcher.directory.size
    every = np.ones(size, dtype=bool)
    carried = OpenCases(np.arange(size), np.full(size, 0.9), every, ~every)
    limit = pose(matcher, waiting, carried, Terms(most_severe=1), NOW).problem.limits[0]
    assert limit.most.tolist() == [0] * size
    answer = allocation(matcher, waiting, carried, Terms(most_severe=1), NOW)
    assert all(line.after.severe == line.before.severe == 1 for line in answer.caseloads)
    assert {one.why for one in answer.unassigned} <= {"limit", "nobody"}


def test_a_group_that_is_no_column_is_refused_by_name(matcher: Matcher, waiting: list[Waiting]) -> None:
    with pytest.raises(ConfigError, match="shoe_size"):
        allocation(matcher, waiting, NO_CASES, Terms(groups=("shoe_size", "gender")), NOW)


# -- the command --------------------------------------------------------------------------------------------------


def invoke(bundle: Path, folder: Path, *more: str) -> Any:
    return CliRunner().invoke(app, ["--bundle", str(bundle), "--data", str(folder), *more])


def test_the_command_answers_in_json_alone(bundle: Path, folder: Path, waiting: list[Waiting]) -> None:
    found = invoke(bundle, folder, "--json", "--most-severe", "9", "--groups", "gender", "--max-extra-days", "7")
    assert found.exit_code == 0, found.output
    answer = AllocationAnswer.model_validate(json.loads(found.stdout))
    assert answer.counts.waiting == len(waiting)
    assert sum(group.clients for group in answer.groups) == len(waiting)
    assert set(answer.spread) == {"before", "next_available", "allocated"}


def test_printed_are_one_line_for_each_client_placed_and_the_words_for_the_others(
    matcher: Matcher, waiting: list[Waiting]
) -> None:
    answer = allocation(matcher, waiting, NO_CASES, Terms(groups=("gender",)), NOW)
    begun = [line.split()[:2] for line in lines(answer)]
    assert [line for line in begun if line[:1] and line[0] in {one.client_id for one in answer.assignments}] == [
        [one.client_id, one.therapist_id] for one in answer.assignments
    ]
    nobody = allocation(matcher, waiting, NO_CASES, Terms(most_new=0), NOW)
    printed = lines(nobody)
    assert nobody.unassigned
    assert all(f"waits on  {one.client_id}: {one.words}" in printed for one in nobody.unassigned)
    assert all(any(line.startswith(f"held      {one.client_id}: ") for line in printed) for one in nobody.held)


def test_the_command_prints_the_same_lines(bundle: Path, folder: Path, waiting: list[Waiting]) -> None:
    found = invoke(bundle, folder)
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith(f"{len(waiting)} waiting on ")
