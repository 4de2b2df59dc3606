"""What the ranking would do for clients of the test block among the therapists who were available to each.

Everything here is of posterior means and variances of the bundle asked; what came true is looked at elsewhere.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr

from training.audit.examined import Examined
from training.evaluate import Offered
from training.head import Head, used_effects
from training.ranking import SURE, WORTH, combined_sd
from training.regimes import Choices

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

AT_ONCE = 4000
"""Pairs whose covariances are in memory together."""


@dataclass(frozen=True)
class Ranking:
    """The choices of some clients as the ranking sees them. Pairs are those of `looked_at.choice`."""

    looked_at: Examined

    @property
    def offered(self) -> Offered:
        """Pairs by client."""
        return self.looked_at.offered

    @cached_property
    def heads(self) -> dict[str, Head]:
        """Those that make the utility."""
        heads = self.looked_at.asked.heads
        return {name: head for name, head in heads.items() if head.info.weight > 0}

    @cached_property
    def gains(self) -> dict[str, Floats]:
        """Head -> fit of every pair less the mean of its client's choice, in the head's SD."""
        scores = self.looked_at.scores
        return {name: scores[name] - self.average[name][self.offered.position] for name in self.heads}

    @cached_property
    def average(self) -> dict[str, Floats]:
        """Head -> mean fit of each client's choice, in the head's SD."""
        return {name: self.offered.means(self.looked_at.scores[name]) for name in self.heads}

    @cached_property
    def weight(self) -> Floats:
        """Weights of the heads, summing to 1."""
        weight = np.array([head.info.weight for head in self.heads.values()])
        return np.asarray(weight / weight.sum())

    @property
    def other_weights(self) -> dict[str, Floats]:
        """Other ways to weigh several heads: all the same, and the outcome alone (without one the heaviest head)."""
        names = list(self.heads)
        if len(names) == 1:
            return {}
        outcomes = [i for i, head in enumerate(self.heads.values()) if head.info.source == "outcome"]
        alone = np.eye(len(names))[outcomes[0] if outcomes else int(np.argmax(self.weight))]
        return {"alone": alone, "equal": np.ones(len(names))}

    def weighed(self, weight: Floats) -> Floats:
        """Utility of every pair under some weights of the heads."""
        utility: Floats = (weight / weight.sum()) @ np.array([self.gains[name] for name in self.heads])
        return utility

    @cached_property
    def utility(self) -> Floats:
        """Utility of every pair, in SD, mean 0 over a client's choice."""
        return self.weighed(self.weight)

    @cached_property
    def first(self) -> Ints:
        """The pair that stands first for each client."""
        return self.offered.first(self.utility)

    @cached_property
    def shared(self) -> Ints:
        """The pair of each client when caseloads are full and places are shared out."""
        regime = Choices(self.offered, self.therapist, self._day, self.looked_at.config.seed)
        everyone = np.ones(len(self.utility), dtype=bool)
        return np.asarray(regime.assign(regime.centred(self.utility)[0], everyone))

    @cached_property
    def therapist(self) -> Ints:
        """The therapist of each pair, as a number."""
        return np.asarray(pd.factorize(self.looked_at.pairs.therapist_id)[0], dtype=np.int64)

    @property
    def _day(self) -> npt.NDArray[np.datetime64]:
        days = self.looked_at.test["matched_on"].to_numpy().astype("datetime64[D]")
        return np.asarray(days[self.offered.rows])

    @cached_property
    def quality(self) -> Floats:
        """The mean utility of each pair's therapist over everyone they were offered to: their general standing."""
        cases = np.maximum(np.bincount(self.therapist), 1)
        mean: Floats = np.bincount(self.therapist, weights=self.utility) / cases
        return np.asarray(mean[self.therapist])

    @cached_property
    def meaningful(self) -> Bools:
        """(clients,): whether the first is worth more than .05 SD over the mean of the choice, with chance .8."""
        spread = self._utility_sd()
        best = self.utility[self.first]
        with np.errstate(divide="ignore", invalid="ignore"):
            chance = np.where(spread > 0, ndtr((best - WORTH) / spread), best > WORTH)
        return np.asarray(chance >= SURE)

    def _utility_sd(self) -> Floats:
        """(clients,): SD of the first one's utility."""
        heads = self.looked_at.asked.weighing.among(list(self.heads))
        sds = [self._gain_sd(name) * self.looked_at.units[name] for name in heads.names]
        return combined_sd(np.array(sds), heads)

    def _gain_sd(self, name: str) -> Floats:
        """(clients,): SD of the first one's fit less the mean of the choice, on the link scale: see PairPosterior."""
        head, position = self.heads[name], self.offered.position
        border, own = self._covered(head)
        count = np.bincount(position).astype(np.float64)
        order = np.argsort(position, kind="stable")
        starts = np.concatenate([[0], np.cumsum(count[:-1])]).astype(np.int64)
        gap = border[self.first] - np.add.reduceat(border[order], starts, axis=0) / count[:, None]
        rest = own[self.first] * (1 - 2 / count) + np.bincount(position, weights=own) / count**2
        sd: Floats = np.sqrt(((gap @ head.b_factor) ** 2).sum(axis=1) + np.maximum(rest, 0.0))
        return sd

    def _covered(self, head: Head) -> tuple[Floats, Floats]:
        """Border columns of every pair less what the therapist's own effects carry, and their own variance."""
        pairs, solution = self.looked_at.pairs, head.solution
        ranking = pairs.design.ranking_part(pairs.blocks)
        border = np.zeros((len(ranking), len(solution.b)))
        if head.info.parts.columns:
            border[:, len(solution.b) - ranking.shape[1] :] = ranking
        effects = pairs.effects[:, used_effects(pairs.design, head.info.parts)]
        place = self.looked_at.asked.place
        at = np.array([place.get(name, -1) for name in pairs.therapist_id], dtype=np.int64)
        own = np.einsum("nq,qr,nr->n", effects, solution.prior, effects)
        known = np.flatnonzero(at >= 0) if len(solution.at_zero) else np.zeros(0, dtype=np.int64)
        for start in range(0, len(known), AT_ONCE):
            rows = known[start : start + AT_ONCE]
            z, who = effects[rows], at[rows]
            border[rows] -= np.einsum("nq,nqp->np", z, solution.per_border[who])
            own[rows] = np.einsum("nq,nqr,nr->n", z, solution.within[who], z)
        return border, own + head.info.unseen
