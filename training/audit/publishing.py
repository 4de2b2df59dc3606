"""Where the audit of a bundle is, and where it goes: to the auditors of the service, and into a file."""

import datetime as dt
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from data.decisions import history, published
from data.errors import BundleError, TherapistFitError
from data.migrating import open_database
from data.sql import TENANT
from training.audit.document import FILE, Audit, evidence_hash, read
from training.audit.harm.safety import live
from training.deciding import publish
from training.report.file import file_of

LOCAL_STORE = Path("var/mlflow.db")
AUDITED = Path("var/audited")
"""Copies of registered bundles that are audited again, each in a folder named by its bundle id."""


@dataclass(frozen=True)
class Found:
    """A bundle as a folder, its number if it is registered, and its audit as far as there is one."""

    folder: Path
    version: str | None
    text: bytes = b""
    """`audit.json` byte for byte."""
    made: bool = False
    """Whether it was computed just now."""

    def with_text(self, text: bytes) -> Self:
        """The same with a new audit."""
        return replace(self, text=text, made=True)


def found_by(name: str, database: str | None, with_data: bool) -> Found:
    """A bundle by its folder, or by what the registry calls it; its audit is read unless it is to be made.

    Raises NotFoundError for what is not registered, BundleError or GateError where there is no audit to read.
    """
    folder = Path(name)
    if (folder / "manifest.json").is_file():
        text = b"" if with_data else _read(folder)
        return Found(folder, _registered(folder), text)
    return _in_registry(name, database, with_data)


def put_before_auditors(found: Found, database: str | None) -> str:
    """Publishes the audit of a registered bundle; the evidence hash, whether or not it is registered.

    Raises BundleError for a file that is neither what the registry keeps beside the bundle nor on record: people would
    sign what nobody computed.
    """
    if found.version is not None:
        engine = open_database(database)
        try:
            if not found.made and not _known(engine, found):
                raise BundleError(
                    f"{found.folder / FILE}: neither the audit that was registered with version {found.version} nor "
                    "one that was put before the auditors -> audit it again: add --data DATASET"
                )
            publish(engine, found.text, found.version)
        finally:
            engine.dispose()
    return evidence_hash(found.text)


def _known(engine: sa.Engine, found: Found) -> bool:
    """Whether the audit is on record, or as the registry keeps it."""
    if any(one.evidence_hash == evidence_hash(found.text) for one in published(engine)):
        return True
    from training.registry.models import find, folder_of

    beside = folder_of(find(str(found.version))) / FILE
    return beside.is_file() and beside.read_bytes() == found.text


def write_file(out: Path, audit: Audit, found: Found, database: str | None) -> Path:
    """Writes the audit as one file, whole or not at all; with what is on record where there is a database."""
    decisions, now = None, []
    if database is not None or found.version is not None:
        engine = open_database(database)
        try:
            decisions = [one for one in history(engine) if one.bundle_id == audit.bundle_id]
            now = [live(engine, TENANT, dt.datetime.now(dt.UTC))] if database is not None else []
        finally:
            engine.dispose()
    part = out.with_name(f".{out.name}.part")
    part.write_text(file_of(audit, now, decisions, evidence_hash(found.text)))
    return part.replace(out)


def _read(folder: Path) -> bytes:
    read(folder)
    return (folder / FILE).read_bytes()


def _in_registry(name: str, database: str | None, with_data: bool) -> Found:
    from training.registry.models import export, find
    from training.registry.verdicts import newest_audit

    one = find(name)
    place = AUDITED / one.bundle_id
    if with_data:
        AUDITED.mkdir(parents=True, exist_ok=True)
        return Found(place if place.exists() else export(one.version, place), one.version)
    engine = open_database(database)
    try:
        return Found(place, one.version, newest_audit(one, engine)[1])
    finally:
        engine.dispose()


def _registered(folder: Path) -> str | None:
    """Number of the bundle in the registry; None where it is not registered or the registry does not answer."""
    from training.bundle import Manifest

    if not os.environ.get("MLFLOW_TRACKING_URI") and not LOCAL_STORE.exists():
        return None
    bundle_id = Manifest.model_validate_json((folder / "manifest.json").read_text()).bundle_id
    try:
        from training.registry.models import versions

        return next((one.version for one in versions() if one.bundle_id == bundle_id), None)
    except TherapistFitError:
        raise
    except Exception:  # whatever a store that is down raises: the file is written all the same
        return None
