"""Scores in."""

from typing import Annotated, Any

from fastapi import APIRouter, Response

from serving.access.auth import TheAsked, TheService, needs
from serving.access.keys import Caller
from serving.routes.answers import example, problem_responses, response
from serving.treatment import measures
from serving.treatment.measured import MeasuresSent
from serving.treatment.measures import MeasuresAnswer

router = APIRouter(tags=["treatment"])
EXAMPLE_MEASURES: dict[str, Any] = {
    "episode_id": "e-1042",
    "session": 1,
    "measures": [
        {"instrument": "phq9", "item": 9, "value": 0, "taken_on": "2026-09-08"},
        {"instrument": "phq9", "item": 0, "value": 12, "taken_on": "2026-09-08"},
        {"instrument": "gad7", "item": 0, "value": 9, "taken_on": "2026-09-08"},
    ],
}


@router.post(
    "/v1/measures",
    summary="Keep and score what was answered around one session",
    response_model=MeasuresAnswer,
    responses=problem_responses(404, 409, 413, 422),
    openapi_extra=example(EXAMPLE_MEASURES),
)
def keep(
    body: MeasuresSent, caller: Annotated[Caller, needs("platform", "clinician")], service: TheService, asked: TheAsked
) -> Response:
    """Totals and subscales where all answers are there, with bands; a report of self-harm opens a clinician's task.

    Sent again, the same values change nothing; others correct the record only with `correct`.
    """
    return response(measures.keep(service, caller, body, asked))
