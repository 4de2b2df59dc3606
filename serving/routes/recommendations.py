"""Ask for a ranking, and read one again as it was."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Response

from serving.access.auth import TheAsked, TheService, needs
from serving.access.keys import Caller
from serving.routes.answers import example, problem_responses, response
from serving.schemas import EXAMPLE_REQUEST, RecommendationAnswer, RecommendationRequest
from serving.values import Id

router = APIRouter(tags=["recommendations"])

_Asker = Annotated[Caller, needs("platform", "clinician")]
_Reader = Annotated[Caller, needs("platform", "clinician", "auditor")]


@router.post(
    "/v1/recommendations",
    summary="Rank the therapists whom one client can see",
    response_model=RecommendationAnswer,
    responses=problem_responses(413, 422),
    openapi_extra=example(EXAMPLE_REQUEST),
)
def recommend(body: RecommendationRequest, caller: _Asker, service: TheService, asked: TheAsked) -> Response:
    """Hard rules first, then the model: ranked therapists with reasons, ties and waits. Every answer is kept."""
    outcome = service.recommend(caller, body, asked)
    structlog.get_logger("serving").info("recommended", location=outcome.headers["Location"])
    return response(outcome)


@router.get(
    "/v1/recommendations/{recommendation_id}",
    summary="Read an answer again",
    response_model=RecommendationAnswer,
    responses=problem_responses(404, 410, 422),
)
def read(recommendation_id: Id, caller: _Reader, service: TheService) -> Response:
    """The bytes that were answered, whatever has changed since."""
    return Response(service.kept(caller, recommendation_id).answer, media_type="application/json")
