"""What is on record of one course of treatment, how it is told, and which days it may have."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from data.errors import Problem
from data.sql import EPISODES
from serving.treatment.places import Record
from serving.values import CourseDay, Id, Moment, Number

State = Literal["held", "expired", "started", "ended"]
Ending = Literal["planned", "dropout", "declined", "transferred", "stepped_up", "service_ended", "died", "other"]
Place = Literal["kept", "over_capacity", "counted", "not_listed", "free"]
_IN_ORDER = ("referred_on", "matched_on", "started_on", "ended_on")
_WORDS: Mapping[Place, str] = {
    "kept": "A place with the therapist is kept for this course.",
    "over_capacity": "The course is on record and counts, though the therapist has more open cases than places.",
    "counted": "The directory that was loaded counts this course itself; the next one that is loaded counts it anew.",
    "not_listed": "The directory does not list this therapist, so no place is counted.",
    "free": "The course takes no place.",
}


class CourseSent(BaseModel):
    """What is known of a course; what is left out stays as it is, `null` takes it back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: Id | None = Field(None, description="needed for a course that did not begin with a choice here")
    therapist_id: Id | None = Field(None, description="needed for a course that did not begin with a choice here")
    referred_on: CourseDay | None = None
    matched_on: CourseDay | None = Field(
        None, description="of a course that began elsewhere; if left out, the day it started, else today"
    )
    starts_at: Moment | None = Field(None, description="when the first session is to be")
    started_on: CourseDay | None = Field(None, description="day of the first session: the place is theirs from now on")
    ended_on: CourseDay | None = Field(None, description="frees the place; needs `ending`")
    ending: Ending | None = Field(None, description="how it ended; `declined` for one that never started")
    sessions_attended: Annotated[int, Field(ge=0, le=1000), Number] | None = None
    assigned_by: Literal["choice", "staff", "algorithm", "random"] | None = Field(
        None, description="who decided, of a course that began elsewhere; `staff` if left out"
    )
    data_use: Literal["care_only", "care_and_learning"] | None = None
    even_if_full: bool = Field(
        False, description="records a course that expired or ended here as open although no place is free: it is so"
    )


class PlaceTold(BaseModel):
    """Whether a place of the therapist is counted for a course."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Place
    words: str


class CourseAnswer(BaseModel):
    """One course of treatment as it is on record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    episode_id: str
    state: State = Field(description="`expired`: chosen, and nobody came until `holds_until`")
    place: PlaceTold
    client_id: str | None
    therapist_id: str
    recommendation_id: str | None
    referred_on: dt.date | None
    matched_at: AwareDatetime
    starts_at: AwareDatetime | None
    holds_until: AwareDatetime | None
    started_on: dt.date | None
    ended_on: dt.date | None
    ending: str | None
    sessions_attended: int | None
    assigned_by: str
    data_use: str | None


EXAMPLE_COURSE: Mapping[str, Any] = {
    "client_id": "c-1042",
    "therapist_id": "t-0001",
    "referred_on": "2026-08-20",
    "matched_on": "2026-09-01",
    "started_on": "2026-09-08",
    "sessions_attended": 3,
}


def course_row(connection: sa.Connection, tenant: str, episode_id: str, lock: bool = False) -> sa.Row[Any] | None:
    """The row of a course; with `lock` nobody else changes it until the transaction ends."""
    mine = sa.select(EPISODES).where(EPISODES.c.tenant == tenant, EPISODES.c.episode_id == episode_id)
    return connection.execute(mine.with_for_update() if lock else mine).one_or_none()


def state_of(course: Mapping[str, Any], now: dt.datetime) -> State:
    """What a course is at a moment."""
    if course["ended_on"] is not None:
        return "ended"
    if course["started_on"] is not None:
        return "started"
    return "held" if course["holds_until"] is not None and course["holds_until"] > now else "expired"


def is_open(course: Mapping[str, Any], now: dt.datetime) -> bool:
    """Whether it takes a place."""
    return state_of(course, now) in ("held", "started")


def etag_of(course: Mapping[str, Any]) -> str:
    """Changes with anything that is on record of the course."""
    kept = {name: _plain(value) for name, value in course.items() if name != "changed_at" and value is not None}
    return f'"{hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:32]}"'


def _plain(value: Any) -> str:
    return value.astimezone(dt.UTC).isoformat() if isinstance(value, dt.datetime) else str(value)


def told(course: Mapping[str, Any], record: Record, now: dt.datetime) -> CourseAnswer:
    """The course as it is answered."""
    status = _place_of(course, record, now)
    own = {name: course[name] for name in CourseAnswer.model_fields if name in course}
    place = PlaceTold(status=status, words=_WORDS[status])
    return CourseAnswer.model_validate({**own, "state": state_of(course, now), "place": place})


def _place_of(course: Mapping[str, Any], record: Record, now: dt.datetime) -> Place:
    if not is_open(course, now):
        return "free"
    if record.holds(course["episode_id"], now):
        return "over_capacity" if record.is_over(now) else "kept"
    return "counted" if record.listed else "not_listed"


def impossible(course: Mapping[str, Any], today: dt.date, zone: dt.tzinfo) -> Iterator[Problem]:
    """What cannot be: days in the future or out of order, an ending without its day, sessions before the first."""
    matched_on = course["matched_at"].astimezone(zone).date()
    days = {**course, "matched_on": matched_on}
    known = [(name, days[name]) for name in _IN_ORDER if days[name] is not None]
    for name, day in known:
        if day > today:
            yield Problem(name, "later", "must not lie after today", "send it once it has happened")
    for (first, before), (name, day) in pairwise(known):
        if day < before:
            yield Problem(name, "earlier", f"must not lie before {first}", "mend one of the two")
    if (course["ended_on"] is None) != (course["ending"] is None):
        missing, given = ("ended_on", "ending") if course["ended_on"] is None else ("ending", "ended_on")
        yield Problem(missing, "missing", f"{given} does not go without it", "give both, or neither")
    if course["sessions_attended"] and course["started_on"] is None:
        yield Problem("started_on", "missing", "sessions were attended, so there was a first one", "give its day")
