"""The only door to the past: what was known on a day, about whom.

Rules of knowledge (a fact without a date is always known; in undated data all facts are):

- a client's row and preferences are known from the referral,
- an episode from the match, its start from the first session, its ending and sessions attended from the ending (an
  ending without a day is not known yet: it can only lie after the match),
- a measure from the day it was taken, a session from the day it was held,
- a therapist's row is the latest version on or before the day, else the earliest, and then flagged,
- slots and caseload are current only and are never part of the past.
"""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.dataset import Dataset
from data.totals import totals

Rows = npt.NDArray[np.int64]
Days = npt.NDArray[np.datetime64]

CURRENT_ONLY = ("caseload", "caseload_on", "accepts_new")
LEARNED_LATER = ("ended_on", "ending", "sessions_attended")
_DAY = "datetime64[D]"


class History:
    """A dataset with its clock. `as_of` gives the state of one day; `as_of_each` one day for each row asked."""

    def __init__(self, dataset: Dataset):
        self.manifest = dataset.manifest
        self._dataset = dataset
        self._tables: dict[str, pd.DataFrame] = {}

    def _table(self, name: str) -> pd.DataFrame:
        if name not in self._tables:
            self._tables[name] = self._dataset[name]
        return self._tables[name]

    def contract_of(self, name: str) -> dict[str, str]:
        """Kind of every column of a table, those declared by the dataset included."""
        return {column.name: column.kind for column in self._dataset.contract(name).columns}

    def as_of(self, day: dt.date | None) -> "Snapshot":
        """Everything known at the end of `day`. Undated data know all on any day; dated data refuse `None`."""
        if self.manifest.undated:
            return Snapshot(self, None)
        if day is None:
            raise ValueError("a dated history has no state without a day -> give the day")
        return Snapshot(self, np.datetime64(day, "D"))

    def latest(self) -> "Snapshot":
        """Everything known on the last day that the dataset covers."""
        return self.as_of(None if self.manifest.undated else self.manifest.as_of)

    def as_of_each(self, days: Days) -> "Knowledge":
        """What was known on `days[i]` for the i-th row of each question asked (NaT, and undated data: everything)."""
        asked = np.asarray(days, dtype=_DAY)
        return Knowledge(self, np.full_like(asked, "NaT") if self.manifest.undated else asked)

    @cached_property
    def _versions(self) -> "_Versions":
        return _Versions(self._table("therapists"))

    @cached_property
    def _matches(self) -> "_Matches":
        return _Matches(self._table("episodes"), self._table("clients"))


@dataclass(frozen=True)
class Snapshot:
    """The state of one day as tables."""

    history: History
    day: np.datetime64 | None

    def _known(self, dates: pd.Series) -> pd.Series:
        return (
            pd.Series(True, index=dates.index) if self.day is None else dates.isna() | (dates <= pd.Timestamp(self.day))
        )

    def clients(self) -> pd.DataFrame:
        """Clients referred by the day (those without any episode are known from the start)."""
        clients = self.history._table("clients")
        if self.day is None:
            return clients
        referred = _first_referral(self.history._table("episodes")).reindex(clients["client_id"])
        return clients[self._known(referred).to_numpy()].reset_index(drop=True)

    def preferences(self) -> pd.DataFrame:
        """Wishes of the clients known by the day."""
        preferences = self.history._table("preferences")
        return preferences[preferences["client_id"].isin(self.clients()["client_id"])].reset_index(drop=True)

    def therapists(self) -> pd.DataFrame:
        """One row for each therapist, with `profile_is_later` where only a later version exists."""
        ids = self.history._versions.ids
        days = np.full(len(ids), self.day if self.day is not None else np.datetime64("NaT"), dtype=_DAY)
        return self.history.as_of_each(days).therapists(pd.Series(ids, dtype="str"))

    def episodes(self) -> pd.DataFrame:
        """Episodes matched by the day; what is learned at the ending is unknown until then."""
        episodes = self.history._table("episodes")
        if self.day is None:
            return episodes
        dated = episodes["matched_on"].fillna(episodes["referred_on"])
        seen = episodes[self._known(dated)].reset_index(drop=True)
        later = ~self._known(seen["ended_on"]) | (seen["ended_on"].isna() & (seen["ending"] != "waiting"))
        masked = seen.assign(**{name: seen[name].mask(later) for name in LEARNED_LATER})
        masked["started_on"] = seen["started_on"].where(self._known(seen["started_on"]))
        return masked.assign(ending=masked["ending"].mask(later & seen["ending"].notna(), "ongoing"))

    def measures(self) -> pd.DataFrame:
        """Totals, items and subscales taken by the day; totals are computed where only items were given."""
        return self._scored

    @cached_property
    def _scored(self) -> pd.DataFrame:
        measures = self.history._table("measures")
        return totals(measures[self._known(measures["taken_on"])])

    def sessions(self) -> pd.DataFrame:
        """Sessions held by the day."""
        sessions = self.history._table("sessions")
        return sessions[self._known(sessions["held_on"])].reset_index(drop=True)

    def offers(self) -> pd.DataFrame:
        """Who was available for the episodes known by the day."""
        offers = self.history._table("offers")
        return offers[offers["episode_id"].isin(self.episodes()["episode_id"])].reset_index(drop=True)


@dataclass(frozen=True)
class Knowledge:
    """What was known on a day of its own for every row asked; answers keep the order of the question."""

    history: History
    days: Days

    def clients(self, client_ids: pd.Series) -> pd.DataFrame:
        """The clients' rows (a client is asked about from the referral on)."""
        table = self.history._table("clients").set_index("client_id")
        return table.reindex(client_ids.to_numpy()).rename_axis("client_id").reset_index()

    def preferences(self, client_ids: pd.Series) -> pd.DataFrame:
        """Preferences of these clients, one row a wish; like the client's row, known from the referral."""
        preferences = self.history._table("preferences")
        return preferences[preferences["client_id"].isin(client_ids)].reset_index(drop=True)

    def therapists(self, therapist_ids: pd.Series) -> pd.DataFrame:
        """The version of each therapist's row that held on the day; `profile_is_later` where only later ones exist."""
        rows, later = self.history._versions.at(therapist_ids, self.days)
        frame = self.history._table("therapists").iloc[rows].reset_index(drop=True)
        unknown = {name: pd.Series(index=frame.index, dtype=frame[name].dtype) for name in CURRENT_ONLY}
        return frame.assign(**unknown, profile_is_later=later)

    def intake(self, episode_ids: pd.Series) -> pd.DataFrame:
        """Session-0 scores known on the day: one column `instrument.item` each (`phq9.0` is the PHQ-9 total)."""
        measures = self.history._table("measures")
        first = measures[(measures["session"] == 0) & (measures["rater"] == "client")]
        asked = pd.DataFrame(
            {"episode_id": episode_ids.to_numpy(), "row": np.arange(len(episode_ids)), "day": self.days}
        )
        taken = first.merge(asked, on="episode_id")
        known = taken[~(taken["taken_on"] > taken["day"])]
        scored = totals(known.assign(episode_id=known["row"]))
        wide = scored.assign(column=scored["instrument"] + "." + scored["item"]).pivot(
            index="episode_id", columns="column", values="value"
        )
        return wide.astype("float64").reindex(np.arange(len(episode_ids))).rename_axis(index=None)

    def cases(self, therapist_ids: pd.Series) -> pd.DataFrame:
        """Track record without outcomes: cases matched strictly before the day, and days since the latest one."""
        return self.history._matches.before(therapist_ids, self.days)

    def cases_by_problem(self, therapist_ids: pd.Series, problems: pd.Series) -> npt.NDArray[np.float64]:
        """Cases matched strictly before the day whose main problem was the given one."""
        return self.history._matches.before_with_problem(therapist_ids, problems, self.days)


def main_problem(problems: pd.Series) -> pd.Series:
    """The first of the `|`-separated problems."""
    return problems.str.replace(r"\|.*", "", regex=True)


def _first_referral(episodes: pd.DataFrame) -> pd.Series:
    return episodes["referred_on"].fillna(episodes["matched_on"]).groupby(episodes["client_id"]).min()


def _integers(days: Days) -> npt.NDArray[np.int64]:
    return days.astype(_DAY).astype(np.int64)


_SPAN = np.int64(1_000_000)  # wider than any span of days, so that (owner, day) packs into one sortable integer
_ALWAYS = np.int64(-400_000)  # an undated fact precedes every day


class _Versions:
    """Profile versions, searchable by therapist and day."""

    def __init__(self, table: pd.DataFrame):
        dates = table["profile_updated_on"].to_numpy().astype(_DAY)
        self._day = np.where(np.isnat(dates), _ALWAYS, _integers(dates))
        self.ids, codes = np.unique(table["therapist_id"].to_numpy(dtype=object), return_inverse=True)
        key = codes * _SPAN + self._day
        self._order = np.argsort(key, kind="stable")
        self._key = key[self._order]
        self._first = np.searchsorted(self._key, np.arange(len(self.ids)) * _SPAN - _SPAN // 2)

    def at(self, therapist_ids: pd.Series, days: Days) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """Row of the version that held, and whether it is only known from later. Raises KeyError for a stranger."""
        codes = pd.Index(self.ids).get_indexer(therapist_ids.to_numpy())
        if (codes < 0).any():
            raise KeyError(f"unknown therapist {therapist_ids[codes < 0].iloc[0]!r}")
        asked = np.where(np.isnat(days), _SPAN // 2 - 1, _integers(days))
        place = np.searchsorted(self._key, codes * _SPAN + asked, side="right") - 1
        later = place < self._first[codes]
        return self._order[np.where(later, self._first[codes], place)], later


class _Matches:
    """Past matches, countable by therapist, by problem and by day."""

    def __init__(self, episodes: pd.DataFrame, clients: pd.DataFrame):
        seen = episodes[episodes["therapist_id"].notna() & episodes["matched_on"].notna()]
        days = _integers(seen["matched_on"].to_numpy().astype(_DAY))
        problem = main_problem(clients.set_index("client_id")["problems"]).reindex(seen["client_id"]).fillna("")
        self._therapist, self._days = _sorted_keys(seen["therapist_id"].to_numpy(dtype=object), days)
        both = seen["therapist_id"].to_numpy(dtype=object) + "\n" + problem.to_numpy(dtype=object)
        self._both, self._problem_days = _sorted_keys(both, days)

    def before(self, therapist_ids: pd.Series, days: Days) -> pd.DataFrame:
        count, last = _before(self._therapist, self._days, therapist_ids.to_numpy(dtype=object), days)
        return pd.DataFrame({"cases": count, "days_since_last_case": last})

    def before_with_problem(self, therapist_ids: pd.Series, problems: pd.Series, days: Days) -> npt.NDArray[np.float64]:
        both = therapist_ids.to_numpy(dtype=object) + "\n" + problems.fillna("").to_numpy(dtype=object)
        return _before(self._both, self._problem_days, both, days)[0]


def _sorted_keys(
    owners: npt.NDArray[np.object_], days: npt.NDArray[np.int64]
) -> tuple[pd.Index, npt.NDArray[np.int64]]:
    names, codes = np.unique(owners, return_inverse=True) if len(owners) else (owners, np.zeros(0, np.int64))
    return pd.Index(names), np.sort(codes.astype(np.int64) * _SPAN + days)


def _before(
    names: pd.Index, keys: npt.NDArray[np.int64], owners: npt.NDArray[np.object_], days: Days
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How many keys of each owner lie strictly before the day, and how many days ago the last of them was."""
    codes = names.get_indexer(owners).astype(np.int64)
    asked = np.where(np.isnat(days), 0, _integers(days))
    start = np.searchsorted(keys, codes * _SPAN - _SPAN // 2)
    end = np.searchsorted(keys, codes * _SPAN + asked, side="left")
    count = np.where(codes < 0, 0, end - start).astype(np.float64)
    last = keys[np.maximum(end - 1, 0)] - codes * _SPAN if len(keys) else np.zeros(len(codes), np.int64)
    ago = np.where(count > 0, asked - last, np.nan)
    undated = np.isnat(days)
    return np.where(undated, np.nan, count), np.where(undated, np.nan, ago)
