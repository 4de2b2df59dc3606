"""An answer as somebody reads it: groups that cannot be told apart, intervals as pictures, times on the clinic's clock.

What a client is predicted to reach is not among it, whoever looks: this page is for choosing together.
"""

import datetime as dt
import itertools
import zoneinfo
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from serving.answering.recommend import days_in_words
from serving.pages.words import CHECKS, HEADS, RULES, way_of_meeting
from serving.schemas import Interval, Recommendation, RecommendationAnswer, Slot
from serving.settings import NextStep

MARGIN = 6.0
"""Percent of a picture's width left free on either side."""


@dataclass(frozen=True)
class Picture:
    """An interval on a line, in percent of its width; `zero` is the average of those who can see the client."""

    low: float
    mean: float
    high: float
    zero: float
    words: str


@dataclass(frozen=True)
class Time:
    """A free time: as it is sent, and as the clinic's clock shows it."""

    sent: str
    words: str


@dataclass(frozen=True)
class Person:
    """One therapist of the list."""

    given: Recommendation
    picture: Picture
    times: list[Time]
    wait: str
    parts: list[tuple[str, str]]
    """What the gain is made of: in what, and by how much."""

    @property
    def name(self) -> str:
        """The pseudonym."""
        return self.given.therapist_id


@dataclass(frozen=True)
class Group:
    """Therapists who cannot be told apart well enough to matter."""

    heading: str
    words: str
    people: list[Person]


@dataclass(frozen=True)
class NextFree:
    """The first free time of everybody whom the client can see, and whose it is."""

    therapist: str
    slot: Slot


@dataclass(frozen=True)
class Shown:
    """One answer; `zone` is where the clinic's clock hangs."""

    answer: RecommendationAnswer
    zone: zoneinfo.ZoneInfo
    next_free: NextFree | None = None

    @property
    def state(self) -> Literal["ranked", "held", "empty"]:
        """Whether there is a ranking, and if not, why."""
        if self.answer.safety.status == "held":
            return "held"
        return "ranked" if self.answer.recommendations else "empty"

    @property
    def heading(self) -> str:
        """What the answer is, in a few words."""
        if self.state == "held":
            return "A clinician talks with the client first"
        if self.state == "empty":
            return "Nobody can be proposed with this request yet"
        count = len(self.answer.recommendations)
        return "1 therapist to choose from" if count == 1 else f"{count} therapists to choose from"

    @property
    def counts(self) -> str:
        """How many were looked at, and how many can see the client."""
        counts = self.answer.counts
        return f"{counts.eligible} of {counts.considered} therapists can see this client on {day(self.answer.as_of)}."

    @cached_property
    def groups(self) -> list[Group]:
        """The list in its order, cut where therapists can be told apart."""
        people = [self._person(one) for one in self.answer.recommendations]
        cut = [list(same) for _, same in itertools.groupby(people, key=lambda one: one.given.tie_group)]
        more, certain = self.answer.counts.eligible > len(people), bool(self.answer.meaningful_difference)
        return [_group(same, at, more and at == len(cut) - 1, certain) for at, same in enumerate(cut)]

    @property
    def soonest(self) -> Time | None:
        """The next free time, on the clinic's clock."""
        return None if self.next_free is None else self._time(self.next_free.slot)

    @property
    def next_is_shown(self) -> bool:
        """Whether whoever has the next free time is in the list."""
        return self.next_free is not None and self.next_free.therapist in self._places

    @property
    def stands(self) -> str:
        """Where in the list whoever has the next free time stands."""
        if self.next_free is None or not self.next_is_shown:
            return "not among those shown below"
        return f"number {self._places[self.next_free.therapist]} in the list below"

    @property
    def _places(self) -> dict[str, int]:
        return {one.therapist_id: one.rank for one in self.answer.recommendations}

    @property
    def next_step(self) -> NextStep | None:
        """Who acts, by when, where there is no ranking."""
        return self.answer.next_step

    @property
    def excluded(self) -> list[tuple[str, int]]:
        """Why others are not shown, and how many each."""
        return [(RULES[rule], count) for rule, count in self.answer.excluded.items()]

    @property
    def not_checked(self) -> str:
        """What this directory cannot answer."""
        return ", ".join(CHECKS[rule] for rule in self.answer.rules_not_checked)

    def _person(self, one: Recommendation) -> Person:
        parts = [(HEADS.get(head, head), in_words(gain)) for head, gain in one.gain.items()]
        wait = "" if one.wait_days is None else "today" if one.wait_days == 0 else f"in {days_in_words(one.wait_days)}"
        return Person(one, self._picture(one.utility), [self._time(slot) for slot in one.next_slots], wait, parts)

    def _picture(self, utility: Interval) -> Picture:
        low, high = self._range
        low_at, mean_at, high_at, zero = (
            MARGIN + (100 - 2 * MARGIN) * (value - low) / ((high - low) or 1.0)
            for value in (utility.low, utility.mean, utility.high, 0.0)
        )
        return Picture(round(low_at, 1), round(mean_at, 1), round(high_at, 1), round(zero, 1), in_words(utility))

    @cached_property
    def _range(self) -> tuple[float, float]:
        utilities = [one.utility for one in self.answer.recommendations]
        return min(0.0, *(one.low for one in utilities)), max(0.0, *(one.high for one in utilities))

    def _time(self, slot: Slot) -> Time:
        how = f", {way_of_meeting(slot.modality)}" if slot.modality else ""
        return Time(slot.starts_at.isoformat(), clock(slot.starts_at, self.zone, self.answer.as_of.year) + how)


def in_words(gain: Interval) -> str:
    """A gain with its interval, as a screen reader reads it well."""
    return f"{_signed(gain.mean)} (8 times in 10 between {_signed(gain.low)} and {_signed(gain.high)})"


def clock(moment: dt.datetime, zone: dt.tzinfo, this_year: int | None = None) -> str:
    """A moment as the clinic's clock shows it; the year is left out where it is this one."""
    local = moment.astimezone(zone)
    year = "" if local.year == this_year else f" {local.year}"
    return f"{local:%a} {local.day} {local:%b}{year}, {local:%H:%M}"


def day(value: dt.date) -> str:
    """A day as people write it."""
    return f"{value.day} {value:%B %Y}"


def _signed(value: float) -> str:
    return f"{value + 0.0:+.2f}".replace("-", "−").replace("−0.00", "+0.00")


def _group(people: Sequence[Person], number: int, cut_off: bool, certain: bool) -> Group:
    """`cut_off`: the list may end before the group does; `certain`: the first group is worth preferring."""
    place = "First" if number == 0 else "Next"
    if len(people) > 1:
        tie = f"hese {len(people)} cannot be told apart; choose by time"
        heading = f"T{tie}" if number == 0 and not certain else f"{place}: t{tie}"
    else:
        heading = f"{place} in the list" if cut_off else f"{place}: one therapist"
    if number > 0:
        words = "Expected to help a little less than those above; a sooner time may well be worth it."
    elif certain:
        words = "Expected to help this client somewhat more than the average of those who can see them."
    else:
        words = "No difference is sure enough to matter here"
        words += ", so whoever is free soonest comes first." if _by_time(people) else "."
    return Group(heading, words, list(people))


def _by_time(people: Sequence[Person]) -> bool:
    """Whether nobody stands before somebody who is free sooner."""
    waits = [float("inf") if one.given.wait_days is None else one.given.wait_days for one in people]
    return waits == sorted(waits)
