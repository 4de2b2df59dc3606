"""What the curves share: shapes fitted with intervals from resampled therapists, and the words for what they show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.audit.document import Estimate
from training.evaluate import Figure, Resamples

Floats = npt.NDArray[np.float64]

RESAMPLES = 300
MOST_POINTS = 25
SPLINE_KNOTS = (0.05, 0.35, 0.65, 0.95)
"""Quantiles at which a smooth curve may bend (Harrell 2015, "Regression Modeling Strategies", section 2.4.6)."""
FAINT = 1e-9


@dataclass(frozen=True)
class Regressed:
    """Coefficients (p,) of a least-squares fit, and those of every resample of therapists (r, p)."""

    value: Floats
    draws: Floats

    def at(self, x: Floats, resamples: Resamples) -> list[Figure]:
        """The figure at each row of x (m, p), with its 95 % interval."""
        value, draws = x @ self.value, self.draws @ x.T
        return [resamples.figure(value[i], draws[:, i]) for i in range(len(x))]


def regressed(x: Floats, y: Floats, resamples: Resamples) -> Regressed:
    """Least squares of y (n,) on x (n, p), once for all rows and once for each resample of whole therapists."""
    outer, cross = x[:, :, None] * x[:, None, :], x * y[:, None]
    ridge = FAINT * np.trace(outer.sum(axis=0)) * np.eye(x.shape[1])
    value = np.linalg.solve(outer.sum(axis=0) + ridge, cross.sum(axis=0))
    draws = np.linalg.solve(resamples.sums(outer) + ridge, resamples.sums(cross)[..., None])[..., 0]
    return Regressed(value, draws)


def correlation(x: Floats, y: Floats, resamples: Resamples) -> Figure:
    """Pearson's r with its 95 % interval."""
    x, y = x - x.mean(), y - y.mean()
    sums = np.column_stack([np.ones(len(x)), x, y, x * x, y * y, x * y])

    def r(s: Floats) -> Floats:
        mean_x, mean_y = s[:, 1] / s[:, 0], s[:, 2] / s[:, 0]
        spread = (s[:, 3] / s[:, 0] - mean_x**2) * (s[:, 4] / s[:, 0] - mean_y**2)
        found: Floats = (s[:, 5] / s[:, 0] - mean_x * mean_y) / np.sqrt(np.maximum(spread, FAINT**2))
        return found

    return resamples.figure(float(r(sums.sum(axis=0)[None, :])[0]), r(resamples.sums(sums)))


def spline(x: Floats, knots: Floats) -> Floats:
    """Columns of a restricted cubic spline, (n, knots): 1, x, and bends that are straight beyond the last knots."""
    last, before = knots[-1], knots[-2]
    scale = (knots[-1] - knots[0]) ** 2

    def cube(knot: float) -> Floats:
        found: Floats = np.maximum(x - knot, 0.0) ** 3
        return found

    bends = [
        (cube(k) - cube(before) * (last - k) / (last - before) + cube(last) * (before - k) / (last - before)) / scale
        for k in knots[:-2]
    ]
    return np.column_stack([np.ones(len(x)), x, *bends])


def knots_of(x: Floats) -> Floats:
    """Where a smooth curve over these values may bend; fewer than three where there are few different values."""
    return np.unique(np.quantile(x, SPLINE_KNOTS))


def most(x: Floats, points: int = MOST_POINTS) -> Floats:
    """Evenly spaced points over the middle 95 % of the values."""
    low, high = np.quantile(x, [0.025, 0.975])
    return np.linspace(low, high, points)


def tenths(x: Floats, count: int = 10) -> npt.NDArray[np.int64]:
    """In which of so many parts of equal size each value lies; equal values stay together."""
    edges = np.unique(np.quantile(x, np.arange(1, count) / count))
    return np.searchsorted(edges, x, side="right").astype(np.int64)


def estimate(figure: Figure) -> Estimate:
    """The figure for a cell of a table; ends that are not known are left out."""
    known = bool(np.isfinite(figure.low) and np.isfinite(figure.high))
    return Estimate(
        value=round(figure.value, 5),
        low=round(figure.low, 5) if known else None,
        high=round(figure.high, 5) if known else None,
    )


def apart(figure: Figure) -> int:
    """1 or -1 where the whole interval lies above or below 0, else 0."""
    return int(figure.low > 0) - int(figure.high < 0)


def said(figure: Figure, unit: str = "", digits: int = 2, sign: bool = True) -> str:
    """A figure with its interval in words: `+0.21 SD (0.15 to 0.27)`."""
    value = number(figure.value, digits, sign)
    return f"{value}{' ' if unit else ''}{unit} ({number(figure.low, digits)} to {number(figure.high, digits)})"


def number(value: float, digits: int = 2, sign: bool = False) -> str:
    """A number for a sentence, with a real minus sign, and without a sign where nothing is left of it."""
    told = f"{value:{'+' if sign else ''}.{digits}f}"
    return told.lstrip("+-") if float(told) == 0 else told.replace("-", "\N{MINUS SIGN}")


def size(figure: Figure, unit: str = "", digits: int = 2) -> str:
    """How large a change is whichever way it goes: `0.21 SD (0.15 to 0.27)`, for sentences that say the way."""
    turned = figure if figure.value >= 0 else Figure(-figure.value, -figure.high, -figure.low)
    return said(turned, unit, digits, sign=False)


def ends(figures: Sequence[Figure]) -> tuple[Floats, Floats, Floats]:
    """Values, lows and highs of figures."""
    value, low, high = (np.array([getattr(one, end) for one in figures]) for end in ("value", "low", "high"))
    return value, low, high


def rounded(value: float) -> float:
    """Four figures that count, for a table."""
    return float(f"{value:.4g}")


def short(value: float) -> str:
    """Three figures that count, for a sentence."""
    return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
