"""What was answered to questions about self-harm, and what follows: nothing, a task for a clinician, or a held answer.

It never says that someone is safe: an answer of 0 is what was reported, on one day, to one question. A total so high
that the other items cannot make it up answers the question too.
"""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from data.instruments import INSTRUMENTS, TOTAL, Instrument
from serving.schemas import Measure
from serving.settings import LONGEST_HOLD, SafetySettings, Settings

Status = Literal["not_asked", "nothing_reported", "flagged", "held"]


@dataclass(frozen=True)
class Answered:
    """What one question about self-harm was answered with: said, or at least what a total proves."""

    question: str
    """`phq9.9`"""
    source: str
    """The score that says so: the question itself, or the total (`phq9.0`) that cannot be reached without it."""
    value: float
    day: dt.date | None


@dataclass(frozen=True)
class Assessment:
    """The status, and the answers that it rests on."""

    status: Status
    answers: tuple[Answered, ...] = ()
    """Those that stand and decide the status."""
    expired: tuple[Answered, ...] = ()
    """Those given too long ago to say anything about today."""
    asked: tuple[str, ...] = ()
    """The questions that were answered themselves, not by a total."""
    released: bool = False
    """Whether a clinician has looked at it, so that the ranking is shown."""

    before: bool = False
    """Whether it is held for what was reported before: no clinician has acted on that yet."""

    def still_held(self) -> "Assessment":
        """The same answers while a clinician has yet to act on an earlier, held one: held too."""
        return self if self.status == "held" else replace(self, status="held", before=True)

    def after_release(self) -> "Assessment":
        """The same answers once a clinician has looked at them: still told, no longer held."""
        return replace(self, status="flagged" if self.needs_task else self.status, released=True)

    @property
    def raised_by(self) -> tuple[str, ...]:
        """The scores (`phq9.9`, or a total `phq9.0`) that raised it."""
        return tuple(dict.fromkeys(one.source for one in self.answers)) if self.needs_task else ()

    @property
    def needs_task(self) -> bool:
        """Whether a clinician has something to look at."""
        return self.status in ("flagged", "held")

    def words(self, settings: Settings) -> str:
        """What the answer says of it: what was reported on which day, who acts, by when."""
        step = settings.held_next_step or settings.next_step
        if self.status == "not_asked":
            return f"{_expired(self.expired)}Please ask before a first session is arranged."
        if self.status == "nothing_reported":
            return f"Thoughts of self-harm were asked about and not reported {_when(self.answers)}. Please keep asking."
        if self.before:
            return "Thoughts of self-harm were reported before. A clinician talks with the client first, as then."
        reported = f"Thoughts of self-harm were reported {_when(self.answers)}{_by_total(self.answers)}."
        if self.released:
            return f"{reported} A clinician has looked at this and released the list. Contact: {step.contact}"
        if self.status == "held":
            return f"{reported} A clinician talks with the client before anyone is proposed."
        hours = settings.safety.hours_to_act
        return f"{reported} A clinician talks with the client within {_hours(hours)}. Contact: {step.contact}"

    def words_in_treatment(self, settings: Settings, task_is_open: bool) -> str:
        """The same for a course of treatment, where nobody is proposed."""
        if self.status == "not_asked":
            return f"{_expired(self.expired)}Please keep asking."
        if self.status == "nothing_reported":
            return self.words(settings)
        reported = f"Thoughts of self-harm were reported {_when(self.answers)}{_by_total(self.answers)}."
        if not task_is_open:
            return f"{reported} A clinician has closed the task that this opened. Please keep asking."
        step = settings.held_next_step or settings.next_step
        within = _hours(settings.safety.hours_to_act)
        return f"{reported} A clinician talks with the client within {within} of the report. Contact: {step.contact}"


def risk_items() -> tuple[str, ...]:
    """Every question about self-harm in the instruments that ship."""
    return tuple(f"{name}.{item}" for name, instrument in INSTRUMENTS.items() for item in instrument.risk_items)


def assess(measures: Sequence[Measure], settings: SafetySettings, today: dt.date) -> Assessment:
    """From the highest answer to each question among those that still stand on that day.

    An answer without a day stands. An answer of nothing is forgotten after `answers_hold_days`. What was reported
    stands for `LONGEST_HOLD` days, and then until the question is answered again: time alone lets no thought go.
    """
    found = [*_said(measures), *_proven(measures)]
    expired = tuple(one for one in found if _is_expired(one, found, settings, today))
    standing = [one for one in found if one not in expired]
    asked = tuple(name for name in risk_items() if any(one.source == name for one in standing))
    raised = tuple(one for one in standing if one.value >= 1)
    if any(one.value >= settings.hold_at for one in raised):
        return Assessment("held", raised, expired, asked)
    if raised:
        return Assessment("flagged", raised, expired, asked)
    return Assessment("nothing_reported" if standing else "not_asked", tuple(standing), expired, asked)


def at_least(instrument: Instrument, item: int, total: float, others: dict[int, float]) -> float:
    """The lowest value of an item with which the total can be reached: the total less the most that the others give.

    `others` are the answers to other items of the same day; those not given count as the highest there is.
    """
    most, _ = most_and_least(instrument, {**others, item: instrument.item_low})
    return max(float(math.ceil(total - most)) + instrument.item_low, instrument.item_low)


def most_and_least(instrument: Instrument, answers: dict[int, float]) -> tuple[float, float]:
    """The highest and the lowest total that these answers (item -> as answered) leave open."""
    own = {number: value for number, value in answers.items() if 1 <= number <= instrument.items}
    known = sum(_turned(instrument, number, value) for number, value in own.items())
    missing = instrument.items - len(own)
    return known + missing * instrument.item_high, known + missing * instrument.item_low


def _said(measures: Sequence[Measure]) -> Iterator[Answered]:
    questions = risk_items()
    for measure in measures:
        name = f"{measure.instrument}.{measure.item}"
        if name in questions:
            yield Answered(name, name, measure.value, measure.taken_on)


def _proven(measures: Sequence[Measure]) -> Iterator[Answered]:
    """Answers of 1 or more that a total of the same day cannot be reached without."""
    for total in measures:
        instrument = INSTRUMENTS.get(total.instrument)
        if instrument is None or total.item != TOTAL:
            continue
        others = {
            int(one.item): one.value
            for one in measures
            if (one.instrument, one.taken_on) == (total.instrument, total.taken_on) and one.item.isdecimal()
        }
        for item in instrument.risk_items:
            value = at_least(instrument, item, total.value, others)
            if value >= 1:
                yield Answered(f"{instrument.id}.{item}", f"{instrument.id}.{TOTAL}", value, total.taken_on)


def _turned(instrument: Instrument, item: int, value: float) -> float:
    return instrument.item_low + instrument.item_high - value if item in instrument.reversed_items else value


def _is_expired(one: Answered, found: Sequence[Answered], settings: SafetySettings, today: dt.date) -> bool:
    if one.day is None:
        return False
    if one.value < 1:
        return (today - one.day).days > settings.answers_hold_days
    again = any(other.question == one.question and other.day is not None and other.day > one.day for other in found)
    return again and (today - one.day).days > LONGEST_HOLD


def _when(answers: Sequence[Answered]) -> str:
    days = " and ".join(f"on {day}" for day in sorted({one.day for one in answers if one.day is not None}))
    undated = "(no day was given)" if any(one.day is None for one in answers) else ""
    return " ".join(part for part in (days, undated) if part)


def _by_total(answers: Sequence[Answered]) -> str:
    totals = sorted({one.source for one in answers} - {one.question for one in answers})
    instruments = " and ".join(INSTRUMENTS[name.partition(".")[0]].name for name in totals)
    return f" (the total cannot be reached without them: {instruments})" if totals else ""


def _expired(expired: Sequence[Answered]) -> str:
    if not expired:
        return "No question about self-harm was answered. "
    what = "reported" if any(one.value >= 1 for one in expired) else "asked about"
    told = [one for one in expired if one.value >= 1] or expired
    last = sorted(told, key=lambda one: one.day or dt.date.min)[-1:]
    return f"Thoughts of self-harm were last {what} {_when(last)}, too long ago to say anything about today. "


def _hours(count: int) -> str:
    return "1 hour" if count == 1 else f"{count} hours"
