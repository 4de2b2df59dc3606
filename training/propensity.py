"""With what probability each client's therapist was chosen among those who were available.

A conditional logit (McFadden 1974, "Conditional logit analysis of qualitative choice behavior"): a softmax, over one
client's choice, of what may have driven it: wishes met, training, styles, the therapist's profile, how often cases of
this site and this referrer go to the therapist, what the ranking itself says, and for each therapist a popularity and
a slope on severity. Coefficients are shrunk in groups, each with a variance of its own that the data choose (MacKay
1992, "Bayesian interpolation"). Probabilities are cross-fitted by client, calibrated by one factor on the log odds,
and clipped from below; those that were recorded, or follow from a lot, are taken as they are.

What drives choices but not results (how long someone would have had to wait, which no past offer records) is left out
without harm. What drives both and is not in the data is not: nothing here can see it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize
from scipy.sparse import csr_array, hstack

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FOLDS = 5
FEWEST_CHOICES = 100
"""Fewer clients with a choice than this say nothing of how choices are made."""
LEAST_OF_EVEN = 0.2
"""A propensity below this share of an even chance is clipped to it."""
START, LEAST_VARIANCE, MOST_VARIANCE = 0.1, 1e-4, 4.0
ROUNDS = 5
"""How often the variances of the coefficients are chosen anew."""
BINS = 5


@dataclass(frozen=True)
class Drivers:
    """What may have driven who saw whom: one row a pair, client by client, one pair of each client assigned."""

    position: Ints
    """Client of each pair, counted from 0 without gaps, ascending."""
    assigned: Bools
    groups: tuple[Floats, ...]
    """Standardised columns (pairs, any number), in groups whose coefficients share a variance."""
    therapist: Ints
    """Therapist of each pair, counted from 0."""
    severity: Floats
    """Severity of each pair's client, standardised."""

    @property
    def clients(self) -> int:
        """How many clients had a choice."""
        return int(self.position[-1]) + 1

    @cached_property
    def sizes(self) -> Floats:
        """Therapists in each client's choice, shape (clients,)."""
        return np.bincount(self.position).astype(np.float64)

    @cached_property
    def starts(self) -> Ints:
        """Row of each client's first pair."""
        return np.searchsorted(self.position, np.arange(self.clients)).astype(np.int64)

    @cached_property
    def matrix(self) -> Any:
        """All columns, sparse: those of the groups, one a therapist, and one a therapist times severity."""
        rows, people = np.arange(len(self.position)), int(self.therapist.max()) + 1
        shape = (len(rows), people)
        popular = csr_array((np.ones(len(rows)), (rows, self.therapist)), shape=shape)
        slopes = csr_array((self.severity, (rows, self.therapist)), shape=shape)
        return hstack([csr_array(np.column_stack(self.groups)), popular, slopes], format="csr")

    @cached_property
    def group(self) -> Ints:
        """Group of each column of `matrix`."""
        widths = [block.shape[1] for block in self.groups]
        people = (self.matrix.shape[1] - sum(widths)) // 2
        sizes = [*widths, people, people]
        return np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)

    def among(self, clients: Bools) -> Self:
        """The pairs of these clients alone; therapists keep their numbers."""
        pairs = clients[self.position]
        matrix, group = self.matrix[pairs], self.group
        left = type(self)(
            (np.cumsum(clients) - 1)[self.position[pairs]].astype(np.int64),
            self.assigned[pairs],
            tuple(block[pairs] for block in self.groups),
            self.therapist[pairs],
            self.severity[pairs],
        )
        vars(left).update(matrix=matrix, group=group)  # as wide as the whole, whoever is left
        return left

    def shares(self, utility: Floats) -> Floats:
        """Softmax of the pairs' utilities over each client's choice, shape (pairs,)."""
        top = np.maximum.reduceat(utility, self.starts)
        odds: Floats = np.exp(utility - top[self.position])
        return odds / np.add.reduceat(odds, self.starts)[self.position]


@dataclass(frozen=True)
class Propensities:
    """Probabilities of what happened, and of what could have."""

    chance: Floats
    """Estimated probability of every pair, each from clients left out, summing to 1 for a client; shape (pairs,)."""
    assigned: Floats
    """Propensity of each client's own therapist: recorded where it was, else estimated; clipped; shape (clients,)."""
    recorded: Bools
    clipped: Bools
    slope: float
    """Calibration: the factor on the log odds that fits held-out choices best; 1 is perfect, below 1 too sure."""
    bins: tuple[tuple[float, float], ...]
    """Mean probability and share chosen of pairs, in bins of equal size, after calibration."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {
            "clients": len(self.assigned),
            "share_recorded": float(self.recorded.mean()),
            "share_clipped": float(self.clipped.mean()),
            "clipped_below": f"{LEAST_OF_EVEN:g} of an even chance",
            "least": float(self.assigned.min()),
            "calibration_slope": self.slope,
            "calibration": [{"expected": said, "chosen": was} for said, was in self.bins],
        }


def estimate(drivers: Drivers, fold: Ints, recorded: Floats) -> Propensities:
    """Propensities of every client's therapist; `fold` (clients,) holds clients out, `recorded` is NaN where unknown.

    Choices whose probability was recorded are not learned from: a lot or a program made them, not people.
    """
    known = ~np.isnan(recorded)
    by_people = ~known if (~known).sum() >= FEWEST_CHOICES else np.ones(len(known), dtype=bool)
    variances = _variances(drivers.among(by_people))
    utility = np.zeros(len(drivers.position))
    for held_out in np.unique(fold):
        learned = _climb(drivers.among(by_people & (fold != held_out)), variances)
        pairs = (fold == held_out)[drivers.position]
        utility[pairs] = drivers.matrix[pairs] @ learned
    slope = _slope(drivers, utility, by_people)
    chance = drivers.shares(slope * utility)
    own = np.where(known, recorded, chance[drivers.assigned])
    least = LEAST_OF_EVEN / drivers.sizes
    used = by_people[drivers.position]
    bins = _bins(chance[used], drivers.assigned[used])
    return Propensities(chance, np.clip(own, least, 1.0), known, own < least, slope, bins)


def lift(past: Mapping[str, Any], now: Mapping[str, Any], column: str, even: float = 5.0) -> Floats:
    """How much more often cases of this kind went to this therapist than cases in general did: log ratio, 0 unknown.

    `past` has the columns `therapist_id` and `column` of cases before the day, `now` those of the pairs asked about;
    `even` cases are added that are spread as all cases are.
    """
    kinds, kind = _codes(past[column], now[column])
    people, person = _codes(past["therapist_id"], now["therapist_id"])
    seen = (kinds >= 0) & (people >= 0)
    if not seen.any():
        return np.zeros(len(kind))
    counts = np.zeros((max(people.max(), person.max()) + 1, max(kinds.max(), kind.max()) + 1))
    np.add.at(counts, (people[seen], kinds[seen]), 1.0)
    general = counts.sum(axis=0) / counts.sum()
    share = (counts + even * general) / (counts.sum(axis=1, keepdims=True) + even)
    ratio = np.log(np.maximum(share, 1e-9) / np.maximum(general, 1e-9))
    return np.where((kind >= 0) & (general[kind] > 0), ratio[person, kind], 0.0)


def _codes(past: npt.ArrayLike, now: npt.ArrayLike) -> tuple[Ints, Ints]:
    """The words of both as numbers; -1 for what is unknown."""
    both = np.concatenate([np.asarray(past, dtype=object), np.asarray(now, dtype=object)])
    codes = pd.factorize(both, sort=True)[0].astype(np.int64)
    return codes[: len(np.asarray(past))], codes[len(np.asarray(past)) :]


def _variances(drivers: Drivers) -> Floats:
    """Variance of the coefficients of each group: as large as the coefficients that the data can tell from none."""
    variances = np.full(int(drivers.group.max()) + 1, START)
    counts = np.maximum(np.bincount(drivers.group, minlength=len(variances)), 1)
    found = None
    for _ in range(ROUNDS):
        found = _climb(drivers, variances, found)
        precision = _information(drivers, found) + 1 / variances[drivers.group]
        left = np.bincount(drivers.group, weights=1 / precision, minlength=len(variances)) / variances
        told = np.bincount(drivers.group, weights=found**2, minlength=len(variances))
        variances = np.clip(told / np.maximum(counts - left, 1e-6), LEAST_VARIANCE, MOST_VARIANCE)
    return variances


def _information(drivers: Drivers, coefficients: Floats) -> Floats:
    """How much the choices say of each coefficient (diagonal of the information)."""
    share = drivers.shares(drivers.matrix @ coefficients)
    return np.asarray(drivers.matrix.power(2).T @ (share * (1 - share)), dtype=np.float64)


def _climb(drivers: Drivers, variances: Floats, start: Floats | None = None) -> Floats:
    """The coefficients of the highest penalised likelihood, in steps scaled by what the data say of each."""
    matrix, penalty = drivers.matrix, 1 / variances[drivers.group]
    back, chosen = matrix.T.tocsr(), drivers.assigned.astype(np.float64)
    begin = np.zeros(matrix.shape[1]) if start is None else start
    unit = 1 / np.sqrt(_information(drivers, begin) + penalty)

    def loss(scaled: Floats) -> tuple[float, Floats]:
        b = scaled * unit
        share = drivers.shares(matrix @ b)
        value = -np.log(np.maximum(share[drivers.assigned], 1e-300)).sum() + 0.5 * (penalty * b**2).sum()
        return float(value), unit * (penalty * b - back @ (chosen - share))

    found = minimize(loss, begin / unit, jac=True, method="L-BFGS-B", options={"maxiter": 200, "ftol": 1e-8})
    return np.asarray(found.x * unit, dtype=np.float64)


def _slope(drivers: Drivers, utility: Floats, clients: Bools) -> float:
    """The factor on held-out utilities with the highest likelihood, by Newton's steps; 0 if they say nothing."""
    slope, pairs = 1.0, clients[drivers.position]
    for _ in range(20):
        share = np.where(pairs, drivers.shares(slope * utility), 0.0)
        mean = np.add.reduceat(share * utility, drivers.starts)[drivers.position]
        gradient = ((drivers.assigned & pairs) * utility - share * utility).sum()
        step = gradient / max(float((share * (utility - mean) ** 2).sum()), 1e-9)
        slope = float(np.clip(slope + step, 0.0, 2.0))
        if abs(step) < 1e-8:
            break
    return slope


def _bins(chance: Floats, chosen: Bools) -> tuple[tuple[float, float], ...]:
    parts = np.array_split(np.argsort(chance, kind="stable"), BINS)
    return tuple((float(chance[part].mean()), float(chosen[part].mean())) for part in parts if len(part))
