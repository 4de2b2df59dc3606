"""Registered bundles: what there is, which one is served, and who decided so."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from data.decisions import Action, Decision, append_in, deciding, history, now_in
from data.errors import GateError, NotFoundError, Problem
from data.migrating import open_database
from data.sql import TENANT
from features.policy import Policy
from training.audit.document import evidence_hash
from training.bundle import Bundle
from training.deciding import blank
from training.gate import never, undecided, unmet
from training.registry.store import MODEL, address, connect
from training.served import earlier
from training.signing import Record, is_demo, together
from training.storage import beside, load, writable

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Version:
    """A registered bundle."""

    version: str
    bundle_id: str
    run_id: str
    dataset: str
    aliases: tuple[str, ...]
    created_at_ms: int


@dataclass(frozen=True)
class Promotion:
    """A bundle that is now served, and what the gate had against it (only a demonstration may have anything)."""

    version: str
    bundle_id: str
    decision_id: str
    waived: list[Problem]


def versions() -> list[Version]:
    """All registered bundles, newest first."""
    client = connect()
    try:
        aliases = client.get_registered_model(MODEL).aliases
    except MlflowException:
        return []
    found = client.search_model_versions(f"name='{MODEL}'")
    return sorted((_version(client, one, aliases) for one in found), key=lambda v: int(v.version), reverse=True)


def _version(
    client: MlflowClient, one: "mlflow.entities.model_registry.ModelVersion", aliases: dict[str, str]
) -> Version:
    tags = client.get_run(str(one.run_id)).data.tags
    mine = tuple(alias for alias, number in sorted(aliases.items()) if str(number) == str(one.version))
    return Version(
        str(one.version),
        tags.get("bundle_id", ""),
        str(one.run_id),
        tags.get("dataset", ""),
        mine,
        one.creation_timestamp,
    )


def find(name: str) -> Version:
    """A version by number, alias or bundle id. Raises NotFoundError naming those that exist."""
    known = versions()
    for one in known:
        if name in (one.version, one.bundle_id) or name in one.aliases:
            return one
    some = ", ".join(v.version for v in known[:10]) or "none: train one first"
    raise NotFoundError(f"model {name!r}: no such version, alias or bundle id -> versions: {some}")


def export(name: str, folder: Path | str) -> Path:
    """Copies a registered bundle into a folder and loads it once, so that what is handed over is known to work.

    Raises ConfigError if the folder holds anything but an earlier bundle.
    """
    connect()
    one = find(name)
    folder = Path(folder)
    writable(folder)
    source = folder_of(one)
    part = beside(folder)
    shutil.copytree(source, part, dirs_exist_ok=True)
    load(part)
    shutil.rmtree(folder, ignore_errors=True)
    return part.rename(folder)


def promote(name: str, who: str, reason: str, database: str | None = None, policy: Policy | None = None) -> Promotion:
    """Makes a version the champion, under today's policy if none is given. Raises GateError with all that is missing.

    `who` is a named person. The name `demo` is for test runs on synthetic data: it may pass the gate unmet, and the
    record says so; what `training.gate.never` names stops it too.
    """
    _named(who, reason)
    one = find(name)
    bundle, policy = read_version(one), policy or Policy.read()
    served = next((v.bundle_id for v in versions() if CHAMPION in v.aliases), None)
    untested = unmet(bundle, policy, None if served == bundle.manifest.bundle_id else served)
    with deciding(open_database(database)) as connection:
        record = Record(connection, policy, TENANT)
        refused = never(bundle, record, who)
        problems = together([*refused, *untested, *undecided(bundle, record, who)])
        if refused or (problems and not is_demo(who)):
            raise GateError(problems)
        said = f"{reason} [gate waived: {len(problems)} conditions]" if problems else reason
        decision_id = _on_record(record, "promote", bundle, who, said)
        _move(one)  # while nobody else decides: record and alias say the same
    return Promotion(one.version, bundle.manifest.bundle_id, decision_id, problems)


def rollback(
    who: str, reason: str, name: str | None = None, database: str | None = None, policy: Policy | None = None
) -> Promotion:
    """Makes an earlier champion the champion again: the one before the present one, or the version that is named.

    Raises GateError for one that never was the champion (it has not been through the gate), that was rejected since,
    that has a feature which today's policy does not allow, or that was learned from invented people where the present
    one was learned from real ones.
    """
    _named(who, reason)
    engine = open_database(database)
    decisions = history(engine)
    made = [one.bundle_id for one in decisions if one.action in ("promote", "rollback")]
    present = find(CHAMPION)
    before = [bundle_id for bundle_id in earlier(decisions) if bundle_id != present.bundle_id]
    if not before and name is None:
        rule = "no other bundle was served before it"
        step = "promote one: therapist-fit models promote, or name one that was served with --to"
        raise GateError([Problem("champion", present.bundle_id, rule, step)])
    one = find(name or before[0])
    if one.bundle_id not in made:
        rule = "was never the champion, so it has not been through the gate"
        raise GateError([Problem("model", one.version, rule, f"therapist-fit models promote {one.version}")])
    bundle = read_version(one)
    with deciding(engine) as connection:
        record = Record(connection, policy or Policy.read(), TENANT)
        refused = never(bundle, record, who)
        if bundle.manifest.synthetic and not read_version(present).manifest.synthetic:
            rule = "learned from invented people, and the present one from real ones"
            refused.append(Problem("model", one.version, rule, "name one of real people with --to, or promote one"))
        if refused:
            raise GateError(refused)
        decision_id = _on_record(record, "rollback", bundle, who, reason)
        _move(one)
    return Promotion(one.version, one.bundle_id, decision_id, [])


def _named(who: str, reason: str) -> None:
    problems = [replace(problem, where=f"--{problem.where}") for problem in blank(who, reason)]
    if problems:
        raise GateError(problems)


def _on_record(record: Record, action: Action, bundle: Bundle, who: str, reason: str) -> str:
    """The evidence is the newest audit of the bundle; where none was kept, what the manifest says."""
    manifest = bundle.manifest
    newest = record.newest(manifest.bundle_id)
    told = evidence_hash(manifest.model_dump_json().encode()) if newest is None else newest.evidence_hash
    decision = Decision(action, manifest.bundle_id, who.strip(), reason.strip(), manifest.policy_hash, told)
    return append_in(record.connection, now_in(record.connection, decision, record.tenant), record.tenant)


def _move(one: Version) -> None:
    connect().set_registered_model_alias(MODEL, CHAMPION, one.version)


def champion_version() -> str | None:
    """Number of the champion, None where there is none. One question to the store, so it may be asked every second.

    Raises MlflowException if the store does not answer.
    """
    try:
        return str(MlflowClient(address(), address()).get_model_version_by_alias(MODEL, CHAMPION).version)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def champion() -> Bundle | None:
    """What is served now; None where nothing is."""
    return read(CHAMPION) if any(CHAMPION in one.aliases for one in versions()) else None


def bundle_of(name: str) -> Bundle:
    """The bundle in a folder, or by what the registry calls it."""
    return load(name) if (Path(name) / "manifest.json").is_file() else read(name)


def read(name: str) -> Bundle:
    """The bundle of a version, alias or bundle id."""
    connect()
    return read_version(find(name))


def read_version(one: Version) -> Bundle:
    """The bundle of a version."""
    return load(folder_of(one))


def folder_of(one: Version) -> Path:
    """A folder with the files of a version: the store's own, or a copy."""
    connect()
    found = Path(mlflow.artifacts.download_artifacts(f"models:/{MODEL}/{one.version}")) / "artifacts"
    return next(path for path in found.iterdir() if (path / "manifest.json").is_file())
