"""The rules of NHS Talking Therapies for one finished course of treatment, from PHQ-9 and GAD-7, first and last.

Source: NHS Talking Therapies manual, chapter on outcomes; Gyani et al. 2013, Behav Res Ther 51:597. Where a service
uses an anxiety measure made for one disorder instead of GAD-7, these rules do not apply.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.change import at_caseness, reliably_deteriorated, reliably_improved
from data.instruments import GAD7, PHQ9

LEAST_SESSIONS = 2
"""A course counts from this number of attended sessions."""


def outcomes(
    phq9_first: npt.ArrayLike,
    phq9_last: npt.ArrayLike,
    gad7_first: npt.ArrayLike,
    gad7_last: npt.ArrayLike,
    sessions_attended: npt.ArrayLike,
) -> pd.DataFrame:
    """One row per course, columns of pandas booleans; unknown where a score that decides is missing.

    counted: at least two attended sessions (all other columns are unknown where it is not true).
    at_caseness: PHQ-9 >= 10 or GAD-7 >= 8 first. recovery: at caseness first, and both below last.
    reliable_improvement: one falls by its reliable change (6, 4) and the other has not risen by its own.
    reliable_deterioration mirrors it. reliable_recovery: recovery and reliable improvement.
    """
    case = at_caseness(PHQ9, phq9_first) | at_caseness(GAD7, gad7_first)
    well = ~at_caseness(PHQ9, phq9_last) & ~at_caseness(GAD7, gad7_last)
    better = [reliably_improved(PHQ9, phq9_first, phq9_last), reliably_improved(GAD7, gad7_first, gad7_last)]
    worse = [reliably_deteriorated(PHQ9, phq9_first, phq9_last), reliably_deteriorated(GAD7, gad7_first, gad7_last)]
    improved = (better[0] & ~worse[1]) | (better[1] & ~worse[0])
    deteriorated = (worse[0] & ~better[1]) | (worse[1] & ~better[0])
    sessions = pd.array(np.asarray(sessions_attended, dtype=float), dtype="Float64")
    counted = sessions >= LEAST_SESSIONS
    table = pd.DataFrame(
        {
            "at_caseness": case,
            "recovery": case & well,
            "reliable_improvement": improved,
            "reliable_deterioration": deteriorated,
            "reliable_recovery": case & well & improved,
        }
    )
    table[~counted.fillna(False).to_numpy(bool)] = pd.NA
    table.insert(0, "counted", counted)
    return table


def rates(table: pd.DataFrame) -> dict[str, float]:
    """Shares as the NHS prints them, from `outcomes`: recovery and reliable recovery of those at caseness first,
    reliable improvement and deterioration of all counted; each over the courses where it is known, NaN over none."""
    cases = table[table["at_caseness"].fillna(False)]
    return {
        "recovery": _share(cases["recovery"]),
        "reliable_recovery": _share(cases["reliable_recovery"]),
        "reliable_improvement": _share(table["reliable_improvement"]),
        "reliable_deterioration": _share(table["reliable_deterioration"]),
    }


def _share(flags: pd.Series) -> float:
    known = flags.dropna()
    return float(known.mean()) if len(known) else float("nan")
