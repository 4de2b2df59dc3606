"""What an operator must decide before the service may answer: who acts when a ranking is not the answer."""

import datetime as dt
import hashlib
import tomllib
import zoneinfo
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from data.errors import ConfigError, NotFoundError, Problem
from data.manifest import validation_problems

LONGEST_HOLD = 30
"""Days after which an answer of nothing about self-harm says nothing about today."""

_Text = Annotated[str, Field(min_length=3, max_length=500)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NextStep(_Frozen):
    """What happens next when there is no ranking to show, in words for the person who reads the answer."""

    contact: _Text
    """Whom to reach, and how."""
    place_kept: _Text
    """That the client keeps their place."""
    who_acts: _Text
    by_when: _Text


class SafetySettings(_Frozen):
    """When an answer about self-harm holds a ranking back. May be made stricter, never looser."""

    hold_at: int = Field(2, ge=1, le=2)
    """A risk item at or above this holds the ranking; every answer from 1 opens a task."""
    hours_to_act: int = Field(24, ge=1, le=24)
    """A task that is open longer is overdue."""
    answers_hold_days: int = Field(LONGEST_HOLD, ge=1, le=LONGEST_HOLD)
    """An answer of nothing, given longer ago, counts as not asked."""


class Exploration(_Frozen):
    """Permission of a named lead to show therapists who are about equally good in a random order, now and then."""

    signed_by: _Text
    signed_on: dt.date
    reason: _Text
    share: float = Field(0.10, gt=0, le=0.10)
    """Share of requests in which this is done."""


class Limits(_Frozen):
    """How much one worker takes on; beyond it a request is refused with the time after which to ask again."""

    requests_per_minute: int = Field(600, ge=1)
    """Of one key, in all workers of one replica together; each worker allows its part of it."""
    at_once: int = Field(32, ge=1, le=1000)
    """Requests that one worker has in hand."""
    seconds: float = Field(10, gt=0, le=60)
    """After which a request that has not been answered is given up; nothing of it is kept."""


class Settings(_Frozen):
    """One service. `next_step` has no default: a service that cannot say what happens next does not start."""

    next_step: NextStep
    held_next_step: NextStep | None = None
    """For answers that are held until a clinician has looked; `next_step` if not given."""
    required_training: Mapping[str, str] = Field(default_factory=dict)
    """Problem -> the verified training it asks for (the hard rule `training`)."""
    safety: SafetySettings = SafetySettings()
    time_zone: str = "UTC"
    """Where the clock hangs by which wishes about times are meant."""
    old_profile_days: int = Field(365, ge=1)
    """A profile older than this is shown with a caution."""
    old_slots_days: int = Field(7, ge=1)
    """Free times that nobody confirmed for longer are shown with a caution."""
    little_known_cases: int = Field(15, ge=1)
    """A therapist with fewer cases is shown with a caution."""
    choice_holds_days: int = Field(14, ge=1, le=90)
    """A place that was chosen is kept so long after the first session was to be; then it is free again."""
    prices_hold_days: int = Field(7, ge=1, le=31)
    """Prices that an allocation found are subtracted so long."""
    licence_held_by: Mapping[str, str] = Field(default_factory=dict)
    """Instrument -> who holds its licence: scores of those that need one (ors, srs, csq8, oq45) are refused without."""
    exploration: Exploration | None = None
    limits: Limits = Limits()
    slots_shown: int = Field(3, ge=1, le=20)

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in zoneinfo.available_timezones():
            raise ValueError("must be a time zone such as Europe/London")
        return value

    @cached_property
    def hash(self) -> str:
        """What an answer names so that it can be derived again under the same settings."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, which has a name of its own: that of the original would be copied with it."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("hash", None)
        return copied

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The clinic's time zone."""
        return zoneinfo.ZoneInfo(self.time_zone)

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The settings in a TOML file. Raises ConfigError with every problem, NotFoundError without a file."""
        path = Path(path)
        if not path.is_file():
            raise NotFoundError(
                f"{path}: no such file: a service needs settings that say what happens next for a client without a "
                "ranking -> copy serving/settings.example.toml, put in your own words, and name it with --settings"
            )
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([Problem(str(path), str(error), "must be TOML", "mend the file")]) from None
        except ValidationError as error:
            raise ConfigError(validation_problems(str(path), error)) from None
