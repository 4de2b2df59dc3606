"""Errors as RFC 9457 problem documents: every broken field, the rule, the next step, and never the value sent."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import ValidationError

from data.errors import Problem
from serving.schemas import FieldProblem, ProblemDocument

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    401: "A key is needed",
    403: "Not with this key",
    404: "Not found",
    405: "Method not allowed",
    408: "The request took too long",
    409: "It does not go with what is on record",
    410: "Erased",
    412: "Changed in between",
    413: "The request is too large",
    422: "The request breaks rules of the service",
    429: "Too many requests",
    500: "The service failed",
    503: "The service cannot answer now",
}
_LONGEST_NAME = 64
_STEPS = {
    "missing": "give it",
    "extra_forbidden": "take it out, or spell it as documented at /docs",
}
_RULES = {
    "missing": "is required",
    "extra_forbidden": "no such field",
    "json_invalid": "must be JSON",
    "model_attributes_type": "must be a JSON object",
    "model_type": "must be a JSON object",
}
_SEND = "send one JSON object in UTF-8, with content-type: application/json"
NO_JSON = FieldProblem(field="body", rule="must be JSON in UTF-8, nested no deeper than the form asks", next_step=_SEND)
NOT_CALLED_JSON = FieldProblem(
    field="body", rule="must be sent as JSON", next_step="send content-type: application/json"
)


def respond(
    status: int,
    detail: str,
    request_id: str,
    problems: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The response for a problem."""
    document = ProblemDocument(
        type=f"urn:therapist-fit:problem:{status}",
        title=_TITLES.get(status, "The request cannot be answered"),
        status=status,
        detail=detail,
        instance=f"urn:therapist-fit:request:{request_id}",  # its path may hold an id of a person
        request_id=request_id,
        problems=list(problems),
    )
    return JSONResponse(document.model_dump(mode="json"), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def of_validation(errors: Iterable[Mapping[str, Any]]) -> list[FieldProblem]:
    """pydantic's findings, one per field, without what was sent."""
    found = [_of_one(error) for error in errors]
    return list({(one.field, one.rule): one for one in found}.values())


def _of_one(error: Mapping[str, Any]) -> FieldProblem:
    """The place of broken JSON is a character, which is no field: the whole body is named."""
    field = "body" if error["type"] == "json_invalid" else field_of(error["loc"])
    step = _SEND if field == "body" else _STEPS.get(error["type"], "mend it; the form is at /docs")
    return FieldProblem(field=field, rule=_rule(error), next_step=step)


def of_problems(problems: Iterable[Problem]) -> list[FieldProblem]:
    """Our own findings; `where` is the field."""
    return [FieldProblem(field=one.where, rule=one.rule, next_step=one.next_step) for one in problems]


def without(body: Any, errors: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, list[int]]]:
    """The body less every field and list entry that pydantic refused, so that the rest can be checked as well.

    Also which positions the entries that are left had in the lists of the body.
    """
    gone = {_unit(tuple(part for part in error["loc"] if part != "body")) for error in errors}
    fields = body.items() if isinstance(body, dict) else ()
    left = {
        name: [i for i in range(len(value)) if (name, i) not in gone]
        for name, value in fields
        if isinstance(value, list)
    }
    rest = {
        name: [value[i] for i in left[name]] if name in left else _less(name, value, gone)
        for name, value in fields
        if (name,) not in gone
    }
    return rest, left


def refused(error: ValidationError) -> list[FieldProblem]:
    """The findings of a pydantic error."""
    return of_validation([dict(one) for one in error.errors(include_url=False, include_input=False)])


def _rule(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should", "must")
    return _RULES.get(str(error["type"]), message)


def field_of(place: Sequence[Any]) -> str:
    """`client.birth_year`, `measures[2].value`; a name is cut before it can carry text."""
    name = ""
    for part in place:
        if part == "body" and not name:
            continue
        name += f"[{part}]" if isinstance(part, int) else f".{str(part)[:_LONGEST_NAME]}"
    return name.removeprefix(".") or "body"


def _unit(place: tuple[Any, ...]) -> tuple[Any, ...]:
    """What is left out for an error: one column of the client, one entry of a list, else the whole field."""
    in_list = len(place) > 1 and isinstance(place[1], int)
    return place[:2] if place[:1] == ("client",) or in_list else place[:1]


def _less(name: str, value: Any, gone: set[tuple[Any, ...]]) -> Any:
    return {key: one for key, one in value.items() if (name, key) not in gone} if isinstance(value, dict) else value
