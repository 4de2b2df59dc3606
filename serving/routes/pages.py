"""Pages for people: sign in, find a therapist, and the API's documentation; nothing is loaded from elsewhere."""

import importlib.util
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from data.errors import (
    BusyError,
    ConflictError,
    GoneError,
    JournalError,
    NoKeyError,
    NotFoundError,
    NotReadyError,
    RequestError,
)
from data.instruments import INSTRUMENTS
from serving.access.auth import COOKIE, TheService, needs
from serving.access.keys import Caller
from serving.pages import words
from serving.pages.asking import Mend, TypedWrongError, again, ask
from serving.pages.choosing import REASON_WORDS, Pressed, let_go, looked_at_again, press
from serving.pages.form import Typed
from serving.pages.options import Options, topics_of
from serving.pages.rendering import documentation, page
from serving.pages.shown import Shown, clock
from serving.pages.telling import SEE_OTHER, PageRoute, why
from serving.service import Service
from serving.treatment.choices import ChoiceAnswer
from training.audit.words import capital
from training.report.rendering import STATIC as REPORT

STATIC = Path(__file__).parents[1] / "static"
_NOT_NOW = (JournalError, NotReadyError, BusyError)
_LATER = "Nothing is lost: what you typed is still here. Please send it again in a moment."


router = APIRouter(include_in_schema=False, route_class=PageRoute)


async def typed_of(request: Request) -> Typed:
    """The form that was sent."""
    async with request.form() as form:
        return Typed.of(form.multi_items())


TheTyped = Annotated[Typed, Depends(typed_of)]
_Matching = Annotated[Caller, needs("platform", "clinician")]


def add_static(app: FastAPI) -> None:
    """Style, script and pictures of our pages, and Swagger UI's, from this machine."""
    swagger = importlib.util.find_spec("fastapi_offline")
    assert swagger is not None
    assert swagger.origin is not None
    app.mount("/static/docs", StaticFiles(directory=Path(swagger.origin).parent / "static"))
    app.mount("/static/report", StaticFiles(directory=REPORT))
    app.mount("/static", StaticFiles(directory=STATIC))


@router.get("/")
def start() -> Response:
    """The page that most people want."""
    return RedirectResponse("/match", SEE_OTHER)


@router.get("/docs")
def docs(request: Request) -> Response:
    """The API's documentation, to read and to try."""
    app: FastAPI = request.app
    return documentation(app.openapi_url or "/openapi.json", app.title)


@router.get("/login")
def login() -> Response:
    """Asks for a key."""
    return page("login.html", notice="")


@router.post("/login")
def sign_in(request: Request, service: TheService, typed: TheTyped) -> Response:
    """Keeps a good key in a cookie that scripts cannot read and other sites cannot use."""
    key = typed.one("key")
    try:
        caller = service.admit(key)
    except NoKeyError:
        notice = "This key does not open the service: it may have expired, or a part of it may be missing. "
        notice += "Please check it, or ask your administrator for a new one."
        return page("login.html", 401, notice=notice)
    response = RedirectResponse(_home(caller), SEE_OTHER)
    response.set_cookie(COOKIE, key, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/")
    return response


def _home(caller: Caller) -> str:
    """The page that whoever has this key most likely wants."""
    return "/audit" if caller.may("auditor") and not caller.may("platform", "clinician") else "/match"


@router.post("/logout")
def sign_out() -> Response:
    """Forgets the key on this computer; the key itself stays as it is."""
    response = RedirectResponse("/login", SEE_OTHER)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@router.get("/match")
def match(service: TheService, caller: _Matching) -> Response:
    """An empty form."""
    return _match(service, caller, Typed())


@router.post("/match")
def find(service: TheService, caller: _Matching, typed: TheTyped) -> Response:
    """Therapists for what was typed, or the form again with what to mend."""
    return _asked(service, caller, typed)


@router.post("/match/wish")
def one_more_wish(service: TheService, caller: _Matching, typed: TheTyped) -> Response:
    """The form again with room for one more wish, for a browser without scripts."""
    return _match(service, caller, typed.with_wish())


@router.post("/match/choice")
def choice(service: TheService, caller: _Matching, typed: TheTyped) -> Response:
    """Keeps what was chosen; where that is no longer possible, a new answer to the same request."""
    pressed = Pressed.of(typed)

    def kept() -> HTMLResponse:
        return _chosen(service, caller, press(service, caller, typed, pressed))

    return _pressed(service, caller, typed, pressed.recommendation_id, "Nothing was booked.", kept)


@router.post("/match/release")
def show_held(service: TheService, caller: Annotated[Caller, needs("clinician")], typed: TheTyped) -> Response:
    """A clinician has talked with the client: the list is shown, and the task is closed."""

    def released() -> HTMLResponse:
        new = let_go(service, caller, typed).recommendation_id
        return _match(service, caller, typed, again(service, caller, new))

    return _pressed(service, caller, typed, typed.one("release"), "Nothing was released.", released)


def _pressed(
    service: Service, caller: Caller, typed: Typed, below: str, not_done: str, work: Callable[[], HTMLResponse]
) -> HTMLResponse:
    """What a button below an answer leads to, or the answer again with the reason why it could not be done."""
    try:
        return work()
    except RequestError as error:
        shown = again(service, caller, below)
        return _match(service, caller, typed, shown, notice=looked_at_again(error), status=422)
    except (ConflictError, NotFoundError, GoneError) as error:
        return _asked(service, caller, typed, f"{why(error)}. {not_done} What you see below is new.")
    except _NOT_NOW:
        return _match(service, caller, typed, notice=f"{not_done} {_LATER}", status=503)


def _chosen(service: Service, caller: Caller, kept: ChoiceAnswer) -> HTMLResponse:
    heading = f"{kept.therapist_id} is booked" if kept.therapist_id else "It is noted that the client declined"
    zone = service.settings.zone
    where = zone.key.replace("_", " ")
    facts = [
        ("First session", None if kept.starts_at is None else f"{clock(kept.starts_at, zone)} ({where})"),
        ("The place is kept until", None if kept.holds_until is None else clock(kept.holds_until, zone)),
        ("Course of treatment", kept.episode_id),
        ("Answer", kept.recommendation_id),
    ]
    return page("chosen.html", who=caller.name, heading=heading, facts=[fact for fact in facts if fact[1]])


def _asked(service: Service, caller: Caller, typed: Typed, notice: str = "") -> HTMLResponse:
    try:
        return _match(service, caller, typed, ask(service, caller, typed), notice=notice, status=409 if notice else 200)
    except TypedWrongError as error:
        return _match(service, caller, typed, mends=error.mends, status=422)
    except _NOT_NOW:
        return _match(service, caller, typed, notice=f"The service cannot answer just now. {_LATER}", status=503)


def _match(
    service: Service,
    caller: Caller,
    typed: Typed,
    shown: Shown | None = None,
    mends: Sequence[Mend] = (),
    notice: str = "",
    status: int = 200,
) -> HTMLResponse:
    options = Options(service.matcher(caller))
    beside: dict[str, list[str]] = {}
    for one in mends:
        beside.setdefault(one.place, []).append(capital(one.words))
    return page(
        "match.html",
        status,
        who=caller.name,
        may_audit=caller.may("auditor"),
        may_release=caller.may("clinician"),
        typed=typed,
        options=options,
        wishes=topics_of(options, words.TOPICS),
        topics=list(words.TOPICS.items()),
        strengths=list(words.STRENGTHS.items()),
        questionnaires=[(called, INSTRUMENTS[name]) for name, called in words.SHEETS.items()],
        shown=shown,
        attempt=uuid.uuid4().hex,
        reasons=REASON_WORDS,
        problems=list(mends),
        errors=beside,
        notice=notice,
    )
