"""What the service is asked and what it answers, as values that refuse what they do not know."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from data.manifest import Rule
from serving.settings import NextStep
from serving.values import Code, Codes, Day, DayOrTime, Id, Item, Number, Share, Tag, Tags, Year

MOST_RECOMMENDED = 100


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClientFields(BaseModel):
    """Columns of the clients table; what is left out is unknown. Columns that the dataset declares come beside them."""

    model_config = ConfigDict(extra="allow", frozen=True)

    client_id: Id | None = Field(None, description="pseudonym of the client")
    birth_year: Year | None = None
    gender: Code | None = None
    ethnicity: Code | None = None
    languages: Tags | None = Field(None, description="languages the client can use in therapy, BCP 47")
    interpreter: bool | None = Field(None, description="an interpreter will be there")
    jurisdiction: Tag | None = Field(None, description="where the client will be during sessions, ISO 3166-2")
    payer: Tag | None = None
    modalities: Codes | None = Field(None, description="how the client can attend")
    problems: Codes | None = Field(None, description="what the client seeks help with, main problem first")
    care_level: Code | None = None
    prior_episodes: Annotated[int, Field(ge=0, le=100), Number] | None = None
    expectancy: Share | None = None
    motivation: Share | None = None
    social_support: Share | None = None
    employment: Code | None = None
    deprivation_decile: Annotated[int, Field(ge=1, le=10), Number] | None = None
    long_term_condition: bool | None = None
    disability: bool | None = None
    sexual_orientation: Code | None = None
    style_directiveness: Share | None = None
    style_expressiveness: Share | None = None
    style_homework: Share | None = None
    availability: Tags | None = Field(None, description="times the client can attend, such as mon_am")
    data_use: Literal["care_only", "care_and_learning"] | None = None


class Preference(_Request):
    """One wish; several values of one topic mean any of them."""

    about: Literal[
        "gender", "age_band", "ethnicity", "language", "faith", "affirming", "orientation", "modality", "time", "style"
    ]
    value: Tag
    strength: Literal["must", "prefer", "avoid", "must_not"]


class Measure(_Request):
    """One answer or score at intake: item 0 is the total, 1..n an item."""

    instrument: Code
    item: Item = "0"
    value: Annotated[float, Field(allow_inf_nan=False), Number]
    taken_on: Day | None = None


class Window(_Request):
    """When a first session may be: days, or times with their offset."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    first: DayOrTime = Field(alias="from")
    last: DayOrTime = Field(alias="to")


class Exclusion(_Request):
    """A therapist who must not be considered for this client: a former therapist, a relative."""

    therapist_id: Id
    reason: Tag | None = None


class RecommendationRequest(_Request):
    """Ask for the therapists who suit one client."""

    client: ClientFields
    preferences: list[Preference] = Field(default_factory=list, max_length=100)
    measures: list[Measure] = Field(default_factory=list, max_length=500)
    window: Window | None = None
    exclude_therapists: list[Exclusion] = Field(default_factory=list, max_length=1000)
    k: Annotated[int, Number] = Field(10, ge=1, le=MOST_RECOMMENDED, description="how many therapists to return")
    as_of: Day | None = Field(None, description="the day to judge on; today if left out")


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelInfo(_Answer):
    """Which model answered."""

    version: str
    bundle_id: str
    proven: bool = Field(description="the gain over the next available therapist has been shown on held-out data")
    notes: list[str] = Field(description="what a reader of the ranking should know about the model")


def _is_none(value: object) -> bool:
    return value is None


class Counts(_Answer):
    """How many therapists were considered, and how many the client can see."""

    considered: int
    eligible: int


class Interval(_Answer):
    """A mean with its 80 % interval, in standard deviations."""

    mean: float
    low: float
    high: float


class Prediction(_Answer):
    """What to expect of one client with one therapist, with its 80 % interval, in the unit of the head."""

    mean: float
    low: float
    high: float
    unit: Literal["intake_sd", "points", "probability"]
    better: Literal["higher", "lower"]
    kind: Literal["conformal", "credible"] = Field(
        description="conformal: one client's own result; credible: the chance of clients like this one"
    )
    words: str
    points: Mapping[str, float] | None = Field(None, description="points of each instrument that 1 SD is")


class Slot(_Answer):
    """A time that can be booked, and how the session would be held."""

    starts_at: AwareDatetime
    modality: str | None


class Recommendation(_Answer):
    """One therapist, with why."""

    therapist_id: str
    rank: int
    tie_group: int = Field(description="therapists of one group cannot be told apart well enough to matter")
    utility: Interval
    gain: Mapping[str, Interval] = Field(description="by head, against the average eligible therapist; up is better")
    next_slots: list[Slot]
    wait_days: int | None
    reasons: list[str]
    cautions: list[str]
    data_age_days: int | None = Field(description="days since the therapist's profile was updated")
    predicted: Mapping[str, Prediction] | None = Field(
        None,
        exclude_if=_is_none,
        description="what to expect with this therapist, by head, in its own unit; for clinicians and auditors only",
    )


class VersusSoonest(_Answer):
    """What waiting for the first in the list brings over the soonest free time."""

    gain: float
    low: float
    high: float
    extra_days: int
    words: str


class Relaxation(_Answer):
    """What a softer rule would bring."""

    rule: Rule
    more_therapists: int
    words: str


class Safety(_Answer):
    """What was answered to questions about self-harm. It never says that someone is safe."""

    status: Literal["not_asked", "nothing_reported", "flagged", "held"]
    asked: list[str]
    task_id: str | None = None
    words: str


class RecommendationAnswer(_Answer):
    """Ranked therapists, or what happens next where there is no ranking to show."""

    recommendation_id: str
    released_from: str | None = Field(
        None, exclude_if=_is_none, description="the held answer that a clinician released; it stays as it was"
    )
    model: ModelInfo
    as_of: dt.date
    counts: Counts
    meaningful_difference: bool | None = Field(
        description="whether the first is worth preferring to the average; empty if nobody was ranked"
    )
    recommendations: list[Recommendation]
    versus_soonest: VersusSoonest | None
    excluded: Mapping[Rule, int]
    rules_not_checked: list[Rule]
    relaxations: list[Relaxation]
    safety: Safety
    next_step: NextStep | None
    notes: list[str] = Field(description="what a reader should know about the day, the directory and the exclusions")


class FieldProblem(_Answer):
    """One broken rule of a request; the value that was sent is never repeated."""

    field: str
    rule: str
    next_step: str


class ProblemDocument(_Answer):
    """RFC 9457: what went wrong, in a form that programs and people can read."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    problems: list[FieldProblem] = Field(default_factory=list)


EXAMPLE_REQUEST: dict[str, Any] = {
    "client": {
        "client_id": "c-1042",
        "birth_year": 1990,
        "languages": ["en"],
        "jurisdiction": "US-CA",
        "payer": "self-pay",
        "modalities": ["video", "in_person"],
        "problems": ["anxiety", "insomnia"],
        "care_level": "outpatient",
    },
    "preferences": [{"about": "orientation", "value": "cbt", "strength": "prefer"}],
    "measures": [
        {"instrument": "phq9", "item": "0", "value": 14},
        {"instrument": "phq9", "item": "9", "value": 0},
        {"instrument": "gad7", "item": "0", "value": 12},
    ],
    "k": 5,
}
