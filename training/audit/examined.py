"""What an audit looks at, read once: the bundle, the one that was tested, and the test block as that one sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.consent import for_learning
from data.dataset import Dataset
from data.errors import ConfigError, Problem
from data.history import History, Snapshot
from features.policy import Policy
from training.bundle import Bundle
from training.config import HeadConfig, TrainConfig
from training.evaluate import Offered, Resamples
from training.groups import Groups, groups_of
from training.learn import observation_weights
from training.scoring import Choice, Scored, choices, on_scale, score, unit_at
from training.split import Blocks, blocks
from training.storage import load, read_stability, read_tested
from training.targets import Target, intake_sds, learnable, target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Examined:
    """A bundle and the data it was learned from. What costs time is worked out when first asked for, and kept."""

    folder: Path
    bundle: Bundle
    """What is served."""
    tested: Bundle | None
    """What was learned before the test block and looked at it once; None where too little was known for a test."""
    stability: Mapping[str, Any]
    """How the numbers of the heads vary from refit to refit, as `train` left it."""
    dataset: Dataset
    """Whole: for counts of who is in the data. Everything else reads `history`, which has only who agreed."""
    config: TrainConfig
    policy: Policy

    @cached_property
    def history(self) -> History:
        """What is known of those who agreed to learning."""
        return History(for_learning(self.dataset))

    @cached_property
    def snapshot(self) -> Snapshot:
        """Everything that is known at the end."""
        return self.history.latest()

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """Those old enough to have shown their result; the served bundle was learned from them."""
        return learnable(self.snapshot, self.config.split.wait_weeks)

    @cached_property
    def blocks(self) -> Blocks:
        """Which of the episodes are the test block."""
        return blocks(self.episodes, self.config.split, self.config.seed)

    @property
    def evaluation(self) -> Mapping[str, Any]:
        """What `train` found on the test block: see the manifest."""
        return self.bundle.manifest.evaluation

    @property
    def asked(self) -> Bundle:
        """The bundle that is asked about people it has not seen: the tested one, else the one that is served."""
        return self.tested or self.bundle

    @cached_property
    def test(self) -> pd.DataFrame:
        """Episodes of the test block, row by row as in everything below; all episodes where nothing was tested."""
        rows = self.episodes if self.tested is None else self.episodes[self.blocks.test]
        return rows.reset_index(drop=True)

    @cached_property
    def seen(self) -> Scored:
        """The test rows with the therapist each client saw, as `asked` reads them."""
        return score(self.history, self.test, self.asked)

    @cached_property
    def choice(self) -> Choice:
        """Who was available to up to 3,000 clients of the test block."""
        return choices(self.history, self.test, self.config.seed)

    @cached_property
    def pairs(self) -> Scored:
        """Those pairs, one row each in the order of `choice`, as `asked` reads them."""
        chosen = self.test.iloc[self.choice.episode].assign(therapist_id=self.choice.therapist_id)
        return score(self.history, chosen.reset_index(drop=True), self.asked)

    @cached_property
    def offered(self) -> Offered:
        """The same pairs by client: means, bests and who was seen."""
        return Offered(self.choice.episode, self.choice.assigned)

    @cached_property
    def goals(self) -> Mapping[str, Target]:
        """Results of the test rows, by head."""
        sds = dict(self.asked.manifest.intake_sds) or intake_sds(self.snapshot, self.config.outcome.instruments)
        return {
            head.name: target(head, self.snapshot, self.test, self.config.outcome, sds) for head in self.head_configs
        }

    @cached_property
    def prognoses(self) -> Mapping[str, Floats]:
        """Head -> what is expected of each test row whoever the therapist is, on the link scale."""
        found = {}
        for name, goal in self.goals.items():
            head = self.asked.heads[name]
            found[name] = self.seen.prognosis(head, goal.measured(head.info.landmark))
        return found

    @cached_property
    def weights(self) -> Mapping[str, Floats]:
        """Head -> what each test row counts for, so that those with a result stand for all."""
        return {name: observation_weights(goal, self.seen.blocks["client"]) for name, goal in self.goals.items()}

    @cached_property
    def left(self) -> Mapping[str, Floats]:
        """Head -> result less prognosis of each client with a choice, in the head's SD; NaN where there is none."""
        found = {}
        for name, goal in self.goals.items():
            head = self.asked.heads[name]
            found[name] = (goal.value - on_scale(head, self.prognoses[name]))[self.offered.rows] / head.info.sd
        return found

    @cached_property
    def units(self) -> Mapping[str, Floats]:
        """Head -> for each client with a choice, what 1 on the link scale is on the scale of the target."""
        found = {}
        for name in self.goals:
            head = self.asked.heads[name]
            link = self.prognoses[name][self.offered.rows] + self.offered.means(self._fits[name])
            found[name] = unit_at(head, link)
        return found

    @cached_property
    def scores(self) -> Mapping[str, Floats]:
        """Head -> fit of every pair in the head's SD, as `training.tested` has it."""
        heads, at = self.asked.heads, self.offered.position
        return {name: self._fits[name] * self.units[name][at] / heads[name].info.sd for name in self.goals}

    @cached_property
    def utility(self) -> Floats:
        """Score of every pair by which the ranking is made, in SD: the heads that count, as they are weighed."""
        heads = {name: head.info.weight for name, head in self.asked.heads.items() if head.info.weight > 0}
        weights = np.array(list(heads.values()))
        total: Floats = (weights / weights.sum()) @ np.array([self.scores[name] for name in heads])
        return total

    @cached_property
    def _fits(self) -> Mapping[str, Floats]:
        """Head -> fit of every pair on the link scale."""
        return {name: self.pairs.fit(self.asked.heads[name], self.asked.place) for name in self.goals}

    def resamples(self, rows: Ints) -> Resamples:
        """Draws of the therapists seen by these test rows, each with all of their clients."""
        therapist = self.test["therapist_id"].factorize(use_na_sentinel=False)[0][rows].astype(np.int64)
        return Resamples.of(therapist, self.config.bootstraps, self.config.seed)

    @property
    def head_configs(self) -> list[HeadConfig]:
        """The heads that were learned, as the configuration has them."""
        return [head for head in self.config.heads if head.name in self.asked.heads]

    @cached_property
    def groups(self) -> Groups:
        """Attribute -> the group of each test row's client; unknown is a group."""
        return groups_of(self.history, self.test, self.seen, self.asked)


def examined(folder: Path | str, dataset: Dataset) -> Examined:
    """Reads a bundle and stands it beside its data.

    Raises BundleError if it cannot be read, ConfigError if the dataset is not the one that it was learned from.
    """
    folder = Path(folder)
    bundle = load(folder)
    if dataset.fingerprint() != bundle.manifest.data_hash:
        said = f"{dataset.manifest.name} (hash {dataset.fingerprint()})"
        rule = f"the bundle was learned from {bundle.manifest.dataset} (hash {bundle.manifest.data_hash})"
        raise ConfigError([Problem("--data", said, rule, "give the dataset it was trained on, unchanged")])
    config = TrainConfig.model_validate(bundle.manifest.config)
    return Examined(folder, bundle, read_tested(folder), read_stability(folder), dataset, config, Policy.read())
