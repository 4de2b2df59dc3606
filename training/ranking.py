"""From fits to an order: gain, utility, ties, and whether the difference is worth anything.

Gain is the fit less the mean fit of this client's eligible therapists. Utility is the weighted sum of the gains in
units of each head's standard deviation. `low` and `high` are 80 % posterior intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from training.head import PairPosterior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WORTH = 0.05
"""Smallest utility difference, in SD, that is worth anything to a client."""
SURE = 0.80
Z80 = 1.2815515655446004


class Posterior(Protocol):
    """What an order is made from: the fit of one client with n therapists (`PairPosterior`, `training.fits`)."""

    @property
    def mean(self) -> Floats:
        """(n,)"""

    def gain_sd(self, at: Ints | None = None) -> Floats:
        """Standard deviation of each fit less the mean fit of all n."""

    def difference_sd(self, to: int, at: Ints | None = None) -> Floats:
        """Standard deviation of each fit less that of the therapist at `to`."""


@dataclass(frozen=True)
class Weighing:
    """How heads make a utility: weight and unit of each, and the correlation of their errors (heads x heads)."""

    names: tuple[str, ...]
    weight: Floats
    sd: Floats
    correlation: Floats

    def among(self, present: Sequence[str]) -> "Weighing":
        """The same for the heads that are present and count; weights rescale to the same total."""
        if self._is_all_of(present):
            return self
        keep = np.array([i for i, n in enumerate(self.names) if n in present and self.weight[i] > 0], dtype=np.int64)
        if not len(keep):
            raise ValueError("no head with a weight is present -> give one of the heads a weight")
        weight = self.weight[keep] * (self.weight.sum() / self.weight[keep].sum())
        names = tuple(self.names[i] for i in keep)
        return Weighing(names, weight, self.sd[keep], self.correlation[np.ix_(keep, keep)])

    def _is_all_of(self, present: Sequence[str]) -> bool:
        return self.names == tuple(present) and bool(np.all(self.weight > 0))

    @property
    def share(self) -> Floats:
        """Weights in utility units per unit of each head; they sum to 1 in SD units."""
        shares: Floats = self.weight / self.weight.sum() / self.sd
        return shares


@dataclass(frozen=True)
class Gain:
    """A mean with its 80 % interval, each of shape (n,)."""

    mean: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, mean: Floats, sd: Floats) -> "Gain":
        """Mean and 80 % interval of a normal posterior."""
        return cls(mean, mean - Z80 * sd, mean + Z80 * sd)


@dataclass(frozen=True)
class Ranked:
    """Eligible therapists in order. Arrays are indexed by eligible position; `order` lists positions best first."""

    order: Ints
    utility: Gain
    gains: Mapping[str, Gain]
    tie_group: Ints
    """1 for the first group; 0 for positions beyond the groups asked for."""
    meaningful_difference: bool
    chance_worth: float
    """P(best - mean of the eligible > .05 SD)."""


def utility(posteriors: Mapping[str, Posterior], weighing: Weighing) -> Floats:
    """Utility of every pair, in SD: weighted gains, mean 0 over the eligible."""
    heads = weighing.among(list(posteriors))
    fits = np.array([posteriors[name].mean for name in heads.names])
    gains = fits - fits.mean(axis=1, keepdims=True)
    total: Floats = heads.share @ gains
    return total


def utility_sd(sds: Mapping[str, Floats], weighing: Weighing) -> Floats:
    """SD of a utility difference from the SDs of the heads' differences, with the correlation of their errors."""
    heads = weighing.among(list(sds))
    scaled = heads.share[:, None] * np.array([sds[name] for name in heads.names])
    variance = np.einsum("hn,hg,gn->n", scaled, heads.correlation, scaled)
    sd: Floats = np.sqrt(np.maximum(variance, 0.0))
    return sd


def rank(
    posteriors: Mapping[str, Posterior],
    weighing: Weighing,
    wait_days: Floats,
    ids: Sequence[str],
    groups_for: int | None = None,
    price: Floats | None = None,
) -> Ranked:
    """Orders n eligible therapists; `wait_days` (n,) may be NaN; tie groups are told apart for the first `groups_for`.

    Groups follow each other, and within one the posterior mean decides; without a meaningful difference the soonest
    slot does, then utility, then the id. `price` (n,), in SD, is what a place of each is worth to others
    (`training.prices`): order and groups subtract it, the utility that is shown and the meaningful difference do not.
    """
    names = np.array(ids)
    total = utility(posteriors, weighing)
    net = total if price is None else total - price
    gain_sds = {name: posterior.gain_sd() for name, posterior in posteriors.items()}
    spread = utility_sd(gain_sds, weighing)
    best_first = np.lexsort((names, -net))
    best = best_first[0]
    chance = chance_worth(float(total[best]), float(spread[best]))
    meaningful = chance >= SURE
    gains = {n: Gain.of(p.mean - p.mean.mean(), gain_sds[n]) for n, p in posteriors.items()}
    scarce = price is not None and float(net[best] - net.mean()) > WORTH
    if meaningful or scarce:
        first = len(names) if groups_for is None else groups_for
        groups = tie_groups(posteriors, weighing, net, best_first, first)
        order = np.lexsort((names, -net, np.where(groups == 0, len(names) + 1, groups)))
    else:
        groups = np.ones(len(names), dtype=np.int64)
        order = np.lexsort((names, -net, np.where(np.isnan(wait_days), np.inf, wait_days)))
    return Ranked(order, Gain.of(total, spread), gains, groups, meaningful, chance)


def chance_worth(best: float, spread: float) -> float:
    """P(the best is worth more than .05 SD over the mean of the eligible), from its utility and the SD of that."""
    return float(ndtr((best - WORTH) / spread)) if spread > 0 else float(best > WORTH)


def tie_groups(
    posteriors: Mapping[str, Posterior], weighing: Weighing, total: Floats, best_first: Ints, first: int
) -> Ints:
    """Group 1 is everyone whom the best does not beat by .05 SD with probability .8; the next starts at the best left.

    Groups are told apart until the `first` best positions have one; positions beyond stay 0.
    """
    group = np.zeros(len(total), dtype=np.int64)
    number = 0
    while (group[best_first[:first]] == 0).any():
        number += 1
        left = best_first[group[best_first] == 0]
        chance = beats(posteriors, weighing, total, int(left[0]))
        same = left[chance[left] < SURE]
        group[same] = number
        group[left[0]] = number
    return group


def beats(
    posteriors: Mapping[str, Posterior], weighing: Weighing, total: Floats, position: int, at: Ints | None = None
) -> Floats:
    """P(u_position - u > .05 SD) for every therapist, or for those `at`."""
    heads = weighing.among(list(posteriors))
    spread = utility_sd({name: posteriors[name].difference_sd(position, at) for name in heads.names}, heads)
    margin = total[position] - (total if at is None else total[at]) - WORTH
    with np.errstate(divide="ignore", invalid="ignore"):
        chance: Floats = np.where(spread > 0, ndtr(margin / spread), (margin > 0).astype(np.float64))
    return chance


def difference(
    posteriors: Mapping[str, Posterior], weighing: Weighing, total: Floats, of: int, to: int
) -> tuple[float, float, float]:
    """Utility of one therapist less that of another: mean and 80 % interval."""
    heads = weighing.among(list(posteriors))
    (spread,) = utility_sd({name: posteriors[name].difference_sd(to, np.array([of])) for name in heads.names}, heads)
    mean = float(total[of] - total[to])
    return mean, mean - Z80 * float(spread), mean + Z80 * float(spread)


def best_set(posterior: PairPosterior, level: float = 0.9, draws: int = 2000, seed: int = 0) -> Ints:
    """Positions of the smallest set that holds the best of n therapists with posterior probability `level` or more."""
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((draws, posterior.loading.shape[1])) @ posterior.loading.T
    own = rng.standard_normal((draws, len(posterior.own))) * np.sqrt(np.maximum(posterior.own, 0.0))
    first = (posterior.mean + shared + own).argmax(axis=1)
    chance = np.bincount(first, minlength=len(posterior.own)) / draws
    order = np.argsort(-chance, kind="stable")
    enough = int(np.searchsorted(np.cumsum(chance[order]), level - 1e-12)) + 1
    return order[:enough].astype(np.int64)
