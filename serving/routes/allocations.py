"""Place a whole waiting list at once."""

from typing import Annotated

from fastapi import APIRouter, Response

from serving.access.auth import TheAsked, TheService, needs
from serving.access.keys import Caller
from serving.placing import allocations
from serving.placing.allocation_answer import AllocationAnswer
from serving.placing.allocations import EXAMPLE_ALLOCATION, AllocationRequest
from serving.routes.answers import example, problem_responses, response

router = APIRouter(tags=["allocations"])
_Asker = Annotated[Caller, needs("platform", "clinician")]
_Reader = Annotated[Caller, needs("platform", "clinician", "auditor")]


@router.post(
    "/v1/allocations",
    summary="Place a waiting list at once, under capacity",
    response_model=AllocationAnswer,
    responses=problem_responses(413, 422),
    openapi_extra=example(EXAMPLE_ALLOCATION),
)
def allocate(body: AllocationRequest, caller: _Asker, service: TheService, asked: TheAsked) -> Response:
    """The order of the list decides who is placed, the predicted gain only with whom. Nothing is booked.

    Rankings from then on subtract what a place of each therapist is worth to those who wait.
    """
    return response(allocations.allocate(service, caller, body, asked))


@router.get(
    "/v1/allocations/{allocation_id}",
    summary="Read an allocation again",
    response_model=AllocationAnswer,
    responses=problem_responses(404, 410),
)
def read(allocation_id: str, caller: _Reader, service: TheService) -> Response:
    """The bytes that were answered."""
    return Response(allocations.kept(service, caller, allocation_id), media_type="application/json")
