"""The directory in memory: who is listed, as the rules and the model read it, at one version."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from data.directory import KINDS, DirectoryData, DirectoryMeta, Entries, slot_rows
from data.sql import TENANT
from data.versions import Changes, Version, changed_rows, changes_since, stream, version_at
from features.columns import Columns, Floats, Ints
from features.patching import in_order_of_therapists, in_order_of_time, joined_columns, relisted
from features.practice import Licences, Practice, Slots
from features.rows import THERAPIST_KINDS
from serving.listing.capacity import Cases, Prices, moved_values, rows_among
from serving.settings import Settings

Days = npt.NDArray[np.datetime64]
_UNREAD = {"npi"}
"""Columns that neither a rule nor a model reads."""
_BATCH = 5_000
"""Therapists whose rows are in memory as plain values at once."""


@dataclass(frozen=True)
class Directory:
    """Listed therapists in order of their ids; every array of rows keeps that order."""

    version: int
    source: str
    meta: DirectoryMeta
    ids: tuple[str, ...]
    place: dict[str, int]
    """Row of each therapist."""
    updated_on: Days
    """Day of each profile, NaT where unknown."""
    slots_on: Days
    """Day on which each therapist's slots were last given, NaT where unknown."""
    columns: Columns
    """Profiles, as the model reads them."""
    practice: Practice
    """What the rules read; ask `practice_on` for ages, and for the cases open at a moment."""
    cases: Cases
    costs: Prices
    profiles_at: int
    """The version at which a profile last changed: what is computed from profiles alone holds since then."""

    @classmethod
    def of(cls, data: DirectoryData, settings: Settings) -> Self:
        """From plain entries."""
        rows = ((kind, *one) for kind in KINDS for one in data.entries.get(kind, {}).items())
        return cls._read(Version(data.version, dt.datetime.min, data.source, data.meta), rows, settings)

    @classmethod
    def read(
        cls, engine: sa.Engine, settings: Settings, tenant: str = TENANT, version: int | None = None
    ) -> Self | None:
        """From the database, at a version or the newest, with few rows in memory at once; None where there is none."""
        with engine.connect() as connection:
            found = version_at(connection, tenant, version)
            return cls._read(found, stream(connection, tenant, found.version), settings) if found else None

    @classmethod
    def _read(cls, found: Version, rows: Iterable[tuple[str, str, Any]], settings: Settings) -> Self:
        directory = cls._empty(found.meta, settings)
        for entries in _batches(rows):
            directory = directory._with(entries, settings)
        return replace(directory, version=found.version, source=found.source, profiles_at=found.version)

    @classmethod
    def _empty(cls, meta: DirectoryMeta, settings: Settings) -> Self:
        days, nobody = np.zeros(0, dtype="datetime64[D]"), Columns(0)
        rules, training = meta.rules, settings.required_training
        practice = Practice(
            nobody.with_numbers(open_cases=np.zeros(0)),
            Licences.of([], []),
            Slots.of([], [], settings.zone),
            rules,
            training,
        )
        return cls(0, "", meta, (), {}, days, days, nobody, practice, Cases.of(0, ()), Prices.of(0, ()), 0)

    def changed(self, changes: Changes, settings: Settings) -> Self:
        """The same directory at a later version. Arrays that nothing changed in are shared, not copied."""
        new = self._with(changes.entries, settings)
        return replace(
            new,
            version=changes.version,
            source=changes.source,
            meta=changes.meta,
            practice=replace(new.practice, rules=changes.meta.rules),
            profiles_at=changes.version if changes.entries.get("profile") else self.profiles_at,
        )

    @property
    def size(self) -> int:
        """How many therapists it lists."""
        return len(self.ids)

    def rows_of(self, therapist_ids: list[str]) -> Ints:
        """Rows of those who are listed; others are passed over."""
        return np.array([self.place[name] for name in therapist_ids if name in self.place], dtype=np.int64)

    def practice_on(self, day: dt.date, now: dt.datetime | None = None) -> Practice:
        """What the rules read, with ages in the year of that day and the cases open at that moment.

        Without a moment every place that was taken counts as taken.
        """
        age = day.year - self.columns.number("birth_year")
        therapists = self.columns.with_numbers(age=age, open_cases=self.cases.at(now))
        return replace(self.practice, therapists=therapists)

    def places(self, now: dt.datetime) -> Ints:
        """Free places of each therapist at a moment; none where the rule `capacity` would exclude them."""
        free = self.columns.number("caseload_capacity") - self.cases.at(now)
        return np.where((free > 0) & (self.columns.number("accepts_new") == 1), free, 0).astype(np.int64)

    def prices(self, now: dt.datetime) -> Floats | None:
        """What a place with each therapist costs at a moment, in SD of the utility; None where no price holds."""
        return self.costs.at(now)

    def age_days(self, row: int, day: np.datetime64) -> int | None:
        """Days since the profile was updated, never negative; None where no day is on record."""
        return _days_since(self.updated_on[row], day)

    def slots_age_days(self, row: int, day: np.datetime64) -> int | None:
        """Days since the slots were given, never negative; None where no day is on record."""
        return _days_since(self.slots_on[row], day)

    def _with(self, entries: Entries, settings: Settings) -> Self:
        """With other entries; None takes one away."""
        listing = self._listing(entries["profile"]) if entries.get("profile") else self
        by_row = {
            kind: {listing.place[name]: one for name, one in entries[kind].items() if name in listing.place}
            for kind in KINDS[1:]
            if entries.get(kind)
        }
        return listing._filled(by_row, settings)

    def _listing(self, profiles: Mapping[str, Any]) -> Self:
        """With other profiles, those who are new, and without those who are gone; the rest moves along."""
        given = {name: one for name, one in profiles.items() if one is not None}
        ids = tuple(sorted([*(name for name in self.ids if name not in profiles), *given]))
        place = self.place if ids == self.ids else {name: row for row, name in enumerate(ids)}
        to = np.fromiter((place.get(name, -1) for name in self.ids), np.int64, self.size)
        source = np.empty(len(ids), dtype=np.int64)
        source[to[to >= 0]] = np.flatnonzero(to >= 0)
        source[[place[name] for name in given]] = self.size + np.arange(len(given))
        days = np.array([one.get("profile_updated_on", "NaT") for one in given.values()], dtype="datetime64[D]")
        kinds = THERAPIST_KINDS | dict(self.meta.therapist_kinds)
        columns = Columns.of(_table(list(given.values())), kinds, len(given))
        updated_on = np.concatenate([self.updated_on, days])[source]
        new = replace(self, ids=self.ids if place is self.place else ids, place=place, updated_on=updated_on)
        return replace(new, columns=joined_columns([self.columns, columns], source))._moved(to, len(ids))

    def _moved(self, to: Ints, size: int) -> Self:
        """What hangs on therapists, where row i has become row `to[i]`, -1 where it is no longer listed."""
        if len(to) == size and np.array_equal(to, np.arange(size)):
            return self
        licences, slots = relisted(self.practice.licences, to), relisted(self.practice.slots, to)
        return replace(
            self,
            practice=replace(self.practice, licences=licences, slots=slots),
            slots_on=moved_values(self.slots_on, to, size),
            cases=self.cases.moved(to, size),
            costs=self.costs.moved(to, size),
        )

    def _filled(self, by_row: Mapping[str, Mapping[int, Any]], settings: Settings) -> Self:
        """With other licences, slots, caseloads and prices in some rows."""
        practice, slots_on, cases, costs = self.practice, self.slots_on, self.cases, self.costs
        if licences := by_row.get("licences"):
            new_licences = Licences.of(*_rows(licences))
            kept = ~rows_among(practice.licences.therapist, licences, self.size)
            practice = replace(practice, licences=in_order_of_therapists(practice.licences, kept, new_licences))
        if slots := by_row.get("slots"):
            new_slots = Slots.of(*_rows(slots), settings.zone)
            kept = ~rows_among(practice.slots.therapist, slots, self.size)
            practice = replace(practice, slots=in_order_of_time(practice.slots, kept, new_slots))
            slots_on = slots_on.copy()
            slots_on[list(slots)] = [_given_on(one) for one in slots.values()]
        if caseloads := by_row.get("caseload"):
            cases = cases.changed(caseloads)
        if prices := by_row.get("price"):
            costs = costs.changed(prices)
        practice = replace(practice, therapists=self.columns.with_numbers(open_cases=cases.at(None)))
        return replace(self, practice=practice, slots_on=slots_on, cases=cases, costs=costs)


def newest(engine: sa.Engine, settings: Settings, tenant: str, before: Directory | None = None) -> Directory | None:
    """The tenant's newest directory: `before` with what changed since, or read whole where that is less work."""
    if before is not None:
        with engine.connect() as connection:
            if changed_rows(connection, tenant, before.version) <= _BATCH:
                changes = changes_since(connection, tenant, before.version)
                if changes is not None and changes.meta.therapist_kinds == before.meta.therapist_kinds:
                    return before.changed(changes, settings)
    return Directory.read(engine, settings, tenant)


def _batches(rows: Iterable[tuple[str, str, Any]]) -> Iterator[Entries]:
    """Entries of one kind, a few thousand therapists at a time."""
    for kind, of_kind in groupby(rows, key=lambda row: row[0]):
        while batch := {therapist: payload for _, therapist, payload in islice(of_kind, _BATCH)}:
            yield {kind: batch}


def _table(profiles: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = sorted({name for profile in profiles for name in profile} - _UNREAD)
    return {name: [profile.get(name) for profile in profiles] for name in names}


def _rows(by_row: Mapping[int, Any]) -> tuple[list[int], list[dict[str, Any]]]:
    """Rows of a table that hangs on therapists, and the directory row of each."""
    found = [(row, one) for row, payload in by_row.items() for one in slot_rows(payload or [])]
    return [row for row, _ in found], [one for _, one in found]


def _given_on(slots: Any) -> np.datetime64:
    known = slots.get("updated_at") if isinstance(slots, Mapping) else None
    return np.datetime64(known[:10] if known else "NaT", "D")


def _days_since(day: np.datetime64, now: np.datetime64) -> int | None:
    return None if np.isnat(day) else max(int((now - day).astype(np.int64)), 0)
