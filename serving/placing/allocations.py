"""A waiting list placed at once by the running service: the answer is kept, prices follow, tasks are opened."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from data.database import new_id
from data.errors import Problem, RequestError
from data.sql import ALLOCATIONS, SAFETY_TASKS
from data.versions import change
from serving.access.keys import Caller
from serving.access.writes import Asked, Outcome, earlier, once
from serving.answering.matcher import Matcher
from serving.answering.safety import assess
from serving.journal import holds, there
from serving.placing.allocation import Terms, is_group
from serving.placing.allocation_answer import AllocationAnswer
from serving.placing.allocation_told import allocation
from serving.placing.cases import OpenCases, Waiting
from serving.schemas import EXAMPLE_REQUEST, RecommendationRequest
from serving.service import Service
from serving.treatment.tasks import open_task
from serving.values import Day, Id, Number, Share
from training.assignment_list import FLOOR

MOST_WAITING = 2000


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WaitingClient(_Request):
    """One client of the list, with what a recommendation would be asked with."""

    episode_id: Id
    referred_on: Day | None = None
    request: RecommendationRequest


class OpenCase(_Request):
    """One case that a therapist carries already, for limits on how many severe cases or cases at risk one carries."""

    therapist_id: Id
    severity: Share | None = Field(None, description="at intake, share of the range")
    severe: bool = False
    risk: bool = False


class AllocationTerms(_Request):
    """What an allocation keeps beside the hard rules."""

    max_extra_days: Annotated[float, Field(ge=0, le=365), Number] | None = Field(
        14, description="most days that a client waits beyond the next available"
    )
    most_severe: Annotated[int, Field(ge=0), Number] | None = None
    most_risk: Annotated[int, Field(ge=0), Number] | None = None
    most_new: Annotated[int, Field(ge=0), Number] | None = None
    fairness_floor: Annotated[float, Field(ge=0, le=1), Number] = Field(
        FLOOR, description="SD that a group's mean gain may lie below the next available's"
    )
    groups: list[str] = Field(default_factory=list, max_length=10)


class AllocationRequest(_Request):
    """A waiting list in its order: the longest waiting first. The order decides who is placed, the gain with whom."""

    clients: list[WaitingClient] = Field(min_length=1, max_length=MOST_WAITING)
    terms: AllocationTerms = AllocationTerms()
    open_cases: list[OpenCase] = Field(default_factory=list, max_length=100_000)
    refresh_prices: bool = Field(
        True, description="whether rankings from now on subtract what a place of each therapist is worth to others"
    )


EXAMPLE_ALLOCATION: dict[str, Any] = {
    "clients": [
        {
            "episode_id": f"e-90{i}",
            "referred_on": f"2026-09-0{i}",
            "request": {**EXAMPLE_REQUEST, "client": {**EXAMPLE_REQUEST["client"], "client_id": f"c-90{i}"}},
        }
        for i in (1, 2)
    ],
    "terms": {"max_extra_days": 7, "groups": ["gender"]},
}


def allocate(service: Service, caller: Caller, asked_for: AllocationRequest, asked: Asked) -> Outcome:
    """Places the list and keeps the answer; nothing is booked.

    Raises RequestError where an episode or client stands twice on the list, or a group is no column of the clients.
    """
    now = service.now()
    return earlier(service.engine, caller, asked, now) or _placed(service, caller, asked_for, asked, now)


def _placed(service: Service, caller: Caller, asked_for: AllocationRequest, asked: Asked, now: dt.datetime) -> Outcome:
    matcher, allocation_id = service.matcher(caller), new_id(now)
    problems = [*_twice(asked_for), *_strange_groups(matcher, asked_for.terms.groups)]
    if problems:
        raise RequestError(problems)
    named = [one.request.client.client_id for one in asked_for.clients]
    with service.engine.connect() as connection:
        held = holds(connection, caller.tenant, [name for name in named if name is not None])
    waiting = [_waiting(one, held) for one in asked_for.clients]
    found = allocation(matcher, waiting, _cases(matcher, asked_for.open_cases), _terms(asked_for.terms), now)
    answer = found.model_copy(update={"allocation_id": allocation_id})
    body = answer.model_dump_json().encode()
    request = asked_for.model_dump(mode="json", by_alias=True, exclude_unset=True)
    row = {
        "tenant": caller.tenant,
        "allocation_id": allocation_id,
        "made_at": now,
        "key_id": caller.key_id,
        "request": request,
        "bundle_id": matcher.bundle.manifest.bundle_id,
        "directory_version": matcher.directory.version,
        "settings_hash": service.settings.hash,
        "answer": body,
    }

    def keep(connection: sa.Connection) -> Outcome:
        connection.execute(sa.insert(ALLOCATIONS), row)
        _open_tasks(connection, service, caller, matcher, waiting, now)
        if asked_for.refresh_prices and service.fixed is None:
            _refresh_prices(connection, service, caller, matcher, answer, now)
        return Outcome(200, body, {"Location": f"/v1/allocations/{allocation_id}"})

    return once(service.engine, caller, asked, now, keep)


def kept(service: Service, caller: Caller, allocation_id: str) -> bytes:
    """The bytes of an allocation of this tenant. Raises NotFoundError, or GoneError if a client of it was erased."""
    mine = sa.and_(ALLOCATIONS.c.tenant == caller.tenant, ALLOCATIONS.c.allocation_id == allocation_id)
    with service.engine.connect() as connection:
        row = connection.execute(sa.select(ALLOCATIONS.c.erased_at, ALLOCATIONS.c.answer).where(mine)).one_or_none()
    answer: bytes = there(row, "allocation").answer
    return answer


def _twice(asked_for: AllocationRequest) -> list[Problem]:
    found: list[Problem] = []
    for name, values in (
        ("episode_id", [one.episode_id for one in asked_for.clients]),
        ("request.client.client_id", [one.request.client.client_id for one in asked_for.clients]),
    ):
        seen: set[str] = set()
        for i, value in enumerate(values):
            if value is not None and value in seen:
                rule = "stands on the list before: each client waits once"
                found.append(Problem(f"clients[{i}].{name}", "twice", rule, "take one of them out"))
            seen.add(value or "")
    return found


def _strange_groups(matcher: Matcher, groups: list[str]) -> list[Problem]:
    rule = "must be a column of the clients"
    return [
        Problem(f"terms.groups[{i}]", "unknown", rule, "name one, such as gender")
        for i, name in enumerate(groups)
        if not is_group(name, matcher)
    ]


def _waiting(one: WaitingClient, held: Mapping[str, str]) -> Waiting:
    client_id = one.request.client.client_id or ""
    return Waiting(one.episode_id, client_id, one.referred_on, one.request, held=client_id in held)


def _cases(matcher: Matcher, given: list[OpenCase]) -> OpenCases:
    """Cases of listed therapists; those of others carry no limit here."""
    known = [one for one in given if one.therapist_id in matcher.directory.place]
    severity = [np.nan if one.severity is None else one.severity for one in known]
    return OpenCases(
        matcher.directory.rows_of([one.therapist_id for one in known]),
        np.array(severity, dtype=np.float64),
        np.array([one.severe for one in known], dtype=bool),
        np.array([one.risk for one in known], dtype=bool),
    )


def _terms(terms: AllocationTerms) -> Terms:
    return Terms(
        terms.max_extra_days,
        terms.most_severe,
        terms.most_risk,
        terms.most_new,
        terms.fairness_floor,
        tuple(terms.groups),
    )


def _open_tasks(
    connection: sa.Connection,
    service: Service,
    caller: Caller,
    matcher: Matcher,
    waiting: list[Waiting],
    now: dt.datetime,
) -> None:
    """A task for each client who needs one and has none open."""
    is_open = sa.and_(SAFETY_TASKS.c.tenant == caller.tenant, SAFETY_TASKS.c.closed_at.is_(None))
    rows = connection.execute(sa.select(SAFETY_TASKS.c.client_id, SAFETY_TASKS.c.status).where(is_open))
    known = {(row.client_id, row.status) for row in rows}
    due = now + dt.timedelta(hours=service.settings.safety.hours_to_act)
    for one in waiting:
        assert one.request is not None
        found = assess(one.request.measures, service.settings.safety, matcher.today(now))
        has_one = bool(one.client_id) and not known.isdisjoint({(one.client_id, "held"), (one.client_id, found.status)})
        if found.needs_task and not has_one:
            client_id = one.client_id or None
            open_task(connection, caller.tenant, found.status, found.raised_by, now, due, one.episode_id, client_id)


def _refresh_prices(
    connection: sa.Connection,
    service: Service,
    caller: Caller,
    matcher: Matcher,
    answer: AllocationAnswer,
    now: dt.datetime,
) -> None:
    """What a place of each therapist is worth to others, for rankings until then; earlier prices go."""
    until = (now + dt.timedelta(days=service.settings.prices_hold_days)).isoformat()
    held = matcher.directory.prices(now)
    priced = [] if held is None else np.flatnonzero(held).tolist()
    gone: dict[str, Any] = {matcher.directory.ids[row]: None for row in priced}
    prices = {name: {"price": price, "until": until} for name, price in answer.prices.items()}
    if gone or prices:
        change(connection, caller.tenant, f"allocation {answer.allocation_id}", {"price": gone | prices}, now)
