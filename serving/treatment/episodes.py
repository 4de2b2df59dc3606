"""Courses of treatment: a start keeps the place, an ending frees it, and what is true is on record."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from data.errors import ConflictError, NotFoundError, Problem, RequestError
from data.sql import EPISODES
from data.versions import current, take_turn
from serving.access.keys import Caller
from serving.access.writes import Asked, Outcome, once
from serving.listing.therapists import check_match
from serving.service import Service, no_database
from serving.treatment.courses import CourseSent, course_row, etag_of, impossible, is_open, state_of, told
from serving.treatment.places import Record, require_stored, save

Course = Mapping[str, Any]
_FIXED = ("therapist_id", "assigned_by")
"""What a course keeps from its beginning to its end."""
_NOON = dt.time(12)
"""Of a match only the day is known; at noon nearly all zones have the same day."""


def put(
    service: Service, caller: Caller, episode_id: str, sent: CourseSent, if_match: str | None, asked: Asked
) -> Outcome:
    """Records what is known of a course, whoever booked it, and takes, keeps or frees its place.

    Raises RequestError for what cannot be, PreconditionError if somebody changed it since the caller read it,
    ConflictError where it is with another client or therapist, or would need a place that is not free.
    """
    now = service.now()

    def work(connection: sa.Connection) -> Outcome:
        take_turn(connection, caller.tenant)
        row = course_row(connection, caller.tenant, episode_id, lock=True)
        before = None if row is None else dict(row._mapping)
        check_match(if_match, None if before is None else etag_of(before))
        after = _begun(service, caller, episode_id, sent, now) if before is None else _changed(service, before, sent)
        problems = list(impossible(after, now.astimezone(service.settings.zone).date(), service.settings.zone))
        if problems:
            raise RequestError(problems)
        if is_open(after, now):
            require_stored(service)
        record = Record.read(connection, caller.tenant, after["therapist_id"])
        placed = _placed(record, before, after, sent, now)
        save(connection, caller.tenant, "episode", [(record, placed)], now)
        _write(connection, before, after, now)
        return _outcome(after, placed, now, 201 if before is None else 200)

    return once(service.engine, caller, asked, now, work)


def read(service: Service, caller: Caller, episode_id: str) -> Outcome:
    """The course as it is on record. Raises NotFoundError."""
    try:
        with service.engine.connect() as connection:
            row = course_row(connection, caller.tenant, episode_id)
            if row is None:
                raise NotFoundError("no such episode here -> see that the id and the key belong together")
            entries = current(connection, caller.tenant, row.therapist_id)
    except sa.exc.SQLAlchemyError as error:
        raise no_database(error) from error
    return _outcome(dict(row._mapping), Record(row.therapist_id, entries, None), service.now(), 200)


def _outcome(course: Course, record: Record, now: dt.datetime, status: int) -> Outcome:
    headers = {"ETag": etag_of(course)}
    if status == 201:
        headers["Location"] = f"/v1/episodes/{course['episode_id']}"
    return Outcome(status, told(course, record, now).model_dump_json().encode(), headers, course["client_id"])


def _begun(service: Service, caller: Caller, episode_id: str, sent: CourseSent, now: dt.datetime) -> Course:
    """A course that did not begin with a choice here.

    Raises RequestError if it is not said whose it is; NotFoundError where it seems meant to be there already.
    """
    missing = [name for name in ("client_id", "therapist_id") if getattr(sent, name) is None]
    if len(missing) == 2:
        raise NotFoundError(
            "no such episode here -> see that the id and the key belong together; to record one that began elsewhere "
            "give client_id and therapist_id"
        )
    if missing:
        rule = "there is no such episode yet, and a new one needs it"
        raise RequestError([Problem(name, "missing", rule, "give it, or see that the id is right") for name in missing])
    day = sent.matched_on or sent.started_on
    matched_at = now if day is None else dt.datetime.combine(day, _NOON, service.settings.zone)
    return {
        **sent.model_dump(exclude={"matched_on", "even_if_full"}),
        "tenant": caller.tenant,
        "episode_id": episode_id,
        "recommendation_id": None,
        "matched_at": matched_at.astimezone(dt.UTC),
        "holds_until": (sent.starts_at or now) + dt.timedelta(days=service.settings.choice_holds_days),
        "assigned_by": sent.assigned_by or "staff",
        "propensity": None,
    }


def _changed(service: Service, before: Course, sent: CourseSent) -> Course:
    """The course with what was sent. Raises ConflictError for what a course keeps from beginning to end."""
    given = sent.model_dump(exclude_unset=True, exclude={"matched_on", "even_if_full"})
    known = {**before, "matched_on": before["matched_at"].astimezone(service.settings.zone).date()}
    fixed = (*_FIXED, *(["client_id"] if before["client_id"] else []), "matched_on")
    differing = [name for name in fixed if getattr(sent, name) is not None and getattr(sent, name) != known[name]]
    if differing:
        raise ConflictError(
            f"this episode is on record with another {' and '.join(differing)} "
            "-> for another therapist end it (`transferred`) and record a new episode; else mend what you send"
        )
    kept = {name: before[name] for name in fixed if name in before}
    after = {**before, **given, **kept}
    if after["starts_at"] != before["starts_at"] and after["starts_at"] is not None:
        after["holds_until"] = after["starts_at"] + dt.timedelta(days=service.settings.choice_holds_days)
    return after


def _placed(record: Record, before: Course | None, after: Course, sent: CourseSent, now: dt.datetime) -> Record:
    """The therapist's record with the place and the slot that the course takes now."""
    episode_id = after["episode_id"]
    if not is_open(after, now):
        return record.without_place(episode_id, now)
    if not record.listed and not record.holds(episode_id, now):
        return record
    was_open = before is not None and is_open(before, now)
    if was_open and not record.holds(episode_id, now):
        return record  # the directory that was loaded counts it itself
    if not was_open and before is not None and not sent.even_if_full:
        _require_place(record, before, now)
    until = None if state_of(after, now) == "started" else after["holds_until"]
    return _with_slot(record.with_place(episode_id, until, now), before, after, now)


def _require_place(record: Record, before: Course, now: dt.datetime) -> None:
    """Raises ConflictError where a course that had given its place up finds none to come back to."""
    why = record.without_place(before["episode_id"], now).no_place(now)
    if why:
        gave_up = "ended" if before["ended_on"] else "expired"
        raise ConflictError(
            f"the episode had {gave_up} and given its place up, and {why.partition(' -> ')[0]} -> choose another "
            "therapist; if the client is in treatment with this one all the same, send `even_if_full`: true"
        )


def _with_slot(record: Record, before: Course | None, after: Course, now: dt.datetime) -> Record:
    """With the slot of a first session that has moved, or was booked elsewhere. Raises ConflictError if it is taken."""
    starts_at = after["starts_at"]
    if before is not None and starts_at == before["starts_at"] and is_open(before, now):
        return record
    freed = record.without_slot(after["episode_id"], now)
    if starts_at is None or starts_at <= now:
        return freed
    booked = freed.with_slot(starts_at, after["episode_id"], now)
    if booked is None and before is not None and freed.has_slot(starts_at):
        raise ConflictError("that time with this therapist is not free -> choose another of their times")
    return booked or freed


def _write(connection: sa.Connection, before: Course | None, after: Course, now: dt.datetime) -> None:
    row = {**after, "changed_at": now}
    if before is None:
        connection.execute(sa.insert(EPISODES), row)
    elif after != before:
        mine = (EPISODES.c.tenant == before["tenant"], EPISODES.c.episode_id == before["episode_id"])
        connection.execute(sa.update(EPISODES).where(*mine).values(**row))
