"""Who decided what about a model, when, why and on what evidence: tables that are only ever appended to."""

import datetime as dt
import gzip
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, get_args

import sqlalchemy as sa

from data.database import insert_new, new_id, take_turns, writing
from data.errors import NotFoundError
from data.sql import DECISIONS, EVIDENCE, TENANT

Action = Literal["sign", "approve", "reject", "promote", "rollback"]
ACTIONS: tuple[Action, ...] = get_args(Action)
_TURN = 7_423_518_847


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Decision:
    """One decision of a named person about a bundle; hashes say exactly what they had before them."""

    action: Action
    bundle_id: str
    who: str
    reason: str
    policy_hash: str = ""
    evidence_hash: str = ""
    made_at: dt.datetime = field(default_factory=_now)
    features: Mapping[str, str] | None = None
    """What a signature covers: feature -> hash of its rule in the policy."""

    def __post_init__(self) -> None:
        for name in ("who", "reason", "bundle_id"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} is empty: a decision names person, reason and bundle -> give it")
        if self.action not in ACTIONS:
            raise ValueError(f"action {self.action!r}: must be one of {', '.join(ACTIONS)} -> use one of these")


class Evidence(NamedTuple):
    """An audit that people had before them; its bytes are read by `evidence_of`."""

    evidence_hash: str
    bundle_id: str
    version: str
    """Number of the bundle in the registry."""
    made_at: dt.datetime
    """When the audit was made."""


@contextmanager
def deciding(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction in which nobody else decides: what it reads still holds when it appends."""
    with writing(engine) as connection:
        decide_in_turn(connection)
        yield connection


def decide_in_turn(connection: sa.Connection) -> None:
    """Whoever else decides waits until this transaction ends."""
    take_turns(connection, _TURN)


def append_decision(engine: sa.Engine, decision: Decision, tenant: str = TENANT) -> str:
    """Puts the decision on record and returns its id."""
    with deciding(engine) as connection:
        return append_in(connection, decision, tenant)


def append_in(connection: sa.Connection, decision: Decision, tenant: str = TENANT) -> str:
    """The same within the transaction of `deciding`."""
    decision_id = new_id(decision.made_at)
    row = {name: getattr(decision, name) for name in Decision.__dataclass_fields__}
    row["features"] = None if decision.features is None else dict(decision.features)
    connection.execute(sa.insert(DECISIONS), {**row, "tenant": tenant, "decision_id": decision_id})
    return decision_id


def now_in(connection: sa.Connection, decision: Decision, tenant: str = TENANT) -> Decision:
    """The decision as made now, but never before the last one on record, whatever the clocks of two machines say."""
    last = connection.scalar(sa.select(sa.func.max(DECISIONS.c.made_at)).where(DECISIONS.c.tenant == tenant))
    earliest = _now() if last is None else max(_now(), last + dt.timedelta(microseconds=1))
    return replace(decision, made_at=earliest)


def history(engine: sa.Engine, tenant: str = TENANT) -> list[Decision]:
    """All decisions, oldest first."""
    with engine.connect() as connection:
        return history_in(connection, tenant)


def history_in(connection: sa.Connection, tenant: str = TENANT) -> list[Decision]:
    """The same within a transaction."""
    columns = [DECISIONS.c[name] for name in Decision.__dataclass_fields__]
    asked = (
        sa.select(*columns).where(DECISIONS.c.tenant == tenant).order_by(DECISIONS.c.made_at, DECISIONS.c.decision_id)
    )
    return [Decision(**row._mapping) for row in connection.execute(asked)]


def keep_evidence(connection: sa.Connection, evidence: Evidence, document: bytes, tenant: str = TENANT) -> None:
    """Keeps the bytes of an audit, compressed, unless they are here already."""
    row = {**evidence._asdict(), "tenant": tenant, "document": gzip.compress(document, mtime=0)}
    insert_new(connection, EVIDENCE, row)


def published(engine: sa.Engine, tenant: str = TENANT) -> list[Evidence]:
    """Audits that were put before people who decide, the newest first."""
    with engine.connect() as connection:
        return published_in(connection, tenant)


def published_in(connection: sa.Connection, tenant: str = TENANT) -> list[Evidence]:
    """The same within a transaction."""
    columns = [EVIDENCE.c[name] for name in Evidence._fields]
    newest = (EVIDENCE.c.made_at.desc(), EVIDENCE.c.evidence_hash)
    asked = sa.select(*columns).where(EVIDENCE.c.tenant == tenant).order_by(*newest)
    return [Evidence(*row) for row in connection.execute(asked)]


def evidence_of(engine: sa.Engine, evidence_hash: str, tenant: str = TENANT) -> bytes:
    """The bytes of `audit.json` as people saw them. Raises NotFoundError if none with that hash was kept."""
    with engine.connect() as connection:
        return evidence_in(connection, evidence_hash, tenant)


def evidence_in(connection: sa.Connection, evidence_hash: str, tenant: str = TENANT) -> bytes:
    """The same within a transaction."""
    mine = (EVIDENCE.c.tenant == tenant) & (EVIDENCE.c.evidence_hash == evidence_hash)
    document = connection.scalar(sa.select(EVIDENCE.c.document).where(mine))
    if document is None:
        raise NotFoundError(f"evidence {evidence_hash!r}: no audit with this hash was kept -> see the audits on /audit")
    return gzip.decompress(document)
