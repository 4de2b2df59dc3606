"""Intervals for absolute predictions: conformal for scores, credible for probabilities.

A *conformal* interval is as wide as it has to be to have held the results of clients who were left out (Lei et al.
2018, doi 10.1080/01621459.2017.1307116). Every row learned from is left out in turn: its prognosis is cross-fitted by
client, and the rest of the fit is linear, so that its residual without the row is the residual over one less its
leverage. Residuals are divided by how large they are to be expected, where that can be foretold: noise grows with
severity. Both tails are read off, as scores are skewed.

A *credible* interval for a probability holds the uncertainty of the fit and of the client terms, not that of the trees.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, norm

from training.binary import sigmoid
from training.head import Head, used_effects
from training.learn import Learned, Material
from training.scoring import Scored

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVELS = (80, 95)
LEAST_SHARE = 0.3
"""Noise is never taken to be smaller than this share of its average."""
ENOUGH_ROWS, POINTS = 1000, 0.02
"""From so many rows on, coverage may miss its level by so much; below, it lies inside the 99 % binomial band."""


@dataclass(frozen=True)
class Conformal:
    """What it takes to put an interval around a prediction."""

    quantiles: Mapping[int, tuple[float, float]]
    """Level in per cent -> lower and upper quantile of residuals over noise."""
    noise: tuple[float, ...]
    """Expected size of a residual: coefficients of 1, prediction, severity and their product; (mean,): constant."""
    floor: float

    def spread(self, predicted: Floats, severity: Floats) -> Floats:
        """Expected size of the residual of each prediction; `severity` standardised as the design does."""
        terms = _terms(predicted, severity)[:, : len(self.noise)]
        return np.asarray(np.maximum(terms @ np.array(self.noise), self.floor))

    def interval(self, predicted: Floats, severity: Floats, level: int) -> tuple[Floats, Floats]:
        """Ends of the interval of a level in `LEVELS` around each prediction."""
        low, high = self.quantiles[level]
        spread = self.spread(predicted, severity)
        return predicted + low * spread, predicted + high * spread

    def as_json(self) -> dict[str, Any]:
        """Plain values for the bundle."""
        quantiles = {str(level): list(ends) for level, ends in self.quantiles.items()}
        return {"quantiles": quantiles, "noise": list(self.noise), "floor": self.floor}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `as_json` wrote."""
        quantiles = {int(level): (float(low), float(high)) for level, (low, high) in values["quantiles"].items()}
        return cls(quantiles, tuple(values["noise"]), values["floor"])


def conformal(material: Material, learned: Learned) -> Conformal:
    """Learns the intervals of a head for scores from the rows that it was learned from."""
    predicted, residual = left_out(material, learned)
    severity = severity_of(material.effects[learned.rows], material)
    noise, floor = _noise(predicted, severity, np.abs(residual), material.fold[learned.rows])
    shell = Conformal({}, noise, floor)
    score = np.sort(residual / shell.spread(predicted, severity))
    return Conformal({level: _ends(score, level / 100) for level in LEVELS}, noise, floor)


def left_out(material: Material, learned: Learned) -> tuple[Floats, Floats]:
    """Prediction and residual of every row learned from, as if that row had not been there."""
    head, rows = learned.head, learned.rows
    effects = material.effects[rows][:, used_effects(material.design, head.info.parts)]
    fitted = head.posterior(learned.border, effects, material.therapist[rows])
    variance = np.einsum("np,np->n", fitted.loading, fitted.loading) + fitted.own
    leverage = np.minimum(learned.weight * variance / head.solution.noise, 0.95)
    residual = (learned.target - fitted.mean) / (1 - leverage)
    return learned.target - residual, residual


def severity_of(effects: Floats, material: Material) -> Floats:
    """Standardised severity of each row of effect columns; 0 where the design has none."""
    return effects[:, 1] if material.design.slope else np.zeros(len(effects))


def _terms(predicted: Floats, severity: Floats) -> Floats:
    return np.column_stack([np.ones(len(predicted)), predicted, severity, predicted * severity])


def _noise(predicted: Floats, severity: Floats, size: Floats, fold: Ints) -> tuple[tuple[float, ...], float]:
    """Coefficients of the expected size of a residual: a constant, unless more foretells other folds beyond chance."""
    mean = float(size.mean())
    terms = _terms(predicted, severity)
    gain = np.zeros(len(size))
    for one in np.unique(fold):
        out = fold == one
        b = np.linalg.lstsq(terms[~out], size[~out], rcond=None)[0]
        constant = size[~out].mean()
        said = np.maximum(terms[out] @ b, LEAST_SHARE * constant)
        gain[out] = np.log(constant / said) + size[out] / constant - size[out] / said
    if gain.mean() <= gain.std() / np.sqrt(len(gain)):
        return (mean,), LEAST_SHARE * mean
    found = np.linalg.lstsq(terms, size, rcond=None)[0]
    return tuple(map(float, found)), LEAST_SHARE * mean


def _ends(score: Floats, level: float) -> tuple[float, float]:
    """Quantiles of sorted scores that leave out (1 - level)/2 on each side, counting the row still to come."""
    n, side = len(score), (1 - level) / 2
    low, high = int(np.floor((n + 1) * side)), int(np.ceil((n + 1) * (1 - side)))
    return float(score[max(low - 1, 0)]), float(score[min(high - 1, n - 1)])


def coverage(y: Floats, low: Floats, high: Floats, level: int) -> dict[str, Any]:
    """Share of results inside their intervals, between what bounds it should lie, and whether it does."""
    n, share = len(y), float(((low <= y) & (y <= high)).mean())
    aim = level / 100
    ends = binom.interval(0.99, n, aim) if n < ENOUGH_ROWS else (n * (aim - POINTS), n * (aim + POINTS))
    bounds = [float(end) / n for end in ends]
    width = float((high - low).mean())
    return {"covered": share, "n": n, "bounds": bounds, "holds": bounds[0] <= share <= bounds[1], "width": width}


def credible(
    head: Head, scored: Scored, ids: Mapping[str, int], level: int, landmark: Floats | None = None
) -> tuple[Floats, Floats]:
    """Ends of the credible interval for each pair's probability (binary heads)."""
    design, parts = scored.design, head.info.parts
    client = head.client_part(design, scored.blocks["client"], landmark)
    ranking = design.ranking_part(scored.blocks) if parts.columns else np.zeros((len(client), 0))
    position = np.array([ids.get(name, -1) for name in scored.therapist_id], dtype=np.int64)
    effects = scored.effects[:, used_effects(design, parts)]
    fitted = head.posterior(np.column_stack([client, ranking]), effects, position)
    reach = norm.ppf((1 + level / 100) / 2) * np.sqrt(
        np.einsum("np,np->n", fitted.loading, fitted.loading) + fitted.own
    )
    return sigmoid(fitted.mean - reach), sigmoid(fitted.mean + reach)
