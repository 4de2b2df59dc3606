"""A therapist's own report, as numbers and words: `GET /v1/therapists/{id}/report` and the audit's pages."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FEWEST_CASES = 15
"""No track record is named under so many cases (`EVIDENCE.md` section 7: a reliability of .44 at a share of .05)."""

NOT_FOR = (
    "Not for pay, promotion or dismissal: these figures are about clients and therapists meeting, they are uncertain, "
    "and they are no verdict on anyone."
)
RIGHTS = (
    NOT_FOR,
    "You may see all of this, have your profile corrected, object to its use, and opt out of learning: with "
    "learning_opt_out in your profile your own cases no longer count once the model is learned anew. Tell whoever "
    "keeps the directory, or ask them to have a person look at it with you (GDPR Articles 13 to 15 and 21).",
)


class Part(BaseModel):
    """Data that is written once and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Expected(Part):
    """How results with this therapist are expected to differ from those with the average therapist."""

    value: float
    low: float
    high: float
    """Ends of the 95 % interval."""
    unit: str
    """`intake_sd`, `points`, or `probability`; higher is better in all."""
    cases: int = 0
    """Own cases with a known result behind the figure; 0: the profile alone."""
    by_kind: Mapping[str, tuple[int, float, float, float]] = Field(default_factory=dict)
    """`severity.milder`, `severity.more_severe` or `problem.NAME`: cases, value, low and high, from 15 cases on."""


class Caseload(Part):
    """Who comes to this therapist; None where fewer than 10 are behind a figure."""

    clients: int | None = None
    severity: float | None = None
    """Mean severity at intake, in SD from the mean of all clients."""
    risk_share: float | None = None
    """Share, of those asked, who reported thoughts of self-harm; also None where fewer than 10 did, or did not."""


class Exposure(Part):
    """How often the ranking would have shown this therapist to clients of the test block."""

    offered: int
    """Clients to whom the therapist was available."""
    first: int
    first_five: int
    seen: int | None
    """Clients who saw this therapist; None for who opted out of learning."""


class TherapistReport(Part):
    """What the model knows of one therapist, for them and whoever supports them."""

    therapist_id: str
    as_of: dt.date | None = None
    """The last day of what was known; for undated data None."""
    basis: Literal["own_results", "profile"] = "profile"
    """Whether any figure rests on the therapist's own results, or all on what the profile foretells."""
    learning_opt_out: bool = False
    cases: int | None = None
    """Past cases that the model knows; None for who opted out of learning, or where it cannot be said."""
    expected: Mapping[str, Expected] = Field(default_factory=dict)
    """By head."""
    caseload: Caseload | None = None
    exposure: Exposure | None = None
    profile: Mapping[str, str] = Field(default_factory=dict)
    """What is on record of what the model reads; an empty text is not on record."""
    profile_updated_on: dt.date | None = None
    words: tuple[str, ...] = ()
    """The same in plain sentences."""

    def answer(self) -> dict[str, Any]:
        """Plain values for a therapist who asks: everything, and their `rights`, which are the same for all."""
        return {**self.model_dump(mode="json"), "rights": list(RIGHTS)}
