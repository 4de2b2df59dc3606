"""From answers to totals, bands and change. Arrays in, arrays out; unknown stays unknown; no imputation by stealth.

Truth values come back as pandas "boolean" arrays: an unknown score is neither a case nor not a case, unless what
is known already decides (True or unknown = True).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.errors import DataError, NotFoundError, Problem
from data.instruments import INSTRUMENTS, TOTAL, Instrument

Floats = npt.NDArray[np.float64]
Missing = Literal["refuse", "prorate"]
Spread = Literal["all_with_intake", "those_with_both"]


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


def at_caseness(instrument: Instrument, scores: npt.ArrayLike) -> Any:
    """Whether each total is in the clinical range (pandas boolean). Raises NotFoundError without a cut-off."""
    values = np.asarray(scores, dtype=float)
    cut = instrument.caseness
    return _boolean(values >= cut if instrument.direction == "lower" else values <= cut, np.isnan(values))


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


_SLACK = 1e-9  # item means and visual scales are not exact in binary


def _unusable_spread(instrument: Instrument, reliability: float, n: int) -> Problem:
    if n < 2:
        return Problem(f"{instrument.id} intake scores", str(n), "an SD needs at least two", "use the published change")
    return Problem(f"{instrument.id} reliability", str(reliability), "must lie in 0 <= reliability < 1", "mend it")


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


def _added(instrument: Instrument, rows: pd.DataFrame, missing: Missing) -> pd.DataFrame:
    key = ["episode_id", "session", "rater"]
    names = [str(i) for i in _every(instrument)]
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


def _boolean(values: Any, unknown: npt.NDArray[np.bool_]) -> Any:
    return pd.arrays.BooleanArray(np.array(values, dtype=bool), unknown.copy())
