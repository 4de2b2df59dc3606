"""The one builder: a pair alone gets what it gets in a crowd; neither later facts nor the order of rows matter."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.dataset import Dataset
from data.history import History
from data.synthetic.truth import Truth
from data.tables import CLIENTS, THERAPISTS
from features.build import FeatureSet
from features.catalog import CATALOG
from features.columns import Columns, Pairs
from features.episodes import from_history
from features.policy import Policy
from features.preferences import AGE_BANDS, STYLE_VALUES
from features.rows import CLIENT_KINDS, THERAPIST_KINDS, client_columns, therapist_columns

SEVERITY = {"phq9.0": (0.0, 27.0), "gad7.0": (0.0, 21.0)}
PROBLEMS = ("anxiety", "sleep", "ptsd")
EVERYTHING = FeatureSet(
    {
        **dict.fromkeys(CATALOG),
        "client_gender": ("man", "woman"),
        "client_ethnicity": ("a", "b"),
        "main_problem": PROBLEMS,
        "problem": PROBLEMS,
        "care_level": ("a",),
        "employment": ("a", "b"),
        "sexual_orientation": ("a",),
        "payer": ("a", "b"),
        "orientation": ("a", "b"),
        "qualification": ("a", "b"),
        "therapist_gender": ("man", "woman"),
        "therapist_ethnicity": ("a",),
        "therapist_faith": ("a",),
        "client.pets": None,
        "therapist.siblings": None,
    },
    {"client.pets": "how many pets", "therapist.siblings": "how many siblings"},
)
POLICY = Policy.read()
FIT = [
    i
    for i, column in enumerate(EVERYTHING.columns)
    if (rule := POLICY.rule(EVERYTHING.feature_of[column])).part == "fit" and rule.status == "allowed"
]
Row = dict[str, Any]

# -- random people ------------------------------------------------------------------------------------------------

WORDS = {"problems": PROBLEMS, "trained_for": PROBLEMS, "specialties": PROBLEMS, "languages": ("en", "cy")}
WORDS |= {"gender": ("man", "woman"), "modalities": ("video", "phone")}
WISHES = {
    "gender": ("man", "woman", "non_binary"),
    "language": ("en", "cy", "tr"),
    "style": (*STYLE_VALUES, "unheard_of"),
    "age_band": (*AGE_BANDS, "unheard_of"),
    "orientation": ("a", "b"),
    "affirming": ("a",),
}


def joined(words: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words), min_size=1, max_size=3, unique=True).map("|".join)


def cell(name: str, kind: str) -> st.SearchStrategy[Any]:
    words = WORDS.get(name, ("a", "b", "c"))
    if kind in ("codes", "tags"):
        return joined(words)
    if kind in ("code", "tag"):
        return st.sampled_from(words)
    if kind == "boolean":
        return st.booleans()
    return st.sampled_from([1950, 1989, 2001]) if name in ("birth_year", "practising_since") else st.floats(0, 1)


def some_of(cells: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Row]:
    """Rows that know any part of the cells."""
    return st.fixed_dictionaries({}, optional=cells)


def cells_of(columns: tuple[Any, ...]) -> dict[str, st.SearchStrategy[Any]]:
    return {c.name: cell(c.name, c.kind) for c in columns if c.kind not in ("id", "date", "text", "moment")}


SCORES = {name: st.integers(0, 21) for name in ("phq9.0", "phq9.3", "phq9.9", "gad7.0", "gad7.6", "wsas.0", "pets")}
WANTS = {f"{strength}.{topic}": joined(words) for strength in ("prefer", "avoid") for topic, words in WISHES.items()}
CLIENT_ROWS = some_of({**cells_of(CLIENTS.columns), **SCORES, **WANTS})
TRACK = {"cases": st.integers(0, 9), "days_since_last_case": st.integers(0, 2000), "siblings": st.integers(0, 3)}
TRACK |= {f"cases_with.{problem}": st.integers(0, 9) for problem in PROBLEMS[:2]}
THERAPIST_ROWS = some_of({**cells_of(THERAPISTS.columns), **TRACK})


def table(rows: list[Row]) -> dict[str, list[Any]]:
    return {name: [row.get(name) for row in rows] for name in sorted({name for row in rows for name in row})}


def clients(rows: list[Row]) -> Columns:
    return client_columns(table(rows), len(rows), np.full(len(rows), 2024.0), SEVERITY)


def therapists(rows: list[Row]) -> Columns:
    return therapist_columns(table(rows), len(rows), np.full(len(rows), 2024.0), {})


def build(client_rows: list[Row], therapist_rows: list[Row]) -> np.ndarray:
    pairs = Pairs.all(len(client_rows), len(therapist_rows))
    return EVERYTHING.build(clients(client_rows), therapists(therapist_rows), pairs)


CROWD = (st.lists(CLIENT_ROWS, min_size=1, max_size=4), st.lists(THERAPIST_ROWS, min_size=1, max_size=4))

# -- the three laws -----------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(*CROWD)
def test_a_pair_alone_gets_what_it_gets_in_a_crowd(client_rows: list[Row], therapist_rows: list[Row]):
    among = iter(build(client_rows, therapist_rows))
    for client in client_rows:
        for therapist in therapist_rows:
            np.testing.assert_array_equal(build([client], [therapist])[0], next(among))


@settings(max_examples=60, deadline=None)
@given(CLIENT_ROWS, CROWD[1], st.lists(st.integers(0, 3), max_size=6))
def test_one_client_with_some_therapists_gets_what_each_pair_gets(client: Row, crowd: list[Row], some: list[int]):
    one, others, rows = clients([client]), therapists(crowd), np.array([at % len(crowd) for at in some], dtype=np.int64)
    every = EVERYTHING.build_pairs(one, others, Pairs.all(1, len(crowd)))
    np.testing.assert_array_equal(EVERYTHING.build_pairs(one, others, Pairs.of_one(rows)), every[rows])


@settings(max_examples=40, deadline=None)
@given(*CROWD, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(client_rows: list[Row], therapist_rows: list[Row], random: Any):
    first, second = list(range(len(client_rows))), list(range(len(therapist_rows)))
    random.shuffle(first)
    random.shuffle(second)
    shape = (len(client_rows), len(therapist_rows), -1)
    straight = build(client_rows, therapist_rows).reshape(shape)
    mixed = build([client_rows[i] for i in first], [therapist_rows[j] for j in second]).reshape(shape)
    np.testing.assert_array_equal(mixed, straight[np.ix_(first, second)])


def built(dataset: Dataset, episodes: pd.DataFrame, features: FeatureSet) -> np.ndarray:
    found = from_history(History(dataset), episodes, SEVERITY, PROBLEMS)
    return features.build(*found, Pairs.each(len(episodes)))


@pytest.fixture(scope="module")
def matched(clinic: tuple[Dataset, Truth]) -> tuple[Dataset, pd.DataFrame, FeatureSet]:
    """The small clinic, its matched episodes, and every feature that can be learned from them."""
    dataset, _ = clinic
    episodes = dataset["episodes"].dropna(subset=["therapist_id"]).reset_index(drop=True)
    rows = from_history(History(dataset), episodes, SEVERITY, PROBLEMS)
    declared = {f"client.{name}": "declared" for name in dataset.manifest.column["clients"]}
    declared |= {f"therapist.{name}": "declared" for name in dataset.manifest.column["therapists"]}
    return dataset, episodes, FeatureSet.learn(*rows, [*CATALOG, *declared], declared)


def as_it_stood(dataset: Dataset, day: pd.Timestamp) -> Dataset:
    """The tables without any row that tells of a later day; a therapist's earliest version is always there."""
    frames = dict(dataset.frames)
    for name, column in (("measures", "taken_on"), ("sessions", "held_on"), ("episodes", "matched_on")):
        frames[name] = frames[name][~(frames[name][column] > day)]
    ended = frames["episodes"]["ended_on"] > day
    unsaid = {name: frames["episodes"][name].mask(ended) for name in ("ended_on", "ending", "sessions_attended")}
    frames["episodes"] = frames["episodes"].assign(**unsaid)
    versions = frames["therapists"]
    earliest = versions.groupby("therapist_id")["profile_updated_on"].transform("min")
    held = ~(versions["profile_updated_on"] > day) | (versions["profile_updated_on"] == earliest)
    frames["therapists"] = versions[held]
    return replace(dataset, frames=frames)


@settings(max_examples=8, deadline=None)
@given(share=st.floats(0.05, 0.95))
def test_facts_dated_after_the_day_change_nothing(matched: tuple[Dataset, pd.DataFrame, FeatureSet], share: float):
    dataset, episodes, features = matched
    day = episodes["matched_on"].quantile(share).normalize()
    before = episodes[episodes["matched_on"] <= day].reset_index(drop=True)
    then = as_it_stood(dataset, day)
    assert sum(map(len, then.frames.values())) < sum(map(len, dataset.frames.values()))
    np.testing.assert_array_equal(built(dataset, before, features), built(then, before, features))


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_the_tables_rows_changes_nothing(matched: tuple[Dataset, pd.DataFrame, FeatureSet], seed: int):
    dataset, episodes, features = matched
    rng = np.random.default_rng(seed)
    mixed = {name: frame.iloc[rng.permutation(len(frame))] for name, frame in dataset.frames.items()}
    order = rng.permutation(len(episodes))
    straight = built(dataset, episodes, features)
    np.testing.assert_array_equal(
        built(replace(dataset, frames=mixed), episodes.iloc[order].reset_index(drop=True), features), straight[order]
    )


def test_one_episode_alone_gets_what_it_gets_among_all(matched: tuple[Dataset, pd.DataFrame, FeatureSet]):
    dataset, episodes, features = matched
    among = built(dataset, episodes, features)
    for i in (0, len(episodes) // 2, len(episodes) - 1):
        np.testing.assert_array_equal(built(dataset, episodes.iloc[[i]].reset_index(drop=True), features)[0], among[i])


def test_a_training_frame_and_a_servers_lists_give_the_same(matched: tuple[Dataset, pd.DataFrame, FeatureSet]):
    dataset, episodes, features = matched
    some = episodes.iloc[::50].reset_index(drop=True)
    history = History(dataset)
    known = history.as_of_each(some["matched_on"].to_numpy())
    kinds = CLIENT_KINDS | history.contract_of("clients"), THERAPIST_KINDS | history.contract_of("therapists")
    frames = (
        known.clients(some["client_id"]).join(known.intake(some["episode_id"])),
        known.therapists(some["therapist_id"]),
    )
    year = np.full(len(some), 2024.0)
    answers = []
    for client_table, therapist_table in (frames, tuple(map(as_lists, frames))):
        rows = client_columns(client_table, len(some), year, SEVERITY, kinds[0])
        others = therapist_columns(therapist_table, len(some), year, {}, kinds[1])
        answers.append(features.build(rows, others, Pairs.all(len(some), len(some))))
    np.testing.assert_array_equal(*answers)


def as_lists(frame: pd.DataFrame) -> dict[str, list[Any]]:
    return {name: [None if pd.isna(value) else value for value in frame[name]] for name in frame}


# -- what must never be a feature -----------------------------------------------------------------------------------

TRAITS = {"gender": "man", "ethnicity": "c", "birth_year": 1931}
CLIENT_TRAITS = TRAITS | {"disability": True, "sexual_orientation": "c"}
THERAPIST_TRAITS = TRAITS | {"faith": "c"}
WISHED = {"wishes_met", "dislikes_hit"}


@settings(max_examples=40, deadline=None)
@given(*CROWD)
def test_traits_of_the_person_never_rank_therapists_but_as_a_stated_wish(
    client_rows: list[Row], therapist_rows: list[Row]
):
    changed = [row | CLIENT_TRAITS for row in client_rows], [row | THERAPIST_TRAITS for row in therapist_rows]
    before, after = build(client_rows, therapist_rows)[:, FIT], build(*changed)[:, FIT]
    own = [j for j, i in enumerate(FIT) if EVERYTHING.columns[i] not in WISHED]
    np.testing.assert_array_equal(before[:, own], after[:, own])
    silent = [{name: value for name, value in row.items() if name not in WANTS} for row in client_rows]
    np.testing.assert_array_equal(build(silent, therapist_rows)[:, FIT], build(silent, changed[1])[:, FIT])


@settings(max_examples=30, deadline=None)
@given(*CROWD)
def test_item_9_is_nowhere_a_feature(client_rows: list[Row], therapist_rows: list[Row]):
    answers = [build([row | {"phq9.9": value} for row in client_rows], therapist_rows) for value in (0, 3, None)]
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


# -- columns ------------------------------------------------------------------------------------------------------


def column(name: str, client_rows: list[Row], therapist_rows: list[Row]) -> list[float]:
    return list(build(client_rows, therapist_rows)[:, EVERYTHING.columns.index(name)])


def test_a_code_is_one_where_it_holds_zero_where_another_holds_and_unknown_stays_unknown():
    people = [{"gender": "woman"}, {"gender": "man"}, {"gender": "non_binary"}, {}]
    np.testing.assert_array_equal(column("client_gender.woman", people, [{}]), [1, 0, 0, np.nan])


def test_several_words_are_a_column_each():
    people = [{"problems": "sleep|anxiety"}, {"problems": "grief"}, {}]
    np.testing.assert_array_equal(column("problem.sleep", people, [{}]), [1, 0, np.nan])
    np.testing.assert_array_equal(column("problem.anxiety", people, [{}]), [1, 0, np.nan])
    np.testing.assert_array_equal(column("main_problem.anxiety", people, [{}]), [0, 0, np.nan])


def test_a_column_the_dataset_declares_is_a_feature_of_its_row():
    assert column("client.pets", [{"pets": 2}], [{}]) == [2]
    assert column("therapist.siblings", [{}], [{"siblings": 3}]) == [3]


def test_columns_are_named_in_the_order_client_therapist_pair():
    parts = [EVERYTHING.columns_of(part) for part in ("client", "therapist", "pair")]
    assert EVERYTHING.columns == sum(parts, ())
    assert build([{}], [{}]).shape == (1, len(EVERYTHING.columns))
    assert len(set(EVERYTHING.columns)) == len(EVERYTHING.columns)
    assert set(EVERYTHING.feature_of.values()) == {*CATALOG, "client.pets", "therapist.siblings"}


def learned(client_rows: list[Row], therapist_rows: list[Row], names: list[str], fewest: int = 2) -> FeatureSet:
    return FeatureSet.learn(clients(client_rows), therapists(therapist_rows), names, {}, fewest)


def test_a_code_becomes_a_column_where_enough_rows_have_it():
    rows = [{"gender": "woman"}, {"gender": "woman"}, {"gender": "man"}]
    assert learned(rows, [{}] * 3, ["client_gender"]).columns == ("client_gender.woman",)


def test_a_feature_that_is_never_known_or_was_not_asked_for_is_left_out():
    rows = [{"expectancy": 0.5, "motivation": 0.5}, {}]
    found = learned(rows, [{}] * 2, ["expectancy", "social_support", "expectancy_x_directiveness", "client_gender"])
    assert found.columns == ("expectancy",)


@settings(max_examples=30, deadline=None)
@given(st.lists(CLIENT_ROWS, min_size=3, max_size=3), st.lists(THERAPIST_ROWS, min_size=3, max_size=3))
def test_a_feature_set_comes_back_from_json_the_same(client_rows: list[Row], therapist_rows: list[Row]):
    first = learned(client_rows, therapist_rows, list(CATALOG), fewest=1)
    second = FeatureSet.from_json(json.loads(json.dumps(first.as_json())))
    assert second == first
    pairs = Pairs.all(3, 3)
    rows = clients(client_rows), therapists(therapist_rows)
    np.testing.assert_array_equal(first.build(*rows, pairs), second.build(*rows, pairs))
