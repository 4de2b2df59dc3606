"""Who is to be placed, and the cases that therapists carry already, as an allocation weighs them."""

import datetime as dt
from dataclasses import dataclass

import numpy as np

from data.errors import Problem
from data.instruments import INSTRUMENTS
from features.columns import Bools, Columns, Floats, Ints
from features.rows import Ranges
from serving.answering.safety import risk_items
from serving.schemas import RecommendationRequest


@dataclass(frozen=True)
class Waiting:
    """One client on the list: the request that stands for them, or every reason why it cannot be read."""

    episode_id: str
    client_id: str
    referred_on: dt.date | None
    request: RecommendationRequest | None
    problems: tuple[Problem, ...] = ()
    held: bool = False
    """Whether a clinician has yet to act on an earlier answer that was held."""


@dataclass(frozen=True)
class OpenCases:
    """The open cases of listed therapists; all arrays of shape (cases,)."""

    therapist: Ints
    """Row in the directory."""
    severity: Floats
    """At intake, share of the range; NaN where unknown."""
    severe: Bools
    risk: Bools

    @classmethod
    def none(cls) -> "OpenCases":
        """Where nothing is known of the cases carried."""
        empty = np.zeros(0, dtype=bool)
        return cls(np.zeros(0, dtype=np.int64), np.zeros(0), empty, empty)


def severe(columns: Columns, severity_of: Ranges) -> Bools:
    """Clients with an intake score in the highest band of any instrument that makes up severity."""
    found = np.zeros(columns.size, dtype=bool)
    for name in severity_of:
        instrument = INSTRUMENTS.get(name.partition(".")[0])
        if instrument is not None and instrument.bands:
            found |= columns.number(name) >= instrument.bands[-1].low
    return found


def at_risk(columns: Columns) -> Bools:
    """Clients who answered any question about self-harm at intake with more than nothing."""
    found = np.zeros(columns.size, dtype=bool)
    for name in risk_items():
        found |= columns.number(name) >= 1
    return found
