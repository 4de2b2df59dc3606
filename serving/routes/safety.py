"""Safety tasks, for clinicians."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Response

from serving.access.auth import TheAsked, TheService, needs
from serving.access.keys import Caller
from serving.routes.answers import example, problem_responses, response
from serving.treatment import tasks
from serving.treatment.tasks import EXAMPLE_CLOSING, MOST_LISTED, TaskClosing, TaskList, TaskTold
from serving.values import Id

router = APIRouter(tags=["safety"])


@router.get("/v1/safety/tasks", summary="List what a clinician has to look at", responses=problem_responses(422))
def listed(
    caller: Annotated[Caller, needs("clinician", "auditor")],
    service: TheService,
    status: Annotated[tasks.State, Query(description="`open` has the overdue ones too, first")] = "open",
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before")] = None,
) -> TaskList:
    """Open tasks by the time at which they are due; closed ones newest first."""
    return tasks.listed(service, caller, status, limit, cursor)


@router.post(
    "/v1/safety/tasks/{task_id}/close",
    summary="Close a task: who has acted, and how",
    response_model=TaskTold,
    responses=problem_responses(404, 409, 413, 422),
    openapi_extra=example(EXAMPLE_CLOSING),
)
def close(
    task_id: Id,
    body: TaskClosing,
    caller: Annotated[Caller, needs("clinician")],
    service: TheService,
    asked: TheAsked,
) -> Response:
    """For good. An answer that is held stays held: it is released on a route of its own."""
    outcome = tasks.close(service, caller, task_id, body, asked)
    structlog.get_logger("serving").info("safety task closed", task_id=task_id)
    return response(outcome)
