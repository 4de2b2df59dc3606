"""What is in memory to answer from: the bundle, and each tenant's directory beside it; both are replaced whole."""

import datetime as dt
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from data.errors import BundleError, NotReadyError
from data.sql import TENANT
from data.versions import latest_versions
from serving.access.keys import Caller
from serving.answering.matcher import Matcher
from serving.listing.directory import Directory, newest
from serving.running.spawned import give_back
from serving.settings import Settings
from training.bundle import Bundle
from training.storage import load


@dataclass(frozen=True)
class Model:
    """The bundle that answers, and what the registry calls it."""

    bundle: Bundle
    version: str

    @classmethod
    def of(cls, folder: Path, version: str = "") -> "Model":
        """From a folder, checked by its golden rows. Raises BundleError if it may not be served."""
        bundle = load_servable(folder)
        return cls(bundle, version or f"{bundle.manifest.created_at:%Y-%m-%d}")


@dataclass(frozen=True)
class Refusal:
    """A bundle that should be served but is not, and why; the one before serves on."""

    version: str
    reason: str


@dataclass(frozen=True)
class Readied:
    """Another model, and what it needs to answer every tenant at once."""

    model: Model
    matchers: Mapping[str, Matcher]


class Loaded:
    """One model and the directories of all tenants. A request reads its matcher once; nobody changes one."""

    def __init__(
        self,
        settings: Settings,
        engine: sa.Engine,
        model: Model,
        now: Callable[[], dt.datetime],
        fixed: Directory | None = None,
    ):
        self._settings = settings
        self._engine = engine
        self._now = now
        self._fixed = fixed is not None
        self._changing = threading.Lock()
        """Held while matchers are put in place, never while a directory is read."""
        self._reading: dict[str, threading.Lock] = {}
        """By tenant: a directory is read once, and nobody waits for another tenant's."""
        self.model = model
        self.refusal: Refusal | None = None
        self._matchers = {} if fixed is None else {TENANT: self._matcher_of(model, fixed)}

    def of(self, tenant: str) -> Matcher | None:
        """A tenant's matcher as it was last needed, or read at the start."""
        return self._matchers.get(tenant)

    def all(self) -> dict[str, Matcher]:
        """By tenant, those that were read at the start or needed since."""
        return dict(self._matchers)

    def matcher(self, caller: Caller) -> Matcher:
        """The matcher of this request: the tenant's directory is brought up to date first if it has changed.

        Raises NotReadyError if the tenant has no directory yet.
        """
        current = self.of(caller.tenant)
        if current is not None and (self._fixed or current.directory.version >= (caller.directory_version or 0)):
            return current
        if self._fixed or caller.directory_version is None:
            raise NotReadyError(
                "there is no directory of therapists yet -> run `therapist-fit data load DATASET`, "
                "or send one to POST /v1/therapists:bulk?mode=replace"
            )
        return self._brought_up_to_date(caller.tenant, caller.directory_version)

    def read_directories(self) -> None:
        """Reads the directory of every tenant that has one, and readies it for today: the first request finds it."""
        if not self._fixed:
            with self._engine.connect() as connection:
                versions = latest_versions(connection)
            for tenant, version in versions.items():
                self._brought_up_to_date(tenant, version)
        for matcher in self.all().values():
            matcher.prepared(matcher.today(self._now()))
        give_back(max((matcher.directory.size for matcher in self.all().values()), default=0))

    def readied(self, model: Model) -> Readied:
        """Everything that another model needs, computed while the present one goes on answering."""
        matchers = {tenant: self._matcher_of(model, one.directory) for tenant, one in self.all().items()}
        for matcher in matchers.values():
            matcher.prepared(matcher.today(self._now()))
        return Readied(model, matchers)

    def swap(self, readied: Readied) -> None:
        """Answers from the other model, from the next request on. What changed since it was readied is kept."""
        with self._changing:
            ready = readied.matchers
            self._matchers = {
                tenant: self._following(ready[tenant], one.directory)
                if tenant in ready
                else self._matcher_of(readied.model, one.directory)
                for tenant, one in self._matchers.items()
            }
            self.model = readied.model

    def _brought_up_to_date(self, tenant: str, version: int) -> Matcher:
        with self._reading.setdefault(tenant, threading.Lock()):
            before = self.of(tenant)
            if before is not None and before.directory.version >= version:
                return before
            directory = newest(self._engine, self._settings, tenant, before.directory if before else None)
            assert directory is not None, "versions are never removed"
            with self._changing:
                current = self.of(tenant)  # with another model, if that came while the directory was read
                matcher = self._following(current, directory) if current else self._matcher_of(self.model, directory)
                self._matchers = {**self._matchers, tenant: matcher}
            return matcher

    def _following(self, matcher: Matcher, directory: Directory) -> Matcher:
        """The matcher with a later directory; while no profile changes, what was computed from them stays good."""
        if directory.profiles_at == matcher.directory.profiles_at and directory.meta == matcher.directory.meta:
            return replace(matcher, directory=directory)
        return self._matcher_of(Model(matcher.bundle, matcher.version), directory)

    def _matcher_of(self, model: Model, directory: Directory) -> Matcher:
        return Matcher(model.bundle, model.version, directory, self._settings)


def load_servable(folder: Path) -> Bundle:
    """The bundle of a folder, checked by its golden rows. Raises BundleError if it may not be served."""
    bundle = load(folder)
    if not bundle.servable:
        raise BundleError(
            f"{folder}: a head looks at measures taken after the match (landmark): for analysis only "
            "-> train without the landmark"
        )
    return bundle
