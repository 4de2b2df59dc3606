"""Signed exploration: now and then those who are about equally good stand in a random order, and the chances are kept.

A pure function of the order, the seed and the share, so that an answer can be derived again, and so that learning can
weigh each choice by the chance that it was offered first.
"""

from dataclasses import dataclass

import numpy as np

from features.columns import Floats, Ints
from training.first import First
from training.ranking import WORTH

WORDS = (
    "The first {count} in the list are expected to help about equally. In a small share of requests their order is "
    "drawn by lot, so that the service keeps learning; any of them is as good a choice."
)


@dataclass(frozen=True)
class Draw:
    """The lot of one request: the seed that the journal keeps, and the signed share of requests that are shuffled."""

    seed: int
    share: float


@dataclass(frozen=True)
class Explored:
    """An order in which some may have been shuffled, and each one's chance of standing first."""

    order: Ints
    near: Ints
    """Positions that could stand first."""
    propensity: Floats
    """Their chances; they sum to 1."""


def near(first: First, whole_days: Floats) -> Ints:
    """Positions about as good as the first in order, themselves in order: only these may be shuffled.

    Within .05 SD of the first's posterior mean; where the soonest slot decided, also free on no later day.
    """
    top = int(first.order[0])
    close = first.net[top] - first.net <= WORTH
    if not first.by_wait:
        found = np.flatnonzero(close)
        ordered: Ints = found[np.argsort(-first.net[found], kind="stable")]
        return ordered
    close &= np.abs(first.net[top] - first.net) <= WORTH
    close &= (whole_days == whole_days[top]) | (np.isnan(whole_days) & np.isnan(whole_days[top]))
    return np.flatnonzero(close)


def explore(order: Ints, alike: Ints, draw: Draw) -> Explored:
    """The order with those `alike` (its first among them) shuffled among their own places, in a share of the seeds.

    `order` is the beginning of an order; those alike who stand further down may be drawn into it.
    """
    rng = np.random.default_rng(draw.seed)
    propensity = np.full(len(alike), draw.share / len(alike))
    propensity[alike == order[0]] += 1 - draw.share
    if rng.random() >= draw.share:
        return Explored(order, alike, propensity)
    shuffled = order.copy()
    places = np.flatnonzero(np.isin(order, alike))
    shuffled[places] = rng.permutation(alike)[: len(places)]
    return Explored(shuffled, alike, propensity)


def unexplored(order: Ints) -> Explored:
    """The order as it is: its first stands first for certain."""
    return Explored(order, order[:1], np.ones(1))
