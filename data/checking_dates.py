"""The rules of time: what must come before what, and nothing that claims to have happened after `as_of`."""

from collections.abc import Mapping

import pandas as pd

from data.checking_courses import course_problems
from data.dataset import Dataset
from data.errors import Problem
from data.manifest import MANIFEST
from data.parsing import cell_problems

COURSE = ("referred_on", "matched_on", "started_on", "ended_on")
HAPPENED: Mapping[str, tuple[str, ...]] = {
    "therapists": ("profile_updated_on", "caseload_on"),
    "episodes": COURSE,
    "measures": ("taken_on",),
    "sessions": ("held_on",),
}
"""Days that are said to be past."""
YEARS: Mapping[str, tuple[str, ...]] = {"therapists": ("birth_year", "practising_since"), "clients": ("birth_year",)}
NOT_OVER = ("ongoing", "waiting")
_YOUNGEST_PRACTITIONER = 16


def date_problems(dataset: Dataset) -> list[Problem]:
    """Everything wrong with days and years, within and between tables."""
    return [
        *_undated_needs(dataset),
        *_course(dataset.frames.get("episodes")),
        *course_problems(dataset),
        *_ordered(dataset, "licences", "valid_from", "valid_until", strict=False),
        *_ordered(dataset, "slots", "starts_at", "ends_at", strict=True),
        *_years(dataset),
        *_after_as_of(dataset),
    ]


def _undated_needs(dataset: Dataset) -> list[Problem]:
    if dataset.manifest.undated:
        return []
    problems = []
    if dataset.manifest.as_of is None:
        step = "add as_of = YYYY-MM-DD, the last day the data covers, or undated = true"
        problems.append(Problem(MANIFEST, "no as_of", "dated data names its day", step))
    episodes = dataset["episodes"]
    bad = (episodes["therapist_id"].notna() & episodes["matched_on"].isna()).to_numpy(bool)
    rule = "a matched episode needs matched_on or started_on"
    step = "add the day, or say undated = true"
    problems += cell_problems("episodes", "matched_on", episodes["matched_on"], bad, rule, step)
    over = episodes["ending"].notna() & ~episodes["ending"].isin(NOT_OVER)
    bad = (over & episodes["ended_on"].isna()).to_numpy(bool)
    rule = "an ending without ended_on is never known on any day"
    return problems + cell_problems("episodes", "ending", episodes["ending"], bad, rule, "add ended_on")


def _course(episodes: pd.DataFrame | None) -> list[Problem]:
    if episodes is None:
        return []
    found: list[Problem] = []
    latest = pd.Series(pd.NaT, index=episodes.index, dtype="datetime64[us]")
    for column in (c for c in COURSE if c in episodes):
        bad = (episodes[column] < latest).to_numpy(bool)
        rule = f"must not come before the days before it ({' <= '.join(COURSE)})"
        found += cell_problems("episodes", column, _day(episodes[column]), bad, rule, "mend one of the days")
        latest = episodes[column].fillna(latest)
    return found


def _ordered(dataset: Dataset, name: str, first: str, last: str, strict: bool) -> list[Problem]:
    frame = dataset.frames.get(name)
    if frame is None or first not in frame or last not in frame:
        return []
    bad = (frame[last] <= frame[first] if strict else frame[last] < frame[first]).to_numpy(bool)
    rule = f"must come after {first}" if strict else f"must not come before {first}"
    return cell_problems(name, last, _day(frame[last], moment=strict), bad, rule, "mend one of the two")


def _years(dataset: Dataset) -> list[Problem]:
    clients, therapists, episodes = dataset["clients"], dataset["therapists"], dataset["episodes"]
    first = episodes.groupby("client_id")["referred_on"].min().dt.year
    born = clients["birth_year"]
    unborn = (born > clients["client_id"].map(first).astype("Int64")).fillna(False).to_numpy(bool)
    began = therapists["practising_since"]
    early = (began < therapists["birth_year"] + _YOUNGEST_PRACTITIONER).fillna(False).to_numpy(bool)
    found = cell_problems("clients", "birth_year", born, unborn, "must not come after the first referral", "mend it")
    rule = f"practice cannot begin within {_YOUNGEST_PRACTITIONER} years of birth_year"
    return found + cell_problems("therapists", "practising_since", began, early, rule, "mend one of the two")


def _after_as_of(dataset: Dataset) -> list[Problem]:
    as_of = dataset.manifest.as_of
    if as_of is None:
        return []
    found: list[Problem] = []
    rule = f"says it has happened, but as_of is {as_of}"
    for name, frame in dataset.frames.items():
        for column in (c for c in HAPPENED.get(name, ()) if c in frame):
            bad = (frame[column] > pd.Timestamp(as_of)).to_numpy(bool)
            found += cell_problems(name, column, _day(frame[column]), bad, rule, "mend the day, or move as_of")
        for column in (c for c in YEARS.get(name, ()) if c in frame):
            bad = (frame[column] > as_of.year).fillna(False).to_numpy(bool)
            found += cell_problems(name, column, frame[column], bad, rule, "mend the year, or move as_of")
    return found


def _day(values: pd.Series, moment: bool = False) -> pd.Series:
    return values.dt.strftime("%Y-%m-%dT%H:%M%z" if moment else "%Y-%m-%d")
