"""The parent of a service: brings the schema up to date, fetches the champion, binds the socket, starts the worker."""

import contextlib
import multiprocessing
import signal
import socket
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

import sqlalchemy as sa
from alembic.util.exc import CommandError

from data.database import connect, migrate
from data.errors import NotReadyError
from serving.service import Sources, no_database
from serving.settings import Settings

LOOPBACK = "127.0.0.1"
SERVED = Path("var/served")


def champion(folder: Path = SERVED) -> tuple[Path, str]:
    """The registry's champion as a checked folder, and its version. Raises NotFoundError without one."""
    from training.registry import models

    version = models.find("champion").version
    return models.export("champion", folder / version), f"version {version}"


def serve(settings: Settings, sources: Sources, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serves until stopped by a signal. `ready` gets the address; port 0 takes any free one.

    Raises NotReadyError with the worker's reason if it cannot start or fails.
    """
    _bring_up_to_date(sources.database)
    bound = _bind(host, port)
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe(duplex=False)
    worker = spawn.Process(target=_work, args=(settings, sources, bound, theirs), daemon=True)
    worker.start()
    theirs.close()
    with _stopped_by_signals(worker):
        _await_ready(worker, ours)
        ready(f"http://{host}:{bound.getsockname()[1]}")
        bound.close()
        worker.join()
    if worker.exitcode not in (0, -signal.SIGTERM, -signal.SIGINT):
        raise NotReadyError(f"the worker stopped with code {worker.exitcode} -> its log says why")


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


def _work(settings: Settings, sources: Sources, bound: socket.socket, parent: object) -> None:
    from serving.worker import work

    work(settings, sources, bound, parent)  # type: ignore[arg-type]


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


def _await_ready(worker: BaseProcess, ours: "multiprocessing.connection.Connection") -> None:
    try:
        reason = ours.recv()
    except EOFError:
        reason = "the worker stopped while starting; its log says why"
    if reason:
        worker.join()
        raise NotReadyError(reason)


@contextlib.contextmanager
def _stopped_by_signals(worker: BaseProcess) -> Iterator[None]:
    """SIGTERM and SIGINT ask the worker to finish what it has begun; the parent leaves after it."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        worker.terminate()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
