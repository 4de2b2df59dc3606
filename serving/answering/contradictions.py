"""What a request says twice and differently: it is asked back, because either reading could be the wrong one."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from data.errors import Problem
from data.instruments import INSTRUMENTS, TOTAL, Instrument
from serving.answering.safety import most_and_least
from serving.schemas import Measure, Preference

Place = Callable[[str, int], str]
"""Names an entry of a list: `measures[2]`."""

_WANTED = ("must", "prefer")
_Day = tuple[str, dt.date | None]


def contradictions(measures: Sequence[Measure], preferences: Sequence[Preference], place: Place) -> list[Problem]:
    """Every pair of statements of which only one can be so; each problem names both."""
    days = [(day, list(entries)) for day, entries in groupby(_by_day(measures), key=lambda one: _day(one[1]))]
    return [
        *(problem for _, entries in days for problem in _twice(entries, place)),
        *(problem for (name, _), entries in days for problem in _impossible_total(name, entries, place)),
        *_wanted_and_not(preferences, place),
    ]


def _by_day(measures: Sequence[Measure]) -> list[tuple[int, Measure]]:
    return sorted(enumerate(measures), key=lambda one: (one[1].instrument, one[1].taken_on or dt.date.min, one[0]))


def _day(measure: Measure) -> _Day:
    return measure.instrument, measure.taken_on


def _twice(entries: Sequence[tuple[int, Measure]], place: Place) -> Iterator[Problem]:
    """One item has one value a day; of different days the latest counts."""
    first: dict[str, tuple[int, float]] = {}
    for at, measure in entries:
        before, value = first.setdefault(measure.item, (at, measure.value))
        if value != measure.value:
            rule = f"differs from {place('measures', before)}.value, given for the same item and day"
            yield Problem(f"{place('measures', at)}.value", "given twice", rule, "leave out the wrong one")


def _impossible_total(name: str, entries: Sequence[tuple[int, Measure]], place: Place) -> Iterator[Problem]:
    """A total must be one that the items of the same day can make up."""
    instrument, totals = INSTRUMENTS.get(name), [(at, one) for at, one in entries if one.item == TOTAL]
    if instrument is None or not _summed(instrument):
        return
    items = {int(one.item): (at, one.value) for at, one in entries if one.item.isdecimal() and one.item != TOTAL}
    in_range = all(number <= instrument.items for number in items)
    for at, total in totals if items and in_range else []:
        most, least = most_and_least(instrument, {number: value for number, (_, value) in items.items()})
        if not least <= total.value <= most:
            names = ", ".join(f"{place('measures', item_at)}" for item_at, _ in items.values())
            rule = f"the items of the same day ({names}) cannot make up this total"
            yield Problem(f"{place('measures', at)}.value", "another total", rule, "mend the total, or leave it out")


def _summed(instrument: Instrument) -> bool:
    return instrument.scored and not instrument.totals_only and instrument.score == "sum"


def _wanted_and_not(preferences: Sequence[Preference], place: Place) -> Iterator[Problem]:
    wanted = {(one.about, one.value): i for i, one in reversed(list(enumerate(preferences))) if one.strength in _WANTED}
    for i, one in enumerate(preferences):
        if one.strength not in _WANTED and (one.about, one.value) in wanted:
            rule = f"the same value is wanted in {place('preferences', wanted[one.about, one.value])}"
            yield Problem(f"{place('preferences', i)}.strength", "wanted and not", rule, "leave out one of them")
