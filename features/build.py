"""The one builder of feature columns, for training and for serving.

`FeatureSet` is pure, row by row and without state: the words it expands codes into and the columns it makes were
fixed when a bundle was trained and travel with it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np

from features.catalog import PAIR_FEATURES, ROW_FEATURES
from features.columns import Codes, Columns, Floats, Pairs, Sets
from features.feature import Feature, Group, PairFeature
from features.rows import known_codes

FEWEST_ROWS = 20
"""A code becomes a column when at least this many rows have it."""


@dataclass(frozen=True)
class FeatureSet:
    """Which features, and the words of those that are codes. `words[name]` is None for a number."""

    words: Mapping[str, tuple[str, ...] | None]
    declared: Mapping[str, str] = field(default_factory=dict)
    """Features a dataset declares: name such as `client.travel_minutes` -> meaning."""

    @classmethod
    def learn(
        cls,
        clients: Columns,
        therapists: Columns,
        names: Collection[str],
        declared: Mapping[str, str],
        fewest: int = FEWEST_ROWS,
    ) -> Self:
        """The set for training rows: features in `names` that are ever known, codes expanded where common enough."""
        shell = cls({}, {name: meaning for name, meaning in declared.items() if name in names})
        words: dict[str, tuple[str, ...] | None] = {}
        for feature in shell.row_features():
            if feature.name in names:
                built = feature.build(clients if feature.group == "client" else therapists)
                found = _words(built, fewest)
                if found is None or found:
                    words[feature.name] = found
        pairs = Pairs.each(clients.size)
        for pair_feature in PAIR_FEATURES:
            if pair_feature.name in names and not np.isnan(pair_feature.build(clients, therapists, pairs)).all():
                words[pair_feature.name] = None
        return cls(words, {name: meaning for name, meaning in shell.declared.items() if name in words})

    def row_features(self) -> list[Feature]:
        """Features of one row: those of the catalog, and those the dataset declares."""
        return [*ROW_FEATURES, *(_declared(name, meaning) for name, meaning in self.declared.items())]

    def _rows(self, group: Group) -> list[Feature]:
        return self._rows_of[group]

    @cached_property
    def _rows_of(self) -> dict[Group, list[Feature]]:
        features = [f for f in self.row_features() if f.name in self.words]
        return {group: [f for f in features if f.group == group] for group in ("client", "therapist")}

    @cached_property
    def _pairs(self) -> list[PairFeature]:
        return [f for f in PAIR_FEATURES if f.name in self.words]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of `build`: client, therapist, match, track; `main_problem.anxiety` for a word."""
        return tuple(name for group in ("client", "therapist", "pair") for name in self.columns_of(group))

    def columns_of(self, part: str) -> tuple[str, ...]:
        """Column names of one part: `client`, `therapist` or `pair` (match and track)."""
        features: Iterable[Feature | PairFeature] = self._pairs if part == "pair" else self._rows(_group(part))
        return tuple(name for feature in features for name in self._expanded(feature.name))

    def _expanded(self, name: str) -> list[str]:
        words = self.words[name]
        return [name] if words is None else [f"{name}.{word}" for word in words]

    @cached_property
    def feature_of(self) -> dict[str, str]:
        """Column name -> the name of the feature it belongs to."""
        return {column: name for name in self.words for column in self._expanded(name)}

    def build(self, clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
        """Columns of each pair, (pairs, columns), NaN where unknown; a pair alone gets what it gets among others."""
        return np.concatenate(list(self.blocks(clients, therapists, pairs).values()), axis=1)

    def blocks(self, clients: Columns, therapists: Columns, pairs: Pairs) -> dict[str, Floats]:
        """The columns of `build` by part, each of shape (pairs, columns_of(part))."""
        return {
            "client": self.build_rows("client", clients)[pairs.client],
            "therapist": self.build_rows("therapist", therapists)[pairs.therapist],
            "pair": self.build_pairs(clients, therapists, pairs),
        }

    def build_rows(self, part: str, rows: Columns) -> Floats:
        """The part of `build` that depends on clients alone, or on therapists alone, shape (rows, columns_of(part))."""
        blocks = [_block(feature.build(rows), self.words[feature.name]) for feature in self._rows(_group(part))]
        return np.concatenate([np.zeros((rows.size, 0)), *blocks], axis=1)

    def build_feature(self, name: str, rows: Columns) -> Floats:
        """The columns of one feature of clients or therapists, shape (rows, its columns)."""
        (feature,) = (one for group in self._rows_of.values() for one in group if one.name == name)
        return _block(feature.build(rows), self.words[name])

    def build_pairs(self, clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
        """The part of `build` that depends on both, shape (pairs, columns_of("pair"))."""
        return np.ascontiguousarray(self.build_pairs_by_column(clients, therapists, pairs).T)

    def build_pairs_by_column(self, clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
        """The same as (columns, pairs): how it is built, and what one client with many therapists is quick with."""
        found = np.empty((len(self._pairs), len(pairs)))
        for row, feature in zip(found, self._pairs, strict=True):
            row[:] = feature.build(clients, therapists, pairs)
        return found

    def as_json(self) -> dict[str, Any]:
        """Plain values for the bundle; `from_json` takes them back."""
        return {
            "words": {n: None if w is None else list(w) for n, w in self.words.items()},
            "declared": dict(self.declared),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The set that `as_json` wrote."""
        return cls({n: None if w is None else tuple(w) for n, w in values["words"].items()}, values["declared"])


def _group(part: str) -> Literal["client", "therapist"]:
    return "client" if part == "client" else "therapist"


def _declared(name: str, meaning: str) -> Feature:
    group, column = name.split(".", 1)
    return Feature(name, meaning, _group(group), lambda rows: rows.column(column))


def _words(built: Floats | Codes | Sets, fewest: int) -> tuple[str, ...] | None:
    """Words to expand into; None for a number that is known anywhere; empty where there is nothing to use."""
    if isinstance(built, Codes):
        return tuple(known_codes(built, fewest))
    if isinstance(built, Sets):
        return tuple(w for w, n in zip(built.vocabulary, built.member.sum(axis=0), strict=True) if n >= fewest)
    return () if np.isnan(built).all() else None


def _block(built: Floats | Codes | Sets, words: tuple[str, ...] | None) -> Floats:
    """Columns of one feature: the number itself, or one 0/1 column a word, NaN where the row is unknown."""
    if isinstance(built, Codes):
        place = built.within(words or ())
        block: Floats = np.zeros((len(place), len(words or ())))
        block[place == -1] = np.nan
        here = np.flatnonzero(place >= 0)
        block[here, place[here]] = 1.0
        return block
    if isinstance(built, Sets):
        member: Floats = built.within(words or ()).astype(np.float64)
        member[~built.known] = np.nan
        return member
    if words is not None:  # a column of codes that these rows were never given
        return np.full((len(built), len(words)), np.nan)
    return built[:, None]
