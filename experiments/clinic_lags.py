"""Whether a better alliance is followed by fewer symptoms, and the reverse, within clients."""

import numpy as np
import pandas as pd

from data.dataset import Dataset

LAGGED = (4, 5, 6)
"""Sessions explained by the one before: alliance is asked for in sessions 3 to 5."""


def lags(dataset: Dataset) -> tuple[float, float]:
    """Standardised lag-1 effects alliance -> symptoms and symptoms -> alliance, within clients.

    Each session's value is regressed on the session before (both measures), the client's mean of the predictor, the
    intake score and the session. Coefficients are in within-client SDs, taken from differences of adjacent sessions.
    """
    wide = _by_session(dataset)
    to_symptoms = _lag(wide, "symptom", "alliance", LAGGED)
    to_alliance = _lag(wide, "alliance", "symptom", LAGGED[:-1])
    return to_symptoms, to_alliance


def _by_session(dataset: Dataset) -> pd.DataFrame:
    m = dataset["measures"]
    totals = m[m["item"] == "0"].pivot(index=["episode_id", "session"], columns="instrument", values="value")
    frame = pd.DataFrame({"symptom": (totals["phq9"] / 6 + totals["gad7"] / 5) / 2, "alliance": totals["wai_sr"]})
    return frame.unstack("session")


def _lag(wide: pd.DataFrame, outcome: str, cause: str, sessions: tuple[int, ...]) -> float:
    blocks = [_block(wide, outcome, cause, session) for session in sessions]
    rows = np.concatenate(blocks)
    rows = rows[~np.isnan(rows).any(axis=1)]
    coefficient = np.linalg.lstsq(rows[:, 1:], rows[:, 0], rcond=None)[0][0]
    return float(coefficient * _within(wide[cause], sessions) / _within(wide[outcome], sessions))


def _block(wide: pd.DataFrame, outcome: str, cause: str, session: int) -> np.ndarray:
    early = wide[cause][[3, 4, 5]].mean(axis=1)
    others = wide[outcome][[s for s in (3, 4, 5) if s != session]].mean(axis=1)
    columns = [wide[outcome][session], wide[cause][session - 1], early, wide[outcome][session - 1], others]
    constant = [pd.Series(float(session == s), wide.index) for s in LAGGED]
    return np.column_stack([*columns, wide["symptom"][0], *constant]).astype(float)


def _within(values: pd.DataFrame, sessions: tuple[int, ...]) -> float:
    steps = [values[s] - values[s - 1] for s in sessions if s in values]
    return float(np.nanstd(np.concatenate(steps)) / np.sqrt(2))
