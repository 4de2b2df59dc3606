"""What was typed, asked of the same room as the API asks: an answer to show, or what to mend beside each field."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import ValidationError

from data.errors import RequestError
from features.eligibility import judge
from serving import problems
from serving.access.keys import Caller
from serving.access.writes import Asked as Write
from serving.answering.matcher import problems_of_the_rest, question
from serving.answering.recommend import slot_at
from serving.pages.form import Asked, Typed, asked
from serving.pages.options import Options
from serving.pages.shown import NextFree, Shown
from serving.pages.words import label_of
from serving.schemas import FieldProblem, RecommendationAnswer, RecommendationRequest
from serving.service import Service


@dataclass(frozen=True)
class Mend:
    """One thing to look at again: which field of the form (empty: none of them), and what about it."""

    place: str
    label: str
    words: str


class TypedWrongError(Exception):
    """The request breaks rules; `mends` says which field and how."""

    def __init__(self, mends: Sequence[Mend]):
        self.mends = list(mends)
        super().__init__(f"{len(self.mends)} fields")


def ask(service: Service, caller: Caller, typed: Typed) -> Shown:
    """The answer, kept in the journal like any other. Raises TypedWrongError, or what the service raises.

    Asked as the platform asks, whoever is signed in: no predicted outcome even reaches this room.
    """
    wanted = asked(typed)
    as_platform = replace(caller, scopes=frozenset({"platform"}))
    try:
        request = RecommendationRequest.model_validate(wanted.body)
        outcome = service.recommend(as_platform, request, Write.of(None, "POST", "/match", b""))
    except ValidationError as error:
        rest = problems_of_the_rest(service.matcher(caller), wanted.body, error.errors(), service.now())
        raise TypedWrongError(_mends(problems.refused(error) + rest, wanted, service, caller)) from None
    except RequestError as error:
        raise TypedWrongError(_mends(problems.of_problems(error.problems), wanted, service, caller)) from None
    answer = RecommendationAnswer.model_validate_json(outcome.body)
    return Shown(answer, service.settings.zone, next_free(service, caller, request, answer))


def again(service: Service, caller: Caller, recommendation_id: str) -> Shown:
    """An answer that was given before, as it was. Raises NotFoundError, GoneError."""
    row = service.kept(caller, recommendation_id)
    answer = RecommendationAnswer.model_validate_json(row.answer)
    request = RecommendationRequest.model_validate(row.request)
    return Shown(answer, service.settings.zone, next_free(service, caller, request, answer))


def next_free(
    service: Service, caller: Caller, request: RecommendationRequest, answer: RecommendationAnswer
) -> NextFree | None:
    """The first free time of everybody whom the client can see, shown or not; of several, whoever is higher up."""
    if not answer.recommendations:
        return None
    matcher = service.matcher(caller)
    put = question(matcher, request, service.now())
    judgement, slots = judge(put.practice, put.ask), put.practice.slots
    free = np.flatnonzero(judgement.bookable & judgement.eligible[slots.therapist])
    if not len(free):
        return None
    first = free[slots.starts_at[free] == slots.starts_at[free[0]]]
    place = {one.therapist_id: one.rank for one in answer.recommendations}
    named = [(matcher.directory.ids[slots.therapist[at]], int(at)) for at in first]
    therapist, at = min(named, key=lambda one: (place.get(one[0], len(named) + len(place)), one))
    return NextFree(therapist, slot_at(slots, at))


def _mends(found: Sequence[FieldProblem], wanted: Asked, service: Service, caller: Caller) -> list[Mend]:
    needed = Options(service.matcher(caller)).needed
    mends = [_mend(one, wanted.field_of(one), needed, wanted.body["client"]) for one in found]
    return list(dict.fromkeys(mends))


def _mend(problem: FieldProblem, place: str, needed: frozenset[str], client: dict[str, Any]) -> Mend:
    name = place.removeprefix("client.")
    if place in needed and name not in client:
        return Mend(place, label_of(place), "please fill this in.")
    label = label_of(place) if place else problem.field
    return Mend(place, label, f"{problem.rule}.")
