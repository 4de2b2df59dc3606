"""Rows as arrays: what `build` reads, alike for a training table of frames and a server's directory in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.signedinteger[Any]]
"""Positions in a vocabulary, no wider than they need be: a directory has millions of them."""


@dataclass(frozen=True)
class Codes:
    """One code a row: positions in a vocabulary, -1 where unknown."""

    vocabulary: tuple[str, ...]
    index: Places

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Self:
        """From one word a row; None or an empty word is unknown."""
        index, words = _factorize(values)
        return cls(words, index)

    def within(self, vocabulary: Sequence[str]) -> Ints:
        """Positions in another vocabulary; -1 where unknown, -2 where known but not among its words."""
        place = {word: i for i, word in enumerate(vocabulary)}
        table = np.array([place.get(word, -2) for word in self.vocabulary] + [-1], dtype=np.int64)
        return table[self.index]

    def take(self, rows: Ints) -> Self:
        """These rows, in this order."""
        return type(self)(self.vocabulary, self.index[rows])


@dataclass(frozen=True)
class Sets:
    """Several codes a row: `member[i, j]` says whether row i has word j; `known[i]` whether anything is known."""

    vocabulary: tuple[str, ...]
    member: Bools
    known: Bools
    first: Places
    """Position of the word given first (a client's main problem, a first language), -1 where unknown."""

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Self:
        """From `|`-joined text, as tables hold it."""
        cells, kinds = _factorize(values)
        words = [[word for word in kind.split("|") if word] for kind in kinds]
        vocabulary = tuple(sorted({word for cell in words for word in cell}))
        place = {word: i for i, word in enumerate(vocabulary)}
        member = np.zeros((len(words) + 1, len(vocabulary)), dtype=bool)
        first = np.full(len(words) + 1, -1, dtype=width(len(vocabulary)))
        for row, cell in enumerate(words):
            member[row, [place[word] for word in cell]] = True
            first[row] = place[cell[0]] if cell else -1
        return cls(vocabulary, member[cells], cells >= 0, first[cells])

    def within(self, vocabulary: Sequence[str]) -> Bools:
        """Membership of another vocabulary's words, shape (rows, words)."""
        place = {word: i for i, word in enumerate(self.vocabulary)}
        found = np.zeros((len(vocabulary), len(self.member)), dtype=bool)
        for row, word in zip(found, vocabulary, strict=True):
            if word in place:
                row[:] = self.member[:, place[word]]
        return found.T

    def sizes(self) -> Floats:
        """Words a row; NaN where unknown."""
        return np.where(self.known, self.member.sum(axis=1), np.nan)

    def first_codes(self) -> Codes:
        """The word given first, as one code a row."""
        return Codes(self.vocabulary, self.first)

    def take(self, rows: Ints) -> Self:
        """These rows, in this order."""
        return type(self)(self.vocabulary, self.member[rows], self.known[rows], self.first[rows])


@dataclass(frozen=True)
class Columns:
    """A table of rows as arrays. A column that was never given is unknown in every row."""

    size: int
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    codes: Mapping[str, Codes] = field(default_factory=dict)
    sets: Mapping[str, Sets] = field(default_factory=dict)

    @classmethod
    def of(cls, table: Mapping[str, Any], kinds: Mapping[str, str], size: int) -> Self:
        """From a frame, or a plain mapping of lists, whose columns have the kinds of `data.tables`.

        Columns without a kind are numbers; ids, text, dates and moments are left out.
        """
        numbers: dict[str, Floats] = {}
        codes: dict[str, Codes] = {}
        sets: dict[str, Sets] = {}
        for name in table:
            kind = kinds.get(name, "number")
            if kind in ("codes", "tags"):
                sets[name] = Sets.of(table[name])
            elif kind in ("code", "tag"):
                codes[name] = Codes.of(table[name])
            elif kind in ("integer", "number", "boolean"):
                numbers[name] = _floats(table[name])
        return cls(size, numbers, codes, sets)

    def number(self, name: str) -> Floats:
        """The numbers of a column, NaN where unknown; all NaN if it was never given."""
        return self.numbers[name] if name in self.numbers else np.full(self.size, np.nan)

    def code(self, name: str) -> Codes:
        """The codes of a column; all unknown if it was never given."""
        return self.codes[name] if name in self.codes else Codes((), np.full(self.size, -1, dtype=width(0)))

    def set(self, name: str) -> Sets:
        """The words of a column; all unknown if it was never given."""
        if name in self.sets:
            return self.sets[name]
        none = np.zeros(self.size, dtype=bool)
        return Sets((), np.zeros((self.size, 0), dtype=bool), none, np.full(self.size, -1, dtype=width(0)))

    def column(self, name: str) -> Floats | Codes | Sets:
        """The column of that name, whatever its kind."""
        found: Floats | Codes | Sets = self.sets.get(name) or self.codes.get(name) or self.number(name)
        return found

    def take(self, rows: Ints) -> Self:
        """These rows, in this order."""
        return type(self)(
            len(rows),
            {name: values[rows] for name, values in self.numbers.items()},
            {name: values.take(rows) for name, values in self.codes.items()},
            {name: values.take(rows) for name, values in self.sets.items()},
        )

    def with_numbers(self, **numbers: Any) -> Self:
        """The same rows with number columns added, or put in the place of those of the same name."""
        return type(self)(self.size, {**self.numbers, **numbers}, self.codes, self.sets)


@dataclass(frozen=True)
class Pairs:
    """Which client row meets which therapist row: two arrays of the same length, or one client who meets them all."""

    client: Ints
    therapist: Ints

    def __len__(self) -> int:
        return len(self.therapist)

    @classmethod
    def each(cls, rows: int) -> Self:
        """Row i of one table with row i of the other."""
        return cls(np.arange(rows), np.arange(rows))

    @classmethod
    def of_one(cls, therapists: Ints) -> Self:
        """The first client row with these therapist rows: what is the client's alone is looked up once."""
        return cls(np.zeros(1, dtype=np.int64), therapists)

    @classmethod
    def all(cls, clients: int, therapists: int) -> Self:
        """Every client with every therapist, client by client."""
        return cls(np.repeat(np.arange(clients), therapists), np.tile(np.arange(therapists), clients))


def width(words: int) -> type[np.signedinteger[Any]]:
    """How wide positions among so many words are kept, with room for some more words."""
    return np.int16 if words < 30_000 else np.int64


def _factorize(values: Any) -> tuple[Places, tuple[str, ...]]:
    """Positions in the sorted words, -1 where unknown; a pandas column takes the fast way to the same answer."""
    if hasattr(values, "factorize"):
        index, words = values.astype("str").factorize(sort=True)
        return index.astype(width(len(words))), tuple(map(str, words))
    found = sorted({value for value in values if value})
    place = {word: i for i, word in enumerate(found)}
    return np.array([place.get(value, -1) for value in values], dtype=width(len(found))), tuple(found)


def _floats(values: Any) -> Floats:
    if hasattr(values, "to_numpy"):
        numbers: Floats = values.astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers
    return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
