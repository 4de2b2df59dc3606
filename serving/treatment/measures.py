"""Scores of a course of treatment: kept, scored, and what they say of self-harm brought before a clinician."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from data.database import new_id
from data.errors import ConflictError, NotFoundError, RequestError
from data.instruments import INSTRUMENTS, TOTAL, Instrument
from data.scoring import band, in_clinical_range, subscale, total
from data.sql import CORRECTIONS, MEASURES
from serving.access.keys import Caller
from serving.access.writes import Asked, Outcome, once
from serving.answering.safety import Answered, Assessment, assess
from serving.schemas import Measure, Safety
from serving.service import Service
from serving.settings import Settings
from serving.treatment.courses import course_row
from serving.treatment.measured import Ground, Kept, Key, Measures, MeasuresSent, key_of, problems_of
from serving.treatment.tasks import open_task, open_task_of


class ScoreTold(BaseModel):
    """A total or subscale of the session."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    instrument: str
    rater: str
    item: str = Field(description="`0`: the total, else the name of a subscale")
    value: float
    band: str | None = Field(description="where bands are published")
    at_caseness: bool | None = Field(description="in the clinical range, where a cut-off is published")
    computed: bool = Field(description="from the answers, here; else as it was sent")
    prorated: bool = Field(description="from incomplete answers, as was asked for")


class MeasuresAnswer(BaseModel):
    """What is on record now. `safety` speaks of the whole course, and never says that someone is safe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    episode_id: str
    session: int
    added: int
    corrected: int
    unchanged: int
    scores: list[ScoreTold]
    safety: Safety


@dataclass(frozen=True)
class _Changes:
    """What was sent, beside what is on record."""

    added: Measures
    corrected: Measures
    unchanged: int

    @property
    def all(self) -> Measures:
        return {**self.added, **self.corrected}


def keep(service: Service, caller: Caller, sent: MeasuresSent, asked: Asked) -> Outcome:
    """Keeps, scores and assesses what was answered around one session; a new report opens a task with it.

    Raises NotFoundError without the episode, RequestError for what cannot be, ConflictError for values that differ
    from the record and are not said to correct it.
    """
    now = service.now()

    def work(connection: sa.Connection) -> Outcome:
        row = course_row(connection, caller.tenant, sent.episode_id, lock=True)
        if row is None:
            raise NotFoundError("no such episode here -> record it with PUT /v1/episodes/{id} first")
        stored = _stored(connection, caller.tenant, sent.episode_id)
        changes = _changes(sent, stored)
        merged = {**stored, **changes.all}
        problems = problems_of(sent, merged, _ground(service, dict(row._mapping), now))
        if problems:
            raise RequestError(problems)
        if changes.corrected and not sent.correct:
            raise ConflictError(_differs(changes.corrected, sent))
        after = _scored(sent, merged, changes)
        _write(connection, caller, row, stored, after, now)
        today = now.astimezone(service.settings.zone).date()
        safety = _safety(connection, caller, row, service.settings, (stored, after), today, now)
        answer = _answer(sent, changes, after, safety)
        return Outcome(200, answer.model_dump_json().encode(), {}, row.client_id)

    return once(service.engine, caller, asked, now, work)


def _ground(service: Service, course: Mapping[str, Any], now: dt.datetime) -> Ground:
    settings = service.settings
    ranges = service.model.bundle.manifest.severity_of
    return Ground(course, now.astimezone(settings.zone).date(), settings.zone, settings.licence_held_by, ranges)


def _stored(connection: sa.Connection, tenant: str, episode_id: str) -> dict[Key, Kept]:
    mine = sa.select(MEASURES).where(MEASURES.c.tenant == tenant, MEASURES.c.episode_id == episode_id)
    return {
        Key(row.session, row.instrument, row.rater, row.item): Kept(row.value, row.taken_on, row.scored)
        for row in connection.execute(mine)
    }


def _changes(sent: MeasuresSent, stored: Measures) -> _Changes:
    """A total that was computed here gives way to one that is sent: nobody had said it."""
    given = {key_of(sent.session, one): Kept(one.value, one.taken_on) for one in sent.measures}
    same = {key for key, kept in given.items() if key in stored and _is_same(stored[key], kept)}
    added = {key: kept for key, kept in given.items() if key not in stored or (stored[key].scored and key not in same)}
    corrected = {key: kept for key, kept in given.items() if key not in same and key not in added}
    return _Changes(added, corrected, len(same))


def _is_same(stored: Kept, sent: Kept) -> bool:
    return stored.value == sent.value and (stored.scored or stored.taken_on == sent.taken_on)


def _differs(corrected: Iterable[Key], sent: MeasuresSent) -> str:
    keys = [key_of(sent.session, one) for one in sent.measures]
    places = ", ".join(f"measures[{keys.index(key)}]" for key in sorted(corrected))
    return (
        f"{places}: another value or day is on record for the same item and session "
        "-> to correct the record send `correct`: true; what it was is kept"
    )


def _scored(sent: MeasuresSent, merged: Measures, changes: _Changes) -> dict[Key, Kept]:
    """Everything on record afterwards: scores are computed anew where answers have changed, and else stay."""
    after = dict(merged)
    for name, rater in {key.series for key in changes.all}:
        instrument = INSTRUMENTS.get(name)
        if instrument is None or not instrument.scored or instrument.totals_only:
            continue
        given = _answers(instrument, after, sent.session, rater)
        for item in (TOTAL, *instrument.subscales):
            key = Key(sent.session, name, rater, item)
            if key in after and not after[key].scored:
                continue
            after.pop(key, None)
            score = _score(instrument, item, given, sent)
            if score is not None:
                after[key] = score
    return after


def _answers(instrument: Instrument, measures: Measures, session: int, rater: str) -> dict[int, Kept]:
    keys = {number: Key(session, instrument.id, rater, str(number)) for number in range(1, instrument.items + 1)}
    return {number: measures[key] for number, key in keys.items() if key in measures}


def _score(instrument: Instrument, item: str, given: Mapping[int, Kept], sent: MeasuresSent) -> Kept | None:
    if not given:
        return None
    numbers = range(1, instrument.items + 1)
    answers = [[given[number].value if number in given else float("nan") for number in numbers]]
    scores = (
        total(instrument, answers, sent.missing) if item == TOTAL else subscale(instrument, answers, item, sent.missing)
    )
    value = float(scores[0])
    return None if value != value else Kept(value, max(kept.taken_on for kept in given.values()), scored=True)


def _write(
    connection: sa.Connection, caller: Caller, course: sa.Row[Any], stored: Measures, after: Measures, now: dt.datetime
) -> None:
    """Writes what differs; what an answer said before is kept among the corrections."""
    of_course = {"tenant": caller.tenant, "episode_id": course.episode_id}
    changed = [key for key, kept in stored.items() if after.get(key) != kept]
    for key in changed:
        mine = _where({**of_course, **_columns(key)})
        if not stored[key].scored:
            _keep_correction(connection, caller, mine, now)
        connection.execute(sa.delete(MEASURES).where(mine))
    new = [
        {
            **of_course,
            **_columns(key),
            "client_id": course.client_id,
            "taken_on": kept.taken_on,
            "value": kept.value,
            "scored": kept.scored,
            "key_id": caller.key_id,
            "made_at": now,
        }
        for key, kept in after.items()
        if stored.get(key) != kept
    ]
    if new:
        connection.execute(sa.insert(MEASURES), new)


def _keep_correction(connection: sa.Connection, caller: Caller, mine: sa.ColumnElement[bool], now: dt.datetime) -> None:
    before = connection.execute(sa.select(MEASURES).where(mine)).one()._mapping
    kept = {column.name: before[column.name] for column in CORRECTIONS.c if column.name in before}
    by = {"correction_id": new_id(now), "corrected_by": caller.key_id, "corrected_at": now}
    connection.execute(sa.insert(CORRECTIONS), {**kept, **by})


def _columns(key: Key) -> dict[str, Any]:
    return {"session": key.session, "instrument": key.instrument, "rater": key.rater, "item": key.item}


def _where(values: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    return sa.and_(*(MEASURES.c[name] == value for name, value in values.items()))


def _safety(
    connection: sa.Connection,
    caller: Caller,
    course: sa.Row[Any],
    settings: Settings,
    measures: tuple[Measures, Measures],
    today: dt.date,
    now: dt.datetime,
) -> Safety:
    """What the course says of self-harm before and after; what is newly reported opens a task."""
    before, after = (assess(_asked(one), settings.safety, today) for one in measures)
    new = _newly_reported(before, after)
    if new:
        status = "held" if any(one.value >= settings.safety.hold_at for one in new) else "flagged"
        due_at = now + dt.timedelta(hours=settings.safety.hours_to_act)
        raised_by = list(dict.fromkeys(one.source for one in new))
        open_task(connection, caller.tenant, status, raised_by, now, due_at, course.episode_id, course.client_id)
    task_id = open_task_of(connection, caller.tenant, course.episode_id) if after.needs_task else None
    words = after.words_in_treatment(settings, task_id is not None)
    return Safety(status=after.status, asked=list(after.asked), task_id=task_id, words=words)


def _asked(measures: Measures) -> list[Measure]:
    """What was said, by whomever; scores computed here prove nothing that the answers do not."""
    return [
        Measure(instrument=key.instrument, item=key.item, value=kept.value, taken_on=kept.taken_on)
        for key, kept in sorted(measures.items())
        if not kept.scored
    ]


def _newly_reported(before: Assessment, after: Assessment) -> list[Answered]:
    """Reports that were not known, or not as high."""
    known = {(one.question, one.day): one.value for one in sorted(before.answers, key=lambda one: one.value)}
    return [one for one in after.answers if one.value >= 1 and one.value > known.get((one.question, one.day), 0)]


def _answer(sent: MeasuresSent, changes: _Changes, after: Measures, safety: Safety) -> MeasuresAnswer:
    series = {key_of(sent.session, one).series for one in sent.measures}
    here = {key: kept for key, kept in after.items() if key.session == sent.session and key.series in series}
    scores = [_told(key, kept, here) for key, kept in sorted(here.items()) if not _is_item(key)]
    return MeasuresAnswer(
        episode_id=sent.episode_id,
        session=sent.session,
        added=len(changes.added),
        corrected=len(changes.corrected),
        unchanged=changes.unchanged,
        scores=scores,
        safety=safety,
    )


def _is_item(key: Key) -> bool:
    return key.item != TOTAL and key.item.isdecimal()


def _told(key: Key, kept: Kept, here: Measures) -> ScoreTold:
    instrument = INSTRUMENTS.get(key.instrument)
    is_total = key.item == TOTAL and instrument is not None
    banded = instrument if is_total and instrument and instrument.bands else None
    cut = instrument if is_total and instrument and "caseness" in instrument.thresholds else None
    return ScoreTold(
        instrument=key.instrument,
        rater=key.rater,
        item=key.item,
        value=kept.value,
        band=band(banded, [kept.value])[0] if banded else None,
        at_caseness=bool(in_clinical_range(cut, [kept.value])[0]) if cut else None,
        computed=kept.scored,
        prorated=kept.scored and instrument is not None and not _is_complete(instrument, key, here),
    )


def _is_complete(instrument: Instrument, key: Key, here: Measures) -> bool:
    items = instrument.subscales.get(key.item) or range(1, instrument.items + 1)
    return all(Key(key.session, key.instrument, key.rater, str(number)) in here for number in items)
