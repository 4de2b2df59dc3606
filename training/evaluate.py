"""How well a model does on clients it has not seen, beside what it has to beat, each figure with its interval.

Baselines: *patient-only* (the prognosis alone: every therapist the same), *therapist-only* (a shrunken therapist mean
alone: every client the same), *therapist-mean* (the prognosis and a shrunken therapist mean) and *next-available*
(whoever is free first, which is unrelated to fit: the average of those available).
Intervals come from resampling therapists with all their clients; those of regressions, where therapists are fewer
than 40, from CR2 errors (`training.robust`).

The gain of a policy over next-available is the mean advantage it claims for its first choice, times the slope with
which its claims came true for the therapists clients really saw. It rests on there being no unmeasured difference
between clients sent to different therapists.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from training.robust import ENOUGH_CLUSTERS, cr2

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEVEL = 0.95
DIGITS = 4
"""Decimals in long tables."""


@dataclass(frozen=True)
class Figure:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float

    def as_json(self, digits: int | None = None) -> dict[str, float]:
        """Plain values for the manifest; in long tables rounded."""
        found = {"value": self.value, "low": self.low, "high": self.high}
        return found if digits is None else {name: round(value, digits) for name, value in found.items()}


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
        order = np.argsort(self.therapist, kind="stable")
        starts = np.searchsorted(self.therapist[order], np.arange(self.clusters))
        groups = np.add.reduceat(values[order], starts, axis=0)
        total: Floats = np.tensordot(self.counts, groups, axes=1)
        return total

    @property
    def clusters(self) -> int:
        """How many therapists there are."""
        return int(self.counts.shape[1])

    def means(self, values: Floats, weight: Floats) -> list[Figure]:
        """Mean of each column of values (n, k) with weights (n, k); rows of weight 0 may hold anything."""
        known = np.where(weight > 0, np.nan_to_num(values), 0.0)
        total, mass = self.sums(weight * known), self.sums(weight)
        value = (weight * known).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-12)
        draws = np.where(mass > 0, total / np.maximum(mass, 1e-12), np.nan)
        return [self.figure(value[j], draws[:, j]) for j in range(values.shape[1])]

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
    """Slope of the response on a regressor, given controls (n,) or (n, k), and its resamples; 0 without any result."""
    if np.ptp(regressor) < 1e-12 or not weight.any():
        return Figure(0.0, 0.0, 0.0), np.zeros(len(resamples.counts))
    x = _columns(regressor, control)
    outer = weight[:, None, None] * x[:, :, None] * x[:, None, :]
    cross = (weight * response)[:, None] * x
    ridge = 1e-9 * np.trace(outer.sum(axis=0)) * np.eye(x.shape[1])
    value = np.linalg.solve(outer.sum(axis=0) + ridge, cross.sum(axis=0))[0]
    draws = np.linalg.solve(resamples.sums(outer) + ridge, resamples.sums(cross)[..., None])[:, 0, 0]
    return resamples.figure(value, draws), draws


def _columns(regressor: Floats, control: Floats) -> Floats:
    """Regressor, 1, and the controls that vary."""
    controls = control.reshape(len(regressor), -1)
    return np.column_stack([regressor, np.ones(len(regressor)), controls[:, np.ptp(controls, axis=0) > 1e-12]])


def regression(response: Floats, regressor: Floats, control: Floats, weight: Floats, resamples: Resamples) -> Figure:
    """The same slope with its interval: by CR2 errors where therapists are few, else by resampling them."""
    used = weight > 0
    if resamples.clusters >= ENOUGH_CLUSTERS or not used.any() or np.ptp(regressor[used]) < 1e-12:
        return slope(response, regressor, control, weight, resamples)[0]
    x = _columns(regressor[used], control[used])
    if np.linalg.matrix_rank(x) < x.shape[1] or len(np.unique(resamples.therapist[used])) < 2:
        return slope(response, regressor, control, weight, resamples)[0]
    found = cr2(x, response[used], weight[used], resamples.therapist[used])
    low, high = found.interval(LEVEL)
    return Figure(float(found.value[0]), float(low[0]), float(high[0]))


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

    def first(self, score: Floats) -> Ints:
        """The pair with the highest score among what each client was offered."""
        order = np.lexsort((-score, self.position))
        return np.asarray(order[np.concatenate([[True], np.diff(self.position[order]) > 0])])

    def of_assigned(self, score: Floats) -> Floats:
        """Score of the therapist whom each client saw."""
        return score[self.assigned]

    def where(self, kept: Bools) -> "Offered":
        """The pairs kept; those assigned must be among them."""
        return Offered(self.client[kept], self.assigned[kept])

    def among(self, count: int | None, seed: int) -> Bools:
        """Pairs of a smaller choice: the assigned therapist and others drawn at random; None: all."""
        if count is None:
            return np.ones(len(self.client), dtype=bool)
        luck = np.where(self.assigned, -1.0, np.random.default_rng(seed).random(len(self.client)))
        order = np.lexsort((luck, self.position))
        first = np.concatenate([[0], np.cumsum(np.bincount(self.position))[:-1]])
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order)) - first[self.position[order]]
        return place < count

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
    return regression(np.nan_to_num(response), percentile, offered.means(score), seen, resamples)


def difference(better: PolicyGain, than: PolicyGain, resamples: Resamples) -> Figure:
    """Gain of one policy less that of another, over the same resamples."""
    return resamples.figure(better.gain.value - than.gain.value, better.draws - than.draws)


def as_json(figures: Mapping[str, Figure]) -> dict[str, dict[str, float]]:
    """Plain values of several figures by name."""
    return {name: figure.as_json() for name, figure in figures.items()}
