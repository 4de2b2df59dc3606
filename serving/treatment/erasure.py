"""Erasure: everything that is known of a client goes; that answers were given, when and by which model, stays."""

import datetime as dt
import hashlib
from typing import Any

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from data.database import new_id
from data.errors import GoneError, NotFoundError
from data.sql import (
    ALLOCATIONS,
    CHOICES,
    CORRECTIONS,
    EPISODES,
    IDEMPOTENCY,
    MEASURES,
    RECEIPTS,
    RECOMMENDATIONS,
    SAFETY_TASKS,
)
from data.versions import take_turn
from serving.access.keys import Caller
from serving.access.writes import Asked, Outcome, once
from serving.service import Service
from serving.treatment.places import Record, save


class Receipt(BaseModel):
    """What was erased. Of the client's id only a hash is kept, by which a second request is known again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    receipt_id: str
    erased_at: AwareDatetime
    removed: dict[str, int] = Field(description="rows by table; of recommendations and allocations, rows emptied")
    places_freed: int


def erase(service: Service, caller: Caller, client_id: str, asked: Asked) -> Outcome:
    """Erases a client of this tenant, whole or not at all, and gives back the places that they held.

    Raises NotFoundError for a client of whom nothing was ever on record, GoneError with the receipt's id if
    everything has been erased already.
    """
    now = service.now()

    def work(connection: sa.Connection) -> Outcome:
        take_turn(connection, caller.tenant)
        episodes = _episodes(connection, caller.tenant, client_id)
        freed = _free_places(connection, caller.tenant, episodes, now)
        removed = _remove(connection, caller.tenant, client_id, episodes, now)
        if not any(removed.values()):
            raise _nothing_left(connection, caller.tenant, client_id)
        receipt = Receipt(receipt_id=new_id(now), erased_at=now, removed=removed, places_freed=freed)
        _keep(connection, caller, client_id, receipt)
        return Outcome(200, receipt.model_dump_json().encode())

    outcome = once(service.engine, caller, asked, now, work)
    _empty_log(service.engine)
    return outcome


def _empty_log(engine: sa.Engine) -> None:
    """SQLite keeps old pages in its log until they are written over: they are let go of now, if nobody reads them."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.exec_driver_sql("BEGIN")


def _episodes(connection: sa.Connection, tenant: str, client_id: str) -> list[sa.Row[Any]]:
    """The client's courses, by their own id or that of an answer; locked, so that no measure comes in meanwhile."""
    episodes = EPISODES
    own = sa.or_(
        episodes.c.client_id == client_id, episodes.c.recommendation_id.in_(_recommendations(tenant, client_id))
    )
    found = sa.select(episodes).where(episodes.c.tenant == tenant, own).order_by(episodes.c.episode_id)
    return list(connection.execute(found.with_for_update()))


def _recommendations(tenant: str, client_id: str) -> sa.Select[tuple[str]]:
    table = RECOMMENDATIONS
    return sa.select(table.c.recommendation_id).where(table.c.tenant == tenant, table.c.client_id == client_id)


def _free_places(connection: sa.Connection, tenant: str, episodes: list[sa.Row[Any]], now: dt.datetime) -> int:
    """Gives back, as one version, the places and coming slots that the courses hold. Returns how many places."""
    before = {row.therapist_id: Record.read(connection, tenant, row.therapist_id) for row in episodes}
    after = dict(before)
    freed = 0
    for row in episodes:
        freed += after[row.therapist_id].holds(row.episode_id, now)
        after[row.therapist_id] = after[row.therapist_id].without_place(row.episode_id, now)
    save(connection, tenant, "erasure", [(before[name], after[name]) for name in before], now)
    return freed


def _remove(
    connection: sa.Connection, tenant: str, client_id: str, courses: list[sa.Row[Any]], now: dt.datetime
) -> dict[str, int]:
    """Rows removed or emptied, by table."""
    episodes = [row.episode_id for row in courses]
    answers = {*connection.scalars(_recommendations(tenant, client_id))}
    answers |= {row.recommendation_id for row in courses if row.recommendation_id}

    def delete(table: sa.Table, *whose: sa.ColumnElement[bool]) -> int:
        return connection.execute(sa.delete(table).where(table.c.tenant == tenant, sa.or_(*whose))).rowcount

    def about(table: sa.Table) -> list[sa.ColumnElement[bool]]:
        found = [table.c.client_id == client_id] if "client_id" in table.c else []
        found += [table.c.episode_id.in_(episodes)] if "episode_id" in table.c else []
        return found + ([table.c.recommendation_id.in_(answers)] if "recommendation_id" in table.c else [])

    tables = (SAFETY_TASKS, CHOICES, CORRECTIONS, MEASURES, EPISODES, IDEMPOTENCY)
    removed = {table.name: delete(table, *about(table)) for table in tables}
    lists = _lists_naming(connection, tenant, client_id)
    removed["idempotency"] += delete(IDEMPOTENCY, sa.false(), *(_led_to(allocation_id) for allocation_id in lists))
    removed["allocations"] = _empty_allocations(connection, tenant, lists, now)
    return removed | {"recommendations": _empty_answers(connection, tenant, answers, now)}


def _empty_answers(connection: sa.Connection, tenant: str, answers: set[str], now: dt.datetime) -> int:
    table = RECOMMENDATIONS
    nothing: dict[str, Any] = {"request": sa.null(), "propensities": sa.null(), "prices": {}}
    gone = {**nothing, "answer": None, "client_id": None, "seed": None, "erased_at": now}
    mine = (table.c.tenant == tenant, table.c.recommendation_id.in_(answers))
    return connection.execute(sa.update(table).where(*mine).values(**gone)).rowcount


def _lists_naming(connection: sa.Connection, tenant: str, client_id: str) -> list[str]:
    """Waiting lists that name the client."""
    table = ALLOCATIONS
    spelled = sa.cast(table.c.request, sa.Text).contains(f'"{client_id}"', autoescape=True)
    maybe = sa.select(table.c.allocation_id, table.c.request).where(table.c.tenant == tenant, spelled)
    return [row.allocation_id for row in connection.execute(maybe) if _names(row.request, client_id)]


def _led_to(allocation_id: str) -> sa.ColumnElement[bool]:
    """The kept outcome of a write that placed this list: its body names everybody on it."""
    return sa.cast(IDEMPOTENCY.c.headers, sa.Text).contains(f"/v1/allocations/{allocation_id}", autoescape=True)


def _empty_allocations(connection: sa.Connection, tenant: str, lists: list[str], now: dt.datetime) -> int:
    """What the lists hold of others goes with them: it cannot be told apart."""
    table = ALLOCATIONS
    mine = (table.c.tenant == tenant, table.c.allocation_id.in_(lists))
    gone = {"request": sa.null(), "answer": None, "erased_at": now}
    return connection.execute(sa.update(table).where(*mine).values(**gone)).rowcount


def _names(value: Any, client_id: str) -> bool:
    """Whether plain values name the client anywhere."""
    if isinstance(value, dict):
        return any(_names(one, client_id) for one in value.values())
    if isinstance(value, list):
        return any(_names(one, client_id) for one in value)
    return bool(value == client_id)


def _nothing_left(connection: sa.Connection, tenant: str, client_id: str) -> Exception:
    mine = (RECEIPTS.c.tenant == tenant, RECEIPTS.c.client_hash == client_hash(tenant, client_id))
    newest = sa.select(RECEIPTS).where(*mine).order_by(RECEIPTS.c.made_at.desc()).limit(1)
    receipt = connection.execute(newest).one_or_none()
    if receipt is None:
        return NotFoundError("nothing is on record of such a client here -> see that the id is right")
    day, known = f"{receipt.made_at:%Y-%m-%d}", receipt.receipt_id
    return GoneError(f"erased on {day}: receipt {known}; nothing has come in since -> nothing is left to erase")


def _keep(connection: sa.Connection, caller: Caller, client_id: str, receipt: Receipt) -> None:
    row = {
        "tenant": caller.tenant,
        "receipt_id": receipt.receipt_id,
        "client_hash": client_hash(caller.tenant, client_id),
        "made_at": receipt.erased_at,
        "key_id": caller.key_id,
        "removed": receipt.removed,
    }
    connection.execute(sa.insert(RECEIPTS), row)


def client_hash(tenant: str, client_id: str) -> str:
    """By which an erased client's id is known again; another tenant's client of that id has another."""
    return hashlib.sha256(f"{tenant}\0{client_id}".encode()).hexdigest()
