"""What a directory is: who is listed, with which licences, slots and places, as plain values.

Payloads, by kind:

    profile    columns of the therapists table; sets are joined by `|`
    licences   rows of the licences table
    slots      {"rows": rows of the slots table, "updated_at": day or moment}; times are UTC ending in Z. A slot that a
               choice took has `status` booked and its `episode_id`
    caseload   {"open_cases": n, "counted_on": day, "taken": [{"episode_id", "until": moment or null}]}
    price      {"price": SD, "until": moment}
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from data.manifest import Rule
from data.tables import Kind

KINDS = ("profile", "licences", "slots", "caseload", "price")
Entries = Mapping[str, Mapping[str, Any]]
"""Kind -> therapist -> what is on record, in plain JSON values."""


class DirectoryMeta(BaseModel):
    """What holds for the whole directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    as_of: dt.date | None = None
    rules: tuple[Rule, ...] = ()
    undated: bool = False
    synthetic: bool = False
    client_kinds: Mapping[str, Kind] = Field(default_factory=dict)
    """Kind of each client column that the dataset declares for itself and that is known before a match."""
    therapist_kinds: Mapping[str, Kind] = Field(default_factory=dict)


@dataclass(frozen=True)
class DirectoryData:
    """A whole directory: version 0 is a dataset that was never stored."""

    version: int
    source: str
    meta: DirectoryMeta
    entries: Entries
    episodes: frozenset[str] = field(default=frozenset(), compare=False)
    """Episodes that the dataset holds: it knows whether they take a place."""
    open_episodes: frozenset[str] = field(default=frozenset(), compare=False)
    """Those of them that do: their places are in its own count."""


def in_force(until: str | None, now: dt.datetime) -> bool:
    """Whether a place is still taken: for good once the episode has started, else until its choice expires."""
    return until is None or dt.datetime.fromisoformat(until) > now


def open_cases(caseload: Mapping[str, Any], now: dt.datetime) -> int:
    """Cases that are open at a moment: those counted and those taken through the service."""
    taken = caseload.get("taken", ())
    return int(caseload["open_cases"]) + sum(in_force(one["until"], now) for one in taken)


def still_taken(caseload: Mapping[str, Any] | None, now: dt.datetime) -> list[dict[str, Any]]:
    """Places taken through the service that have not expired."""
    return [one for one in (caseload or {}).get("taken", ()) if in_force(one["until"], now)]


def slot_rows(slots: Any) -> list[dict[str, Any]]:
    """Rows of a `slots` payload; none where nothing is on record."""
    found: list[dict[str, Any]] = (slots["rows"] if isinstance(slots, Mapping) else slots) or []
    return found


def keeping_booked(
    rows: list[dict[str, Any]], before: Any, caseload: Mapping[str, Any] | None, now: dt.datetime
) -> list[dict[str, Any]]:
    """New slots of a therapist, in order of time, in which those that an open choice holds stay as they were."""
    open_episodes = {one["episode_id"] for one in still_taken(caseload, now)}
    held = [row for row in slot_rows(before) if row.get("episode_id") in open_episodes]
    taken = {row["starts_at"] for row in held}
    return sorted([*held, *(row for row in rows if row["starts_at"] not in taken)], key=lambda row: row["starts_at"])
