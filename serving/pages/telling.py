"""Routes for people: what the API answers with a problem document is told on a page here, calmly."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute

from data.errors import (
    ConflictError,
    GoneError,
    NoKeyError,
    NotAllowedError,
    NotFoundError,
    TherapistFitError,
    TooManyError,
)
from serving.access.keys import Caller
from serving.pages.rendering import page
from training.audit.words import capital

SEE_OTHER = 303
_HEADINGS: Mapping[type[TherapistFitError], tuple[int, str]] = {
    NotFoundError: (404, "There is nothing by this name here"),
    GoneError: (410, "This has been erased"),
    ConflictError: (409, "This does not go with what is on record"),
}


class PageRoute(APIRoute):
    """A route whose every answer is a page; without a key it leads to the sign-in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, its errors told on pages."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                _ours(request)
                return await handle(request)
            except NoKeyError:
                return RedirectResponse("/login", SEE_OTHER)
            except NotAllowedError as error:
                return _not_allowed(request, error)
            except RequestValidationError:
                return told(request, 404, "There is nothing by this name here", "Please check the address.")
            except TherapistFitError as error:
                return _failed(request, error)

        return handler


def told(request: Request, status: int, heading: str, *lines: str) -> HTMLResponse:
    """A page with a heading and some lines."""
    caller: Caller | None = getattr(request.state, "caller", None)
    home = "/audit" if _audits(request) else "/match"
    who = caller.name if caller else ""
    again = status in (429, 503)
    back = home if status in (404, 409, 410) else ""
    return page("notice.html", status, who=who, heading=heading, lines=lines, again=home if again else "", back=back)


def why(error: TherapistFitError) -> str:
    """What happened, as a sentence without its end; the next step is one for programs."""
    return capital(str(error).partition(" -> ")[0])


def _failed(request: Request, error: TherapistFitError) -> HTMLResponse:
    status, heading = _HEADINGS.get(type(error), (503, "The service cannot answer just now"))
    what, _, step = str(error).partition(" -> ")
    lines = [f"{capital(what)}."]
    if status != 503 and step:
        lines.append(f"{capital(step)}.")
    return told(request, 429 if isinstance(error, TooManyError) else status, heading, *lines)


def _not_allowed(request: Request, error: NotAllowedError) -> HTMLResponse:
    heading = "This key is not for this page"
    if not _audits(request):
        return told(request, 403, heading, "Sign out, and sign in with a key for matching.")
    if "takes the scope" in str(error):
        return told(request, 403, heading, "Sign out, and sign in with a key for auditing.")
    return told(request, 403, heading, f"{why(error)}.")


def _audits(request: Request) -> bool:
    return request.url.path.startswith("/audit")


def _ours(request: Request) -> None:
    """A form of another site is refused even if its browser sent the cookie along."""
    if request.method == "POST" and request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise NotAllowedError("this form was sent from another site -> open the page itself and send it from there")
