"""Which cells of a table of people are not shown, so that none of them can be worked out from the others.

Cells with 1 to 9 people are hidden, and others with them: a hidden cell beside shown ones and a shown total would be
the difference. A cell with nobody says so.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.bands import FEWEST_IN_CELL

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.object_]

OTHERS = "too_few_apart"
"""Groups that are too small to be shown one by one, together."""


def pooled(words: Words) -> Words:
    """The group of each person, with groups that are too small put together into one that is not."""
    names, codes = coded(words)
    together = hidden_among(np.bincount(codes, minlength=len(names)))
    found = np.array([OTHERS if hidden else name for name, hidden in zip(names, together, strict=True)], dtype=object)
    return np.asarray(found[codes], dtype=np.object_)


def coded(words: Words) -> tuple[list[str], Ints]:
    """The different words, and which of them each is; many times as fast as sorting them."""
    every = words.tolist()
    place = {name: i for i, name in enumerate(dict.fromkeys(every))}
    return list(place), np.fromiter(map(place.__getitem__, every), dtype=np.int64, count=len(every))


def hidden_among(counts: Ints, besides: Bools | None = None) -> Bools:
    """Which of some cells (n,) with a known total are hidden: small ones, and the next smallest as long as the hidden
    are fewer than two or hold fewer than ten people; `besides` are hidden anyhow."""
    hidden = (counts > 0) & (counts < FEWEST_IN_CELL)
    if besides is not None:
        hidden = hidden | (besides & (counts > 0))
    if not hidden.any():
        return hidden
    for at in np.argsort(counts, kind="stable"):
        if hidden.sum() >= 2 and counts[hidden].sum() >= FEWEST_IN_CELL:
            break
        hidden[at] |= counts[at] > 0
    return hidden


def told_apart(of: Sequence[str], counts: Ints) -> Bools:
    """Which cells (n,) are shown where the cells of the same `of`, an attribute, add up to a total that is known: none
    with fewer than ten people, nor one from which such a cell could be worked out."""
    told = np.asarray(counts) >= FEWEST_IN_CELL
    for name in dict.fromkeys(of):
        mine = np.array([one == name for one in of])
        told[mine] &= ~hidden_among(np.asarray(counts)[mine])
    return told


def hidden_crossed(counts: Ints, rows: Bools, columns: Bools, besides: Bools | None = None) -> Bools:
    """Which cells of a crossed table (r, c), of which the totals of rows and columns are known, are hidden.

    `rows` and `columns` say whose totals are hidden: all of theirs is then hidden too, as are `besides`. Every hidden
    cell is a corner of a rectangle of hidden cells with people in them: one more in it, one less beside it, one less
    above it and one more across give the same totals. Where there is no such rectangle the whole table is hidden.
    """
    people = counts > 0
    first = people & ((counts < FEWEST_IN_CELL) | rows[:, None] | columns[None, :])
    if besides is not None:
        first |= besides & people
    hidden = first.copy()
    for row, column in np.argwhere(first):
        found = _rectangle(counts, hidden, int(row), int(column))
        if found is None:
            return np.ones(counts.shape, bool)
        hidden[np.ix_([row, found[0]], [column, found[1]])] = True
    return hidden


def _rectangle(counts: Ints, hidden: Bools, row: int, column: int) -> tuple[int, int] | None:
    """The row and the column across: three cells with people in them, as few as possible shown until now."""
    cost = np.where(counts > 0, np.where(hidden, 0, counts), np.iinfo(np.int32).max).astype(np.int64)
    total = cost + cost[row][None, :] + cost[:, column][:, None]
    total[row], total[:, column] = np.iinfo(np.int64).max, np.iinfo(np.int64).max
    across = np.unravel_index(int(total.argmin()), total.shape)
    return (int(across[0]), int(across[1])) if total[across] < np.iinfo(np.int32).max else None


def shown(names: Sequence[str]) -> list[str]:
    """Names in the order in which they are shown: what is unknown and what was put together come last."""
    return sorted(names, key=lambda name: (name == OTHERS, name == "unknown", name))
