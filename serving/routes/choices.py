"""Say what came of an answer."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Response

from serving.access.auth import TheAsked, TheService, needs
from serving.access.keys import Caller
from serving.routes.answers import example, problem_responses, response
from serving.treatment import choices
from serving.treatment.choices import EXAMPLE_CHOICE, ChoiceAnswer, ChoiceRequest
from serving.values import Id

router = APIRouter(tags=["recommendations"])


@router.post(
    "/v1/recommendations/{recommendation_id}/choice",
    summary="Take a place with somebody shown, decline, or say that somebody decided otherwise",
    status_code=201,
    response_model=ChoiceAnswer,
    responses=problem_responses(404, 409, 410, 413, 422),
    openapi_extra=example(dict(EXAMPLE_CHOICE)),
)
def choose(
    recommendation_id: Id,
    body: ChoiceRequest,
    caller: Annotated[Caller, needs("platform", "clinician")],
    service: TheService,
    asked: TheAsked,
) -> Response:
    """`chosen` and `overridden` take a place, and the slot at `starts_at`, at once and for good or not at all.

    A place that nobody came for is free again after `holds_until`. A 409 says what to do instead.
    """
    outcome = choices.choose(service, caller, recommendation_id, body, asked)
    structlog.get_logger("serving").info("choice", recommendation_id=recommendation_id, kind=body.kind)
    return response(outcome)
