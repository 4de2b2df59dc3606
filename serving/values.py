"""The values that a request is made of: what each may be, and one finding in plain words where it is not."""

import datetime as dt
import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from data.tables import CODE_PATTERN, ID_PATTERN, TAG_PATTERN

HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""JSON can spell one half of a pair (`"\\ud800"`), which no text can be written with."""


def _matches(pattern: str, rule: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value) or HALF_CHARACTER.search(value):
            raise ValueError(rule)
        return value

    return AfterValidator(check)


def _readable(value: str) -> str:
    """No database keeps half a character, and PostgreSQL no NUL."""
    if HALF_CHARACTER.search(value) or any(not one.isprintable() and one not in "\n\t" for one in value):
        raise ValueError("must be plain text")
    return value


def _as_list(value: Any) -> Any:
    """A list may also come as tables hold it, joined by `|`."""
    return [part for part in value.split("|") if part] if isinstance(value, str) else value


def _as_item(value: Any) -> Any:
    """A number is one item however it is written: `09` is question 9, about self-harm as well."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    is_number = isinstance(value, str) and value.isascii() and value.isdecimal()
    return (value.lstrip("0") or "0") if is_number else value


def _no_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _as_day(value: Any) -> Any:
    """A number is no day, though it could be read as seconds since 1970."""
    if isinstance(value, dt.date) or (isinstance(value, str) and _STARTS_AS_DAY.match(value)):
        return value
    raise ValueError("must be a day such as 2026-10-05")


def _day_or_time(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """One finding for the field, not one for each of the two forms it may have."""
    try:
        return handler(_as_day(value))
    except (ValidationError, ValueError):
        raise ValueError("must be a day such as 2026-10-05, or a time with its offset") from None


def _in_reach(value: dt.date) -> dt.date:
    """Times at the ends of the calendar have no counterpart in another zone."""
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError(f"must lie between {_FIRST_YEAR} and {_LAST_YEAR}")
    return value


_FIRST_YEAR, _LAST_YEAR = 1900, 2200
_STARTS_AS_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
Number = BeforeValidator(_no_truth_value)
Day = Annotated[dt.date, BeforeValidator(_as_day)]
Moment = Annotated[AwareDatetime, BeforeValidator(_as_day), AfterValidator(_in_reach)]
CourseDay = Annotated[Day, AfterValidator(_in_reach)]
DayOrTime = Annotated[dt.date | AwareDatetime, WrapValidator(_day_or_time)]
Id = Annotated[str, _matches(ID_PATTERN, "must be a pseudonym: letters, digits and . _ : - with at least one digit")]
Code = Annotated[str, _matches(CODE_PATTERN, "must be a code of a-z, 0-9, _ . -")]
Tag = Annotated[str, _matches(TAG_PATTERN, "must be 1 to 64 characters on one line, without |")]
Note = Annotated[str, Field(min_length=3, max_length=500), AfterValidator(_readable)]
"""What a person writes down for others to read."""
Codes = Annotated[list[Code], BeforeValidator(_as_list)]
Tags = Annotated[list[Tag], BeforeValidator(_as_list)]
Item = Annotated[Code, BeforeValidator(_as_item)]
Share = Annotated[float, Field(ge=0, le=1), Number]
Year = Annotated[int, Field(ge=1900, le=2100), Number]
