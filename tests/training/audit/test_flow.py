"""Whose data this is: every referred course in one end, nobody used who did not agree, whom the model has not seen."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from data.consent import CARE_ONLY
from data.dataset import Dataset
from data.synthetic.truth import Truth
from features.kinds import FEW, KINDS
from training.audit.document import Chart, Estimate, Section, Table
from training.audit.examined import Examined
from training.audit.flow.change import UNTREATED, change_table
from training.audit.flow.counts import REASONS, Courses
from training.audit.flow.losses import Answers, Share, findings, group_table, share_of, shares
from training.audit.flow.section import section
from training.audit.flow.unseen import ABSTAINS, NOT_SEEN, RANKS, Kind, kinds, lines, tables

Tables = Callable[..., Dataset]

EPISODES = """episode_id,client_id,therapist_id,referred_on,matched_on,started_on,ended_on,ending,sessions_attended
e1,c1,t1,2024-01-01,2024-01-05,2024-01-10,2024-06-01,planned,6
e2,c2,t1,2024-01-01,2024-01-05,2024-01-10,2024-06-01,planned,6
e3,c3,,2024-01-01,,,,waiting,
e4,c4,t1,2024-01-01,2024-01-05,,2024-01-20,declined,0
e5,c5,t1,2024-01-01,2024-01-05,2024-01-10,2024-06-01,planned,6
e6,c6,t1,2024-01-01,2024-01-05,2024-01-10,2024-01-20,dropout,3
e7,c7,t1,2024-01-01,2024-01-05,2024-01-10,2024-06-01,planned,6
e8,c8,t2,2024-01-01,2024-01-05,2024-01-10,2024-06-01,planned,6
e9,c9,t1,2025-11-01,2025-11-05,2025-11-10,2025-12-30,planned,6
"""
CLIENTS = "client_id,data_use\n" + "".join(
    f"c{i},{'care_only' if i == 7 else 'care_and_learning'}\n" for i in range(1, 10)
)
THERAPISTS = "therapist_id,learning_opt_out\nt1,false\nt2,true\n"
ENDS = {"e2": "assessed", "e3": "matched", "e4": "started", "e5": "rated", "e6": "paired", "e7": "agreed"} | {
    "e8": "included", "e9": "old",
}  # fmt: skip


def measures() -> str:
    """Everyone has an intake score, an early rating and a later score, but for whom it is what they lack."""
    lines = ["episode_id,session,instrument,item,rater,taken_on,value"]
    for i in range(1, 10):
        name, day = f"e{i}", "2025-12-01" if i == 9 else "2024-02-01"
        if i != 2:
            lines.append(f"{name},0,phq9,0,client,{'2025-11-05' if i == 9 else '2024-01-05'},15")
        if i in (3, 4):
            continue
        if i != 5:
            lines.append(f"{name},3,wai_sr,0,client,{day},4.0")
        if i != 6:
            lines.append(f"{name},5,phq9,0,client,{day},8")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def looked_at(audited: tuple[Examined, Truth]) -> Examined:
    return audited[0]


@pytest.fixture(scope="module")
def courses(looked_at: Examined) -> Courses:
    return Courses(looked_at)


@pytest.fixture(scope="module")
def whole(looked_at: Examined) -> Section:
    return section(looked_at)


@pytest.fixture
def tiny(looked_at: Examined, tables: Tables) -> Courses:
    """Nine courses, each but the first lost at another step."""
    dataset = tables(episodes=EPISODES, clients=CLIENTS, therapists=THERAPISTS, measures=measures())
    return Courses(replace(looked_at, dataset=dataset))


def without(e: Examined, table: str, keep: pd.Series) -> Examined:
    frames = dict(e.dataset.frames)
    frames[table] = frames[table][keep.to_numpy(dtype=bool)].reset_index(drop=True)
    return replace(e, dataset=replace(e.dataset, frames=frames))


def part(of: Section, name: str) -> Table | Chart:
    (found,) = [one for one in of.parts if one.id == name]
    return found


# the flow


def test_each_course_is_lost_where_it_lacks_something_first(tiny: Courses) -> None:
    ends = dict(zip(tiny.episodes["episode_id"], tiny.end, strict=True))
    assert ends.pop("e1") == len(tiny.steps)
    assert {name: tiny.steps[end] for name, end in ends.items()} == ENDS


def test_each_step_loses_one_of_the_nine(tiny: Courses) -> None:
    assert [(left, lost) for _, left, lost in tiny.counts()] == [(9 - i, 1) for i in range(1, 9)]


def test_every_referred_course_is_in_exactly_one_end(courses: Courses) -> None:
    counts = courses.counts()
    assert sum(lost for *_, lost in counts) + counts[-1][1] == len(courses.looked_at.dataset["episodes"])
    left = len(courses.end)
    for _, reach, lost in counts:
        assert reach == left - lost
        left = reach


def test_for_each_head_the_reasons_add_up_to_all_who_were_referred(whole: Section, courses: Courses) -> None:
    table = part(whole, "used")
    assert len(table.rows) == len(courses.looked_at.bundle.heads)
    for row in table.rows:
        assert sum(row[1:-1]) == row[-1] == len(courses.end)


def test_what_is_counted_as_used_is_what_the_bundle_learned_from(courses: Courses) -> None:
    for name, used in courses.used.items():
        assert used.sum() == courses.looked_at.bundle.heads[name].info.rows


def test_what_was_lost_to_each_reason_is_as_the_table_of_courses_has_it(courses: Courses) -> None:
    ends = courses.ends_of(courses.used["outcome"])
    e = courses.looked_at.dataset
    refused = e["clients"].set_index("client_id")["data_use"].reindex(courses.episodes["client_id"]) == CARE_ONLY
    assert (ends == "care_only").sum() == refused.sum() > 0
    assert not courses.used["outcome"][refused.to_numpy()].any()
    assert set(ends) <= set(REASONS)


def test_whoever_agreed_to_care_only_is_counted_and_never_used(looked_at: Examined, whole: Section) -> None:
    clients = looked_at.dataset["clients"]
    refused = set(clients.loc[clients["data_use"] == CARE_ONLY, "client_id"])
    episodes = looked_at.dataset["episodes"]
    theirs = set(episodes.loc[episodes["client_id"].isin(refused), "episode_id"])
    frames = dict(looked_at.dataset.frames)
    mine = frames["measures"]["episode_id"].isin(theirs) & (frames["measures"]["instrument"] != "wai_sr")
    frames["measures"] = frames["measures"].assign(value=frames["measures"]["value"].mask(mine, 0.0))
    changed = section(replace(looked_at, dataset=replace(looked_at.dataset, frames=frames)))
    for name in ("flow", "used", "change", "alliance", "seen"):
        assert part(changed, name) == part(whole, name)
    assert any(f"{len(theirs):,} courses are of clients who agreed to care only" in line for line in whole.says)


def test_a_step_that_nobody_recorded_is_left_out_and_said(looked_at: Examined) -> None:
    e = without(looked_at, "measures", looked_at.dataset["measures"]["instrument"] != "wai_sr")
    found = section(e)
    flow = part(found, "flow")
    assert "Not on record in these data, so left out: early alliance rated" in flow.note
    assert not [one for one in found.parts if one.id == "alliance"]


def test_the_picture_of_the_flow_has_its_counts_as_data_and_as_words(whole: Section, courses: Courses) -> None:
    flow = part(whole, "flow")
    assert isinstance(flow, Chart)
    assert [row[1] for row in flow.rows[1 : 1 + len(courses.steps)]] == [left for _, left, _ in courses.counts()]
    assert all(f"{row[1]:,}" in flow.alt for row in flow.rows)
    assert len(flow.svg) < 40_000


# losses


def test_a_group_whose_scores_are_missing_more_often_is_named(looked_at: Examined) -> None:
    clients, episodes = looked_at.dataset["clients"], looked_at.dataset["episodes"]
    men = set(clients.loc[clients["gender"] == "man", "client_id"])
    theirs = episodes.loc[episodes["client_id"].isin(men), "episode_id"].iloc[::3]
    frame = looked_at.dataset["measures"]
    e = without(looked_at, "measures", ~(frame["episode_id"].isin(theirs) & (frame["session"] > 0)))
    found = list(findings(Courses(e), shares(Courses(e))))
    assert any(one.words.startswith("Gender man: paired scores") and one.level == "look" for one in found)
    assert not any("Gender woman" in one.words for one in found)


def test_nobody_is_said_to_be_lost_more_often_in_a_clinic_where_nobody_is(courses: Courses) -> None:
    assert list(findings(courses, shares(courses))) == []


def test_therapists_who_seldom_measure_make_a_spread_and_are_not_named(looked_at: Examined) -> None:
    episodes, frame = looked_at.dataset["episodes"], looked_at.dataset["measures"]
    some = set(sorted(episodes["therapist_id"].dropna().unique())[::4])
    theirs = episodes.loc[episodes["therapist_id"].isin(some), "episode_id"].iloc[::2]
    e = without(looked_at, "measures", ~(frame["episode_id"].isin(theirs) & (frame["session"] > 0)))
    even, uneven = Answers.of(Courses(looked_at)), Answers.of(Courses(e))
    assert uneven.uneven
    assert uneven.spread > 0.1 > even.spread
    assert not any(name in uneven.drawn().model_dump_json() for name in some)


@pytest.mark.parametrize(("k", "n"), [(0, 10), (5, 20), (100, 100), (37, 1000)])
def test_shares_have_wilsons_interval(k: int, n: int) -> None:
    low, high = proportion_confint(k, n, method="wilson")
    found = share_of(k, n)
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_a_share_of_nine_is_not_shown_and_one_of_ten_is() -> None:
    assert share_of(3, 9) is None
    assert share_of(3, 10) is not None


# whom the model has not seen


def test_a_language_that_nobody_has_brought_but_a_therapist_speaks_is_not_seen(looked_at: Examined) -> None:
    frames = dict(looked_at.dataset.frames)
    spoken = frames["therapists"]["languages"].where(frames["therapists"].index > 0, "en|xh")
    frames["therapists"] = frames["therapists"].assign(languages=spoken)
    e = replace(looked_at, dataset=replace(looked_at.dataset, frames=frames))
    found = {(one.about, one.value): one for one in kinds(Courses(e))}
    assert found["language", "xh"].status == NOT_SEEN
    said = section(e)
    assert any("xh (language)" in one.words and one.level == "look" for one in said.findings)
    assert ("language", "xh", NOT_SEEN, 0, 0) in part(said, "not_seen").rows


def test_minors_who_agreed_to_care_only_are_not_seen_though_they_were_referred(looked_at: Examined) -> None:
    frames = dict(looked_at.dataset.frames)
    young = frames["clients"]["birth_year"] > 2000
    frames["clients"] = frames["clients"].assign(data_use=frames["clients"]["data_use"].mask(young, CARE_ONLY))
    e = replace(looked_at, dataset=replace(looked_at.dataset, frames=frames))
    (adolescents,) = [one for one in kinds(Courses(e)) if one.value == "adolescent"]
    assert adolescents.status == NOT_SEEN
    assert adolescents.referred >= FEW


def test_nobody_is_called_new_by_what_is_on_record_of_no_client(looked_at: Examined) -> None:
    frames = dict(looked_at.dataset.frames)
    frames["clients"] = frames["clients"].drop(columns="birth_year")
    said = section(replace(looked_at, dataset=replace(looked_at.dataset, frames=frames)))
    assert any(line.endswith("who is new to the model: age group.") for line in said.says)
    assert not any(row[0] == "age group" for name in ("seen", "not_seen") for row in part(said, name).rows)


def test_every_kind_of_client_is_either_seen_or_not(looked_at: Examined, whole: Section) -> None:
    found = kinds(Courses(looked_at))
    assert len(part(whole, "seen").rows) + len(part(whole, "not_seen").rows) == len(found)
    assert all((one.learned_from >= FEW) == (one.status == "seen") for one in found)


def test_whom_the_audit_calls_seen_is_whom_the_service_ranks_for(looked_at: Examined) -> None:
    found = kinds(Courses(looked_at))
    said = {about: {one.value for one in found if one.about == about and one.learned_from >= FEW} for about in KINDS}
    assert {about: set(words) for about, words in looked_at.bundle.manifest.seen.items()} == said
    assert ABSTAINS in lines(found, abstains=True)
    assert RANKS in lines(found, abstains=False)


# change and alliance


def test_change_stands_beside_change_without_treatment(whole: Section) -> None:
    table = part(whole, "change")
    untreated = [row[3] for row in table.rows if row[3] is not None]
    assert untreated == list(UNTREATED.values())
    assert "not to be subtracted" in table.note
    falls = [row for row in table.rows if "mean fall in points" in str(row[0])]
    assert all(isinstance(row[2], Estimate) and row[2].value > 0 for row in falls)


def test_change_is_that_of_the_scores(looked_at: Examined, tables: Tables) -> None:
    days = "2024-01-05,2024-01-05,2024-01-10,2024-06-01,planned,6"
    episodes = EPISODES.splitlines()[0] + "\n" + "".join(f"e{i},c{i},t{i % 3},{days}\n" for i in range(20))
    rows = ["episode_id,session,instrument,item,rater,taken_on,value"]
    for i in range(20):
        rows += [f"e{i},0,phq9,0,client,2024-01-05,15", f"e{i},5,phq9,0,client,2024-02-01,{8 if i < 12 else 15}"]
    clients = "client_id\n" + "".join(f"c{i}\n" for i in range(20))
    therapists = "therapist_id\nt0\nt1\nt2\n"
    dataset = tables(episodes=episodes, clients=clients, therapists=therapists, measures="\n".join(rows) + "\n")
    table = change_table(replace(looked_at, dataset=dataset))
    assert table is not None
    found = {str(row[0]): row[2] for row in table.rows}
    name = "Patient Health Questionnaire, depression"
    assert found[f"{name}: mean fall in points"].value == pytest.approx(7 * 12 / 20)
    assert found[f"{name}: share who fell by 6 or more"].value == pytest.approx(0.6)
    assert found[f"{name}, of those at 10 or more at intake: share below it at the last"].value == pytest.approx(0.6)


def test_the_mean_alliance_never_stands_without_who_answered(whole: Section) -> None:
    (row,) = part(whole, "alliance").rows
    mean, rated, started, response, at_most = row
    assert isinstance(mean, Estimate)
    assert response == pytest.approx(rated / started, abs=1e-4)
    assert 0 <= at_most < 1
    (line,) = [one for one in whole.says if "early alliance is" in one]
    assert f"{rated / started:.0%} of the {started:,} who started rated it" in line
    assert "the highest there is" in line


def test_nothing_that_is_said_blames_anyone(whole: Section) -> None:
    said = whole.model_dump_json().lower()
    assert not any(word in said for word in ("ineffective", "poor ", "best ", "worst", "failing", "bad "))
    assert np.isfinite(len(said))


def test_no_small_group_can_be_worked_out_from_the_total_and_the_others() -> None:
    sizes = {"woman": 300, "man": 200, "non_binary": 30, "unknown": 6}
    rows = group_table([Share("gender", name, "started", n - 1, n) for name, n in sizes.items()]).rows
    assert [(row[1], row[2], row[3] is None) for row in rows] == [
        ("woman", 300, False),
        ("man", 200, False),
        ("non binary", None, True),
        ("not on record", None, True),
    ]


def test_no_small_kind_can_be_worked_out_from_the_others() -> None:
    of = [Kind("language", name, n, n) for name, n in (("en", 300), ("es", 40), ("ko", 3), ("fr", 0))]
    rows = [row[1:] for table in tables(of) for row in table.rows]
    assert sorted(rows, key=lambda row: str(row[0])) == [
        ("en", "seen", 300, 300),
        ("es", "seen", None, None),
        ("fr", "not seen", 0, 0),
        ("ko", "hardly seen", None, None),
    ]
