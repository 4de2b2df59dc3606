"""What was known when: each rule on tables with obvious answers, then the laws on random ones."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.dataset import Dataset, Manifest
from data.history import CURRENT_ONLY, History, main_problem
from data.tables import DTYPES, TABLES

ABOUT = {
    "therapists": {"therapist_id": ["t1", "t2"]},
    "clients": {"client_id": ["c1", "c2"], "problems": ["anxiety|sleep", "depression"]},
    "episodes": {
        "episode_id": ["e1"],
        "client_id": ["c1"],
        "therapist_id": ["t1"],
        "referred_on": ["2024-01-01"],
        "matched_on": ["2024-01-10"],
    },
}
Tables = dict[str, dict[str, list[Any]]]


def frame(table: str, columns: dict[str, list[Any]]) -> pd.DataFrame:
    kinds = {name: TABLES[table][name].kind for name in columns}
    days_as_text = {n: [c.isoformat() if isinstance(c, dt.date) else c for c in cells] for n, cells in columns.items()}
    return pd.DataFrame({n: pd.Series(cells, dtype=DTYPES[kinds[n]]) for n, cells in days_as_text.items()})


def dataset(undated: bool = False, **tables: dict[str, list[Any]]) -> Dataset:
    manifest = Manifest(name="tiny", undated=undated, as_of=None if undated else dt.date(2025, 1, 1))
    return Dataset(manifest, {name: frame(name, columns) for name, columns in {**ABOUT, **tables}.items()})


def history(undated: bool = False, **tables: dict[str, list[Any]]) -> History:
    return History(dataset(undated, **tables))


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def days(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[D]")


def ids(*names: str) -> pd.Series:
    return pd.Series(names, dtype="str")


def course(**more: Any) -> dict[str, list[Any]]:
    return {**ABOUT["episodes"], **{name: [value] for name, value in more.items()}}


# -- clients, preferences -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("on", "known"), [("2023-12-31", ["c2"]), ("2024-01-01", ["c1", "c2"])])
def test_a_clients_row_and_wishes_are_known_from_the_referral(on: str, known: list[str]):
    wish = {"client_id": ["c1", "c2"], "about": ["gender"] * 2, "value": ["woman"] * 2, "strength": ["prefer"] * 2}
    snapshot = history(preferences=wish).as_of(day(on))
    assert snapshot.clients()["client_id"].tolist() == known
    assert snapshot.preferences()["client_id"].tolist() == known


def test_a_client_referred_twice_is_known_from_the_first_referral_and_without_one_from_the_match():
    twice = {
        "episode_id": ["e1", "e2", "e3"],
        "client_id": ["c1", "c1", "c2"],
        "therapist_id": ["t1", "t1", "t2"],
        "referred_on": ["2024-05-01", "2024-01-01", None],
        "matched_on": ["2024-05-02", "2024-01-02", "2024-03-01"],
    }
    known = history(episodes=twice)
    assert known.as_of(day("2024-02-01")).clients()["client_id"].tolist() == ["c1"]
    assert known.as_of(day("2024-03-01")).clients()["client_id"].tolist() == ["c1", "c2"]


# -- episodes -----------------------------------------------------------------------------------------------------

ENDED = course(started_on="2024-01-15", ended_on="2024-03-01", ending="planned", sessions_attended=6)


@pytest.mark.parametrize(("on", "count"), [("2024-01-09", 0), ("2024-01-10", 1)])
def test_an_episode_is_known_from_the_match_on(on: str, count: int):
    assert len(history(episodes=ENDED).as_of(day(on)).episodes()) == count


def test_an_ending_is_known_from_its_day_on_and_until_then_the_course_is_ongoing():
    known = history(episodes=ENDED)
    before = known.as_of(day("2024-02-29")).episodes().iloc[0]
    after = known.as_of(day("2024-03-01")).episodes().iloc[0]
    assert before["ending"] == "ongoing"
    assert before[["ended_on", "sessions_attended"]].isna().all()
    assert (after["ending"], after["sessions_attended"]) == ("planned", 6)
    assert after["ended_on"] == pd.Timestamp("2024-03-01")


def test_a_first_session_that_has_yet_to_come_is_not_known_at_the_match():
    known = history(episodes=ENDED)
    assert pd.isna(known.as_of(day("2024-01-14")).episodes()["started_on"].iloc[0])
    assert known.as_of(day("2024-01-15")).episodes()["started_on"].iloc[0] == pd.Timestamp("2024-01-15")


def test_an_ending_without_a_day_is_not_known_on_any_day():
    row = history(episodes=course(ending="dropout", sessions_attended=2)).as_of(day("2025-01-01")).episodes().iloc[0]
    assert row["ending"] == "ongoing"
    assert pd.isna(row["sessions_attended"])


def test_an_ending_that_was_never_said_stays_unknown():
    assert pd.isna(history(episodes=course()).as_of(day("2025-01-01")).episodes()["ending"].iloc[0])


def test_someone_waiting_is_known_as_waiting_from_the_referral_on():
    waiting = history(episodes=course(therapist_id=None, matched_on=None, ending="waiting"))
    assert waiting.as_of(day("2023-12-31")).episodes().empty
    assert waiting.as_of(day("2024-01-01")).episodes()["ending"].tolist() == ["waiting"]


def test_offers_are_known_with_their_episode():
    known = history(offers={"episode_id": ["e1", "e1"], "therapist_id": ["t1", "t2"]})
    assert known.as_of(day("2024-01-09")).offers().empty
    assert known.as_of(day("2024-01-10")).offers()["therapist_id"].tolist() == ["t1", "t2"]


# -- measures, sessions -------------------------------------------------------------------------------------------


def scores(**columns: list[Any]) -> dict[str, list[Any]]:
    size = len(columns["value"])
    whole = {"episode_id": ["e1"] * size, "session": [0] * size, "instrument": ["phq9"] * size, "item": ["0"] * size}
    return {**whole, "rater": ["client"] * size, **columns}


def test_a_measure_is_known_from_the_day_it_was_taken_and_without_a_day_always():
    known = history(measures=scores(session=[0, 1, 2], taken_on=["2024-01-05", "2024-02-01", None], value=[12, 9, 7]))
    assert known.as_of(day("2024-01-04")).measures()["value"].tolist() == [7]
    assert known.as_of(day("2024-01-05")).measures()["value"].tolist() == [12, 7]
    assert known.as_of(day("2024-02-01")).measures()["value"].tolist() == [12, 9, 7]


def test_a_session_is_known_from_the_day_it_was_held():
    held = {"episode_id": ["e1"] * 3, "session": [1, 2, 3], "held_on": ["2024-01-15", "2024-01-22", None]}
    known = history(sessions=held)
    assert known.as_of(day("2024-01-21")).sessions()["session"].tolist() == [1, 3]
    assert known.as_of(day("2024-01-22")).sessions()["session"].tolist() == [1, 2, 3]


ANSWERS = scores(
    item=[str(i) for i in range(1, 10)], value=[1] * 9, taken_on=["2024-01-05"] * 8 + ["2024-01-07"]
)  # the ninth answer came two days later


def test_a_total_is_computed_from_the_answers_once_the_last_is_known():
    known = history(measures=ANSWERS)
    early, late = known.as_of(day("2024-01-06")).measures(), known.as_of(day("2024-01-07")).measures()
    assert (early["item"] == "0").sum() == 0
    assert late.loc[late["item"] == "0", "value"].tolist() == [9]
    each = known.as_of_each(days("2024-01-06", "2024-01-07")).intake(ids("e1", "e1"))
    assert each["phq9.0"].isna().tolist() == [True, False]


def test_a_total_written_down_later_does_not_take_away_the_one_known_before():
    more = {name: [*ANSWERS[name], value] for name, value in scores(value=[10], taken_on=["2024-06-01"]).items()
            for value in value}  # fmt: skip
    known = history(measures=more)
    each = known.as_of_each(days("2024-01-07", "2024-06-01")).intake(ids("e1", "e1"))
    assert each["phq9.0"].tolist() == [9, 10]
    early = known.as_of(day("2024-01-07")).measures()
    assert early.loc[early["item"] == "0", "value"].tolist() == [9]


def test_intake_is_session_0_as_the_client_rated_it():
    measures = scores(
        session=[0, 0, 1, 0],
        instrument=["phq9", "gad7", "phq9", "phq9"],
        rater=["client", "client", "client", "observer"],
        value=[14, 8, 3, 20],
    )
    row = history(measures=measures).as_of_each(days("2024-01-10")).intake(ids("e1")).iloc[0]
    assert row.to_dict() == {"phq9.0": 14, "gad7.0": 8}


def test_intake_answers_in_the_order_of_the_question_and_knows_nothing_of_strangers():
    measures = scores(episode_id=["e1"], value=[14], taken_on=["2024-01-05"])
    known = history(measures=measures).as_of_each(days("2024-01-10", "2024-01-10", "2024-01-04", "NaT"))
    table = known.intake(ids("e9", "e1", "e1", "e1"))
    assert table.index.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(table["phq9.0"], [np.nan, 14, np.nan, 14])


def test_without_any_measure_intake_has_rows_and_no_columns():
    assert history().as_of_each(days("2024-01-10")).intake(ids("e1")).shape == (1, 0)


# -- therapists ---------------------------------------------------------------------------------------------------

VERSIONS = {
    "therapist_id": ["t1", "t1", "t2", "t3"],
    "profile_updated_on": ["2024-03-01", "2023-01-01", "2024-06-01", None],
    "orientation": ["cbt", "integrative", "systemic", "dynamic"],
    "caseload": [3, 4, 5, 6],
    "caseload_on": ["2024-03-01"] * 4,
    "accepts_new": [True] * 4,
    "caseload_capacity": [10] * 4,
}


@pytest.mark.parametrize(
    ("on", "orientations", "later"),
    [
        ("2022-12-31", ["integrative", "systemic", "dynamic"], [True, True, False]),
        ("2023-01-01", ["integrative", "systemic", "dynamic"], [False, True, False]),
        ("2024-02-29", ["integrative", "systemic", "dynamic"], [False, True, False]),
        ("2024-03-01", ["cbt", "systemic", "dynamic"], [False, True, False]),
        ("2024-06-01", ["cbt", "systemic", "dynamic"], [False, False, False]),
    ],
)
def test_a_therapists_row_is_the_latest_version_by_the_day_else_the_earliest_and_flagged(
    on: str, orientations: list[str], later: list[bool]
):
    rows = history(therapists=VERSIONS).as_of(day(on)).therapists()
    assert rows["therapist_id"].tolist() == ["t1", "t2", "t3"]
    assert rows["orientation"].tolist() == orientations
    assert rows["profile_is_later"].tolist() == later


def test_caseload_and_openness_are_current_only_and_never_part_of_the_past():
    rows = history(therapists=VERSIONS).as_of(day("2024-12-31")).therapists()
    assert rows[list(CURRENT_ONLY)].isna().all(axis=None)
    assert rows["caseload_capacity"].tolist() == [10, 10, 10]


def test_slots_and_licences_have_no_past():
    snapshot = history().as_of(day("2024-12-31"))
    assert not hasattr(snapshot, "slots")
    assert not hasattr(snapshot, "licences")


def test_a_therapist_no_one_knows_is_an_error_that_names_the_id():
    with pytest.raises(KeyError, match="t7"):
        history().as_of_each(days("2024-01-01", "2024-01-01")).therapists(ids("t1", "t7"))


# -- track record -------------------------------------------------------------------------------------------------

PAST = {
    "episode_id": ["e1", "e2", "e3", "e4"],
    "client_id": ["c1", "c2", "c1", "c2"],
    "therapist_id": ["t1", "t1", "t2", None],
    "referred_on": ["2024-01-01"] * 4,
    "matched_on": ["2024-01-10", "2024-02-10", "2024-01-20", None],
}


def test_a_track_record_counts_cases_matched_strictly_before_the_day():
    asked = days("2024-01-10", "2024-01-11", "2024-02-11", "2024-02-11")
    cases = history(episodes=PAST).as_of_each(asked).cases(ids("t1", "t1", "t1", "t9"))
    assert cases["cases"].tolist() == [0, 1, 2, 0]
    np.testing.assert_array_equal(cases["days_since_last_case"], [np.nan, 1, 1, np.nan])


def test_a_track_record_counts_by_the_clients_main_problem():
    known = history(episodes=PAST).as_of_each(np.repeat(days("2024-12-31"), 4))
    counts = known.cases_by_problem(ids("t1", "t1", "t1", "t2"), ids("anxiety", "depression", "sleep", "anxiety"))
    assert counts.tolist() == [1, 1, 0, 1]


def test_the_main_problem_is_the_one_given_first():
    assert main_problem(ids("anxiety|sleep", "sleep")).tolist() == ["anxiety", "sleep"]


def test_where_no_problem_is_on_record_none_is_counted():
    nothing = History(dataset(clients={"client_id": ["c1"]}, episodes=course()))
    assert main_problem(pd.Series([None, None], dtype="str")).isna().all()
    assert nothing.as_of_each(days("2024-12-31")).cases_by_problem(ids("t1"), ids("anxiety")).tolist() == [0]


# -- undated ------------------------------------------------------------------------------------------------------

UNDATED: Tables = {
    "episodes": {
        "episode_id": ["e1", "e2"],
        "client_id": ["c1", "c2"],
        "therapist_id": ["t1", "t2"],
        "ending": ["dropout", "planned"],
    },
    "measures": scores(session=[0, 4], value=[12, 6]),
}


@pytest.mark.parametrize("on", [None, day("2024-01-01")])
def test_in_undated_data_everything_is_known_on_any_day(on: dt.date | None):
    snapshot = history(undated=True, **UNDATED).as_of(on)
    assert snapshot.episodes()["ending"].tolist() == ["dropout", "planned"]
    assert snapshot.measures()["value"].tolist() == [12, 6]
    assert len(snapshot.clients()) == 2


@pytest.mark.parametrize("on", ["NaT", "1970-01-01"])
def test_undated_data_have_intake_scores_and_profiles_but_no_track_record(on: str):
    known = history(undated=True, **UNDATED).as_of_each(days(on))
    assert known.intake(ids("e1"))["phq9.0"].tolist() == [12]
    assert known.therapists(ids("t1"))["profile_is_later"].tolist() == [False]
    assert known.cases(ids("t1")).isna().all(axis=None)
    assert np.isnan(known.cases_by_problem(ids("t1"), ids("anxiety"))).all()


def test_dated_data_have_no_state_without_a_day():
    with pytest.raises(ValueError, match="give the day"):
        history().as_of(None)


# -- laws ---------------------------------------------------------------------------------------------------------

FIRST, LAST = dt.date(2024, 1, 1), dt.date(2024, 3, 1)
DATES = st.dates(FIRST, LAST)
maybe = st.none() | DATES
THERAPISTS, CLIENTS = ["t1", "t2", "t3"], ["c1", "c2", "c3"]


@st.composite
def past(draw: st.DrawFn) -> Tables:
    """A small clinic's tables with days anywhere in two months, or none where the contract allows."""
    versions = draw(st.lists(st.tuples(st.sampled_from(THERAPISTS), maybe), unique=True, max_size=5))
    versions += [(one, None) for one in THERAPISTS if (one, None) not in versions]
    count = draw(st.integers(0, 5))
    marks = st.lists(st.tuples(st.integers(0, 1), st.sampled_from("0123456789"), maybe), max_size=14)
    taken = [
        (f"e{i}", session, item, on)
        for i in range(count)
        for session, item, on in {(s, item): (s, item, on) for s, item, on in draw(marks)}.values()
    ]
    spans = [draw(st.tuples(maybe, DATES, maybe, maybe)) for _ in range(count)]
    spans = [(referred and min(referred, matched), matched, *rest) for referred, matched, *rest in spans]
    cells = draw(st.lists(st.sampled_from(["anxiety", "sleep|anxiety", None]), min_size=3, max_size=3))
    return {
        "therapists": {
            "therapist_id": [one for one, _ in versions],
            "profile_updated_on": [on for _, on in versions],
            "orientation": [f"o{i}" for i in range(len(versions))],
        },
        "clients": {"client_id": CLIENTS, "problems": cells},
        "preferences": {
            "client_id": ["c1", "c2"],
            "about": ["gender"] * 2,
            "value": ["woman"] * 2,
            "strength": ["prefer"] * 2,
        },
        "episodes": {
            "episode_id": [f"e{i}" for i in range(count)],
            "client_id": [draw(st.sampled_from(CLIENTS)) for _ in range(count)],
            "therapist_id": [draw(st.sampled_from(THERAPISTS)) for _ in range(count)],
            "referred_on": [span[0] for span in spans],
            "matched_on": [span[1] for span in spans],
            "started_on": [span[2] for span in spans],
            "ended_on": [span[3] for span in spans],
            "ending": [draw(st.sampled_from(["planned", "dropout", None])) for _ in range(count)],
            "sessions_attended": [draw(st.sampled_from([3, None])) for _ in range(count)],
        },
        "measures": scores(
            episode_id=[row[0] for row in taken],
            session=[row[1] for row in taken],
            instrument=["phq9"] * len(taken),
            item=[row[2] for row in taken],
            rater=["client"] * len(taken),
            taken_on=[row[3] for row in taken],
            value=[(3 * i) % 4 for i in range(len(taken))],
        ),
        "sessions": {
            "episode_id": [f"e{i}" for i in range(count)],
            "session": [1] * count,
            "held_on": [span[2] for span in spans],
        },
    }


STATES = ("clients", "preferences", "therapists", "episodes", "measures", "sessions", "offers")
KEYS = {name: list(TABLES[name].key) for name in STATES} | {"therapists": ["therapist_id"]}


def state(known: History, on: dt.date) -> dict[str, pd.DataFrame]:
    snapshot = known.as_of(on)
    return {name: getattr(snapshot, name)().sort_values(KEYS[name], ignore_index=True) for name in STATES}


def same(one: dict[str, pd.DataFrame], other: dict[str, pd.DataFrame]) -> None:
    for name in STATES:
        pd.testing.assert_frame_equal(one[name], other[name], obj=name)


def shuffled(given_dataset: Dataset, seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    frames = {n: f.iloc[rng.permutation(len(f))].reset_index(drop=True) for n, f in given_dataset.frames.items()}
    return replace(given_dataset, frames=frames)


def without_the_future(given_dataset: Dataset, on: dt.date) -> Dataset:
    """The files as they stood on the day: rows that tell of later days not written yet, later cells still empty."""
    cut, frames = pd.Timestamp(on), dict(given_dataset.frames)
    for name, column in (("measures", "taken_on"), ("sessions", "held_on"), ("episodes", "matched_on")):
        frames[name] = frames[name][~(frames[name][column] > cut)].reset_index(drop=True)
    versions = frames["therapists"]
    frames["therapists"] = versions[~(versions["profile_updated_on"] > cut)].reset_index(drop=True)
    courses = frames["episodes"]
    open_still = ~(courses["ended_on"] <= cut)
    learned = {name: courses[name].mask(open_still) for name in ("ended_on", "sessions_attended")}
    ending = courses["ending"].mask(open_still & courses["ending"].notna(), "ongoing")
    started = courses["started_on"].mask(courses["started_on"] > cut)
    frames["episodes"] = courses.assign(**learned, ending=ending, started_on=started)
    return replace(given_dataset, frames=frames)


@settings(max_examples=25, deadline=None)
@given(past(), DATES)
def test_adding_any_fact_dated_after_the_day_changes_nothing(tables: Tables, on: dt.date):
    whole = dataset(**tables)
    then, now = state(History(without_the_future(whole, on)), on), state(History(whole), on)
    referred = set(then["episodes"]["client_id"])  # a client of later courses only is known from those alone
    for side in (then, now):
        for name in ("clients", "preferences"):
            side[name] = side[name][side[name]["client_id"].isin(referred)].reset_index(drop=True)
    same(then, now)


@settings(max_examples=25, deadline=None)
@given(past(), DATES, st.integers(0, 100))
def test_the_order_of_rows_changes_nothing(tables: Tables, on: dt.date, seed: int):
    whole = dataset(**tables)
    same(state(History(whole), on), state(History(shuffled(whole, seed)), on))


@settings(max_examples=25, deadline=None)
@given(past(), st.lists(st.tuples(st.sampled_from(THERAPISTS), st.integers(0, 5), DATES), min_size=1, max_size=6))
def test_each_row_asked_for_a_day_of_its_own_is_the_state_of_that_day(
    tables: Tables, asked: list[tuple[str, int, dt.date]]
):
    known = history(**tables)
    therapists, episodes = ids(*(t for t, _, _ in asked)), ids(*(f"e{i}" for _, i, _ in asked))
    each = known.as_of_each(np.array([on for _, _, on in asked], dtype="datetime64[D]"))
    profiles, intake, cases = each.therapists(therapists), each.intake(episodes), each.cases(therapists)
    anxious = each.cases_by_problem(therapists, ids(*["anxiety"] * len(asked)))
    for i, (therapist, number, on) in enumerate(asked):
        snapshot = known.as_of(on)
        rows = snapshot.therapists()
        pd.testing.assert_series_equal(
            profiles.loc[i], rows[rows["therapist_id"] == therapist].iloc[0], check_names=False
        )
        assert intake.loc[i].dropna().to_dict() == intake_of(snapshot.measures(), f"e{number}")
        count, ago, problem = track_of(known, therapist, on)
        np.testing.assert_array_equal([*cases.loc[i], anxious[i]], [count, ago, problem])


def intake_of(measures: pd.DataFrame, episode: str) -> dict[str, float]:
    first = measures[(measures["episode_id"] == episode) & (measures["session"] == 0)]
    return dict(zip("phq9." + first["item"], first["value"], strict=True))


def track_of(known: History, therapist: str, on: dt.date) -> tuple[float, float, float]:
    """By hand from the state of the evening before."""
    seen = known.as_of(on - dt.timedelta(days=1)).episodes()
    own = seen[seen["therapist_id"] == therapist]
    problems = known.as_of(LAST).clients().set_index("client_id")["problems"]
    main = own["client_id"].map(main_problem(problems))
    ago = np.nan if own.empty else (pd.Timestamp(on) - own["matched_on"].max()).days
    return len(own), ago, int((main == "anxiety").sum())
