"""The rules of a course: its sessions and measures lie within its days, and follow each other as they are numbered."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from data.dataset import Dataset
from data.errors import Problem
from data.parsing import cell_problems

MISSED = ("late_cancel", "did_not_attend", "cancelled_by_service")
"""Booked sessions that did not take place: one may lie before the first session, or after the ending."""
_NEVER = np.datetime64("NaT", "us")


def course_problems(dataset: Dataset) -> list[Problem]:
    """Every measure and session whose day does not fit its episode or the ones before it; each cell once."""
    return [
        *_table(dataset, "measures", "taken_on", ["episode_id", "instrument", "rater"]),
        *_table(dataset, "sessions", "held_on", ["episode_id"]),
    ]


def _table(dataset: Dataset, name: str, column: str, series: list[str]) -> list[Problem]:
    if name not in dataset.frames:
        return []
    frame = dataset[name]
    shown = frame[column].dt.strftime("%Y-%m-%d")
    told = _days(frame[column]) > np.datetime64(dataset.manifest.as_of or "9999-12-31", "us")
    found: list[Problem] = []
    for bad, rule in _outside(dataset, name, frame[column], frame):
        found += cell_problems(name, column, shown, bad & ~told, rule, "mend the day, or the episode")
        told |= bad
    bad = _falling(frame[column], frame, series, told)
    what = "an earlier measure of the same instrument" if name == "measures" else "an earlier session"
    rule = f"must not come before the day of {what}, by session"
    return found + cell_problems(name, column, shown, bad, rule, "mend the day, or the session's number")


def _outside(dataset: Dataset, name: str, values: pd.Series, frame: pd.DataFrame) -> Iterator[tuple[np.ndarray, str]]:
    episodes = dataset["episodes"].dropna(subset="episode_id").drop_duplicates("episode_id")
    at = pd.Index(episodes["episode_id"]).get_indexer(frame["episode_id"])
    day, held = _days(values), ~_missed(frame)
    matched = _days(episodes["matched_on"])
    started = _days(episodes["started_on"].fillna(episodes["matched_on"]))
    later = (frame["session"] >= 1).fillna(False).to_numpy(bool)
    yield day < _at(_days(episodes["referred_on"]), at), "must not come before the episode's referred_on"
    yield later & held & (day < _at(started, at)), "must not come before the episode's started_on (else matched_on)"
    yield later & (day < _at(matched, at)), "must not come before the episode's matched_on"
    if name == "sessions":
        yield held & (day > _at(_days(episodes["ended_on"]), at)), "must not come after the episode's ended_on"


def _falling(values: pd.Series, frame: pd.DataFrame, series: list[str], told: np.ndarray) -> np.ndarray:
    """Rows that are dated before a row of the same series with the next lower session; days told of do not count."""
    group = frame.groupby(series, sort=False).ngroup().to_numpy()
    number = frame["session"].fillna(-1).to_numpy("int64")
    rows = np.flatnonzero(values.notna().to_numpy() & (group >= 0) & (number >= 0) & ~told & ~_missed(frame))
    day = _days(values)
    rows = rows[np.lexsort((day[rows], number[rows], group[rows]))]
    new_series = np.diff(group[rows], prepend=-1) != 0
    first = np.flatnonzero(new_series | (np.diff(number[rows], prepend=-1) != 0))
    latest = np.where(new_series[first], _NEVER, day[rows][first - 1])
    bad = np.zeros(len(frame), bool)
    bad[rows] = day[rows] < np.repeat(latest, np.diff(first, append=len(rows)))
    return bad


def _missed(frame: pd.DataFrame) -> np.ndarray:
    return frame["status"].isin(MISSED).to_numpy(bool) if "status" in frame else np.zeros(len(frame), bool)


def _days(values: pd.Series) -> np.ndarray:
    return np.asarray(values.to_numpy("datetime64[us]"))


def _at(of_episode: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.asarray(np.append(of_episode, _NEVER)[at])  # -1, an unknown episode, finds the last
