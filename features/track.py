"""A therapist's track record up to the day: counts and recency, never outcomes (those would be counted twice)."""

import numpy as np

from features.columns import Columns, Floats, Pairs
from features.feature import PairFeature

CASES_WITH = "cases_with."
"""Prefix of the therapist columns that count past cases by main problem."""


def cases(_clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
    """log(1 + cases before the day)."""
    return np.log1p(therapists.number("cases"))[pairs.therapist]


def cases_with_problem(clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
    """log(1 + cases before the day with this client's main problem)."""
    problems = clients.set("problems")
    nothing = np.full(therapists.size, np.nan)
    counts = np.stack([*(therapists.number(CASES_WITH + word) for word in problems.vocabulary), nothing])
    counted: Floats = np.log1p(counts[problems.first[pairs.client], pairs.therapist])
    return counted


def recency(_clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
    """Years since the latest case, at most 3; unknown for a therapist without cases."""
    return np.minimum(therapists.number("days_since_last_case") / 365.25, 3.0)[pairs.therapist]


FEATURES = (
    PairFeature("cases", "how many clients the therapist has seen here", "track", cases),
    PairFeature("cases_with_problem", "how many of them had this client's main problem", "track", cases_with_problem),
    PairFeature("recency", "how long ago the therapist's latest case began", "track", recency),
)
