"""The form on which a person signs, approves or rejects: what it shows, what was typed, and what is kept of it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import sqlalchemy as sa

from data.decisions import Decision, history
from data.errors import GateError, Problem, RequestError
from data.sql import TENANT
from serving.access.keys import Caller
from serving.access.writes import Asked, Outcome, once
from serving.pages.asking import Mend
from serving.pages.audits import Shown
from serving.pages.form import Typed
from serving.service import Service
from training.audit.words import capital
from training.deciding import Verb, Wish, decide_in, unsigned
from training.signing import flagged, verdict

VERBS: Mapping[Verb, tuple[str, str]] = {
    "sign": ("Sign the features", "They may be used. Flagged ones count only if they are ticked below."),
    "approve": ("Approve this bundle", "It may be put into service once every feature is signed."),
    "reject": (
        "Reject this bundle",
        "It may not be put into service; what answers now goes on till it is replaced. Always possible.",
    ),
}
"""What may be decided, how it is put, and what follows."""
TARGET = "/audit/decisions"
_FIELDS = {"who": "who", "reason": "reason", "action": "action"}
_LABELS = {"who": "Who decides", "reason": "Reason", "action": "What you decide", "features": "Flagged features"}


@dataclass(frozen=True)
class Form:
    """What the form shows of an audit."""

    flagged: Mapping[str, Sequence[str]]
    """Features that must be ticked to be signed, each with what a person should look at."""
    open: Sequence[str]
    """What still stands against putting the bundle into service, as far as signatures go."""


def form_of(service: Service, shown: Shown) -> Form:
    """The form for an audit."""
    problems = unsigned(service.engine, shown.audit)
    return Form(flagged(shown.audit), [f"{one.where}: {one.rule}" for one in problems])


def put_on_record(service: Service, caller: Caller, shown: Shown, typed: Typed) -> str:
    """Decides as the command line does; the form sent twice decides once. Returns what was decided, in a word.

    Raises GateError or RequestError with every problem.
    """
    action = _verb(typed)
    wish = Wish(action, typed.one("who"), typed.one("reason"), typed.all("feature"), shown.audit.bundle_id)

    def work(connection: sa.Connection) -> Outcome:
        decide_in(connection, wish, shown.audit, shown.text, shown.evidence.version, TENANT)
        return Outcome(303, action.encode())

    said = json.dumps([shown.evidence.evidence_hash, *sorted(typed.fields.items())]).encode()
    key = hashlib.sha256(typed.one("attempt").encode()).hexdigest()
    kept = once(service.engine, caller, Asked.of(key, "POST", TARGET, said), service.now(), work)
    return kept.body.decode()


def turned_down(service: Service, shown: Shown) -> Decision | None:
    """The rejection by a person that stands against the bundle that answers now; None where none does."""
    found = verdict(history(service.engine), shown.audit.bundle_id)
    answers = shown.audit.bundle_id == service.model.bundle.manifest.bundle_id
    return found if answers and found is not None and found.action == "reject" else None


def mends_of(error: GateError | RequestError) -> list[Mend]:
    """What to look at again, each with the field that it is about."""
    found = [_mend(one) for one in error.problems]
    return list(dict.fromkeys(found))


def _verb(typed: Typed) -> Verb:
    """What is to be decided. Raises GateError, with whatever else is missing, where nothing was picked."""
    for verb in get_args(Verb):
        if typed.one("action") == verb:
            return verb  # type: ignore[no-any-return]
    missing = [Problem("action", "none", "pick one")]
    missing += [Problem(name, "''", "is empty") for name in ("who", "reason") if not typed.one(name)]
    raise GateError(missing)


def _mend(problem: Problem) -> Mend:
    if problem.where == "Idempotency-Key":
        words = "this form was sent before with other words. Please read it and send it again"
        return Mend("", "The form", f"{words}.")
    place = _FIELDS.get(problem.where, "")
    rule = "please fill this in" if problem.rule == "is empty" else problem.rule
    step = f" – {problem.next_step}" if problem.next_step and not place else ""
    return Mend(place, _LABELS.get(problem.where, capital(problem.where)), f"{rule}{step}.")
