"""Tuning: what is learned from, what is scored, what stays unread, and that a kill loses nothing."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from data.consent import for_learning
from data.dataset import write
from data.errors import ConfigError, DataError
from data.history import History
from training.config import FitConfig, HeadConfig, PrognosisConfig, SplitConfig, TrainConfig
from training.split import blocks
from training.study import Attempt, Tuned, name_of, propose, tune
from training.targets import learnable
from training.tune_block import TuneBlock, tune_block, within
from training.tuning import toml

if TYPE_CHECKING:
    from data.dataset import Dataset
    from data.synthetic.truth import Truth

FAST = TrainConfig(
    heads=(
        HeadConfig(name="outcome", source="outcome", weight=1.0),
        HeadConfig(name="alliance", source="alliance", weight=0.5),
    ),
    prognosis=PrognosisConfig(folds=2, rounds=50, refits=0),
    split=SplitConfig(tune_share=0.3),
    bootstraps=50,
)
FASTER = FAST.model_copy(update={"prognosis": PrognosisConfig(boosted=False), "heads": FAST.heads[:1]})
"""Where it is not asked what is learned."""


@pytest.fixture(scope="module")
def data(clinic: "tuple[Dataset, Truth]") -> "Dataset":
    return clinic[0]


@pytest.fixture(scope="module")
def block(data: "Dataset") -> TuneBlock:
    return tune_block(data, FAST)


@pytest.fixture(scope="module")
def tuned(data: "Dataset", tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    return tune(data, FAST, tmp_path_factory.mktemp("study") / "tuning.db", trials=7)


def days(data: "Dataset") -> tuple[pd.DataFrame, pd.Timestamp, pd.Timestamp]:
    """Episodes that have had time, and the days on which the tune block and the test block begin."""
    episodes = learnable(History(for_learning(data)).latest(), FAST.split.wait_weeks)
    cut = blocks(episodes, FAST.split, FAST.seed)
    return episodes, pd.Timestamp(cut.tune_from), pd.Timestamp(cut.test_from)


def test_it_learns_from_what_was_over_before_the_tune_block_and_scores_the_block_alone(
    data: "Dataset", block: TuneBlock
) -> None:
    episodes, tune_from, test_from = days(data)
    old = tune_from - pd.Timedelta(weeks=FAST.split.wait_weeks)
    assert set(block.material.episodes["matched_on"] <= old) == {True}
    inside = episodes["matched_on"].ge(tune_from) & episodes["matched_on"].lt(test_from)
    assert len(block.therapist) == inside.sum()
    assert block.seen.therapist_id.tolist() == episodes.loc[inside, "therapist_id"].tolist()


def test_changing_every_result_in_the_test_block_changes_nothing(data: "Dataset", tuned: Tuned, tmp_path: Path) -> None:
    episodes, _, test_from = days(data)
    test = data["episodes"].loc[data["episodes"]["matched_on"] >= test_from, "episode_id"]
    assert set(episodes.loc[episodes["matched_on"] >= test_from, "episode_id"]) <= set(test)
    measures, ends = data["measures"].copy(), data["episodes"].copy()
    hit = measures["episode_id"].isin(test) & (measures["session"] > 0)
    assert hit.sum() > 100
    measures.loc[hit, "value"] = measures.loc[hit, "value"].to_numpy()[::-1] + 1.0
    mine = ends["episode_id"].isin(test)
    ends.loc[mine, "ending"] = "dropout"
    ends.loc[mine, "sessions_attended"] = 1
    other = replace(data, frames={**data.frames, "measures": measures, "episodes": ends})
    assert other.fingerprint() != data.fingerprint()
    again = tune(other, FAST, tmp_path / "tuning.db", trials=7)
    assert again.attempts == tuned.attempts
    assert again.improvement == tuned.improvement


def test_changing_results_in_the_tune_block_changes_the_losses(data: "Dataset", tmp_path: Path, tuned: Tuned) -> None:
    _, tune_from, test_from = days(data)
    matched = data["episodes"]["matched_on"]
    inside = data["episodes"].loc[(matched >= tune_from) & (matched < test_from), "episode_id"]
    measures = data["measures"].copy()
    hit = measures["episode_id"].isin(inside) & (measures["session"] > 0)
    measures.loc[hit, "value"] = measures.loc[hit, "value"].to_numpy()[::-1]
    other = replace(data, frames={**data.frames, "measures": measures})
    assert tune(other, FAST, tmp_path / "tuning.db", trials=1).given.loss != tuned.given.loss


def test_a_therapists_constant_error_costs_nothing_and_one_that_varies_costs_its_variance() -> None:
    of, weight = np.array([0, 0, 1, 1, 1, 2]), np.ones(6)
    constant = np.array([0.3, 0.3, -2.0, -2.0, -2.0, 5.0])
    assert within(constant, weight, of) == pytest.approx(np.zeros(3), abs=1e-12)
    varying = np.array([1.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    assert within(constant + varying, weight, of) == pytest.approx([2 / 6, 0, 0])
    assert within(varying, np.array([3.0, 3.0, 1.0, 1.0, 1.0, 1.0]), of) == pytest.approx([6 / 10, 0, 0])


def test_the_given_configuration_is_tried_first_and_the_best_is_no_worse(tuned: Tuned) -> None:
    assert tuned.given.number == 0
    assert tuned.given.params["leaves"] == FAST.prognosis.leaves
    assert tuned.best.loss is not None
    assert tuned.given.loss is not None
    assert tuned.best.loss <= tuned.given.loss
    assert tuned.improvement["value"] == pytest.approx(tuned.given.loss - tuned.best.loss)
    assert tuned.improvement["low"] <= tuned.improvement["value"] <= tuned.improvement["high"]
    assert {one.state for one in tuned.attempts} <= {"complete", "pruned"}
    assert len(tuned.attempts) == 7


def test_the_loss_adds_up_from_the_heads_errors_in_units_of_the_utility(tuned: Tuned, block: TuneBlock) -> None:
    assert tuned.given.loss == pytest.approx(sum((block.share(n) * e) ** 2 for n, e in tuned.given.heads.items()))
    assert block.share("outcome") == pytest.approx(2 / 3)


def test_a_pruned_trial_has_no_loss_and_did_not_learn_every_head(tmp_path: Path, data: "Dataset") -> None:
    found = tune(data, FAST, tmp_path / "tuning.db", trials=12)
    pruned = [one for one in found.attempts if one.state == "pruned"]
    assert pruned
    assert all(one.loss is None and list(one.heads) == ["outcome"] for one in pruned)


def test_the_best_configuration_differs_from_the_given_in_what_was_searched_alone(tuned: Tuned) -> None:
    searched = {"prognosis", "fit"}
    assert tuned.config.model_dump(exclude=searched) == FAST.model_dump(exclude=searched)
    assert tuned.config.prognosis.leaves == tuned.best.params["leaves"]
    assert tuned.config.prognosis.folds == FAST.prognosis.folds


def test_a_configuration_outside_the_usual_bounds_lies_in_its_own_space() -> None:
    odd = TrainConfig(prognosis=PrognosisConfig(leaves=2, rounds=3000, learning_rate=0.5, refits=9), fit=FitConfig())
    told = {"learning_rate": 0.5, "leaves": 2, "fewest_in_leaf": 40, "rounds": 3000, "refits": 9}
    parts = {name: getattr(odd.fit, name) for name, f in FitConfig.model_fields.items() if f.annotation is bool}
    assert propose(optuna.trial.FixedTrial({**told, **parts}), odd) == odd


def test_parts_of_therapists_are_off_where_there_is_no_therapist_effect() -> None:
    flat = TrainConfig(prognosis=PrognosisConfig(boosted=False))
    parts = {name: True for name, f in FitConfig.model_fields.items() if f.annotation is bool}
    found = propose(optuna.trial.FixedTrial({**parts, "therapist": False}), flat)
    assert not found.fit.slope
    assert not found.fit.strengths
    assert found.prognosis == flat.prognosis


def test_a_study_is_continued_with_what_is_missing_and_only_by_its_own_kind(data: "Dataset", tmp_path: Path) -> None:
    storage = tmp_path / "tuning.db"
    first = tune(data, FASTER, storage, trials=2)
    seen: list[Attempt] = []
    second = tune(data, FASTER, storage, trials=4, on_trial=seen.append)
    assert second.attempts[:2] == first.attempts
    assert (second.resumed, len(second.attempts)) == (2, 4)
    assert seen == second.attempts
    assert tune(data, FASTER, storage, trials=3).attempts == second.attempts
    assert name_of(data, FASTER) != name_of(data, FASTER.model_copy(update={"seed": 1}))


@pytest.mark.parametrize("failed", [False, True])
def test_what_a_kill_or_an_error_cut_short_is_tried_again_once(data: "Dataset", tmp_path: Path, failed: bool) -> None:
    storage = tmp_path / "tuning.db"
    tune(data, FASTER, storage, trials=1)
    study = optuna.load_study(study_name=name_of(data, FASTER), storage=f"sqlite:///{storage}")
    orphan = study.ask()
    propose(orphan, FASTER)
    if failed:
        study.tell(orphan.number, state=TrialState.FAIL)
    found = tune(data, FASTER, storage, trials=2)
    assert found.attempts[1].params == orphan.params
    third = tune(data, FASTER, storage, trials=3)
    assert len(third.attempts) == 3
    assert sum(one.user_attrs.get("instead_of") == orphan.number for one in study.get_trials()) == 1
    assert study.get_trials(states=(TrialState.RUNNING,)) == []


def test_a_study_goes_on_after_sigkill_and_loses_no_trial(data: "Dataset", tmp_path: Path) -> None:
    folder, storage = write(data, tmp_path / "clinic"), tmp_path / "tuning.db"
    (tmp_path / "config.toml").write_text(
        toml({"dataset": str(folder), **FASTER.model_dump(mode="json", exclude_none=True, exclude={"dataset"})})
    )
    words = ["tune", "config.toml", "--trials", "500", "--storage", str(storage), "--no-track"]
    command = [str(Path(sys.executable).with_name("therapist-fit")), *words]
    running = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while _complete(storage) < 2:
        assert running.poll() is None
        time.sleep(0.1)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = _trials(storage)
    begun = [one.params for one in before if one.params]
    assert len(begun) < 500
    config = TrainConfig.read(tmp_path / "config.toml")
    found = tune(data, config, storage, trials=len(before) + 1)
    assert len(found.attempts) == len(before) + 1
    tried = [one.params.items() for one in found.attempts]  # of a trial killed while it drew, only a part is known
    assert [params for params in begun if not any(params.items() <= one for one in tried)] == []
    assert found.resumed == sum(one.state in (TrialState.COMPLETE, TrialState.PRUNED) for one in before)


def _complete(storage: Path) -> int:
    """Complete trials so far, by a look that writes nothing: Optuna's own would make tables while tune makes them."""
    try:
        with closing(sqlite3.connect(f"file:{storage}?mode=ro", uri=True)) as database:
            found = database.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone()
    except sqlite3.OperationalError:  # no file, or no table yet
        return 0
    return int(found[0])


def _trials(storage: Path) -> list[optuna.trial.FrozenTrial]:
    name = optuna.get_all_study_names(f"sqlite:///{storage}")[0]
    return optuna.load_study(study_name=name, storage=f"sqlite:///{storage}").trials


def test_two_processes_do_not_tune_in_one_file(data: "Dataset", tmp_path: Path) -> None:
    import fcntl

    storage = tmp_path / "tuning.db"
    with storage.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process"):
            tune(data, FASTER, storage, trials=1)


def test_too_few_episodes_are_refused_by_number(data: "Dataset", tmp_path: Path) -> None:
    late = FAST.model_copy(update={"split": SplitConfig(wait_weeks=150)})
    with pytest.raises(DataError, match="episodes"):
        tune(data, late, tmp_path / "tuning.db", trials=1)


def test_the_command_writes_a_configuration_that_train_reads_and_nests_runs_in_mlflow(
    data: "Dataset", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from training.registry.store import EXPERIMENT, connect
    from training.tuning import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    write(data, tmp_path / "clinic")
    Path("fast.toml").write_text(toml(FASTER.model_dump(mode="json", exclude_none=True)))
    said = {}
    for trials in ("2", "3"):
        found = CliRunner().invoke(app, ["clinic", "--config", "fast.toml", "--trials", trials, "--json"])
        assert found.exit_code == 0, found.output
        said = json.loads(found.stdout)
    assert said["trials"] == 3
    assert said["resumed"] == 2
    read = TrainConfig.read("var/tuned.toml")
    assert read.dataset == "clinic"
    assert read.fit.columns == said["best"]["params"]["columns"]
    client = connect()
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parent = next(run for run in runs if run.info.run_id == said["run_id"])
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == said["run_id"]]
    assert len(runs) == 4
    assert sorted(run.data.tags["trial"] for run in children) == ["0", "1", "2"]
    assert parent.data.tags["synthetic"] == "true"
    assert parent.data.metrics["best.loss"] == said["best"]["loss"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_toml_reads_back_as_the_same_configuration(tmp_path: Path) -> None:
    odd = TrainConfig(
        name='a "b" \\ c',
        heads=(HeadConfig(name="x", source="measure:phq9@4", direction="lower", weight=1e-7, landmark=2),),
    )
    (tmp_path / "odd.toml").write_text(toml(odd.model_dump(mode="json", exclude_none=True)))
    assert TrainConfig.read(tmp_path / "odd.toml") == odd
