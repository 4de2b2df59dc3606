"""The parent of a service: migrates the database, fetches the champion, binds the socket, keeps workers at it."""

import contextlib
import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

import sqlalchemy as sa
from alembic.util.exc import CommandError

from data.database import connect, migrate
from data.errors import NotReadyError
from serving.logs import configure
from serving.service import Sources, no_database
from serving.settings import Settings
from serving.supervisor import Bell, Crew

LOOPBACK = "127.0.0.1"
SERVED = Path("var/served")


@dataclass(frozen=True)
class Place:
    """Where a service listens, and with how many workers."""

    host: str = LOOPBACK
    port: int = 8000
    """0 takes any free one."""
    workers: int = 1


@dataclass(frozen=True)
class Address:
    """Where it listens now."""

    url: str


def champion(folder: Path = SERVED) -> tuple[Path, str]:
    """The registry's champion as a checked folder, and its version. Raises NotFoundError without one."""
    from training.registry import models

    version = models.find("champion").version
    return models.export("champion", folder / version), f"version {version}"


def serve(settings: Settings, sources: Sources, place: Place, ready: Callable[[Address], None]) -> None:
    """Serves until stopped by a signal: what has begun is finished; a second signal ends it at once.

    `ready` gets the address when every worker answers. Raises NotReadyError with the reason if it cannot start.
    """
    _bring_up_to_date(sources.database)
    configure()
    bell = Bell()
    with _bind(place.host, place.port) as bound, _counted_signals(bell) as signals:

        def launch(theirs: Connection) -> BaseProcess:
            spawn = multiprocessing.get_context("spawn")
            worker = spawn.Process(target=_work, args=(settings, sources, bound, theirs), daemon=True)
            worker.start()
            return worker

        crew = Crew(place.workers, launch, lambda _: None, bell)
        crew.start(lambda: bool(signals))
        if not signals:
            ready(Address(f"http://{place.host}:{bound.getsockname()[1]}"))
        while not signals:
            for _worker, _message in crew.listen():
                pass
        bound.close()  # or the system would go on taking connections that nobody answers
        crew.stop(lambda: len(signals) > 1)


def _bring_up_to_date(database: str | None) -> None:
    """The newest schema. Raises NotReadyError in one line, without the address: it may hold a password."""
    try:
        engine = connect(database)
        try:
            migrate(engine)
        finally:
            engine.dispose()
    except (sa.exc.SQLAlchemyError, CommandError, OSError, ImportError) as error:
        raise no_database(error) from error


def _work(settings: Settings, sources: Sources, bound: socket.socket, parent: Connection) -> None:
    from serving.worker import work

    work(settings, sources, bound, parent)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # named as TCP, or asyncio would leave Nagle's algorithm on and every answer would wait 40 ms
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise NotReadyError(f"{host}:{port}: {error.strerror} -> name another --host or --port") from error
    return bound


@contextlib.contextmanager
def _counted_signals(bell: Bell) -> Iterator[list[int]]:
    """SIGTERM and SIGINT as they come; each rings the bell."""
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        bell.ring()

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
