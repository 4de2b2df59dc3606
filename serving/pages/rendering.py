"""From a template to a response that loads nothing from elsewhere, runs nothing inline and is kept nowhere."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from fastapi.responses import HTMLResponse, Response

from training.report.rendering import TEMPLATES, dress

_TEMPLATES = Path(__file__).parent / "templates"
_OURS = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": _OURS,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PICTURES_IN_STYLES = {"Content-Security-Policy": f"{_OURS}; img-src 'self' data:; style-src 'self' 'unsafe-inline'"}
"""Swagger UI's own style sheet holds its icons, and its parts set their styles themselves."""

_ALONE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"}
"""A picture or a file that somebody opens by itself loads nothing and runs nothing."""


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([_TEMPLATES, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return dress(made)


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of ours."""
    return HTMLResponse(_environment().get_template(template).render(**values), status, headers=dict(_HEADERS))


def download(text: str | bytes, kind: str, name: str = "") -> Response:
    """Something that is no page: a picture to show, or with a `name` a file to keep."""
    kept = {"Content-Disposition": f'attachment; filename="{name}"'} if name else {}
    return Response(text, media_type=kind, headers={**_HEADERS, **_ALONE, **kept})


def documentation(openapi: str, title: str) -> HTMLResponse:
    """The API's documentation, read from that address."""
    text = _environment().get_template("docs.html").render(openapi=openapi, title=title)
    return HTMLResponse(text, headers={**_HEADERS, **_PICTURES_IN_STYLES})
