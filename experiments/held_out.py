"""Predictions for rows whose client, question or therapist was held out whole, by models of the same rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.consent import for_learning
from data.dataset import Dataset, read
from data.history import History
from data.importing import import_dataset
from features.policy import Policy
from training.choosing import choose, settle
from training.config import FitConfig, TrainConfig
from training.learn import learn_head
from training.material import gather
from training.scoring import score
from training.split import folds
from training.targets import Target, learnable, target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def imported(mapping: str, source: Path) -> Dataset:
    """The dataset that a mapping file of this folder makes of foreign tables."""
    with TemporaryDirectory() as folder:
        import_dataset(Path(__file__).with_name(mapping), source, Path(folder) / "dataset")
        return read(Path(folder) / "dataset")


@dataclass(frozen=True)
class Bench:
    """One head of one undated dataset, ready to be learned on some rows and tried on others."""

    history: History
    config: TrainConfig
    dataset: Dataset
    episodes: pd.DataFrame
    goal: Target

    @classmethod
    def of(cls, dataset: Dataset, config: TrainConfig) -> "Bench":
        """Rows that have a value of the configuration's first head."""
        config = settle(config, dataset)
        history = History(for_learning(dataset))
        snapshot = history.as_of(None)
        episodes = learnable(snapshot, 0)
        goal = target(config.heads[0], snapshot, episodes, config.outcome, {})
        known = np.flatnonzero(goal.known)
        landmark = goal.landmark.iloc[known].reset_index(drop=True)
        kept = Target(goal.name, goal.value[known], goal.possible[known], goal.flagged[known], landmark)
        return cls(history, config, dataset, episodes.iloc[known].reset_index(drop=True), kept)

    def predict(self, owner: str, count: int, seed: int, variants: Mapping[str, FitConfig]) -> dict[str, Floats]:
        """Out-of-fold predictions of every variant; all rows of one `owner` (a column) are held out together."""
        fold = folds(self.episodes[owner], count, seed)
        predicted = {name: np.empty(len(fold)) for name in variants}
        for held_out in range(count):
            test = fold == held_out
            for name, values in self._fold(test, seed, variants).items():
                predicted[name][test] = values
        return predicted

    def _fold(self, test: npt.NDArray[np.bool_], seed: int, variants: Mapping[str, FitConfig]) -> dict[str, Floats]:
        config = self.config.model_copy(update={"seed": seed})
        train = self.episodes[~test].reset_index(drop=True)
        material = gather(self.history, train, choose(config, self.dataset, Policy.read()), config)
        goal = _rows(self.goal, ~test)
        held_out = self.episodes[test].reset_index(drop=True)
        seen = score(self.history, held_out, material)
        predicted, prognosis = {}, None
        for name, parts in variants.items():
            learned = learn_head(config.heads[0], material, goal, config, parts, prognosis)
            if isinstance(learned, str):
                raise ValueError(f"fold cannot be learned: {learned}")
            prognosis = learned.first
            landmark = _rows(self.goal, test).landmark.reindex(columns=list(learned.head.info.landmark))
            predicted[name] = seen.expected(learned.head, material.place, landmark.to_numpy(dtype=np.float64))
        return predicted


def _rows(goal: Target, keep: npt.NDArray[np.bool_]) -> Target:
    landmark = goal.landmark[keep].reset_index(drop=True)
    return Target(goal.name, goal.value[keep], goal.possible[keep], goal.flagged[keep], landmark)


def pooled_r2(y: Floats, predicted: Floats) -> float:
    """Share of the variance of y that out-of-fold predictions explain, over all rows at once."""
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())
