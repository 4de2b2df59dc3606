"""The directory: who is listed, with which licences, slots and places."""

import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import sqlalchemy as sa
import structlog
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from serving.access.auth import TheAsked, TheService, needs
from serving.access.keys import Caller
from serving.access.writes import Asked, Outcome, earlier, once
from serving.listing import bulk, bulk_body, therapists
from serving.listing.bulk import BulkAnswer, Mode
from serving.listing.profiles import Slot, Slots, TherapistProfile
from serving.listing.therapists import MOST_LISTED, At, Stored
from serving.routes.answers import example, problem_responses, response
from serving.service import Service, no_database
from serving.treatment.places import require_stored
from serving.values import Id

T = TypeVar("T")
router = APIRouter(tags=["therapists"])

_Writer = Annotated[Caller, needs("platform", "admin")]
_Reader = Annotated[Caller, needs()]
_TherapistId = Annotated[Id, Path(description="pseudonym of the therapist")]
_IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="the ETag that was read: refused if somebody else was first")
]

EXAMPLE_PROFILE: dict[str, Any] = {
    "gender": "woman",
    "birth_year": 1980,
    "practising_since": 2009,
    "trained_for": ["depression", "ptsd"],
    "care_levels": ["outpatient"],
    "languages": ["en", "es"],
    "modalities": ["video", "in_person"],
    "payers": ["medicaid"],
    "age_groups": ["adult", "older_adult"],
    "caseload_capacity": 20,
    "accepts_new": True,
    "licences": [{"jurisdiction": "US-CA", "kind": "full", "valid_from": "2020-01-01"}],
}
EXAMPLE_SLOTS: dict[str, Any] = {"slots": []}
EXAMPLE_BULK: dict[str, Any] = {"therapists": [{"therapist_id": "t-2001", **EXAMPLE_PROFILE}]}


class TherapistOnRecord(TherapistProfile):
    """A therapist as they are on record; `ETag` marks this state."""

    therapist_id: str


class SlotOnRecord(Slot):
    """A slot as it is on record."""

    episode_id: str | None = None
    """The course that a choice booked it for."""


class SlotsOnRecord(BaseModel):
    """Every slot of one therapist, in order of time."""

    model_config = ConfigDict(frozen=True)

    therapist_id: str
    updated_at: str | None
    slots: list[SlotOnRecord]


class Listed(BaseModel):
    """One who is listed."""

    therapist_id: str
    etag: str


class Page(BaseModel):
    """Some of those who are listed, in order of their ids."""

    therapists: list[Listed]
    next_cursor: str | None
    """For the next page; null on the last."""


def _at(service: Service) -> At:
    learned = service.model.bundle.manifest.kinds.get("therapists", {})
    return At.of(service.now(), service.settings.zone, learned)


def _answered(stored: Stored, status: int = 200) -> Outcome:
    return Outcome(status, json.dumps(stored.content).encode(), {"ETag": stored.etag})


def _looked_up(service: Service, look: Callable[[sa.Connection], T]) -> T:
    require_stored(service)
    try:
        with service.engine.connect() as connection:
            return look(connection)
    except sa.exc.SQLAlchemyError as error:
        raise no_database(error) from error


def _written(service: Service, caller: Caller, asked: Asked, work: Callable[[sa.Connection, At], Outcome]) -> Response:
    require_stored(service)
    at = _at(service)
    outcome = once(service.engine, caller, asked, at.now, lambda connection: work(connection, at))
    structlog.get_logger("serving").info("directory changed", status=outcome.status)
    return response(outcome)


@router.get("/v1/therapists", summary="Who is listed", responses=problem_responses(409, 422))
def listed(
    caller: _Reader,
    service: TheService,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
    cursor: Annotated[Id | None, Query(description="`next_cursor` of the page before")] = None,
) -> Page:
    """Ids and ETags, page by page. Who is listed meanwhile shows up if their id is still to come."""
    rows, after = _looked_up(service, lambda found: therapists.listed(found, caller.tenant, limit, cursor or ""))
    return Page(therapists=[Listed(**row) for row in rows], next_cursor=after)


@router.get(
    "/v1/therapists/{therapist_id}",
    summary="Read a therapist's record",
    response_model=TherapistOnRecord,
    responses=problem_responses(404, 409, 422),
)
def read(therapist_id: _TherapistId, caller: _Reader, service: TheService) -> Response:
    """Profile and licences, in the form in which they are sent."""
    return response(_answered(_looked_up(service, lambda found: therapists.read(found, caller.tenant, therapist_id))))


@router.put(
    "/v1/therapists/{therapist_id}",
    summary="List a therapist, or replace their profile and licences",
    response_model=TherapistOnRecord,
    responses={201: {"model": TherapistOnRecord}, **problem_responses(409, 412, 413, 422)},
    openapi_extra=example(EXAMPLE_PROFILE),
)
def put(
    therapist_id: _TherapistId,
    body: TherapistProfile,
    caller: _Writer,
    service: TheService,
    asked: TheAsked,
    if_match: _IfMatch = None,
) -> Response:
    """Whole: what is left out is unknown from now on. Slots stay, and so do places that were taken."""

    def work(connection: sa.Connection, at: At) -> Outcome:
        stored = therapists.put(connection, caller.tenant, therapist_id, body, if_match, at)
        return _answered(stored, 201 if stored.created else 200)

    return _written(service, caller, asked, work)


@router.delete(
    "/v1/therapists/{therapist_id}",
    summary="List a therapist no longer",
    status_code=204,
    response_class=Response,
    responses=problem_responses(404, 409, 412, 422),
)
def remove(
    therapist_id: _TherapistId, caller: _Writer, service: TheService, asked: TheAsked, if_match: _IfMatch = None
) -> Response:
    """From the next request on, to any worker, nobody is shown this therapist. Answers given before stay readable."""

    def work(connection: sa.Connection, at: At) -> Outcome:
        therapists.remove(connection, caller.tenant, therapist_id, if_match, at)
        return Outcome(204, b"")

    return _written(service, caller, asked, work)


@router.get(
    "/v1/therapists/{therapist_id}/slots",
    summary="Read a therapist's slots",
    response_model=SlotsOnRecord,
    responses=problem_responses(404, 409, 422),
)
def read_slots(therapist_id: _TherapistId, caller: _Reader, service: TheService) -> Response:
    """Every slot with its status; `episode_id` is the course that a choice here booked it for."""
    stored = _looked_up(service, lambda found: therapists.read_slots(found, caller.tenant, therapist_id))
    return response(_answered(stored))


@router.put(
    "/v1/therapists/{therapist_id}/slots",
    summary="Replace a therapist's slots",
    response_model=SlotsOnRecord,
    responses=problem_responses(404, 409, 412, 413, 422),
    openapi_extra=example(EXAMPLE_SLOTS),
)
def put_slots(
    therapist_id: _TherapistId,
    body: Slots,
    caller: _Writer,
    service: TheService,
    asked: TheAsked,
    if_match: _IfMatch = None,
) -> Response:
    """All of them. A slot that a choice here holds stays booked, whether or not it is sent again."""

    def work(connection: sa.Connection, at: At) -> Outcome:
        return _answered(therapists.put_slots(connection, caller.tenant, therapist_id, body, if_match, at))

    return _written(service, caller, asked, work)


async def _body(request: Request) -> bytes:
    return await request.body()


@router.post(
    "/v1/therapists:bulk",
    summary="Send a whole directory, or a part of it",
    response_model=BulkAnswer,
    responses=problem_responses(409, 413, 422),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": bulk_body.body_schema(), "example": EXAMPLE_BULK}},
        }
    },
)
def put_all(
    body: Annotated[bytes, Depends(_body)],
    caller: _Writer,
    service: TheService,
    asked: TheAsked,
    mode: Annotated[Mode, Query(description="`replace`: who is missing is no longer listed")],
) -> Response:
    """Whole or not at all, as one version; every problem is named by its place. A new directory says its `rules`."""
    at = _at(service)
    known = _looked_up(service, lambda _: earlier(service.engine, caller, asked, at.now))
    if known is not None:
        return response(known)
    kinds = _looked_up(service, lambda found: bulk_body.kinds(found, caller.tenant, at))
    sent = bulk_body.read_body(body, kinds, at)

    def work(connection: sa.Connection, at: At) -> Outcome:
        answer = bulk.put_all(connection, caller.tenant, sent, mode, at)
        return Outcome(200, answer.model_dump_json().encode())

    return _written(service, caller, asked, work)
