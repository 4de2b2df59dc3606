"""What clinic to invent: the plan that a person gives, and what each arm changes."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Arm = Literal[
    "base",
    "weak",
    "strong",
    "main-only",
    "null",
    "confounded",
    "hidden",
    "informative-dropout",
    "drift",
    "load",
]


class Plan(BaseModel):
    """One synthetic clinic. The same plan always gives the same clinic."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    arm: Arm = "base"
    """Which set of planted effects."""
    episodes: int = Field(10_000, ge=50)
    """Courses of treatment, those still open or waiting on the last day included."""
    therapists: int = Field(150, ge=5)
    """Everyone who ever worked in the clinic."""
    seed: int = Field(0, ge=0)
    years: float = Field(4.0, ge=0.5, le=20)
    """How long before `as_of` the first referral came."""
    as_of: dt.date = dt.date(2026, 9, 30)
    """The last day that is known."""
    offers: int = Field(20, ge=2)
    """How many of the eligible therapists with a place are at hand for one client."""
    harm: str | None = Field(None, pattern=r"^[a-z_]+=.+$")
    """COLUMN=VALUE: clients in whom this holds are harmed, most by a third of the therapists."""
    confounding: float | None = Field(None, ge=0, le=5)
    """How strongly severe clients are sent to better therapists, in place of what the arm says."""

    @property
    def severity_to_better(self) -> float:
        """Log odds, per SD of severity and SD of the therapist's effect, by which assignment leans to the better."""
        return ARMS[self.arm].severity_to_better if self.confounding is None else self.confounding


@dataclass(frozen=True)
class ArmSettings:
    """What an arm changes; the defaults are those of `base`."""

    therapist_share: float = 0.05
    """Share of post-score variance between therapists at mean severity."""
    low_share: float = 0.02
    """The same at -2 SD of severity."""
    high_share: float = 0.10
    """The same at +2 SD."""
    interaction: float = 0.02
    """Variance of the doubly centred pair effect over the variance of the post score."""
    other_heads: bool = True
    """Therapists differ in alliance and retention too."""
    pair_effects: bool = True
    """Pairs differ beyond client and therapist, in any head."""
    severity_to_better: float = 0.0
    """How strongly severe clients are sent to therapists with better outcomes (log odds per SD x SD)."""
    hidden_severity: bool = False
    """The severity that drives assignment and outcome is not in the data."""
    informative_dropout: bool = False
    """Clients leave according to therapist and last score; the truth is week 16 for all who started."""
    drift: bool = False
    """In the last year intake severity rises and a fifth of the therapists' effects are redrawn."""


ARMS: Mapping[Arm, ArmSettings] = {
    "base": ArmSettings(),
    "weak": ArmSettings(interaction=0.01),
    "strong": ArmSettings(interaction=0.04),
    "main-only": ArmSettings(low_share=0.05, high_share=0.05, interaction=0.0, pair_effects=False),
    "null": ArmSettings(0.0, 0.0, 0.0, interaction=0.0, other_heads=False, pair_effects=False),
    "confounded": ArmSettings(severity_to_better=0.8),
    "hidden": ArmSettings(severity_to_better=0.8, hidden_severity=True),
    "informative-dropout": ArmSettings(informative_dropout=True),
    "drift": ArmSettings(drift=True),
    "load": ArmSettings(),
}
