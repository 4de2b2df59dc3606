"""Who is listed, as a platform keeps it: one therapist, one therapist's slots. Every write is a new version."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from data.directory import DirectoryMeta, keeping_booked, slot_rows
from data.errors import ConflictError, NotFoundError, PreconditionError, RequestError
from data.tables import THERAPISTS, Kind
from data.versions import Version, change, current, page, payloads, take_turn, version_at
from serving.listing.profiles import (
    Slots,
    TherapistProfile,
    licence_payload,
    over_held,
    problems_of,
    profile_payload,
    slot_payload,
    slot_problems,
)

MOST_LISTED = 1000
_KINDS: Mapping[str, str] = {column.name: column.kind for column in THERAPISTS.columns}
_LISTS = ("codes", "tags")


@dataclass(frozen=True)
class Stored:
    """What is on record of one therapist, and the mark by which a change of it is noticed."""

    content: dict[str, Any]
    etag: str
    version: int
    created: bool = False


@dataclass(frozen=True)
class At:
    """The moment of a write, the day it is there, and what columns may be sent beside the contract's."""

    now: dt.datetime
    today: dt.date
    declared: Mapping[str, Kind]

    @classmethod
    def of(cls, now: dt.datetime, zone: dt.tzinfo, declared: Mapping[str, str]) -> "At":
        """From a clock, the service's zone, and the kinds of columns that the model learned from."""
        own: dict[str, Any] = {name: kind for name, kind in declared.items() if name not in _KINDS}
        return cls(now, now.astimezone(zone).date(), own)


def read(connection: sa.Connection, tenant: str, therapist_id: str) -> Stored:
    """One listed therapist. Raises NotFoundError for anybody else."""
    found, entries = _listed(connection, tenant, therapist_id)
    return Stored(_shown(therapist_id, entries, found), etag_of(entries), found.version)


def read_slots(connection: sa.Connection, tenant: str, therapist_id: str) -> Stored:
    """The slots of one listed therapist, with the day they were given. Raises NotFoundError."""
    found, entries = _listed(connection, tenant, therapist_id)
    return _shown_slots(therapist_id, entries.get("slots"), found.version)


def listed(
    connection: sa.Connection, tenant: str, limit: int, after: str = ""
) -> tuple[list[dict[str, str]], str | None]:
    """Ids and marks of those listed, in order of their ids, and the id after which the next page begins, if any."""
    profiles = page(connection, tenant, "profile", after, limit + 1)
    shown = list(profiles)[:limit]
    licences = payloads(connection, tenant, "licences", shown)
    rows = [
        {"therapist_id": name, "etag": etag_of({"profile": profiles[name], "licences": licences.get(name, [])})}
        for name in shown
    ]
    return rows, shown[-1] if len(profiles) > limit else None


def put(
    connection: sa.Connection, tenant: str, therapist_id: str, sent: TherapistProfile, if_match: str | None, at: At
) -> Stored:
    """Lists a therapist, or replaces profile and licences of one who is listed. What is the same is not written.

    Raises RequestError with every problem, PreconditionError if somebody else was first, ConflictError without a
    directory.
    """
    found = turn(connection, tenant)
    before = current(connection, tenant, therapist_id)
    check_match(if_match, etag_of(before) if "profile" in before else None)
    declared = {**at.declared, **found.meta.therapist_kinds}
    problems = problems_of(sent, declared, at.today)
    if problems:
        raise RequestError(problems)
    entries = entries_of(profile_payload(sent, at.today), licence_payload(sent), before, at)
    after = {**before, **entries}
    changed = {kind: {therapist_id: one} for kind, one in entries.items() if before.get(kind) != one}
    version = found.version
    if changed:
        meta = with_kinds(found, declared, sent.model_extra or {})
        version = change(connection, tenant, "therapist put", changed, at.now, meta)
    return Stored(_shown(therapist_id, after, found, declared), etag_of(after), version, "profile" not in before)


def remove(connection: sa.Connection, tenant: str, therapist_id: str, if_match: str | None, at: At) -> int:
    """Lists a therapist no longer. What was stays readable, and places that were taken stay taken.

    Raises NotFoundError for somebody who is not listed, PreconditionError if somebody else was first.
    """
    turn(connection, tenant)
    before = current(connection, tenant, therapist_id)
    if "profile" not in before:
        raise _not_listed()
    check_match(if_match, etag_of(before))
    changed = {kind: {therapist_id: one} for kind, one in gone(before, at.now).items()}
    return change(connection, tenant, "therapist removed", changed, at.now)


def put_slots(
    connection: sa.Connection, tenant: str, therapist_id: str, sent: Slots, if_match: str | None, at: At
) -> Stored:
    """Replaces every slot of a listed therapist; one that an open choice holds stays as it is.

    Raises RequestError with every problem, NotFoundError, PreconditionError if somebody else was first.
    """
    turn(connection, tenant)
    before = current(connection, tenant, therapist_id)
    if "profile" not in before:
        raise _not_listed()
    check_match(if_match, _shown_slots(therapist_id, before.get("slots"), 0).etag)
    rows = slot_payload(sent.slots)
    problems = slot_problems(sent.slots, at.now) + over_held(rows, held_slots(before, at.now))
    if problems:
        raise RequestError(problems)
    slots = slots_of(rows, before, at.now)
    version = change(connection, tenant, "slots put", {"slots": {therapist_id: slots}}, at.now)
    return _shown_slots(therapist_id, slots, version)


def _listed(connection: sa.Connection, tenant: str, therapist_id: str) -> tuple[Version, Mapping[str, Any]]:
    """The directory, and what is on record of somebody it lists."""
    found = version_at(connection, tenant)
    entries = current(connection, tenant, therapist_id) if found else {}
    if found is None or "profile" not in entries:
        raise _not_listed()
    return found, entries


def turn(connection: sa.Connection, tenant: str) -> Version:
    """Takes the tenant's turn and says what the directory is. Raises ConflictError where there is none yet."""
    take_turn(connection, tenant)
    found = version_at(connection, tenant)
    if found is None:
        raise ConflictError(
            "there is no directory of therapists yet -> send one to POST /v1/therapists:bulk?mode=replace with its "
            "`name` and `rules`, or run `therapist-fit data load DATASET`"
        )
    return found


def entries_of(
    profile: dict[str, Any], licences: list[dict[str, Any]], before: Mapping[str, Any], at: At
) -> dict[str, Any]:
    """Profile, licences and caseload as they will be on record; places that were taken stay taken."""
    caseload = before.get("caseload") or {"open_cases": 0}
    if "caseload" in profile:
        counted_on = profile.get("caseload_on", at.today.isoformat())
        caseload = {**caseload, "open_cases": profile["caseload"], "counted_on": counted_on}
    return {"profile": profile, "licences": licences, "caseload": caseload}


def gone(before: Mapping[str, Any], now: dt.datetime) -> dict[str, Any]:
    """What becomes of the entries of somebody who is no longer listed: only what open choices hold is left."""
    held = held_slots(before, now)
    after = {"profile": None, "licences": None, "slots": {"rows": held} if held else None, "price": None}
    return {kind: one for kind, one in after.items() if kind in before}


def held_slots(before: Mapping[str, Any], now: dt.datetime) -> list[dict[str, Any]]:
    """Slots that open choices hold."""
    return keeping_booked([], before.get("slots", []), before.get("caseload"), now)


def slots_of(rows: list[dict[str, Any]], before: Mapping[str, Any], now: dt.datetime) -> dict[str, Any]:
    """A `slots` payload of this moment, with those that open choices hold."""
    kept = keeping_booked(rows, before.get("slots", []), before.get("caseload"), now)
    return {"rows": kept, "updated_at": now.astimezone(dt.UTC).isoformat(timespec="seconds")}


def with_kinds(found: Version, declared: Mapping[str, Kind], names: Iterable[str]) -> DirectoryMeta | None:
    """What the directory says of itself, with the kinds of declared columns that are now used; None for no change."""
    used = {name: declared[name] for name in names}
    known = found.meta.therapist_kinds
    return None if used.keys() <= known.keys() else found.meta.model_copy(update={"therapist_kinds": {**used, **known}})


def etag_of(entries: Mapping[str, Any]) -> str:
    """A mark that is another one whenever profile or licences are."""
    return _mark({kind: entries.get(kind) for kind in ("profile", "licences")})


def check_match(if_match: str | None, etag: str | None) -> None:
    """`If-Match` as in RFC 9110: a list of marks, or `*` for anything that is there.

    Raises PreconditionError if what is on record is something else.
    """
    if if_match is None:
        return
    marks = {mark.strip() for mark in if_match.split(",")}
    if etag is None or ("*" not in marks and etag not in marks):
        raise PreconditionError(
            "what is on record is not what `If-Match` names -> read it again with GET, mend it, send it with its ETag"
        )


def _not_listed() -> NotFoundError:
    """Nobody of that id is listed."""
    return NotFoundError("no therapist of this id is listed -> GET /v1/therapists names those who are")


def _mark(content: Any) -> str:
    plain = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(plain.encode()).hexdigest()[:32]}"'


def _shown(
    therapist_id: str, entries: Mapping[str, Any], found: Version, declared: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The therapist in the form in which they are sent."""
    kinds = {**_KINDS, **(declared or {}), **found.meta.therapist_kinds}
    columns = {
        name: value.split("|") if kinds.get(name) in _LISTS and isinstance(value, str) else value
        for name, value in entries["profile"].items()
    }
    blank = dict.fromkeys(TherapistProfile.model_fields)
    empty = {"valid_until": None, "status": None}
    rows = [{**empty, **row} for row in entries.get("licences", [])]
    return {"therapist_id": therapist_id, **blank, **columns, "licences": rows}


def _shown_slots(therapist_id: str, slots: Any, version: int) -> Stored:
    known = slots.get("updated_at") if isinstance(slots, Mapping) else None
    empty = {"ends_at": None, "modality": None, "status": None, "episode_id": None}
    rows = [{**empty, **row} for row in slot_rows(slots or [])]
    content = {"therapist_id": therapist_id, "updated_at": known, "slots": rows}
    return Stored(content, _mark(rows), version)
