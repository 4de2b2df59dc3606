"""A study in Optuna: proposes configurations, prunes poor ones head by head, and goes on where it was killed.

Everything is kept in SQLite as it happens. The study's name is made of the data, the configuration and the search
space, so that only what can be compared is ever continued.
"""

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from threadpoolctl import threadpool_limits

from data.dataset import Dataset
from data.errors import ConfigError, DataError, Problem
from training.config import FitConfig, TrainConfig
from training.evaluate import Resamples
from training.tune_block import TuneBlock, tune_block

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
OF_THERAPISTS = ("slope", "strengths")
"""Parts of the fit that mean nothing without a therapist effect."""
UNPRUNED = 5
"""Trials that are finished whatever they look like, before any is pruned."""
MOST_TRIES = 3


@dataclass(frozen=True)
class Attempt:
    """One trial, for the record: `heads` is each head's error within therapists in its SD, as far as it got."""

    number: int
    state: str
    loss: float | None
    params: dict[str, Any]
    heads: dict[str, float]


@dataclass(frozen=True)
class Tuned:
    """What a study has found so far, beside the configuration it was given."""

    study: str
    config: TrainConfig
    best: Attempt
    given: Attempt
    improvement: dict[str, float]
    """Loss of the given configuration less that of the best, with its interval from resampling therapists."""
    attempts: list[Attempt]
    resumed: int
    """Trials that had been finished when this call began."""
    learned_from: int
    scored_on: int

    def as_json(self) -> dict[str, Any]:
        """Plain values, without the configuration."""
        said = asdict(self)
        del said["config"]
        return said


def tune(
    dataset: Dataset,
    config: TrainConfig,
    storage: Path,
    trials: int,
    minutes: float | None = None,
    on_trial: Callable[[Attempt], None] = lambda _: None,
) -> Tuned:
    """Tries configurations until the study has `trials` finished ones or the minutes are over; the given one first.

    `on_trial` is told every finished trial, those of earlier calls too. Raises DataError where
    the data are too small to tune on, ConfigError if another process works on the same storage.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with threadpool_limits(config.prognosis.threads), _alone(storage):
        block = tune_block(dataset, config)
        study = _open(storage, name_of(dataset, config), block.config)
        before = [one for one in study.trials if one.state in FINISHED]
        for one in before:
            on_trial(_attempt(one, block))
        _again(study)
        study.optimize(
            lambda trial: _loss(trial, block),
            n_trials=max(trials - len(before), 0),
            timeout=None if minutes is None else 60 * minutes,
            callbacks=[lambda _, trial: on_trial(_attempt(trial, block))],
        )
        return _tuned(study, block, len(before))


def name_of(dataset: Dataset, config: TrainConfig) -> str:
    """The study of a configuration on a dataset: anything that changes its losses changes the name."""
    told = config.model_dump(mode="json", exclude={"dataset", "name"})
    said = json.dumps([dataset.fingerprint(), told, sorted(FitConfig.model_fields)], sort_keys=True)
    return f"{config.name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def propose(trial: optuna.trial.BaseTrial, base: TrainConfig) -> TrainConfig:
    """The next configuration: the base's prognosis and parts of the fit replaced; the base always lies in the space."""
    found: dict[str, dict[str, Any]] = {"prognosis": {}, "fit": {}}
    if base.prognosis.boosted:
        found["prognosis"] = {
            "learning_rate": _number(trial, "learning_rate", 0.01, 0.2, base.prognosis.learning_rate),
            "leaves": _whole(trial, "leaves", 4, 64, base.prognosis.leaves),
            "fewest_in_leaf": _whole(trial, "fewest_in_leaf", 10, 200, base.prognosis.fewest_in_leaf),
            "rounds": _whole(trial, "rounds", 50, 1000, base.prognosis.rounds),
            "refits": trial.suggest_int("refits", 0, max(3, base.prognosis.refits)),
        }
    for part in parts():
        if part in OF_THERAPISTS and not found["fit"]["therapist"]:
            found["fit"][part] = False
        else:
            found["fit"][part] = trial.suggest_categorical(part, [True, False])
    told = base.model_dump()
    return TrainConfig.model_validate({**told, **{name: {**told[name], **values} for name, values in found.items()}})


def parts() -> list[str]:
    """Parts of the fit that are on or off, the therapist effect first."""
    return [name for name, field in FitConfig.model_fields.items() if field.annotation is bool]


def _number(trial: optuna.trial.BaseTrial, name: str, low: float, high: float, base: float) -> float:
    return trial.suggest_float(name, min(low, base), max(high, base), log=True)


def _whole(trial: optuna.trial.BaseTrial, name: str, low: int, high: int, base: int) -> int:
    return trial.suggest_int(name, min(low, base), max(high, base), log=True)


def _loss(trial: optuna.Trial, block: TuneBlock) -> float:
    """Within-therapist loss over all heads; after each of them the trial may be pruned."""
    by_therapist, found = np.zeros(int(block.therapist.max()) + 1), {}
    for step, (name, loss) in enumerate(block.losses(propose(trial, block.config))):
        by_therapist += loss
        found[name] = float(loss.sum())
        trial.set_user_attr("losses", found)
        trial.report(float(by_therapist.sum()), step)
        if step + 1 < len(block.heads) and trial.should_prune():
            raise optuna.TrialPruned
    if not found:
        rule = "no head with a weight has enough results both before the tune block and in it"
        raise DataError([Problem("heads", "none", rule, "collect more, or give another head a weight")])
    trial.set_user_attr("by_therapist", by_therapist.tolist())
    return float(by_therapist.sum())


def _open(storage: Path, name: str, base: TrainConfig) -> optuna.Study:
    """The study, continued or new; a new one starts with the configuration it was given.

    The sampler's seed moves on with the trials there are, or a resumed study would propose the same again.
    """
    database = optuna.storages.RDBStorage(f"sqlite:///{storage.absolute()}")
    pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED)
    study = optuna.create_study(study_name=name, storage=database, load_if_exists=True, pruner=pruner)
    study.sampler = optuna.samplers.TPESampler(seed=base.seed + len(study.trials))
    if not study.trials:
        given: dict[str, Any] = {part: getattr(base.fit, part) for part in parts()}
        if base.prognosis.boosted:
            names = ("learning_rate", "leaves", "fewest_in_leaf", "rounds", "refits")
            given |= {name: getattr(base.prognosis, name) for name in names}
        study.enqueue_trial(given, user_attrs={"given": True})
    return study


def _again(study: optuna.Study) -> None:
    """Queues once more what a kill or an error cut short: nobody else works on this study."""
    done_again = {one.user_attrs.get("instead_of") for one in study.trials}
    for one in study.trials:
        if one.state == TrialState.RUNNING:
            study.tell(one.number, state=TrialState.FAIL)
        tries = int(one.user_attrs.get("tries", 1))
        if one.state in (TrialState.RUNNING, TrialState.FAIL) and one.number not in done_again and tries < MOST_TRIES:
            kept = {"given": True} if one.user_attrs.get("given") else {}
            params = one.params or one.system_attrs.get("fixed_params", {})
            study.enqueue_trial(params, user_attrs={**kept, "instead_of": one.number, "tries": tries + 1})


def _tuned(study: optuna.Study, block: TuneBlock, resumed: int) -> Tuned:
    complete = [one for one in study.trials if one.state == TrialState.COMPLETE]
    given = next((one for one in complete if one.user_attrs.get("given")), None)
    if given is None:
        rule = "the configuration given was not tried to its end"
        raise DataError([Problem(study.study_name, "no result", rule, "give it more minutes, or look at the errors")])
    best = min(complete, key=lambda one: (one.value, one.number))
    gap = np.array(given.user_attrs["by_therapist"]) - np.array(best.user_attrs["by_therapist"])
    draws = Resamples.of(np.arange(len(gap)), block.config.bootstraps, block.config.seed)
    return Tuned(
        study=study.study_name,
        config=propose(optuna.trial.FixedTrial(best.params), block.config),
        best=_attempt(best, block),
        given=_attempt(given, block),
        improvement=draws.figure(float(gap.sum()), draws.sums(gap)).as_json(),
        attempts=[_attempt(one, block) for one in study.trials if one.state in FINISHED],
        resumed=resumed,
        learned_from=len(block.material.episodes),
        scored_on=len(block.therapist),
    )


def _attempt(trial: FrozenTrial, block: TuneBlock) -> Attempt:
    """A finished trial; the loss of a pruned one is not that of others, so it has none."""
    losses: dict[str, float] = trial.user_attrs.get("losses", {})
    heads = {name: float(np.sqrt(loss)) / block.share(name) for name, loss in losses.items()}
    value = trial.value if trial.state == TrialState.COMPLETE else None
    return Attempt(trial.number, trial.state.name.lower(), value, dict(trial.params), heads)


@contextmanager
def _alone(storage: Path) -> Iterator[None]:
    """Holds the storage for this process; the lock dies with the process, however that ends."""
    storage.parent.mkdir(parents=True, exist_ok=True)
    with storage.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            rule = "another process is tuning here"
            raise ConfigError([Problem("--storage", str(storage), rule, "wait for it, or name another file")]) from None
        yield
