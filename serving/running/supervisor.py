"""Workers as their parent sees them: started, listened to, started again when they die, and stopped."""

import contextlib
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import structlog

from data.errors import NotReadyError

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds before a worker is started again; the pause doubles with each death and ends here."""
STEADY = 60.0
"""Seconds after which a worker that dies is no longer counted with the death before."""
SECONDS_TO_STOP = 15.0
"""A worker ends its own requests within 10 seconds; who is still there after this is killed."""

Launch = Callable[[Connection], BaseProcess]
"""Starts a process that talks to its parent over this end of a pipe."""


@dataclass(frozen=True)
class Started:
    """From a worker: the first request can come; it answers from this version."""

    version: str


@dataclass(frozen=True)
class CannotStart:
    """From a worker: why it ends before it has begun."""

    reason: str


@dataclass(frozen=True)
class Left:
    """A worker is gone."""


class Bell:
    """Wakes whoever waits; may be rung from a signal handler or another thread."""

    def __init__(self) -> None:
        self._hear, self._ring = os.pipe()
        os.set_blocking(self._hear, False)
        os.set_blocking(self._ring, False)

    def fileno(self) -> int:
        """What `wait` listens to."""
        return self._hear

    def ring(self) -> None:
        """Ends one waiting, now or to come."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._ring, b"!")

    def quiet(self) -> None:
        """Forgets that it was rung."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._hear, 1024):
                pass


@dataclass(eq=False)
class Worker:
    """One process, and the parent's end of its pipe."""

    process: BaseProcess
    connection: Connection
    began: float = field(default_factory=time.monotonic)
    ready: bool = False

    def send(self, message: object) -> None:
        """Tells it something; one that has just died hears nothing, and that is noticed elsewhere."""
        with contextlib.suppress(OSError):
            self.connection.send(message)


@dataclass
class _Place:
    """One of the crew's places: who fills it, or when it is filled again."""

    worker: Worker | None = None
    deaths: int = 0
    """One soon after the other."""
    next_start: float = 0.0
    reason: str = ""


class Crew:
    """A number of workers who are the same. `bury` is told the process id of each that died."""

    def __init__(self, count: int, launch: Launch, bury: Callable[[int], None], bell: Bell):
        self._launch = launch
        self._bury = bury
        self._bell = bell
        self._places = [_Place() for _ in range(count)]
        self.restarts = 0

    def workers(self) -> list[Worker]:
        """Those whose processes run."""
        return [place.worker for place in self._places if place.worker is not None]

    def ready(self) -> list[Worker]:
        """Those who answer requests."""
        return [worker for worker in self.workers() if worker.ready]

    def start(self, stopped: Callable[[], bool]) -> None:
        """Starts all and returns once all are ready, or it is time to stop.

        Raises NotReadyError with the reason of the first that cannot start; the others are stopped.
        """
        while len(self.ready()) < len(self._places) and not stopped():
            for worker, message in self.listen():
                if isinstance(message, CannotStart) or (isinstance(message, Left) and not worker.ready):
                    self.stop(lambda: True)
                    reason = message.reason if isinstance(message, CannotStart) else ""
                    raise NotReadyError(reason or "a worker stopped while starting; its log says why")

    def listen(self, longest: float | None = None) -> Iterator[tuple[Worker, Any]]:
        """What workers say until now, after waiting for the first to say something, or for the bell."""
        self._fill()
        pauses = [place.next_start - time.monotonic() for place in self._places if place.worker is None]
        limits = [max(pause, 0.0) for pause in pauses] + ([] if longest is None else [longest])
        doors = [door for worker in self.workers() for door in (worker.connection, worker.process.sentinel)]
        wait([self._bell.fileno(), *doors], min(limits) if limits else None)
        self._bell.quiet()
        for place in self._places:
            if place.worker is not None:
                yield from self._heard(place, place.worker)

    def stop(self, now: Callable[[], bool]) -> None:
        """Asks all to finish what they have begun; kills who is left when `now` says so, or after SECONDS_TO_STOP."""
        for worker in self.workers():
            worker.process.terminate()
        until = time.monotonic() + SECONDS_TO_STOP
        while (left := self._running()) and time.monotonic() < until and not now():
            wait([self._bell.fileno(), *(worker.process.sentinel for worker in left)], until - time.monotonic())
            self._bell.quiet()
        for worker in self._running():
            worker.process.kill()
        for worker in self.workers():
            worker.process.join()

    def _running(self) -> list[Worker]:
        return [worker for worker in self.workers() if worker.process.is_alive()]

    def _fill(self) -> None:
        for place in self._places:
            if place.worker is None and place.next_start <= time.monotonic():
                ours, theirs = multiprocessing.Pipe()
                place.worker = Worker(self._launch(theirs), ours)
                theirs.close()

    def _heard(self, place: _Place, worker: Worker) -> Iterator[tuple[Worker, Any]]:
        alive = worker.process.is_alive()  # asked first: what a dying worker said is read before it is buried
        with contextlib.suppress(EOFError, OSError):
            while worker.connection.poll():
                message = worker.connection.recv()
                worker.ready = worker.ready or isinstance(message, Started)
                place.reason = message.reason if isinstance(message, CannotStart) else place.reason
                yield worker, message
        if not alive:
            self._vacate(place, worker)
            yield worker, Left()

    def _vacate(self, place: _Place, worker: Worker) -> None:
        lived = time.monotonic() - worker.began
        place.deaths = 1 if worker.ready and lived > STEADY else place.deaths + 1
        pause = min(FIRST_PAUSE * 2 ** (place.deaths - 1), LONGEST_PAUSE)
        place.worker, place.next_start = None, time.monotonic() + pause
        self.restarts += 1
        worker.connection.close()
        process = worker.process
        process.join()
        self._bury(process.pid or 0)
        structlog.get_logger("serving").error(
            "worker_died", pid=process.pid, code=process.exitcode, reason=place.reason, again_in_seconds=pause
        )
        place.reason = ""
