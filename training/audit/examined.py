"""What an audit looks at, read once: the bundle, the one that was tested, and the test block as that one sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from data.consent import for_learning
from data.dataset import Dataset
from data.errors import ConfigError, Problem
from data.history import History, Snapshot
from features.policy import Policy
from training.bundle import Bundle
from training.config import HeadConfig, TrainConfig
from training.evaluate import Offered
from training.groups import Groups, groups_of
from training.scoring import Choice, Scored, choices, score
from training.split import Blocks, blocks
from training.storage import load, read_stability, read_tested
from training.targets import Target, intake_sds, learnable, target


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
