"""From tables to `Columns`: the one road for a training frame, a server's directory and a single request.

The rows of past episodes come from `features.episodes`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from data.tables import CLIENTS, THERAPISTS
from features.columns import Codes, Columns, Floats
from features.preferences import wish_kinds

Ranges = Mapping[str, tuple[float, float]]
"""Lowest and highest score of the intake columns (`phq9.0`) that make up severity."""

CLIENT_KINDS = {**{c.name: c.kind for c in CLIENTS.columns}, **wish_kinds()}
THERAPIST_KINDS = {c.name: c.kind for c in THERAPISTS.columns}


def client_columns(
    table: Mapping[str, Any], size: int, year: Floats, severity_of: Ranges, kinds: Mapping[str, str] = CLIENT_KINDS
) -> Columns:
    """Client rows with their wishes (`prefer.gender`), intake scores (`phq9.0`), the year of the match and severity.

    Severity is the mean, over the instruments given, of the score as a share of its range; unknown without any.
    """
    columns = Columns.of(table, kinds, size)
    shares = np.array([(columns.number(name) - low) / (high - low) for name, (low, high) in severity_of.items()])
    given = (~np.isnan(shares)).sum(axis=0) if len(shares) else np.zeros(size)
    total = np.nan_to_num(shares).sum(axis=0) if len(shares) else np.zeros(size)
    severity = np.where(given > 0, total / np.maximum(given, 1), np.nan)
    return columns.with_numbers(year=year, severity=severity)


def therapist_columns(
    table: Mapping[str, Any],
    size: int,
    year: Floats,
    cases: Mapping[str, Floats],
    kinds: Mapping[str, str] = THERAPIST_KINDS,
) -> Columns:
    """Therapist rows with the year and their track counts: `cases`, `days_since_last_case`, `cases_with.<problem>`."""
    return with_track(Columns.of(table, kinds, size), year, cases)


def with_track(profiles: Columns, year: Floats, cases: Mapping[str, Floats]) -> Columns:
    """Profiles with the year, the age in it, and the track counts."""
    return profiles.with_numbers(year=year, age=year - profiles.number("birth_year"), **cases)


def known_codes(codes: Codes, fewest: int) -> list[str]:
    """Words that at least `fewest` rows have, in alphabetical order."""
    counts = np.bincount(codes.index[codes.index >= 0], minlength=len(codes.vocabulary))
    return [word for word, count in zip(codes.vocabulary, counts, strict=True) if count >= fewest]
