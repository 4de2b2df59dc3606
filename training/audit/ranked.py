"""Clients of the test block who had a choice: what came of each, and how everyone offered to them was ranked.

All of it comes from the bundle that was tested, which has seen nothing of these clients.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training.audit.examined import Examined
from training.config import HeadConfig
from training.evaluate import Offered, Resamples
from training.tested import weighted

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_CLIENTS = 50
"""With fewer results of clients with a choice nothing is said of the ranking."""


@dataclass(frozen=True)
class Ranked:
    """By head that ranks: results less prognosis of the clients with a choice, and the scores of all offered."""

    heads: tuple[HeadConfig, ...]
    offered: Offered
    response: Mapping[str, Floats]
    """Result less prognosis of each client, (clients,), in SD of the head; NaN where there is no result."""
    score: Mapping[str, Floats]
    """Fit of each pair, (pairs,), in SD of the head."""
    weight: Mapping[str, Floats]
    """What each client counts for, (clients,), so that those with a result stand for all."""
    resamples: Resamples

    @cached_property
    def utility(self) -> Floats:
        """Score of each pair by which the ranking is made, in SD."""
        weights = np.array([head.weight for head in self.heads])
        score: Floats = (weights / weights.sum()) @ np.array([self.score[head.name] for head in self.heads])
        return score

    @cached_property
    def together(self) -> Floats:
        """Result less prognosis of each client over all heads, in SD; NaN where there is none."""
        weights = np.array([head.weight for head in self.heads])
        return weighted(np.array([self.response[head.name] for head in self.heads]), weights)

    @property
    def clients(self) -> int:
        """Clients with a choice and a result."""
        return int((~np.isnan(self.together)).sum())

    def percentiles(self, score: Floats) -> Floats:
        """Of each pair the share of the client's other pairs that score less (ties count half), 0 to 1."""
        at = self.offered.position
        order = np.lexsort((score, at))
        count = np.bincount(at)
        place = np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)
        alike = np.concatenate([[0], np.cumsum((np.diff(at[order]) != 0) | (np.diff(score[order]) != 0))])
        mean = (np.bincount(alike, weights=place) / np.bincount(alike))[alike]
        others = np.repeat(count, count) - 1
        found = np.empty(len(at))
        found[order] = np.where(others > 0, mean / np.maximum(others, 1), 0.5)
        return found


def ranked(looked_at: Examined) -> Ranked | None:
    """The test block as ranked; None where nobody had a choice or too few of those have a result."""
    heads = tuple(head for head in looked_at.head_configs if head.weight > 0)
    rows = looked_at.offered.rows
    if not heads or len(rows) < FEWEST_CLIENTS:
        return None
    weights = {head.name: looked_at.weights[head.name][rows] for head in heads}
    found = Ranked(heads, looked_at.offered, looked_at.left, looked_at.scores, weights, looked_at.resamples(rows))
    return found if found.clients >= FEWEST_CLIENTS else None
