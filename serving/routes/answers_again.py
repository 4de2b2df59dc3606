"""An answer looked at again: who was excluded and why, why one therapist stands above another, and a release."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Response

from data.manifest import Rule
from serving.access.auth import TheAsked, TheService, needs
from serving.access.keys import Caller
from serving.again.comparing import Comparison, compare
from serving.again.ledger import LONGEST_PAGE, Ledger, ledger
from serving.again.release import EXAMPLE_RELEASE, Release, release
from serving.routes.answers import example, problem_responses, response
from serving.schemas import RecommendationAnswer
from serving.values import Id

router = APIRouter(tags=["recommendations"])

_Reader = Annotated[Caller, needs("platform", "clinician", "auditor")]
_Clinician = Annotated[Caller, needs("clinician")]


@router.get(
    "/v1/recommendations/{recommendation_id}/exclusions",
    summary="Who was not eligible, and every rule that says so",
    responses=problem_responses(404, 409, 410, 422),
)
def exclusions(
    recommendation_id: Id,
    caller: _Reader,
    service: TheService,
    therapist_id: Annotated[Id | None, Query(description="one therapist only")] = None,
    rule: Annotated[Rule | None, Query(description="those whom this rule excludes, whatever else does")] = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
    cursor: Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")] = None,
) -> Ledger:
    """What stood on record on the day of the answer; the first rule of each therapist is the one that is counted."""
    again = service.past.again(caller.tenant, service.kept(caller, recommendation_id))
    held = again.assessment.status == "held"
    return ledger(recommendation_id, again.matcher, again.asked, therapist_id, rule, limit, cursor, held)


@router.get(
    "/v1/recommendations/{recommendation_id}/compare",
    summary="Why one therapist stands above another",
    responses=problem_responses(404, 409, 410, 422),
)
def compare_two(
    recommendation_id: Id,
    caller: _Reader,
    service: TheService,
    a: Annotated[Id, Query(description="a therapist")],
    b: Annotated[Id, Query(description="another")],
) -> Comparison:
    """The parts of the difference, how sure it is, what waiting for each means, and what would change the order."""
    return compare(service.past.again(caller.tenant, service.kept(caller, recommendation_id)), a, b)


@router.post(
    "/v1/recommendations/{recommendation_id}/release",
    summary="Release a held answer",
    response_model=RecommendationAnswer,
    responses=problem_responses(404, 409, 410, 413, 422),
    openapi_extra=example(EXAMPLE_RELEASE),
)
def release_held(
    recommendation_id: Id, body: Release, caller: _Clinician, service: TheService, asked: TheAsked
) -> Response:
    """A new answer with its list, from today's directory; the held one stays as it was, and its task is closed."""
    outcome = release(service, caller, recommendation_id, body, asked)
    structlog.get_logger("serving").info("released", location=outcome.headers["Location"])
    return response(outcome)
