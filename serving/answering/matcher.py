"""What answers are computed from, and a request as the rules and the model read it."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from data.errors import Problem, RequestError
from features.columns import Columns, Floats
from features.eligibility import ASKED_OF_CLIENT, unanswered
from features.practice import Ask, Practice
from features.rows import CLIENT_KINDS
from serving import problems
from serving.answering import intake
from serving.listing.directory import Directory
from serving.schemas import FieldProblem, RecommendationRequest, Window
from serving.settings import Settings
from training.bundle import Bundle
from training.fits import Prepared

_DAYS_KEPT = 4

Audience = Literal["platform", "clinical"]
"""For whom an answer is made: only clinicians and auditors see what is to be expected of an outcome."""


@dataclass(frozen=True)
class Matcher:
    """What answers are computed from: one bundle and one version of the directory. Swapped whole, never changed."""

    bundle: Bundle
    version: str
    directory: Directory
    settings: Settings
    _prepared: dict[dt.date, Prepared] = field(default_factory=dict)

    def prepared(self, day: dt.date) -> Prepared:
        """The directory as the bundle sees it on a day; computed once a day."""
        if day not in self._prepared:
            if len(self._prepared) >= _DAYS_KEPT:
                self._prepared.clear()
            self._prepared[day] = self.bundle.prepare(
                self.directory.ids, self.directory.columns, None if self.bundle.manifest.undated else day
            )
        return self._prepared[day]

    def on(self, directory: Directory) -> "Matcher":
        """The same with a later version of the directory; what was computed from profiles holds while they do."""
        same = directory.profiles_at == self.directory.profiles_at
        return replace(self, directory=directory, _prepared=self._prepared if same else {})

    def today(self, now: dt.datetime) -> dt.date:
        """The day on which a request without `as_of` is judged: a dataset served as it stands keeps its own."""
        meta = self.directory.meta
        if self.directory.version == 0 and meta.as_of is not None:
            return meta.as_of
        return now.astimezone(self.settings.zone).date()

    @cached_property
    def client_kinds(self) -> dict[str, str]:
        """Kinds of the client columns that may be sent beside the contract's."""
        kinds: dict[str, str] = dict(self.directory.meta.client_kinds)
        own = self.bundle.manifest.kinds.get("clients", {})
        declared = {name.removeprefix("client.") for name in self.bundle.features.declared}
        return kinds | {name: own.get(name, "number") for name in declared if name not in CLIENT_KINDS}


@dataclass(frozen=True)
class Question:
    """A readable request on its day."""

    request: RecommendationRequest
    day: dt.date
    today: dt.date
    """The day it would be judged on had it not named one."""
    client: Columns
    practice: Practice
    ask: Ask
    price: Floats | None = None
    """(directory,), in SD: what a place of each is worth to others; the order subtracts it."""
    new_to: tuple[str, ...] = ()
    """Kinds in which the model has hardly seen such clients: then it tells no therapists apart."""


def question(matcher: Matcher, request: RecommendationRequest, now: dt.datetime) -> Question:
    """The request as the rules and the model read it."""
    today = matcher.today(now)
    day = request.as_of or today
    table, manifest = intake.client_table(request), matcher.bundle.manifest
    client = matcher.bundle.clients(table, 1, None if manifest.undated else day)
    zone = matcher.settings.zone
    moment = now if day == now.astimezone(zone).date() else intake.first_moment(day, zone)
    conflicts = matcher.directory.rows_of([one.therapist_id for one in request.exclude_therapists])
    ask = Ask(client, np.datetime64(day, "D"), _utc(moment), _window(request.window, matcher.settings), conflicts)
    directory = matcher.directory
    new_to = tuple(matcher.bundle.new_to(client))
    return Question(request, day, today, client, directory.practice_on(day, now), ask, directory.prices(now), new_to)


def well_asked(matcher: Matcher, request: RecommendationRequest, now: dt.datetime) -> Question:
    """The question of a good request. Raises RequestError with every problem of another."""
    unreadable = _unreadable(matcher, request, now)
    if unreadable:
        raise RequestError(unreadable + _unanswered(matcher, request))
    asked = question(matcher, request, now)
    missing = unanswered(asked.practice, asked.client)
    if missing:
        raise RequestError(missing)
    return asked


def problems_of(
    matcher: Matcher, request: RecommendationRequest, now: dt.datetime, positions: intake.Positions | None = None
) -> list[Problem]:
    """Every reason why this request cannot be read or judged here; empty for a good one."""
    return _unreadable(matcher, request, now, positions) + _unanswered(matcher, request)


def _unreadable(
    matcher: Matcher, request: RecommendationRequest, now: dt.datetime, positions: intake.Positions | None = None
) -> list[Problem]:
    day = request.as_of or matcher.today(now)
    return intake.unreadable(request, matcher.client_kinds, matcher.bundle.severity_of, day, positions)


def _unanswered(matcher: Matcher, request: RecommendationRequest) -> list[Problem]:
    """What rules need of the client and is not there, told of a request whose other columns may be unreadable."""
    contract = {name: values for name, values in intake.client_table(request).items() if name in ASKED_OF_CLIENT}
    return unanswered(matcher.directory.practice, Columns.of(contract, CLIENT_KINDS, 1))


def problems_of_the_rest(
    matcher: Matcher, body: Any, errors: Sequence[Mapping[str, Any]], now: dt.datetime
) -> list[FieldProblem]:
    """What else a body would be refused for in which pydantic found these errors: one answer names everything."""
    rest, positions = problems.without(body, errors)
    try:
        request = RecommendationRequest.model_validate({"client": {}, **rest})
    except ValidationError:
        return []
    named = {problems.field_of(one["loc"]) for one in errors}
    found = problems.of_problems(problems_of(matcher, request, now, positions))
    return [one for one in found if one.field not in named]


def _window(window: Window | None, settings: Settings) -> tuple[np.datetime64, np.datetime64] | None:
    if window is None:
        return None
    zone = settings.zone
    return _utc(intake.first_moment(window.first, zone)), _utc(intake.last_moment(window.last, zone))


def _utc(moment: dt.datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(dt.UTC).replace(tzinfo=None), "s")
