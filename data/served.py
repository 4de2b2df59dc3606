"""Everybody who was referred to a service, and what became of them, from its own tables: plain records, no frames.

It is for looking back at care, so nobody is left out for not wanting to be learned from. Erased clients are counted
and never shown; of a client only what was sent with a request is known. Nothing here goes to a log.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from data.served_scores import course_scores, intakes, risk_asked
from data.sql import CHOICES, EPISODES, RECEIPTS, RECOMMENDATIONS

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
    scores = course_scores(connection, tenant)
    differing = _without_difference(connection, tenant)
    for rows in _courses(connection, tenant).partitions(_AT_ONCE):
        for row, asked in zip(rows, intakes([row.request or {} for row in rows]), strict=True):
            first, last = scores.get(row.episode_id, ({}, {}))
            yield _course(row, {**asked, **first}, last, differing, now)
    yield from _without_course(connection, tenant)


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


def _courses(connection: sa.Connection, tenant: str) -> sa.CursorResult[Any]:
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
            choice.kind,
            choice.reason,
            choice.rank,
        )
        .select_from(EPISODES.outerjoin(RECOMMENDATIONS, answers).outerjoin(CHOICES, chosen))
        .where(course.tenant == tenant)
    )
    return connection.execute(wanted, execution_options={"yield_per": _AT_ONCE})


def _course(
    row: sa.Row[Any], intake: Mapping[str, float], last: Mapping[str, float], differing: set[str], now: dt.datetime
) -> Referral:
    request = row.request or {}
    matched_on = row.matched_at.date()
    kept = row.holds_until is None or row.holds_until > now
    return Referral(
        arm=_arm(row.kind, row.recommendation_id in differing) if row.kind else arm_of(row.assigned_by),
        client=request.get("client", {}),
        intake=intake,
        last=last,
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
        risk_asked=risk_asked(request),
    )


def _without_course(connection: sa.Connection, tenant: str) -> Iterator[Referral]:
    """Each with their latest request, referred on the day of their first."""
    table = RECOMMENDATIONS.c
    mine = (table.tenant == tenant, table.client_id.is_not(None), table.erased_at.is_(None))
    first = (
        sa.select(table.client_id, sa.func.min(table.made_at).label("since"), sa.func.max(table.made_at).label("until"))
        .where(*mine, table.client_id.not_in(_with_course(tenant)))
        .group_by(table.client_id)
        .subquery()
    )
    latest = sa.and_(table.client_id == first.c.client_id, table.made_at == first.c.until)
    wanted = sa.select(table.recommendation_id, table.client_id, table.request, table.bundle_id, first.c.since)
    rows = connection.execute(
        wanted.select_from(RECOMMENDATIONS.join(first, latest)).where(*mine), execution_options={"yield_per": _AT_ONCE}
    )
    declined, told = _declined(connection, tenant), set[str]()
    for some in rows.partitions(_AT_ONCE):
        for row, intake in zip(some, intakes([row.request for row in some]), strict=True):
            if row.client_id not in told:  # two answers of one moment
                told.add(row.client_id)
                yield _waiting(row, intake, declined)


def _waiting(
    row: sa.Row[*tuple[Any, ...]], intake: Mapping[str, float], declined: Mapping[str, str | None]
) -> Referral:
    return Referral(
        arm=NOBODY_YET,
        client=row.request.get("client", {}),
        intake=intake,
        referred_on=row.since.date(),
        declined=row.recommendation_id in declined,
        reason=declined.get(row.recommendation_id),
        bundle_id=row.bundle_id,
        risk_asked=risk_asked(row.request),
    )


def _with_course(tenant: str) -> sa.CompoundSelect[Any]:
    """Clients who have a course, by its own word or that of the answer it began with."""
    course, asked = EPISODES.c, RECOMMENDATIONS.c
    answers = sa.and_(asked.tenant == course.tenant, asked.recommendation_id == course.recommendation_id)
    own = sa.select(course.client_id).where(course.tenant == tenant, course.client_id.is_not(None))
    by_answer = sa.select(asked.client_id).select_from(EPISODES.join(RECOMMENDATIONS, answers))
    return own.union(by_answer.where(course.tenant == tenant, asked.client_id.is_not(None)))


def _declined(connection: sa.Connection, tenant: str) -> dict[str, str | None]:
    """Answers of which all shown were declined, and why."""
    choice = CHOICES.c
    wanted = sa.select(choice.recommendation_id, choice.reason).where(
        choice.tenant == tenant, choice.kind == "declined"
    )
    return {row.recommendation_id: row.reason for row in connection.execute(wanted.order_by(choice.made_at))}
