"""Words for groups of clients, unknown being a word of its own. Light to import: a worker reads it without pandas."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.object_]

UNKNOWN = "unknown"
FEWEST_IN_CELL = 10
"""Of cells of a table with fewer people nothing is shown."""
AGES: Mapping[str, int] = {"under_18": 18, "18_to_34": 35, "35_to_49": 50, "50_to_64": 65, "65_and_over": 200}
"""Name of each band of ages, and the first age that is no longer in it."""
THIRDS = ("lower_third", "middle_third", "upper_third")


def first_word(cell: Any) -> str:
    """A code, or the first of several in a list or joined by `|`; nothing at all is unknown."""
    if isinstance(cell, list | tuple):
        cell = cell[0] if cell else None
    if cell is None or cell != cell:
        return UNKNOWN
    return str(cell).split("|")[0] or UNKNOWN


def age_bands(age: Floats) -> Words:
    """The band of each age in years, shape (n,); NaN is unknown."""
    place = np.searchsorted(list(AGES.values()), age, side="right")
    names = np.array([*AGES, UNKNOWN], dtype=object)
    return np.asarray(np.where(np.isnan(age), UNKNOWN, names[np.minimum(place, len(AGES))]), dtype=np.object_)


def fifths(decile: Floats) -> Words:
    """The fifth of each deprivation decile 1..10, shape (n,); NaN is unknown."""
    lower = 2 * ((decile - 1) // 2) + 1
    words = [UNKNOWN if np.isnan(low) else f"decile_{int(low)}_to_{int(low) + 1}" for low in lower]
    return np.array(words, dtype=object)


def thirds(values: Floats, low: float, high: float) -> Words:
    """Which third each value (n,) is in, with the two values at which the next begins; NaN is unknown."""
    place = np.searchsorted([low, high], np.nan_to_num(values))
    words = np.where(np.isnan(values), UNKNOWN, np.array(THIRDS, dtype=object)[place])
    return np.asarray(words, dtype=np.object_)
