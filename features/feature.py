"""What a feature is: a name, its meaning in plain words, the group it belongs to, and the function that builds it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from features.columns import Codes, Columns, Floats, Pairs, Sets

Group = Literal["client", "therapist", "match", "track"]
RowBuilder = Callable[[Columns], Floats | Codes | Sets]
PairBuilder = Callable[[Columns, Columns, Pairs], Floats]


@dataclass(frozen=True)
class Feature:
    """A feature of one row: a number, one code, or several words; codes and words become 0/1 columns."""

    name: str
    meaning: str
    group: Literal["client", "therapist"]
    build: RowBuilder


@dataclass(frozen=True)
class PairFeature:
    """A feature of a pair (match, track): always a number."""

    name: str
    meaning: str
    group: Literal["match", "track"]
    build: PairBuilder


def number_of(name: str) -> RowBuilder:
    """Builds a feature that is a column of numbers as it stands."""
    return lambda rows: rows.number(name)


def code_of(name: str) -> RowBuilder:
    """Builds a feature that is a column of codes as it stands."""
    return lambda rows: rows.code(name)


def words_of(name: str) -> RowBuilder:
    """Builds a feature that is a column of several words as it stands."""
    return lambda rows: rows.set(name)
