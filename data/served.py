"""Everybody who was referred to a service, and what became of them, from its own tables: plain records, no frames.

It is for looking back at care, so nobody is left out for not wanting to be learned from. Erased clients are counted
and never shown; of a client only what was sent with a request is known. Nothing here goes to a log.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sqlalchemy as sa

from data.errors import DataError
from data.instruments import INSTRUMENTS, TOTAL
from data.scoring import total
from data.sql import CHOICES, EPISODES, MEASURES, RECEIPTS, RECOMMENDATIONS

FOLLOWED, NEXT_AVAILABLE, OVERRIDDEN = "followed", "next_available", "overridden"
NOT_RANKED, NOBODY_YET = "not_ranked", "nobody_yet"
RECORDED = (FOLLOWED, NEXT_AVAILABLE, OVERRIDDEN)
"""Ways to a therapist that only a service which ranks can have recorded."""
_BY = {"algorithm": FOLLOWED, "random": NEXT_AVAILABLE}
_NO_DIFFERENCE = b'"meaningful_difference":false'
_AT_ONCE = 2000


def arm_of(assigned_by: str | None) -> str:
    """How a client came to a therapist where no answer of a service is on record, by who decided."""
    return _BY.get(assigned_by or "", NOT_RANKED)


@dataclass(frozen=True, slots=True)
class Referral:
    """One request for help, and what became of it."""

    arm: str
    client: Mapping[str, Any]
    """What was said of the client; nothing where no request is on record."""
    intake: Mapping[str, float]
    """Instrument -> total at intake."""
    referred_on: dt.date | None
    last: Mapping[str, float] = field(default_factory=dict)
    """Instrument -> the last total of a later session."""
    episode_id: str | None = None
    therapist_id: str | None = None
    matched_on: dt.date | None = None
    started_on: dt.date | None = None
    ended_on: dt.date | None = None
    ending: str | None = None
    sessions_attended: int | None = None
    declined: bool = False
    expired: bool = False
    """A place was kept, and nobody came."""
    reason: str | None = None
    """Why it was decided otherwise than shown, or why all shown were declined."""
    rank: int | None = None
    bundle_id: str | None = None
    risk_asked: bool = False
    """Whether a question about self-harm was answered in the request."""


def referrals(connection: sa.Connection, tenant: str, now: dt.datetime) -> Iterator[Referral]:
    """A record for each course of treatment, then one for each client who was shown therapists and has no course."""
    named: set[str] = set()
    scores = _course_scores(connection, tenant)
    differing = _without_difference(connection, tenant)
    for row in _courses(connection, tenant):
        if row.client_id is not None:
            named.add(row.client_id)
        elif row.asked_for is not None:
            named.add(row.asked_for)
        yield _course(row, scores.get(row.episode_id, ({}, {})), differing, now)
    yield from _without_course(connection, tenant, named)


def arms(connection: sa.Connection, tenant: str) -> dict[str, str]:
    """Episode -> how its client came to the therapist, of courses that began with an answer of this service."""
    differing = _without_difference(connection, tenant)
    wanted = sa.select(CHOICES.c.episode_id, CHOICES.c.kind, CHOICES.c.recommendation_id)
    mine = (CHOICES.c.tenant == tenant, CHOICES.c.episode_id.is_not(None))
    return {
        episode: _arm(kind, answer in differing) for episode, kind, answer in connection.execute(wanted.where(*mine))
    }


def first_answer(connection: sa.Connection, tenant: str) -> dt.datetime | None:
    """When the service first answered anybody."""
    made: dt.datetime | None = connection.scalar(
        sa.select(sa.func.min(RECOMMENDATIONS.c.made_at)).where(RECOMMENDATIONS.c.tenant == tenant)
    )
    return made


def newest_model(connection: sa.Connection, tenant: str) -> tuple[str, dt.datetime] | None:
    """The model that answered last, and when it first answered; None before any answer."""
    table = RECOMMENDATIONS
    mine = table.c.tenant == tenant
    last = sa.select(table.c.bundle_id).where(mine).order_by(table.c.made_at.desc(), table.c.recommendation_id).limit(1)
    bundle = connection.scalar(last)
    if bundle is None:
        return None
    since = connection.scalar(sa.select(sa.func.min(table.c.made_at)).where(mine, table.c.bundle_id == bundle))
    return bundle, since


def erased(connection: sa.Connection, tenant: str) -> int:
    """Clients of whom everything was erased: how many, nothing else is known."""
    wanted = sa.select(sa.func.count(sa.distinct(RECEIPTS.c.client_hash))).where(RECEIPTS.c.tenant == tenant)
    return connection.scalar(wanted) or 0


def unnamed(connection: sa.Connection, tenant: str) -> int:
    """Answers for clients who were not named and came to nothing: whose they were cannot be told."""
    table = RECOMMENDATIONS
    used = sa.select(EPISODES.c.recommendation_id).where(
        EPISODES.c.tenant == tenant, EPISODES.c.recommendation_id.is_not(None)
    )
    mine = (table.c.tenant == tenant, table.c.client_id.is_(None), table.c.erased_at.is_(None))
    wanted = sa.select(sa.func.count()).select_from(table).where(*mine, table.c.recommendation_id.not_in(used))
    return connection.scalar(wanted) or 0


def decisions(connection: sa.Connection, tenant: str) -> Counter[tuple[str, str, str]]:
    """How often what was decided for which reason, by the model that had answered: (bundle, kind, reason) -> times."""
    same = sa.and_(
        RECOMMENDATIONS.c.tenant == CHOICES.c.tenant,
        RECOMMENDATIONS.c.recommendation_id == CHOICES.c.recommendation_id,
    )
    by = (RECOMMENDATIONS.c.bundle_id, CHOICES.c.kind, CHOICES.c.reason)
    wanted = sa.select(*by, sa.func.count()).select_from(CHOICES.join(RECOMMENDATIONS, same))
    rows = connection.execute(wanted.where(CHOICES.c.tenant == tenant).group_by(*by))
    return Counter({(bundle, kind, reason or ""): count for bundle, kind, reason, count in rows})


def _arm(kind: str, without_difference: bool) -> str:
    if kind == "overridden":
        return OVERRIDDEN
    return NEXT_AVAILABLE if without_difference else FOLLOWED


def _without_difference(connection: sa.Connection, tenant: str) -> set[str]:
    """Answers that led to a course and found no difference that was worth a wait: they showed the soonest first."""
    table = RECOMMENDATIONS
    chosen = sa.select(CHOICES.c.recommendation_id).where(
        CHOICES.c.tenant == tenant, CHOICES.c.episode_id.is_not(None), CHOICES.c.kind == "chosen"
    )
    postgres = connection.dialect.name == "postgresql"
    place = sa.func.pg_catalog.position if postgres else sa.func.instr
    said = place(table.c.answer, sa.literal(_NO_DIFFERENCE, sa.LargeBinary), type_=sa.Integer) > 0
    wanted = sa.select(table.c.recommendation_id).where(
        table.c.tenant == tenant, table.c.recommendation_id.in_(chosen), said
    )
    return set(connection.scalars(wanted))


def _courses(connection: sa.Connection, tenant: str) -> Iterable[sa.Row[Any]]:
    course, asked, choice = EPISODES.c, RECOMMENDATIONS.c, CHOICES.c
    answers = sa.and_(asked.tenant == course.tenant, asked.recommendation_id == course.recommendation_id)
    chosen = sa.and_(
        choice.tenant == course.tenant,
        choice.recommendation_id == course.recommendation_id,
        choice.episode_id == course.episode_id,
    )
    wanted = (
        sa.select(
            EPISODES,
            asked.request,
            asked.bundle_id,
            asked.client_id.label("asked_for"),
            choice.kind,
            choice.reason,
            choice.rank,
        )
        .select_from(EPISODES.outerjoin(RECOMMENDATIONS, answers).outerjoin(CHOICES, chosen))
        .where(course.tenant == tenant)
    )
    return connection.execute(wanted, execution_options={"yield_per": _AT_ONCE})


def _course(
    row: sa.Row[Any], scores: tuple[Mapping[str, float], Mapping[str, float]], differing: set[str], now: dt.datetime
) -> Referral:
    request = row.request or {}
    asked = _intake(request)
    matched_on = row.matched_at.date()
    kept = row.holds_until is None or row.holds_until > now
    return Referral(
        arm=_arm(row.kind, row.recommendation_id in differing) if row.kind else arm_of(row.assigned_by),
        client=request.get("client", {}),
        intake={**asked, **scores[0]},
        last=scores[1],
        referred_on=row.referred_on or (matched_on if row.recommendation_id else None),
        episode_id=row.episode_id,
        therapist_id=row.therapist_id,
        matched_on=matched_on,
        started_on=row.started_on,
        ended_on=row.ended_on,
        ending=row.ending,
        sessions_attended=row.sessions_attended,
        declined=row.ending == "declined",
        expired=row.started_on is None and row.ended_on is None and not kept,
        reason=row.reason,
        rank=row.rank,
        bundle_id=row.bundle_id,
        risk_asked=_risk_asked(request),
    )


def _without_course(connection: sa.Connection, tenant: str, named: set[str]) -> Iterator[Referral]:
    """Each with their latest request, referred on the day of their first."""
    table = RECOMMENDATIONS.c
    mine = (table.tenant == tenant, table.client_id.is_not(None), table.erased_at.is_(None))
    first = (
        sa.select(table.client_id, sa.func.min(table.made_at).label("since"), sa.func.max(table.made_at).label("until"))
        .where(*mine)
        .group_by(table.client_id)
        .subquery()
    )
    latest = sa.and_(table.client_id == first.c.client_id, table.made_at == first.c.until)
    wanted = sa.select(
        table.recommendation_id, table.client_id, table.request, table.bundle_id, first.c.since
    ).select_from(RECOMMENDATIONS.join(first, latest))
    declined = dict(
        connection.execute(
            sa.select(CHOICES.c.recommendation_id, CHOICES.c.reason)
            .where(CHOICES.c.tenant == tenant, CHOICES.c.kind == "declined")
            .order_by(CHOICES.c.made_at)
        ).all()
    )
    told: set[str] = set()
    for row in connection.execute(wanted.where(*mine), execution_options={"yield_per": _AT_ONCE}):
        if row.client_id in named or row.client_id in told:
            continue
        told.add(row.client_id)
        refused = row.recommendation_id in declined
        yield Referral(
            arm=NOBODY_YET,
            client=row.request.get("client", {}),
            intake=_intake(row.request),
            referred_on=row.since.date(),
            declined=refused,
            reason=declined.get(row.recommendation_id),
            bundle_id=row.bundle_id,
            risk_asked=_risk_asked(row.request),
        )


def _course_scores(connection: sa.Connection, tenant: str) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Episode -> totals as the client gave them, by instrument: at intake, and those of the last later session."""
    table = MEASURES.c
    mine = (table.tenant == tenant, table.item == TOTAL, table.rater == "client")
    newest = (
        sa.select(table.episode_id, table.instrument, sa.func.max(table.session).label("session"))
        .where(*mine)
        .group_by(table.episode_id, table.instrument)
        .subquery()
    )
    is_newest = sa.and_(
        table.episode_id == newest.c.episode_id,
        table.instrument == newest.c.instrument,
        sa.or_(table.session == newest.c.session, table.session == 0),
    )
    wanted = sa.select(table.episode_id, table.instrument, table.session, table.value)
    rows = connection.execute(
        wanted.select_from(MEASURES.join(newest, is_newest)).where(*mine), execution_options={"yield_per": _AT_ONCE}
    )
    found: dict[str, tuple[dict[str, float], dict[str, float]]] = {}
    for episode, instrument, session, value in rows:
        found.setdefault(episode, ({}, {}))[1 if session > 0 else 0][instrument] = value
    return found


def _intake(request: Mapping[str, Any]) -> dict[str, float]:
    """Totals that the request holds, or that its answers add up to."""
    sent = [one for one in request.get("measures", ()) if one.get("rater", "client") == "client"]
    totals = {one["instrument"]: float(one["value"]) for one in sent if str(one.get("item", TOTAL)) == TOTAL}
    answers: dict[str, dict[int, float]] = {}
    for one in sent:
        if one["instrument"] not in totals and str(one.get("item", TOTAL)).isdecimal():
            answers.setdefault(one["instrument"], {})[int(one["item"])] = float(one["value"])
    return totals | {name: value for name, own in answers.items() if (value := _added(name, own)) is not None}


def _added(name: str, answers: Mapping[int, float]) -> float | None:
    instrument = INSTRUMENTS.get(name)
    if instrument is None or not instrument.scored or instrument.totals_only or len(answers) < instrument.items:
        return None
    try:
        value = float(total(instrument, [[answers.get(i, np.nan) for i in range(1, instrument.items + 1)]])[0])
    except DataError:
        return None
    return None if np.isnan(value) else value


RISK_ITEMS = frozenset((name, str(item)) for name, one in INSTRUMENTS.items() for item in one.risk_items)
"""Instrument and item of every question about self-harm."""


def _risk_asked(request: Mapping[str, Any]) -> bool:
    return any((one["instrument"], str(one.get("item", TOTAL))) in RISK_ITEMS for one in request.get("measures", ()))
