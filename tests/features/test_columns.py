"""Rows as arrays: unknown stays unknown, and a frame and a mapping of lists give the same."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.tables import DTYPES
from features.columns import Codes, Columns, Pairs, Sets

KINDS = {"one": "code", "two": "tag", "many": "codes", "more": "tags", "count": "integer", "share": "number"}
KINDS |= {"yes": "boolean", "who": "id", "on": "date", "said": "text"}


def same(one: Columns, other: Columns) -> None:
    assert one.size == other.size
    assert (set(one.numbers), set(one.codes), set(one.sets)) == (set(other.numbers), set(other.codes), set(other.sets))
    for name, values in one.numbers.items():
        np.testing.assert_array_equal(values, other.numbers[name], err_msg=name)
    for name, codes in one.codes.items():
        assert codes.vocabulary == other.codes[name].vocabulary
        np.testing.assert_array_equal(codes.index, other.codes[name].index, err_msg=name)
    for name, sets in one.sets.items():
        assert sets.vocabulary == other.sets[name].vocabulary
        for part in ("member", "known", "first"):
            np.testing.assert_array_equal(getattr(sets, part), getattr(other.sets[name], part), err_msg=name)


WORD = st.none() | st.sampled_from(["a", "b", "c.d"])
WORDS = st.none() | st.lists(st.sampled_from(["a", "b", "en-GB"]), min_size=1, unique=True).map("|".join)
ROW = st.fixed_dictionaries(
    {"one": WORD, "two": WORD, "many": WORDS, "more": WORDS, "count": st.none() | st.integers(0, 9)}
    | {"share": st.none() | st.floats(0, 1), "yes": st.none() | st.booleans()}
)


@settings(max_examples=50, deadline=None)
@given(st.lists(ROW, max_size=6))
def test_a_frame_and_a_mapping_of_lists_give_the_same_columns(rows: list[dict[str, Any]]):
    lists = {name: [row[name] for row in rows] for name in KINDS if name not in ("who", "on", "said")}
    frame = pd.DataFrame({name: pd.Series(cells, dtype=DTYPES[KINDS[name]]) for name, cells in lists.items()})
    same(Columns.of(frame, KINDS, len(rows)), Columns.of(lists, KINDS, len(rows)))


def test_ids_days_and_text_are_no_columns_and_a_column_without_a_kind_is_a_number():
    table = {"who": ["c1"], "on": ["2024-01-01"], "said": ["hello"], "phq9.0": [12]}
    columns = Columns.of(table, KINDS, 1)
    assert (list(columns.numbers), list(columns.codes), list(columns.sets)) == (["phq9.0"], [], [])


def test_a_column_that_was_never_given_is_unknown_in_every_row():
    nothing = Columns(2)
    assert np.isnan(nothing.number("age")).tolist() == [True, True]
    assert nothing.code("gender").index.tolist() == [-1, -1]
    assert nothing.set("problems").known.tolist() == [False, False]
    assert np.isnan(nothing.set("problems").sizes()).all()


def test_codes_in_another_vocabulary_tell_unknown_from_not_among_its_words():
    assert Codes.of(["b", None, "z"]).within(("a", "b")).tolist() == [1, -1, -2]


def test_sets_know_their_members_their_size_and_what_came_first():
    sets = Sets.of(["sleep|anxiety", None, "anxiety"])
    assert sets.vocabulary == ("anxiety", "sleep")
    assert sets.member.tolist() == [[True, True], [False, False], [True, False]]
    assert sets.known.tolist() == [True, False, True]
    np.testing.assert_array_equal(sets.sizes(), [2, np.nan, 1])
    assert sets.first_codes().index.tolist() == [1, -1, 0]
    assert sets.within(("sleep", "ptsd")).tolist() == [[True, False], [False, False], [False, False]]


@pytest.mark.parametrize("rows", [[], [2], [1, 1, 0]])
def test_taking_rows_is_the_same_as_having_been_given_them(rows: list[int]):
    table = {"one": ["a", None, "b"], "many": ["a|b", "b", None], "count": [1, None, 3]}
    taken = Columns.of(table, KINDS, 3).take(np.array(rows, dtype=np.int64))
    assert taken.size == len(rows)
    np.testing.assert_array_equal(taken.number("count"), [[1, np.nan, 3][i] for i in rows])
    assert taken.code("one").within(("a", "b")).tolist() == [[0, -1, 1][i] for i in rows]
    assert taken.set("many").within(("a", "b")).tolist() == [[[1, 1], [0, 1], [0, 0]][i] for i in rows]


def test_pairs_are_row_by_row_or_every_client_with_every_therapist():
    assert Pairs.each(3).client.tolist() == Pairs.each(3).therapist.tolist() == [0, 1, 2]
    pairs = Pairs.all(2, 3)
    assert (pairs.client.tolist(), pairs.therapist.tolist()) == ([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2])
    assert len(pairs) == 6
