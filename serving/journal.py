"""The journal: no answer leaves the service before what was asked and what was answered are on disk."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from data.errors import GoneError, NotFoundError
from data.sql import RECOMMENDATIONS, SAFETY_TASKS


@dataclass(frozen=True)
class SafetyTask:
    """A clinician's task that an answer opens."""

    task_id: str
    status: str
    raised_by: tuple[str, ...]
    due_at: dt.datetime


@dataclass(frozen=True)
class Entry:
    """One answer, with everything that is needed to derive it again."""

    recommendation_id: str
    made_at: dt.datetime
    client_id: str | None
    request: Mapping[str, Any]
    bundle_id: str
    version: str
    directory_version: int
    directory_source: str
    settings_hash: str
    answer: bytes
    audience: str = "platform"
    key_id: str | None = None
    seed: int | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    propensities: Mapping[str, float] | None = None
    released_from: str | None = None
    task: SafetyTask | None = None


def write(connection: sa.Connection, entry: Entry, tenant: str) -> None:
    """Keeps the answer, and the task it opens, with the transaction that this is part of."""
    names = [name for name in Entry.__dataclass_fields__ if name != "task"]
    connection.execute(sa.insert(RECOMMENDATIONS), {"tenant": tenant, **{name: getattr(entry, name) for name in names}})
    if entry.task is not None:
        connection.execute(sa.insert(SAFETY_TASKS), _task_row(entry, entry.task, tenant))


def read(connection: sa.Connection, recommendation_id: str, tenant: str) -> sa.Row[*tuple[Any, ...]]:
    """The journal's row of an answer. Raises NotFoundError without one, GoneError if it has been erased."""
    mine = sa.and_(RECOMMENDATIONS.c.tenant == tenant, RECOMMENDATIONS.c.recommendation_id == recommendation_id)
    return there(connection.execute(sa.select(RECOMMENDATIONS).where(mine)).one_or_none(), "recommendation")


_TASKS = SAFETY_TASKS.c
_HELD = (
    sa.select(_TASKS.client_id, _TASKS.task_id)
    .where(_TASKS.tenant == sa.bindparam("tenant"), _TASKS.status == "held", _TASKS.closed_at.is_(None))
    .where(_TASKS.client_id.in_(sa.bindparam("clients", expanding=True)))
    .order_by(_TASKS.opened_at, _TASKS.task_id)
)
"""Built once: every request that names a client asks it."""


def holds(connection: sa.Connection, tenant: str, clients: Collection[str]) -> dict[str, str]:
    """Those of the clients for whom a clinician has yet to act on a held answer, each with the newest such task."""
    found = connection.execute(_HELD, {"tenant": tenant, "clients": list(clients)})
    return {client_id: task_id for client_id, task_id in found}  # noqa: C416  (a row is no pair to `dict`)


def there(row: sa.Row[*tuple[Any, ...]] | None, what: str) -> sa.Row[*tuple[Any, ...]]:
    """The row. Raises NotFoundError if there is none, GoneError if what it held has been erased."""
    if row is None:
        raise NotFoundError(f"no such {what} here -> see that the id and the key belong together")
    if row.erased_at is not None:
        raise GoneError(f"erased on {row.erased_at:%Y-%m-%d}, with everything else of the client -> ask anew")
    return row


def _task_row(entry: Entry, task: SafetyTask, tenant: str) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "task_id": task.task_id,
        "recommendation_id": entry.recommendation_id,
        "client_id": entry.client_id,
        "status": task.status,
        "raised_by": list(task.raised_by),
        "opened_at": entry.made_at,
        "due_at": task.due_at,
    }
