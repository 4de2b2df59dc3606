"""Around every request: an id of the caller or made here, in every answer and log line; and a limit of its size."""

import re
import time
import uuid
from collections.abc import Mapping

import structlog
from fastapi import HTTPException, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import problems
from serving.running.logs import place_of

HEADER = "X-Request-ID"
LARGEST_BODY = 1_000_000
"""Bytes. The longest lists that the form allows fit into a quarter of it."""
LARGER_BODIES: Mapping[str, int] = {"/v1/therapists:bulk": 160_000_000, "/v1/allocations": 16_000_000}
"""Routes that take many at once: a directory of 100,000 with its slots, a waiting list of 2,000."""
_TOO_LARGE = "the body is longer than {} bytes -> send it in parts, or with fewer entries"
_FAILED = "the service failed; its log has the request id -> try again, or tell whoever runs it"
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Binds the id to the log, answers with it; logs and counts method, route, status and time; never query or body.

    A request that fails where nobody expected it gets a problem document like any other.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        scope.setdefault("state", {})["request_id"] = chosen = _chosen(scope)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER.lower().encode(), chosen.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=chosen):
            log = structlog.get_logger("serving")
            try:
                await self.app(scope, receive, answer)
            except Exception as error:
                log.error("failed", error=type(error).__name__, at=place_of(error))
                await problems.respond(500, _FAILED, chosen)(scope, receive, answer)
            took, route = time.perf_counter() - started, getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            milliseconds = round(took * 1000, 1)
            log.info("request", method=method, route=route, status=status, milliseconds=milliseconds, **_who(scope))
            scope["app"].state.service.metrics.request(method, route, status, took)


class BodyLimit:
    """Stops reading a body at the limit, at once where the request says how long it is."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read, most = 0, LARGER_BODIES.get(scope.get("path", ""), LARGEST_BODY)

        async def counted() -> Message:
            nonlocal read
            if _announced(scope) > most:
                raise HTTPException(413, _TOO_LARGE.format(most))
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                raise HTTPException(413, _TOO_LARGE.format(most))
            return message

        await self.app(scope, counted if scope["type"] == "http" else receive, send)


def request_id(request: Request) -> str:
    """The id under which this request is logged and answered."""
    chosen: str = request.state.request_id
    return chosen


def _who(scope: Scope) -> dict[str, str]:
    """Whose request it was; empty without a good key."""
    caller = scope["state"].get("caller")
    return {} if caller is None else {"key_id": caller.key_id, "tenant": caller.tenant}


def _announced(scope: Scope) -> int:
    """How long the body is said to be; 0 where nothing is said."""
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


def _chosen(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == HEADER.lower().encode() and _WELL_FORMED.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return uuid.uuid4().hex
