"""From fits to an order: gain, utility, ties, and whether the difference is worth anything.

Gain is the fit less the mean fit of this client's eligible therapists. Utility is the weighted sum of the gains in
units of each head's standard deviation. `low` and `high` are 80 % posterior intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from training.fits import Together
from training.head import PairPosterior

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WORTH = 0.05
"""Smallest utility difference, in SD, that is worth anything to a client."""
SURE = 0.80
Z80 = 1.2815515655446004


Posteriors = Mapping[str, PairPosterior] | Together
"""The fits of one client with n therapists by head: whole posteriors, or `training.fits` which works out few."""


@dataclass(frozen=True)
class Weighing:
    """How heads make a utility: weight and unit of each, and the correlation of their errors (heads x heads)."""

    names: tuple[str, ...]
    weight: Floats
    sd: Floats
    correlation: Floats

    def among(self, present: Sequence[str]) -> "Weighing":
        """The same for the heads that are present and count; weights rescale to the same total."""
        if self._all_count and all(name in present for name in self.names):
            return self
        keep = np.array([i for i, n in enumerate(self.names) if n in present and self.weight[i] > 0], dtype=np.int64)
        if not len(keep):
            raise ValueError("no head with a weight is present -> give one of the heads a weight")
        weight = self.weight[keep] * (self.weight.sum() / self.weight[keep].sum())
        names = tuple(self.names[i] for i in keep)
        return Weighing(names, weight, self.sd[keep], self.correlation[np.ix_(keep, keep)])

    @cached_property
    def _all_count(self) -> bool:
        return bool(np.all(self.weight > 0))

    @cached_property
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


def utility(posteriors: Posteriors, weighing: Weighing) -> Floats:
    """Utility of every pair, in SD: weighted gains, mean 0 over the eligible."""
    heads = weighing.among(list(posteriors))
    fits = means(posteriors, heads.names)
    gains = fits - fits.mean(axis=1, keepdims=True)
    total: Floats = heads.share @ gains
    return total


def means(posteriors: Posteriors, names: Sequence[str]) -> Floats:
    """Posterior means of these heads, (heads, n)."""
    if isinstance(posteriors, Together):
        return posteriors.mean[posteriors.which(names)]
    return np.array([posteriors[name].mean for name in names])


def gain_sds(posteriors: Posteriors, names: Sequence[str], at: Ints) -> Floats:
    """Standard deviations of the gains of those `at`, (heads, at)."""
    if isinstance(posteriors, Together):
        return posteriors.gain_sds(posteriors.which(names), at)
    return np.array([posteriors[name].gain_sd(at) for name in names])


def difference_sds(posteriors: Posteriors, names: Sequence[str], to: int, at: Ints) -> Floats:
    """Standard deviations of the fits of those `at` less that of the therapist `to`, (heads, at)."""
    if isinstance(posteriors, Together):
        return posteriors.difference_sds(posteriors.which(names), to, at)
    return np.array([posteriors[name].difference_sd(to, at) for name in names])


def utility_sd(sds: Mapping[str, Floats], weighing: Weighing) -> Floats:
    """SD of a utility difference from the SDs of the heads' differences, with the correlation of their errors."""
    heads = weighing.among(list(sds))
    return combined_sd(np.array([sds[name] for name in heads.names]), heads)


def combined_sd(sds: Floats, heads: Weighing) -> Floats:
    """The same from the SDs (heads, m) of all heads that count."""
    scaled = heads.share[:, None] * sds
    variance = ((heads.correlation @ scaled) * scaled).sum(axis=0)
    sd: Floats = np.sqrt(np.maximum(variance, 0.0))
    return sd


def rank(
    posteriors: Posteriors,
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
    sds = {name: posterior.gain_sd() for name, posterior in posteriors.items()}
    spread = utility_sd(sds, weighing)
    best_first = np.lexsort((names, -net))
    best = best_first[0]
    chance = chance_worth(float(total[best]), float(spread[best]))
    meaningful = chance >= SURE
    gains = {n: Gain.of(p.mean - p.mean.mean(), sds[n]) for n, p in posteriors.items()}
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


def tie_groups(posteriors: Posteriors, weighing: Weighing, total: Floats, best_first: Ints, first: int) -> Ints:
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


def beats(posteriors: Posteriors, weighing: Weighing, total: Floats, position: int, at: Ints | None = None) -> Floats:
    """P(u_position - u > .05 SD) for every therapist, or for those `at`."""
    heads = weighing.among(list(posteriors))
    at = np.arange(len(total)) if at is None else at
    spread = combined_sd(difference_sds(posteriors, heads.names, position, at), heads)
    margin = total[position] - total[at] - WORTH
    with np.errstate(divide="ignore", invalid="ignore"):
        chance: Floats = np.where(spread > 0, ndtr(margin / spread), (margin > 0).astype(np.float64))
    return chance


def difference(
    posteriors: Posteriors, weighing: Weighing, total: Floats, of: int, to: int
) -> tuple[float, float, float]:
    """Utility of one therapist less that of another: mean and 80 % interval."""
    heads = weighing.among(list(posteriors))
    (spread,) = combined_sd(difference_sds(posteriors, heads.names, to, np.array([of])), heads)
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
