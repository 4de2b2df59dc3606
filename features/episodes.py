"""Rows of past episodes, client and therapist, as known on the day of each match."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import History, Knowledge
from features.columns import Columns, Floats
from features.rows import CLIENT_KINDS, Ranges, client_columns, therapist_columns
from features.track import CASES_WITH


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
