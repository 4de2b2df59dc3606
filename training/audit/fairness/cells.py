"""Figures of every group at once: means and slopes with the resamples they came from, so that groups can be compared.

The first cell is everyone. A cell with fewer rows than may be shown holds no figure; what is compared many times over
is judged by Holm's rule: the chance of naming anyone at all where nothing is wrong stays at or below .05.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from training.audit.document import Estimate
from training.audit.harm.hiding import told_apart
from training.bands import FEWEST_IN_CELL
from training.evaluate import DIGITS, LEVEL, Resamples
from training.groups import Groups, cells

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

EVERYONE = ("", "everyone")
FEWEST_FOR_SLOPE = 50
"""A line through fewer results says nothing."""
FEWEST_JUDGED = 20
"""A figure of fewer rows is shown, and not judged."""
ALPHA = 0.05


@dataclass(frozen=True)
class Drawn:
    """A figure of every cell, NaN where it is not shown, and the same in every resample, shape (resamples, cells)."""

    value: Floats
    draws: Floats
    n: Ints
    """Rows behind each."""
    least: Floats | None = None
    """Standard errors that those of the resamples may not fall below: the rows of a small cell may be alike by luck."""
    told: Bools | None = None
    """Which cells a table may show beside everyone and the other groups; all are judged. None: whatever is known."""

    @cached_property
    def estimates(self) -> list[Estimate | None]:
        """With 95 % intervals; None where not shown."""
        return [self._estimate(i) for i in range(len(self.value))]

    def _estimate(self, i: int) -> Estimate | None:
        if np.isnan(self.value[i]):
            return None
        draws = self.draws[:, i][np.isfinite(self.draws[:, i])]
        edge = (1 - LEVEL) / 2
        low, high = np.quantile(draws, [edge, 1 - edge]) if len(draws) else (np.nan, np.nan)
        ends = {} if np.isnan(low) else {"low": round(float(low), DIGITS), "high": round(float(high), DIGITS)}
        return Estimate(value=round(float(self.value[i]), DIGITS), **ends)

    @cached_property
    def error(self) -> Floats:
        """Standard error of each."""
        known = np.isfinite(self.draws)
        count = np.maximum(known.sum(axis=0), 1)
        draws = np.where(known, self.draws, 0.0)
        mean = draws.sum(axis=0) / count
        spread: Floats = np.sqrt((np.where(known, draws - mean, 0.0) ** 2).sum(axis=0) / count)
        return spread if self.least is None else np.fmax(spread, self.least)

    def less_everyone(self) -> "Drawn":
        """Each cell's figure less everyone's, over the same resamples."""
        return Drawn(self.value - self.value[0], self.draws - self.draws[:, :1], self.n, self.least, self.told)

    def below(self, margin: float) -> Floats:
        """One-sided chance of a figure this low if the truth were `margin`, by Student's t; NaN: not judged."""
        return self._chance(self.value - margin)

    def above(self, margin: float) -> Floats:
        """One-sided chance of a figure this high if the truth were `margin`."""
        return self._chance(margin - self.value)

    def _chance(self, gap: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(self.error > 0, gap / self.error, np.sign(gap) * np.inf)
        judged = ~np.isnan(gap) & (self.n >= FEWEST_JUDGED)
        chance: Floats = np.where(judged, student.cdf(np.nan_to_num(z), np.maximum(self.n - 1, 1)), np.nan)
        return chance


@dataclass(frozen=True)
class Cells:
    """Which rows are in which cell, everyone's first, and resamples of those rows' therapists."""

    names: Sequence[tuple[str, str]]
    member: Bools
    """(rows, cells)"""
    resamples: Resamples

    @classmethod
    def of(cls, groups: Groups, rows: Ints, resamples: Resamples) -> "Cells":
        """Every group of every attribute; `rows` are positions in the groups, and those of the resamples."""
        names, member = cells(groups, rows)
        return cls([EVERYONE, *names], np.column_stack([np.ones(len(rows), dtype=bool), member]), resamples)

    @property
    def count(self) -> Ints:
        """Rows in each cell."""
        return np.asarray(self.member.sum(axis=0))

    def told(self, n: Ints) -> Bools:
        """Which cells may be shown in one table, with `n` rows behind each."""
        return told_apart([attribute for attribute, _ in self.names], n)

    def mean(self, values: Floats, weight: Floats | None = None) -> Drawn:
        """Weighted mean of the values (rows,) of each cell; NaN values are left out."""
        known = self.member & ~np.isnan(values)[:, None]
        mass = known * (np.ones(len(values)) if weight is None else weight)[:, None]
        sums = np.concatenate([mass * np.nan_to_num(values)[:, None], mass], axis=1)
        n = known.sum(axis=0)
        spread = np.nanstd(values) if n[0] else np.nan
        width = len(self.names)
        total, drawn = sums.sum(axis=0), self.resamples.sums(sums)
        shown = n >= FEWEST_IN_CELL
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(shown, total[:width] / total[width:], np.nan)
            draws = np.where(shown, drawn[:, :width] / drawn[:, width:], np.nan)
            return Drawn(value, draws, n, spread / np.sqrt(np.maximum(n, 1)), self.told(n))

    def slope(self, response: Floats, regressor: Floats, control: Floats, weight: Floats) -> Drawn:
        """Slope of the response on a regressor in each cell, beside an intercept and a control (rows,).

        Rows without a response are left out.
        """
        known = ~np.isnan(response)
        y = np.nan_to_num(response)
        x = np.column_stack([regressor, np.ones(len(y)), control])
        terms = [x[:, i] * x[:, j] for i in range(3) for j in range(i, 3)] + [x[:, i] * y for i in range(3)]
        rows = self.member & known[:, None]
        each = (weight[:, None] * np.column_stack(terms))[:, :, None] * rows[:, None, :]
        n = rows.sum(axis=0)
        value = _solved(each.sum(axis=0)[None])[0]
        draws = _solved(self.resamples.sums(each.reshape(len(y), -1)).reshape(-1, len(terms), len(self.names)))
        shown = n >= FEWEST_FOR_SLOPE
        return Drawn(np.where(shown, value, np.nan), np.where(shown, draws, np.nan), n, told=self.told(n))


def _solved(terms: Floats) -> Floats:
    """First coefficient of each regression, from (draws, 9, cells): the upper triangle of X'X, and X'y."""
    s = terms.transpose(0, 2, 1)
    gram = s[..., [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(*s.shape[:2], 3, 3)
    ridge = 1e-9 * np.trace(gram, axis1=-2, axis2=-1)[..., None, None] * np.eye(3) + 1e-12 * np.eye(3)
    first: Floats = np.linalg.solve(gram + ridge, s[..., 6:, None])[..., 0, 0]
    return first


def holm(chances: Floats) -> Floats:
    """Chances adjusted by Holm's rule over all that are known; NaN stay NaN."""
    adjusted = np.full(len(chances), np.nan)
    known = np.flatnonzero(~np.isnan(chances))
    order = known[np.argsort(chances[known], kind="stable")]
    steps = chances[order] * (len(order) - np.arange(len(order)))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else []
    return adjusted
