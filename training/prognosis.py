"""Prognosis: what to expect of therapy from what is known of the client, whoever the therapist is.

LightGBM, cross-fitted by client: the prediction for a row comes from trees that have not seen its client. The number
of rounds is the one with the least error over the same folds.

A column that was hardly ever missing in training gives the trees no say on what its absence means: LightGBM then takes
an unknown for 0, which for a severity is a client without symptoms. Such columns are filled with their mean.
"""

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from training.config import Kind, PrognosisConfig

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Prognosis:
    """The cross-fitted predictions of the training rows and the trees for new ones; both on the link scale."""

    crossed: Floats
    trees: str
    """LightGBM's text format; empty for a constant."""
    constant: float
    rounds: int
    fills: Floats
    """(columns): what an unknown value counts as; NaN where the trees learned what to make of it."""


def learn(
    x: Floats, y: Floats, weight: Floats, fold: Ints, kind: Kind, config: PrognosisConfig, seed: int, fit: Floats
) -> Prognosis:
    """Learns y (n,) from client columns x (n, p), given the fit (n,) of each row's pair on the link scale.

    Without columns, with too few rows for a tree to split, or switched off, the prognosis is the mean.
    """
    mean = float(np.average(y, weights=weight))
    constant = mean if kind == "gaussian" else float(np.log(mean / (1 - mean)))
    fills = learn_fills(x, config.fewest_in_leaf)
    nothing = Prognosis(np.full(len(y), constant), "", constant, 0, fills)
    if not config.boosted or x.shape[1] == 0 or np.isnan(x).all():
        return nothing
    x = filled(x, fills)
    settings = boosting(kind, config, seed)
    names = [f"c{i}" for i in range(x.shape[1])]
    whole = lightgbm.Dataset(
        x, y, weight=weight, init_score=constant + fit, feature_name=names, params={"verbose": -1}, free_raw_data=False
    )
    found = lightgbm.cv(
        settings,
        whole,
        num_boost_round=config.rounds,
        folds=[(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in np.unique(fold)],
        callbacks=[lightgbm.early_stopping(30, verbose=False)],
        return_cvbooster=True,
    )
    boosters: Any = found["cvbooster"]
    rounds = max(int(boosters.best_iteration), 1)
    crossed = np.empty(len(y))
    for f, booster in zip(np.unique(fold), boosters.boosters, strict=True):
        crossed[fold == f] = constant + booster.predict(x[fold == f], raw_score=True, num_iteration=rounds)
    if float(np.ptp(crossed)) < 1e-9:  # too few rows for any split
        return nothing
    final = lightgbm.train(settings, whole, num_boost_round=rounds)
    return Prognosis(crossed, final.model_to_string(), constant, rounds, fills)


def learn_fills(x: Floats, fewest: int) -> Floats:
    """The mean of each column of x (n, p) that fewer than `fewest` rows miss, a leaf's worth; NaN for the others."""
    known = ~np.isnan(x)
    count = known.sum(axis=0)
    mean = np.nansum(x, axis=0) / np.maximum(count, 1)
    fills: Floats = np.where((len(x) - count < fewest) & (count > 0), mean, np.nan)
    return fills


def filled(x: Floats, fills: Floats) -> Floats:
    """Rows x (n, p) with unknown values as `fills` (p,) has them."""
    found: Floats = np.where(np.isnan(x), fills, x)
    return found


def boosting(kind: Kind, config: PrognosisConfig, seed: int) -> dict[str, Any]:
    """LightGBM's settings."""
    return {
        "objective": "regression" if kind == "gaussian" else "binary",
        "learning_rate": config.learning_rate,
        "num_leaves": config.leaves,
        "min_data_in_leaf": config.fewest_in_leaf,
        "feature_fraction": 0.8,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "num_threads": config.threads,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }


class Trees:
    """A prognosis ready to predict; loaded once, used for every request."""

    def __init__(self, trees: str, constant: float, fills: Floats):
        self._constant = constant
        self._fills = fills
        self._booster = lightgbm.Booster(model_str=trees) if trees else None

    def predict(self, x: Floats) -> Floats:
        """Raw scores on the link scale, shape (rows,), from x (rows, columns) as the trees learned from."""
        if self._booster is None:
            return np.full(len(x), self._constant)
        scores: Floats = np.asarray(self._booster.predict(filled(x, self._fills), raw_score=True, num_threads=1))
        return self._constant + scores
