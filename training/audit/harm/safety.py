"""Was anything missed, as a service's own records have it now: what is open and overdue first, then who was harmed."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from data.served import (
    Referral,
    decisions,
    erased,
    first_answer,
    newest_model,
    referrals,
    unnamed,
)
from data.served_safety import Task, Treated, tasks, treated
from training.audit.document import Column, Finding, Part, Section, Table
from training.audit.harm.hiding import pooled, shown
from training.audit.harm.rates import percent, wilson
from training.audit.harm.safety_tables import closed_table, endings_table, open_table, times_table
from training.audit.harm.said import many, shown_share
from training.audit.harm.served import harm_of, periods, reason_table
from training.bands import FEWEST_IN_CELL

PAGE = "section/safety"
TITLE = "Does anyone wait for us, was anyone harmed, was anything missed?"
MUCH = 0.10
"""A share of clients never asked that is surely above this is pointed at. A convention: no published limit exists."""


def live(engine: sa.Engine, tenant: str, now: dt.datetime) -> Section:
    """The section, from the database of a service as it is now; `now` has its offset.

    It names nobody: tasks, answers and courses by their ids, groups of fewer than ten not at all.
    """
    with engine.connect() as connection:
        found, courses = tasks(connection, tenant), treated(connection, tenant)
        records = list(referrals(connection, tenant, now))
        first, newest = first_answer(connection, tenant), newest_model(connection, tenant)
        made, gone, nobody = decisions(connection, tenant), erased(connection, tenant), unnamed(connection, tenant)
    when = periods(records, first, newest)
    harm, harm_findings, harm_parts = harm_of(records, when, now, PAGE)
    parts: list[Part] = [
        open_table([one for one in found if one.closed_at is None], now),
        times_table(found, now),
        endings_table(found),
        closed_table([one for one in found if one.closed_at is not None], now),
        _asked_table(records, courses),
        reason_table(made, newest[0] if newest else None),
        *harm_parts,
    ]
    findings = (*_task_findings(found, now), *_missed_findings(records, courses), *harm_findings)
    says = (*_open_words(found, now), *_missed_words(records, courses), *harm, *_left_out(gone, nobody))
    kept = tuple(part for part in parts if not isinstance(part, Table) or part.rows)
    return Section(id="safety", title=TITLE, says=says, findings=findings, parts=kept)


def _open_words(found: Sequence[Task], now: dt.datetime) -> list[str]:
    still = [one for one in found if one.closed_at is None]
    overdue = [one for one in still if one.is_overdue(now)]
    if not found:
        return ["No answer about self-harm has opened a task yet. It says nothing about those who were not asked."]
    if not still:
        return [
            f"{many(len(found), 'task')} opened by answers about self-harm, and none is open now. It does not say that "
            "nobody is at risk: most people who come to harm had answered `not at all`."
        ]
    held = sum(one.held for one in still)
    longest = max(one.hours(now) for one in still)
    return [
        f"{many(len(still), 'task')} open, {len(overdue)} past the time by which a clinician was to act; the longest "
        f"has been open for {longest:.0f} hours. Lists held back until a clinician has talked with the client: {held}."
    ]


def _task_findings(found: Sequence[Task], now: dt.datetime) -> list[Finding]:
    told: list[Finding] = []
    for held, level, step in (
        (True, "stop", "The clinician on duty talks with each client now, then releases or closes"),
        (False, "look", "The clinician on duty looks at each today, and closes it with what was done"),
    ):
        late = [one for one in found if one.held == held and one.is_overdue(now)]
        if late:
            hours = max((now - one.due_at).total_seconds() / 3600 for one in late)
            kind = "held answers" if held else "flagged answers"
            words = (
                f"{many(len(late), 'task')} for {kind} past the time to act, the longest by {hours:.0f} hours. {step}; "
                "whoever leads the clinic sees to it that this is done, and asks why it was late."
            )
            told.append(Finding.model_validate({"level": level, "words": words, "page": PAGE}))
    waiting = [one for one in found if one.closed_at is None and not one.is_overdue(now)]
    if waiting:
        words = f"{many(len(waiting), 'task')} open and not yet due. The clinician on duty acts before then."
        told.append(Finding(level="note", words=words, page=PAGE))
    return told


def _missed_words(records: Sequence[Referral], courses: Treated) -> list[str]:
    never = _never_asked(records, courses)
    told = []
    if len(records) >= FEWEST_IN_CELL:
        share = percent(sum(never), len(records))
        assert share is not None
        told.append(
            f"{shown_share(share)} of {len(records):,} referred never answered a "
            "question about self-harm, at intake or later. Of them nothing is known: ask them."
        )
    if courses.scored:
        told.append(
            f"In {len(courses.reported):,} of {many(len(courses.scored), 'course')} with scores after intake thoughts "
            f"of self-harm were reported then; for {len(courses.without_task):,} of these no task was ever opened."
        )
    return told


def _missed_findings(records: Sequence[Referral], courses: Treated) -> list[Finding]:
    told = []
    if courses.without_task:
        ids = ", ".join(sorted(courses.without_task)[:20])
        words = (
            f"In {many(len(courses.without_task), 'course')} thoughts of self-harm were reported in treatment, and no "
            f"task was opened: {ids}. The clinician on duty looks at each now."
        )
        told.append(Finding(level="stop", words=words, page=PAGE))
    never = sum(_never_asked(records, courses))
    if len(records) >= FEWEST_IN_CELL and never and wilson(never, len(records))[0] > MUCH:
        words = (
            f"{never} of {len(records)} clients never answered a question about self-harm. Whoever leads the intake "
            "sees to it that everybody is asked."
        )
        told.append(Finding(level="look", words=words, page=PAGE))
    return told


def _never_asked(records: Sequence[Referral], courses: Treated) -> list[bool]:
    return [not one.risk_asked and one.episode_id not in courses.asked for one in records]


def _asked_table(records: Sequence[Referral], courses: Treated) -> Table:
    """By month of the referral, who never answered the question."""
    months = np.array(
        [*(f"{one.referred_on:%Y-%m}" if one.referred_on else "unknown" for one in records), None], dtype=object
    )[:-1]
    never = np.array(_never_asked(records, courses), dtype=bool)
    rows = []
    together = pooled(months) if len(records) else months
    for month in shown(sorted(set(together))):
        mine = together == month
        rows.append((month.replace("_", " "), int(mine.sum()), percent(float(never[mine].sum()), float(mine.sum()))))
    columns = (
        Column(name="month", label="Referred in"),
        Column(name="referred", label="Referred", unit="clients", digits=0),
        Column(name="never_asked", label="Never answered the question", unit="%", digits=1),
    )
    enough = rows if len(records) >= FEWEST_IN_CELL else []
    note = "At intake or later. Months with fewer than ten are put together. Not asked is not `nothing reported`."
    return Table(id="never_asked", title="Who was never asked", columns=columns, rows=tuple(enough), note=note)


def _left_out(gone: int, nobody: int) -> list[str]:
    told = []
    if gone:
        told.append(f"{many(gone, 'client')} erased: counted here, and nothing else is known of them.")
    if nobody:
        told.append(
            f"{many(nobody, 'answer')} for clients who were not named came to nothing, and are not in the tables."
        )
    told.append(
        "Clients who agreed to care only are in here: this looks back at their care, and nothing is learned from them."
    )
    return told
