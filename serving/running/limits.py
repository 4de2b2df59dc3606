"""How much a worker takes on: requests of one key in a minute, requests at once, and how long one may take."""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from anyio import to_thread
from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from data.errors import TooManyError
from serving import problems
from serving.settings import Limits

ALWAYS = ("/healthz", "/readyz")
"""Whoever watches over the service is answered however busy it is."""
LONGER: Mapping[str, float] = {"/v1/therapists:bulk": 30, "/v1/allocations": 30}
"""Routes that take many at once may take so many times as long."""
BUSY = "more requests at once than this service takes on -> send it again in a moment; nothing was done"
_SLOW = "the body did not arrive in time -> send it again; nothing was done"
_SPARE_THREADS = 8
_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
"""In nanoseconds, which are whole numbers: whoever waits as told must not come a rounding too early."""
_RETRY = {"Retry-After": "1"}


class Rates:
    """Requests of each key within the last minute; each worker of a replica allows its part of what is agreed."""

    def __init__(self, limits: Limits, workers: int = 1, clock: Callable[[], int] = time.monotonic_ns):
        self._allowed = max(1, limits.requests_per_minute // workers)
        self._clock = clock
        self._counted: dict[str, deque[int]] = {}
        self._one_at_a_time = threading.Lock()

    def count(self, key_id: str) -> None:
        """Counts one request. Raises TooManyError, with the seconds after which one fits again, over the limit."""
        now = self._clock()
        with self._one_at_a_time:
            own = self._counted.setdefault(key_id, deque())
            while own and own[0] <= now - _MINUTE:
                own.popleft()
            if len(own) < self._allowed:
                own.append(now)
                return
            seconds = math.ceil((own[0] + _MINUTE - now) / _SECOND)
        raise TooManyError(f"more requests with this key than agreed -> wait {seconds} s", seconds)


class Cap:
    """At most `at_once` requests in hand; others wait in order, none longer than `seconds`, and are then refused.

    The moment until which a request may take is in `request.state.until`, by `time.monotonic`.
    """

    def __init__(self, app: ASGIApp, limits: Limits):
        self.app = app
        self._seconds = limits.seconds
        self._free = asyncio.Semaphore(limits.at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["until"] = until = time.monotonic() + self._seconds * LONGER.get(scope["path"], 1)
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            refusal = problems.respond(503, BUSY, state.get("request_id", ""), [], _RETRY)
            await refusal(scope, receive, send)
            return
        in_hand = scope["app"].state.service.metrics.in_hand
        in_hand.inc()
        try:
            await self.app(scope, _in_time(receive, until), send)
        finally:
            in_hand.dec()
            self._free.release()


def allow_threads(limits: Limits) -> None:
    """Gives every request in hand a thread, and some to those who are always answered; called in the event loop."""
    to_thread.current_default_thread_limiter().total_tokens = limits.at_once + _SPARE_THREADS


def _in_time(receive: Receive, until: float) -> Receive:
    """A body that comes too slowly does not keep others waiting."""
    whole = False

    async def received() -> Message:
        nonlocal whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout(until - time.monotonic()):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, _SLOW) from None
        whole = not message.get("more_body", False)
        return message

    return received
