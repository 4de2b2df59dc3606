"""Therapists as a platform sends them: profile, licences and slots, held to the data contract, told all at once."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, TypeAdapter
from pydantic import ValidationError as Invalid

from data.errors import Problem
from data.tables import AGE_GROUPS, Kind
from serving.values import Code, Codes, CourseDay, Id, Moment, Number, Share, Tag, Tags, Year

OLDEST, YOUNGEST_PRACTITIONER = 120, 16
"""Years; beyond them a year is a slip."""
PAST_HOURS = 24
"""Slots that began longer ago are a slip; those that have just begun are not worth refusing a whole list for."""


def _no_address(value: str) -> str:
    if "@" in value:
        raise ValueError("must not hold an address")
    return value


def _no_addresses(values: list[str]) -> list[str]:
    return [_no_address(value) for value in values]


def _provider(value: str) -> str:
    """A US National Provider Identifier: the last digit is Luhn's over 80840 and the nine before it (CMS)."""
    if not re.fullmatch(r"[0-9]{10}", value) or _luhn("80840" + value) % 10:
        raise ValueError("must be a national provider identifier: 10 digits with a check digit that fits")
    return value


def _luhn(digits: str) -> int:
    doubled = [int(one) * (2 if i % 2 else 1) for i, one in enumerate(reversed(digits))]
    return sum(one - 9 if one > 9 else one for one in doubled)


def _age_groups(values: list[str]) -> list[str]:
    if not set(values) <= set(AGE_GROUPS):
        raise ValueError(f"must be of {', '.join(AGE_GROUPS)}")
    return values


_Tag = Annotated[Tag, AfterValidator(_no_address)]
_Tags = Annotated[Tags, AfterValidator(_no_addresses), Field(max_length=100)]
_Codes = Annotated[Codes, Field(max_length=100)]
_Cases = Annotated[int, Field(ge=0, le=10_000), Number]


class Licence(BaseModel):
    """One licence; without `valid_until` it is open-ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jurisdiction: Annotated[_Tag, Field(description="where it holds, ISO 3166-2, such as GB or US-CA")]
    kind: Literal["full", "provisional", "compact", "telehealth", "register"]
    valid_from: CourseDay
    valid_until: CourseDay | None = None
    status: Literal["active", "suspended"] | None = Field(None, description="active if left out")


class Slot(BaseModel):
    """One time at which a first session could be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    starts_at: Annotated[Moment, Field(description="with its offset")]
    ends_at: Moment | None = None
    modality: Code | None = Field(None, description="how it would be held, such as video")
    status: Literal["free", "held", "booked"] | None = Field(None, description="free if left out")


class TherapistProfile(BaseModel):
    """One therapist: what is left out is unknown. Columns that the model learned from beside these may be sent too."""

    model_config = ConfigDict(extra="allow", frozen=True)

    profile_updated_on: CourseDay | None = Field(None, description="day from which this holds; today if left out")
    gender: Code | None = None
    birth_year: Year | None = None
    ethnicity: Code | None = None
    faith: Code | None = None
    affirming: _Codes | None = Field(None, description="communities in whose affirming practice they are trained")
    practising_since: Year | None = None
    qualifications: _Codes | None = None
    npi: Annotated[str, AfterValidator(_provider)] | None = Field(None, description="US provider identifier")
    orientation: Code | None = None
    specialties: _Codes | None = Field(None, description="problems they say they work with")
    trained_for: _Codes | None = Field(None, description="problems they have verified training for")
    care_levels: _Codes | None = None
    languages: _Tags | None = Field(None, description="languages of therapy, BCP 47")
    modalities: _Codes | None = None
    payers: _Tags | None = None
    age_groups: Annotated[_Codes, AfterValidator(_age_groups)] | None = None
    style_directiveness: Share | None = None
    style_expressiveness: Share | None = None
    style_homework: Share | None = None
    interpersonal_skill: Annotated[float, Field(ge=-6, le=6), Number] | None = Field(None, description="z")
    interpersonal_skill_source: Code | None = None
    caseload: _Cases | None = Field(
        None, description="open cases, without places that were taken through this service; as before if left out"
    )
    caseload_on: CourseDay | None = Field(None, description="day of that count; today if left out")
    caseload_capacity: _Cases | None = None
    accepts_new: bool | None = None
    learning_opt_out: bool | None = None
    licences: list[Licence] = Field(default_factory=list, max_length=500)


class TherapistRow(TherapistProfile):
    """One therapist of many."""

    therapist_id: Id
    slots: list[Slot] | None = Field(None, max_length=5000, description="as before if left out")


class Slots(BaseModel):
    """Every slot of one therapist."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slots: list[Slot] = Field(max_length=5000)


Row = Mapping[str, Any]
_OWN = frozenset({"therapist_id", "licences", "slots"})
DECLARABLE: Mapping[Kind, TypeAdapter[Any]] = {
    "number": TypeAdapter(Annotated[float, Field(gt=-1e12, lt=1e12), Number]),
    "integer": TypeAdapter(Annotated[int, Field(gt=-1e12, lt=1e12), Number]),
    "boolean": TypeAdapter(StrictBool),
    "code": TypeAdapter(Code),
    "tag": TypeAdapter(_Tag),
    "codes": TypeAdapter(_Codes),
    "tags": TypeAdapter(_Tags),
}
"""Kinds of columns that a dataset may declare for itself and a platform may send."""


def profile_payload(sent: TherapistProfile, today: dt.date) -> dict[str, Any]:
    """The profile as the directory keeps it, in plain values."""
    given = sent.model_dump(mode="json", exclude=set(_OWN), exclude_none=True)
    cells = {name: _cell(value) for name, value in given.items()}
    return {"profile_updated_on": today.isoformat()} | {n: v for n, v in cells.items() if v is not None}


def licence_payload(sent: TherapistProfile) -> list[dict[str, Any]]:
    """The licences as the directory keeps them."""
    rows = [row.model_dump(mode="json", exclude_none=True) for row in sent.licences]
    return [{"status": "active"} | row for row in rows]


def slot_payload(sent: Sequence[Slot]) -> list[dict[str, Any]]:
    """The slots as the directory keeps them: in UTC, in whole seconds."""
    rows = [{"status": "free"} | row.model_dump(exclude_none=True) for row in sent]
    return [{n: _utc(v) if isinstance(v, dt.datetime) else v for n, v in row.items()} for row in rows]


def problems_of(sent: TherapistProfile, declared: Mapping[str, Kind], today: dt.date, place: str = "") -> list[Problem]:
    """Everything in a well-formed profile that contradicts itself, the calendar, or what is known here."""
    found = [*_strange(sent, declared), *_days(sent, today), *_years(sent, today), *_licences(sent.licences)]
    return [Problem(f"{place}{one.where}", one.value, one.rule, one.next_step) for one in found]


def slot_problems(sent: Sequence[Slot], now: dt.datetime, place: str = "") -> list[Problem]:
    """Slots that are past, end before they begin, or overlap."""
    found = []
    for i, one in enumerate(sent):
        if one.starts_at < now - dt.timedelta(hours=PAST_HOURS):
            rule = f"began more than {PAST_HOURS} hours ago"
            found.append(Problem(f"{place}slots[{i}].starts_at", "past", rule, "send slots that are still to come"))
        if one.ends_at is not None and one.ends_at <= one.starts_at:
            found.append(
                Problem(f"{place}slots[{i}].ends_at", "early", "must come after starts_at", "mend one of them")
            )
    return found + _overlaps(sent, place)


def over_held(rows: Sequence[Row], held: Sequence[Row], place: str = "") -> list[Problem]:
    """Slots that lie across one that an open choice holds; sent again at its own time it just stays as it is."""
    return [
        Problem(
            f"{place}slots[{i}]", "overlapping", "overlaps a slot that is booked through the service", "take it out"
        )
        for i, one in enumerate(rows)
        if any(one["starts_at"] != other["starts_at"] and _begins(one, other) and _begins(other, one) for other in held)
    ]


def _begins(one: Row, other: Row) -> bool:
    """Whether a slot begins before another ends; both are kept in UTC, so that text is in order of time."""
    ends: str = other.get("ends_at") or other["starts_at"]
    starts: str = one["starts_at"]
    return starts < ends


def _strange(sent: TherapistProfile, declared: Mapping[str, Kind]) -> Iterator[Problem]:
    for name, value in (sent.model_extra or {}).items():
        kind = declared.get(name)
        if kind is None or kind not in DECLARABLE:
            yield Problem(name[:64], "unknown", "no such field", "take it out, or spell it as documented at /docs")
        elif value is not None:
            try:
                DECLARABLE[kind].validate_python(value)
            except Invalid:
                yield Problem(name, "wrong", f"must be a {kind}", "mend it")


def _days(sent: TherapistProfile, today: dt.date) -> Iterator[Problem]:
    for name in ("profile_updated_on", "caseload_on"):
        day = getattr(sent, name)
        if day is not None and day > today:
            yield Problem(name, "later", "must not lie in the future", "mend the day")
    if sent.caseload_on is not None and sent.caseload is None:
        yield Problem("caseload_on", "alone", "is the day of a count", "give caseload, or take it out")


def _years(sent: TherapistProfile, today: dt.date) -> Iterator[Problem]:
    born, began = sent.birth_year, sent.practising_since
    for name, year in (("birth_year", born), ("practising_since", began)):
        if year is not None and not today.year - OLDEST <= year <= today.year:
            yield Problem(name, "out of range", f"must lie within the last {OLDEST} years", "mend the year")
    if born is not None and began is not None and began < born + YOUNGEST_PRACTITIONER:
        rule = f"practice cannot begin within {YOUNGEST_PRACTITIONER} years of birth_year"
        yield Problem("practising_since", "early", rule, "mend one of the two")


def _licences(licences: Sequence[Licence]) -> Iterator[Problem]:
    seen = set()
    for i, one in enumerate(licences):
        key = (one.jurisdiction, one.kind, one.valid_from)
        if key in seen:
            rule = "jurisdiction, kind and valid_from must be unique"
            yield Problem(f"licences[{i}]", "repeated", rule, "keep one of the rows that share them")
        if one.valid_until is not None and one.valid_until < one.valid_from:
            where = f"licences[{i}].valid_until"
            yield Problem(where, "early", "must not come before valid_from", "mend one of the two")
        seen.add(key)


def _overlaps(sent: Sequence[Slot], place: str) -> list[Problem]:
    found = []
    in_order = sorted(range(len(sent)), key=lambda i: sent[i].starts_at)
    last = None
    for i in in_order:
        if last is not None and (sent[i].starts_at < _end(sent[last]) or sent[i].starts_at == sent[last].starts_at):
            rule = f"overlaps slots[{last}]"
            found.append(Problem(f"{place}slots[{i}]", "overlapping", rule, "keep one of the two"))
        if last is None or _end(sent[i]) >= _end(sent[last]):
            last = i
    return found


def _end(slot: Slot) -> dt.datetime:
    return slot.ends_at or slot.starts_at


def _cell(value: Any) -> Any:
    return "|".join(map(str, value)) or None if isinstance(value, list) else value


def _utc(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
