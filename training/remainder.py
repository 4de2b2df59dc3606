"""What columns say together: small trees over the columns that rank, for what the mixed fit leaves."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ROUNDS = 60
FEWEST_IN_LEAF = 100


@dataclass(frozen=True)
class Remainder:
    """Trees over the ranking columns in LightGBM's text format; empty where none were kept."""

    text: str = ""

    @cached_property
    def _booster(self) -> Any:
        return lightgbm.Booster(model_str=self.text) if self.text else None

    def __call__(self, columns: Floats) -> Floats:
        """What the trees add to the fit, shape (n,); `columns` (n, p) end with the ranking columns."""
        if self._booster is None:
            return np.zeros(len(columns))
        width = self._booster.num_feature()
        found: Floats = np.asarray(self._booster.predict(columns[:, -width:], raw_score=True, num_threads=1))
        return found


def grow(columns: Floats, left: Floats, weight: Floats, seed: int) -> Remainder:
    """Trees for what is `left` (n,) of rows, from their ranking columns (n, r): few leaves, strongly shrunken."""
    settings = {
        "objective": "regression",
        "learning_rate": 0.05,
        "num_leaves": 4,
        "min_data_in_leaf": FEWEST_IN_LEAF,
        "lambda_l2": 20.0,
        "feature_fraction": 0.5,
        "boost_from_average": False,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    rows = lightgbm.Dataset(columns, left, weight=weight, params={"verbose": -1})
    return Remainder(lightgbm.train(settings, rows, num_boost_round=ROUNDS).model_to_string())
