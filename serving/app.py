"""The HTTP application: routes, problem documents, request ids. All state is made when the server starts."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from data.errors import (
    BusyError,
    ConflictError,
    GoneError,
    JournalError,
    NoKeyError,
    NotAllowedError,
    NotFoundError,
    NotReadyError,
    PreconditionError,
    RequestError,
    TherapistFitError,
    TooManyError,
)
from serving import problems
from serving.access.writes import NOT_THERE
from serving.answering.matcher import problems_of_the_rest
from serving.routes import (
    allocations,
    answers_again,
    audit,
    audit_numbers,
    audit_records,
    choices,
    clients,
    episodes,
    health,
    measures,
    model,
    pages,
    recommendations,
    safety,
    therapists,
)
from serving.running.limits import Cap, allow_threads
from serving.running.middleware import BodyLimit, RequestIds, request_id
from serving.schemas import FieldProblem
from serving.service import Clock, Service, no_database, utc_now
from serving.settings import Settings
from serving.sources import Sources

DESCRIPTION = """
Ranks the therapists whom one client can really see, says why, and says what waiting for one would bring.
A ranking is no diagnosis and no triage, and nobody is turned away: an empty answer says what happens next.

Send `Authorization: Bearer KEY`; keys are made by `therapist-fit keys create`. Errors are RFC 9457 problem documents.
"""

STATUS: Mapping[type[TherapistFitError], tuple[int, dict[str, str]]] = {
    NoKeyError: (401, {"WWW-Authenticate": "Bearer"}),
    NotAllowedError: (403, {}),
    NotFoundError: (404, {}),
    ConflictError: (409, {}),
    GoneError: (410, {}),
    PreconditionError: (412, {}),
    BusyError: (503, {"Retry-After": "1"}),
    JournalError: (503, {"Retry-After": "1"}),
    NotReadyError: (503, {"Retry-After": "5"}),
}
"""What an error of a room is to HTTP, and the headers that help."""


def create_app(settings: Settings, sources: Sources, now: Clock = utc_now, workers: int = 1) -> FastAPI:
    """The application of one of so many workers; bundle and database are opened when the server starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            app.state.service = Service.open(settings, sources, now, workers)
        except Exception as error:
            app.state.refused = error
            raise
        allow_threads(settings.limits)
        yield
        app.state.service.close()

    app = FastAPI(
        title="Therapist fit", version="1", description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(Cap, limits=settings.limits)
    app.add_middleware(RequestIds)
    for subject in (
        recommendations,
        choices,
        answers_again,
        episodes,
        measures,
        safety,
        allocations,
        therapists,
        clients,
        model,
        audit_numbers,
        health,
        pages,
        audit_records,
        audit,
    ):
        app.include_router(subject.router)
    pages.add_static(app)
    for error, handler in _ANSWERS.items():
        app.add_exception_handler(error, handler)
    return app


def _document(request: Request, status: int, detail: str, found: list[FieldProblem], **headers: str) -> JSONResponse:
    structlog.get_logger("serving").info("refused", status=status, problems=len(found))
    return problems.respond(status, detail, request_id(request), found, headers)


def _fields(request: Request, found: list[FieldProblem]) -> JSONResponse:
    count = "1 field breaks a rule" if len(found) == 1 else f"{len(found)} fields break rules"
    return _document(request, 422, f"{count}; see `problems`", found)


def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    if isinstance(error.body, bytes):
        return _fields(request, [problems.NOT_CALLED_JSON])
    return _fields(request, problems.of_validation(error.errors()) + _late_problems(request, error))


def _unreadable(request: Request, error: RequestError) -> JSONResponse:
    return _fields(request, problems.of_problems(error.problems))


def _too_many(request: Request, error: TooManyError) -> JSONResponse:
    return _document(request, 429, str(error), [], **{"Retry-After": f"{max(1, round(error.seconds))}"})


def _refused(request: Request, error: TherapistFitError) -> JSONResponse:
    status, headers = STATUS[type(error)]
    return _document(request, status, str(error), [], **headers)


def _no_database(request: Request, error: Exception) -> JSONResponse:
    return _refused(request, no_database(error))


def _other(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == 400:  # of all that is read, only a body can be unreadable
        return _fields(request, [problems.NO_JSON])
    if error.status_code in (408, 413):
        return _document(request, error.status_code, error.detail, [])
    return _document(request, error.status_code, f"{error.detail} -> the routes are at /docs", [])


def _late_problems(request: Request, error: RequestValidationError) -> list[FieldProblem]:
    """Those that pydantic does not see in a client's request; none where no directory or database tells them."""
    caller = getattr(request.state, "caller", None)
    if not isinstance(error.body, dict) or caller is None or request.url.path != "/v1/recommendations":
        return []
    service: Service = request.app.state.service
    try:
        return problems_of_the_rest(service.matcher(caller), error.body, error.errors(), service.now())
    except TherapistFitError:
        return []


_ANSWERS: Mapping[type[Exception], Callable[..., JSONResponse]] = {
    RequestValidationError: _invalid,
    RequestError: _unreadable,
    TooManyError: _too_many,
    **dict.fromkeys(STATUS, _refused),
    **dict.fromkeys(NOT_THERE, _no_database),
    HTTPException: _other,
}
"""Every error becomes a problem document; what was sent is in none of them."""
