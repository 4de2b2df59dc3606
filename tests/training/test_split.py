"""How rows are divided."""

import datetime as dt

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from training.config import SplitConfig
from training.split import blocks, folds


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80), st.integers(2, 6), st.integers(0, 99))
def test_a_client_is_in_one_fold_only(owners: list[int], count: int, seed: int):
    clients = pd.Series([f"c{owner}" for owner in owners])
    found = folds(clients, count, seed)
    assert (pd.Series(found).groupby(clients).nunique() == 1).all()
    assert set(found) <= set(range(count))


@given(st.integers(1, 50), st.integers(2, 6), st.integers(0, 99))
def test_folds_hold_nearly_the_same_number_of_clients(clients: int, count: int, seed: int):
    sizes = np.bincount(folds(pd.Series([f"c{i}" for i in range(clients)]), count, seed), minlength=count)
    assert sizes.max() - sizes.min() <= 1


@given(st.permutations([f"c{i % 9}" for i in range(20)]))
def test_the_order_of_rows_does_not_move_a_client_to_another_fold(clients: list[str]):
    ordered = pd.Series(sorted(clients))
    moved = dict(zip(clients, folds(pd.Series(clients), 3, 1), strict=True))
    assert moved == dict(zip(ordered, folds(ordered, 3, 1), strict=True))


def dated(days: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"matched_on": pd.to_datetime(days), "client_id": [f"c{i}" for i in range(len(days))]})


def test_the_test_block_is_the_latest_share_and_tuning_comes_just_before():
    episodes = dated([f"2025-01-{day:02d}" for day in range(1, 21)][::-1])
    found = blocks(episodes, SplitConfig(test_share=0.2, tune_share=0.2), 0)
    assert found.forward
    assert found.test_from == dt.date(2025, 1, 16)
    assert found.tune_from == dt.date(2025, 1, 12)
    assert (episodes.loc[found.test, "matched_on"] >= "2025-01-16").all()
    assert (episodes.loc[~found.test, "matched_on"] < "2025-01-16").all()


def test_undated_rows_are_tested_on_clients_held_out_whole():
    episodes = pd.DataFrame({"matched_on": pd.Series([pd.NaT] * 40), "client_id": [f"c{i // 2}" for i in range(40)]})
    found = blocks(episodes, SplitConfig(test_share=0.2), 0)
    assert not found.forward
    assert found.tune_from is None
    assert found.test.sum() == 8
    assert not set(episodes.loc[found.test, "client_id"]) & set(episodes.loc[~found.test, "client_id"])
