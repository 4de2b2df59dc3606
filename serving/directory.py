"""The directory in memory: who is listed, as the rules and the model read it, at one version."""

import datetime as dt
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from data.directory import DirectoryData, DirectoryMeta, slot_rows
from features.columns import Bools, Columns, Floats, Ints
from features.practice import Licences, Practice, Slots
from features.rows import THERAPIST_KINDS
from serving.settings import Settings

Days = npt.NDArray[np.datetime64]


@dataclass(frozen=True)
class Directory:
    """Listed therapists in order of their ids; every array of rows keeps that order."""

    version: int
    source: str
    meta: DirectoryMeta
    ids: tuple[str, ...]
    table: dict[str, list[Any]]
    """Profile columns as tables hold them, for the model's own columns."""
    updated_on: Days
    """Day of each profile, NaT where unknown."""
    practice: Practice

    @classmethod
    def of(cls, data: DirectoryData, settings: Settings) -> Self:
        """From plain entries."""
        profiles = data.entries["profile"]
        ids = tuple(sorted(profiles))
        table = _table([profiles[name] for name in ids])
        licences = _rows(data, "licences", ids)
        slots = _rows(data, "slots", ids)
        cases = [data.entries["caseload"].get(name, {}).get("open_cases") for name in ids]
        practice = Practice(
            _columns(table, cases, data.meta),
            Licences.of(*licences),
            Slots.of(*slots, settings.zone),
            data.meta.rules,
            settings.required_training,
        )
        updated = np.array([profiles[name].get("profile_updated_on", "NaT") for name in ids], dtype="datetime64[D]")
        return cls(data.version, data.source, data.meta, ids, table, updated, practice)

    @property
    def size(self) -> int:
        """How many therapists it lists."""
        return len(self.ids)

    @cached_property
    def place(self) -> dict[str, int]:
        """Row of each therapist."""
        return {name: row for row, name in enumerate(self.ids)}

    def rows_of(self, therapist_ids: list[str]) -> Ints:
        """Rows of those who are listed; others are passed over."""
        return np.array([self.place[name] for name in therapist_ids if name in self.place], dtype=np.int64)

    def practice_on(self, day: dt.date) -> Practice:
        """What the rules read, with the therapists' ages in the year of that day."""
        therapists = self.practice.therapists
        return replace(
            self.practice, therapists=therapists.with_numbers(age=day.year - therapists.number("birth_year"))
        )

    def soonest(self, bookable: Bools) -> npt.NDArray[np.datetime64]:
        """Start of each therapist's first bookable slot, NaT where there is none; slots are in order of time."""
        slots = self.practice.slots
        first = np.full(self.size, np.datetime64("NaT"), dtype="datetime64[s]")
        taken = np.flatnonzero(bookable)[::-1]
        first[slots.therapist[taken]] = slots.starts_at[taken]
        return first

    def age_days(self, row: int, day: np.datetime64) -> int | None:
        """Days since the profile was updated, never negative; None where no day is on record."""
        updated = self.updated_on[row]
        return None if np.isnat(updated) else max(int((day - updated).astype(np.int64)), 0)


def _columns(table: dict[str, list[Any]], cases: list[int | None], meta: DirectoryMeta) -> Columns:
    kinds = THERAPIST_KINDS | dict(meta.therapist_kinds)
    open_cases: Floats = np.array([np.nan if count is None else float(count) for count in cases])
    return Columns.of(table, kinds, len(cases)).with_numbers(open_cases=open_cases)


def _table(profiles: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = sorted({name for profile in profiles for name in profile})
    return {name: [profile.get(name) for profile in profiles] for name in names}


def _rows(data: DirectoryData, kind: str, ids: tuple[str, ...]) -> tuple[list[int], list[dict[str, Any]]]:
    """Rows of a table that hangs on therapists, and the directory row of each."""
    found = [(row, one) for row, name in enumerate(ids) for one in slot_rows(data.entries[kind].get(name, []))]
    return [row for row, _ in found], [one for _, one in found]
