"""The directory that the service serves from: plain values taken from a dataset, and their versions in the database."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from data.database import take_turns, writing
from data.dataset import Dataset
from data.manifest import Rule
from data.sql import DIRECTORY_ENTRIES, DIRECTORY_VERSIONS, TENANT
from data.tables import Kind

KINDS = ("profile", "licences", "slots", "caseload")
Entries = Mapping[str, Mapping[str, Any]]
"""Kind -> therapist -> what is on record, in plain JSON values; sets are joined by `|`, times are UTC ending in Z."""


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


def from_dataset(dataset: Dataset) -> DirectoryData:
    """The directory of a dataset: the latest profiles, licences, slots, and open cases counted from its episodes."""
    manifest = dataset.manifest
    profiles = _profiles(dataset)
    meta = DirectoryMeta(
        name=manifest.name,
        as_of=manifest.as_of,
        rules=manifest.rules,
        undated=manifest.undated,
        synthetic=manifest.synthetic,
        client_kinds=_declared(dataset, "clients"),
        therapist_kinds=_declared(dataset, "therapists"),
    )
    entries: Entries = {
        "profile": profiles,
        "licences": _by_therapist(dataset["licences"], profiles),
        "slots": _by_therapist(dataset["slots"], profiles),
        "caseload": _caseloads(dataset, profiles),
    }
    return DirectoryData(0, f"{manifest.name}@{dataset.fingerprint()}", meta, entries)


def load(engine: sa.Engine, directory: DirectoryData, now: dt.datetime, tenant: str = TENANT) -> int:
    """Makes this the directory of the tenant, as one new version, whole or not at all. Returns the version.

    Therapists of an earlier version who are missing here are no longer listed; what did not change is not written.
    """
    with writing(engine) as connection:
        take_turns(connection)
        before = _entries(connection, tenant)
        version = (_latest(connection, tenant) or 0) + 1
        changed = [
            {"tenant": tenant, "kind": kind, "therapist_id": therapist, "version": version, "payload": payload}
            for kind in KINDS
            for therapist, payload in _changes(before.get(kind, {}), directory.entries[kind]).items()
        ]
        meta = directory.meta.model_dump(mode="json")
        row = {"tenant": tenant, "version": version, "made_at": now, "source": directory.source, "meta": meta}
        connection.execute(sa.insert(DIRECTORY_VERSIONS), row)
        if changed:
            connection.execute(sa.insert(DIRECTORY_ENTRIES), changed)
    return version


def read_directory(engine: sa.Engine, tenant: str = TENANT) -> DirectoryData | None:
    """The tenant's newest directory, None before the first `data load`."""
    versions = DIRECTORY_VERSIONS
    newest = sa.select(versions).where(versions.c.tenant == tenant).order_by(versions.c.version.desc()).limit(1)
    with engine.connect() as connection:
        row = connection.execute(newest).one_or_none()
        if row is None:
            return None
        entries = _entries(connection, tenant)
    return DirectoryData(row.version, row.source, DirectoryMeta.model_validate(row.meta), entries)


def latest_version(engine: sa.Engine, tenant: str = TENANT) -> int | None:
    """The version that the next request must be answered from."""
    with engine.connect() as connection:
        return _latest(connection, tenant)


def _latest(connection: sa.Connection, tenant: str) -> int | None:
    newest = sa.select(sa.func.max(DIRECTORY_VERSIONS.c.version)).where(DIRECTORY_VERSIONS.c.tenant == tenant)
    version: int | None = connection.scalar(newest)
    return version


def _entries(connection: sa.Connection, tenant: str) -> dict[str, dict[str, Any]]:
    entries = DIRECTORY_ENTRIES
    key = (entries.c.kind, entries.c.therapist_id)
    newest = (
        sa.select(*key, sa.func.max(entries.c.version).label("version"))
        .where(entries.c.tenant == tenant)
        .group_by(*key)
        .subquery()
    )
    joined = sa.and_(
        entries.c.tenant == tenant,
        entries.c.kind == newest.c.kind,
        entries.c.therapist_id == newest.c.therapist_id,
        entries.c.version == newest.c.version,
    )
    found: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for kind, therapist, payload in connection.execute(sa.select(*key, entries.c.payload).join(newest, joined)):
        if payload is not None:
            found[kind][therapist] = payload
    return found


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    gone = {therapist: None for therapist in before if therapist not in after}
    return gone | {therapist: payload for therapist, payload in after.items() if before.get(therapist) != payload}


def _declared(dataset: Dataset, table: str) -> dict[str, Kind]:
    """Kinds of the columns that a dataset declares for itself and that are known before a match."""
    declared = dataset.manifest.column.get(table, {})
    return {name: column.kind for name, column in declared.items() if column.known == "before"}


def _profiles(dataset: Dataset) -> dict[str, dict[str, Any]]:
    versions = dataset["therapists"].sort_values("profile_updated_on", na_position="first", kind="stable")
    latest = versions.drop_duplicates("therapist_id", keep="last").sort_values("therapist_id")
    return {row.pop("therapist_id"): row for row in _plain_rows(latest)}


def _by_therapist(frame: pd.DataFrame, profiles: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Rows of a table that hangs on therapists, for each of them; those who have none get an empty list."""
    found: dict[str, list[dict[str, Any]]] = {therapist: [] for therapist in profiles}
    for row in _plain_rows(frame):
        therapist = row.pop("therapist_id")
        if therapist in found:
            found[therapist].append(row)
    return found


def _caseloads(dataset: Dataset, profiles: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Open cases: as reported in the profile, else episodes matched and not ended (undated: those called ongoing)."""
    episodes = dataset["episodes"]
    is_open = episodes["ending"].eq("ongoing")
    if not dataset.manifest.undated:
        is_open |= episodes["ending"].isna()
        is_open &= episodes["matched_on"].notna() & episodes["ended_on"].isna()
    counts = episodes.loc[is_open.fillna(False).astype(bool), "therapist_id"].value_counts().to_dict()
    return {
        therapist: {"open_cases": int(profile.get("caseload", counts.get(therapist, 0)))}
        for therapist, profile in profiles.items()
    }


def _plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values; an unknown cell is left out."""
    text = frame.copy()
    for name in text.columns:
        if isinstance(text[name].dtype, pd.DatetimeTZDtype):
            text[name] = text[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
        elif pd.api.types.is_datetime64_dtype(text[name].dtype):
            text[name] = text[name].dt.strftime("%Y-%m-%d")
    names = list(text.columns)
    columns = [text[name].astype(object).where(text[name].notna(), None).tolist() for name in names]
    return [{n: v for n, v in zip(names, cells, strict=True) if v is not None} for cells in zip(*columns, strict=True)]
