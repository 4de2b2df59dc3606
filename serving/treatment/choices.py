"""What came of an answer: a therapist was chosen, the proposals were declined, or somebody decided otherwise.

Choosing takes a place, and the slot if one is named, in the same transaction that checks that they are free.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import sqlalchemy as sa
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from data.database import new_id
from data.directory import DirectoryData
from data.errors import ConflictError, Problem, RequestError
from data.manifest import Rule
from data.sql import CHOICES, EPISODES
from data.versions import take_turn
from features.eligibility import NEVER_RELAX, judge
from serving import journal
from serving.access.keys import Caller
from serving.access.writes import Asked, Outcome, once
from serving.answering.matcher import Matcher, question
from serving.listing.directory import Directory
from serving.schemas import RecommendationRequest
from serving.service import Service
from serving.treatment.places import Record, require_stored, save
from serving.values import Id, Moment

Declined = Literal[
    "no_suitable_time", "wait_too_long", "wants_someone_else", "found_care_elsewhere", "no_longer_wanted",
    "could_not_be_reached", "other",
]  # fmt: skip
Overridden = Literal[
    "client_asked_for_them", "known_to_client", "clinical_judgement", "continuity_of_care", "time_or_place", "other"
]
REASONS: Mapping[str, tuple[str, ...]] = {"declined": get_args(Declined), "overridden": get_args(Overridden)}
"""Why, by kind: a closed list, because free text about a person does not belong here."""


class ChoiceRequest(BaseModel):
    """What came of an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["chosen", "declined", "overridden"] = Field(
        description="`chosen`: one of those shown; `overridden`: somebody decided otherwise; `declined`: none of them"
    )
    therapist_id: Id | None = Field(None, description="with whom; not for `declined`")
    starts_at: Moment | None = Field(None, description="a free slot of theirs, which is then booked")
    reason: Literal[Declined, Overridden] | None = Field(
        None,
        description=f"for `declined`, one of {', '.join(REASONS['declined'])}; "
        f"for `overridden`, one of {', '.join(REASONS['overridden'])}",
    )


class ChoiceAnswer(BaseModel):
    """What is on record now. The place is kept until `holds_until`, and for good once the course has started."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    choice_id: str
    kind: str
    recommendation_id: str
    episode_id: str | None
    therapist_id: str | None
    rank: int | None = Field(description="at which the therapist was shown")
    starts_at: AwareDatetime | None
    holds_until: AwareDatetime | None


EXAMPLE_CHOICE: Mapping[str, Any] = {"kind": "declined", "reason": "wait_too_long"}


@dataclass(frozen=True)
class _Wanted:
    """A place that is asked for, and the answer it was shown in."""

    entry: sa.Row[Any]
    answer: Mapping[str, Any]
    request: RecommendationRequest
    sent: ChoiceRequest
    therapist_id: str
    now: dt.datetime

    @property
    def rank(self) -> int | None:
        """At which the therapist was shown."""
        shown = {one["therapist_id"]: one["rank"] for one in self.answer["recommendations"]}
        return shown.get(self.therapist_id)

    @property
    def assigned_by(self) -> str:
        """Who decided: the ranking where its first was taken, the client among those shown, else a person."""
        if self.sent.kind == "overridden":
            return "staff"
        return "algorithm" if self.rank == 1 else "choice"

    @property
    def propensity(self) -> float | None:
        """The chance with which the ranking put this therapist first, where that was left to a lot."""
        drawn = self.entry.propensities or {}
        return drawn.get(self.therapist_id) if self.assigned_by == "algorithm" else None


def choose(service: Service, caller: Caller, recommendation_id: str, sent: ChoiceRequest, asked: Asked) -> Outcome:
    """Keeps what came of an answer and takes the place that was chosen, whole or not at all.

    Raises RequestError where the request does not fit together, NotFoundError and GoneError for the answer,
    ConflictError where the place cannot be taken, with what to do instead.
    """
    now = service.now()
    _check(sent)

    def work(connection: sa.Connection) -> Outcome:
        take_turn(connection, caller.tenant)
        if sent.therapist_id is None:
            entry = journal.read(connection, recommendation_id, caller.tenant)
            return _keep(connection, _row(caller, entry, sent, now))
        require_stored(service)
        record = Record.read(connection, caller.tenant, sent.therapist_id)
        entry = journal.read(connection, recommendation_id, caller.tenant)
        answer = json.loads(entry.answer)
        request = RecommendationRequest.model_validate(entry.request)
        wanted = _Wanted(entry, answer, request, sent, sent.therapist_id, now)
        return _take(service, connection, caller, wanted, record)

    return once(service.engine, caller, asked, now, work)


def _check(sent: ChoiceRequest) -> None:
    """Raises RequestError with everything that does not fit the kind."""
    found = []
    if sent.kind == "declined":
        for name in ("therapist_id", "starts_at"):
            if getattr(sent, name) is not None:
                found.append(Problem(name, "given", "a client who declines is with nobody", "take it out"))
    elif sent.therapist_id is None:
        found.append(Problem("therapist_id", "missing", f"says who was {sent.kind}", "give it"))
    reasons = REASONS.get(sent.kind)
    if reasons and sent.reason not in reasons:
        found.append(Problem("reason", "wrong", f"for {sent.kind}, one of {', '.join(reasons)}", "give one"))
    if not reasons and sent.reason is not None:
        found.append(Problem("reason", "given", "a choice of somebody shown needs none", "take it out"))
    if found:
        raise RequestError(found)


def _take(service: Service, connection: sa.Connection, caller: Caller, wanted: _Wanted, record: Record) -> Outcome:
    _may_choose(connection, caller, wanted)
    why = record.no_place(wanted.now) or _ruled_out(service, wanted, record)
    if why:
        raise ConflictError(why)
    episode_id = new_id(wanted.now)
    starts_at = wanted.sent.starts_at
    until = (starts_at or wanted.now) + dt.timedelta(days=service.settings.choice_holds_days)
    after: Record | None = record.with_place(episode_id, until, wanted.now)
    if starts_at is not None and after is not None:
        after = after.with_slot(starts_at, episode_id, wanted.now)
    if after is None:
        raise ConflictError(
            "that time with this therapist is not free, or no longer -> choose another of their times, "
            "leave `starts_at` out to take the place and agree on a time later, or ask for a new recommendation"
        )
    zone = service.settings.zone
    connection.execute(sa.insert(EPISODES), _episode(caller, wanted, episode_id, until, zone))
    save(connection, caller.tenant, "choice", [(record, after)], wanted.now)
    row = _row(caller, wanted.entry, wanted.sent, wanted.now)
    return _keep(connection, row | {"rank": wanted.rank, "episode_id": episode_id}, until)


def _may_choose(connection: sa.Connection, caller: Caller, wanted: _Wanted) -> None:
    """Raises ConflictError for an answer that holds no proposal to choose, or of which a choice still holds."""
    if wanted.answer["safety"]["status"] == "held":
        raise ConflictError(
            "this answer is held until a clinician has talked with the client -> a clinician releases it with "
            "POST /v1/recommendations/{id}/release; choose from the answer that this gives"
        )
    if wanted.rank is None and wanted.sent.kind == "chosen":
        rule = "was not shown in this answer"
        step = "choose one of those shown, or send kind `overridden` with a reason"
        raise RequestError([Problem("therapist_id", "not shown", rule, step)])
    first = _still_holding(connection, caller.tenant, wanted.entry.recommendation_id, wanted.now)
    if first is not None:
        raise ConflictError(
            f"a choice from this answer holds already: episode {first} -> end that one first "
            f"(PUT /v1/episodes/{first} with an ending), or ask for a new recommendation"
        )


def _still_holding(connection: sa.Connection, tenant: str, recommendation_id: str, now: dt.datetime) -> str | None:
    """The episode of an earlier choice from the same answer that has neither ended nor expired."""
    episodes = EPISODES
    begun_or_held = sa.or_(episodes.c.started_on.is_not(None), episodes.c.holds_until > now)
    mine = (episodes.c.tenant == tenant, episodes.c.recommendation_id == recommendation_id)
    found = sa.select(episodes.c.episode_id).where(*mine, episodes.c.ended_on.is_(None), begun_or_held)
    return connection.scalar(found.limit(1))


def _ruled_out(service: Service, wanted: _Wanted, record: Record) -> str | None:
    """Why a rule that never relaxes excludes this therapist on the day of the first session; None if none does."""
    try:
        rules = _never_relaxing(service, wanted, record)
    except RequestError as error:
        fields = ", ".join(problem.where for problem in error.problems)
        return f"the directory's rules ask for more than this answer was asked with ({fields}) -> ask again with it"
    if not rules:
        return None
    return (
        f"the rule `{rules[0]}` excludes this therapist for this client, and it never relaxes "
        "-> choose another; if what was asked has changed, ask again"
    )


def _never_relaxing(service: Service, wanted: _Wanted, record: Record) -> list[Rule]:
    """Rules that never relax by which the therapist, as on record in this transaction, is excluded."""
    assert record.meta is not None, "whoever is listed is in a directory"
    zone = service.settings.zone
    starts = wanted.sent.starts_at
    day = starts.astimezone(zone).date() if starts else wanted.now.astimezone(zone).date()
    alone = {kind: {record.therapist_id: payload} for kind, payload in record.entries.items()}
    directory = Directory.of(DirectoryData(1, "", record.meta, alone), service.settings)
    matcher = Matcher(service.model.bundle, service.model.version, directory, service.settings)
    asked = question(matcher, wanted.request.model_copy(update={"as_of": day, "window": None}), wanted.now)
    judgement = judge(asked.practice, asked.ask)
    return [rule for rule in judgement.rules_failed(0) if rule in NEVER_RELAX]


def _episode(caller: Caller, wanted: _Wanted, episode_id: str, until: dt.datetime, zone: dt.tzinfo) -> dict[str, Any]:
    return {
        "tenant": caller.tenant,
        "episode_id": episode_id,
        "client_id": wanted.entry.client_id,
        "therapist_id": wanted.therapist_id,
        "recommendation_id": wanted.entry.recommendation_id,
        "matched_at": wanted.now,
        "starts_at": wanted.sent.starts_at,
        "holds_until": until,
        "referred_on": wanted.entry.made_at.astimezone(zone).date(),
        "assigned_by": wanted.assigned_by,
        "propensity": wanted.propensity,
        "data_use": wanted.request.client.data_use,
        "changed_at": wanted.now,
    }


def _row(caller: Caller, entry: sa.Row[Any], sent: ChoiceRequest, now: dt.datetime) -> dict[str, Any]:
    row = {name: getattr(sent, name) for name in ("kind", "therapist_id", "starts_at", "reason")}
    ids = {"choice_id": new_id(now), "recommendation_id": entry.recommendation_id, "rank": None, "episode_id": None}
    return {**row, **ids, "tenant": caller.tenant, "key_id": caller.key_id, "made_at": now, "client": entry.client_id}


def _keep(connection: sa.Connection, row: dict[str, Any], until: dt.datetime | None = None) -> Outcome:
    client_id = row.pop("client")
    connection.execute(sa.insert(CHOICES), row)
    shown = {name: row[name] for name in ChoiceAnswer.model_fields if name in row}
    answer = ChoiceAnswer.model_validate({**shown, "holds_until": until})
    headers = {"Location": f"/v1/episodes/{answer.episode_id}"} if answer.episode_id else {}
    return Outcome(201, answer.model_dump_json().encode(), headers, client_id)
