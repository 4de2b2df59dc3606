"""Beside the champion: its configuration, fitted again before the same cut, on the same rows of the test block.

A bundle that is served today learned from other data than a new one; only a refit compares like with like.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import History, Snapshot
from training.choosing import Chosen
from training.config import HeadConfig, TrainConfig
from training.evaluate import Resamples, r2_difference
from training.learn import Learned, Material, learn_head, observation_weights
from training.material import gather
from training.scoring import Scored, score
from training.targets import Target, target

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Champion:
    """What is served now: its bundle, and what it was told."""

    bundle_id: str
    config: TrainConfig
    chosen: Chosen


def beside(
    history: History,
    config: TrainConfig,
    model: tuple[Material, dict[str, Learned]],
    champion: Champion,
    known: tuple[Snapshot, pd.DataFrame],
    test: pd.DataFrame,
    sds: dict[str, float],
) -> dict[str, Any]:
    """R2 of the model less R2 of the refitted champion, for every head that both have, with intervals by therapist.

    `known` is the state at the cut with the episodes to learn from; `test` the rows of the test block.
    """
    snapshot, earlier = known
    material = gather(history, earlier, champion.chosen, champion.config)
    now = history.latest()
    theirs, ours = score(history, test, material), score(history, test, model[0])
    found = {}
    for head in champion.config.heads:
        if head.name not in model[1] or not _same(head, champion.config, config):
            continue
        goal = target(head, snapshot, earlier, champion.config.outcome, sds)
        learned = learn_head(head, material, goal, champion.config, champion.config.fit)
        outcome = target(head, now, test, config.outcome, sds)
        if not isinstance(learned, str) and outcome.known.sum() > 1:
            said = ours.expected(model[1][head.name].head, model[0].place)[outcome.known]
            beside_it = theirs.expected(learned.head, material.place)[outcome.known]
            found[head.name] = _difference(outcome, said, beside_it, ours, test, config)
    weighted = {head.name for head in champion.config.heads if head.weight > 0}
    missing = sorted(weighted - set(found))
    return {"bundle_id": champion.bundle_id, "r2_over_champion": found, "not_compared": missing}


def _same(head: HeadConfig, theirs: TrainConfig, config: TrainConfig) -> bool:
    """Whether the run learns the same target: same source, read from the same measures, same way up."""
    if theirs.outcome != config.outcome:
        return False
    mine = next(one for one in config.heads if one.name == head.name)
    return (mine.source, mine.kind, mine.direction, mine.landmark) == (head.source, head.kind, head.direction, None)


def _difference(
    goal: Target, said: Floats, beside_it: Floats, seen: Scored, test: pd.DataFrame, config: TrainConfig
) -> dict[str, float]:
    therapist = test["therapist_id"].factorize()[0][goal.known].astype(np.int64)
    resamples = Resamples.of(therapist, config.bootstraps, config.seed)
    weight = observation_weights(goal, seen.blocks["client"])[goal.known]
    return r2_difference(goal.value[goal.known], said, beside_it, weight, resamples).as_json()
