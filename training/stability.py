"""How the numbers of a bundle vary from refit to refit: made by `train`, read by the audit.

`stability.json`: by head its `unit` for one of the link scale; for each column that ranks its coefficient in SD of the
head per SD of the column (`value`; `mean` and `sd` over the refits, and `same_sign`, the share of them on its side of
0); for each feature of the client its share of all contributions to the prognosis (`mean`, and the `low`est and
`high`est of the trees grown again, with the places `rank_low` to `rank_high` that it took among them); `agreement` is
the mean rank correlation of two of them.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from training.config import TrainConfig
from training.fits import chance_a_unit
from training.learn import Learned, Material
from training.refits import REFITS, REGROWN, Refits

Floats = npt.NDArray[np.float64]

DIGITS = 6


def stability_of(learned: Mapping[str, Learned], material: Material, config: TrainConfig) -> dict[str, Any]:
    """For every head, coefficients and contributions over refits; plain values."""
    found = {name: _head(one, one.again, material) for name, one in learned.items() if one.again is not None}
    return {"refits": REFITS, "regrown": REGROWN, "seed": config.seed, "heads": found}


def _head(one: Learned, again: Refits, material: Material) -> dict[str, Any]:
    names = material.design.names[material.design.ranking] if one.head.info.parts.columns else ()
    value = one.head.solution.b[len(one.head.solution.b) - len(names) :]
    unit = _unit(one)
    features = [material.features.feature_of[name] for name in material.features.columns_of("client")]
    trees, agreement = _contributions(again.contributions, [*features, *one.head.info.landmark])
    columns = _columns(names, value * (unit / one.head.info.sd), again.coefficients * (unit / one.head.info.sd))
    return {"unit": unit, "columns": columns, "trees": trees, "agreement": agreement}


def _unit(one: Learned) -> float:
    """The head's own unit for one of the link scale: 1, or the probability gained at the mean result."""
    if one.head.info.kind == "gaussian":
        return 1.0
    mean = float(np.average(one.target, weights=one.weight))
    return chance_a_unit(float(np.log(mean / (1 - mean))))


def _columns(names: Sequence[str], value: Floats, drawn: Floats) -> dict[str, dict[str, float]]:
    same = (np.sign(drawn) == np.sign(value)).mean(axis=0)
    table = np.column_stack([value, drawn.mean(axis=0), drawn.std(axis=0, ddof=1), same]).round(DIGITS)
    keys = ("value", "mean", "sd", "same_sign")
    return {name: dict(zip(keys, row, strict=True)) for name, row in zip(names, table.tolist(), strict=True)}


def _contributions(drawn: Floats, features: Sequence[str]) -> tuple[dict[str, dict[str, float]], float | None]:
    """By feature its share of the mean absolute contributions in each of the trees grown again, and their agreement."""
    names = list(dict.fromkeys(features))
    if not drawn.shape[1] or len(names) < 2:
        return {}, None
    member = np.array([[feature == name for name in names] for feature in features], dtype=np.float64)
    size = np.abs(drawn @ member).mean(axis=1)
    share = size / np.maximum(size.sum(axis=1, keepdims=True), 1e-12)
    place = rankdata(-share, axis=1)
    table = np.column_stack([share.mean(axis=0), share.min(axis=0), share.max(axis=0)]).round(DIGITS).tolist()
    found = {}
    for i, name in enumerate(names):
        mean, low, high = table[i]
        places = {"rank_low": float(place[:, i].min()), "rank_high": float(place[:, i].max())}
        found[name] = {"mean": mean, "low": low, "high": high, **places}
    pairs = [float(np.corrcoef(place[i], place[j])[0, 1]) for i, j in combinations(range(len(place)), 2)]
    return found, round(float(np.nanmean(pairs)), DIGITS)
