"""Totals where a table of measures has the answers but not the total."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from data.instruments import INSTRUMENTS, TOTAL, Instrument
from data.scoring import Missing, total


def totals(
    measures: pd.DataFrame, missing: Missing = "refuse", instruments: Mapping[str, Instrument] = INSTRUMENTS
) -> pd.DataFrame:
    """The measures with a total (item "0") added wherever items are there and the total is not.

    A computed total carries the day on which its last item was answered. Rows come back in their order, the added
    totals after them. Raises DataError for answers out of range.
    """
    added = [
        _added(instrument, measures[measures["instrument"] == name], missing)
        for name, instrument in instruments.items()
        if instrument.scored and not instrument.totals_only
    ]
    return pd.concat([measures, *(a for a in added if len(a))], ignore_index=True)


def _added(instrument: Instrument, rows: pd.DataFrame, missing: Missing) -> pd.DataFrame:
    key = ["episode_id", "session", "rater"]
    names = [str(i) for i in range(1, instrument.items + 1)]
    items = rows[rows["item"].isin(names)]
    if items.empty:
        return rows.iloc[:0]
    scored = pd.MultiIndex.from_frame(rows.loc[rows["item"] == TOTAL, key])
    items = items[~pd.MultiIndex.from_frame(items[key]).isin(scored)]
    if items.empty:
        return rows.iloc[:0]
    person = items.groupby(key, sort=False).ngroup().to_numpy()
    answers = np.full((person.max() + 1, instrument.items), np.nan)
    answers[person, items["item"].astype(int).to_numpy() - 1] = items["value"].to_numpy(float)
    out = items.drop_duplicates(key).assign(item=TOTAL, value=total(instrument, answers, missing))
    if "taken_on" in rows:
        out["taken_on"] = items.groupby(person)["taken_on"].max().to_numpy()
    return out[out["value"].notna()]
