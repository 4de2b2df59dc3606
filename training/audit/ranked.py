"""Clients of the test block who had a choice: what came of each, and how everyone offered to them was ranked.

All of it comes from the bundle that was tested, which has seen nothing of these clients.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training.audit.examined import Examined
from training.binary import sigmoid
from training.config import HeadConfig
from training.evaluate import Offered, Resamples
from training.head import Head
from training.learn import observation_weights
from training.targets import Target
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
    told = {head.name: _of_head(looked_at, head) for head in heads}
    therapist = looked_at.test["therapist_id"].factorize()[0][rows].astype(np.int64)
    found = Ranked(
        heads,
        looked_at.offered,
        {name: response for name, (response, _, _) in told.items()},
        {name: score for name, (_, score, _) in told.items()},
        {name: weight for name, (_, _, weight) in told.items()},
        Resamples.of(therapist, looked_at.config.bootstraps, looked_at.config.seed),
    )
    return found if found.clients >= FEWEST_CLIENTS else None


def prognosis(looked_at: Examined, name: str) -> Floats:
    """Expected result of each test row whoever the therapist is, on the head's link scale."""
    head, goal = looked_at.asked.heads[name], looked_at.goals[name]
    return looked_at.seen.prognosis(head, _landmark(head, goal))


def _landmark(head: Head, goal: Target) -> Floats:
    values: Floats = goal.landmark.reindex(columns=list(head.info.landmark)).to_numpy(dtype=np.float64)
    return values


def _of_head(looked_at: Examined, config: HeadConfig) -> tuple[Floats, Floats, Floats]:
    """Response, score and weight: as `training.tested` has them."""
    head, goal = looked_at.asked.heads[config.name], looked_at.goals[config.name]
    offered = looked_at.offered
    link = prognosis(looked_at, config.name)[offered.rows]
    score = looked_at.pairs.fit(head, looked_at.asked.place)
    expected = link
    if head.info.kind == "binary":
        chance = sigmoid(link + offered.means(score))
        expected, score = sigmoid(link), score * (chance * (1 - chance))[offered.position]
    weight = observation_weights(goal, looked_at.seen.blocks["client"])[offered.rows]
    return (goal.value[offered.rows] - expected) / head.info.sd, score / head.info.sd, weight
