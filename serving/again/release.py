"""A clinician releases a held answer: a new answer with the list, the old one stays as it was, its task is closed."""

import datetime as dt
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from data.errors import ConflictError, RequestError
from data.sql import RECOMMENDATIONS, SAFETY_TASKS
from serving import journal
from serving.access.keys import Caller
from serving.access.writes import Asked, Outcome, earlier, once
from serving.again.past import told
from serving.answering.recommend import Ids
from serving.schemas import RecommendationRequest
from serving.service import Service
from serving.values import Id, Note


class Release(BaseModel):
    """Who releases a held answer, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    who: Id = Field(description="the clinician who releases it, by a pseudonym or a staff number")
    reason: Note = Field(description="what was found; only clinicians and auditors read it, and an erasure removes it")


EXAMPLE_RELEASE = {"who": "clinician-7", "reason": "Talked on the phone today; a safety plan is made."}


def release(service: Service, caller: Caller, recommendation_id: str, body: Release, asked: Asked) -> Outcome:
    """Answers the held request again, from today's directory and model, with its list shown; all in one transaction.

    Raises ConflictError if the answer was not held, has been released before, or no longer answers what the directory
    asks; NotFoundError, GoneError as reading it does.
    """
    now = service.now()
    known = earlier(service.engine, caller, asked, now)
    if known is not None:
        return known
    held = service.kept(caller, recommendation_id)
    safety = told(held)["safety"]
    if safety["status"] != "held":
        raise ConflictError("this answer is not held: its list is shown in it -> nothing needs to be released")
    with service.engine.connect() as connection:
        _refuse_second(connection, caller.tenant, recommendation_id)  # before the work of answering; again below
    request = RecommendationRequest.model_validate(held.request)
    try:
        entry = service.derive(caller, request, now, Ids(recommendation_id, safety["task_id"]), held.audience)
    except RequestError as error:
        fields = ", ".join(problem.where for problem in error.problems)
        raise ConflictError(
            f"the request no longer answers what this directory asks: {fields} -> ask anew with it"
        ) from error

    def work(connection: sa.Connection) -> Outcome:
        _take_turn(connection, caller.tenant, recommendation_id)
        _refuse_second(connection, caller.tenant, recommendation_id)
        _close(connection, caller.tenant, recommendation_id, body, now)
        service.keep(connection, caller, entry)
        location = f"/v1/recommendations/{entry.recommendation_id}"
        return Outcome(200, entry.answer, {"Location": location}, entry.client_id)

    return once(service.engine, caller, asked, now, work)


def _take_turn(connection: sa.Connection, tenant: str, recommendation_id: str) -> None:
    """Whoever releases or erases the same answer waits until this transaction ends. Raises GoneError if it is gone."""
    held = sa.and_(RECOMMENDATIONS.c.tenant == tenant, RECOMMENDATIONS.c.recommendation_id == recommendation_id)
    connection.execute(sa.select(RECOMMENDATIONS.c.recommendation_id).where(held).with_for_update())
    journal.read(connection, recommendation_id, tenant)


def _refuse_second(connection: sa.Connection, tenant: str, recommendation_id: str) -> None:
    mine = RECOMMENDATIONS.c.tenant == tenant
    released = sa.select(RECOMMENDATIONS.c.recommendation_id).where(
        mine, RECOMMENDATIONS.c.released_from == recommendation_id
    )
    found = connection.scalar(released.limit(1))
    if found is not None:
        raise ConflictError(f"this answer has been released before, as {found} -> read that one")


def _close(connection: sa.Connection, tenant: str, recommendation_id: str, body: Release, now: dt.datetime) -> None:
    """Closes the answer's task; one that somebody has closed before keeps that on record and says this beside it."""
    tasks = SAFETY_TASKS
    mine = sa.and_(tasks.c.tenant == tenant, tasks.c.recommendation_id == recommendation_id)
    for task in connection.execute(sa.select(tasks).where(mine)).all():
        values: dict[str, Any] = {"closed_at": now, "closed_by": body.who, "reason": body.reason}
        if task.closed_at is not None:
            values = {"reason": f"{task.reason or ''}\nReleased by {body.who}: {body.reason}".strip()}
        connection.execute(sa.update(tasks).where(mine, tasks.c.task_id == task.task_id).values(**values))
