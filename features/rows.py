"""From tables to `Columns`: the one road for a training frame, a server's directory and a single request."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import History, Knowledge
from data.tables import CLIENTS, THERAPISTS
from features.columns import Codes, Columns, Floats
from features.preferences import wish_kinds
from features.track import CASES_WITH

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


def from_history(
    history: History, episodes: pd.DataFrame, severity_of: Ranges, problems: Sequence[str]
) -> tuple[Columns, Columns]:
    """Client and therapist rows for each episode, as known on the day of its match; row i belongs to episode i.

    `problems` are the main problems whose past cases are counted for each therapist.
    """
    return clients_from_history(history, episodes, severity_of), therapists_from_history(history, episodes, problems)


def clients_from_history(history: History, episodes: pd.DataFrame, severity_of: Ranges) -> Columns:
    """Client rows for each episode, as known on the day of its match."""
    days = _days(episodes)
    known = history.as_of_each(days)
    table = known.clients(episodes["client_id"]).join(_wishes(known, episodes["client_id"]))
    table = table.join(known.intake(episodes["episode_id"]))
    return client_columns(table, len(table), _years(days), severity_of, CLIENT_KINDS | history.contract_of("clients"))


def therapists_from_history(history: History, episodes: pd.DataFrame, problems: Sequence[str]) -> Columns:
    """Therapist rows for each episode's `therapist_id`, as known on the day of its match."""
    days, ids = _days(episodes), episodes["therapist_id"]
    known = history.as_of_each(days)
    profile, counts = known.therapists(ids), track_counts(known, ids, problems)
    return therapist_columns(profile, len(profile), _years(days), counts, history.contract_of("therapists"))


def _days(episodes: pd.DataFrame) -> npt.NDArray[np.datetime64]:
    return np.asarray(episodes["matched_on"].to_numpy().astype("datetime64[D]"))


def _years(days: npt.NDArray[np.datetime64]) -> Floats:
    return np.where(np.isnat(days), np.nan, days.astype("datetime64[Y]").astype(np.float64) + 1970)


def track_counts(known: Knowledge, therapist_ids: pd.Series, problems: Sequence[str]) -> dict[str, Floats]:
    """The track columns of `therapist_columns` for therapists on their days."""
    counts = {name: column.to_numpy(dtype=np.float64) for name, column in known.cases(therapist_ids).items()}
    for problem in problems:
        same = pd.Series(problem, index=therapist_ids.index)
        counts[CASES_WITH + problem] = known.cases_by_problem(therapist_ids, same)
    return counts


def _wishes(known: Knowledge, client_ids: pd.Series) -> pd.DataFrame:
    """Preferences of each client in the widened form of `features.preferences.widen`."""
    preferences = known.preferences(client_ids)
    if preferences.empty:
        return pd.DataFrame(index=pd.RangeIndex(len(client_ids)))
    named = preferences.assign(name=preferences["strength"] + "." + preferences["about"])
    several = named.duplicated(["client_id", "name"], keep=False)  # few, and the only ones to be joined
    joined = named[several].groupby(["client_id", "name"])["value"].agg("|".join).reset_index()
    wide = pd.concat([named[~several], joined]).pivot(index="client_id", columns="name", values="value")
    return wide.reindex(client_ids.to_numpy()).reset_index(drop=True)


def known_codes(codes: Codes, fewest: int) -> list[str]:
    """Words that at least `fewest` rows have, in alphabetical order."""
    counts = np.bincount(codes.index[codes.index >= 0], minlength=len(codes.vocabulary))
    return [word for word, count in zip(codes.vocabulary, counts, strict=True) if count >= fewest]
