"""Courses of treatment: when they start, how they end."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from serving.access.auth import TheAsked, TheService, needs
from serving.access.keys import Caller
from serving.routes.answers import example, problem_responses, response
from serving.treatment import episodes
from serving.treatment.courses import EXAMPLE_COURSE, CourseAnswer, CourseSent
from serving.values import Id

router = APIRouter(tags=["treatment"])


@router.put(
    "/v1/episodes/{episode_id}",
    summary="Record the start, the ending or anything else of a course",
    response_model=CourseAnswer,
    responses={
        201: {"model": CourseAnswer, "description": "a new course"},
        **problem_responses(404, 409, 412, 413, 422),
    },
    openapi_extra=example(dict(EXAMPLE_COURSE)),
)
def put(
    episode_id: Id,
    body: CourseSent,
    caller: Annotated[Caller, needs("platform", "clinician")],
    service: TheService,
    asked: TheAsked,
    if_match: Annotated[str | None, Header(description="the `ETag` that was read: refused if it has changed")] = None,
) -> Response:
    """A start keeps the place that a choice took; an ending frees it. What is left out stays as it is.

    A course that was booked elsewhere is recorded under an id of your own; it takes a place, and is on record even
    where none is free: `place` says so.
    """
    return response(episodes.put(service, caller, episode_id, body, if_match, asked))


@router.get(
    "/v1/episodes/{episode_id}",
    summary="Read what is on record of a course",
    response_model=CourseAnswer,
    responses=problem_responses(404, 422),
)
def read(
    episode_id: Id, caller: Annotated[Caller, needs("platform", "clinician", "auditor")], service: TheService
) -> Response:
    """The course, whether it takes a place, and its `ETag`."""
    return response(episodes.read(service, caller, episode_id))
