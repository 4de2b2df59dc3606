"""What a button below an answer asks for: take this therapist, decide otherwise, or note that the client declines."""

import hashlib
from dataclasses import dataclass

from pydantic import ValidationError

from data.errors import Problem, RequestError
from serving.access.keys import Caller
from serving.access.writes import Asked
from serving.again.release import Release, release
from serving.pages.form import Typed
from serving.pages.words import said
from serving.schemas import RecommendationAnswer
from serving.service import Service
from serving.treatment.choices import REASONS, ChoiceAnswer, ChoiceRequest, choose

REASON_WORDS = {kind: [(reason, said(reason)) for reason in reasons] for kind, reasons in REASONS.items()}
"""Reasons by kind, each with how it is put on the page."""
SOONER = "time_or_place"
"""Why somebody is chosen who was not shown, when the next free time is booked."""


@dataclass(frozen=True)
class Pressed:
    """The button: which answer it stood below, and what it asks for."""

    recommendation_id: str
    kind: str
    therapist_id: str = ""
    starts_at: str = ""
    reason: str = ""

    @classmethod
    def of(cls, typed: Typed) -> "Pressed":
        """From the button's value and, where one is asked for, the reason picked beside it."""
        below, kind, therapist_id, starts_at = [*typed.one("choice").split("|"), "", "", ""][:4]
        if kind == "declined":
            return cls(below, kind, reason=typed.one("declined.reason"))
        if kind == "overridden" and not therapist_id:
            return cls(below, kind, typed.one("overridden.therapist_id"), reason=typed.one("overridden.reason"))
        return cls(below, kind, therapist_id, starts_at, SOONER if kind == "overridden" else "")

    def request(self) -> ChoiceRequest:
        """As the API would be sent it. Raises RequestError where it cannot be read."""
        sent = {name: getattr(self, name) for name in ("kind", "therapist_id", "starts_at", "reason")}
        try:
            return ChoiceRequest.model_validate({name: value for name, value in sent.items() if value})
        except ValidationError as error:
            wrong = [str(one["loc"][-1]) for one in error.errors(include_url=False, include_input=False)]
            raise RequestError(
                [Problem(name, "unreadable", "cannot be read", "look again") for name in wrong]
            ) from None


def press(service: Service, caller: Caller, typed: Typed, pressed: Pressed) -> ChoiceAnswer:
    """Keeps the choice as the API would; pressed twice, it is kept once. Raises what `choose` raises."""
    sent = pressed.request()
    target = f"/v1/recommendations/{pressed.recommendation_id}/choice"
    asked = Asked.of(_once(typed, str(pressed)), "POST", target, sent.model_dump_json().encode())
    return ChoiceAnswer.model_validate_json(choose(service, caller, pressed.recommendation_id, sent, asked).body)


def let_go(service: Service, caller: Caller, typed: Typed) -> RecommendationAnswer:
    """A clinician releases a held answer: the new one. Raises what `release` does; RequestError without a reason."""
    recommendation_id = typed.one("release")
    try:
        body = Release(who=typed.one("release.who"), reason=typed.one("release.reason"))
    except ValidationError:
        wrong = Problem("release", "missing", "says who releases it, and why", "give both")
        raise RequestError([wrong]) from None
    target = f"/v1/recommendations/{recommendation_id}/release"
    asked = Asked.of(_once(typed, recommendation_id), "POST", target, body.model_dump_json().encode())
    return RecommendationAnswer.model_validate_json(release(service, caller, recommendation_id, body, asked).body)


def _once(typed: Typed, what: str) -> str:
    """A key that is the same when the same button of the same page is pressed twice."""
    return hashlib.sha256(f"{typed.one('attempt')}|{what}".encode()).hexdigest()


def looked_at_again(error: RequestError) -> str:
    """What to mend before the choice can be kept, in words."""
    fields = {one.where for one in error.problems}
    if "release" in fields:
        return "Please say who releases the list, and what was found; then it can be shown."
    if "reason" in fields:
        return "Please pick a reason first; then it can be noted."
    if "therapist_id" in fields:
        return "Please give the pseudonym of the therapist: letters, digits and . _ : - with at least one digit."
    return "This could not be read. Please choose again from the list below."
