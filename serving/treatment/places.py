"""Places and slots of a therapist: taken by a choice, kept by a start, given back by an ending.

Every change is a version of the directory, written in the tenant's turn, so that any worker sees it with its next
request and an answer can be derived again from the version it names.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import sqlalchemy as sa

from data.directory import DirectoryMeta, open_cases, slot_rows, still_taken
from data.errors import ConflictError
from data.versions import change, current, take_turn, version_at
from serving.service import Service

_NEXT = "choose the next one, or ask for a new recommendation"


@dataclass(frozen=True)
class Record:
    """One therapist as the directory has them, read in the tenant's turn."""

    therapist_id: str
    entries: Mapping[str, Any]
    """Kind -> payload, see `data/directory.py`; empty for somebody who is not listed."""
    meta: DirectoryMeta | None
    """None for a tenant without a directory."""

    @classmethod
    def read(cls, connection: sa.Connection, tenant: str, therapist_id: str) -> Self:
        """Takes the tenant's turn first: what is concluded from this holds until the transaction ends."""
        take_turn(connection, tenant)
        found = version_at(connection, tenant)
        entries = current(connection, tenant, therapist_id) if found else {}
        return cls(therapist_id, entries, found.meta if found else None)

    @property
    def listed(self) -> bool:
        """Whether the directory lists the therapist now."""
        return "profile" in self.entries

    @property
    def _caseload(self) -> Mapping[str, Any] | None:
        return self.entries.get("caseload")

    def no_place(self, now: dt.datetime) -> str | None:
        """Why nobody can be taken on at this moment, with what to do; None where a place is free.

        What is not on record refuses only where the directory lists the rule `capacity`.
        """
        if not self.listed:
            return f"this therapist is no longer listed -> {_NEXT}"
        profile, caseload = self.entries["profile"], self._caseload
        accepts, capacity = profile.get("accepts_new"), profile.get("caseload_capacity")
        unknown = accepts is None or capacity is None or caseload is None
        if unknown and self.meta is not None and "capacity" in self.meta.rules:
            return f"it is not on record whether this therapist has a place -> {_NEXT}"
        if accepts is False:
            return f"this therapist takes no new clients at present -> {_NEXT}"
        if capacity is not None and caseload is not None and open_cases(caseload, now) >= capacity:
            return f"the last place with this therapist has been taken -> {_NEXT}"
        return None

    def holds(self, episode_id: str, now: dt.datetime) -> bool:
        """Whether a place is taken for the episode at this moment."""
        return any(one["episode_id"] == episode_id for one in still_taken(self._caseload, now))

    def is_over(self, now: dt.datetime) -> bool:
        """Whether more cases are open than the therapist has places."""
        capacity = self.entries.get("profile", {}).get("caseload_capacity")
        return capacity is not None and self._caseload is not None and open_cases(self._caseload, now) > capacity

    def with_place(self, episode_id: str, until: dt.datetime | None, now: dt.datetime) -> Self:
        """With a place taken for the episode: until a moment if it has not started, for good (None) if it has."""
        end = None if until is None else until.astimezone(dt.UTC).isoformat()
        mine = {"episode_id": episode_id, "until": end}
        if mine in still_taken(self._caseload, now):
            return self
        others = [one for one in still_taken(self._caseload, now) if one["episode_id"] != episode_id]
        return self._with(caseload={**(self._caseload or {"open_cases": 0}), "taken": [*others, mine]})

    def without_place(self, episode_id: str, now: dt.datetime) -> Self:
        """With the episode's place and its slot, if that is still to come, free again."""
        taken = (self._caseload or {}).get("taken", [])
        others = [one for one in taken if one["episode_id"] != episode_id]
        freed = self if len(others) == len(taken) else self._with(caseload={**(self._caseload or {}), "taken": others})
        return freed.without_slot(episode_id, now)

    def with_slot(self, starts_at: dt.datetime, episode_id: str, now: dt.datetime) -> Self | None:
        """With the free slot of that moment booked for the episode; None where there is no such slot to come."""
        rows = slot_rows(self.entries.get("slots", []))
        for at, row in enumerate(rows):
            if _moment(row) == starts_at > now and (row.get("status") or "free") == "free":
                booked = {**row, "status": "booked", "episode_id": episode_id}
                return self._with_slots([*rows[:at], booked, *rows[at + 1 :]])
        return None

    def has_slot(self, starts_at: dt.datetime) -> bool:
        """Whether a slot of any status is listed for that moment."""
        return any(_moment(row) == starts_at for row in slot_rows(self.entries.get("slots", [])))

    def without_slot(self, episode_id: str, now: dt.datetime) -> Self:
        """With a slot to come that is booked for the episode free again."""
        rows = slot_rows(self.entries.get("slots", []))
        freed = [_freed(row) if row.get("episode_id") == episode_id and _moment(row) > now else row for row in rows]
        return self if freed == rows else self._with_slots(freed)

    def _with_slots(self, rows: list[dict[str, Any]]) -> Self:
        slots = self.entries.get("slots")
        return self._with(slots={**(slots if isinstance(slots, Mapping) else {}), "rows": rows})

    def _with(self, **payloads: Any) -> Self:
        return replace(self, entries={**self.entries, **payloads})


def save(
    connection: sa.Connection,
    tenant: str,
    source: str,
    records: Iterable[tuple[Record, Record]],
    now: dt.datetime,
) -> int | None:
    """Writes what differs between pairs of before and after as one version; None where nothing does."""
    entries: dict[str, dict[str, Any]] = {}
    for before, after in records:
        for kind, payload in after.entries.items():
            if payload != before.entries.get(kind):
                entries.setdefault(kind, {})[after.therapist_id] = payload
    return change(connection, tenant, source, entries, now) if entries else None


def require_stored(service: Service) -> None:
    """Raises ConflictError where a dataset is served as it stands: nothing in it can be taken."""
    if service.fixed is not None:
        raise ConflictError(
            "this service serves a dataset as it stands, so no place in it can be taken or given back "
            "-> load it with `therapist-fit data load DATASET` and serve from the database"
        )


def _moment(row: Mapping[str, Any]) -> dt.datetime:
    """When a slot begins; the directory keeps times in UTC."""
    moment = dt.datetime.fromisoformat(str(row["starts_at"]))
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _freed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "episode_id"} | {"status": "free"}
