"""Rows of the data contract from what the service keeps: each function gives one table's rows as text."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from data.consent import CARE_ONLY
from data.directory import slot_rows
from data.sql import CHOICES, DIRECTORY_ENTRIES, DIRECTORY_VERSIONS, EPISODES, MEASURES, RECOMMENDATIONS
from data.tables import TABLES
from data.versions import stream

Rows = list[dict[str, str]]
_AT_ONCE = 1000


@dataclass(frozen=True)
class Question:
    """What was asked for a client, and when."""

    recommendation_id: str
    day: dt.date
    request: Mapping[str, Any]
    data_use: str | None
    """What the client last said of it: a later request that says nothing takes nothing back."""


@dataclass(frozen=True)
class Course:
    """One course of treatment, or a client who still waits (`row` is None), with what was asked for it."""

    episode_id: str
    client_id: str
    row: sa.Row[Any] | None
    asked: Question | None


def latest_questions(connection: sa.Connection, tenant: str) -> dict[str, Question]:
    """The last request of each client who has not been erased."""
    table = RECOMMENDATIONS
    wanted = sa.select(table.c.recommendation_id, table.c.made_at, table.c.client_id, table.c.request)
    mine = (table.c.tenant == tenant, table.c.erased_at.is_(None), table.c.client_id.is_not(None))
    rows = connection.execute(wanted.where(*mine).order_by(table.c.made_at), execution_options={"yield_per": _AT_ONCE})
    found: dict[str, Question] = {}
    for row in rows:
        before = found.get(row.client_id)
        data_use = _data_use(row.request) or (before.data_use if before else None)
        found[row.client_id] = Question(row.recommendation_id, row.made_at.date(), row.request, data_use)
    return found


def courses(connection: sa.Connection, tenant: str) -> list[Course]:
    """Courses that began with a choice or were reported, each with the request of its own answer."""
    table, asked = EPISODES, RECOMMENDATIONS
    same = sa.and_(asked.c.tenant == table.c.tenant, asked.c.recommendation_id == table.c.recommendation_id)
    wanted = sa.select(table, asked.c.made_at, asked.c.request).select_from(table.outerjoin(asked, same))
    found = []
    for row in connection.execute(wanted.where(table.c.tenant == tenant).order_by(table.c.episode_id)):
        question = None
        if row.request is not None:
            question = Question(row.recommendation_id, row.made_at.date(), row.request, _data_use(row.request))
        found.append(Course(row.episode_id, row.client_id or _pseudonym(row.episode_id), row, question))
    return found


def waiting(connection: sa.Connection, tenant: str, questions: Mapping[str, Question], known: set[str]) -> list[Course]:
    """Clients who were shown therapists and have no course and no refusal on record: they still wait."""
    table = CHOICES
    refused = sa.select(table.c.recommendation_id).where(table.c.tenant == tenant, table.c.kind == "declined")
    declined = set(connection.scalars(refused))
    return [
        Course(question.recommendation_id, client, None, question)
        for client, question in questions.items()
        if client not in known and question.recommendation_id not in declined
    ]


def client_rows(of: Mapping[str, Question | None], found: Iterable[Course]) -> Rows:
    """A row for each client: the columns of the last request, and what was last said of the use of their data.

    `care_only` on any of their courses holds until it is taken back there.
    """
    uses: dict[str, str | None] = {client: asked.data_use for client, asked in of.items() if asked}
    for course in found:
        said = course.row.data_use if course.row is not None else None
        if said == CARE_ONLY or uses.get(course.client_id) is None:
            uses[course.client_id] = said
    return [
        _texts({**(asked.request["client"] if asked else {}), "client_id": client, "data_use": uses.get(client)})
        for client, asked in of.items()
    ]


def preference_rows(of: Mapping[str, Question | None]) -> Rows:
    """The wishes of each client's last request, each once."""
    found = {
        (client, wish["about"], wish["value"], wish["strength"]): None
        for client, asked in of.items()
        for wish in (asked.request.get("preferences", ()) if asked else ())
    }
    names = ("client_id", "about", "value", "strength")
    return [dict(zip(names, key, strict=True)) for key in found]


def episode_rows(found: Iterable[Course], arms: Mapping[str, str]) -> Rows:
    """A row for each course, and one without a therapist for each client who waits; `arms`: episode -> how its client
    came to the therapist, of those that began with an answer."""
    rows = []
    for course in found:
        if course.row is None:
            assert course.asked is not None
            rows.append({"referred_on": _referred(course), "ending": "waiting", **_who(course)})
            continue
        row = course.row
        matched = row.matched_at.date()
        values = {name: getattr(row, name) for name in _AS_THEY_ARE}
        open_ended = "ongoing" if row.ended_on is None and row.ending is None else row.ending
        matched = min(matched, row.started_on or matched)
        referred = _referred(course)
        dates = {"matched_on": matched, "referred_on": None if referred is None else min(referred, matched)}
        rows.append({**values, **dates, "ending": open_ended, "arm": arms.get(course.episode_id)} | _who(course))
    return [_texts(row) for row in rows]


def offer_rows(connection: sa.Connection, tenant: str, found: Iterable[Course]) -> Rows:
    """Who was shown to each client who then had a course, the therapist of the course included."""
    table, by_answer = RECOMMENDATIONS, {one.asked.recommendation_id: one for one in found if one.asked and one.row}
    pairs = {(one.episode_id, one.row.therapist_id) for one in by_answer.values() if one.row}
    wanted = sa.select(table.c.recommendation_id, table.c.answer).where(
        table.c.tenant == tenant,
        table.c.answer.is_not(None),
        table.c.recommendation_id.in_(sa.select(EPISODES.c.recommendation_id).where(EPISODES.c.tenant == tenant)),
    )
    for name, answer in connection.execute(wanted, execution_options={"yield_per": _AT_ONCE}):
        if name in by_answer:
            shown = json.loads(answer)["recommendations"]
            pairs |= {(by_answer[name].episode_id, one["therapist_id"]) for one in shown}
    return [{"episode_id": episode, "therapist_id": therapist} for episode, therapist in sorted(pairs)]


def measure_rows(connection: sa.Connection, tenant: str, found: Iterable[Course]) -> Rows:
    """Answers and scores: those of the request are session 0, the others as they were sent in."""
    kept: dict[tuple[str, ...], dict[str, str]] = {}
    by_id = {one.episode_id: one for one in found}
    for course in by_id.values():
        for row in _intake(course):
            kept[_key(row)] = row
    wanted = sa.select(MEASURES).where(MEASURES.c.tenant == tenant)
    for stored in connection.execute(wanted, execution_options={"yield_per": _AT_ONCE}):
        if stored.episode_id in by_id:
            row = _texts({name: getattr(stored, name) for name in _MEASURE})
            kept[_key(row)] = row
    return list(kept.values())


def therapist_rows(connection: sa.Connection, tenant: str) -> Rows:
    """Every version of every profile, also of those no longer listed: a match is judged by the version of its day."""
    entries, versions = DIRECTORY_ENTRIES, DIRECTORY_VERSIONS
    same = sa.and_(versions.c.tenant == entries.c.tenant, versions.c.version == entries.c.version)
    wanted = sa.select(entries.c.therapist_id, entries.c.payload, versions.c.made_at).select_from(
        entries.join(versions, same)
    )
    mine = (entries.c.tenant == tenant, entries.c.kind == "profile")
    kept: dict[tuple[str, str], dict[str, str]] = {}
    for therapist, payload, made_at in connection.execute(wanted.where(*mine).order_by(entries.c.version)):
        if payload is not None:
            row = _texts({"profile_updated_on": made_at.date(), **payload, "therapist_id": therapist})
            kept[therapist, row["profile_updated_on"]] = row
    return list(kept.values())


def directory_rows(connection: sa.Connection, tenant: str, version: int) -> dict[str, Rows]:
    """Licences and slots as they are on record now."""
    found: dict[str, Rows] = {"licences": [], "slots": []}
    for kind, therapist, payload in stream(connection, tenant, version, tuple(found)):
        rows = slot_rows(payload) if kind == "slots" else payload
        names = TABLES[kind].names
        for row in rows:
            known = {name: value for name, value in row.items() if name in names}
            found[kind].append(_texts({**known, "therapist_id": therapist}))
    return found


_AS_THEY_ARE = ("therapist_id", "started_on", "ended_on", "sessions_attended", "assigned_by", "propensity")
_MEASURE = ("episode_id", "session", "instrument", "item", "rater", "taken_on", "value")


def _referred(course: Course) -> dt.date | None:
    """The day of the referral; who had answered a questionnaire before was known by then."""
    days = [course.row.referred_on] if course.row is not None and course.row.referred_on else []
    if course.asked is not None:
        days += [] if days else [course.asked.day]
        taken = (one.get("taken_on") for one in course.asked.request.get("measures", ()))
        days += [dt.date.fromisoformat(day) for day in taken if day]
    return min(days, default=None)


def _data_use(request: Mapping[str, Any]) -> str | None:
    said: str | None = request["client"].get("data_use")
    return said


def _who(course: Course) -> dict[str, str]:
    return {"episode_id": course.episode_id, "client_id": course.client_id}


def _intake(course: Course) -> Iterator[dict[str, str]]:
    if course.asked is None:
        return
    started = course.row.started_on if course.row is not None else None
    latest = min(course.asked.day, started or course.asked.day)
    for one in course.asked.request.get("measures", ()):
        told = {"item": "0", "rater": "client", **one, "episode_id": course.episode_id, "session": 0}
        yield _texts({**told, "taken_on": one.get("taken_on") or latest})


def _key(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("episode_id", "session", "instrument", "item", "rater"))


def _pseudonym(episode_id: str) -> str:
    """For a client who was never named: the same for the same course, and nothing that could be read from it."""
    return f"c0-{hashlib.sha256(episode_id.encode()).hexdigest()[:20]}"


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    """The row as a file would hold it, without what is unknown."""
    return {name: _text(value) for name, value in row.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "|".join(map(str, value))
    return repr(value) if isinstance(value, float) else str(value)
