"""From the service back to a dataset: journal, choices, courses and measures, so that what came of it can be learned.

Consent is kept: clients of `care_only`, cases of therapists who opted out and whoever was erased are not in it.
"""

import datetime as dt
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import sqlalchemy as sa

from data import exported
from data.checking import check
from data.consent import CARE_ONLY, for_learning
from data.dataset import Dataset, read, write
from data.directory import DirectoryMeta
from data.errors import DataError, NotFoundError
from data.manifest import ColumnDeclaration, Manifest
from data.parsing import parse
from data.served import arms
from data.sql import TENANT
from data.versions import version_at


@dataclass(frozen=True)
class Exported:
    """What was written, and what was left out and why."""

    tables: Mapping[str, int]
    left_out: Mapping[str, int]


def export(
    engine: sa.Engine,
    folder: Path,
    now: dt.datetime,
    tenant: str = TENANT,
    onto: Path | None = None,
    form: Literal["csv", "parquet"] = "parquet",
) -> Exported:
    """Writes a dataset of what the service keeps, whole and without problems, or nothing.

    `onto` is an earlier dataset to lay it on: rows with the same key are replaced. Raises NotFoundError for a tenant
    without a directory, DataError with every problem of the result.
    """
    base = None if onto is None else read(onto)
    with engine.connect() as connection:
        newest = version_at(connection, tenant)
        if newest is None:
            raise NotFoundError(
                f"tenant {tenant} has no directory: nothing was served -> run `therapist-fit data load`"
            )
        tables, left_out = _tables(connection, tenant, now, base)
        tables |= exported.directory_rows(connection, tenant, newest.version)
    manifest = _manifest(base, newest.meta, now)
    dataset, strange = _typed(manifest, tables)
    whole = dataset if base is None else _laid_on(base, dataset)
    agreed = for_learning(whole)
    left_out |= {
        "clients who agreed to care only": int((whole["clients"]["data_use"] == CARE_ONLY).sum()),
        "scores of instruments that the dataset does not declare": strange,
    }
    _write_checked(agreed, folder, form)
    return Exported(
        {name: len(frame) for name, frame in agreed.frames.items()}, {k: n for k, n in left_out.items() if n}
    )


def _tables(
    connection: sa.Connection, tenant: str, now: dt.datetime, base: Dataset | None
) -> tuple[dict[str, exported.Rows], dict[str, int]]:
    found = exported.courses(connection, tenant)
    therapists = exported.therapist_rows(connection, tenant)
    listed = {row["therapist_id"] for row in therapists} | set(base["therapists"]["therapist_id"] if base else ())
    never_came = [one for one in found if _never_came(one, now)]
    strangers = [one for one in found if one.row is not None and one.row.therapist_id not in listed]
    gone = {one.episode_id for one in (*never_came, *strangers)}
    kept = [one for one in found if one.episode_id not in gone]
    questions = exported.latest_questions(connection, tenant)
    kept += exported.waiting(connection, tenant, questions, {one.client_id for one in found})
    clients = {one.client_id: questions.get(one.client_id, one.asked) for one in kept}
    tables = {
        "therapists": therapists,
        "clients": exported.client_rows(clients, found),
        "preferences": exported.preference_rows(clients),
        "episodes": exported.episode_rows(kept, arms(connection, tenant)),
        "offers": exported.offer_rows(connection, tenant, kept),
        "measures": exported.measure_rows(connection, tenant, kept),
    }
    return tables, {
        "places that nobody came for": len(never_came),
        "courses with therapists who were never listed": len(strangers),
    }


def _never_came(course: exported.Course, now: dt.datetime) -> bool:
    """A place that was chosen, was kept its time, and was never started: no course of treatment."""
    row = course.row
    return row is not None and row.started_on is None and row.holds_until is not None and row.holds_until <= now


def _manifest(base: Dataset | None, meta: DirectoryMeta, now: dt.datetime) -> Manifest:
    if base is not None:
        return base.manifest.model_copy(update={"as_of": now.date()})
    declared = {
        table: {
            name: ColumnDeclaration(kind=kind, meaning="declared by the directory", known="before")
            for name, kind in kinds.items()
        }
        for table, kinds in (("clients", meta.client_kinds), ("therapists", meta.therapist_kinds))
        if kinds
    }
    name = f"{meta.name}, as served"
    return Manifest(name=name, as_of=now.date(), rules=meta.rules, synthetic=meta.synthetic, column=declared)


def _typed(manifest: Manifest, tables: Mapping[str, exported.Rows]) -> tuple[Dataset, int]:
    """Typed tables, and how many scores of instruments nobody declared were left out. Raises DataError."""
    shell, frames, problems = Dataset(manifest), {}, []
    known = manifest.instruments()
    measures = [row for row in tables["measures"] if row["instrument"] in known]
    for name, rows in {**tables, "measures": measures}.items():
        contract = shell.contract(name)
        used = [column for column in contract.names if any(column in row for row in rows)]
        raw = pd.DataFrame([[row.get(column) for column in used] for row in rows], columns=used, dtype="object")
        if len(raw):
            frames[name], found = parse(contract, raw)
            problems += found
    if problems:
        raise DataError(problems)
    return Dataset(manifest, frames), len(tables["measures"]) - len(measures)


def _laid_on(base: Dataset, new: Dataset) -> Dataset:
    """Both datasets as one; a row of the new one takes the place of one with its key."""
    frames = dict(base.frames)
    for name, frame in {**new.frames, **_agreed_before(base, new)}.items():
        key = list(base.contract(name).key)
        laid = pd.concat([base[name], frame], ignore_index=True) if name in frames else frame
        frames[name] = laid.drop_duplicates(key, keep="last", ignore_index=True)
    return Dataset(new.manifest, frames)


def _agreed_before(base: Dataset, new: Dataset) -> dict[str, pd.DataFrame]:
    """The clients of the new dataset: who says nothing of the use of their data has taken nothing back."""
    if "clients" not in new.frames:
        return {}
    clients = new["clients"]
    before = clients["client_id"].map(base["clients"].set_index("client_id")["data_use"])
    return {"clients": clients.assign(data_use=clients["data_use"].fillna(before))}


def _write_checked(dataset: Dataset, folder: Path, form: Literal["csv", "parquet"]) -> None:
    """Checked beside its place, then put there. Raises DataError with every problem, and leaves nothing."""
    if folder.exists() and any(folder.iterdir()):
        write(dataset, folder, form)  # says that the folder is in use
    beside = folder.with_name(f"{folder.name}.unchecked")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        problems = check(write(dataset, beside, form))
        if problems:
            raise DataError(problems)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
