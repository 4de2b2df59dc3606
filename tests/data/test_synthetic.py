"""The synthetic clinic: a dataset like a real one, made anew from its plan, with nothing of the truth in it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from data.checking import check_dataset
from data.dataset import Dataset, read, write
from data.errors import ConfigError
from data.synthetic import words
from data.synthetic.clinic import simulate
from data.synthetic.plan import ARMS, Plan
from data.synthetic.truth import Truth, read_truth
from data.tables import DTYPES

SMALL = Plan(episodes=1500, therapists=50)


@pytest.fixture(scope="module")
def clinic() -> tuple[Dataset, Truth]:
    return simulate(SMALL)


@pytest.fixture(scope="module")
def dataset(clinic: tuple[Dataset, Truth]) -> Dataset:
    return clinic[0]


@pytest.fixture(scope="module")
def truth(clinic: tuple[Dataset, Truth]) -> Truth:
    return clinic[1]


def test_the_same_plan_gives_the_same_clinic(dataset: Dataset) -> None:
    assert simulate(SMALL)[0].fingerprint() == dataset.fingerprint()


def test_another_seed_gives_another_clinic(dataset: Dataset) -> None:
    assert simulate(SMALL.model_copy(update={"seed": 1}))[0].fingerprint() != dataset.fingerprint()


@pytest.mark.parametrize("arm", ARMS)
def test_data_check_finds_no_problem_in_any_arm(arm: str) -> None:
    assert check_dataset(simulate(Plan(arm=arm, episodes=400, therapists=20))[0]) == []


@settings(max_examples=10, deadline=None, phases=[Phase.generate])  # shrinking a clinic takes minutes
@given(episodes=st.integers(50, 300), therapists=st.integers(5, 40), seed=st.integers(0, 1000), years=st.floats(0.5, 8))
def test_any_size_of_clinic_is_without_problems_and_has_as_many_episodes_as_asked(
    episodes: int, therapists: int, seed: int, years: float
) -> None:
    made, _ = simulate(Plan(episodes=episodes, therapists=therapists, seed=seed, years=years))
    assert len(made["episodes"]) == episodes
    assert made["therapists"]["therapist_id"].nunique() == therapists
    assert check_dataset(made) == []


def test_every_column_has_the_dtype_of_the_contract(dataset: Dataset) -> None:
    for name, frame in dataset.frames.items():
        kinds = {column.name: DTYPES[column.kind] for column in dataset.contract(name).columns}
        assert {column: str(frame[column].dtype) for column in frame} == {column: kinds[column] for column in frame}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_dataset_survives_writing_and_reading(dataset: Dataset, form: str, tmp_path) -> None:
    back = read(write(dataset, tmp_path / "clinic", form))
    for name in dataset.frames:
        pd.testing.assert_frame_equal(back[name], dataset[name])


def test_the_manifest_says_that_it_is_synthetic_and_which_arm(dataset: Dataset) -> None:
    assert dataset.manifest.synthetic
    assert "synthetic" in dataset.manifest.name
    assert "base" in dataset.manifest.name


def test_no_number_of_the_truth_is_in_the_dataset(dataset: Dataset, truth: Truth) -> None:
    planted = np.concatenate(
        [
            truth.effects.main.ravel(),
            truth.effects.dropout.ravel(),
            truth.effects.alliance.ravel(),
            truth.needs.prognosis,
            truth.clients.hidden,
        ]
    ).round(6)
    for frame in dataset.frames.values():
        for column in frame.select_dtypes("float64"):
            assert not np.isin(frame[column].dropna().round(6), planted[planted != 0]).any()


def test_dates_of_an_episode_are_in_order_and_none_lies_after_the_last_day(dataset: Dataset) -> None:
    e = dataset["episodes"]
    steps = e[["referred_on", "matched_on", "started_on", "ended_on"]].ffill(axis=1)
    assert (steps.to_numpy()[:, :-1] <= steps.to_numpy()[:, 1:]).all()
    last = pd.Timestamp(dataset.manifest.as_of)
    for table, column in (("episodes", "ended_on"), ("measures", "taken_on"), ("sessions", "held_on")):
        assert dataset[table][column].max() <= last


def test_some_wait_some_decline_some_are_still_in_treatment(dataset: Dataset) -> None:
    e = dataset["episodes"]
    counts = e["ending"].value_counts()
    assert {"planned", "dropout", "declined", "ongoing", "waiting", "transferred"} <= set(counts.index)
    assert e.loc[e["ending"] == "waiting", "therapist_id"].isna().all()
    assert e.loc[e["ending"] == "declined", "started_on"].isna().all()
    assert e.loc[e["ending"].isin(["ongoing", "waiting"]), "ended_on"].isna().all()


def test_no_therapist_carries_more_open_cases_than_the_capacity_on_any_day(dataset: Dataset) -> None:
    e = dataset["episodes"].dropna(subset=["matched_on", "therapist_id"])
    end = e["ended_on"].fillna(pd.Timestamp(dataset.manifest.as_of))
    moves = pd.concat(
        [
            pd.DataFrame({"t": e["therapist_id"], "day": e["matched_on"], "step": 1}),
            pd.DataFrame({"t": e["therapist_id"], "day": end + pd.Timedelta(days=1), "step": -1}),
        ]
    ).sort_values(["t", "day", "step"])
    busiest = moves.groupby("t")["step"].cumsum().groupby(moves["t"]).max()
    capacity = dataset["therapists"].groupby("therapist_id")["caseload_capacity"].last()
    assert (busiest <= capacity.reindex(busiest.index)).all()


def test_todays_caseload_is_the_number_of_open_episodes(dataset: Dataset) -> None:
    e = dataset["episodes"]
    ongoing = e[e["ending"] == "ongoing"].groupby("therapist_id").size()
    latest = dataset["therapists"].groupby("therapist_id").last()
    assert (latest["caseload"] == ongoing.reindex(latest.index).fillna(0)).all()


def _offered(dataset: Dataset) -> pd.DataFrame:
    """Every offer beside the client's row and the therapist's profile on the day."""
    e = dataset["episodes"].merge(dataset["clients"], on="client_id", suffixes=("", "_client"))
    offers = dataset["offers"].merge(e, on="episode_id", suffixes=("_offered", ""))
    offers = offers.rename(columns={"therapist_id": "seen"}).sort_values("matched_on")
    profiles = dataset["therapists"].sort_values("profile_updated_on")
    offers = offers.assign(matched_on=offers["matched_on"].astype("datetime64[us]"))
    return pd.merge_asof(
        offers,
        profiles,
        left_on="matched_on",
        right_on="profile_updated_on",
        left_by="therapist_id_offered",
        right_by="therapist_id",
        suffixes=("", "_of"),
    )


def _overlap(one: pd.Series, other: pd.Series) -> np.ndarray:
    return np.array([bool(set(a.split("|")) & set(b.split("|"))) for a, b in zip(one, other, strict=True)])


def test_offers_keep_the_hard_rules_on_the_day(dataset: Dataset) -> None:
    o = _offered(dataset)
    assert o["profile_updated_on"].notna().all()
    assert _overlap(o["payer"], o["payers"]).all()
    assert _overlap(o["modalities"], o["modalities_of"]).all()
    assert _overlap(o["care_level"], o["care_levels"]).all()
    assert (_overlap(o["languages"], o["languages_of"]) | o["interpreter"].to_numpy(bool)).all()
    needs = o[o["problems"].str.split("|").str[0].isin(words.TRAINING_NEEDED)]
    assert _overlap(needs["problems"].str.split("|").str[0], needs["trained_for"]).all()
    known = o[o["birth_year"].notna()]
    for years in (0, 1):
        age = known["matched_on"].dt.year - known["birth_year"].astype(int) - years
        group = pd.cut(age, [-1, 12, 17, 64, 200], labels=list(words.AGE_GROUPS)).astype("str")
        assert _overlap(group, known["age_groups"]).all()


def test_offers_keep_licences_on_the_day(dataset: Dataset) -> None:
    o = _offered(dataset)[["episode_id", "therapist_id_offered", "jurisdiction", "matched_on"]]
    held = o.merge(
        dataset["licences"], left_on=["therapist_id_offered", "jurisdiction"], right_on=["therapist_id", "jurisdiction"]
    )
    assert len(held) == len(o)
    assert (held["status"] == "active").all()
    assert ((held["valid_from"] <= held["matched_on"]) & (held["matched_on"] <= held["valid_until"])).all()


def test_offers_keep_what_clients_insist_on(dataset: Dataset) -> None:
    o = _offered(dataset).merge(dataset["preferences"], on="client_id")
    gender = o[o["about"] == "gender"]
    assert (gender["gender_of"] == gender["value"])[gender["strength"] == "must"].all()
    assert (gender["gender_of"] != gender["value"])[gender["strength"] == "must_not"].all()
    assert (gender["strength"] == "must").any()


def test_the_therapist_seen_was_offered_and_propensities_of_each_client_add_up_to_one(truth: Truth) -> None:
    episode, therapist = truth.offers.T
    assigned = truth.therapist >= 0
    seen = np.zeros(len(assigned), bool)
    seen[episode[therapist == truth.therapist[episode]]] = True
    assert (seen == assigned).all()
    assert np.allclose(np.bincount(episode, truth.propensity, len(assigned))[assigned], 1)


def test_about_twenty_therapists_are_offered_to_a_client() -> None:
    made, _ = simulate(Plan(episodes=3000))
    assert 15 <= made["offers"].groupby("episode_id").size().median() <= 20


def test_totals_at_intake_are_the_sums_of_their_items_and_alliance_is_never_asked_then(dataset: Dataset) -> None:
    m = dataset["measures"]
    first = m[(m["session"] == 0) & m["instrument"].isin(["phq9", "gad7"])]
    items = first[first["item"] != "0"].groupby(["episode_id", "instrument"])["value"].agg(["sum", "size"])
    totals = first[first["item"] == "0"].set_index(["episode_id", "instrument"])["value"]
    assert (items["sum"] == totals.reindex(items.index)).all()
    assert set(items["size"]) == {7, 9}
    assert (m.loc[m["instrument"] == "wai_sr", "session"] > 0).all()


def test_attended_sessions_are_counted_alike_in_both_tables(dataset: Dataset) -> None:
    s = dataset["sessions"]
    attended = s[s["status"] == "attended"].groupby("episode_id").size()
    e = dataset["episodes"].set_index("episode_id")["sessions_attended"].dropna()
    assert (attended.reindex(e.index).fillna(0) == e).all()


def test_slots_lie_after_the_last_day_and_full_therapists_have_none_free(dataset: Dataset) -> None:
    slots = dataset["slots"]
    assert (slots["starts_at"] > pd.Timestamp(dataset.manifest.as_of, tz="UTC")).all()
    assert set(slots["status"]) == {"free", "booked", "held"}
    latest = dataset["therapists"].groupby("therapist_id").last()
    full = latest.index[latest["caseload"] >= latest["caseload_capacity"]]
    free = slots[slots["status"] == "free"]["therapist_id"]
    assert not free.isin(full).any()
    assert not free.isin(latest.index[~latest["accepts_new"]]).any()


def test_the_truth_survives_writing_and_reading(truth: Truth, tmp_path) -> None:
    back = read_truth(truth.write(tmp_path / "truth"))
    episodes, therapists = np.arange(40)[:, None], np.arange(SMALL.therapists)[None, :]
    assert back.plan == truth.plan
    for name in ("outcome", "alliance", "retention", "known_fit"):
        expected = getattr(truth, name)(episodes, therapists)
        assert np.array_equal(getattr(back, name)(episodes, therapists), expected)


def test_a_harmed_group_that_no_client_column_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="colour: must be one of"):
        simulate(SMALL.model_copy(update={"harm": "colour=blue"}))
    with pytest.raises(ConfigError, match="purple: must be one of"):
        simulate(SMALL.model_copy(update={"harm": "ethnicity=purple"}))
