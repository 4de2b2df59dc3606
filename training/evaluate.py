"""How well a model does on clients it has not seen, beside what it has to beat, each figure with its interval.

Baselines: *patient-only* (the prognosis alone: every therapist the same), *therapist-only* (a shrunken therapist mean
alone: every client the same), *therapist-mean* (the prognosis and a shrunken therapist mean) and *next-available*
(whoever is free first, which is unrelated to fit: the average of those available).
Intervals come from resampling therapists with all their clients.

The gain of a policy over next-available is the mean advantage it claims for its first choice, times the slope with
which its claims came true for the therapists clients really saw. It rests on there being no unmeasured difference
between clients sent to different therapists.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL = 0.95


@dataclass(frozen=True)
class Figure:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Plain values for the manifest."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Resamples:
    """How often each therapist is drawn in each resample, shape (resamples, therapists)."""

    counts: Floats
    therapist: Ints

    @classmethod
    def of(cls, therapist: Ints, count: int, seed: int) -> "Resamples":
        """Draws of whole therapists: how often each is in each resample, shape (count, therapists)."""
        _, codes = np.unique(therapist, return_inverse=True)
        groups = int(codes.max()) + 1
        rng = np.random.default_rng(seed)
        return cls(rng.multinomial(groups, np.full(groups, 1 / groups), size=count).astype(np.float64), codes)

    def sums(self, values: Floats) -> Floats:
        """Sums of row values (n, ...) over each resample, shape (resamples, ...)."""
        groups = np.zeros((self.counts.shape[1], *values.shape[1:]))
        np.add.at(groups, self.therapist, values)
        total: Floats = np.tensordot(self.counts, groups, axes=1)
        return total

    def figure(self, value: float, draws: Floats) -> Figure:
        """The value with the interval of its draws; draws without a value are left out."""
        edge = (1 - LEVEL) / 2
        finite = draws[np.isfinite(draws)]
        low, high = np.quantile(finite, [edge, 1 - edge]) if len(finite) else (np.nan, np.nan)
        return Figure(float(value), float(low), float(high))


def r2(y: Floats, predicted: Floats, weight: Floats) -> float:
    """Share of the weighted variance of y that the prediction explains."""
    mean = np.average(y, weights=weight)
    return float(1 - (weight * (y - predicted) ** 2).sum() / (weight * (y - mean) ** 2).sum())


def r2_figure(y: Floats, predicted: Floats, weight: Floats, resamples: Resamples) -> Figure:
    """R2 with its interval; in every resample the variance is that about the resample's own mean."""
    error = weight * (y - predicted) ** 2
    sums = resamples.sums(np.column_stack([error, weight, weight * y, weight * y**2]))
    total = sums[:, 3] - sums[:, 2] ** 2 / np.maximum(sums[:, 1], 1e-12)
    return resamples.figure(r2(y, predicted, weight), 1 - sums[:, 0] / np.maximum(total, 1e-12))


def r2_difference(y: Floats, better: Floats, than: Floats, weight: Floats, resamples: Resamples) -> Figure:
    """R2 of one prediction less that of another, on the same rows."""
    mean = np.average(y, weights=weight)
    gap = weight * ((y - than) ** 2 - (y - better) ** 2)
    total = weight * (y - mean) ** 2
    sums = resamples.sums(np.column_stack([gap, total]))
    return resamples.figure(gap.sum() / total.sum(), sums[:, 0] / np.maximum(sums[:, 1], 1e-12))


def slope(
    response: Floats, regressor: Floats, control: Floats, weight: Floats, resamples: Resamples
) -> tuple[Figure, Floats]:
    """Slope of the response on a regressor, given a control, and its resamples."""
    x = np.column_stack([regressor, np.ones(len(regressor)), control])
    if np.ptp(control) < 1e-12:
        x = x[:, :2]
    if np.ptp(regressor) < 1e-12:
        flat = np.zeros(len(resamples.counts))
        return Figure(0.0, 0.0, 0.0), flat
    outer = weight[:, None, None] * x[:, :, None] * x[:, None, :]
    cross = (weight * response)[:, None] * x
    ridge = 1e-9 * np.trace(outer.sum(axis=0)) * np.eye(x.shape[1])
    value = np.linalg.solve(outer.sum(axis=0) + ridge, cross.sum(axis=0))[0]
    draws = np.linalg.solve(resamples.sums(outer) + ridge, resamples.sums(cross)[..., None])[:, 0, 0]
    return resamples.figure(value, draws), draws


@dataclass(frozen=True)
class Offered:
    """Scores of everyone available to each of some clients: pairs sorted by `client`, one of them assigned."""

    client: Ints
    """Row of the test block."""
    assigned: npt.NDArray[np.bool_]
    position: Ints = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", np.unique(self.client, return_inverse=True)[1])

    @property
    def rows(self) -> Ints:
        """Row of the test block of each client, in order."""
        return np.unique(self.client)

    def means(self, score: Floats) -> Floats:
        """Mean score over what each client was offered."""
        counts = np.bincount(self.position)
        return np.bincount(self.position, weights=score) / counts

    def best(self, score: Floats) -> Floats:
        """Highest score among what each client was offered."""
        best = np.full(self.position.max() + 1, -np.inf)
        np.maximum.at(best, self.position, score)
        return best

    def of_assigned(self, score: Floats) -> Floats:
        """Score of the therapist whom each client saw."""
        return score[self.assigned]

    def percentile(self, score: Floats) -> Floats:
        """Share of the others available whom the assigned therapist's score exceeds (ties count half), 0 to 1."""
        own = self.of_assigned(score)[self.position]
        above = np.bincount(self.position, weights=(score < own) + 0.5 * (score == own)) - 0.5
        others = np.bincount(self.position) - 1
        return np.where(others > 0, above / np.maximum(others, 1), 0.5)


@dataclass(frozen=True)
class PolicyGain:
    """What choosing by a score brings over next-available: claimed, borne out, and how well claims came true."""

    claimed: float
    gain: Figure
    calibration: Figure
    draws: Floats

    def as_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {"claimed": self.claimed, "gain": self.gain.as_json(), "calibration_slope": self.calibration.as_json()}


def policy_gain(response: Floats, score: Floats, offered: Offered, weight: Floats, resamples: Resamples) -> PolicyGain:
    """Gain of always choosing the highest score; `response` (clients,) is result less prognosis, in SD units."""
    mean = offered.means(score)
    claimed = float((offered.best(score) - mean).mean())
    own = offered.of_assigned(score) - mean
    figure, draws = slope(np.nan_to_num(response), own, mean, np.where(np.isnan(response), 0.0, weight), resamples)
    gain = resamples.figure(figure.value * claimed, draws * claimed)
    return PolicyGain(claimed, gain, figure, draws * claimed)


def rank_validity(response: Floats, score: Floats, offered: Offered, weight: Floats, resamples: Resamples) -> Figure:
    """Slope, in outcome SD, of result less prognosis on the assigned therapist's predicted percentile (0 to 1)."""
    seen = np.where(np.isnan(response), 0.0, weight)
    percentile = offered.percentile(score)
    return slope(np.nan_to_num(response), percentile, offered.means(score), seen, resamples)[0]


def difference(better: PolicyGain, than: PolicyGain, resamples: Resamples) -> Figure:
    """Gain of one policy less that of another, over the same resamples."""
    return resamples.figure(better.gain.value - than.gain.value, better.draws - than.draws)


def as_json(figures: Mapping[str, Figure]) -> dict[str, dict[str, float]]:
    """Plain values of several figures by name."""
    return {name: figure.as_json() for name, figure in figures.items()}
