"""The fits of one client with many therapists, worked out only as far as an answer needs them.

Means are needed of everybody who is eligible; variances only of the few who are shown, of those they are compared
with, and of the mean. What no client changes is kept in `Prepared`; a client has few effects (the therapist's own,
with severity, with one main problem), so that only those are read. `Head.posterior` gives the same for any rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.columns import Columns
from training.head import Head, PairPosterior
from training.ranking import Weighing

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def chance_a_unit(log_odds: float) -> float:
    """Probability gained per unit of the logit."""
    chance = 1 / (1 + np.exp(-log_odds))
    return float(chance * (1 - chance))


@dataclass(frozen=True)
class Prepared:
    """Therapists of a directory on a day: what every client's fits with them begin with."""

    columns: Columns
    position: Ints
    """Of each in the bundle, -1 if never seen."""
    ranking: Floats
    """(therapists, r_t): standardised columns that are the therapist's alone."""
    total: Floats
    """(r_t,): their sum."""
    base: Mapping[str, Floats]
    """By head (therapists,): what these columns add to the fit."""


@dataclass(frozen=True)
class Met:
    """Columns of one client with n therapists, those at `rows` of a directory."""

    prepared: Prepared
    rows: Ints
    built: Floats
    """Feature columns of the pairs as they were built, (columns, n)."""
    pair: Floats
    """Those that rank, standardised, (r_p, n)."""
    position: Ints
    """In the bundle, -1 if never seen."""

    def at(self, positions: Ints) -> Floats:
        """Ranking columns of these, (positions, r)."""
        own = self.prepared.ranking[self.rows[positions]]
        return np.concatenate([own, self.pair[:, positions].T], axis=1)

    @cached_property
    def mean(self) -> Floats:
        """(r,): mean over all n. Whoever is fewer is added up: those who are here, or those who are not."""
        own, size = self.prepared.ranking, len(self.prepared.position)
        if 2 * len(self.rows) > size:
            absent = np.ones(size, dtype=bool)
            absent[self.rows] = False
            total = self.prepared.total - own[absent].sum(axis=0)
        else:
            total = own[self.rows].sum(axis=0)
        return np.concatenate([total / len(self.rows), self.pair.mean(axis=1)])

    @cached_property
    def everybody(self) -> Ints:
        """All positions."""
        return np.arange(len(self.rows))

    @cached_property
    def known(self) -> Ints:
        """Positions in the bundle of those it knows."""
        return self.position[self.position >= 0]


@dataclass(frozen=True)
class HeadFits:
    """The fit of one client with n therapists, in the head's own unit, its variances on demand."""

    head: Head
    met: Met
    base: Floats
    """What the therapists' own columns add, over the directory."""
    effects: Ints
    """Those of the head's effects in which the client is not 0; `which` are their places in the design."""
    which: Ints
    z: Floats
    """The client's values there."""
    expected: float | None = None
    """Of a binary head the prognosis, in log odds."""

    @cached_property
    def unit(self) -> float:
        """The head's unit for one of the link scale: 1, or the probability gained at what is to be expected."""
        return 1.0 if self.expected is None else chance_a_unit(self.expected + float(self.link.mean()))

    @cached_property
    def link(self) -> Floats:
        """Posterior mean on the link scale, (n,)."""
        b, pairs = self._b, len(self.met.pair)
        known = (self.z @ self.head.by_effect[self.effects])[self._places]
        found = self.base[self.met.rows] + known
        if len(b) and pairs:
            found += b[-pairs:] @ self.met.pair
        return found + self.remainder if len(self.remainder) else found

    @cached_property
    def remainder(self) -> Floats:
        """What trees add to it, (n,); empty without trees."""
        return self.head.remainder(self.met.at(self.met.everybody)) if self.head.remainder.text else np.zeros(0)

    @cached_property
    def mean(self) -> Floats:
        """Posterior mean, (n,)."""
        return self.link if self.unit == 1.0 else self.link * self.unit

    def gain_sd(self, at: Ints | None = None) -> Floats:
        """Standard deviation of each fit less the mean fit of all n: of all, or of the positions `at`."""
        at, n = self.met.everybody if at is None else at, len(self.met.rows)
        gap = self._looked(at) - self._mean_loading
        own = self._own[self._places[at]] * (1 - 2 / n) + self._own_sum / n**2
        sd: Floats = np.sqrt(np.einsum("np,np->n", gap, gap) + np.maximum(own, 0.0))
        return sd * self.unit

    def difference_sd(self, to: int, at: Ints | None = None) -> Floats:
        """Standard deviation of each fit less that of the therapist at position `to`: of all, or of those `at`."""
        at = self.met.everybody if at is None else at
        gap, own = self._looked(at) - self._looked(np.array([to])), self._own[self._places]
        sd: Floats = np.sqrt(np.einsum("np,np->n", gap, gap) + np.where(at == to, 0.0, own[at] + own[to]))
        return sd * self.unit

    def posterior(self, at: Ints | None = None) -> PairPosterior:
        """Means, loadings and own variances of all, or of the positions `at`."""
        at = self.met.everybody if at is None else at
        own = self._own[self._places[at]] * self.unit**2
        return PairPosterior(self.mean[at], self._looked(at) * self.unit, own)

    def parts(self, at: Ints) -> tuple[Floats, Floats, Floats]:
        """Parts of the gains at these positions: by ranking column (at, r), by effect (at, effects), by trees (at,).

        On the link scale they sum exactly to the gain; they are given in the head's unit.
        """
        b = self._b
        columns = (self.met.at(at) - self.met.mean) * b if len(b) else np.zeros((len(at), len(self.met.mean)))
        mine = self.head.by_effect[self.effects]
        by_effect = self.z * (mine[:, self._places[at]] - (mine @ self._counts / len(self.met.rows))[:, None]).T
        trees = self.remainder[at] - self.remainder.mean() if len(self.remainder) else np.zeros(len(at))
        return columns * self.unit, by_effect * self.unit, trees * self.unit

    @property
    def _b(self) -> Floats:
        """Coefficients of the ranking columns; none if this head does without them."""
        return self.head.ranking_b(len(self.met.mean))

    @cached_property
    def _places(self) -> Ints:
        """Where to find therapists among the known, the never seen behind them: -1 is the last place."""
        return self.met.position if len(self.head.solution.at_zero) else np.full_like(self.met.position, -1)

    @cached_property
    def _counts(self) -> Ints:
        """(known + 1,): how often each is among the n."""
        size = len(self.head.solution.at_zero) + 1
        return np.bincount(self._places % size, minlength=size)

    @cached_property
    def _own(self) -> Floats:
        """(known + 1,): variance of each therapist's own effects for this client, on the link scale."""
        return self.z @ np.tensordot(
            self.z, self.head.within_by_effect[np.ix_(self.effects, self.effects)], axes=1
        ) + float(self.head.info.unseen)

    @cached_property
    def _own_sum(self) -> float:
        """Of all n."""
        return float(self._own @ self._counts)

    @cached_property
    def _looked(self) -> "_Looked":
        """(at, p): loadings on the link scale."""
        return _Looked(len(self.met.rows), self._loading)

    def _loading(self, at: Ints) -> Floats:
        factor, b = self.head.b_factor, self._b
        found = self.met.at(at) @ factor[-len(b) :] if len(b) else np.zeros((len(at), factor.shape[1]))
        seen = np.flatnonzero(self.met.position[at] >= 0)
        if len(seen) and len(self.head.solution.at_zero):
            known = self.met.position[at[seen]]
            found[seen] -= self._carried(known) @ factor
        return found

    @cached_property
    def _mean_loading(self) -> Floats:
        """(p,)"""
        factor, b, n = self.head.b_factor, self._b, len(self.met.rows)
        found = self.met.mean @ factor[-len(b) :] if len(b) else np.zeros(factor.shape[1])
        if len(self.met.known) and len(self.head.solution.at_zero):
            found = found - self._carried_sum / n @ factor
        return found

    def _carried(self, known: Ints) -> Floats:
        """(known, p): what the border's coefficients take from these therapists' effects."""
        per_border = self.head.solution.per_border
        carried: Floats = sum(
            (z * per_border[known, effect] for effect, z in zip(self.effects.tolist(), self.z.tolist(), strict=True)),
            start=np.zeros((len(known), per_border.shape[2])),
        )
        return carried

    @property
    def _carried_sum(self) -> Floats:
        """(p,): their sum over all n; whoever of the known is fewer is added up."""
        per_border, known = self.head.solution.per_border, self.met.known
        if 2 * len(known) <= len(per_border):
            total: Floats = self._carried(known).sum(axis=0)
            return total
        absent = np.ones(len(per_border), dtype=bool)
        absent[known] = False
        left: Floats = self._carried(np.flatnonzero(absent)).sum(axis=0)
        return self.z @ self.head.carried_total[self.effects] - left


class _Looked:
    """Rows worked out when they are first asked for: the same few are compared with each other several times."""

    def __init__(self, size: int, work_out: Callable[[Ints], Floats]):
        self._place = np.full(size, -1)
        self._work_out = work_out
        self._rows: Floats | None = None

    def __call__(self, at: Ints) -> Floats:
        new = at[self._place[at] < 0]
        if len(new):
            before = 0 if self._rows is None else len(self._rows)
            self._place[new] = np.arange(before, before + len(new))
            rows = self._work_out(new)
            self._rows = rows if self._rows is None else np.concatenate([self._rows, rows])
        assert self._rows is not None, "nobody is asked about"
        return self._rows[self._place[at]]


@dataclass(frozen=True)
class Parts:
    """Shares of utilities, in SD, by ranking column, `effect.<name>` and `remainder`; `values` is (therapists, names).

    Those of one therapist sum to the utility exactly.
    """

    names: Sequence[str]
    values: Floats


@dataclass(frozen=True)
class Fits:
    """One client's fits with n therapists, by head."""

    heads: Mapping[str, HeadFits]
    met: Met
    columns: Sequence[str]
    """Names of the ranking columns."""
    effects: Sequence[str]
    """Names of the client's effects that are not 0, in the order of the design."""
    at: Ints
    """Their positions in the design."""

    def parts(self, weighing: Weighing, at: Ints) -> Parts:
        """What makes up the utilities at these positions."""
        heads = weighing.among(list(self.heads))
        columns, trees = np.zeros((len(at), len(self.columns))), np.zeros((len(at), 1))
        effects, present = np.zeros((len(at), len(self.effects))), self.at.tolist()
        for name, share in zip(heads.names, heads.share.tolist(), strict=True):
            by_column, by_effect, by_trees = self.heads[name].parts(at)
            columns += share * by_column
            effects[:, [present.index(one) for one in self.heads[name].which.tolist()]] += share * by_effect
            trees[:, 0] += share * by_trees
        names = [*self.columns, *(f"effect.{name}" for name in self.effects), "remainder"]
        return Parts(names, np.concatenate([columns, effects, trees], axis=1))
