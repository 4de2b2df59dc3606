"""How full therapists are and what a place with them is worth, at any moment: rows are those of the directory."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from features.columns import Bools, Floats, Ints

Moments = npt.NDArray[np.datetime64]
Payloads = Iterable[tuple[int, Any]]
"""Rows of the directory with what is on record there, None for nothing."""


@dataclass(frozen=True)
class Cases:
    """Open cases of each therapist: those that stay, and places that are taken until a choice expires."""

    staying: Floats
    """Counted, or started through the service; NaN where no count is on record."""
    row: Ints
    until: Moments
    """Places not started yet: whose, and when they are free again if nobody comes."""

    @classmethod
    def of(cls, size: int, caseloads: Payloads) -> Self:
        """From `caseload` payloads."""
        staying = np.full(size, np.nan)
        expiring: list[tuple[int, str]] = []
        for row, caseload in caseloads:
            if caseload is not None:
                taken = [one["until"] for one in caseload.get("taken", ())]
                staying[row] = caseload["open_cases"] + taken.count(None)
                expiring += [(row, until) for until in taken if until is not None]
        rows = np.array([row for row, _ in expiring], dtype=np.int64)
        return cls(staying, rows, np.array([moment_of(until) for _, until in expiring], dtype="datetime64[us]"))

    def at(self, now: dt.datetime | None) -> Floats:
        """Open cases at a moment; without one, with every place that may still be given up."""
        if not len(self.row):
            return self.staying
        waiting = self.row if now is None else self.row[self.until > moment_of(now)]
        return self.staying + np.bincount(waiting, minlength=len(self.staying))

    def changed(self, caseloads: Mapping[int, Any]) -> Self:
        """With other payloads in some rows."""
        new = self.of(len(self.staying), caseloads.items())
        staying = self.staying.copy()
        staying[list(caseloads)] = new.staying[list(caseloads)]
        kept = ~rows_among(self.row, caseloads, len(staying))
        return type(self)(
            staying, np.concatenate([self.row[kept], new.row]), np.concatenate([self.until[kept], new.until])
        )

    def moved(self, to: Ints, size: int) -> Self:
        """In a directory where row i has become row `to[i]`, -1 where it is no longer listed."""
        row = to[self.row]
        return type(self)(moved_values(self.staying, to, size), row[row >= 0], self.until[row >= 0])


@dataclass(frozen=True)
class Prices:
    """What a place costs in SD of the utility, as the last allocation of a waiting list found it, and until when."""

    price: Floats
    until: Moments

    @classmethod
    def of(cls, size: int, prices: Payloads) -> Self:
        """From `price` payloads."""
        price, until = np.zeros(size), np.full(size, np.datetime64("NaT"), dtype="datetime64[us]")
        for row, one in prices:
            if one is not None:
                price[row], until[row] = one["price"], moment_of(one["until"])
        return cls(price, until)

    def at(self, now: dt.datetime) -> Floats | None:
        """Prices at a moment, 0 where none holds; None where none holds at all."""
        holds = self.until > moment_of(now)
        return np.where(holds, self.price, 0.0) if holds.any() else None

    def changed(self, prices: Mapping[int, Any]) -> Self:
        """With other payloads in some rows."""
        new, rows = self.of(len(self.price), prices.items()), list(prices)
        price, until = self.price.copy(), self.until.copy()
        price[rows], until[rows] = new.price[rows], new.until[rows]
        return type(self)(price, until)

    def moved(self, to: Ints, size: int) -> Self:
        """In a directory where row i has become row `to[i]`, -1 where it is no longer listed."""
        until = np.full(size, np.datetime64("NaT"), dtype="datetime64[us]")
        until[to[to >= 0]] = self.until[to >= 0]
        return type(self)(np.nan_to_num(moved_values(self.price, to, size)), until)


def moment_of(moment: str | dt.datetime) -> np.datetime64:
    """A moment with its offset, in UTC."""
    moment = dt.datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return np.datetime64(moment.astimezone(dt.UTC).replace(tzinfo=None), "us")


def moved_values(values: Any, to: Ints, size: int) -> Any:
    """Values row by row in a directory where row i has become row `to[i]`; unknown (NaN, NaT) in new rows."""
    found = np.full(size, np.array("NaT" if values.dtype.kind == "M" else "nan", dtype=values.dtype))
    found[to[to >= 0]] = values[to >= 0]
    return found


def rows_among(values: Ints, rows: Iterable[int], size: int) -> Bools:
    """Which of some row numbers are among the rows."""
    among = np.zeros(size, dtype=bool)
    among[list(rows)] = True
    found: Bools = among[values]
    return found
