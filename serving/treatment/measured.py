"""Which answers and scores of a course of treatment can be: known instruments, values in range, days in order."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from data.errors import Problem
from data.instruments import INSTRUMENTS
from serving.answering.contradictions import contradictions
from serving.schemas import Measure
from serving.values import Code, CourseDay, Id, Item, Number

Rater = Literal["client", "therapist", "observer"]
MOST_MEASURES = 500


class MeasureSent(BaseModel):
    """One answer or score: item 0 is the total, 1..n an item, else the name of a subscale."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instrument: Code
    item: Item = "0"
    value: Annotated[float, Field(allow_inf_nan=False), Number]
    taken_on: CourseDay
    rater: Rater = "client"


class MeasuresSent(BaseModel):
    """What was answered around one session of a course."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    episode_id: Id
    session: Annotated[int, Field(ge=0, le=1000), Number] = Field(
        description="0 for intake, else the number of the attended session"
    )
    measures: list[MeasureSent] = Field(min_length=1, max_length=MOST_MEASURES)
    missing: Literal["refuse", "prorate"] = Field(
        "refuse", description="`prorate` asks for totals where the few answers that an instrument allows are missing"
    )
    correct: bool = Field(False, description="what differs from the record corrects it; what it was is kept")


@dataclass(frozen=True, order=True)
class Key:
    """What a course has one value of."""

    session: int
    instrument: str
    rater: str
    item: str

    @property
    def series(self) -> tuple[str, str]:
        """Instrument and rater."""
        return self.instrument, self.rater


@dataclass(frozen=True)
class Kept:
    """A value on record, or about to be."""

    value: float
    taken_on: dt.date
    scored: bool = False
    """Computed here from the answers."""


Measures = Mapping[Key, Kept]


@dataclass(frozen=True)
class Ground:
    """What values are judged against."""

    course: Mapping[str, Any]
    today: dt.date
    zone: dt.tzinfo
    licence_held_by: Mapping[str, str]
    ranges: Mapping[str, tuple[float, float]]
    """Scores (`panss.0`) of instruments that do not ship but that the model knows."""


def key_of(session: int, one: MeasureSent) -> Key:
    """What a course has one value of; `01` and `1` are one item."""
    item = str(int(one.item)) if one.item.isascii() and one.item.isdecimal() else one.item
    return Key(session, one.instrument, one.rater, item)


def problems_of(sent: MeasuresSent, merged: Measures, ground: Ground) -> list[Problem]:
    """Everything in what was sent that cannot be, alone or beside what is on record."""
    keys = [key_of(sent.session, one) for one in sent.measures]
    found = [
        problem for i, one in enumerate(sent.measures) for problem in _alone(one, keys[i], f"measures[{i}]", ground)
    ]
    found += _twice(sent.measures, keys)
    return found or [*_falling(sent.measures, keys, merged), *_impossible_totals(sent.session, keys, merged)]


def _alone(one: MeasureSent, key: Key, place: str, ground: Ground) -> Iterator[Problem]:
    yield from _days(one, key, place, ground)
    instrument = INSTRUMENTS.get(one.instrument)
    if instrument is None:
        yield from _of_the_model(one, key, place, ground.ranges)
        return
    if instrument.needs_licence and instrument.id not in ground.licence_held_by:
        step = f"name who holds it in the service's settings: licence_held_by.{instrument.id}"
        yield Problem(f"{place}.instrument", "off", f"{instrument.id} is off until a licence is named", step)
    if instrument.never_at_intake and key.session == 0:
        rule = f"{instrument.id} cannot be rated before a first session"
        yield Problem(f"{place}.instrument", "at intake", rule, "give the session it was rated after")
    ends = instrument.item_range(key.item)
    if ends is None:
        yield Problem(f"{place}.item", "unknown", instrument.items_in_words, "use one of these")
    elif not ends[0] <= one.value <= ends[1]:
        rule = f"must lie between {ends[0]:g} and {ends[1]:g}"
        step = "give the item mean: divide a sum by its number of items" if instrument.is_mean(key.item) else "mend it"
        yield Problem(f"{place}.value", "out of range", rule, step)
    elif one.value != int(one.value) and instrument.has_whole(key.item):
        yield Problem(f"{place}.value", "a fraction", "must be a whole number", "mend it")


def _days(one: MeasureSent, key: Key, place: str, ground: Ground) -> Iterator[Problem]:
    matched_on = ground.course["matched_at"].astimezone(ground.zone).date()
    started_on, referred_on = ground.course["started_on"], ground.course["referred_on"]
    if one.taken_on > ground.today:
        yield Problem(f"{place}.taken_on", "later", "must not lie after today", "mend the day")
    elif key.session and one.taken_on < (started_on or matched_on):
        rule = f"must not lie before the episode's {'started_on' if started_on else 'matched_on'}"
        yield Problem(f"{place}.taken_on", "earlier", rule, "mend the day, or the episode")
    elif referred_on and one.taken_on < referred_on:
        rule = "must not lie before the episode's referred_on"
        yield Problem(f"{place}.taken_on", "earlier", rule, "mend the day, or the episode")


def _of_the_model(
    one: MeasureSent, key: Key, place: str, ranges: Mapping[str, tuple[float, float]]
) -> Iterator[Problem]:
    ends = ranges.get(f"{key.instrument}.{key.item}")
    known = {name.partition(".")[0] for name in ranges}
    if key.instrument not in known:
        rule = f"must be one of {', '.join(sorted({*INSTRUMENTS, *known}))}"
        yield Problem(f"{place}.instrument", "unknown", rule, "use one of these")
    elif ends is None:
        items = ", ".join(name.partition(".")[2] for name in ranges if name.startswith(f"{key.instrument}."))
        yield Problem(f"{place}.item", "unknown", f"of {key.instrument} the model knows {items}", "use one of these")
    elif not ends[0] <= one.value <= ends[1]:
        yield Problem(f"{place}.value", "out of range", f"must lie between {ends[0]:g} and {ends[1]:g}", "mend it")


def _twice(measures: Sequence[MeasureSent], keys: Sequence[Key]) -> Iterator[Problem]:
    first: dict[Key, int] = {}
    for at, (one, key) in enumerate(zip(measures, keys, strict=True)):
        before = first.setdefault(key, at)
        if (one.value, one.taken_on) != (measures[before].value, measures[before].taken_on):
            rule = f"differs from measures[{before}], given for the same item and session"
            yield Problem(f"measures[{at}]", "given twice", rule, "leave out the wrong one")


def _falling(measures: Sequence[MeasureSent], keys: Sequence[Key], merged: Measures) -> Iterator[Problem]:
    """Days of one instrument and rater must not go back while the session's number goes up."""
    days: dict[tuple[str, str], dict[int, list[dt.date]]] = {}
    for key, kept in merged.items():
        days.setdefault(key.series, {}).setdefault(key.session, []).append(kept.taken_on)
    ends = {series: {n: (min(of), max(of)) for n, of in sessions.items()} for series, sessions in days.items()}
    for at, (one, key) in enumerate(zip(measures, keys, strict=True)):
        others = ends[key.series].items()
        before = any(number < key.session and last > one.taken_on for number, (_, last) in others)
        if before or any(number > key.session and first < one.taken_on for number, (first, _) in others):
            rule = "does not go with the days on record for earlier and later sessions of the same instrument"
            yield Problem(f"measures[{at}].taken_on", "out of order", rule, "mend the day, or the session's number")


def _impossible_totals(session: int, keys: Sequence[Key], merged: Measures) -> Iterator[Problem]:
    """A total must be one that the answers of the session, sent or on record, can make up."""
    given = {key: kept for key, kept in merged.items() if key.session == session and not kept.scored}
    for series in sorted({key.series for key in keys}):
        mine = [(key, kept) for key, kept in given.items() if key.series == series]
        told = [Measure(instrument=key.instrument, item=key.item, value=kept.value) for key, kept in mine]
        yield from contradictions(told, [], _Places([key for key, _ in mine], keys))


class _Places:
    """Names an entry by where it was sent, or as on record."""

    def __init__(self, entries: Sequence[Key], sent: Sequence[Key]):
        self._entries, self._sent = entries, sent

    def __call__(self, name: str, index: int) -> str:
        key = self._entries[index]
        return f"{name}[{self._sent.index(key)}]" if key in self._sent else f"item {key.item} on record"
