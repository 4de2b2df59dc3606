"""From answers to totals and bands. Arrays in, arrays out; unknown stays unknown; no imputation by stealth."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from data.errors import DataError, NotFoundError, Problem
from data.instruments import Instrument

Floats = npt.NDArray[np.float64]
Missing = Literal["refuse", "prorate"]


def total(instrument: Instrument, answers: npt.ArrayLike, missing: Missing = "refuse") -> Floats:
    """One total per row of `answers` (rows x items, NaN = not answered), NaN where there is none.

    Incomplete rows have a total only with `missing="prorate"` and within the instrument's limits: a sum is the mean
    of the answered items times the number of items, halves up; an item mean is the mean of its subscale means.
    Raises NotFoundError if the instrument is not scored from items, DataError for answers out of range.
    """
    items = _turned(instrument, answers)
    allowed = _may_have_total(instrument, items, missing)
    if instrument.score == "mean":
        scores = np.mean([_item_mean(items[:, _at(part)]) for part in instrument.subscales.values()], axis=0)
    else:
        scores = _prorated_sum(items)
    return np.where(allowed, scores, np.nan)


def subscale(instrument: Instrument, answers: npt.ArrayLike, name: str, missing: Missing = "refuse") -> Floats:
    """The subscale's score per row, on the item scale for item-mean instruments, else a sum.

    Raises NotFoundError for a subscale that does not exist.
    """
    if name not in instrument.subscales:
        known = ", ".join(instrument.subscales) or "none"
        raise NotFoundError(
            f"{instrument.id} {name}: no such subscale: {instrument.id} has {known} -> use one of these"
        )
    part = _turned(instrument, answers)[:, _at(instrument.subscales[name])]
    unanswered = np.isnan(part).sum(axis=1)
    limit = instrument.prorate if missing == "prorate" and instrument.prorate_per_subscale else 0
    scores = _item_mean(part) if instrument.score == "mean" else _prorated_sum(part)
    return np.where(unanswered <= limit, scores, np.nan)


def band(instrument: Instrument, scores: npt.ArrayLike) -> npt.NDArray[np.object_]:
    """The name of each total's band, None for an unknown total. Raises NotFoundError without published bands."""
    if not instrument.bands:
        raise NotFoundError(
            f"{instrument.id} bands: no bands are published for {instrument.id} -> show the total without one"
        )
    values = np.asarray(scores, dtype=float)
    place = np.searchsorted([b.low for b in instrument.bands], values, side="right") - 1
    names = np.array([b.name for b in instrument.bands], dtype=object)
    within = (values >= instrument.low) & (values <= instrument.high)
    found = names[np.clip(place, 0, len(names) - 1)]
    found[~within] = None
    return np.asarray(found, dtype=np.object_)


def in_clinical_range(instrument: Instrument, scores: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each total is known to be in the clinical range. Raises NotFoundError without a cut-off."""
    values = np.asarray(scores, dtype=float)
    cut = instrument.caseness
    return np.asarray(values >= cut if instrument.direction == "lower" else values <= cut)


def _turned(instrument: Instrument, answers: npt.ArrayLike) -> Floats:
    if instrument.totals_only or not instrument.scored:
        raise NotFoundError(
            f"{instrument.id}: scored from items nowhere in this program: only its total is stored -> give the total"
        )
    items = np.array(answers, dtype=float, ndmin=2)
    if items.shape[1] != instrument.items:
        rule = f"{instrument.id} has {instrument.items} items"
        raise DataError(
            [Problem(f"{instrument.id} answers", f"{items.shape[1]} columns", rule, "give one column each")]
        )
    bad = ~np.isnan(items) & ((items < instrument.item_low) | (items > instrument.item_high) | (items % 1 != 0))
    if bad.any():
        raise DataError(_out_of_range(instrument, items, bad))
    turn = _at(instrument.reversed_items)
    items[:, turn] = instrument.item_low + instrument.item_high - items[:, turn]
    return items


def _out_of_range(instrument: Instrument, items: Floats, bad: npt.NDArray[np.bool_]) -> list[Problem]:
    rule = f"must be a whole number from {instrument.item_low:g} to {instrument.item_high:g}"
    return [
        Problem(f"{instrument.id} row {row + 1} item {item + 1}", f"{items[row, item]:g}", rule, "mend the answer")
        for row, item in np.argwhere(bad)[:20]
    ]


def _at(items: tuple[int, ...]) -> list[int]:
    return [item - 1 for item in items]


def _may_have_total(instrument: Instrument, items: Floats, missing: Missing) -> npt.NDArray[np.bool_]:
    unanswered = np.isnan(items)
    limit = instrument.prorate if missing == "prorate" else 0
    parts = list(instrument.subscales.values()) if instrument.prorate_per_subscale else [_every(instrument)]
    within = np.all([unanswered[:, _at(part)].sum(axis=1) <= limit for part in parts], axis=0)
    return np.asarray(within & ~unanswered[:, _at(instrument.must_answer)].any(axis=1))


def _every(instrument: Instrument) -> tuple[int, ...]:
    return tuple(range(1, instrument.items + 1))


def _item_mean(items: Floats) -> Floats:
    answered = (~np.isnan(items)).sum(axis=1)
    return np.asarray(np.nansum(items, axis=1) / np.maximum(answered, 1))


def _prorated_sum(items: Floats) -> Floats:
    answered = np.maximum((~np.isnan(items)).sum(axis=1), 1)
    doubled = 2 * np.nansum(items, axis=1) * items.shape[1] + answered
    return np.asarray(doubled // (2 * answered))  # in whole numbers, so that a half is exactly a half
