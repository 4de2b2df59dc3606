"""Who does well whoever the therapist is: what every feature of the client adds to the prognosis.

The prognosis of a head is a weight times its trees, and linear terms beside them. Trees are taken apart by their
Shapley values (Lundberg et al. 2020), so that contributions add up to the prognosis. Permutation importance (Breiman
2001, "Random forests", Machine Learning 45) exchanges a feature's values between clients of the test block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np
import numpy.typing as npt

from training.audit.examined import Examined
from training.audit.importance.matching import DIGITS, FEWEST_RESULTS, Figures, figures
from training.audit.importance.sources import Source, membership
from training.audit.importances import Prognostic
from training.design import Design
from training.evaluate import Resamples
from training.head import Head
from training.prognosis import filled
from training.scoring import on_scale, unit_at

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_CLIENTS = 2000
"""Rows of the test block that are looked at; more would narrow intervals little and cost minutes."""
EXCHANGES = 2


@dataclass(frozen=True)
class Said:
    """What every source of the client adds to the prognosis of one head, on rows of the test block."""

    rows: Ints
    """Rows of the test block."""
    value: Floats
    """(rows, sources): in SD of the head, mean 0 over rows."""
    risen: Floats | None
    """(rows, sums): by how much the squared error rises when the sources of a sum are exchanged; None: no results."""
    member: Floats
    """(sources, sums): which sources are in which sum."""
    weight: Floats
    """(rows,): 0 where there is no result."""
    whole: float
    """Weighted mean square of the results about their mean."""
    resamples: Resamples

    def prognostic(self) -> list[Prognostic]:
        """By sum."""
        size = figures(np.abs(self.value @ self.member), np.ones(len(self.value)), self.resamples)
        every = np.abs(self.value).mean(axis=0).sum()
        rise = self.rise
        return [
            Prognostic(
                contribution=size.interval(i),
                share=round(float(size.value[i] / every), DIGITS) if every > 0 else 0.0,
                loss_rise=None if rise is None else rise.interval(i),
            )
            for i in range(self.member.shape[1])
        ]

    @property
    def rise(self) -> Figures | None:
        """Rise of the loss by sum, as a share of the variance of results."""
        if self.risen is None:
            return None
        found = figures(self.risen, self.weight, self.resamples)
        return Figures(*(part / self.whole for part in (found.value, found.low, found.high, found.error)))


def said_of(looked_at: Examined, sources: Sequence[Source], member: Floats) -> Mapping[str, Said]:
    """Of every head, on up to `MOST_CLIENTS` rows of the test block; `member` (sources, sums) are sums to look at."""
    rng = np.random.default_rng(looked_at.config.seed)
    rows = np.sort(rng.permutation(len(looked_at.test))[:MOST_CLIENTS])
    resamples = looked_at.resamples(rows)
    return {
        head.name: _Rows(looked_at, head.name, rows).said(sources, member, resamples) for head in looked_at.head_configs
    }


class _Rows:
    """Some rows of the test block as one head sees their clients."""

    def __init__(self, looked_at: Examined, name: str, rows: Ints):
        self.head: Head = looked_at.asked.heads[name]
        self.design, self.seed = looked_at.asked.design, looked_at.config.seed
        goal, self.rows = looked_at.goals[name], rows
        self.block = looked_at.seen.blocks["client"][rows]
        self.landmark = goal.measured(self.head.info.landmark)[rows]
        self.fit = looked_at.seen.fit(self.head, looked_at.asked.place)[rows]
        self.columns = looked_at.asked.features.columns_of("client")
        self.y, self.known = goal.value[rows], goal.known[rows]
        self.weight = np.where(self.known, looked_at.weights[name][rows], 0.0)

    def said(self, sources: Sequence[Source], member: Floats, resamples: Resamples) -> Said:
        """What the sources say, and what exchanging them costs."""
        of_columns = membership(self.columns, sources)
        value = contributions(self.design, self.head, self.block, self.landmark)
        value = (value @ of_columns) * (self._unit() / self.head.info.sd)
        value -= value.mean(axis=0)
        whole, risen = 1.0, None
        if self.known.sum() >= FEWEST_RESULTS:
            y = np.nan_to_num(self.y)
            whole = float(np.average((y - np.average(y, weights=self.weight)) ** 2, weights=self.weight))
            used = np.abs(value).max(axis=0) > 0
            risen = self._risen(of_columns @ member, (used @ member) > 0)
        return Said(self.rows, value, risen, member, self.weight, max(whole, 1e-12), resamples)

    def _unit(self) -> float:
        return float(unit_at(self.head, self._link(self.block) + self.fit).mean())

    def _link(self, block: Floats) -> Floats:
        return self.head.prognosis(self.head.client_part(self.design, block, self.landmark))

    def _missed(self, block: Floats) -> Floats:
        expected = on_scale(self.head, self._link(block) + self.fit)
        missed: Floats = np.where(self.known, (np.nan_to_num(self.y) - expected) ** 2, 0.0)
        return missed

    def _risen(self, columns: Floats, used: npt.NDArray[np.bool_]) -> Floats:
        """(rows, sums): mean over exchanges; `columns` (client columns, sums) says which are exchanged together."""
        rng, before = np.random.default_rng(self.seed), self._missed(self.block)
        risen = np.zeros((len(before), columns.shape[1]))
        for _ in range(EXCHANGES):
            other = rng.permutation(len(before))
            for i in np.flatnonzero(used):
                block = self.block.copy()
                mine = columns[:, i] > 0
                block[:, mine] = self.block[np.ix_(other, mine)]
                risen[:, i] += (self._missed(block) - before) / EXCHANGES
        return risen


def contributions(design: Design, head: Head, block: Floats, landmark: Floats | None = None) -> Floats:
    """What each client column of `block` (rows, columns) adds to the prognosis, on the link scale.

    Without a `landmark` (rows, measures) its measures are not known; what they add is left out.
    """
    kept, b = design.client.keep, head.solution.b
    found = np.zeros(block.shape)
    if head.trees:
        extra = np.full((len(block), len(head.landmark_mean)), np.nan) if landmark is None else landmark
        x = filled(np.column_stack([block, extra]), head.fills)
        trees = lightgbm.Booster(model_str=head.trees)
        found += b[1] * np.asarray(trees.predict(x, pred_contrib=True, num_threads=1))[:, : block.shape[1]]
    found[:, kept] += design.client(block) * b[2 : 2 + len(kept)]
    return found
