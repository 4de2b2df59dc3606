"""Shares and waits with their intervals, without any library but numpy: a worker of the service computes them."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from training.audit.document import Estimate

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
FEW_EVENTS = 30
"""With fewer events, or fewer without one, the normal distribution is too far off for tails as thin as ours."""
_STEPS = 60


def z_of(level: float) -> float:
    """How many standard errors an interval of that level reaches to each side."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson(events: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927, J Am Stat Assoc 22:209). `n` > 0; both may be effective numbers."""
    z = z_of(level)
    share, extra = events / n, z * z / n
    middle = share + extra / 2
    half = z * math.sqrt(max(share * (1 - share), 0) / n + extra / (4 * n))
    return max((middle - half) / (1 + extra), 0.0), min((middle + half) / (1 + extra), 1.0)


def exact(events: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share (1934, Biometrika 26:404): never narrower than its level says."""
    tail = (1 - level) / 2
    low = 0.0 if events <= 0 else _root(lambda x: beta_cdf(events, n - events + 1, x) - tail)
    high = 1.0 if events >= n else _root(lambda x: beta_cdf(events + 1, n - events, x) - (1 - tail))
    return low, high


def limits(events: float, n: float, level: float) -> tuple[float, float]:
    """The exact interval where events are few, else the score interval, which is then as good."""
    return exact(events, n, level) if min(events, n - events) < FEW_EVENTS else wilson(events, n, level)


def percent(events: float, n: float) -> Estimate | None:
    """A share in percent with its 95 % score interval; None of nobody."""
    if n <= 0:
        return None
    low, high = wilson(events, n)
    return Estimate(value=100 * events / n, low=100 * low, high=100 * high)


def quantile(values: Floats, q: float, level: float = LEVEL) -> Estimate | None:
    """A quantile of values (n,) with the interval between two of them that holds it; None of no values.

    Which two follows from the binomial distribution and from nothing else (David & Nagaraja 2003, Order Statistics,
    section 7.1). An end that no value can be sure of is None.
    """
    known = np.sort(values[~np.isnan(values)])
    n = len(known)
    if n == 0:
        return None
    tail = (1 - level) / 2
    low = _last(n, lambda rank: 1 - beta_cdf(rank, n - rank + 1, q) <= tail)
    high = n + 1 - _last(n, lambda rank: 1 - beta_cdf(rank, n - rank + 1, 1 - q) <= tail)
    ends = [float(known[rank - 1]) if 1 <= rank <= n else None for rank in (low, high)]
    return Estimate(value=float(np.quantile(known, q, method="inverted_cdf")), low=ends[0], high=ends[1])


def beta_cdf(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (Lentz's method)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_cdf(b, a, 1 - x)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - math.log(a) - _log_beta(a, b))
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    total = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d), 1 + term / c
            total *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return front * total


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _root(rising: Callable[[float], float]) -> float:
    """Where a function that rises from below 0 to above it on (0, 1) is 0."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def _last(n: int, holds: Callable[[int], bool]) -> int:
    """The greatest rank 1..n for which it holds, as it does for all before that; 0 if it holds for none."""
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
