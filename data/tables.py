"""The data contract: every table and column that the program knows, what each means and may hold.

In memory a table is a pandas frame. Kinds and their dtypes:

    id, code, tag, text   str       (pseudonym; `[a-z0-9_.-]+`; as it is; anything without line breaks)
    codes, tags           str       several codes or tags joined by `|`
    integer               Int64
    number                float64
    boolean               boolean
    date                  datetime64[us], midnight, no zone
    moment                datetime64[us, UTC]

An empty cell is *unknown*: never zero, never "no".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["id", "code", "tag", "text", "codes", "tags", "integer", "number", "boolean", "date", "moment"]

ID_PATTERN = r"(?=.*[0-9])[A-Za-z0-9._:-]{1,64}"
CODE_PATTERN = r"[a-z0-9_.-]+"
TAG_PATTERN = r"[^|\r\n]{1,64}"

DTYPES: Mapping[str, str] = {
    "id": "str",
    "code": "str",
    "tag": "str",
    "text": "str",
    "codes": "str",
    "tags": "str",
    "integer": "Int64",
    "number": "float64",
    "boolean": "boolean",
    "date": "datetime64[us]",
    "moment": "datetime64[us, UTC]",
}


@dataclass(frozen=True)
class Column:
    """One column: `known` says whether a match may use it (`before`) or it is learned only later (`after`)."""

    name: str
    kind: Kind
    meaning: str
    required: bool = False
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] = ()
    known: Literal["before", "after"] = "before"
    direction: Literal["higher", "lower", ""] = ""


@dataclass(frozen=True)
class Table:
    """One table: its key, its columns, and which of them point at another table."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    required: bool = False
    references: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in the contract's order."""
        return tuple(column.name for column in self.columns)

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def with_columns(self, extra: tuple[Column, ...]) -> "Table":
        """The same table with the columns a dataset declares for itself."""
        return Table(self.name, self.key, self.columns + extra, self.required, self.references)


AGE_GROUPS = ("child", "adolescent", "adult", "older_adult")
ENDINGS = (
    "planned",
    "dropout",
    "declined",
    "transferred",
    "stepped_up",
    "service_ended",
    "died",
    "other",
    "ongoing",
    "waiting",
)
PREFERENCE_TOPICS = (
    "gender",
    "age_band",
    "ethnicity",
    "language",
    "faith",
    "affirming",
    "orientation",
    "modality",
    "time",
    "style",
)
STRENGTHS = ("must", "prefer", "avoid", "must_not")
RATERS = ("client", "therapist", "observer")
STYLES = ("style_directiveness", "style_expressiveness", "style_homework")

_THERAPIST_ID = Column("therapist_id", "id", "pseudonym of the therapist", required=True)
_CLIENT_ID = Column("client_id", "id", "pseudonym of the client", required=True)
_EPISODE_ID = Column("episode_id", "id", "pseudonym of the course of treatment", required=True)


def _styles(whose: str) -> tuple[Column, ...]:
    return tuple(
        Column(name, "number", f"{name.removeprefix('style_')} {whose}, 0 to 1", low=0, high=1) for name in STYLES
    )


THERAPISTS = Table(
    "therapists",
    ("therapist_id", "profile_updated_on"),
    (
        _THERAPIST_ID,
        Column("profile_updated_on", "date", "day from which this version of the profile holds"),
        Column("gender", "code", "the therapist's gender"),
        Column("birth_year", "integer", "year of birth", low=1900, high=2100),
        Column("ethnicity", "code", "the therapist's ethnicity"),
        Column("faith", "code", "the therapist's faith"),
        Column("affirming", "codes", "communities in whose affirming practice the therapist is trained"),
        Column("practising_since", "integer", "year in which practice began", low=1900, high=2100),
        Column("qualifications", "codes", "qualifications held"),
        Column("npi", "tag", "national provider identifier (directory only)"),
        Column("orientation", "code", "theoretical orientation"),
        Column("specialties", "codes", "problems the therapist says they work with"),
        Column("trained_for", "codes", "problems the therapist has verified training for"),
        Column("care_levels", "codes", "levels of care the therapist provides"),
        Column("languages", "tags", "languages of therapy, BCP 47"),
        Column("modalities", "codes", "how the therapist sees clients"),
        Column("payers", "tags", "payers the therapist can bill"),
        Column("age_groups", "codes", "age groups the therapist sees", allowed=AGE_GROUPS),
        *_styles("of the therapist"),
        Column("interpersonal_skill", "number", "observed or client-rated interpersonal skill, z", low=-6, high=6),
        Column("interpersonal_skill_source", "code", "how the skill was rated"),
        Column("caseload", "integer", "open cases as reported", low=0, high=10_000),
        Column("caseload_on", "date", "day of that report"),
        Column("caseload_capacity", "integer", "how many open cases the therapist can carry", low=0, high=10_000),
        Column("accepts_new", "boolean", "whether new clients are taken now"),
        Column("learning_opt_out", "boolean", "the therapist's own cases do not shape their prediction"),
    ),
    required=True,
)

LICENCES = Table(
    "licences",
    ("therapist_id", "jurisdiction", "kind", "valid_from"),
    (
        _THERAPIST_ID,
        Column("jurisdiction", "tag", "where it holds, ISO 3166-2", required=True),
        Column(
            "kind",
            "code",
            "what kind of licence",
            required=True,
            allowed=("full", "provisional", "compact", "telehealth", "register"),
        ),
        Column("valid_from", "date", "first day", required=True),
        Column("valid_until", "date", "last day"),
        Column("status", "code", "active or suspended", allowed=("active", "suspended")),
    ),
    references={"therapist_id": "therapists"},
)

SLOTS = Table(
    "slots",
    ("therapist_id", "starts_at"),
    (
        _THERAPIST_ID,
        Column("starts_at", "moment", "when the session would start, with offset", required=True),
        Column("ends_at", "moment", "when it would end"),
        Column("modality", "code", "how it would be held"),
        Column("status", "code", "whether it can be booked", allowed=("free", "held", "booked")),
    ),
    references={"therapist_id": "therapists"},
)

CLIENTS = Table(
    "clients",
    ("client_id",),
    (
        _CLIENT_ID,
        Column("birth_year", "integer", "year of birth", low=1900, high=2100),
        Column("gender", "code", "the client's gender"),
        Column("ethnicity", "code", "the client's ethnicity"),
        Column("languages", "tags", "languages the client can use in therapy, BCP 47"),
        Column("interpreter", "boolean", "an interpreter will be there"),
        Column("jurisdiction", "tag", "where the client will be during sessions, ISO 3166-2"),
        Column("payer", "tag", "who pays"),
        Column("modalities", "codes", "how the client can attend"),
        Column("problems", "codes", "what the client seeks help with, main problem first"),
        Column("care_level", "code", "level of care needed"),
        Column("prior_episodes", "integer", "courses of therapy before", low=0, high=100),
        Column("expectancy", "number", "how much the client expects to be helped, 0 to 1", low=0, high=1),
        Column("motivation", "number", "motivation, 0 to 1", low=0, high=1),
        Column("social_support", "number", "social support, 0 to 1", low=0, high=1),
        Column("employment", "code", "employment"),
        Column("deprivation_decile", "integer", "deprivation of the area, 1 most deprived", low=1, high=10),
        Column("long_term_condition", "boolean", "a long-term physical condition"),
        Column("disability", "boolean", "a disability (audit only)"),
        Column("sexual_orientation", "code", "sexual orientation (audit only)"),
        *_styles("the client wants"),
        Column("availability", "tags", "times the client can attend, such as mon_am"),
        Column("data_use", "code", "what the client agreed to", allowed=("care_only", "care_and_learning")),
    ),
    required=True,
)

PREFERENCES = Table(
    "preferences",
    ("client_id", "about", "value", "strength"),
    (
        _CLIENT_ID,
        Column("about", "code", "topic", required=True, allowed=PREFERENCE_TOPICS),
        Column("value", "tag", "what is wanted or not wanted", required=True),
        Column("strength", "code", "how strongly", required=True, allowed=STRENGTHS),
    ),
    references={"client_id": "clients"},
)

EPISODES = Table(
    "episodes",
    ("episode_id",),
    (
        _EPISODE_ID,
        _CLIENT_ID,
        Column("therapist_id", "id", "pseudonym of the therapist; empty while waiting"),
        Column("referred_on", "date", "day of referral"),
        Column("matched_on", "date", "day on which client and therapist were matched"),
        Column("started_on", "date", "day of the first session"),
        Column("ended_on", "date", "day of the ending", known="after"),
        Column("ending", "code", "how it ended", allowed=ENDINGS, known="after"),
        Column("assigned_by", "code", "who decided", allowed=("choice", "staff", "algorithm", "random")),
        Column("propensity", "number", "probability with which this therapist was assigned", low=0, high=1),
        Column("site", "tag", "where"),
        Column("referral_source", "code", "who referred"),
        Column("arm", "code", "arm of a trial"),
        Column("sessions_attended", "integer", "attended sessions", low=0, high=1000, known="after"),
    ),
    required=True,
    references={"client_id": "clients", "therapist_id": "therapists"},
)

OFFERS = Table(
    "offers",
    ("episode_id", "therapist_id"),
    (_EPISODE_ID, _THERAPIST_ID),
    references={"episode_id": "episodes", "therapist_id": "therapists"},
)

MEASURES = Table(
    "measures",
    ("episode_id", "session", "instrument", "item", "rater"),
    (
        _EPISODE_ID,
        Column(
            "session", "integer", "0 = intake, else the number of the attended session", required=True, low=0, high=1000
        ),
        Column("instrument", "code", "which instrument", required=True),
        Column("item", "code", "0 = total, 1..n = item, or the name of a subscale"),
        Column("rater", "code", "who rated", allowed=RATERS),
        Column("taken_on", "date", "day on which it was answered"),
        Column("value", "number", "the score", required=True),
    ),
    references={"episode_id": "episodes"},
)

SESSIONS = Table(
    "sessions",
    ("episode_id", "session"),
    (
        _EPISODE_ID,
        Column("session", "integer", "number of the booked session", required=True, low=1, high=1000),
        Column("held_on", "date", "day", required=False),
        Column(
            "status",
            "code",
            "what happened",
            allowed=("attended", "late_cancel", "did_not_attend", "cancelled_by_service"),
            known="after",
        ),
        Column("adherence", "number", "adherence to the method, 0 to 1", low=0, high=1, known="after"),
        Column(
            "synchrony", "number", "rated synchrony of body, voice and emotion, 0 to 1", low=0, high=1, known="after"
        ),
    ),
    references={"episode_id": "episodes"},
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (THERAPISTS, LICENCES, SLOTS, CLIENTS, PREFERENCES, EPISODES, OFFERS, MEASURES, SESSIONS)
}

# Filled in where a file leaves them out, so that keys are whole.
DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "measures": {"item": "0", "rater": "client"},
    "licences": {"status": "active"},
    "slots": {"status": "free"},
}
