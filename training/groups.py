"""For whom it works: error, calibration and gain by group of clients, unknown being a group of its own.

Cells under 10 rows are not shown. Nothing here is a feature: groups are looked at, never ranked by.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import History
from training.calibration import FEWEST_IN_CELL
from training.evaluate import DIGITS, Resamples
from training.scoring import Reads, Scored

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Groups = Mapping[str, pd.Series]
"""Attribute -> the group of each row."""

UNKNOWN = "unknown"
AGES = {"under_18": 18, "18_to_34": 35, "35_to_49": 50, "50_to_64": 65, "65_and_over": 200}
THIRD = 0.4307
"""A third of a normal distribution lies beyond this many SD."""


def groups_of(history: History, episodes: pd.DataFrame, seen: Scored, reads: Reads) -> Groups:
    """Groups of the clients of some episodes, as known on the day of each match."""
    known = history.as_of_each(episodes["matched_on"].to_numpy().astype("datetime64[D]"))
    clients = known.clients(episodes["client_id"]).reset_index(drop=True)
    year = pd.Series(episodes["matched_on"].dt.year.to_numpy())
    found = {
        "gender": _words(clients, "gender"),
        "age_band": _bands(year - _numbers(clients, "birth_year"), AGES),
        "ethnicity": _words(clients, "ethnicity"),
        "language": _words(clients, "languages"),
        "payer": _words(clients, "payer"),
        "deprivation": _fifths(_numbers(clients, "deprivation_decile")),
        "severity_band": _thirds(seen, reads),
        "problem": _words(clients, "problems"),
    }
    return {name: values for name, values in found.items() if (values != UNKNOWN).any()}


def _words(clients: pd.DataFrame, name: str) -> pd.Series:
    """A code, or the first of several."""
    if name not in clients:
        return pd.Series(UNKNOWN, index=clients.index)
    words = [UNKNOWN if pd.isna(cell) else str(cell).split("|")[0] for cell in clients[name]]
    return pd.Series(words, index=clients.index, dtype=object)


def _numbers(clients: pd.DataFrame, name: str) -> pd.Series:
    none = pd.Series(np.nan, index=clients.index)
    return pd.Series(clients[name].to_numpy(dtype=np.float64, na_value=np.nan)) if name in clients else none


def _bands(values: pd.Series, bands: Mapping[str, int]) -> pd.Series:
    place = np.searchsorted(list(bands.values()), values.to_numpy(dtype=np.float64), side="right")
    names = np.array([*bands, UNKNOWN], dtype=object)
    return pd.Series(np.where(values.isna(), UNKNOWN, names[np.minimum(place, len(bands))]))


def _fifths(decile: pd.Series) -> pd.Series:
    lower = 2 * ((decile - 1) // 2) + 1
    words = [UNKNOWN if np.isnan(d) else f"decile_{int(d)}_to_{int(d) + 1}" for d in lower]
    return pd.Series(words, index=decile.index, dtype=object)


def _thirds(seen: Scored, reads: Reads) -> pd.Series:
    """Thirds of the severity at intake of those learned from, taken as normal."""
    names = reads.features.columns_of("client")
    if "severity" not in names:
        return pd.Series(UNKNOWN, index=range(len(seen.therapist_id)))
    severity = seen.blocks["client"][:, names.index("severity")]
    z = (severity - reads.design.severity_mean) / reads.design.severity_sd
    words = np.array(["lower_third", "middle_third", "upper_third"])[np.searchsorted([-THIRD, THIRD], np.nan_to_num(z))]
    return pd.Series(np.where(np.isnan(severity), UNKNOWN, words))


def cells(groups: Groups, rows: Ints) -> tuple[list[tuple[str, str]], Bools]:
    """Attribute and group of every cell, and which of the rows are in it, shape (rows, cells)."""
    names, members = [], []
    for attribute, values in groups.items():
        mine = values.to_numpy(dtype=object)[rows]
        for group in sorted(set(values), key=lambda word: (word == UNKNOWN, word)):
            names.append((attribute, str(group)))
            members.append(mine == group)
    return names, np.array(members, dtype=bool).reshape(len(names), len(rows)).T


def group_table(
    groups: Groups, rows: Ints, columns: Mapping[str, Floats], weight: Floats, resamples: Resamples
) -> list[dict[str, Any]]:
    """A row for each group: `n`, and the mean of every column over its rows with interval; `n` None: under 10 rows.

    `columns` hold a value for each of `rows`, positions among the rows of `groups`; NaN is left out.
    """
    names, member = cells(groups, rows)
    shown = member.sum(axis=0) >= FEWEST_IN_CELL
    table: list[dict[str, Any]] = [
        {"attribute": attribute, "group": group, "n": int(count) if count >= FEWEST_IN_CELL else None}
        for (attribute, group), count in zip(names, member.sum(axis=0), strict=True)
    ]
    for name, values in columns.items():
        known = member & ~np.isnan(values)[:, None]
        figures = resamples.means(np.repeat(values[:, None], member.shape[1], axis=1), weight[:, None] * known)
        for row, figure, enough in zip(table, figures, shown & (known.sum(axis=0) >= FEWEST_IN_CELL), strict=True):
            if enough:
                row[name] = figure.as_json(DIGITS)
    return table
