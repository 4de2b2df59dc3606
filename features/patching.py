"""Several tables of rows as one, and one table with some rows replaced: what a directory that changes is made with.

Words that no row uses any longer are left out, so rows that came step by step are equal to the same rows read whole.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from features.columns import Bools, Codes, Columns, Ints, Places, Sets, width
from features.practice import Licences, Slots

Rows = TypeVar("Rows", Licences, Slots)


def joined_columns(parts: Sequence[Columns], order: Ints) -> Columns:
    """Row i is row `order[i]` of the parts, one below the other. Columns that nobody has a value in are left out."""
    names = {kind: sorted({name for part in parts for name in getattr(part, kind)}) for kind in _KINDS}
    numbers = {name: np.concatenate([part.number(name) for part in parts])[order] for name in names["numbers"]}
    codes = {name: joined_codes([part.code(name) for part in parts], order) for name in names["codes"]}
    sets = {name: joined_sets([part.set(name) for part in parts], order) for name in names["sets"]}
    return Columns(
        len(order),
        {name: values for name, values in numbers.items() if not np.isnan(values).all()},
        {name: values for name, values in codes.items() if values.vocabulary},
        {name: values for name, values in sets.items() if values.vocabulary},
    )


def joined_codes(parts: Sequence[Codes], order: Ints) -> Codes:
    """Row i is row `order[i]` of the parts."""
    words = sorted({word for part in parts for word in part.vocabulary})
    index = np.concatenate([_moved(part.vocabulary, words, part.index) for part in parts])[order]
    used = np.zeros(len(words) + 1, dtype=bool)
    used[index] = True
    kept = [word for word, is_used in zip(words, used[:-1], strict=True) if is_used]
    return Codes(tuple(kept), _moved(words, kept, index))


def joined_sets(parts: Sequence[Sets], order: Ints) -> Sets:
    """Row i is row `order[i]` of the parts."""
    words = sorted({word for part in parts for word in part.vocabulary})
    member = np.concatenate([_members(part, words) for part in parts])[order]
    first = np.concatenate([_moved(part.vocabulary, words, part.first) for part in parts])[order]
    known = np.concatenate([part.known for part in parts])[order]
    used: Bools = np.any(member, axis=0)
    kept = [word for word, is_used in zip(words, used, strict=True) if is_used]
    return Sets(tuple(kept), member if used.all() else member[:, used], known, _moved(words, kept, first))


def joined_rows(parts: Sequence[Rows], order: Ints) -> Rows:
    """Row i is row `order[i]` of the parts, column by column."""
    return type(parts[0])(
        **{one.name: _joined([getattr(part, one.name) for part in parts], order) for one in fields(parts[0])}
    )


def in_order_of_time(slots: Slots, kept: Bools, new: Slots) -> Slots:
    """The slots that are kept and the new ones in order of time, those of one moment in order of therapists."""
    starts_at = np.concatenate([slots.starts_at, new.starts_at]).astype("datetime64[s]").astype(np.int64)
    therapist = np.concatenate([slots.therapist, new.therapist])
    return joined_rows([slots, new], _in_order((starts_at << _ROW_BITS) | therapist, kept))


def in_order_of_therapists(licences: Licences, kept: Bools, new: Licences) -> Licences:
    """The licences that are kept and the new ones in order of therapists."""
    therapist = np.concatenate([licences.therapist, new.therapist])
    return joined_rows([licences, new], _in_order(therapist, kept))


def relisted(rows: Rows, to: Ints) -> Rows:
    """Rows of therapists in a directory where row i has become row `to[i]`, -1 where it is no longer listed."""
    moved = replace(rows, therapist=to[rows.therapist].astype(rows.therapist.dtype))
    return joined_rows([moved], np.flatnonzero(moved.therapist >= 0))


_KINDS = ("numbers", "codes", "sets")
_ROW_BITS = 24
"""A directory has fewer therapists than these bits can count; seconds since 1970 fit above them."""


def _joined(parts: Sequence[Any], order: Ints) -> Any:
    return joined_codes(parts, order) if isinstance(parts[0], Codes) else np.concatenate(parts)[order]


def _in_order(key: Ints, kept: Bools) -> Ints:
    """Positions by their key, without those of the first rows that are not kept."""
    positions = np.concatenate([np.flatnonzero(kept), np.arange(len(kept), len(key))])
    return positions[np.argsort(key[positions], kind="stable")]


def _moved(words: Sequence[str], to: Sequence[str], index: Places) -> Places:
    """Positions in some words as positions in others that hold every word in use; -1 stays."""
    if list(words) == list(to):
        return index
    place = {word: i for i, word in enumerate(to)}
    table = np.array([*(place.get(word, -1) for word in words), -1], dtype=width(len(to)))
    return table[index]


def _members(part: Sets, words: Sequence[str]) -> Bools:
    return part.member if list(words) == list(part.vocabulary) else part.within(words)
