"""For whom it works: groups as the contract has them, small cells hidden, unknown a group of its own."""

import numpy as np
import pandas as pd
import pytest

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.truth import Truth
from training.evaluate import Resamples
from training.groups import UNKNOWN, group_table, groups_of
from training.run import Trained
from training.scoring import score

GROUPS = {"gender": pd.Series(["man"] * 12 + ["woman"] * 15 + [UNKNOWN] * 9)}
ROWS = np.arange(36)


def resamples(rows: int) -> Resamples:
    return Resamples.of(np.arange(rows) % 6, 100, 0)


def test_every_group_has_its_own_mean_and_small_cells_are_hidden() -> None:
    bias = np.concatenate([np.full(12, 0.5), np.full(15, -0.25), np.full(9, 9.0)])
    man, woman, unknown = group_table(GROUPS, ROWS, {"bias": bias}, np.ones(36), resamples(36))
    assert (man["attribute"], man["group"], man["n"]) == ("gender", "man", 12)
    assert man["bias"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert (woman["n"], woman["bias"]["value"]) == (15, -0.25)
    assert unknown == {"attribute": "gender", "group": UNKNOWN, "n": None}


def test_weights_and_missing_values_count_as_they_should() -> None:
    values = np.concatenate([[4.0], np.zeros(11), np.full(15, np.nan), np.zeros(9)])
    weight = np.concatenate([[11.0], np.ones(35)])
    man, woman, _ = group_table(GROUPS, ROWS, {"gain": values}, weight, resamples(36))
    assert man["gain"]["value"] == pytest.approx(2.0)
    assert "gain" not in woman


def test_rows_may_be_some_of_those_in_groups() -> None:
    table = group_table(GROUPS, np.arange(12), {"bias": np.ones(12)}, np.ones(12), resamples(12))
    assert [row["n"] for row in table] == [12, None, None]


def test_the_clients_of_a_clinic_fall_into_groups_and_the_unknown_into_one_of_their_own(
    clinic: tuple[Dataset, Truth], trained: Trained
) -> None:
    history = History(for_learning(clinic[0]))
    episodes = trained.material.episodes
    groups = groups_of(history, episodes, score(history, episodes, trained.material), trained.material)
    assert set(groups) == {
        "gender", "age_band", "ethnicity", "language", "payer", "deprivation", "severity_band", "problem",
    }  # fmt: skip
    clients = clinic[0]["clients"].set_index("client_id").loc[episodes["client_id"]]
    assert (groups["gender"].to_numpy() == clients["gender"].fillna(UNKNOWN).to_numpy()).all()
    assert ((groups["ethnicity"] == UNKNOWN).to_numpy() == clients["ethnicity"].isna().to_numpy()).all()
    main = clients["problems"].str.split("|").str[0]
    assert (groups["problem"].to_numpy() == main.fillna(UNKNOWN).to_numpy()).all()
    age = episodes["matched_on"].dt.year.to_numpy() - clients["birth_year"].to_numpy(dtype=float, na_value=np.nan)
    assert (groups["age_band"][age < 18] == "under_18").all()
    assert (groups["age_band"][(age >= 35) & (age < 50)] == "35_to_49").all()
    assert (groups["age_band"][np.isnan(age)] == UNKNOWN).all()
    assert set(groups["deprivation"]) <= {UNKNOWN, *(f"decile_{i}_to_{i + 1}" for i in range(1, 10, 2))}
    shares = groups["severity_band"].value_counts(normalize=True)
    assert shares[["lower_third", "middle_third", "upper_third"]].min() > 0.2


def test_an_attribute_that_is_unknown_of_everyone_is_no_group(clinic: tuple[Dataset, Truth], trained: Trained) -> None:
    dataset = clinic[0]
    clients = dataset["clients"].drop(columns=["payer"])
    history = History(for_learning(Dataset(dataset.manifest, {**dataset.frames, "clients": clients})))
    episodes = trained.material.episodes.head(50)
    groups = groups_of(history, episodes, score(history, episodes, trained.material), trained.material)
    assert "payer" not in groups
    assert "gender" in groups
