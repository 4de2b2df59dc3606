"""Safety tasks: what a clinician has to look at, which of it is late, and who closed it with what reason."""

import base64
import binascii
import datetime as dt
import json
from collections.abc import Sequence
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from data.database import new_id
from data.errors import ConflictError, NotFoundError, Problem, RequestError
from data.sql import SAFETY_TASKS
from serving.access.keys import Caller
from serving.access.writes import Asked, Outcome, once
from serving.service import Service, no_database
from serving.values import Id, Note

MOST_LISTED = 200
State = Literal["open", "overdue", "closed"]
_Columns = Sequence[sa.ColumnElement[Any]]


class TaskTold(BaseModel):
    """One task."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task_id: str
    state: State
    status: str = Field(description="`flagged`, or `held` where a ranking is held back until a clinician has looked")
    raised_by: list[str] = Field(description="the scores that raised it, such as `phq9.9`")
    recommendation_id: str | None
    episode_id: str | None
    client_id: str | None
    opened_at: AwareDatetime
    due_at: AwareDatetime
    closed_at: AwareDatetime | None
    closed_by: str | None
    reason: str | None


class TaskList(BaseModel):
    """A page of tasks: those open by when they are due, so that the overdue come first; closed ones newest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: list[TaskTold]
    next_cursor: str | None = Field(description="send it as `cursor` for the next page; empty on the last")


class TaskClosing(BaseModel):
    """Who has acted, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    who: Id = Field(description="the clinician who closes it, by a pseudonym or a staff number")
    reason: Note = Field(description="what was done; only clinicians and auditors read it, and an erasure removes it")


EXAMPLE_CLOSING: dict[str, Any] = {"who": "clinician-7", "reason": "Talked with the client; plan agreed."}


def open_task(
    connection: sa.Connection,
    tenant: str,
    status: str,
    raised_by: Sequence[str],
    now: dt.datetime,
    due_at: dt.datetime,
    episode_id: str,
    client_id: str | None,
) -> None:
    """A new task for a course of treatment, or for a client who waits for one."""
    row = {"task_id": new_id(now), "status": status, "raised_by": list(raised_by), "opened_at": now, "due_at": due_at}
    about = {"tenant": tenant, "episode_id": episode_id, "client_id": client_id}
    connection.execute(sa.insert(SAFETY_TASKS), row | about)


def open_task_of(connection: sa.Connection, tenant: str, episode_id: str) -> str | None:
    """The newest open task of a course of treatment."""
    tasks = SAFETY_TASKS
    mine = (tasks.c.tenant == tenant, tasks.c.episode_id == episode_id, tasks.c.closed_at.is_(None))
    newest = sa.select(tasks.c.task_id).where(*mine).order_by(tasks.c.opened_at.desc(), tasks.c.task_id.desc())
    return connection.scalar(newest.limit(1))


def listed(service: Service, caller: Caller, state: State, limit: int, cursor: str | None) -> TaskList:
    """A page of the tenant's tasks. Raises RequestError for a cursor that was not given out here."""
    tasks, now = SAFETY_TASKS, service.now()
    asked = sa.select(tasks).where(tasks.c.tenant == caller.tenant)
    if state == "closed":
        order: _Columns = (tasks.c.closed_at, tasks.c.task_id)
        asked = asked.where(tasks.c.closed_at.is_not(None)).order_by(*(one.desc() for one in order))
    else:
        order = (tasks.c.due_at, tasks.c.task_id)
        asked = asked.where(tasks.c.closed_at.is_(None)).order_by(*order)
    if state == "overdue":
        asked = asked.where(tasks.c.due_at < now)
    if cursor is not None:
        asked = asked.where(_beyond(order, _read_cursor(cursor), backwards=state == "closed"))
    try:
        with service.engine.connect() as connection:
            rows = connection.execute(asked.limit(limit + 1)).all()
    except sa.exc.SQLAlchemyError as error:
        raise no_database(error) from error
    more = rows[limit - 1] if len(rows) > limit else None
    after = None if more is None else _cursor(more.closed_at if state == "closed" else more.due_at, more.task_id)
    return TaskList(tasks=[_told(row, now) for row in rows[:limit]], next_cursor=after)


def close(service: Service, caller: Caller, task_id: str, sent: TaskClosing, asked: Asked) -> Outcome:
    """Closes a task for good. Raises NotFoundError, or ConflictError if somebody else has closed it."""
    now = service.now()
    mine = sa.and_(SAFETY_TASKS.c.tenant == caller.tenant, SAFETY_TASKS.c.task_id == task_id)

    def work(connection: sa.Connection) -> Outcome:
        task = connection.execute(sa.select(SAFETY_TASKS).where(mine).with_for_update()).one_or_none()
        if task is None:
            raise NotFoundError("no such task here -> GET /v1/safety/tasks lists them")
        if task.closed_at is None:
            closed = {"closed_at": now, "closed_by": sent.who, "reason": sent.reason}
            connection.execute(sa.update(SAFETY_TASKS).where(mine).values(**closed))
            task = connection.execute(sa.select(SAFETY_TASKS).where(mine)).one()
        elif (task.closed_by, task.reason) != (sent.who, sent.reason):
            raise ConflictError(
                f"this task was closed on {task.closed_at:%Y-%m-%d} by {task.closed_by} -> nothing is left to do here"
            )
        return Outcome(200, _told(task, now).model_dump_json().encode(), {}, task.client_id)

    return once(service.engine, caller, asked, now, work)


def _told(task: sa.Row[Any], now: dt.datetime) -> TaskTold:
    state: State = "closed" if task.closed_at is not None else "overdue" if task.due_at < now else "open"
    own = {name: value for name, value in task._mapping.items() if name in TaskTold.model_fields}
    return TaskTold.model_validate({**own, "state": state})


def _beyond(order: _Columns, place: tuple[dt.datetime, str], backwards: bool) -> sa.ColumnElement[bool]:
    """Rows that come after a place in the order."""
    (first, second), (moment, name) = order, place
    if backwards:
        return sa.or_(first < moment, sa.and_(first == moment, second < name))
    return sa.or_(first > moment, sa.and_(first == moment, second > name))


def _cursor(moment: dt.datetime, task_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([moment.isoformat(), task_id]).encode()).decode()


def _read_cursor(cursor: str) -> tuple[dt.datetime, str]:
    try:
        moment, name = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        read = dt.datetime.fromisoformat(moment).astimezone(dt.UTC)
        if "\0" in name or not name.isprintable():
            raise ValueError
        return read, name
    except (ValueError, TypeError, OverflowError, AttributeError, RecursionError, binascii.Error):
        rule = "was not given out here"
        raise RequestError([Problem("cursor", "unreadable", rule, "send `next_cursor` as it was given")]) from None
