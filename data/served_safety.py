"""Safety tasks of a service, and what was answered to questions about self-harm, from its own tables."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from data.served_scores import RISK_ITEMS
from data.sql import MEASURES, RECOMMENDATIONS, SAFETY_TASKS

_AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Task:
    """What a clinician had to look at, and what came of it. It names nobody but who closed it."""

    task_id: str
    held: bool
    """Nobody is proposed to the client until a clinician has acted; else the list was shown with a flag."""
    raised_by: tuple[str, ...]
    recommendation_id: str | None
    episode_id: str | None
    opened_at: dt.datetime
    due_at: dt.datetime
    closed_at: dt.datetime | None
    closed_by: str | None
    released_with: str | None = None
    """The key with which the held answer was released; nothing where it was not."""
    released: bool = False

    def hours(self, now: dt.datetime) -> float:
        """For how long it was open, or is; never negative."""
        return max(((self.closed_at or now) - self.opened_at).total_seconds() / 3600, 0.0)

    def is_overdue(self, now: dt.datetime) -> bool:
        """Whether it is open past its time."""
        return self.closed_at is None and self.due_at < now

    def was_late(self, now: dt.datetime) -> bool:
        """Whether it was closed past its time, or is open past it."""
        return (self.closed_at or now) > self.due_at


def tasks(connection: sa.Connection, tenant: str) -> list[Task]:
    """Every task: the open ones first, by when they are due, then the closed ones, newest first."""
    table, answers = SAFETY_TASKS.c, RECOMMENDATIONS.c
    again = sa.select(answers.released_from, answers.key_id).where(
        answers.tenant == tenant, answers.released_from.is_not(None)
    )
    released = {row.released_from: row.key_id for row in connection.execute(again)}
    shown = (
        table.task_id, table.status, table.raised_by, table.recommendation_id, table.episode_id,
        table.opened_at, table.due_at, table.closed_at, table.closed_by,
    )  # fmt: skip
    rows = connection.execute(
        sa.select(*shown).where(table.tenant == tenant).order_by(table.opened_at, table.task_id),
        execution_options={"yield_per": _AT_ONCE},
    )
    found = [_task(row, released) for row in rows]
    open_ones = sorted((one for one in found if one.closed_at is None), key=lambda one: (one.due_at, one.task_id))
    closed = [one for one in reversed(found) if one.closed_at is not None]
    return open_ones + sorted(closed, key=lambda one: one.closed_at or one.opened_at, reverse=True)


def _task(row: Any, released: dict[str | None, str | None]) -> Task:
    return Task(
        task_id=row.task_id,
        held=row.status == "held",
        raised_by=tuple(row.raised_by),
        recommendation_id=row.recommendation_id,
        episode_id=row.episode_id,
        opened_at=row.opened_at,
        due_at=row.due_at,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        released=row.recommendation_id is not None and row.recommendation_id in released,
        released_with=released.get(row.recommendation_id),
    )


@dataclass(frozen=True)
class Treated:
    """What courses of treatment were asked about self-harm after they began, as sets of episode ids."""

    scored: frozenset[str]
    """Courses with any answer or score of a session after intake."""
    asked: frozenset[str]
    """Those in which a question about self-harm was answered, at intake or later."""
    reported: frozenset[str]
    """Those in which one was answered with 1 or more after intake."""
    without_task: frozenset[str]
    """Of these, those for which no task was ever opened."""


def treated(connection: sa.Connection, tenant: str) -> Treated:
    """From the measures and tasks of courses of treatment."""
    table = MEASURES.c
    risk = sa.or_(*(sa.and_(table.instrument == name, table.item == item) for name, item in sorted(RISK_ITEMS)))
    mine = table.tenant == tenant
    scored = connection.scalars(sa.select(table.episode_id).where(mine, table.session > 0).distinct())
    found = frozenset(scored)
    worst = sa.func.max(sa.case((table.session > 0, table.value), else_=0))
    rows = connection.execute(sa.select(table.episode_id, worst).where(mine, risk).group_by(table.episode_id)).all()
    reported = frozenset(episode for episode, value in rows if value >= 1)
    opened = sa.select(SAFETY_TASKS.c.episode_id).where(
        SAFETY_TASKS.c.tenant == tenant, SAFETY_TASKS.c.episode_id.is_not(None)
    )
    with_task = frozenset(connection.scalars(opened))
    return Treated(found, frozenset(episode for episode, _ in rows), reported, reported - with_task)
