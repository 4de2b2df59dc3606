"""The running service behind its routes: what is loaded, how it stays current, and how one answer is made and kept."""

import datetime as dt
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from data.database import connect, insert_new, new_id, require_schema
from data.errors import NotAllowedError, NotReadyError
from data.sql import SETTINGS
from serving import journal
from serving.access.keys import Caller, caller_of
from serving.access.writes import Asked, Outcome, earlier, once
from serving.again.past import Past
from serving.answering.exploration import Draw
from serving.answering.matcher import Audience, Matcher, Question, well_asked
from serving.answering.recommend import Ids, answer
from serving.answering.safety import Assessment, assess
from serving.listing.directory import Directory
from serving.pages.audits import Audits
from serving.running.exports import SERVED
from serving.running.limits import Rates
from serving.running.loaded import Loaded, Model
from serving.running.metrics import Lap, Metrics, no_lap
from serving.schemas import RecommendationAnswer, RecommendationRequest
from serving.settings import Settings
from serving.sources import Sources

Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """The moment, with its offset."""
    return dt.datetime.now(dt.UTC)


class Service:
    """All tenants' service. A request reads its matcher once; whoever changes a matcher replaces it whole."""

    def __init__(
        self,
        settings: Settings,
        engine: sa.Engine,
        model: Model,
        now: Clock = utc_now,
        fixed: Directory | None = None,
        sources: Sources | None = None,
        workers: int = 1,
    ):
        self.settings = settings
        self.engine = engine
        self.now = now
        self.fixed = fixed
        """A dataset served as it stands, instead of the database's directories."""
        self.sources = sources
        self.loaded = Loaded(settings, engine, model, now, fixed)
        self.metrics = Metrics()
        self.rates = Rates(settings.limits, workers)
        self.audits = Audits(engine)
        self._tenants_with_settings: set[str] = set()
        beside = (SERVED,) if sources is None else (sources.bundle.parent, SERVED)
        self.past = Past(engine, beside, sources.data if sources else None, self.loaded.of)

    @classmethod
    def open(cls, settings: Settings, sources: Sources, now: Clock = utc_now, workers: int = 1) -> "Service":
        """Loads everything; one of so many workers. Raises a TherapistFitError that says what is missing."""
        engine = connect(sources.database)
        try:
            require_schema(engine)
            fixed = None if sources.data is None else _as_it_stands(sources.data, settings)
            model = Model.of(sources.bundle, sources.version)
            service = cls(settings, engine, model, now, fixed, sources, workers)
            service.loaded.read_directories()
            return service
        except Exception as error:
            engine.dispose()
            raise no_database(error) if isinstance(error, sa.exc.SQLAlchemyError) else error from error

    def close(self) -> None:
        """Gives the database's connections back."""
        self.engine.dispose()

    def admit(self, token: str) -> Caller:
        """Who sent this key. Raises NoKeyError for nobody, NotReadyError without a database."""
        try:
            return caller_of(self.engine, token, self.now())
        except sa.exc.SQLAlchemyError as error:
            raise no_database(error) from error

    @property
    def model(self) -> Model:
        """The bundle that answers now."""
        return self.loaded.model

    def matcher(self, caller: Caller) -> Matcher:
        """The matcher of this request, at the newest version of the tenant's directory.

        Raises NotReadyError if the tenant has no directory yet, or without a database.
        """
        try:
            return self.loaded.matcher(caller)
        except sa.exc.SQLAlchemyError as error:
            raise no_database(error) from error

    def recommend(self, caller: Caller, request: RecommendationRequest, asked: Asked) -> Outcome:
        """Answers and keeps the answer. Raises RequestError with every problem, JournalError if it cannot be kept."""
        now = self.now()
        return earlier(self.engine, caller, asked, now) or self._answer(caller, request, asked, now)

    def _answer(self, caller: Caller, request: RecommendationRequest, asked: Asked, now: dt.datetime) -> Outcome:
        lap = self.metrics.laps()
        entry = self.derive(caller, request, now, lap=lap)

        def keep(connection: sa.Connection) -> Outcome:
            self.keep(connection, caller, entry)
            return Outcome(
                200, entry.answer, {"Location": f"/v1/recommendations/{entry.recommendation_id}"}, entry.client_id
            )

        outcome = once(self.engine, caller, asked, now, keep)
        lap("journal")
        lap("total")
        return outcome

    def derive(
        self,
        caller: Caller,
        request: RecommendationRequest,
        now: dt.datetime,
        release: Ids | None = None,
        audience: Audience | None = None,
        lap: Lap = no_lap,
    ) -> journal.Entry:
        """The answer to a request as the journal will hold it; nothing is kept yet.

        `release` names the held answer that a clinician releases, and its task: the list is shown, and no lot is drawn.
        """
        audience = audience or audience_of(caller)
        matcher = self.matcher(caller)
        posed = well_asked(matcher, request, now)
        assessment = assess(request.measures, self.settings.safety, matcher.today(now))
        held = self._hold_on(caller, request) if release is None and assessment.status != "held" else None
        if held is not None:
            assessment, task, draw, ids = assessment.still_held(), None, None, Ids(new_id(now), held)
        elif release is None:
            task, draw = self._task(assessment, now), self._draw()
            ids = Ids(new_id(now), task.task_id if task else None)
        else:
            assessment, task, draw = assessment.after_release(), None, None
            ids = Ids(new_id(now), release.task_id, release.recommendation_id)
        lap("validate")
        given = answer(matcher, posed, assessment, ids, audience, draw, lap)
        self.metrics.answered(caller.tenant, matcher, given.answer)
        return journal.Entry(
            recommendation_id=ids.recommendation_id,
            made_at=now,
            client_id=request.client.client_id,
            request=request.model_dump(mode="json", by_alias=True, exclude_unset=True),
            bundle_id=matcher.bundle.manifest.bundle_id,
            version=matcher.version,
            directory_version=matcher.directory.version,
            directory_source=matcher.directory.source,
            settings_hash=self.settings.hash,
            answer=given.answer.model_dump_json().encode(),
            audience=audience,
            key_id=caller.key_id,
            seed=draw.seed if draw else None,
            prices=_prices(matcher, posed, given.answer),
            propensities=given.propensities,
            released_from=ids.released_from,
            task=task,
        )

    def keep(self, connection: sa.Connection, caller: Caller, entry: journal.Entry) -> None:
        """Writes the entry and, the first time, the settings it was made under."""
        if caller.tenant not in self._tenants_with_settings:
            hashed, known = self.settings.hash, SETTINGS.c
            mine = sa.and_(known.tenant == caller.tenant, known.settings_hash == hashed)
            if connection.scalar(sa.select(known.settings_hash).where(mine)) is not None:
                self._tenants_with_settings.add(caller.tenant)  # kept for good: not by this transaction
            else:
                row = {"settings_hash": hashed, "settings": self.settings.model_dump(mode="json")}
                insert_new(connection, SETTINGS, {**row, "tenant": caller.tenant, "first_used_at": entry.made_at})
        journal.write(connection, entry, caller.tenant)

    def kept(self, caller: Caller, recommendation_id: str) -> sa.Row[Any]:
        """The journal's row of an answer of this tenant.

        Raises NotFoundError, GoneError, or NotAllowedError where it holds predictions that this key must not see.
        """
        try:
            with self.engine.connect() as connection:
                row = journal.read(connection, recommendation_id, caller.tenant)
        except sa.exc.SQLAlchemyError as error:
            raise no_database(error) from error
        if row.audience == "clinical" and audience_of(caller) != "clinical":
            raise NotAllowedError("this answer was made for clinicians and auditors -> ask for one of your own")
        return row

    def _task(self, assessment: Assessment, now: dt.datetime) -> journal.SafetyTask | None:
        if not assessment.needs_task:
            return None
        due = now + dt.timedelta(hours=self.settings.safety.hours_to_act)
        return journal.SafetyTask(new_id(now), assessment.status, assessment.raised_by, due)

    def _hold_on(self, caller: Caller, request: RecommendationRequest) -> str | None:
        """The open task of an earlier held answer of this client: asking again, with less, does not let it go."""
        client_id = request.client.client_id
        if client_id is None:
            return None
        with self.engine.connect() as connection:
            return journal.holds(connection, caller.tenant, [client_id]).get(client_id)

    def _draw(self) -> Draw | None:
        """A lot for one request, where a named lead has signed for exploration."""
        signed = self.settings.exploration
        return None if signed is None else Draw(secrets.randbits(63), signed.share)

    def check(self) -> None:
        """Raises NotReadyError unless an answer could be given and kept now."""
        try:
            require_schema(self.engine)
        except sa.exc.SQLAlchemyError as error:
            raise no_database(error) from error


def _as_it_stands(data: Path, settings: Settings) -> Directory:
    from serving.listing.dataset import directory_data  # reads tables, which a worker without --data never does

    return Directory.of(directory_data(data), settings)


def _prices(matcher: Matcher, posed: Question, given: RecommendationAnswer) -> dict[str, float]:
    """What a place of each who is shown was worth to others, where that was subtracted."""
    if posed.price is None:
        return {}
    shown = [one.therapist_id for one in given.recommendations]
    prices = posed.price[matcher.directory.rows_of(shown)].tolist()
    return {name: price for name, price in zip(shown, prices, strict=True) if price > 0}


def audience_of(caller: Caller) -> Audience:
    """For whom an answer is made: predictions of an outcome are shown to `clinical` eyes only."""
    return "clinical" if caller.may("clinician", "auditor") else "platform"


def no_database(error: Exception) -> NotReadyError:
    """The same one line for every way in which a database fails; its own words may hold an address or a row."""
    return NotReadyError(
        f"the database cannot be used ({type(error).__name__}) "
        "-> see that it runs and that --database or THERAPIST_FIT_DATABASE_URL names it, then try again"
    )
