"""What a configuration makes of the tune block, having learned from what was known before; the test block stays out.

What ranking needs is that the expected results of one therapist's clients stand in the right order and distance: a
constant error of a therapist is worth nothing once caseloads are full, and R2 of the raw result would mostly reward
knowing severity. So the loss of a head is the squared error of prognosis plus fit *within* therapists: each
therapist's own mean error is taken out. Prognosis and fit are judged together because they are learned from each
other: what one of them wrongly takes is missing in the other. In units of the utility (weight over SD, squared) the
heads' losses add up to the variance of the utility's error, as far as the heads' errors are unrelated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.consent import for_learning
from data.dataset import Dataset
from data.errors import DataError, Problem
from data.history import History, Snapshot
from features.policy import Policy
from training.choosing import choose, settle
from training.config import HeadConfig, TrainConfig
from training.learn import Learned, Material, learn_head, observation_weights
from training.material import gather
from training.scoring import Scored, score
from training.split import Blocks, blocks, folds
from training.targets import Target, intake_sds, learnable, target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_EPISODES = 100
"""Before the tune block, and in it: below this a study would tune to chance."""
PARTS_OF_UNDATED = 5


@dataclass(frozen=True)
class TuneBlock:
    """What every trial of a study shares: material to learn from, and the tune block as scored rows."""

    config: TrainConfig
    material: Material
    earlier: Mapping[str, Target]
    """Targets of the material's rows by head, as known when the tune block began."""
    seen: Scored
    later: Mapping[str, Target]
    therapist: Ints
    """Of each row of the tune block."""

    @property
    def heads(self) -> list[HeadConfig]:
        """Heads that rank, those with the greatest weight first."""
        return sorted((h for h in self.config.heads if h.weight > 0), key=lambda h: -h.weight)

    def share(self, name: str) -> float:
        """Weight of a head in the utility, all weights together being 1."""
        weights = {head.name: head.weight for head in self.heads}
        return weights[name] / sum(weights.values())

    def losses(self, config: TrainConfig) -> Iterator[tuple[str, Floats]]:
        """Head by head: its share of the loss by therapist, shape (therapists,); the loss is the sum of everything.

        Heads that cannot be learned or compared here are left out, whatever the configuration.
        """
        for head in self.heads:
            learned = learn_head(head, self.material, self.earlier[head.name], config, config.fit)
            rows = np.flatnonzero(self.later[head.name].known)
            if isinstance(learned, Learned) and len(rows) > 1:
                unit = self.share(head.name) / learned.head.info.sd
                yield head.name, unit**2 * self._within(learned, self.later[head.name])

    def _within(self, learned: Learned, goal: Target) -> Floats:
        """Squared error of expected results within therapists, on the scale of the target."""
        rows = np.flatnonzero(goal.known)
        said = self.seen.expected(learned.head, self.material.place, goal.measured(learned.head.info.landmark))
        weight = observation_weights(goal, self.seen.blocks["client"])
        return within(goal.value[rows] - said[rows], weight[rows], self.therapist[rows], int(self.therapist.max()) + 1)


def within(error: Floats, weight: Floats, therapist: Ints, count: int | None = None) -> Floats:
    """Weighted squared error about each therapist's mean error over the sum of all weights, shape (therapists,)."""
    many = int(therapist.max()) + 1 if count is None else count
    sums = [np.bincount(therapist, weights=weight * error**power, minlength=many) for power in (0, 1, 2)]
    return np.asarray((sums[2] - sums[1] ** 2 / np.maximum(sums[0], 1e-12)) / weight.sum())


def tune_block(dataset: Dataset, config: TrainConfig) -> TuneBlock:
    """Cuts a dataset for tuning: rows from before the tune block, and the block itself; the test block is left unread.

    Raises ConfigError for features that must not be used, DataError where either part is too small.
    """
    config = settle(config, dataset)
    history = History(for_learning(dataset))
    latest = history.latest()
    episodes = learnable(latest, config.split.wait_weeks)
    if len(episodes) < FEWEST_EPISODES:
        raise _too_little(dataset, len(episodes), "in all")
    snapshot, earlier, later = _cut(history, config, blocks(episodes, config.split, config.seed), episodes)
    for rows, where in ((earlier, "before the tune block"), (later, "in the tune block")):
        if len(rows) < FEWEST_EPISODES:
            raise _too_little(dataset, len(rows), where)
    whole = config.model_copy(update={"fit": config.fit.model_copy(update={"slope": True})})
    material = gather(history, earlier, choose(config, dataset, Policy.read()), whole)
    sds = intake_sds(snapshot, config.outcome.instruments)
    return TuneBlock(
        config=config,
        material=material,
        earlier={h.name: target(h, snapshot, earlier, config.outcome, sds) for h in config.heads},
        seen=score(history, later, material),
        later={h.name: target(h, latest, later, config.outcome, sds) for h in config.heads},
        therapist=later["therapist_id"].factorize()[0].astype(np.int64),
    )


def _cut(
    history: History, config: TrainConfig, parts: Blocks, episodes: pd.DataFrame
) -> tuple[Snapshot, pd.DataFrame, pd.DataFrame]:
    """What was known when the tune block began, the episodes to learn from, and those of the block."""
    rest = episodes[~parts.test].reset_index(drop=True)
    if parts.tune_from is None:
        mine = folds(rest["client_id"], PARTS_OF_UNDATED, config.seed) == 0
        return history.as_of(None), rest[~mine].reset_index(drop=True), rest[mine].reset_index(drop=True)
    snapshot = history.as_of(parts.tune_from)
    block = rest[rest["matched_on"] >= pd.Timestamp(parts.tune_from)].reset_index(drop=True)
    return snapshot, learnable(snapshot, config.split.wait_weeks), block


def _too_little(dataset: Dataset, count: int, where: str) -> DataError:
    rule = f"at least {FEWEST_EPISODES} are needed to tune"
    step = "collect more, or train with the default configuration"
    return DataError([Problem(dataset.manifest.name, f"{count} episodes {where}", rule, step)])
