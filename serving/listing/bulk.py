"""A whole directory at once, as a platform sends it each night: one version, whole or not at all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from data.directory import KINDS, DirectoryMeta, slot_rows
from data.errors import ConflictError, Problem
from data.manifest import ANSWERED_BY
from data.tables import Kind
from data.versions import Version, change, stream, take_turn, version_at
from serving.listing.bulk_body import Head, Row, Sent, kinds, refuse
from serving.listing.profiles import over_held
from serving.listing.therapists import At, entries_of, gone, held_slots, slots_of, with_kinds

Mode = Literal["merge", "replace"]


class BulkAnswer(BaseModel):
    """What came of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(description="the version of the directory that holds it")
    listed: int = Field(description="therapists who are listed now")
    created: int
    replaced: int
    unchanged: int
    removed: int = Field(description="therapists who are no longer listed")


@dataclass
class _Work:
    """What a bulk write finds on record, and what it will write."""

    listed: set[str] = field(default_factory=set)
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Therapist -> kind -> payload; of profile and licences only whether they are what was sent."""
    entries: dict[str, dict[str, Any]] = field(default_factory=lambda: {kind: {} for kind in KINDS})


def put_all(connection: sa.Connection, tenant: str, sent: Sent, mode: Mode, at: At) -> BulkAnswer:
    """Takes in many therapists as one version, whole or not at all; what is the same is not written.

    Raises RequestError with every problem by its place; ConflictError for `merge` where there is no directory.
    """
    take_turn(connection, tenant)
    found = version_at(connection, tenant)
    if mode == "replace":
        refuse([*_nobody(sent), *_unanswerable(sent)])
    meta = _meta(found, sent, kinds(connection, tenant, at), mode)
    work = _on_record(connection, tenant, found, sent, mode, at)
    removed = work.listed - sent.rows.keys() if mode == "replace" else set()
    unchanged = _fill(work, sent, removed, at)
    version = found.version if found else 0
    if meta is not None or any(work.entries.values()):
        version = change(connection, tenant, f"bulk {mode}", work.entries, at.now, meta)
    created = len(sent.rows.keys() - work.listed)
    return BulkAnswer(
        version=version,
        listed=len(work.listed) - len(removed) + created,
        created=created,
        replaced=len(sent.rows) - created - unchanged,
        unchanged=unchanged,
        removed=len(removed),
    )


def _meta(found: Version | None, sent: Sent, declared: Mapping[str, Kind], mode: Mode) -> DirectoryMeta | None:
    """What the directory says of itself from now on; None where that stays as it is."""
    if found is not None:
        used = with_kinds(found, declared, sent.declared) or found.meta
        meta = DirectoryMeta.model_validate({**used.model_dump(), **sent.said})
        return meta if meta != found.meta else None
    if mode == "merge":
        raise ConflictError("there is no directory to merge into yet -> send it with mode=replace")
    missing = [name for name in Head.model_fields if name not in sent.said]
    refuse([Problem(name, "missing", "is required for a new directory", "give it") for name in missing])
    return DirectoryMeta(**sent.said, therapist_kinds={name: declared[name] for name in sent.declared})


def _nobody(sent: Sent) -> Iterator[Problem]:
    """A program that has lost its list must not take everybody off this one."""
    if not sent.rows:
        rule = "a directory that replaces another lists somebody"
        yield Problem("therapists", "empty", rule, "take therapists out one by one with DELETE")


def _unanswerable(sent: Sent) -> Iterator[Problem]:
    """Rules that nothing in a whole directory can answer, so that they would exclude everybody; slots come later."""
    for i, rule in enumerate(sent.said.get("rules", ())):
        needed = [column for _, column in ANSWERED_BY.get(rule, ())]
        if rule == "slot" or not needed or not sent.rows:
            continue
        if not any(row.licences if rule == "licence" else row.profile.keys() & needed for row in sent.rows.values()):
            where = "licences" if rule == "licence" else " or ".join(needed)
            yield Problem(f"rules[{i}]", "unanswered", f"needs {where} of somebody", "give it, or take the rule out")


def _on_record(connection: sa.Connection, tenant: str, found: Version | None, sent: Sent, mode: Mode, at: At) -> _Work:
    """Goes through what is on record with few rows in memory at a time, and keeps what the writing asks for."""
    work = _Work()
    for kind, therapist, payload in stream(connection, tenant, found.version, _READ) if found else ():
        if kind == "profile":
            work.listed.add(therapist)
        row = sent.rows.get(therapist)
        if row is not None or mode == "replace":
            mine = work.before.setdefault(therapist, {})
            mine[kind] = _kept(kind, payload, row, mine, at)
    return work


_READ = ("caseload", "slots", "price", "profile", "licences")
"""Places come first: they say which slots are held."""


def _kept(kind: str, payload: Any, row: Row | None, before: Mapping[str, Any], at: At) -> Any:
    if kind in ("profile", "licences"):
        return row is not None and payload == getattr(row, kind)
    return {"rows": held_slots({**before, "slots": payload}, at.now)} if kind == "slots" else payload


def _fill(work: _Work, sent: Sent, removed: set[str], at: At) -> int:
    """Puts down what must be written. Returns how many profiles with their licences stay as they are."""
    unchanged, found = 0, []
    for therapist, row in sent.rows.items():
        before = work.before.get(therapist, {})
        entries = entries_of(row.profile, row.licences, before, at)
        same = before.get("profile") is True and before.get("licences") is True
        unchanged += same
        for kind, payload in entries.items():
            if before.get(kind) not in (True, payload):
                work.entries[kind][therapist] = payload
        if row.slots is not None:
            found += over_held(row.slots, slot_rows(before.get("slots", [])), f"{row.place}.")
            work.entries["slots"][therapist] = slots_of(row.slots, before, at.now)
    refuse(found)
    for therapist in removed:
        for kind, payload in gone(work.before[therapist], at.now).items():
            work.entries[kind][therapist] = payload
    return unchanged
