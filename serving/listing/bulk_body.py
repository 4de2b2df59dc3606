"""A whole directory as a platform sends it: read row by row, with every problem named by its place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from data.errors import Problem, RequestError
from data.manifest import Rule
from data.tables import Kind
from data.versions import version_at
from serving import problems
from serving.listing.profiles import (
    TherapistRow,
    licence_payload,
    problems_of,
    profile_payload,
    slot_payload,
    slot_problems,
)
from serving.listing.therapists import At
from serving.values import Tag

MOST_ROWS = 200_000
SHOWN = 500
"""Problems that are named one by one; the rest are counted."""


class Head(BaseModel):
    """What is said of the whole directory; needed where there is none yet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Tag | None = Field(None, description="what the directory is called")
    rules: list[Rule] | None = Field(
        None, description="the hard rules that these data can answer; as before if left out"
    )


class BulkRequest(Head):
    """Many therapists. `merge` adds and replaces those named, `replace` no longer lists anybody who is missing."""

    therapists: list[TherapistRow] = Field(max_length=MOST_ROWS)


def body_schema() -> dict[str, Any]:
    """The form of the body for OpenAPI, in one piece."""
    schema = BulkRequest.model_json_schema()
    definitions = schema.pop("$defs")

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(one) for one in part]
        if not isinstance(part, dict):
            return part
        named = {name: inlined(one) for name, one in part.items() if name != "$ref"}
        return {**inlined(definitions[part["$ref"].rpartition("/")[2]]), **named} if "$ref" in part else named

    found: dict[str, Any] = inlined(schema)
    return found


@dataclass(frozen=True)
class Row:
    """One therapist that could be read, in the directory's own terms."""

    profile: dict[str, Any]
    licences: list[dict[str, Any]]
    slots: list[dict[str, Any]] | None
    place: str

    @classmethod
    def of(cls, sent: TherapistRow, place: str, at: At) -> Self:
        """From what was sent at a place of the body."""
        slots = None if sent.slots is None else slot_payload(sent.slots)
        return cls(profile_payload(sent, at.today), licence_payload(sent), slots, place)


@dataclass(frozen=True)
class Sent:
    """A body that could be read."""

    said: dict[str, Any]
    """`name` and `rules`, where given."""
    rows: dict[str, Row]
    declared: set[str]
    """Columns beside the contract's that are used."""


def kinds(connection: sa.Connection, tenant: str, at: At) -> Mapping[str, Kind]:
    """Kinds of the columns that may be sent beside the contract's."""
    known = version_at(connection, tenant)
    return {**at.declared, **(known.meta.therapist_kinds if known else {})}


def read_body(body: bytes, declared: Mapping[str, Kind], at: At) -> Sent:
    """The body, row by row, before anybody is made to wait. Raises RequestError with every problem and where it is."""
    content, found, used = _object(body), list[Problem](), set[str]()
    sent = content.pop("therapists", None)
    said = _head(content, found)
    if not isinstance(sent, list) or len(sent) > MOST_ROWS:
        rule = f"must be a list of at most {MOST_ROWS} therapists"
        raise RequestError([*found, Problem("therapists", "wrong", rule, "send the rest in a second, with mode=merge")])
    rows: dict[str, Row] = {}
    for i in range(len(sent)):
        raw, sent[i], place = sent[i], None, f"therapists[{i}]"  # the body is let go of as it is read
        try:
            row = TherapistRow.model_validate(raw)
        except ValidationError as error:
            found += _named(error, f"{place}.")
            continue
        found += _problems(row, rows, declared, place, at)
        rows[row.therapist_id] = Row.of(row, place, at)
        used |= (row.model_extra or {}).keys()
    refuse(found)
    return Sent(said, rows, used)


def _problems(
    row: TherapistRow, rows: Mapping[str, Row], declared: Mapping[str, Kind], place: str, at: At
) -> list[Problem]:
    found = problems_of(row, declared, at.today, f"{place}.")
    found += slot_problems(row.slots or [], at.now, f"{place}.")
    if row.therapist_id in rows:
        rule = f"is also at {rows[row.therapist_id].place}"
        found.append(Problem(f"{place}.therapist_id", "repeated", rule, "send each therapist once"))
    return found


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = from_json(body, allow_inf_nan=False, cache_strings="all")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise RequestError([Problem("body", "unreadable", "must be one JSON object", problems.NO_JSON.next_step)])
    return content


def _head(content: dict[str, Any], found: list[Problem]) -> dict[str, Any]:
    try:
        return Head.model_validate(content).model_dump(exclude_none=True)
    except ValidationError as error:
        found += _named(error, "")
        return {}


def _named(error: ValidationError, place: str) -> list[Problem]:
    """pydantic's findings under a place, never the value that was sent."""
    found = problems.refused(error)
    return [
        Problem(place.removesuffix(".") if one.field == "body" else place + one.field, "wrong", one.rule, one.next_step)
        for one in found
    ]


def refuse(found: list[Problem]) -> None:
    """Raises RequestError with the first problems and how many more there are; nothing for none."""
    if not found:
        return
    more = len(found) - SHOWN
    rest = [Problem("therapists", "more", f"{more} more problems like these", "mend these and send it again")]
    raise RequestError(found[:SHOWN] + (rest if more > 0 else []))
