"""The two sides of a match as the hard rules see them: what a practice has on record, and what one client asks."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from data.manifest import Rule
from features.columns import Bools, Codes, Columns, Ints, Places

Moments = npt.NDArray[np.datetime64]

DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_PARTS = {"am": (0, 12), "pm": (12, 17), "eve": (17, 24)}
TIMES = (*DAY_NAMES, *(f"{day}_{part}" for day in DAY_NAMES for part in DAY_PARTS))
"""Values that a wish about time may have."""


@dataclass(frozen=True)
class Licences:
    """Licences of all therapists, row by row; `therapist` is the row in the directory."""

    therapist: Ints
    jurisdiction: Codes
    valid_from: Moments
    valid_until: Moments
    """Last day, NaT where open-ended."""
    active: Bools

    @classmethod
    def of(cls, therapist: Sequence[int], rows: Sequence[Mapping[str, str | None]]) -> Self:
        """From rows of the licences table (days as ISO text) and the directory row that each belongs to."""
        return cls(
            np.array(therapist, dtype=np.int64),
            Codes.of([row["jurisdiction"] for row in rows]),
            _moments([row["valid_from"] for row in rows], "D"),
            _moments([row.get("valid_until") for row in rows], "D"),
            np.array([(row.get("status") or "active") == "active" for row in rows], dtype=bool),
        )


@dataclass(frozen=True)
class Slots:
    """Slots of all therapists, row by row, in order of time; times in UTC."""

    therapist: Places
    starts_at: Moments
    ahead: npt.NDArray[np.int16]
    """Minutes that a clock on the wall is ahead of UTC then."""
    modality: Codes
    free: Bools

    @classmethod
    def of(cls, therapist: Sequence[int], rows: Sequence[Mapping[str, str | None]], zone: dt.tzinfo = dt.UTC) -> Self:
        """From rows of the slots table (times as ISO text in UTC, ending in Z) and the directory row of each."""
        starts_at = _moments([str(row["starts_at"]).removesuffix("Z") for row in rows], "s")
        in_order = np.argsort(starts_at, kind="stable")
        return cls(
            np.array(therapist, dtype=np.int32)[in_order],
            starts_at[in_order],
            _ahead(starts_at[in_order], zone),
            Codes.of([row.get("modality") for row in rows]).take(in_order),
            np.array([(row.get("status") or "free") == "free" for row in rows], dtype=bool)[in_order],
        )

    def local(self, at: Ints | slice = slice(None)) -> Moments:
        """Starts of these slots as a clock on the wall shows them: wishes such as `mon_am` are meant so."""
        local: Moments = self.starts_at[at] + self.ahead[at].astype("timedelta64[m]")
        return local

    def begun_by(self, moment: np.datetime64, side: Literal["left", "right"]) -> int:
        """How many slots start before the moment (`left`), or at it or before (`right`); whole seconds."""
        return int(np.searchsorted(self.starts_at, moment.astype(self.starts_at.dtype), side))

    @cached_property
    def _by_therapist(self) -> tuple[Places, Ints]:
        """Slots therapist by therapist, each's in order of time, and where each therapist's begin."""
        grouped = np.argsort(self.therapist, kind="stable").astype(np.int32)
        ends = np.arange(self.therapist.max(initial=-1) + 2)
        return grouped, np.searchsorted(self.therapist[grouped], ends)

    def of_therapist(self, row: int) -> Ints:
        """Rows of one therapist's slots, in order of time."""
        grouped, begins = self._by_therapist
        return (grouped[begins[row] : begins[row + 1]] if row + 1 < len(begins) else grouped[:0]).astype(np.int64)

    def first(self, bookable: Bools, size: int) -> Ints:
        """Row of the first bookable slot of each of `size` therapists, -1 where there is none.

        Looked for from the soonest on, part by part, each twice as long: most therapists are free before long.
        """
        found, missing = np.full(size, -1, dtype=np.int64), np.ones(size, dtype=bool)
        begin, length = 0, max(2 * size, 1)
        while begin < len(bookable) and missing.any():
            part = slice(begin, begin + length)
            at = begin + np.flatnonzero(bookable[part] & missing[self.therapist[part]])
            who = self.therapist[at]
            found[who[::-1]] = at[::-1]  # backwards, so that the first in time is written last
            missing[who] = False
            begin, length = begin + length, 2 * length
        return found

    def starts(self, at: Ints) -> Moments:
        """Starts of these slots, NaT for -1."""
        found = np.full(len(at), np.datetime64("NaT"), dtype="datetime64[s]")
        found[at >= 0] = self.starts_at[at[at >= 0]]
        return found

    @cached_property
    def free_by_modality(self) -> dict[str, Bools]:
        """Free slots of each modality; those of unknown modality are in none."""
        return {word: self.free & (self.modality.index == i) for i, word in enumerate(self.modality.vocabulary)}


@dataclass(frozen=True)
class Practice:
    """What the directory knows that hard rules ask for. `therapists` has `open_cases` beside the profile's columns."""

    therapists: Columns
    licences: Licences
    slots: Slots
    rules: tuple[Rule, ...]
    required_training: Mapping[str, str] = field(default_factory=dict)
    """Problem -> the verified training it asks for."""


@dataclass(frozen=True)
class Ask:
    """One client's side."""

    client: Columns
    day: np.datetime64
    now: np.datetime64
    window: tuple[np.datetime64, np.datetime64] | None = None
    """First and last moment wanted, UTC."""
    conflicts: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """Rows of therapists who must not be considered: a former therapist, a relative."""


def known(client: Columns, name: str) -> bool:
    """Whether the one client says anything in that column."""
    if name in client.sets:
        return bool(client.sets[name].known[0])
    if name in client.codes:
        return bool(client.codes[name].index[0] >= 0)
    return name in client.numbers and not np.isnan(client.numbers[name][0])


def the_code(client: Columns, name: str) -> str:
    """The one client's word in a column that is known."""
    codes = client.code(name)
    return codes.vocabulary[int(codes.index[0])]


def the_words(client: Columns, name: str) -> list[str]:
    """The one client's words in a column; empty where unknown."""
    values = client.set(name)
    return [word for word, member in zip(values.vocabulary, values.member[0], strict=True) if member]


def bookable_slots(slots: Slots, ask: Ask, any_modality: bool) -> Bools:
    """Free future slots inside the window, held in a way the client can attend (where the client said how)."""
    start, end = slots.begun_by(ask.now, "right"), len(slots.starts_at)
    if ask.window is not None:
        start = max(start, slots.begun_by(ask.window[0], "left"))
        end = slots.begun_by(ask.window[1], "right")
    bookable = np.zeros(len(slots.starts_at), dtype=bool)
    if any_modality or not known(ask.client, "modalities"):
        bookable[start:end] = slots.free[start:end]
        return bookable
    for word in the_words(ask.client, "modalities"):
        if word in slots.free_by_modality:
            bookable[start:end] |= slots.free_by_modality[word][start:end]
    return bookable


def at_wanted_times(slots: Slots, ask: Ask, bookable: Bools) -> Bools:
    """Those of the bookable slots that fall into the times that must, or must not, be."""
    for strength in ("must", "must_not"):
        if known(ask.client, f"{strength}.time"):
            at = in_times(slots.local(), the_words(ask.client, f"{strength}.time"))
            bookable = bookable & (at if strength == "must" else ~at)
    return bookable


def in_times(local: Moments, times: list[str]) -> Bools:
    """Which moments of local time fall into times such as `mon_am`, `tue_eve` or `wed`."""
    day = local.astype("datetime64[D]")
    weekday = (day.astype(np.int64) + 3) % 7  # 1 January 1970 was a Thursday
    hour = (local - day) / np.timedelta64(1, "h")
    inside = np.zeros(len(local), dtype=bool)
    for time in times:
        name, _, part = time.partition("_")
        low, high = DAY_PARTS[part] if part else (0, 24)
        inside |= (weekday == DAY_NAMES.index(name)) & (hour >= low) & (hour < high)
    return inside


def _ahead(utc: Moments, zone: dt.tzinfo) -> npt.NDArray[np.int16]:
    distinct, place = np.unique(utc, return_inverse=True)
    clocks = [moment.replace(tzinfo=dt.UTC).astimezone(zone) for moment in distinct.tolist()]
    return np.array([_minutes(clock.utcoffset()) for clock in clocks], dtype=np.int16)[place]


def _minutes(offset: dt.timedelta | None) -> int:
    return 0 if offset is None else round(offset / dt.timedelta(minutes=1))


def _moments(values: Sequence[str | None], unit: str) -> Moments:
    return np.array([value or "NaT" for value in values], dtype=f"datetime64[{unit}]")
