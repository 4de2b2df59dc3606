"""For whom it works: error, calibration and gain by group of clients, unknown being a group of its own.

Cells under 10 rows are not shown. Nothing here is a feature: groups are looked at, never ranked by.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import History
from training.bands import FEWEST_IN_CELL, UNKNOWN, age_bands, fifths, first_word, thirds
from training.evaluate import DIGITS, Resamples
from training.scoring import Reads, Scored

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Groups = Mapping[str, pd.Series]
"""Attribute -> the group of each row."""

THIRD = 0.4307
"""A third of a normal distribution lies beyond this many SD."""


AUDIT_ONLY = ("disability", "sexual_orientation")
"""Attributes that no model may see; audits look at them where they are recorded."""


def groups_of(history: History, episodes: pd.DataFrame, seen: Scored, reads: Reads) -> Groups:
    """Groups of the clients of some episodes, as known on the day of each match."""
    found = groups_with(history, episodes, standard_severity(seen.blocks["client"], reads))
    return {name: values for name, values in found.items() if name not in AUDIT_ONLY}


def groups_with(history: History, episodes: pd.DataFrame, severity: Floats) -> Groups:
    """The same, and those by attributes for audits only; `severity` (n,) is standardised, NaN where unknown."""
    known = history.as_of_each(episodes["matched_on"].to_numpy().astype("datetime64[D]"))
    clients = known.clients(episodes["client_id"]).reset_index(drop=True)
    return client_groups(clients, pd.Series(episodes["matched_on"].dt.year.to_numpy()), severity)


def client_groups(clients: pd.DataFrame, year: pd.Series, severity: Floats) -> Groups:
    """Groups of clients' rows in some years; attributes that are unknown of everybody are left out."""
    found = {
        "gender": _words(clients, "gender"),
        "age_band": pd.Series(age_bands((year - _numbers(clients, "birth_year")).to_numpy(dtype=np.float64))),
        "ethnicity": _words(clients, "ethnicity"),
        "language": _words(clients, "languages"),
        "payer": _words(clients, "payer"),
        "deprivation": pd.Series(fifths(_numbers(clients, "deprivation_decile").to_numpy(dtype=np.float64))),
        "severity_band": _thirds(severity),
        "problem": _words(clients, "problems"),
        "disability": _words(clients, "disability").replace({"True": "yes", "False": "no"}),
        "sexual_orientation": _words(clients, "sexual_orientation"),
    }
    return {name: values for name, values in found.items() if (values != UNKNOWN).any()}


def standard_severity(client_block: Floats, reads: Reads) -> Floats:
    """Standardised severity at intake, from the columns of clients as built; NaN where unknown."""
    names = reads.features.columns_of("client")
    if "severity" not in names:
        return np.full(len(client_block), np.nan)
    z: Floats = (client_block[:, names.index("severity")] - reads.design.severity_mean) / reads.design.severity_sd
    return z


def _words(clients: pd.DataFrame, name: str) -> pd.Series:
    """A code, or the first of several."""
    if name not in clients:
        return pd.Series(UNKNOWN, index=clients.index)
    codes, cells = clients[name].factorize()
    words = np.array([*(first_word(cell) for cell in cells), UNKNOWN], dtype=object)
    return pd.Series(words[codes], index=clients.index, dtype=object)


def _numbers(clients: pd.DataFrame, name: str) -> pd.Series:
    none = pd.Series(np.nan, index=clients.index)
    return pd.Series(clients[name].to_numpy(dtype=np.float64, na_value=np.nan)) if name in clients else none


def _thirds(severity: Floats) -> pd.Series:
    """Thirds of the severity at intake of those learned from, taken as normal."""
    return pd.Series(thirds(severity, -THIRD, THIRD))


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
