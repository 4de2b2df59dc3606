"""One worker process: an application on a socket that the parent has bound. It never imports MLflow."""

import asyncio
import contextlib
import socket
import sys
import threading
from multiprocessing.connection import Connection

import uvicorn
from fastapi import FastAPI

from data.errors import DataError, TherapistFitError
from serving.app import create_app
from serving.running.handover import Follower
from serving.running.logs import configure, place_of
from serving.running.supervisor import CannotStart, Started
from serving.settings import Settings
from serving.sources import Sources

SECONDS_TO_FINISH = 10
SECONDS_KEPT_OPEN = 75
"""An idle connection outlives the minute for which gateways keep theirs: else they would send into one just closed."""
_SECONDS_TO_READ = 0.2
"""What has arrived when a worker is asked to stop is read and answered before idle connections are closed."""


class _Server(uvicorn.Server):
    """Tells the parent when the first request can come."""

    def __init__(self, config: uvicorn.Config, parent: Connection, version: str):
        super().__init__(config)
        self._parent = parent
        self._version = version

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._parent.send(Started(self._version))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(_SECONDS_TO_READ)
        await super().shutdown(sockets)


def work(settings: Settings, sources: Sources, bound: socket.socket, parent: Connection, workers: int) -> None:
    """Serves as one of so many workers until told to stop, or until the parent is gone.

    Tells the parent `Started` or `CannotStart`.
    """
    configure()
    app = create_app(settings, sources, workers=workers)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_keep_alive=SECONDS_KEPT_OPEN,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    server = _Server(config, parent, sources.version)
    threading.Thread(target=_follow, args=(parent, server, app), daemon=True).start()
    with contextlib.suppress(SystemExit):
        server.run(sockets=[bound])
    if not server.started:
        parent.send(CannotStart(reason_of(getattr(app.state, "refused", None), sources)))
        sys.exit(1)


def reason_of(error: Exception | None, sources: Sources) -> str:
    """Why it could not start, without a value of any person's row: those belong into no log."""
    if isinstance(error, DataError):
        count = "1 problem" if len(error.problems) == 1 else f"{len(error.problems)} problems"
        return (
            f"{sources.data}: {count} in the dataset, so it is not served "
            f"-> run `therapist-fit data check {sources.data}` to see each"
        )
    if isinstance(error, TherapistFitError):
        return str(error)
    if error is None:
        return "the server could not start; its log says why"
    return f"the server could not start: {type(error).__name__} at {place_of(error)} -> tell whoever looks after it"


def _follow(parent: Connection, server: uvicorn.Server, app: FastAPI) -> None:
    """Does what the parent says; a worker whose parent is gone has nobody to stop it, so it stops itself."""
    with contextlib.suppress(EOFError, OSError):
        message = parent.recv()  # the first comes after `Started`, so the service is there
        follower = Follower(app.state.service.loaded, parent)
        while True:
            follower.hear(message)
            message = parent.recv()
    server.should_exit = True
