"""From one bundle to another while requests come: no worker uses it before all have checked it; refused, none does.

The parent sends `Served` (check it, get ready, wait), `Swap`, and `Refusal` or None (what `/readyz` tells); a worker
answers `Prepared` or `Refusal`.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import structlog

from data.errors import TherapistFitError
from serving.running.exports import Served
from serving.running.loaded import Loaded, Model, Readied, Refusal
from serving.running.logs import place_of
from serving.running.supervisor import Crew, Left, Started, Worker

SECONDS_BETWEEN_LOOKS = 0.5


@dataclass(frozen=True)
class Prepared:
    """From a worker: it could answer from this bundle with the next request."""

    served: Served


@dataclass(frozen=True)
class Swap:
    """To a worker: answer from this bundle now."""

    served: Served


class HandOver:
    """The parent's side: which bundle is served, which one is offered, and who has got ready for it."""

    def __init__(self, crew: Crew, serving: Served, swapped: Callable[[Served], None]):
        self._crew = crew
        self._swapped = swapped
        self.serving = serving
        self.refusal: Refusal | None = None
        self.refused = 0
        """How many bundles were refused since the start."""
        self._offered: Served | None = None
        self._offered_at = 0.0
        self._prepared: set[Worker] = set()

    def offer(self, found: Served) -> None:
        """The registry's champion is this bundle: unless it is served already, all get ready for it."""
        self._prepared.clear()
        self._offered = None if found == self.serving else found
        self._offered_at = time.monotonic()
        self._tell_refusal(None)
        if self._offered is not None:
            self._tell(self._offered)

    def refuse(self, refusal: Refusal) -> None:
        """The bundle is not served, and every worker says so."""
        self._offered = None
        self._prepared.clear()
        self.refused += 1
        structlog.get_logger("serving").error("bundle_refused", version=refusal.version, reason=refusal.reason)
        self._tell_refusal(refusal)

    def heard(self, worker: Worker, message: object) -> None:
        """Something that a worker said."""
        match message:
            case Started(version):
                self._welcome(worker, version)
            case Prepared(served) if served == self._offered:
                self._prepared.add(worker)
                self._swap_if_all_are_ready()
            case Prepared(served) if served == self.serving:
                worker.send(Swap(served))
            case Refusal() if self._offered is not None and message.version == self._offered.version:
                self.refuse(message)
            case Left():
                self._prepared.discard(worker)
                self._swap_if_all_are_ready()

    def _welcome(self, worker: Worker, version: str) -> None:
        """One that was started while things changed catches up."""
        if version != self.serving.version:
            worker.send(self.serving)
        if self._offered is not None:
            worker.send(self._offered)
        if self.refusal is not None:
            worker.send(self.refusal)

    def _swap_if_all_are_ready(self) -> None:
        if self._offered is None or not self._prepared or not self._prepared.issuperset(self._crew.ready()):
            return
        self.serving, self._offered = self._offered, None
        self._prepared.clear()
        self._tell(Swap(self.serving))
        self._swapped(self.serving)
        seconds = round(time.monotonic() - self._offered_at, 3)
        structlog.get_logger("serving").info("bundle_swapped", version=self.serving.version, seconds=seconds)

    def _tell_refusal(self, refusal: Refusal | None) -> None:
        if refusal != self.refusal:
            self.refusal = refusal
            self._tell(refusal)

    def _tell(self, message: object) -> None:
        for worker in self._crew.ready():
            worker.send(message)


class Follower:
    """A worker's side: gets ready in a thread of its own while requests are answered from the present bundle."""

    def __init__(self, loaded: Loaded, parent: Connection):
        self._loaded = loaded
        self._parent = parent
        self._readied: tuple[Served, Readied] | None = None

    def hear(self, message: object) -> None:
        """Something that the parent said; None means that nothing is refused any more."""
        match message:
            case Served():
                self._get_ready(message)
            case Swap(served) if self._readied is not None and self._readied[0] == served:
                self._loaded.swap(self._readied[1])
                self._readied = None
            case Refusal() | None:
                self._loaded.refusal = message
                self._readied = None

    def _get_ready(self, served: Served) -> None:
        try:
            self._readied = served, self._loaded.readied(Model.of(served.folder, served.version))
        except TherapistFitError as error:
            self._parent.send(Refusal(served.version, str(error)))
        except Exception as error:
            words = f"{type(error).__name__} at {place_of(error)} -> tell whoever looks after it"
            self._parent.send(Refusal(served.version, words))
        else:
            self._parent.send(Prepared(served))


Found = Served | Refusal


def watch(
    find: Callable[[], str | None],
    fetch: Callable[[str], Served],
    tell: Callable[[Found], None],
    stopped: threading.Event,
) -> None:
    """Looks about twice a second which version is the champion, and tells of each new one, until stopped.

    `find` and `fetch` may fail as a registry fails: that is logged once, and the last export serves on.
    """
    log, known, troubled = structlog.get_logger("serving"), None, False
    while not stopped.is_set():
        try:
            version = find()
            if version is not None and version != known:
                tell(_fetched(fetch, version))
                known = version
            if troubled:
                log.info("registry_answers_again")
            troubled = False
        except Exception as error:
            if not troubled:
                log.warning("registry_does_not_answer", error=type(error).__name__, at=place_of(error))
            troubled = True
        stopped.wait(SECONDS_BETWEEN_LOOKS)


def _fetched(fetch: Callable[[str], Served], version: str) -> Found:
    try:
        return fetch(version)
    except TherapistFitError as error:
        return Refusal(f"version {version}", str(error))
