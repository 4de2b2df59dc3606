"""One stored recommendation, explained: what was asked, why who stands where, who could not be shown; and again."""

from collections.abc import Iterator, Mapping
from typing import Any

from data.errors import TherapistFitError
from data.instruments import INSTRUMENTS
from serving.again.ledger import Ledger, ledger
from serving.again.past import Past
from serving.again.replay import Replayed, replay
from serving.pages.words import LABELS, STRENGTHS, TOPICS, label_of, said

LISTED = 100
"""Excluded therapists named on the page; the API gives the rest."""
_PLAIN = ("jurisdiction", "payer", "client_id", "languages")


def request_in_words(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was asked: terms with their words."""
    return [*_client(request.get("client", {})), *_wishes(request), *_measures(request), *_rest(request)]


def replayed(past: Past, tenant: str, row: Any) -> tuple[str, str]:
    """Whether the answer comes out the same today: `fine` or `look`, with a sentence."""
    return in_words(next(iter(replay(past, tenant, [row]))))


def in_words(found: Replayed) -> tuple[str, str]:
    """What deriving an answer again has shown."""
    if found.problem:
        return "look", f"It could not be derived again today: {found.problem.partition(' -> ')[0]}."
    if found.stands:
        return "fine", (
            "Derived again today from the same model, directory and settings: the same therapists in the same order, "
            "utilities equal to a billionth of an SD"
            + (", the same bytes." if found.bytes_equal else f"; other fields differ: {', '.join(found.fields)}.")
        )
    order = "the order is the same" if found.ranks_equal else "the order of therapists differs"
    fields = ", ".join(found.fields)
    return "look", f"Derived again today, {order}; utilities differ by up to {found.skew:.3g} SD; fields: {fields}."


def left_out(past: Past, tenant: str, row: Any) -> Ledger | str:
    """Who was not eligible, with every rule; or why that cannot be said any more."""
    try:
        again = past.again(tenant, row)
    except TherapistFitError as error:
        return f"{str(error).partition(' -> ')[0]}."
    held = again.assessment.status == "held"
    return ledger(row.recommendation_id, again.matcher, again.asked, limit=LISTED, held=held)


def _client(client: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in client.items():
        if value is not None:
            label = LABELS.get(f"client.{name}", said(name))
            yield label, _value(value, plain=name in _PLAIN)


def _wishes(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in request.get("preferences", []):
        strength = STRENGTHS.get(one["strength"], one["strength"])
        yield f"Wish: {TOPICS.get(one['about'], said(one['about']))}", f"{strength} {said(one['value'])}"


def _measures(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for one in request.get("measures", []):
        item = str(one.get("item", "0"))
        known = one["instrument"] in INSTRUMENTS
        label = label_of(f"{one['instrument']}.{item}") if known else f"{one['instrument']}, item {item}"
        day = f", on {one['taken_on']}" if one.get("taken_on") else ""
        yield (said(label) if "." in label else label), f"{one['value']:g}{day}"


def _rest(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if request.get("window"):
        yield "First session between", f"{request['window']['from']} and {request['window']['to']}"
    for one in request.get("exclude_therapists", []):
        yield "Not to be considered", one["therapist_id"]
    for name, label in (("k", "How many to show"), ("as_of", "Judged on")):
        if request.get(name) is not None:
            yield label, str(request[name])


def _value(value: Any, plain: bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_value(one, plain) for one in value) or "none"
    return value if plain and isinstance(value, str) else said(value) if isinstance(value, str) else f"{value:g}"
