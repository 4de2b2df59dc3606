"""How rows are divided: folds by client, and blocks of time (train, tune, test)."""

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.config import SplitConfig

Ints = npt.NDArray[np.int64]


def folds(owners: pd.Series, count: int, seed: int) -> Ints:
    """A fold for each row, the same for all rows of one owner (client, question, therapist)."""
    codes, names = owners.factorize(sort=True)
    rng = np.random.default_rng(seed)
    fold_of_owner = rng.permutation(np.arange(len(names)) % count)
    assigned: Ints = fold_of_owner[codes]
    return assigned


@dataclass(frozen=True)
class Blocks:
    """The days at which tuning and testing begin; None for undated data, where `test` rows are drawn by client."""

    tune_from: dt.date | None
    test_from: dt.date | None
    test: npt.NDArray[np.bool_]
    """Rows of the test block among the episodes given."""

    @property
    def forward(self) -> bool:
        """Whether the test lies in the future of what was learned from."""
        return self.test_from is not None


def blocks(episodes: pd.DataFrame, config: SplitConfig, seed: int) -> Blocks:
    """Cuts the episodes (all old enough to have results) by the day of the match; undated data by client."""
    days = episodes["matched_on"]
    if days.isna().all():
        fold = folds(episodes["client_id"], round(1 / config.test_share), seed)
        return Blocks(None, None, fold == 0)
    test_from = days.quantile(1 - config.test_share).normalize()
    tune_from = days.quantile(1 - config.test_share - config.tune_share).normalize()
    return Blocks(tune_from.date(), test_from.date(), (days >= test_from).to_numpy())
