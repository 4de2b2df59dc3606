"""The rules of measures: known instruments that are on, items they have, values within their ranges."""

import numpy as np
import pandas as pd

from data.dataset import Dataset
from data.errors import Problem
from data.instruments import INSTRUMENTS, Instrument
from data.manifest import MANIFEST
from data.parsing import cell_problems


def measure_problems(dataset: Dataset) -> list[Problem]:
    """Everything wrong with the measures table beyond its columns."""
    measures = dataset.frames.get("measures")
    if measures is None or any(c not in measures for c in ("instrument", "session", "value")):
        return []
    usable = dataset.manifest.instruments()
    found = _strangers(measures, set(usable))
    for name in dict.fromkeys(measures["instrument"].dropna()):
        here = (measures["instrument"] == name).to_numpy(bool)
        if name in usable:
            found += _items_and_values(usable[name], measures, here)
        elif name in INSTRUMENTS:
            found.append(_off(INSTRUMENTS[name], int(here.sum())))
        if name in INSTRUMENTS and INSTRUMENTS[name].never_at_intake:
            found += _at_intake(INSTRUMENTS[name], measures, here)
    return found


def _strangers(measures: pd.DataFrame, usable: set[str]) -> list[Problem]:
    values = measures["instrument"]
    bad = (values.notna() & ~values.isin(usable | set(INSTRUMENTS))).to_numpy(bool)
    rule = f"must be one of {', '.join(INSTRUMENTS)}, or declared"
    return cell_problems("measures", "instrument", values, bad, rule, f"declare [instrument.NAME] in {MANIFEST}")


def _off(instrument: Instrument, rows: int) -> Problem:
    return Problem(
        "measures instrument",
        f"{instrument.id} in {rows} rows",
        f"is off until a licence is named: {instrument.licence}",
        f'say [instrument.{instrument.id}] licence_held_by = "..." in {MANIFEST}, or leave it out',
    )


def _at_intake(instrument: Instrument, measures: pd.DataFrame, here: np.ndarray) -> list[Problem]:
    bad = here & (measures["session"] == 0).fillna(False).to_numpy(bool)
    rule = f"{instrument.id} cannot be rated before a first session: never at session 0"
    return cell_problems("measures", "session", measures["session"], bad, rule, "give the session it was rated after")


def _items_and_values(instrument: Instrument, measures: pd.DataFrame, here: np.ndarray) -> list[Problem]:
    rows = np.flatnonzero(here)
    parts = measures["item"].iloc[rows].groupby(measures["item"].iloc[rows], sort=False).indices
    return [p for item, places in parts.items() for p in _item(instrument, str(item), measures, rows[places])]


def _item(instrument: Instrument, item: str, measures: pd.DataFrame, rows: np.ndarray) -> list[Problem]:
    ends = instrument.item_range(item)
    if ends is None:
        bad = _mask(measures, rows)
        return cell_problems(
            "measures", "item", measures["item"], bad, instrument.items_in_words, "mend or leave it out"
        )
    values = measures["value"].to_numpy(float)[rows]
    outside = (values < ends[0]) | (values > ends[1])
    broken = ~outside & (values % 1 > 0) & instrument.has_whole(item)
    what, step = f"{instrument.id} item {item} must be", _step(instrument, item)
    return [
        problem
        for bad, rule in ((outside, f"{what} from {ends[0]:g} to {ends[1]:g}"), (broken, f"{what} a whole number"))
        if bad.any()
        for problem in cell_problems("measures", "value", measures["value"], _mask(measures, rows[bad]), rule, step)
    ]


def _mask(measures: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    mask = np.zeros(len(measures), dtype=bool)
    mask[rows] = True
    return mask


def _step(instrument: Instrument, item: str) -> str:
    if instrument.is_mean(item):
        return "give the item mean: divide a sum by its number of items (scale, in a mapping file)"
    return "mend the value"
