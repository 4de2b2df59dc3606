"""A run, from a dataset to an evaluated bundle: what it says of itself, whom it learns from, what it leaves out."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.dataset import Dataset
from data.errors import ConfigError, DataError
from data.synthetic.truth import Truth
from features.policy import Policy
from training.config import DEFAULT_HEADS, HeadConfig, TrainConfig
from training.run import Trained, steps, train
from training.trial import PEERS

OUTCOME = TrainConfig(bootstraps=50, heads=DEFAULT_HEADS[:1])
Run = Callable[..., Trained]


@pytest.fixture(scope="module")
def small() -> Dataset:
    from data.synthetic.clinic import simulate
    from data.synthetic.plan import Plan

    return simulate(Plan(episodes=800, therapists=16, seed=3))[0]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def _run(dataset: Dataset, config: TrainConfig = OUTCOME) -> Trained:
        return train(dataset, config, tmp_path / f"bundle-{len(list(tmp_path.iterdir()))}")

    return _run


def with_frames(dataset: Dataset, **frames: pd.DataFrame) -> Dataset:
    return replace(dataset, frames={**dataset.frames, **frames})


def without_instrument(dataset: Dataset, name: str) -> Dataset:
    measures = dataset.frames["measures"]
    return with_frames(dataset, measures=measures[measures["instrument"] != name].reset_index(drop=True))


# --- what a bundle says of itself -----------------------------------------------------------------------------------


def test_the_manifest_says_what_was_learned_from_and_how(trained: Trained, clinic: tuple[Dataset, Truth]):
    said, dataset = trained.bundle.manifest, clinic[0]
    assert said.dataset == dataset.manifest.name
    assert said.data_hash == dataset.fingerprint()
    assert said.synthetic
    assert said.as_of == dataset.manifest.as_of
    assert said.rules == dataset.manifest.rules
    assert said.policy_hash == Policy.read().hash()
    assert TrainConfig.model_validate(said.config) == TrainConfig(bootstraps=50)
    assert set(said.intake_sds) == {"phq9", "gad7"}
    assert said.severity_of == {"phq9.0": (0, 27), "gad7.0": (0, 21)}
    assert said.served_on_everything
    assert {"python", "lightgbm", "numpy", "scipy", "pandas"} <= set(said.versions)
    assert json.loads((trained.folder / "manifest.json").read_text())["bundle_id"]


def test_every_head_is_evaluated_forward_in_time_beside_its_baselines(trained: Trained):
    found = trained.bundle.manifest.evaluation
    assert found["forward"]
    assert dt.date.fromisoformat(found["test_from"]) < trained.bundle.manifest.as_of
    assert found["offers_recorded"]
    assert set(found["heads"]) == {head.name for head in DEFAULT_HEADS}
    for head in found["heads"].values():
        assert set(head["r2"]) == {"model", "therapist_only", "therapist_mean", "patient_only"}
        assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in head["r2"].values())
        for key in ("r2_over_patient_only", "r2_over_therapist_mean", "rank_validity"):
            assert head[key]["low"] <= head[key]["value"] <= head[key]["high"]
    gains = found["utility"]["over_next_available"]
    assert set(gains) == {"model", "therapist_mean", *PEERS}
    assert trained.bundle.manifest.proven == (gains["model"]["gain"]["low"] > 0)
    for rows in (found["utility"]["regimes"], *(head["regimes"] for head in found["heads"].values())):
        assert {row["regime"] for row in rows} == {"free choice", "available slots", "full caseloads"}
        assert {row["eligible"] for row in rows} == {10, 20, "all"}
    mine = {(row["regime"], row["eligible"], row["policy"]): row for row in found["utility"]["regimes"]}
    same = mine["free choice", "all", "model"]["gain"]["value"]
    assert same == pytest.approx(gains["model"]["gain"]["value"], abs=1e-4)


def test_the_evaluation_is_json_that_anyone_can_read(trained: Trained):
    text = json.dumps(trained.bundle.manifest.evaluation, allow_nan=False)
    assert json.loads(text) == json.loads((trained.folder / "manifest.json").read_text())["evaluation"]


def test_groups_are_told_by_head_and_for_the_utility_with_small_ones_hidden(trained: Trained):
    evaluation = trained.bundle.manifest.evaluation
    tables = [head["groups"] for head in evaluation["heads"].values()] + [evaluation["utility"]["groups"]]
    for table in tables:
        assert {"gender", "age_band", "problem", "severity_band"} <= {row["attribute"] for row in table}
        assert all(row["n"] is None or row["n"] >= 10 for row in table)
        assert any(row["n"] is None for row in table)
    ours = [row for row in evaluation["utility"]["groups"] if "gain_free_choice" in row]
    assert all(row["gain_free_choice"]["value"] >= 0 for row in ours)
    assert any("gain_full_caseloads" in row for row in ours)


def test_the_test_is_learned_only_from_matches_old_enough_when_it_began(
    trained: Trained, clinic: tuple[Dataset, Truth]
):
    found = trained.bundle.manifest.evaluation
    matched = clinic[0]["episodes"]["matched_on"]
    cut = pd.Timestamp(found["test_from"]) - pd.Timedelta(weeks=30)
    assert found["learned_from"] <= (matched <= cut).sum()
    assert found["test_episodes"] <= (matched >= found["test_from"]).sum()


def test_a_run_says_what_it_is_doing_as_often_as_it_promised(small: Dataset, tmp_path: Path):
    said: list[str] = []
    train(small, OUTCOME, tmp_path / "bundle", said.append)
    assert len(said) == steps(OUTCOME) - 1  # there is no champion
    again: list[str] = []
    train(small, OUTCOME, tmp_path / "again", again.append, ("served", OUTCOME))
    assert len(again) == steps(OUTCOME)
    assert "final: outcome" in said


# --- determinism ----------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bundle_and_another_seed_another(small: Dataset, run: Run):
    first, again = run(small), run(small)
    other = run(small, OUTCOME.model_copy(update={"seed": 1}))
    ids = [json.loads((one.folder / "manifest.json").read_text())["bundle_id"] for one in (first, again, other)]
    assert ids[0] == ids[1] != ids[2]
    assert first.bundle.manifest.evaluation == again.bundle.manifest.evaluation


# --- heads ----------------------------------------------------------------------------------------------------------


def test_heads_without_labels_are_left_out_by_name(small: Dataset, run: Run):
    episodes = small.frames["episodes"].assign(
        ending=pd.Series(pd.NA, index=small.frames["episodes"].index, dtype="str")
    )
    bare = with_frames(without_instrument(small, "wai_sr"), episodes=episodes)
    found = run(bare, TrainConfig(bootstraps=50)).bundle
    assert set(found.manifest.left_out) >= {"alliance", "retention"}
    assert found.manifest.left_out["alliance"] == "0 labels; at least 50 are needed"
    assert "alliance" not in found.heads
    assert "outcome" in found.heads
    assert found.weighing.names == tuple(found.heads)


def test_a_head_with_one_class_is_left_out_by_name(small: Dataset, run: Run):
    episodes = small.frames["episodes"]
    planned = episodes["ending"].where(episodes["ending"] != "dropout", "planned")
    found = run(with_frames(small, episodes=episodes.assign(ending=planned)), TrainConfig(bootstraps=50)).bundle
    assert found.manifest.left_out == {"retention": "only one class", "early_dropout": "only one class"}


def test_heads_that_are_all_left_out_are_an_error_that_says_why(small: Dataset, run: Run):
    measures = small.frames["measures"]
    with pytest.raises(DataError, match="head outcome: left out: 0 labels"):
        run(with_frames(small, measures=measures[measures["session"] == 0].reset_index(drop=True)))


def test_a_head_declared_for_a_measure_is_learned(small: Dataset, run: Run):
    head = HeadConfig(name="later", source="measure:phq9@3", direction="lower", weight=1)
    found = run(small, TrainConfig(bootstraps=50, heads=(head,))).bundle
    measures = small.frames["measures"]
    known = measures[(measures["instrument"] == "phq9") & (measures["session"] == 3) & (measures["item"] == "0")]
    assert 50 <= found.heads["later"].info.rows <= len(known)
    assert found.manifest.evaluation["heads"]["later"]["rows"] > 2


def test_a_head_with_too_few_rows_for_a_tree_expects_the_mean_of_everyone(small: Dataset, run: Run):
    measures = small.frames["measures"]
    rated = measures.loc[measures["instrument"] == "wai_sr", "episode_id"].unique()
    few = measures[(measures["instrument"] != "wai_sr") | measures["episode_id"].isin(rated[:75])]
    config = TrainConfig(bootstraps=50, heads=DEFAULT_HEADS[:2])
    found = run(with_frames(small, measures=few.reset_index(drop=True)), config).bundle
    assert 50 <= found.heads["alliance"].info.rows < 80
    assert found.heads["alliance"].info.rounds == 0


def test_a_head_with_a_landmark_is_learned_but_not_served(small: Dataset, run: Run):
    head = HeadConfig(name="outcome", source="outcome", weight=1, landmark=1)
    found = run(small, TrainConfig(bootstraps=50, heads=(head,))).bundle
    assert "landmark.phq9@1" in found.heads["outcome"].info.landmark
    assert not found.servable


def test_a_feature_known_only_after_the_match_stops_the_run(small: Dataset, run: Run):
    config = TrainConfig.model_validate({"features": {"include": ["episode.sessions_attended", "measure:phq9@5"]}})
    with pytest.raises(ConfigError) as caught:
        run(small, config)
    assert len(caught.value.problems) == 2


def test_too_few_episodes_are_an_error_that_says_how_many_are_needed(small: Dataset, run: Run):
    episodes = small.frames["episodes"].head(60).reset_index(drop=True)
    with pytest.raises(DataError, match="at least 100 matched episodes"):
        run(with_frames(small, episodes=episodes))


# --- whose data -----------------------------------------------------------------------------------------------------


def learned(found: Trained) -> dict[str, Any]:
    """Everything in a bundle that came of data, as plain values."""
    solution = found.bundle.heads["outcome"].solution
    return {
        "b": solution.b.tolist(),
        "effects": solution.effects().tolist(),
        "trees": found.bundle.heads["outcome"].trees,
        "sds": found.bundle.manifest.intake_sds,
        "design": found.bundle.design.as_json(),
        "features": found.bundle.features.as_json(),
        "cases": {name: counts.tolist() for name, counts in found.bundle.records.counts.items()},
        "golden": json.loads((found.folder / "golden.json").read_text())["clients"],
        "evaluation": found.bundle.manifest.evaluation,
    }


def test_rows_of_clients_who_agreed_to_care_only_are_never_used(small: Dataset, run: Run):
    clients, episodes, measures = (small.frames[name] for name in ("clients", "episodes", "measures"))
    refused = clients.loc[clients["data_use"] == "care_only", "client_id"]
    theirs = episodes.loc[episodes["client_id"].isin(refused), "episode_id"]
    assert len(theirs) > 10
    without = {
        name: frame[
            ~frame["client_id"].isin(refused) if "client_id" in frame else ~frame["episode_id"].isin(theirs)
        ].reset_index(drop=True)
        for name, frame in small.frames.items()
        if "client_id" in frame or "episode_id" in frame
    }
    changed = measures["value"].mask(measures["episode_id"].isin(theirs), 0.0)
    expected = learned(run(with_frames(small, **without)))
    assert learned(run(small)) == expected
    assert learned(run(with_frames(small, measures=measures.assign(value=changed)))) == expected


def test_a_therapist_who_opted_out_gets_the_profiles_prediction_only(small: Dataset, run: Run):
    therapists, episodes = small.frames["therapists"], small.frames["episodes"]
    one = str(episodes["therapist_id"].mode()[0])
    opted_out = therapists.assign(
        learning_opt_out=therapists["learning_opt_out"].mask(therapists["therapist_id"] == one, True)
    )
    found = run(with_frames(small, therapists=opted_out))
    assert one not in found.bundle.records.ids
    profile = therapists[therapists["therapist_id"] == one].tail(1)
    day = found.bundle.manifest.as_of
    prepared = found.bundle.therapists([one, "new-1"], pd.concat([profile, profile]), day)
    assert prepared.position.tolist() == [-1, -1]
    rows = json.loads((found.folder / "golden.json").read_text())
    client = found.bundle.clients(rows["clients"], 3, day).take(np.array([0]))
    fits = found.bundle.posteriors(client, prepared, np.arange(2))["outcome"]
    assert fits.mean[0] == fits.mean[1]
    assert fits.own[0] == fits.own[1]


def test_what_an_opted_out_therapist_did_shapes_nothing(small: Dataset, run: Run):
    therapists, episodes, measures = (small.frames[name] for name in ("therapists", "episodes", "measures"))
    one = episodes["therapist_id"].mode()[0]
    out = therapists["learning_opt_out"].mask(therapists["therapist_id"] == one, True)
    theirs = episodes.loc[episodes["therapist_id"] == one, "episode_id"]
    changed = measures["value"].mask(measures["episode_id"].isin(theirs), 1.0)
    opted_out = with_frames(small, therapists=therapists.assign(learning_opt_out=out))
    assert learned(run(opted_out)) == learned(run(with_frames(opted_out, measures=measures.assign(value=changed))))


# --- data without dates ---------------------------------------------------------------------------------------------


def test_undated_data_are_tested_on_clients_held_out_and_prove_nothing(small: Dataset, run: Run):
    frames = {name: undated(frame) for name, frame in small.frames.items() if name not in ("slots", "licences")}
    manifest = small.manifest.model_copy(update={"undated": True, "as_of": None, "rules": ()})
    latest = frames["therapists"].drop_duplicates("therapist_id").reset_index(drop=True)
    found = run(Dataset(manifest, {**frames, "therapists": latest})).bundle.manifest
    assert found.undated
    assert found.as_of is None
    assert not found.evaluation["forward"]
    assert found.evaluation["test_from"] is None
    assert not found.proven


def undated(frame: pd.DataFrame) -> pd.DataFrame:
    dates = [name for name in frame if pd.api.types.is_datetime64_any_dtype(frame[name].dtype)]
    return frame.drop(columns=dates)


# --- no effect, no claim --------------------------------------------------------------------------------------------


def test_therapists_dealt_out_at_random_bring_no_gain(small: Dataset, run: Run):
    episodes = small.frames["episodes"]
    met = episodes["therapist_id"].notna().to_numpy()
    names = episodes["therapist_id"].to_numpy(dtype=object).copy()
    names[met] = np.random.default_rng(0).permutation(names[met])
    dealt = episodes.assign(therapist_id=pd.array(names, dtype="str"))
    frames = {name: frame for name, frame in small.frames.items() if name != "offers"}
    found = run(Dataset(small.manifest, {**frames, "episodes": dealt})).bundle.manifest
    gain = found.evaluation["utility"]["over_next_available"]["model"]["gain"]
    assert gain["low"] <= 0 <= gain["high"]
    assert not found.proven
    assert not found.evaluation["offers_recorded"]
