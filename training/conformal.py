"""Intervals for absolute predictions, as a bundle holds them: conformal for scores, credible for probabilities.

`training.intervals` says what they are and learns them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from training.binary import sigmoid
from training.design import Design
from training.head import PairPosterior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVELS = (80, 95)
SIZE2 = 2 / np.pi
"""Squared mean size of a normal residual, in its variances."""


@dataclass(frozen=True)
class Conformal:
    """What it takes to put an interval around a prediction."""

    quantiles: Mapping[int, tuple[float, float]]
    """Level in per cent -> lower and upper quantile of residuals over noise."""
    noise: tuple[float, ...]
    """Expected size of a residual: coefficients of 1, prediction, severity and their product; (mean,): constant."""
    floor: float
    typical: float = 0.0
    """Variance of what is expected, on average over the rows learned from, each left out."""

    def spread(self, predicted: Floats, severity: Floats, variance: Floats | None = None) -> Floats:
        """Expected size of the residual of each prediction; `severity` standardised as the design does.

        `variance` is that of each prediction, from `expectation`; without it, all are as sure as is typical.
        """
        terms = noise_terms(predicted, severity)[:, : len(self.noise)]
        size: Floats = np.maximum(terms @ np.array(self.noise), self.floor)
        if variance is None:
            return size
        return np.sqrt(np.maximum(size**2 + SIZE2 * (variance - self.typical), self.floor**2))

    def interval(
        self, predicted: Floats, severity: Floats, level: int, variance: Floats | None = None
    ) -> tuple[Floats, Floats]:
        """Ends of the interval of a level in `LEVELS` around each prediction."""
        low, high = self.quantiles[level]
        spread = self.spread(predicted, severity, variance)
        return predicted + low * spread, predicted + high * spread

    def as_json(self) -> dict[str, Any]:
        """Plain values for the bundle."""
        quantiles = {str(level): list(ends) for level, ends in self.quantiles.items()}
        return {"quantiles": quantiles, "noise": list(self.noise), "floor": self.floor, "typical": self.typical}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `as_json` wrote."""
        quantiles = {int(level): (float(low), float(high)) for level, (low, high) in values["quantiles"].items()}
        return cls(quantiles, tuple(values["noise"]), values["floor"], values["typical"])


@dataclass(frozen=True)
class Credible:
    """What it takes to put an interval around a probability, beside the posterior of the fit."""

    trees: float = 0.0
    """Mean squared error of the prognosis' log odds that comes of its trees."""

    def interval(self, link: Floats, variance: Floats, level: int) -> tuple[Floats, Floats]:
        """Ends of the interval of a level in per cent around log odds with the variances that `expectation` gives."""
        reach = ndtri((1 + level / 100) / 2) * np.sqrt(variance + self.trees)
        return sigmoid(link - reach), sigmoid(link + reach)

    def as_json(self) -> dict[str, Any]:
        """Plain values for the bundle."""
        return {"trees": self.trees}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `as_json` wrote."""
        return cls(values["trees"])


def variance_of(fitted: PairPosterior) -> Floats:
    """Variance of each pair's expectation, shape (n,)."""
    variance: Floats = np.einsum("np,np->n", fitted.loading, fitted.loading) + fitted.own
    return variance


def severity_of(effects: Floats, design: Design) -> Floats:
    """Standardised severity of each row of effect columns; 0 where the design has none."""
    return effects[:, 1] if design.slope else np.zeros(len(effects))


def noise_terms(predicted: Floats, severity: Floats) -> Floats:
    """What the size of a residual may hang on, shape (n, 4): 1, prediction, severity and their product."""
    return np.column_stack([np.ones(len(predicted)), predicted, severity, predicted * severity])
