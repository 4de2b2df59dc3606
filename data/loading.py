"""The directory that the service serves from: plain values taken from a dataset, and their versions in the database."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pandas as pd
import sqlalchemy as sa

from data.database import tenant_named, writing
from data.dataset import Dataset
from data.directory import (
    KINDS,
    DirectoryData,
    DirectoryMeta,
    Entries,
    keeping_booked,
    slot_rows,
    still_taken,
)
from data.sql import TENANT
from data.tables import Kind
from data.versions import change, latest_version, stream, take_turn

__all__ = ["DirectoryData", "from_dataset", "load"]


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
        "slots": _slots(dataset, profiles),
        "caseload": _caseloads(dataset, profiles),
    }
    episodes, is_open = dataset["episodes"]["episode_id"], _is_open(dataset)
    known, counted = frozenset(map(str, episodes)), frozenset(map(str, episodes[is_open]))
    return DirectoryData(0, f"{manifest.name}@{dataset.fingerprint()}", meta, entries, known, counted)


def load(engine: sa.Engine, directory: DirectoryData, now: dt.datetime, tenant: str = TENANT) -> int:
    """Makes this the directory of the tenant, as one new version, whole or not at all. Returns the version.

    Therapists of an earlier version who are missing here are no longer listed; what did not change is not written.
    Places taken through the service stay taken, once, unless the dataset says that the episode has ended; slots
    that open choices hold stay booked. Prices stay until they run out.
    """
    with writing(engine) as connection:
        take_turn(connection, tenant_named(tenant))
        before = _stored(connection, tenant)
        after = _keeping_places(directory, before, now)
        changed = {kind: _changes(before[kind], after[kind]) for kind in after}
        return change(connection, tenant, directory.source, changed, now, directory.meta)


def _stored(connection: sa.Connection, tenant: str) -> dict[str, dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    version = latest_version(connection, tenant)
    if version is not None:
        for kind, therapist, payload in stream(connection, tenant, version):
            entries[kind][therapist] = payload
    return entries


def _keeping_places(directory: DirectoryData, before: Entries, now: dt.datetime) -> dict[str, dict[str, Any]]:
    """The entries of a dataset with the places and slots that are taken through the service.

    A place that the dataset counts as well is taken out of its count, so that it is free when the course ends or its
    choice expires.
    """
    after: dict[str, dict[str, Any]] = {
        kind: dict(directory.entries[kind]) for kind in ("profile", "licences", "slots", "caseload")
    }
    for therapist, caseload in before["caseload"].items():
        gone = directory.episodes - directory.open_episodes
        taken = [one for one in still_taken(caseload, now) if one["episode_id"] not in gone]
        if not taken:
            continue
        counted = after["caseload"].get(therapist) or caseload
        twice = sum(one["episode_id"] in directory.open_episodes for one in taken) if counted is not caseload else 0
        open_cases = max(counted["open_cases"] - twice, 0)
        after["caseload"][therapist] = kept = {**counted, "open_cases": open_cases, "taken": taken}
        slots = after["slots"].get(therapist, {"rows": []})
        rows = keeping_booked(slot_rows(slots), before["slots"].get(therapist, []), kept, now)
        if rows or therapist in after["slots"]:
            after["slots"][therapist] = {**slots, "rows": rows}
    return after


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


def _slots(dataset: Dataset, profiles: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    as_of = dataset.manifest.as_of
    known = {"updated_at": as_of.isoformat()} if as_of else {}
    return {name: {"rows": rows, **known} for name, rows in _by_therapist(dataset["slots"], profiles).items()}


def _caseloads(dataset: Dataset, profiles: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Open cases: as reported in the profile, else counted from the episodes."""
    counts = dataset["episodes"].loc[_is_open(dataset), "therapist_id"].value_counts().to_dict()
    as_of = dataset.manifest.as_of
    day = as_of.isoformat() if as_of else None
    return {therapist: _caseload(profile, counts.get(therapist, 0), day) for therapist, profile in profiles.items()}


def _is_open(dataset: Dataset) -> pd.Series:
    """Which episodes take a place: matched and not ended (undated: those called ongoing)."""
    episodes = dataset["episodes"]
    is_open = episodes["ending"].eq("ongoing")
    if not dataset.manifest.undated:
        is_open |= episodes["ending"].isna()
        is_open &= episodes["matched_on"].notna() & episodes["ended_on"].isna()
    return is_open.fillna(False).astype(bool)


def _caseload(profile: Mapping[str, Any], counted: int, counted_on: str | None) -> dict[str, Any]:
    reported = "caseload" in profile
    day = profile.get("caseload_on") if reported else counted_on
    return {"open_cases": int(profile["caseload"] if reported else counted)} | ({"counted_on": day} if day else {})


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
