"""From totals to caseness and change. Unknown stays unknown.

Truth values come back as pandas "boolean" arrays: an unknown score is neither a case nor not a case, unless what
is known already decides (True or unknown = True).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.errors import DataError, Problem
from data.instruments import Instrument
from data.scoring import in_clinical_range

Floats = npt.NDArray[np.float64]
Spread = Literal["all_with_intake", "those_with_both"]
_SLACK = 1e-9  # item means and visual scales are not exact in binary


def at_caseness(instrument: Instrument, scores: npt.ArrayLike) -> Any:
    """Whether each total is in the clinical range (pandas boolean). Raises NotFoundError without a cut-off."""
    return _boolean(in_clinical_range(instrument, scores), np.isnan(np.asarray(scores, dtype=float)))


def improvement(instrument: Instrument, first: npt.ArrayLike, last: npt.ArrayLike) -> Floats:
    """Change from first to last in points, positive where it is for the better."""
    change = np.asarray(last, dtype=float) - np.asarray(first, dtype=float)
    return np.asarray(-change if instrument.direction == "lower" else change)


def reliably_improved(instrument: Instrument, first: npt.ArrayLike, last: npt.ArrayLike) -> Any:
    """Whether the change for the better is at least the reliable change (pandas boolean)."""
    gain = improvement(instrument, first, last)
    return _boolean(gain >= instrument.reliable_change - _SLACK, np.isnan(gain))


def reliably_deteriorated(instrument: Instrument, first: npt.ArrayLike, last: npt.ArrayLike) -> Any:
    """Whether the change for the worse is at least the reliable change (pandas boolean)."""
    gain = improvement(instrument, first, last)
    return _boolean(gain <= -instrument.reliable_change + _SLACK, np.isnan(gain))


def change_category(instrument: Instrument, first: npt.ArrayLike, last: npt.ArrayLike) -> npt.NDArray[np.object_]:
    """Jacobson and Truax's categories: recovered, improved, unchanged, deteriorated; None where a score is missing.

    Recovered is reliable *and* clinically significant: from the clinical range out of it.
    """
    better = reliably_improved(instrument, first, last)
    worse = reliably_deteriorated(instrument, first, last)
    crossed = clinically_significant(instrument, first, last)
    unknown = np.isnan(improvement(instrument, first, last))
    flags = [unknown, *(flag.fillna(False).to_numpy(bool) for flag in (crossed, better, worse))]
    return np.select(flags, np.array([None, "recovered", "improved", "deteriorated"], object), default="unchanged")


def clinically_significant(instrument: Instrument, first: npt.ArrayLike, last: npt.ArrayLike) -> Any:
    """Reliable improvement that also leads from the clinical range out of it (pandas boolean)."""
    left = at_caseness(instrument, first) & ~at_caseness(instrument, last)
    return left & reliably_improved(instrument, first, last)


@dataclass(frozen=True)
class ReliableChange:
    """A reliable change index computed from data, with the standard deviation that it rests on named."""

    spread: Spread
    n: int
    sd: float
    standard_error: float
    smallest_reliable_change: float
    index: Floats


def jacobson_truax(
    instrument: Instrument, first: npt.ArrayLike, last: npt.ArrayLike, reliability: float, spread: Spread
) -> ReliableChange:
    """Reliable change index `improvement / (SD sqrt(2) sqrt(1 - reliability))`; beyond 1.96 is reliable.

    `spread` names the intake SD: of all with an intake score, or of those with both scores; the two differ when
    milder or more severe clients leave. Jacobson & Truax 1991, J Consult Clin Psychol 59:12.
    Raises DataError for a reliability outside 0..1 or fewer than two scores.
    """
    before, after = np.asarray(first, dtype=float), np.asarray(last, dtype=float)
    used = before[~np.isnan(before) & (~np.isnan(after) if spread == "those_with_both" else True)]
    if not 0 <= reliability < 1 or len(used) < 2:
        raise DataError([_unusable_spread(instrument, reliability, len(used))])
    sd = float(used.std(ddof=1))
    error = sd * float(np.sqrt(2 * (1 - reliability)))
    return ReliableChange(spread, len(used), sd, error, 1.96 * error, improvement(instrument, before, after) / error)


def cut_off(clinical: tuple[float, float], general: tuple[float, float]) -> float:
    """Jacobson and Truax's cut-off c between two populations, each (mean, SD): nearer to the narrower one."""
    (m1, s1), (m0, s0) = clinical, general
    return (s0 * m1 + s1 * m0) / (s0 + s1)


def _unusable_spread(instrument: Instrument, reliability: float, n: int) -> Problem:
    if n < 2:
        return Problem(f"{instrument.id} intake scores", str(n), "an SD needs at least two", "use the published change")
    return Problem(f"{instrument.id} reliability", str(reliability), "must lie in 0 <= reliability < 1", "mend it")


def _boolean(values: Any, unknown: npt.NDArray[np.bool_]) -> Any:
    return pd.arrays.BooleanArray(np.array(values, dtype=bool), unknown.copy())
