"""The directory in SQL: append-only versions under one counter for each tenant, readable as it was at any of them."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import sqlalchemy as sa
from pydantic_core import from_json

from data.database import take_turns
from data.directory import KINDS, DirectoryData, DirectoryMeta, Entries
from data.errors import NotReadyError
from data.sql import DIRECTORY_ENTRIES, DIRECTORY_VERSIONS, TENANT

_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Version:
    """One version of a tenant's directory, without what is in it."""

    version: int
    made_at: dt.datetime
    source: str
    meta: DirectoryMeta


@dataclass(frozen=True)
class Changes:
    """What became of each entry that changed after some version: the newest payload, None where there is none now.

    Of therapists whose profile changed every kind is there: some of it may have been on record while they were not
    listed.
    """

    version: int
    source: str
    meta: DirectoryMeta
    entries: Entries


def latest_version(engine: sa.Engine | sa.Connection, tenant: str = TENANT) -> int | None:
    """The version that the next request must be answered from; None before the first."""
    newest = sa.select(sa.func.max(DIRECTORY_VERSIONS.c.version)).where(DIRECTORY_VERSIONS.c.tenant == tenant)
    if isinstance(engine, sa.Engine):
        with engine.connect() as connection:
            return latest_version(connection, tenant)
    version: int | None = engine.scalar(newest)
    return version


def latest_versions(connection: sa.Connection) -> dict[str, int]:
    """The newest version of every tenant that has a directory."""
    known = DIRECTORY_VERSIONS.c
    newest = (
        sa.select(known.tenant, sa.func.max(known.version).label("version"))
        .group_by(known.tenant)
        .order_by(known.tenant)
    )
    return {row.tenant: row.version for row in connection.execute(newest)}


def version_at(connection: sa.Connection, tenant: str, version: int | None = None) -> Version | None:
    """The newest version up to `version`; None if there is none."""
    versions = DIRECTORY_VERSIONS
    wanted = sa.select(versions).where(versions.c.tenant == tenant)
    if version is not None:
        wanted = wanted.where(versions.c.version <= version)
    row = connection.execute(wanted.order_by(versions.c.version.desc()).limit(1)).one_or_none()
    return Version(row.version, row.made_at, row.source, DirectoryMeta.model_validate(row.meta)) if row else None


def read_directory(engine: sa.Engine, tenant: str = TENANT, version: int | None = None) -> DirectoryData | None:
    """The tenant's directory as it was at a version, its newest if none is named; None where there was none yet."""
    with engine.connect() as connection:
        found = version_at(connection, tenant, version)
        if found is None:
            return None
        entries: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        for kind, therapist, payload in stream(connection, tenant, found.version):
            entries[kind][therapist] = payload
    return DirectoryData(found.version, found.source, found.meta, entries)


def stream(
    connection: sa.Connection, tenant: str, version: int, kinds: Iterable[str] = KINDS
) -> Iterator[tuple[str, str, Any]]:
    """Kind, therapist and payload of every entry as it was at a version, a few thousand rows in memory at a time.

    Kinds come in the order given, therapists of a kind in no order.
    """
    for kind in kinds:
        for therapist, payload in _newest(connection, tenant, kind, version):
            if payload is not None:
                yield kind, therapist, payload


def changed_rows(connection: sa.Connection, tenant: str, version: int) -> int:
    """How many rows were written after a version."""
    later = (DIRECTORY_ENTRIES.c.tenant == tenant, DIRECTORY_ENTRIES.c.version > version)
    return connection.scalar(sa.select(sa.func.count()).where(*later)) or 0


def changes_since(connection: sa.Connection, tenant: str, version: int) -> Changes | None:
    """What changed after a version up to the newest; None for a tenant without a directory."""
    found = version_at(connection, tenant)
    if found is None:
        return None
    entries: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    table = DIRECTORY_ENTRIES
    later = (
        sa.select(table.c.kind, table.c.therapist_id, table.c.payload)
        .where(table.c.tenant == tenant, table.c.version > version, table.c.version <= found.version)
        .order_by(table.c.version)
    )
    for kind, therapist, payload in connection.execute(later):
        entries[kind][therapist] = payload
    for kind in KINDS if entries["profile"] else ():
        entries[kind].update(_newest(connection, tenant, kind, found.version, version))
    return Changes(found.version, found.source, found.meta, entries)


def current(connection: sa.Connection, tenant: str, therapist_id: str) -> dict[str, Any]:
    """What is on record of one therapist now, by kind; kinds without anything are left out.

    Who means to write what they conclude from it takes the tenant's turn first.
    """
    table = DIRECTORY_ENTRIES
    newest = [
        sa.select(table.c.kind, table.c.payload)
        .where(table.c.tenant == tenant, table.c.kind == kind, table.c.therapist_id == therapist_id)
        .order_by(table.c.version.desc())
        .limit(1)
        .subquery()
        for kind in KINDS
    ]
    rows = connection.execute(sa.union_all(*(one.select() for one in newest)))
    return {kind: payload for kind, payload in rows if payload is not None}


def take_turn(connection: sa.Connection, tenant: str) -> None:
    """Until the transaction ends, nobody else changes this tenant's directory; other tenants' writers do not wait."""
    number = hashlib.sha256(f"directory {tenant}".encode()).digest()[:8]
    take_turns(connection, int.from_bytes(number, signed=True))


def change(
    connection: sa.Connection,
    tenant: str,
    source: str,
    entries: Entries,
    now: dt.datetime,
    meta: DirectoryMeta | None = None,
) -> int:
    """Appends one new version with these entries (None: no longer there) and returns it; to be called in `writing`.

    Without `meta` that of the version before holds on. Raises NotReadyError for a tenant without any directory.
    """
    take_turn(connection, tenant)
    before = version_at(connection, tenant)
    kept = meta if before is None else meta or before.meta
    if kept is None:
        raise NotReadyError("this tenant has no directory yet -> run `therapist-fit data load DATASET`")
    version = 1 if before is None else before.version + 1
    plain = kept.model_dump(mode="json")
    row = {"tenant": tenant, "version": version, "made_at": now, "source": source, "meta": plain}
    connection.execute(sa.insert(DIRECTORY_VERSIONS), row)
    for rows in _chunks(tenant, version, entries):
        connection.execute(sa.insert(DIRECTORY_ENTRIES), rows)
    return version


def _chunks(tenant: str, version: int, entries: Entries) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    for kind, by_therapist in entries.items():
        for therapist, payload in by_therapist.items():
            rows.append(
                {"tenant": tenant, "kind": kind, "therapist_id": therapist, "version": version, "payload": payload}
            )
            if len(rows) == _ROWS_AT_ONCE:
                yield rows
                rows = []
    if rows:
        yield rows


def page(connection: sa.Connection, tenant: str, kind: str, after: str, limit: int) -> dict[str, Any]:
    """Therapists that come after an id, in order of their ids, with what they have of a kind; at most `limit`."""
    found: dict[str, Any] = {}
    entries = DIRECTORY_ENTRIES
    here = (entries.c.tenant == tenant, entries.c.kind == kind)
    while len(found) < limit:
        ids = sa.select(entries.c.therapist_id).where(*here, entries.c.therapist_id > after).distinct()
        some = connection.scalars(ids.order_by(entries.c.therapist_id).limit(limit)).all()
        if not some:
            break
        have, after = payloads(connection, tenant, kind, some), some[-1]
        found.update({name: have[name] for name in some if name in have})
    return dict(islice(found.items(), limit))


def payloads(connection: sa.Connection, tenant: str, kind: str, therapist_ids: Sequence[str]) -> dict[str, Any]:
    """What these therapists have of a kind now; those who have nothing are left out."""
    theirs = DIRECTORY_ENTRIES.c.therapist_id.in_(therapist_ids)
    rows = connection.execute(_wanted(tenant, kind, latest_version(connection, tenant) or 0, theirs))
    found = {therapist: from_json(text) for therapist, text in rows}
    return {therapist: payload for therapist, payload in found.items() if payload is not None}


def _newest(
    connection: sa.Connection, tenant: str, kind: str, version: int, profile_changed_after: int | None = None
) -> Iterator[tuple[str, Any]]:
    """Therapists of a kind with their payloads as they were at a version; if asked, those with newer profiles only."""
    only = []
    if profile_changed_after is not None:
        profiles = DIRECTORY_ENTRIES.alias()
        newer = profiles.c.version.between(profile_changed_after + 1, version)
        here = (profiles.c.tenant == tenant, profiles.c.kind == "profile", newer)
        only = [DIRECTORY_ENTRIES.c.therapist_id.in_(sa.select(profiles.c.therapist_id).where(*here))]
    wanted = _wanted(tenant, kind, version, *only)
    for therapist, text in connection.execute(wanted, execution_options={"yield_per": _ROWS_AT_ONCE}):
        yield therapist, from_json(text, cache_strings="all")  # words that repeat are held once


def _wanted(tenant: str, kind: str, version: int, *only: sa.ColumnElement[bool]) -> sa.Select[str, str]:
    """Therapists and, as text, the payloads of a kind as they were at a version."""
    entries = DIRECTORY_ENTRIES
    here = (entries.c.tenant == tenant, entries.c.kind == kind)
    newest = (
        sa.select(entries.c.therapist_id, sa.func.max(entries.c.version).label("version"))
        .where(*here, entries.c.version <= version, *only)
        .group_by(entries.c.therapist_id)
        .subquery()
    )
    same = sa.and_(entries.c.therapist_id == newest.c.therapist_id, entries.c.version == newest.c.version)
    wanted = sa.select(entries.c.therapist_id, sa.cast(entries.c.payload, sa.Text))
    return wanted.select_from(entries.join(newest, same)).where(*here)
