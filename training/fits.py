"""The fits of one client with many therapists, worked out only as far as an answer needs them.

Means are needed of everybody who is eligible; variances only of the few who are shown, of those they are compared
with, and of the mean. What no client changes is kept, in `Stack` for a bundle and in `Prepared` for its therapists of
a day; a client has few effects (the therapist's own, with severity, with one main problem), so that only those are
read. All heads are worked out together. `Head.posterior` gives the same for any rows, head by head.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.columns import Columns
from training.head import PairPosterior
from training.stack import Stack

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
    base: Floats
    """(H, therapists): what these columns add to the fits."""

    @cached_property
    def total(self) -> Floats:
        """(r_t,): sums of the columns."""
        total: Floats = self.ranking.sum(axis=0)
        return total


@dataclass(frozen=True)
class Met:
    """Columns of one client with n therapists, those at `rows` of a directory, each once."""

    prepared: Prepared
    rows: Ints
    built: Floats
    """Feature columns of the pairs as they were built, (columns, n)."""
    pair: Floats
    """Those that rank, standardised, (r_p, n)."""
    position: Ints
    """In the bundle, -1 if never seen."""

    def at(self, positions: Ints) -> Floats:
        """Ranking columns of these, (positions, r); those of the pair come last."""
        own = self.prepared.ranking[self.rows[positions]]
        return np.concatenate([own, self.pair[:, positions].T], axis=1)

    @cached_property
    def mean(self) -> Floats:
        """(r,): mean over all n. Whoever is fewer is added up: those who are here, or those who are not."""
        own, size = self.prepared.ranking, len(self.prepared.position)
        if 2 * len(self.rows) <= size:
            total = own[self.rows].sum(axis=0)
        else:
            total = self.prepared.total - own[_absent(self.rows, size)].sum(axis=0)
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
class Together(Mapping[str, PairPosterior]):
    """The fits of one client with n therapists, of all heads at once, each in its own unit; variances on demand."""

    stack: Stack
    met: Met
    effects: Ints
    """Effects of the design in which the client is not 0, and in `z` the values."""
    z: Floats
    expected: Mapping[str, float]
    """The prognosis of the binary heads, in log odds."""

    def __getitem__(self, name: str) -> PairPosterior:
        """The whole posterior of one head."""
        i = self.stack.place[name]
        loading = self._looked(self.met.everybody)[i] * self.unit[i]
        return PairPosterior(self.mean[i], loading, self._own[i, self.met.position] * self.unit[i] ** 2)

    def __iter__(self) -> Iterator[str]:
        """Names of the heads."""
        return iter(self.stack.names)

    def __len__(self) -> int:
        """How many heads there are."""
        return len(self.stack.names)

    def which(self, names: Sequence[str]) -> Ints:
        """Places of heads."""
        return np.array([self.stack.place[name] for name in names], dtype=np.int64)

    @cached_property
    def mean(self) -> Floats:
        """(H, n)"""
        return self.link * self.unit[:, None]

    @cached_property
    def link(self) -> Floats:
        """(H, n): posterior means on the link scale."""
        known = np.tensordot(self.z, self.stack.effects[:, self.effects], (0, 1))
        found: Floats = self.met.prepared.base.take(self.met.rows, axis=1) + known.take(self.met.position, axis=1)
        if len(self.met.pair):
            found += self.stack.b[:, -len(self.met.pair) :] @ self.met.pair
        for i, trees in self.trees.items():
            found[i] += trees
        return found

    @cached_property
    def trees(self) -> dict[int, Floats]:
        """What the trees of each head that has any add, (n,)."""
        kept = {i: head for i, head in enumerate(self.stack.heads) if head.remainder.text}
        columns = self.met.at(self.met.everybody) if kept else None
        return {i: head.remainder(columns) for i, head in kept.items() if columns is not None}

    @cached_property
    def unit(self) -> Floats:
        """(H,): each head's unit for one of the link scale: 1, or the probability gained at what is to be expected."""
        chance = {
            name: log_odds + float(self.link[self.stack.place[name]].mean()) for name, log_odds in self.expected.items()
        }
        return np.array([chance_a_unit(chance[name]) if name in chance else 1.0 for name in self.stack.names])

    def gain_sds(self, heads: Ints, at: Ints) -> Floats:
        """(heads, at): standard deviation of each fit less the mean fit of all n."""
        n = len(self.met.rows)
        gap = (self._looked(at) - self._mean_loading[:, None])[heads]
        own = self._own[:, self.met.position[at]][heads] * (1 - 2 / n) + self._own_sum[heads, None] / n**2
        return self._sd(gap, np.maximum(own, 0.0), heads)

    def difference_sds(self, heads: Ints, to: int, at: Ints) -> Floats:
        """(heads, at): standard deviation of each fit less that of the therapist at position `to`."""
        gap = (self._looked(at) - self._looked(np.array([to])))[heads]
        own = self._own[:, self.met.position[at]] + self._own[:, self.met.position[to], None]
        return self._sd(gap, np.where(at == to, 0.0, own[heads]), heads)

    def _sd(self, gap: Floats, own: Floats, heads: Ints) -> Floats:
        sd: Floats = np.sqrt(np.einsum("hnp,hnp->hn", gap, gap) + own) * self.unit[heads, None]
        return sd

    @cached_property
    def counts(self) -> Ints:
        """(K + 1,): how often each place is among the n."""
        size = self.stack.effects.shape[2]
        return np.bincount(self.met.position % size, minlength=size)

    @cached_property
    def _own(self) -> Floats:
        """(H, K + 1): variance of each therapist's own effects for this client, on the link scale."""
        few = self.stack.within[:, self.effects][:, :, self.effects]
        own: Floats = np.tensordot(self.z, np.tensordot(self.z, few, (0, 1)), (0, 1)) + self.stack.unseen
        return own

    @cached_property
    def _own_sum(self) -> Floats:
        """(H,): of all n."""
        total: Floats = self._own @ self.counts
        return total

    @cached_property
    def _looks(self) -> "_Looks":
        return _Looks(self.stack.factor.shape[0], len(self.met.rows), self.stack.factor.shape[1])

    def _looked(self, at: Ints) -> Floats:
        """(H, at, p): loadings on the link scale, each worked out when first asked for."""
        new = self._looks.new(at)
        if len(new):
            self._looks.add(new, self._loading(new))
        return self._looks.rows(at)

    def _loading(self, at: Ints) -> Floats:
        found: Floats = self.met.at(at) @ self.stack.ranked
        seen = np.flatnonzero(self.met.position[at] >= 0)
        if len(seen):
            found[:, seen] -= self._carried(self.met.position[at[seen]]) @ self.stack.factor
        return found

    @cached_property
    def _mean_loading(self) -> Floats:
        """(H, p)"""
        found: Floats = self.met.mean @ self.stack.ranked
        if not len(self.met.known):
            return found
        size = self.stack.effects.shape[2] - 1
        if 2 * len(self.met.known) <= size:  # whoever of the known is fewer is added up
            carried: Floats = self._carried(self.met.known).sum(axis=1)
        else:
            carried = self._carried_by_all - self._carried(_absent(self.met.known, size)).sum(axis=1)
        mean: Floats = found - (carried[:, None] @ self.stack.factor)[:, 0] / len(self.met.rows)
        return mean

    def _carried(self, known: Ints) -> Floats:
        """(H, known, p): what the border's coefficients take from these therapists' effects."""
        found = np.zeros((len(self.stack.heads), len(known), self.stack.factor.shape[1]))
        for i, local, z in self._terms:
            per_border = self.stack.heads[i].solution.per_border
            found[i, :, : per_border.shape[2]] += z * per_border[known, local]
        return found

    @property
    def _carried_by_all(self) -> Floats:
        """(H, p): their sum over everybody whom the bundle knows."""
        found = np.zeros((len(self.stack.heads), self.stack.factor.shape[1]))
        for i, local, z in self._terms:
            total = self.stack.heads[i].carried_total
            found[i, : total.shape[1]] += z * total[local]
        return found

    @cached_property
    def _terms(self) -> list[tuple[int, int, float]]:
        """Head, its own number of an effect, and the client's value there."""
        values = dict(zip(self.effects.tolist(), self.z.tolist(), strict=True))
        return [
            (i, local, values[effect])
            for i, used in enumerate(self.stack.used)
            if len(self.stack.heads[i].solution.at_zero)
            for local, effect in enumerate(used)
            if effect in values
        ]


class _Looks:
    """Rows worked out so far: the same few are compared with each other several times."""

    def __init__(self, heads: int, size: int, p: int):
        self._place = np.full(size, -1)
        self._rows = np.zeros((heads, 0, p))

    def new(self, at: Ints) -> Ints:
        return at[self._place[at] < 0]

    def add(self, at: Ints, rows: Floats) -> None:
        before = self._rows.shape[1]
        self._place[at] = np.arange(before, before + len(at))
        self._rows = rows if before == 0 else np.concatenate([self._rows, rows], axis=1)

    def rows(self, at: Ints) -> Floats:
        found: Floats = self._rows[:, self._place[at]]
        return found


def _absent(present: Ints, size: int) -> Ints:
    """Those of 0..size - 1 who are not there."""
    absent = np.ones(size, dtype=bool)
    absent[present] = False
    return np.flatnonzero(absent)
