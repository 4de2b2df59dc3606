"""A training run: from a dataset to an evaluated bundle on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from data.consent import for_learning
from data.dataset import Dataset
from data.errors import ConfigError, DataError, Problem
from data.history import History
from features.policy import Policy
from training.bundle import Bundle
from training.bundling import flags_of, golden_of, manifest_of, records_of, tested_of
from training.champion import Champion
from training.champion import beside as stand
from training.choosing import Chosen, choose, settle
from training.config import TrainConfig
from training.intervals import learn_spans
from training.learn import Learned, Material, learn_head
from training.material import gather
from training.split import Blocks, blocks
from training.stability import stability_of
from training.storage import Beside, save
from training.targets import intake_sds, learnable, target
from training.trial import Trial, cut, evaluate, learn_before

Say = Callable[[str], None]

FEWEST_EPISODES = 100


@dataclass(frozen=True)
class Trained:
    """What a run leaves behind."""

    folder: Path
    bundle: Bundle
    learned: dict[str, Learned]
    material: Material


def steps(config: TrainConfig) -> int:
    """How often `train` says what it is doing, beside a champion; without one, once less."""
    return 2 * len(config.heads) + 5


def train(
    dataset: Dataset,
    config: TrainConfig,
    folder: Path | str,
    say: Say = lambda _: None,
    champion: tuple[str, TrainConfig] | None = None,
) -> Trained:
    """Learns, evaluates and writes a bundle to `folder`.

    A run learns twice: from what was known before the test block (that is evaluated), and from everything known (that
    is served). With a `champion`, its bundle id and configuration, that is fitted again before the same cut and stands
    beside it. Raises ConfigError for features that must not be used, DataError where too little is left to learn from.
    """
    with threadpool_limits(config.prognosis.threads):
        return _train(dataset, config, folder, say, champion)


def _train(
    dataset: Dataset, config: TrainConfig, folder: Path | str, say: Say, champion: tuple[str, TrainConfig] | None
) -> Trained:
    policy, config = Policy.read(), settle(config, dataset)
    chosen = choose(config, dataset, policy)
    history = History(for_learning(dataset))
    snapshot = history.latest()
    say("reading what was known when")
    episodes = learnable(snapshot, config.split.wait_weeks)
    _enough(episodes, dataset, config)
    parts = blocks(episodes, config.split, config.seed)
    trial, evaluation = _evaluated(dataset, history, config, chosen, parts, episodes, say, champion)
    material = gather(history, episodes, chosen, config)
    sds = intake_sds(snapshot, config.outcome.instruments)
    learned: dict[str, Learned] = {}
    left_out: dict[str, str] = {}
    flagged: dict[str, float] = {}
    for head in config.heads:
        say(f"final: {head.name}")
        goal = target(head, snapshot, episodes, config.outcome, sds)
        flagged |= {f"{head.name}: value of a second-best kind": float(goal.flagged.sum() / max(goal.known.sum(), 1))}
        found = learn_head(head, material, goal, config, config.fit, again=True)
        if isinstance(found, str):
            left_out[head.name] = found
        else:
            learned[head.name] = found
    if not any(one.head.info.weight > 0 for one in learned.values()):
        reasons = [Problem(f"head {name}", "left out", reason, "give more data") for name, reason in left_out.items()]
        raise DataError(reasons or [Problem("heads", "none", "at least one must have a weight", "add one")])
    say("writing the bundle")
    flags = flags_of(history, episodes, flagged)
    manifest = manifest_of(dataset, config, policy, material, sds, learned, left_out, evaluation, flags)
    records = records_of(history, material, None if manifest.undated else manifest.as_of)
    bundle = Bundle(manifest, material.features, material.design, {n: one.head for n, one in learned.items()}, records)
    spans = learn_spans(learned, material, config, history.manifest.instruments())
    tested = None if trial is None else tested_of(manifest, history, trial, parts.test_from)
    beside = Beside(spans, stability_of(learned, material, config), tested)
    written = save(bundle, folder, golden_of(dataset, history, material, config), beside)
    return Trained(written, bundle, learned, material)


def evaluate_only(dataset: Dataset, config: TrainConfig, say: Say = lambda _: None) -> dict[str, Any]:
    """The evaluation of `train` alone: learns from what was known before the test block and looks at the block once.

    Raises ConfigError for features that must not be used, DataError where too little is left to learn from.
    """
    with threadpool_limits(config.prognosis.threads):
        config = settle(config, dataset)
        chosen = choose(config, dataset, Policy.read())
        history = History(for_learning(dataset))
        snapshot = history.latest()
        episodes = learnable(snapshot, config.split.wait_weeks)
        _enough(episodes, dataset, config)
        parts = blocks(episodes, config.split, config.seed)
        return _evaluated(dataset, history, config, chosen, parts, episodes, say, None)[1]


def _enough(episodes: pd.DataFrame, dataset: Dataset, config: TrainConfig) -> None:
    if len(episodes) >= FEWEST_EPISODES:
        return
    rule = f"at least {FEWEST_EPISODES} matched episodes, {config.split.wait_weeks} weeks old or more, are needed"
    raise DataError(
        [Problem(dataset.manifest.name, f"{len(episodes)} episodes", rule, "collect more, or look at as_of")]
    )


def _evaluated(
    dataset: Dataset,
    history: History,
    config: TrainConfig,
    chosen: Chosen,
    parts: Blocks,
    episodes: pd.DataFrame,
    say: Say,
    champion: tuple[str, TrainConfig] | None,
) -> tuple[Trial | None, dict[str, Any]]:
    """What was learned before the test block, None where too little was known then, and how it did on the block."""
    snapshot, earlier = cut(history, config, parts, episodes)
    if len(earlier) < FEWEST_EPISODES:
        say("test: too little before the test block")
        return None, {
            "note": f"not evaluated: {len(earlier)} episodes before the test block, {FEWEST_EPISODES} are needed"
        }
    trial = learn_before(history, config, chosen, snapshot, earlier, say)
    found = evaluate(history, config, trial, parts, episodes, say)
    if champion is None:
        return trial, found
    say("test: beside the champion")
    try:
        served = Champion(champion[0], settle(champion[1], dataset), choose(champion[1], dataset, chosen.policy))
    except ConfigError as error:
        note = f"cannot be fitted on these data: {error}"
        return trial, {**found, "champion": {"bundle_id": champion[0], "note": note}}
    model = (trial.material, dict(trial.heads["model"]))
    test = episodes[parts.test].reset_index(drop=True)
    return trial, {**found, "champion": stand(history, config, model, served, (snapshot, earlier), test, trial.sds)}
