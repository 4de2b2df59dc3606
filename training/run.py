"""A training run: from a dataset to an evaluated bundle on disk."""

import datetime as dt
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from threadpoolctl import threadpool_limits

from data.consent import for_learning
from data.dataset import Dataset
from data.errors import ConfigError, DataError, Problem
from data.history import History
from features.episodes import track_counts
from features.policy import Policy
from features.track import CASES_WITH
from training.bundle import Bundle, Manifest, Records
from training.champion import Champion, beside
from training.choosing import Chosen, choose, settle
from training.config import TrainConfig
from training.intervals import learn_spans
from training.learn import Learned, Material, learn_head
from training.material import gather, made_up_rows
from training.split import Blocks, blocks
from training.storage import save
from training.targets import intake_sds, learnable, target
from training.trial import cut, evaluate, learn_before

Floats = npt.NDArray[np.float64]
Say = Callable[[str], None]

FEWEST_EPISODES = 100
FEWEST_THERAPISTS = 20
"""Below this an interval from resampling therapists is too narrow to prove anything."""
GOLDEN_CLIENTS, GOLDEN_THERAPISTS = 3, 8


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
    evaluation = _evaluated(dataset, history, config, chosen, parts, episodes, say, champion)
    material = gather(history, episodes, chosen, config)
    sds = intake_sds(snapshot, config.outcome.instruments)
    learned: dict[str, Learned] = {}
    left_out: dict[str, str] = {}
    flagged: dict[str, float] = {}
    for head in config.heads:
        say(f"final: {head.name}")
        goal = target(head, snapshot, episodes, config.outcome, sds)
        flagged |= {f"{head.name}: value of a second-best kind": float(goal.flagged.sum() / max(goal.known.sum(), 1))}
        found = learn_head(head, material, goal, config, config.fit)
        if isinstance(found, str):
            left_out[head.name] = found
        else:
            learned[head.name] = found
    if not any(one.head.info.weight > 0 for one in learned.values()):
        reasons = [Problem(f"head {name}", "left out", reason, "give more data") for name, reason in left_out.items()]
        raise DataError(reasons or [Problem("heads", "none", "at least one must have a weight", "add one")])
    say("writing the bundle")
    flags = _flags(history, episodes, flagged)
    manifest = _manifest(dataset, config, policy, material, sds, learned, left_out, evaluation, flags)
    records = _records(history, material)
    bundle = Bundle(manifest, material.features, material.design, {n: one.head for n, one in learned.items()}, records)
    spans = learn_spans(learned, material, config, history.manifest.instruments())
    written = save(bundle, folder, _golden(dataset, history, material, config), spans)
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
        return _evaluated(dataset, history, config, chosen, parts, episodes, say, None)


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
) -> dict[str, Any]:
    snapshot, earlier = cut(history, config, parts, episodes)
    if len(earlier) < FEWEST_EPISODES:
        say("test: too little before the test block")
        return {"note": f"not evaluated: {len(earlier)} episodes before the test block, {FEWEST_EPISODES} are needed"}
    trial = learn_before(history, config, chosen, snapshot, earlier, say)
    found = evaluate(history, config, trial, parts, episodes, say)
    if champion is None:
        return found
    say("test: beside the champion")
    try:
        served = Champion(champion[0], settle(champion[1], dataset), choose(champion[1], dataset, chosen.policy))
    except ConfigError as error:
        return {**found, "champion": {"bundle_id": champion[0], "note": f"cannot be fitted on these data: {error}"}}
    model = (trial.material, dict(trial.heads["model"]))
    test = episodes[parts.test].reset_index(drop=True)
    return {**found, "champion": beside(history, config, model, served, (snapshot, earlier), test, trial.sds)}


def _manifest(
    dataset: Dataset,
    config: TrainConfig,
    policy: Policy,
    material: Material,
    sds: dict[str, float],
    learned: dict[str, Learned],
    left_out: dict[str, str],
    evaluation: dict[str, Any],
    flags: dict[str, float],
) -> Manifest:
    said = dataset.manifest
    return Manifest(
        name=config.name,
        created_at=dt.datetime.now(dt.UTC),
        dataset=said.name,
        data_hash=dataset.fingerprint(),
        synthetic=said.synthetic,
        as_of=said.as_of,
        undated=said.undated,
        notes=said.notes,
        rules=said.rules,
        config=config.model_dump(mode="json"),
        policy_hash=policy.hash(),
        severity_of=dict(material.severity_of),
        intake_sds=sds,
        correlation=_correlation(list(learned.values())),
        left_out=left_out,
        kinds={
            table: {
                name: column.kind for name, column in said.column.get(table, {}).items() if column.known == "before"
            }
            for table in ("clients", "therapists")
        },
        flags=flags,
        proven=_proven(evaluation),
        served_on_everything=True,
        evaluation=evaluation,
        versions={"python": platform.python_version()}
        | {name: version(name) for name in ("therapist-fit", "lightgbm", "numpy", "scipy", "pandas")},
    )


def _flags(history: History, episodes: pd.DataFrame, flagged: dict[str, float]) -> dict[str, float]:
    """Shares of rows with a profile known only from later than the match, and with targets of a second-best kind."""
    known = history.as_of_each(episodes["matched_on"].to_numpy().astype("datetime64[D]"))
    later = known.therapists(episodes["therapist_id"])["profile_is_later"]
    shares = {"therapist profile known only from later": float(later.mean()), **flagged}
    return {name: share for name, share in shares.items() if share > 0}


def _proven(evaluation: dict[str, Any]) -> bool:
    """Whether the gain over next-available was shown with the lower end of its interval above 0.

    Shown means: forward in time, over choices that were recorded, by enough therapists for the interval to hold.
    """
    gains = evaluation.get("utility", {}).get("over_next_available")
    if not gains or not (evaluation["forward"] and evaluation["offers_recorded"]):
        return False
    return bool(evaluation["therapists_tested"] >= FEWEST_THERAPISTS and gains["model"]["gain"]["low"] > 0)


def _correlation(learned: list[Learned]) -> tuple[tuple[float, ...], ...]:
    """Correlation of the heads' residuals over the rows that any two share; 0 where too few do."""
    matrix = np.eye(len(learned))
    for i, one in enumerate(learned):
        for j, other in enumerate(learned[:i]):
            _, mine, theirs = np.intersect1d(one.rows, other.rows, return_indices=True)
            if len(mine) >= 30:
                matrix[i, j] = matrix[j, i] = np.corrcoef(one.residual()[mine], other.residual()[theirs])[0, 1]
    values, vectors = np.linalg.eigh(np.nan_to_num(matrix))
    positive = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(positive))
    return tuple(tuple(map(float, row)) for row in positive * scale[:, None] * scale)


def _records(history: History, material: Material) -> Records:
    """Track counts at the end of the history: the day after `as_of`, so that its own matches count."""
    ids = pd.Series(material.therapist_ids, dtype="str")
    as_of = np.datetime64("NaT" if history.manifest.undated else history.manifest.as_of, "D")
    days = np.full(len(ids), as_of + np.timedelta64(1, "D"))
    counts = track_counts(history.as_of_each(days), ids, material.problems)
    ago = counts.pop("days_since_last_case")
    last = np.where(np.isnan(ago), np.datetime64("NaT"), days - np.nan_to_num(ago).astype("timedelta64[D]"))
    kept = {name: values for name, values in counts.items() if name == "cases" or name.startswith(CASES_WITH)}
    return Records(material.therapist_ids, last.astype("datetime64[D]"), kept)


def _golden(dataset: Dataset, history: History, material: Material, config: TrainConfig) -> dict[str, Any]:
    days = np.full(len(material.episodes), "NaT", "datetime64[D]")
    known = history.as_of_each(days)
    clients = known.clients(material.episodes["client_id"]).join(known.intake(material.episodes["episode_id"]))
    skip = ("client_id", "disability", "sexual_orientation", "data_use")
    client_columns = [name for name in clients.columns if name not in skip]
    contract = dataset.contract("therapists")
    therapist_columns = [c.name for c in contract.columns if c.kind not in ("id", "date", "text") and c.name != "npi"]
    ids = [*material.therapist_ids[: GOLDEN_THERAPISTS - 1], "never-seen-0"]
    return {
        "clients": made_up_rows(clients, client_columns, GOLDEN_CLIENTS, config.seed),
        "therapists": made_up_rows(dataset["therapists"], therapist_columns, len(ids), config.seed + 1),
        "ids": ids,
    }
