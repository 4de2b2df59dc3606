"""The parent of a service: migrates the database, fetches the champion, binds the socket, keeps workers at it."""

import contextlib
import multiprocessing
import os
import queue
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

import sqlalchemy as sa
from alembic.util.exc import CommandError

from data.database import connect, writing
from data.errors import BundleError, NotReadyError, TherapistFitError
from data.migrating import migrate
from serving.access.writes import forget_old
from serving.running.exports import SERVED, Served, last_served, place_for, remember
from serving.running.handover import Found, HandOver, watch
from serving.running.loaded import Refusal
from serving.running.logs import configure
from serving.running.overview import Overview, bury, shared_counts, told
from serving.running.publishing import publish_audit
from serving.running.spawned import begin, frugal
from serving.running.supervisor import Bell, Crew
from serving.service import no_database, utc_now
from serving.settings import Settings
from serving.sources import Sources

LOOPBACK = "127.0.0.1"
SECONDS_BETWEEN_TIDYING = 600


@dataclass(frozen=True)
class Place:
    """Where a service listens, and with how many workers."""

    host: str = LOOPBACK
    port: int = 8000
    """0 takes any free one."""
    workers: int = 1
    metrics_host: str = LOOPBACK
    metrics_port: int = 9464
    """Of `/metrics`; 0 takes any free one."""


@dataclass(frozen=True)
class Address:
    """Where it listens now."""

    url: str
    metrics: str


def champion(folder: Path = SERVED) -> tuple[Path, str]:
    """The registry's champion as a folder, and what it is called. Raises NotFoundError without one."""
    from training.registry import models

    served = fetch(models.find(models.CHAMPION).version, folder)
    return served.folder, served.version


def to_serve(folder: Path = SERVED) -> tuple[Path, str]:
    """The champion; where the registry does not answer or its bundle is spoilt, what was served last.

    Raises NotFoundError without a champion, NotReadyError if nothing was served before either.
    """
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # or a server that is down holds us for minutes
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    try:
        return champion(folder)
    except Exception as error:
        last = last_served(folder)
        if isinstance(error, TherapistFitError) and (last is None or not isinstance(error, BundleError)):
            raise
        if last is None:
            raise NotReadyError(
                f"the model registry does not answer ({type(error).__name__}), and nothing was served before "
                "-> see that MLFLOW_TRACKING_URI names one that runs, or name a folder with --bundle"
            ) from error
        return last.folder, last.version


def fetch(version: str, folder: Path = SERVED) -> Served:
    """A registered version, by number, alias or bundle id, as a folder of its own; it is never written twice."""
    from training.registry import models

    found = models.find(version)
    place = place_for(folder, found.version, found.bundle_id)
    if not place.exists():
        models.export(found.version, place)
    return Served(place, f"version {found.version}")


def serve(
    settings: Settings, sources: Sources, place: Place, ready: Callable[[Address], None], watched: bool = False
) -> None:
    """Serves until stopped by a signal: what has begun is finished; a second signal ends it at once.

    `ready` gets the address when every worker answers. If `watched`, it follows the registry's champion.
    Raises NotReadyError with the reason if it cannot start.
    """
    _bring_up_to_date(sources.database)
    configure()
    bell = Bell()
    engine = connect(sources.database)
    with _bind(place.host, place.port) as bound, shared_counts() as counts, _counted_signals(bell) as signals:

        def launch(theirs: Connection) -> BaseProcess:
            now = replace(sources, bundle=handover.serving.folder, version=handover.serving.version)
            spawn = multiprocessing.get_context("spawn")
            worker = spawn.Process(target=begin, args=(settings, now, bound, theirs, place.workers), daemon=True)
            with frugal():
                worker.start()
            return worker

        crew = Crew(place.workers, launch, partial(bury, counts), bell)

        def swapped(served: Served) -> None:
            remember(served)
            publish_audit(engine, served)

        handover = HandOver(crew, Served(sources.bundle, sources.version), swapped)
        overview = Overview(crew, handover, engine, utc_now)
        with told(overview, counts, place.metrics_host, place.metrics_port) as metrics_port:
            publish_audit(engine, handover.serving)
            crew.start(lambda: bool(signals))
            if watched:
                remember(handover.serving)
            if not signals:
                ready(Address(_url(place.host, bound.getsockname()[1]), _url(place.metrics_host, metrics_port)))
            with _watching(bell, watched) as found, _tidied(engine):
                _supervise(crew, handover, found, signals)
        bound.close()  # or the system would go on taking connections that nobody answers
        crew.stop(lambda: len(signals) > 1)
    engine.dispose()


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _tidied(engine: sa.Engine) -> Iterator[None]:
    """Now and then, for the length of the block, what need not be kept any longer is removed."""
    stopped = threading.Event()

    def tidy() -> None:
        while not stopped.wait(SECONDS_BETWEEN_TIDYING):
            with contextlib.suppress(sa.exc.SQLAlchemyError), writing(engine) as connection:
                forget_old(connection, utc_now())

    threading.Thread(target=tidy, daemon=True).start()
    yield
    stopped.set()


def _supervise(crew: Crew, handover: HandOver, found: "queue.SimpleQueue[Found]", signals: list[int]) -> None:
    """Passes on what workers and the watch say, until a signal comes."""
    while not signals:
        for worker, message in crew.listen():
            handover.heard(worker, message)
        while not found.empty():
            news = found.get()
            handover.refuse(news) if isinstance(news, Refusal) else handover.offer(news)


@contextlib.contextmanager
def _watching(bell: Bell, watched: bool) -> "Iterator[queue.SimpleQueue[Found]]":
    """What a thread finds that looks at the registry for the length of the block."""
    found: queue.SimpleQueue[Found] = queue.SimpleQueue()
    stopped = threading.Event()

    def tell(news: Found) -> None:
        found.put(news)
        bell.ring()

    def look() -> None:
        from training.registry import models

        watch(models.champion_version, fetch, tell, stopped)

    if watched:
        threading.Thread(target=look, daemon=True).start()
    yield found
    stopped.set()


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
