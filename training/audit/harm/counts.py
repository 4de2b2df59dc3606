"""How many people are behind each cell of a table about harm, and which cells are not shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.audit.document import Estimate
from training.audit.harm.hiding import hidden_among, hidden_crossed, pooled, shown
from training.audit.harm.rates import percent
from training.bands import FEWEST_IN_CELL

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Counts:
    """People in each group: `n` referred, by outcome `known` of how many and `happened` to how many, (g,) each."""

    names: tuple[str, ...]
    n: Ints
    known: Mapping[str, Ints]
    happened: Mapping[str, Ints]
    hidden: Mapping[str, Bools]

    def share(self, outcome: str, at: int) -> Estimate | None:
        """In percent, of those of whom it is known; None where nobody is, or where it is not shown."""
        if self.hidden[outcome][at]:
            return None
        return percent(float(self.happened[outcome][at]), float(self.known[outcome][at]))

    def bounds(self, outcome: str, at: int) -> tuple[float, float] | tuple[None, None]:
        """Least and most it can be, in percent of all referred."""
        if self.hidden[outcome][at] or not self.n[at]:
            return None, None
        least, n = int(self.happened[outcome][at]), int(self.n[at])
        return 100 * least / n, 100 * (least + n - int(self.known[outcome][at])) / n


@dataclass(frozen=True)
class Crossed:
    """The same for every group and arm, (g, a) each; `hidden_n` are cells of which not even the number is shown."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    n: Ints
    known: Mapping[str, Ints]
    happened: Mapping[str, Ints]
    hidden_n: Bools
    hidden: Mapping[str, Bools]

    def at(self, row: int, column: int) -> Counts:
        """One cell, as counts of one group."""
        here = np.array([row]), np.array([column])
        return Counts(
            (self.rows[row],),
            self.n[here],
            {name: values[here] for name, values in self.known.items()},
            {name: values[here] for name, values in self.happened.items()},
            {name: values[here] for name, values in self.hidden.items()},
        )


def counts(words: Words, outcomes: Mapping[str, Floats], order: Sequence[str] = ()) -> Counts:
    """Counts by group (those too small are put together), in the order given or by name; the total must be known."""
    together = pooled(words)
    names = _ordered(together, order)
    codes = _codes(together, names)
    n = np.bincount(codes, minlength=len(names))
    known = {name: np.bincount(codes[~np.isnan(y)], minlength=len(names)) for name, y in outcomes.items()}
    happened = {name: np.bincount(codes[y == 1], minlength=len(names)) for name, y in outcomes.items()}
    hidden = {name: _none_if_small(hidden_among(of), of) for name, of in known.items()}
    return Counts(names, n, known, happened, hidden)


def total(size: int, outcomes: Mapping[str, Floats]) -> Counts:
    """Counts of everybody together."""
    return counts(np.full(size, "all", dtype=object), outcomes)


def crossed(words: Words, arms: Words, outcomes: Mapping[str, Floats], order: Sequence[str]) -> Crossed | None:
    """Counts by group and arm, beside tables of each of the two; None where there is one group or one arm."""
    rows, columns = counts(words, outcomes), counts(arms, outcomes, order)
    shape = (len(rows.names), len(columns.names))
    if min(shape) < 2:
        return None
    cell = _codes(pooled(words), rows.names) * shape[1] + _codes(pooled(arms), columns.names)

    def table(of: Bools) -> Ints:
        return np.bincount(cell[of], minlength=shape[0] * shape[1]).reshape(shape)

    n = table(np.ones(len(cell), bool))
    known = {name: table(~np.isnan(y)) for name, y in outcomes.items()}
    happened = {name: table(y == 1) for name, y in outcomes.items()}
    hidden_n = hidden_crossed(n, np.zeros(shape[0], bool), np.zeros(shape[1], bool))
    hidden = {
        name: hidden_n | hidden_crossed(of, rows.hidden[name], columns.hidden[name], hidden_n)
        for name, of in known.items()
    }
    return Crossed(rows.names, columns.names, n, known, happened, hidden_n, hidden)


def _none_if_small(hidden: Bools, known: Ints) -> Bools:
    """Where all together are too few, nothing is shown."""
    return np.ones(len(hidden), bool) if 0 < known.sum() < FEWEST_IN_CELL else hidden


def _ordered(words: Words, order: Sequence[str]) -> tuple[str, ...]:
    there = set(words)
    return tuple(name for name in (*order, *shown(sorted(there - set(order)))) if name in there)


def _codes(words: Words, names: Sequence[str]) -> Ints:
    place = {name: i for i, name in enumerate(names)}
    return np.fromiter(map(place.__getitem__, words.tolist()), dtype=np.int64, count=len(words))
