"""The journal: no answer leaves the service before what was asked and what was answered are on disk."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from data.database import writing
from data.errors import JournalError
from data.sql import RECOMMENDATIONS, SAFETY_TASKS, TENANT


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
    directory_version: int
    directory_source: str
    answer: bytes
    key_id: str | None = None
    seed: int | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    task: SafetyTask | None = None


def write(engine: sa.Engine, entry: Entry, tenant: str = TENANT) -> None:
    """Keeps the answer, and the task it opens, in one transaction. Raises JournalError if that is not possible."""
    names = [column.name for column in RECOMMENDATIONS.columns if column.name != "tenant"]
    row = {"tenant": tenant, **{name: getattr(entry, name) for name in names}}
    try:
        with writing(engine) as connection:
            connection.execute(sa.insert(RECOMMENDATIONS), row)
            if entry.task is not None:
                connection.execute(sa.insert(SAFETY_TASKS), _task_row(entry, entry.task, tenant))
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise JournalError(
            f"the answer could not be kept ({type(error).__name__}), so it was not given "
            "-> try again; if it stays so, look at the database"
        ) from error


def _task_row(entry: Entry, task: SafetyTask, tenant: str) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "task_id": task.task_id,
        "recommendation_id": entry.recommendation_id,
        "status": task.status,
        "raised_by": list(task.raised_by),
        "opened_at": entry.made_at,
        "due_at": task.due_at,
    }
