"""Random numbers and text columns, made fast: one generator per subject, and labels from codes."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import betaincinv, ndtr

SUBJECTS = ("staff", "clients", "intake", "effects", "assignment", "course", "scores", "alliance", "extras")
_STR = pd.StringDtype(na_value=np.nan)


def generators(seed: int) -> dict[str, np.random.Generator]:
    """One generator per subject, so that an arm that draws more of one thing leaves the others as they were."""
    children = np.random.SeedSequence(seed).spawn(len(SUBJECTS))
    return {name: np.random.default_rng(child) for name, child in zip(SUBJECTS, children, strict=True)}


def labels(values: Sequence[str], codes: np.ndarray) -> pd.Series:
    """A `str` column from codes into `values`; a negative code is unknown."""
    codes = np.asarray(codes)
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    arrow = pa.DictionaryArray.from_arrays(indices, pa.array(list(values), pa.large_string()))
    return pd.Series(_STR.__from_arrow__(arrow.cast(pa.large_string())))


def joined(values: Sequence[str], held: np.ndarray, known: np.ndarray | None = None) -> pd.Series:
    """A list column, `|`-separated: for each row those of `values` where `held` (rows, values) is true."""
    codes = held.astype(np.int64) @ (1 << np.arange(len(values), dtype=np.int64))
    patterns, inverse = np.unique(codes, return_inverse=True)
    texts = ["|".join(v for i, v in enumerate(values) if pattern >> i & 1) for pattern in patterns]
    unknown = (codes == 0) if known is None else (codes == 0) | ~known
    return labels(texts, np.where(unknown, -1, inverse))


def identifiers(prefix: str, numbers: np.ndarray) -> pd.Series:
    """Pseudonyms such as `c-000042`."""
    return labels([f"{prefix}-{n:06d}" for n in numbers], np.arange(len(numbers)))


def days(as_of: dt.date, offsets: np.ndarray) -> pd.Series:
    """Dates from days counted from `as_of`; NaN is unknown."""
    origin = np.datetime64(as_of, "us")
    known = np.isfinite(offsets)
    whole = np.where(known, offsets, 0).astype("int64").astype("timedelta64[D]")
    return pd.Series(np.where(known, origin + whole, np.datetime64("NaT", "us")))


def integers(values: np.ndarray, known: np.ndarray | None = None) -> pd.Series:
    """A nullable whole-number column."""
    unknown = ~np.isfinite(values) if known is None else ~known
    return pd.Series(pd.arrays.IntegerArray(np.where(unknown, 0, values).astype("int64"), unknown))


def booleans(values: np.ndarray, known: np.ndarray | None = None) -> pd.Series:
    """A nullable true/false column."""
    unknown = np.zeros(len(values), bool) if known is None else ~known
    return pd.Series(pd.arrays.BooleanArray(np.asarray(values, bool), unknown))


def choose(rng: np.random.Generator, weights: Sequence[float], size: int) -> np.ndarray:
    """Codes drawn with these weights."""
    edges = np.cumsum(weights) / np.sum(weights)
    return np.minimum(np.searchsorted(edges, rng.random(size), side="right"), len(weights) - 1)


def whole(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rounded up or down at random, so that the mean stays what it was."""
    return np.floor(values + rng.random(values.shape))


class BoundedScores:
    """Quantiles of beta distributions by mean and normal score, read from a table.

    A draw is `share(mean, z)` with standard normal `z`: a share of the instrument's range, between 0 and 1, whose
    expectation is exactly `mean`, right-skewed when the mean is low. Each row of the table is scaled so that this
    holds in spite of interpolation.
    """

    def __init__(self, precision: float):
        self._means = np.concatenate([[1e-4], np.linspace(0.01, 0.99, 99)])
        self._z = np.linspace(-4.5, 4.5, 91)
        a, b = self._means[:, None] * precision, (1 - self._means[:, None]) * precision
        self._table = betaincinv(a, b, ndtr(self._z)[None, :])
        fine = np.linspace(-4.5, 4.5, 901)
        weight = np.exp(-(fine**2) / 2)
        weight /= weight.sum()
        for row, mean in enumerate(self._means):
            self._table[row] *= mean / (np.interp(fine, self._z, self._table[row]) @ weight)

    def share(self, mean: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The share at `z`, by bilinear interpolation."""
        row = np.clip((mean - 0.01) / 0.01 + 1, 0, 98.999)
        column = np.clip((z + 4.5) / 0.1, 0, 89.999)
        i, j = row.astype(int), column.astype(int)
        down, right = row - i, column - j
        flat, width = self._table.ravel(), self._table.shape[1]
        at = i * width + j
        upper = flat[at] * (1 - right) + flat[at + 1] * right
        lower = flat[at + width] * (1 - right) + flat[at + width + 1] * right
        return np.asarray(np.minimum(upper * (1 - down) + lower * down, 1.0))
