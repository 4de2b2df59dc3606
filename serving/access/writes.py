"""Writes that may be sent again: the work and its outcome are kept in one transaction, and given again as they were."""

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from data.database import writing
from data.errors import JournalError, Problem, RequestError
from data.sql import IDEMPOTENCY
from serving.access.keys import Caller

LONGEST_KEY = 128
KEPT_HOURS = 24
REPLAYED = "Idempotency-Replayed"
NOT_THERE = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.ProgrammingError, sa.exc.TimeoutError)
"""How a database says that it, or a table of it, cannot be used now."""


@dataclass(frozen=True)
class Asked:
    """What makes two writes the same: the caller's `Idempotency-Key`, and a hash of route and body."""

    key: str | None
    hash: str

    @classmethod
    def of(cls, key: str | None, method: str, target: str, body: bytes) -> "Asked":
        """From a request. Raises RequestError for a key that is empty, too long or not printable."""
        if key is not None and not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            rule = f"must have 1 to {LONGEST_KEY} printable ASCII characters"
            raise RequestError([Problem("Idempotency-Key", "unreadable", rule, "send a UUID")])
        return cls(key, hashlib.sha256(b"\0".join([method.encode(), target.encode(), body])).hexdigest())


@dataclass(frozen=True)
class Outcome:
    """What a write answers with."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    client_id: str | None = None
    """Whose data the body holds, so that an erasure finds it."""


def once(
    engine: sa.Engine, caller: Caller, asked: Asked, now: dt.datetime, work: Callable[[sa.Connection], Outcome]
) -> Outcome:
    """Does the work in one transaction, whole or not at all; sent again with its key, it gives the first outcome.

    Raises what `work` raises, and then keeps nothing; RequestError for a key that was used for another request;
    JournalError if the database cannot keep it; BusyError if the request has taken too long.
    """

    def in_time(connection: sa.Connection) -> Outcome:
        caller.in_time()
        outcome = work(connection)
        caller.in_time()  # the database may have kept it waiting
        return outcome

    try:
        return earlier(engine, caller, asked, now) or _first(engine, caller, asked, now, in_time)
    except (*NOT_THERE, OSError) as error:
        raise JournalError(
            f"it could not be kept ({type(error).__name__}), so it was not done "
            "-> try again; if it stays so, look at the database"
        ) from error


def earlier(engine: sa.Engine, caller: Caller, asked: Asked, now: dt.datetime) -> Outcome | None:
    """The outcome that was given to the same request before. Raises RequestError if the key was for another."""
    if asked.key is None:
        return None
    since = now - dt.timedelta(hours=KEPT_HOURS)
    with engine.connect() as connection:
        found = connection.execute(sa.select(IDEMPOTENCY).where(_mine(caller, asked), IDEMPOTENCY.c.made_at > since))
        row = found.one_or_none()
    if row is None:
        return None
    if row.request_hash != asked.hash:
        rule = "was sent before with another request"
        raise RequestError([Problem("Idempotency-Key", "used", rule, "send a new key with each new request")])
    return Outcome(row.status, row.body, {**row.headers, REPLAYED: "true"}, row.client_id)


def _first(
    engine: sa.Engine, caller: Caller, asked: Asked, now: dt.datetime, work: Callable[[sa.Connection], Outcome]
) -> Outcome:
    if asked.key is None:
        with writing(engine) as connection:
            return work(connection)
    try:
        with writing(engine) as connection:
            _claim(connection, caller, asked, now)
            outcome = work(connection)
            _keep(connection, caller, asked, outcome)
            return outcome
    except sa.exc.IntegrityError:
        known = earlier(engine, caller, asked, now)
        if known is None:
            raise
        return known


def _claim(connection: sa.Connection, caller: Caller, asked: Asked, now: dt.datetime) -> None:
    """Whoever sends the same key at the same time waits here, and then finds it taken."""
    old = IDEMPOTENCY.c.made_at <= now - dt.timedelta(hours=KEPT_HOURS)
    connection.execute(sa.delete(IDEMPOTENCY).where(_mine(caller, asked), old))
    row: dict[str, Any] = {"idempotency_key": asked.key, "request_hash": asked.hash, "made_at": now}
    connection.execute(sa.insert(IDEMPOTENCY), {**row, "tenant": caller.tenant, "key_id": caller.key_id})


def _keep(connection: sa.Connection, caller: Caller, asked: Asked, outcome: Outcome) -> None:
    values = {name: getattr(outcome, name) for name in ("status", "body", "client_id")}
    headers = dict(outcome.headers)
    connection.execute(sa.update(IDEMPOTENCY).where(_mine(caller, asked)).values(**values, headers=headers))


def forget_old(connection: sa.Connection, now: dt.datetime) -> int:
    """Removes the outcomes of all tenants that no longer count. Returns how many."""
    old = IDEMPOTENCY.c.made_at <= now - dt.timedelta(hours=KEPT_HOURS)
    return connection.execute(sa.delete(IDEMPOTENCY).where(old)).rowcount


def _mine(caller: Caller, asked: Asked) -> sa.ColumnElement[bool]:
    return sa.and_(
        IDEMPOTENCY.c.tenant == caller.tenant,
        IDEMPOTENCY.c.key_id == caller.key_id,
        IDEMPOTENCY.c.idempotency_key == asked.key,
    )
