"""The first few of an order, as `training.ranking.rank` would put them, without working out the variances of the rest.

Whoever cannot be told apart from the best is looked for from the best downwards: once enough have been found, nobody
further down can come before them, for within a group the posterior mean decides.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.ranking import (
    SURE,
    WORTH,
    Gain,
    Posteriors,
    Weighing,
    beats,
    chance_worth,
    combined_sd,
    gain_sds,
    means,
    utility,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FIRST_LOOK = 16
"""Therapists looked at first; then twice as many, and so on."""


@dataclass(frozen=True)
class First:
    """The first k of n therapists, by position; equal ones stand in the order of their positions."""

    order: Ints
    """(k,)"""
    tie_group: Ints
    """(k,)"""
    utility: Floats
    """(n,): posterior means over all, in SD."""
    net: Floats
    """(n,): the same less the prices: what decides."""
    meaningful_difference: bool
    by_wait: bool
    """Whether the soonest slot decided."""


@dataclass(frozen=True)
class Told:
    """Utility and gains of some therapists, each (m,)."""

    utility: Gain
    gains: Mapping[str, Gain]


def first(
    posteriors: Posteriors,
    weighing: Weighing,
    wait_days: Floats,
    k: int,
    price: Floats | None = None,
    apart: bool = True,
) -> First:
    """The first k of n therapists whose positions follow their ids; `wait_days` (n,) may be NaN, `price` (n,) in SD.

    Without `apart` the model is new to such clients and tells nobody apart: the soonest slot decides, then the place
    in the list.
    """
    heads = weighing.among(list(posteriors))
    total = utility(posteriors, heads)
    net = total if price is None else total - price
    if not apart:
        order = soonest_first(wait_days, np.zeros(len(net)), k)
        return First(order, np.ones(len(order), dtype=np.int64), total, net, False, by_wait=True)
    look = next(best_first(net))
    best = int(look[0])
    spread = combined_sd(gain_sds(posteriors, heads.names, look), heads)[0]
    meaningful = chance_worth(float(total[best]), float(spread)) >= SURE
    if meaningful or (price is not None and float(net[best] - net.mean()) > WORTH):
        order, group = _by_groups(posteriors, heads, net, min(k, len(net)))
        return First(order, group, total, net, meaningful, by_wait=False)
    order = soonest_first(wait_days, net, k)
    return First(order, np.ones(len(order), dtype=np.int64), total, net, meaningful, by_wait=True)


def told(posteriors: Posteriors, weighing: Weighing, total: Floats, at: Ints) -> Told:
    """Utility and gains of those `at`, with 80 % intervals; `total` (n,) holds the utilities."""
    names = list(posteriors)
    heads, fits, sds = weighing.among(names), means(posteriors, names), gain_sds(posteriors, names, at)
    gain = fits[:, at] - fits.mean(axis=1, keepdims=True)
    gains = {name: Gain.of(gain[i], sds[i]) for i, name in enumerate(names)}
    return Told(Gain.of(total[at], combined_sd(sds[[names.index(name) for name in heads.names]], heads)), gains)


def soonest_first(wait_days: Floats, net: Floats, k: int) -> Ints:
    """Positions of the first k by wait, then by worth; an unknown wait comes last."""
    wait = np.where(np.isnan(wait_days), np.inf, wait_days)
    near = np.flatnonzero(wait <= np.partition(wait, k - 1)[k - 1]) if k < len(wait) else np.arange(len(wait))
    found: Ints = near[np.lexsort((-net[near], wait[near]))[:k]]
    return found


def best_first(net: Floats) -> Iterator[Ints]:
    """Positions in falling worth, part by part, each twice as long as what came before."""
    done, size = 0, FIRST_LOOK
    while done < len(net):
        if 2 * size >= len(net):
            near = np.arange(len(net))
        else:
            near = np.flatnonzero(net >= -np.partition(-net, size - 1)[size - 1])
        order = near[np.argsort(-net[near], kind="stable")]
        yield order[done:]
        done, size = len(order), 2 * size


def _by_groups(posteriors: Posteriors, weighing: Weighing, net: Floats, k: int) -> tuple[Ints, Ints]:
    """Group by group: everyone whom the best of those left does not surely beat, until k have been found."""
    found, groups = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    taken = np.zeros(len(net), dtype=bool)
    number = 0
    while len(found) < k:
        number += 1
        best = int(np.argmax(np.where(taken, -np.inf, net)))
        for part in best_first(net):
            left = part[~taken[part]]
            same = left[(beats(posteriors, weighing, net, best, left) < SURE) | (left == best)]
            found, groups = np.append(found, same), np.append(groups, np.full(len(same), number))
            taken[same] = True
            if len(found) >= k:
                break
    return found[:k], groups[:k]
