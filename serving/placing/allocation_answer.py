"""What an allocation answers: placed, held, waiting, and what it does to caseloads."""

import datetime as dt
from collections.abc import Mapping
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from data.manifest import Rule
from serving.schemas import ModelInfo
from serving.settings import NextStep


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AllocationCounts(_Answer):
    """They add up: waiting = placed + held + unplaced."""

    waiting: int
    placed: int
    held: int
    unplaced: int
    places: int = Field(description="free places of all therapists together")


class NextAvailable(_Answer):
    """Whom the client would see if everyone in turn took the soonest place they can see."""

    therapist_id: str
    utility: float
    wait_days: int | None


class SafetyNote(_Answer):
    """What was answered to questions about self-harm. It never says that someone is safe."""

    status: Literal["not_asked", "nothing_reported", "flagged", "held"]
    words: str


class Placed(_Answer):
    """One client with the therapist proposed. `utility` is in SD, against the average of those who can see them."""

    episode_id: str
    client_id: str
    therapist_id: str
    utility: float
    starts_at: AwareDatetime | None
    wait_days: int | None
    extra_days: int | None = Field(description="days beyond the next available therapist")
    next_available: NextAvailable | None
    safety: SafetyNote


class Held(_Answer):
    """Nobody is proposed until a clinician has talked with the client, who keeps their turn."""

    episode_id: str
    client_id: str
    words: str
    place_set_aside: bool = Field(description="whether a place is kept for them in this allocation")
    next_step: NextStep


class Unplaced(_Answer):
    """A client who waits: why, and what would change it."""

    episode_id: str
    client_id: str
    why: Literal["unreadable", "nobody", "limit", "cap", "places"]
    words: str
    next_step: str
    excluded: Mapping[Rule, int] = Field(description="therapists excluded, by the first rule that did")
    safety: SafetyNote | None = Field(None, description="empty where the answers could not be read")


class Cases(_Answer):
    """Open cases of one therapist: how many, their mean severity (share of the range), how many severe and at risk."""

    cases: int
    severity: float | None
    severe: int
    risk: int


class CaseloadLine(_Answer):
    """One therapist's caseload as it is and as it would be."""

    therapist_id: str
    before: Cases
    after: Cases


class Spread(_Answer):
    """Mean severity of caseloads over therapists with any case, and the most severe and risk cases that one carries."""

    severity_mean: float | None
    severity_sd: float | None
    severity_max: float | None
    severe_max: int
    risk_max: int


class GroupGain(_Answer):
    """Mean predicted utility of a group's placed clients."""

    group: str
    clients: int
    allocated: float | None
    next_available: float | None


class AllocationAnswer(_Answer):
    """A waiting list at once."""

    allocation_id: str | None = Field(None, exclude_if=lambda value: value is None)
    as_of: dt.date
    model: ModelInfo
    counts: AllocationCounts
    utility: float | None = Field(description="mean over those placed, in SD")
    utility_next_available: float | None
    assignments: list[Placed]
    held: list[Held]
    unassigned: list[Unplaced]
    groups: list[GroupGain]
    missed_floors: list[str]
    binding: list[str]
    prices: Mapping[str, float] = Field(description="what one more place of a therapist would add, in SD")
    caseloads: list[CaseloadLine]
    spread: Mapping[Literal["before", "next_available", "allocated"], Spread]
    rules_not_checked: list[Rule]
    notes: list[str]
