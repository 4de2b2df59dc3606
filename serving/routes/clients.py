"""Erasure of a client."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Response

from serving.access.auth import TheAsked, TheService, needs
from serving.access.keys import Caller
from serving.routes.answers import problem_responses, response
from serving.treatment import erasure
from serving.treatment.erasure import Receipt
from serving.values import Id

router = APIRouter(tags=["clients"])


@router.delete(
    "/v1/clients/{client_id}",
    summary="Erase everything that is known of a client",
    response_model=Receipt,
    responses=problem_responses(404, 410, 422),
)
def erase(client_id: Id, caller: Annotated[Caller, needs("admin")], service: TheService, asked: TheAsked) -> Response:
    """Answers, choices, courses, measures, tasks and repeated writes; a place that was held is free again.

    That answers were given, when and by which model stays on record. Reading one is 410 from then on, and so is a
    second erasure, unless something new has come in.
    """
    outcome = erasure.erase(service, caller, client_id, asked)
    structlog.get_logger("serving").info("erased")
    return response(outcome)
