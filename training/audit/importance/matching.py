"""What changes the order of therapists: the exact contribution of every source to the fit of every pair offered.

A fit is a sum over columns, the therapist's own effects and, where they were kept, small trees (taken apart by their
Shapley values: Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees",
Nat. Mach. Intell. 2), so that contributions add up to the ranking.

Permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019, "All models are wrong, but many are useful",
J. Mach. Learn. Res. 20) here exchanges a contribution between the therapists offered to one client, since only that
changes an order. Its mean over all exchanges has a closed form: with r the result less prognosis, g the fit and c the
contribution of the therapist seen, both centred over those offered, and v the variance of the contribution there,

    E (r - g + c - c')^2 - (r - g)^2 = 2 (r - g) c + c^2 + v.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import lightgbm
import numpy as np
import numpy.typing as npt

from training.audit.examined import Examined
from training.audit.importance.sources import Source, membership
from training.audit.importances import UTILITY, Interval, Matching
from training.evaluate import LEVEL, Offered, Resamples
from training.head import Head, used_effects
from training.tested import weighted

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_RESULTS = 50
"""With fewer results of clients who had a choice, none is used."""
ROUNDING = 1e-12
DIGITS = 6


@dataclass(frozen=True)
class Figures:
    """Means of k quantities with 95 % intervals and standard errors from resampling therapists, each (k,)."""

    value: Floats
    low: Floats
    high: Floats
    error: Floats

    def interval(self, at: int) -> Interval:
        """One of them."""
        return rounded(self.value[at], self.low[at], self.high[at])


def rounded(value: float, low: float, high: float) -> Interval:
    """An interval to as many digits as anyone reads."""
    return Interval(value=round(float(value), DIGITS), low=round(float(low), DIGITS), high=round(float(high), DIGITS))


def figures(values: Floats, weight: Floats, resamples: Resamples) -> Figures:
    """Weighted means of the columns of values (rows, k) over rows, with intervals."""
    total, mass = resamples.sums(values * weight[:, None]), resamples.sums(weight)[:, None]
    drawn = total / np.maximum(mass, ROUNDING)
    edge = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [edge, 1 - edge], axis=0)
    value = (values * weight[:, None]).sum(axis=0) / max(float(weight.sum()), ROUNDING)
    return Figures(value, np.minimum(low, value), np.maximum(high, value), drawn.std(axis=0))


@dataclass(frozen=True)
class Ordered:
    """One head, or the utility: what every source adds to every pair, and what came of the therapists seen."""

    name: str
    value: Floats
    """(pairs, sources): in SD of the head, mean 0 over those offered to a client."""
    response: Floats
    """(clients,): result less prognosis in SD of the head; NaN where there is none."""
    weight: Floats
    """(clients,): what each stands for."""


@dataclass(frozen=True)
class Moved:
    """How much each of k things moves the order."""

    spread: Figures
    first: Figures
    rise: Figures | None

    def matching(self, at: int) -> Matching:
        """One of them."""
        rise = None if self.rise is None else self.rise.interval(at)
        return Matching(spread=self.spread.interval(at), first_changes=self.first.interval(at), loss_rise=rise)


@dataclass(frozen=True)
class Contributions:
    """What every source adds to the fit of every pair that was offered, by head and for the utility."""

    sources: tuple[Source, ...]
    offered: Offered
    ordered: Mapping[str, Ordered]
    resamples: Resamples

    def moved(self, name: str, member: Floats) -> Moved:
        """How much the order of a head moves with each of k sums of sources, `member` (sources, k)."""
        one = self.ordered[name]
        value, total = one.value @ member, one.value.sum(axis=1)
        spread = np.sqrt(self._mean(value**2))
        first = self._first_changes(value, total, spread)
        everyone = np.ones(len(spread))
        return Moved(
            figures(spread, everyone, self.resamples),
            figures(first, everyone, self.resamples),
            self._rise(one, value, total, spread),
        )

    def _first_changes(self, value: Floats, total: Floats, spread: Floats) -> Floats:
        """(clients, k): the chance that another therapist would stand first without it; ties are broken by lot."""
        without = total[:, None] - value
        best = np.maximum.reduceat(without, self._starts, axis=0) - ROUNDING
        tied = np.add.reduceat(without >= best[self.offered.position], self._starts, axis=0, dtype=np.float64)
        stays = (without[self.offered.first(total)] >= best) / tied
        changed: Floats = np.where(spread > ROUNDING, 1 - stays, 0.0)
        return changed

    def _rise(self, one: Ordered, value: Floats, total: Floats, spread: Floats) -> Figures | None:
        known = ~np.isnan(one.response)
        if known.sum() < FEWEST_RESULTS:
            return None
        rest = np.nan_to_num(one.response)
        left = rest - total[self.offered.assigned]
        own = value[self.offered.assigned]
        risen = 2 * left[:, None] * own + own**2 + spread**2
        weight = np.where(known, one.weight, 0.0)
        found = figures(risen, weight, self.resamples)
        whole = float(weight @ rest**2) / float(weight.sum())
        return Figures(*(part / whole for part in (found.value, found.low, found.high, found.error)))

    @cached_property
    def _starts(self) -> Ints:
        return np.flatnonzero(np.diff(self.offered.position, prepend=-1))

    def _mean(self, value: Floats) -> Floats:
        counts = np.diff(self._starts, append=len(value))
        mean: Floats = np.add.reduceat(value, self._starts, axis=0) / counts[:, None]
        return mean


def contributions(looked_at: Examined, sources: Sequence[Source]) -> Contributions | None:
    """Contributions to every pair offered to clients of the test block; None where nobody had a choice."""
    offered = looked_at.offered
    if np.bincount(offered.position).max(initial=0) < 2:
        return None
    found = {head.name: _of_head(looked_at, head.name, sources) for head in looked_at.head_configs}
    heads = [head for head in looked_at.head_configs if head.weight > 0]
    weights = np.array([head.weight for head in heads])
    if heads:
        value = np.zeros_like(found[heads[0].name].value)
        for head, share in zip(heads, weights / weights.sum(), strict=True):
            value += share * found[head.name].value
        response = weighted(np.array([found[head.name].response for head in heads]), weights)
        found[UTILITY] = Ordered(UTILITY, value, response, np.ones(len(response)))
    return Contributions(tuple(sources), offered, found, looked_at.resamples(offered.rows))


def _of_head(looked_at: Examined, name: str, sources: Sequence[Source]) -> Ordered:
    offered = looked_at.offered
    head = looked_at.asked.heads[name]
    value = link_contributions(looked_at, head, sources)
    value *= (looked_at.units[name] / head.info.sd)[offered.position, None]
    starts = np.flatnonzero(np.diff(offered.position, prepend=-1))
    counts = np.diff(starts, append=len(value))
    value -= (np.add.reduceat(value, starts, axis=0) / counts[:, None])[offered.position]
    return Ordered(name, value, looked_at.left[name], looked_at.weights[name][offered.rows])


def link_contributions(looked_at: Examined, head: Head, sources: Sequence[Source]) -> Floats:
    """(pairs, sources): what each adds to the fit on the link scale; what trees add to everyone is left out."""
    pairs, design, s = looked_at.pairs, looked_at.asked.design, head.solution
    found = np.zeros((len(pairs.therapist_id), len(sources)))
    if head.info.parts.columns:
        names = design.names[design.ranking]
        columns = design.ranking_part(pairs.blocks)
        member = membership(names, sources)
        found += columns @ (member * s.b[len(s.b) - len(names) :, None])
        if head.remainder.text:
            trees = lightgbm.Booster(model_str=head.remainder.text)
            shapley = np.asarray(trees.predict(columns, pred_contrib=True, num_threads=1))[:, :-1]
            found += shapley @ member
    _add_results(found, looked_at, head, sources)
    return found


def _add_results(found: Floats, looked_at: Examined, head: Head, sources: Sequence[Source]) -> None:
    """Adds the therapists' own effects where a client's row has them."""
    used = used_effects(looked_at.asked.design, head.info.parts)
    if not len(used) or not len(head.solution.at_zero):
        return
    place = {source.name: i for i, source in enumerate(sources)}
    ids = looked_at.pairs.therapist_id
    position = np.array([looked_at.asked.place.get(name, -1) for name in ids], dtype=np.int64)
    own = np.where(position[:, None] >= 0, head.solution.effects()[position], 0.0) * looked_at.pairs.effects[:, used]
    for effect, values in zip(used, own.T, strict=True):
        name = looked_at.asked.design.effects[effect]
        kind = name if name in ("therapist", "severity") else "strengths"
        found[:, place[f"results.{kind}"]] += values
