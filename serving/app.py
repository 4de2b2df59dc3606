"""The HTTP application: routes, problem documents, request ids. All state is made when the server starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import structlog
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from data.errors import JournalError, NotReadyError, RequestError, TherapistFitError
from serving import problems
from serving.card import ModelCard, card_of
from serving.matcher import problems_of
from serving.middleware import BodyLimit, RequestIds, request_id
from serving.schemas import EXAMPLE_REQUEST, FieldProblem, ProblemDocument, RecommendationAnswer, RecommendationRequest
from serving.service import Clock, Service, Sources, utc_now
from serving.settings import Settings

DESCRIPTION = """
Ranks the therapists whom one client can really see, says why, and says what waiting for one would bring.
A ranking is no diagnosis and no triage, and nobody is turned away: an empty answer says what happens next.
"""


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(_service)]
_PROBLEM: dict[str, Any] = {"model": ProblemDocument, "content": {problems.MEDIA_TYPE: {}}}


def create_app(settings: Settings, sources: Sources, now: Clock = utc_now) -> FastAPI:
    """The application of one service; bundle, directory and database are opened when the server starts."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            app.state.service = Service.open(settings, sources, now)
        except Exception as error:
            app.state.refused = error
            raise
        yield
        app.state.service.close()

    app = FastAPI(title="Therapist fit", version="1", description=DESCRIPTION, lifespan=lifespan)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestIds)
    _add_routes(app)
    _add_problems(app)
    return app


def _add_routes(app: FastAPI) -> None:
    app.post(
        "/v1/recommendations",
        summary="Rank the therapists whom one client can see",
        response_model=RecommendationAnswer,
        responses={413: _PROBLEM, 422: _PROBLEM, 503: _PROBLEM},
        openapi_extra={"requestBody": {"content": {"application/json": {"example": EXAMPLE_REQUEST}}}},
    )(recommend)
    app.get("/v1/model", summary="The model that answers now", responses={503: _PROBLEM})(model)
    app.get("/healthz", summary="The process is alive")(alive)
    app.get("/readyz", summary="Answers can be given and kept", responses={503: _PROBLEM})(ready)


def recommend(body: RecommendationRequest, service: TheService) -> Response:
    """Hard rules first, then the model: ranked therapists with reasons, ties and waits. Every answer is kept."""
    kept = service.recommend(body)
    structlog.get_logger("serving").info("recommended", recommendation_id=kept.recommendation_id)
    return Response(kept.body, media_type="application/json")


def model(service: TheService) -> ModelCard:
    """What the model learned from, how it was tested, and what it must not be used for."""
    return card_of(service.matcher())


def alive() -> dict[str, str]:
    """The process answers; says nothing about whether it is ready."""
    return {"status": "alive"}


def ready(service: TheService) -> dict[str, str | int]:
    """Bundle loaded, directory at hand, database writable by this program's schema."""
    service.check()
    matcher = service.matcher()
    return {
        "status": "ready",
        "bundle_id": matcher.bundle.manifest.bundle_id,
        "directory_version": matcher.directory.version,
        "therapists": matcher.directory.size,
    }


def _add_problems(app: FastAPI) -> None:
    """Every error becomes a problem document; what was sent is in none of them."""

    def document(request: Request, status: int, detail: str, found: list[FieldProblem], **headers: str) -> JSONResponse:
        structlog.get_logger("serving").info("refused", status=status, problems=len(found))
        return problems.respond(status, detail, request.url.path, request_id(request), found, headers)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if isinstance(error.body, bytes):
            return document(request, 422, _counted([problems.NOT_CALLED_JSON]), [problems.NOT_CALLED_JSON])
        found = problems.of_validation(error.errors()) + _late_problems(_service(request), error)
        return document(request, 422, _counted(found), found)

    @app.exception_handler(RequestError)
    def unreadable(request: Request, error: RequestError) -> JSONResponse:
        found = problems.of_problems(error.problems)
        return document(request, 422, _counted(found), found)

    @app.exception_handler(JournalError)
    def not_kept(request: Request, error: JournalError) -> JSONResponse:
        return document(request, 503, str(error), [], **{"Retry-After": "1"})

    @app.exception_handler(NotReadyError)
    def not_ready(request: Request, error: NotReadyError) -> JSONResponse:
        return document(request, 503, str(error), [], **{"Retry-After": "5"})

    @app.exception_handler(HTTPException)
    def other(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # of all that is read, only a body can be unreadable
            return document(request, 422, _counted([problems.NO_JSON]), [problems.NO_JSON])
        if error.status_code == 413:
            return document(request, 413, error.detail, [])
        return document(request, error.status_code, f"{error.detail} -> the routes are at /docs", [])


def _late_problems(service: Service, error: RequestValidationError) -> list[FieldProblem]:
    """What the rest of the request would have been refused for, so that one answer names everything."""
    if not isinstance(error.body, dict):
        return []
    rest, positions = problems.without(error.body, error.errors())
    try:
        request = RecommendationRequest.model_validate({"client": {}, **rest})
        found = problems_of(service.matcher(), request, service.now(), positions)
    except (ValidationError, TherapistFitError):
        return []
    named = {problems.field_of(one["loc"]) for one in error.errors()}
    return [one for one in problems.of_problems(found) if one.field not in named]


def _counted(found: list[FieldProblem]) -> str:
    count = "1 field breaks a rule" if len(found) == 1 else f"{len(found)} fields break rules"
    return f"{count}; see `problems`"
