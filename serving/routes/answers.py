"""What routes have in common: how an outcome becomes a response, and how problems are documented."""

from typing import Any

from fastapi import Response

from serving import problems
from serving.access.writes import Outcome
from serving.schemas import ProblemDocument

_WORDS = {
    401: "no key, or one that is no longer good",
    403: "the key lacks the scope",
    404: "nothing by that name here",
    408: "the body did not arrive in time",
    409: "does not go with what is on record",
    410: "erased",
    412: "somebody else changed it in between",
    413: "the body is too long",
    422: "fields break rules; all are named",
    429: "more requests than agreed; `Retry-After` says when",
    503: "cannot answer now; `Retry-After` says when",
}


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents of a route, for OpenAPI: what every keyed route may answer, and those named."""
    document = {"model": ProblemDocument, "content": {problems.MEDIA_TYPE: {}}}
    slow = {408} if 413 in statuses else set()
    every = sorted({401, 403, 429, 503, *slow, *statuses})
    return {status: {**document, "description": _WORDS[status]} for status in every}


def example(body: Any) -> dict[str, Any]:
    """An example of the request's body, as it can be sent."""
    return {"requestBody": {"content": {"application/json": {"example": body}}}}


def response(outcome: Outcome) -> Response:
    """The outcome's bytes as they were kept."""
    return Response(outcome.body, outcome.status, dict(outcome.headers), "application/json")
