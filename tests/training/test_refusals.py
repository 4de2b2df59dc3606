"""What a run must refuse, say, or not claim: rules that were broken once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.dataset import Dataset
from data.errors import ConfigError
from data.history import History
from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from data.synthetic.truth import Truth
from features.policy import Policy
from training.choosing import settle
from training.config import DEFAULT_HEADS, FitConfig, HeadConfig, OutcomeConfig, PrognosisConfig, TrainConfig, told
from training.gate import unmet
from training.learn import identified
from training.run import Trained, evaluate_only, train
from training.scoring import MOST_CANDIDATES, choices
from training.storage import save, writable
from training.targets import learnable

QUICK = TrainConfig(heads=DEFAULT_HEADS[:1], prognosis=PrognosisConfig(rounds=15, refits=0), bootstraps=50)
Clinic = tuple[Dataset, Truth]


# --- nothing but an earlier bundle is ever replaced ---------------------------------------------------------------


def test_a_folder_with_other_files_is_never_replaced_by_a_bundle(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("important")
    with pytest.raises(ConfigError, match="holds other files"):
        save(trained.bundle, tmp_path, {})
    assert (tmp_path / "thesis.txt").read_text() == "important"


def test_a_bundle_is_never_written_over_the_dataset_it_learns_from(tmp_path: Path) -> None:
    (tmp_path / "clinic").mkdir()
    for out in (tmp_path / "clinic", tmp_path):
        with pytest.raises(ConfigError, match="holds the dataset"):
            writable(out, tmp_path / "clinic")


def test_a_place_that_cannot_be_written_is_said_before_anything_is_learned() -> None:
    with pytest.raises(ConfigError, match="must be writable"):
        writable("/proc/nowhere/bundle")


# --- which way up, and from what -----------------------------------------------------------------------------------


def test_a_measure_is_read_the_way_its_instrument_points(clinic: Clinic) -> None:
    config = QUICK.model_copy(update={"heads": (HeadConfig(name="phq9", source="measure:phq9@4", weight=1),)})
    assert settle(config, clinic[0]).heads[0].direction == "lower"


def test_a_direction_against_the_instrument_and_an_unknown_one_are_refused_together(clinic: Clinic) -> None:
    heads = (
        HeadConfig(name="up", source="measure:phq9@4", direction="higher", weight=1),
        HeadConfig(name="lost", source="measure:phq7@4"),
    )
    config = TrainConfig(heads=heads, outcome=OutcomeConfig(instruments=("phq9", "gad9")))
    with pytest.raises(ConfigError) as refused:
        settle(config, clinic[0])
    said = str(refused.value)
    assert "of phq9 a lower score is better" in said
    assert "'phq7'" in said
    assert "'gad9'" in said


def test_a_binary_head_of_scores_is_refused_with_the_value_it_met(clinic: Clinic, tmp_path: Path) -> None:
    head = HeadConfig(name="phq9", source="measure:phq9@0", kind="binary", weight=1)
    with pytest.raises(ConfigError, match="learns 0 or 1"):
        train(clinic[0], QUICK.model_copy(update={"heads": (head,)}), tmp_path / "bundle")


def test_a_score_at_intake_is_a_control_that_never_passes_the_gate(clinic: Clinic, tmp_path: Path) -> None:
    head = HeadConfig(name="control", source="measure:phq9@0", weight=1)
    found = train(clinic[0], QUICK.model_copy(update={"heads": (head,)}), tmp_path / "bundle")
    assert any("a control, never a result" in str(problem) for problem in unmet(found.bundle, Policy.read()))


def test_a_run_names_its_dataset_once(tmp_path: Path) -> None:
    config = tmp_path / "run.toml"
    config.write_text('dataset = "clinic"\n')
    assert told(config, None, None)[0] == Path("clinic")
    assert told(config, None, Path("other"))[0] == Path("other")
    assert told(tmp_path, config, None)[0] == tmp_path
    config.write_text("")
    for what, also, data in ((config, None, None), (config, config, Path("x")), (tmp_path, None, Path("x"))):
        with pytest.raises(ConfigError):
            told(what, also, data)


def test_a_configuration_that_is_not_utf_8_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_bytes('name = "caf\u00e9"'.encode("latin-1"))
    with pytest.raises(ConfigError, match="UTF-8"):
        TrainConfig.read(tmp_path / "run.toml")


# --- choices, and what is proven by them ---------------------------------------------------------------------------


def without_offers(dataset: Dataset, share: float) -> Dataset:
    """The dataset with offers recorded for that share of its episodes."""
    offers = dataset.frames["offers"]
    episodes = dataset.frames["episodes"]["episode_id"]
    kept = episodes[np.random.default_rng(0).random(len(episodes)) < share]
    return replace(dataset, frames={**dataset.frames, "offers": offers[offers["episode_id"].isin(kept)]})


def some(history: History) -> pd.DataFrame:
    return learnable(history.as_of(history.manifest.as_of), 30).tail(200).reset_index(drop=True)


def test_clients_without_recorded_offers_are_no_choices_of_one(clinic: Clinic) -> None:
    history = History(without_offers(clinic[0], 0.5))
    found = choices(history, some(history), 0)
    assert found.recorded
    assert 0.3 < found.share < 0.7
    assert np.bincount(found.episode)[np.unique(found.episode)].min() > 1
    assert np.array_equal(np.unique(found.episode), np.unique(found.episode[found.assigned]))


def test_without_offers_choices_are_guessed_are_bounded_and_prove_nothing(clinic: Clinic) -> None:
    bare = without_offers(clinic[0], 0.0)
    history = History(bare)
    found = choices(history, some(history), 0)
    assert not found.recorded
    assert np.bincount(found.episode).max() <= MOST_CANDIDATES + 1
    evaluation = evaluate_only(bare, QUICK)
    assert evaluation["offers_recorded"] is False
    assert evaluation["utility"]["over_next_available"]["model"]["claimed"] > 0


def test_what_was_not_recorded_is_never_proven(clinic: Clinic, tmp_path: Path) -> None:
    found = train(without_offers(clinic[0], 0.0), QUICK, tmp_path / "bundle")
    assert found.bundle.manifest.proven is False


# --- a clinic without therapist effects ----------------------------------------------------------------------------


def test_therapists_seen_once_have_no_effect_of_their_own() -> None:
    once, often = np.arange(400), np.repeat(np.arange(40), 10)
    assert identified(FitConfig(), often) == FitConfig()
    kept = identified(FitConfig(), once)
    assert (kept.therapist, kept.slope, kept.strengths, kept.columns) == (False, False, False, True)


@pytest.mark.prove
def test_where_therapists_do_not_differ_little_is_claimed() -> None:
    claimed = []
    for seed in range(6):
        dataset, _ = simulate(Plan(arm="null", episodes=3000, therapists=60, seed=seed))
        evaluation = evaluate_only(dataset, TrainConfig(heads=DEFAULT_HEADS[:3], bootstraps=50))
        claimed.append(evaluation["utility"]["over_next_available"]["model"]["claimed"])
    assert np.mean(claimed) < 0.09


def test_second_best_facts_are_counted_in_the_manifest(trained: Trained) -> None:
    flags = trained.bundle.manifest.flags
    assert 0 < flags["alliance: value of a second-best kind"] < 0.3
