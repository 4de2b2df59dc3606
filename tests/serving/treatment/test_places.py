"""The law of places: after any choices, starts, endings and waits, the directory counts what is open, and no more."""

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.database import new_id
from data.directory import DirectoryData
from data.errors import ConflictError
from data.loading import load as load_directory
from data.sql import RECOMMENDATIONS
from serving.access.keys import Caller
from serving.access.writes import Asked
from serving.listing.directory import Directory
from serving.treatment import choices, episodes
from serving.treatment.choices import ChoiceRequest
from serving.treatment.courses import CourseSent

if TYPE_CHECKING:
    from tests.serving.treatment.conftest import Desk

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
HELD = dt.timedelta(days=14)
CAPACITY = {"t-00000": 1, "t-00001": 3}
ONCE = Asked(None, "")
STEPS = st.one_of(
    st.tuples(st.just("choose"), st.sampled_from(sorted(CAPACITY))),
    st.tuples(st.just("record"), st.sampled_from(sorted(CAPACITY))),
    st.tuples(st.sampled_from(["start", "end", "cancel", "come_back", "insist"]), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.sampled_from([1, 13, 15])),
)


@dataclass
class Course:
    """What the test knows of one course."""

    therapist_id: str
    until: dt.datetime
    started: bool = False
    ended: bool = False

    def is_open(self, now: dt.datetime) -> bool:
        return not self.ended and (self.started or self.until > now)


@dataclass
class World:
    """A tenant with two therapists, and beside it what must be so."""

    desk: "Desk"
    caller: Caller
    row: dict[str, Any]
    courses: dict[str, Course] = field(default_factory=dict)

    @property
    def now(self) -> dt.datetime:
        return self.desk.moment

    def open_cases(self, therapist_id: str) -> int:
        return sum(one.therapist_id == therapist_id and one.is_open(self.now) for one in self.courses.values())

    def has_place(self, therapist_id: str) -> bool:
        return self.open_cases(therapist_id) < CAPACITY[therapist_id]

    def choose(self, therapist_id: str) -> None:
        answer = new_id(self.now)
        with self.desk.engine.begin() as connection:
            row = {**self.row, "tenant": self.caller.tenant, "recommendation_id": answer}
            connection.execute(sa.insert(RECOMMENDATIONS), row)
        sent = ChoiceRequest(kind="overridden", reason="other", therapist_id=therapist_id)
        if not self.has_place(therapist_id):
            with pytest.raises(ConflictError, match="last place"):
                choices.choose(self.desk.live.service, self.caller, answer, sent, ONCE)
            return
        told = choices.choose(self.desk.live.service, self.caller, answer, sent, ONCE)
        episode_id = choices.ChoiceAnswer.model_validate_json(told.body).episode_id
        assert episode_id is not None
        self.courses[episode_id] = Course(therapist_id, self.now + HELD)

    def record(self, therapist_id: str) -> None:
        """A course from elsewhere: true whether or not there is a place."""
        episode_id = f"e-{len(self.courses)}"
        assert self.put(episode_id, client_id="c-1", therapist_id=therapist_id, started_on=self.today) == 201
        self.courses[episode_id] = Course(therapist_id, self.now, started=True)

    @property
    def today(self) -> dt.date:
        return self.now.astimezone(self.desk.live.service.settings.zone).date()

    def put(self, episode_id: str, **sent: Any) -> int:
        asked = CourseSent.model_validate(sent)
        return episodes.put(self.desk.live.service, self.caller, episode_id, asked, None, ONCE).status

    def back(self, episode_id: str, allowed: bool, **sent: Any) -> bool:
        """Whether a course is open again, which takes a place unless it still has one."""
        course = self.courses[episode_id]
        if course.is_open(self.now) or self.has_place(course.therapist_id) or allowed:
            self.put(episode_id, **sent, even_if_full=allowed)
            return True
        with pytest.raises(ConflictError, match="even_if_full"):
            self.put(episode_id, **sent)
        return False

    def change(self, what: str, which: int) -> None:
        if not self.courses:
            return
        episode_id = list(self.courses)[which % len(self.courses)]
        course = self.courses[episode_id]
        if what == "end" or (what == "cancel" and not course.started):
            self.put(episode_id, ended_on=self.today, ending="other")
            course.ended = True
        elif what == "start" and not course.ended and not course.started:
            course.started = self.back(episode_id, False, started_on=self.today)
        elif what in ("come_back", "insist") and course.ended:
            if course.started or course.until > self.now:
                course.ended = not self.back(episode_id, what == "insist", ended_on=None, ending=None)
            else:  # the choice has expired meanwhile: no place is needed
                self.put(episode_id, ended_on=None, ending=None)
                course.ended = False

    def check(self) -> None:
        directory = Directory.read(self.desk.engine, self.desk.live.service.settings, self.caller.tenant)
        assert directory is not None
        for therapist_id, capacity in CAPACITY.items():
            row, count = directory.place[therapist_id], self.open_cases(therapist_id)
            assert directory.cases.at(self.now)[row] == count
            assert directory.places(self.now)[row] == max(capacity - count, 0)


def small(listed: DirectoryData) -> DirectoryData:
    profiles = {
        name: {**listed.entries["profile"][name], "accepts_new": True, "caseload_capacity": capacity}
        for name, capacity in CAPACITY.items()
    }
    entries = {"profile": profiles, "licences": {}, "slots": {}, "caseload": {n: {"open_cases": 0} for n in CAPACITY}}
    return replace(listed, meta=listed.meta.model_copy(update={"rules": ("capacity",)}), entries=entries)


def test_after_any_steps_places_taken_are_those_of_open_courses_and_never_more_than_there_are(
    desk: "Desk", listed: DirectoryData
) -> None:
    answer = desk.ask()["recommendation_id"]
    (row,) = [one for one in desk.rows(RECOMMENDATIONS) if one["recommendation_id"] == answer]
    tenants = iter(range(1_000_000))

    @settings(max_examples=35, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
    @given(st.lists(STEPS, min_size=4, max_size=14))
    def holds(steps: list[tuple[str, Any]]) -> None:
        desk.moment = NOW
        caller = Caller(f"{desk.tenant}-{next(tenants)}", "a-key", "a test", frozenset({"platform"}))
        load_directory(desk.engine, small(listed), NOW, caller.tenant)
        world = World(desk, caller, row)
        for what, how in steps:
            if what == "wait":
                desk.moment += dt.timedelta(days=how)
            elif what == "choose":
                world.choose(how)
            elif what == "record":
                world.record(how)
            else:
                world.change(what, how)
            world.check()

    holds()
