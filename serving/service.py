"""The running service behind its routes: what is loaded, how it stays current, and how one answer is made and kept."""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import sqlalchemy as sa

from data.database import connect, new_id, require_schema
from data.dataset import read
from data.errors import BundleError, NotReadyError, RequestError
from data.loading import DirectoryData, from_dataset, latest_version, read_directory
from data.sql import TENANT
from serving import journal
from serving.directory import Directory
from serving.matcher import Matcher, problems_of, question
from serving.recommend import answer
from serving.safety import Assessment, assess
from serving.schemas import RecommendationRequest
from serving.settings import Settings
from training.bundle import Bundle
from training.storage import load

Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """The moment, with its offset."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Sources:
    """Where a service takes its bundle, directory and database from."""

    bundle: Path
    version: str = ""
    """What the registry calls the bundle; its day of making if it came from no registry."""
    data: Path | None = None
    """A dataset to serve as it stands; the database's directory if not given."""
    database: str | None = None


@dataclass(frozen=True)
class Kept:
    """An answer that is on disk."""

    recommendation_id: str
    body: bytes


class Service:
    """One tenant's service. Requests read `matcher` once; whoever changes it replaces it whole."""

    def __init__(self, settings: Settings, engine: sa.Engine, matcher: Matcher, now: Clock = utc_now):
        self.settings = settings
        self.engine = engine
        self.now = now
        self._matcher = matcher
        self._reading = threading.Lock()

    @classmethod
    def open(cls, settings: Settings, sources: Sources, now: Clock = utc_now) -> "Service":
        """Loads everything. Raises a TherapistFitError that says what is missing."""
        try:
            engine = connect(sources.database)
            require_schema(engine)
            directory = Directory.of(_directory(sources, engine), settings)
        except sa.exc.SQLAlchemyError as error:
            raise no_database(error) from error
        bundle = load_servable(sources.bundle)
        version = sources.version or f"{bundle.manifest.created_at:%Y-%m-%d}"
        return cls(settings, engine, Matcher(bundle, version, directory, settings), now)

    def close(self) -> None:
        """Gives the database's connections back."""
        self.engine.dispose()

    def matcher(self) -> Matcher:
        """The matcher of this request; a newer version of the stored directory is read first."""
        current = self._matcher
        if current.directory.version == 0:
            return current
        try:
            if latest_version(self.engine) == current.directory.version:
                return current
            with self._reading:
                return self._read_again()
        except sa.exc.SQLAlchemyError as error:
            raise no_database(error) from error

    def _read_again(self) -> Matcher:
        data = read_directory(self.engine)
        if data is not None and data.version != self._matcher.directory.version:
            self._matcher = replace(self._matcher, directory=Directory.of(data, self.settings), _prepared={})
        return self._matcher

    def recommend(self, request: RecommendationRequest) -> Kept:
        """Answers and keeps the answer. Raises RequestError with every problem, JournalError if it cannot be kept."""
        now, matcher = self.now(), self.matcher()
        problems = problems_of(matcher, request, now)
        if problems:
            raise RequestError(problems)
        assessment = assess(request.measures, self.settings.safety, matcher.safety_day(request, now))
        recommendation_id = new_id(now)
        task = self._task(assessment, now)
        given = answer(
            matcher, question(matcher, request, now), assessment, recommendation_id, task.task_id if task else None
        )
        body = given.model_dump_json().encode()
        entry = journal.Entry(
            recommendation_id=recommendation_id,
            made_at=now,
            client_id=request.client.client_id,
            request=request.model_dump(mode="json", by_alias=True, exclude_unset=True),
            bundle_id=matcher.bundle.manifest.bundle_id,
            directory_version=matcher.directory.version,
            directory_source=matcher.directory.source,
            answer=body,
            task=task,
        )
        journal.write(self.engine, entry, TENANT)
        return Kept(recommendation_id, body)

    def _task(self, assessment: Assessment, now: dt.datetime) -> journal.SafetyTask | None:
        if not assessment.needs_task:
            return None
        due = now + dt.timedelta(hours=self.settings.safety.hours_to_act)
        return journal.SafetyTask(new_id(now), assessment.status, assessment.raised_by, due)

    def check(self) -> None:
        """Raises NotReadyError unless an answer could be given and kept now."""
        try:
            require_schema(self.engine)
        except sa.exc.SQLAlchemyError as error:
            raise no_database(error) from error


def no_database(error: Exception) -> NotReadyError:
    """The same one line for every way in which a database fails; its own words may hold an address or a row."""
    return NotReadyError(
        f"the database cannot be used ({type(error).__name__}) "
        "-> see that it runs and that --database or THERAPIST_FIT_DATABASE_URL names it, then try again"
    )


def load_servable(folder: Path) -> Bundle:
    """The bundle of a folder, checked by its golden rows. Raises BundleError if it may not be served."""
    bundle = load(folder)
    if not bundle.servable:
        raise BundleError(
            f"{folder}: a head looks at measures taken after the match (landmark): for analysis only "
            "-> train without the landmark"
        )
    return bundle


def _directory(sources: Sources, engine: sa.Engine) -> DirectoryData:
    if sources.data is not None:
        return from_dataset(read(sources.data))
    found = read_directory(engine)
    if found is None:
        raise NotReadyError(
            "the database has no directory yet -> run `therapist-fit data load DATASET`, or serve with --data DATASET"
        )
    return found
