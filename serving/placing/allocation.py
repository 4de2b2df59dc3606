"""A waiting list as the solver reads it, by the service's own chain: safety, hard rules, fits of the eligible."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data.errors import ConfigError, Problem, RequestError
from features.columns import Floats, Ints
from features.eligibility import Judgement, judge
from features.rows import CLIENT_KINDS
from serving.answering.intake import client_table
from serving.answering.matcher import Matcher, Question, well_asked
from serving.answering.safety import Assessment, assess
from serving.placing.cases import OpenCases, Waiting, at_risk, severe
from training.assignment_list import FLOOR, Group, Limit, Options, WaitingList
from training.ranking import utility

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Terms:
    """What an allocation must keep beside the hard rules."""

    max_extra_days: float | None = None
    most_severe: int | None = None
    """Severe cases that a therapist may carry, those already open included."""
    most_risk: int | None = None
    """The same for clients who reported thoughts of self-harm."""
    most_new: int | None = None
    """Clients of this list that a therapist may take."""
    floor: float = FLOOR
    groups: tuple[str, ...] = ()
    """Columns of the clients table by whose values the fairness floor is kept."""


@dataclass(frozen=True)
class Client:
    """One readable client of the list: who may see them, and what each would bring."""

    asked: Question
    assessment: Assessment
    judgement: Judgement
    rows: Ints
    """Directory rows of the eligible."""
    utility: Floats
    """(eligible,)"""
    severity: float
    severe: bool
    risk: bool


@dataclass(frozen=True)
class Posed:
    """The list as the solver reads it; entry i of `clients` is the i-th in order, or why it cannot be read."""

    clients: tuple[Client | list[Problem], ...]
    problem: WaitingList


def pose(matcher: Matcher, waiting: Sequence[Waiting], cases: OpenCases, terms: Terms, now: dt.datetime) -> Posed:
    """The waiting list under hard rules, places and terms. Raises ConfigError for a group that is no client column."""
    strange = [_strange(name) for name in terms.groups if not is_group(name, matcher)]
    if strange:
        raise ConfigError(strange)
    clients = tuple(_client(matcher, one, now) for one in waiting)
    return Posed(clients, _problem(matcher, clients, cases, terms, now))


def _client(matcher: Matcher, one: Waiting, now: dt.datetime) -> Client | list[Problem]:
    if one.request is None:
        return list(one.problems)
    try:
        asked = well_asked(matcher, one.request, now)
    except RequestError as error:
        return list(error.problems)
    found = assess(one.request.measures, matcher.settings.safety, matcher.today(now))
    assessment = found.still_held() if one.held else found
    judgement = judge(asked.practice, asked.ask)
    rows = np.flatnonzero(judgement.eligible)
    worth = np.zeros(0)
    if len(rows):
        fits = matcher.bundle.posteriors(asked.client, matcher.prepared(asked.day), rows)
        worth = np.zeros(len(rows)) if asked.new_to else utility(fits, matcher.bundle.weighing)
    ranges = matcher.bundle.manifest.severity_of
    return Client(
        asked=asked,
        assessment=assessment,
        judgement=judgement,
        rows=rows,
        utility=worth,
        severity=float(asked.client.number("severity")[0]),
        severe=bool(severe(asked.client, ranges)[0]),
        risk=assessment.needs_task or bool(at_risk(asked.client)[0]),
    )


def _problem(
    matcher: Matcher, clients: Sequence[Client | list[Problem]], cases: OpenCases, terms: Terms, now: dt.datetime
) -> WaitingList:
    places = matcher.directory.places(now)
    if terms.most_new is not None:
        places = np.minimum(places, terms.most_new)
    flags = [(one.severe, one.risk) if isinstance(one, Client) else (False, False) for one in clients]
    is_severe, is_risk = (np.array([flag[i] for flag in flags], dtype=bool) for i in range(2))
    limits = [
        Limit(name, counted, most - np.bincount(cases.therapist[carried], minlength=len(places)))
        for name, most, counted, carried in (
            ("most severe cases", terms.most_severe, is_severe, cases.severe),
            ("most cases at risk", terms.most_risk, is_risk, cases.risk),
        )
        if most is not None
    ]
    options = _options(matcher, clients)
    groups = _groups(clients, terms.groups)
    return WaitingList(len(clients), options, places, limits, groups, terms.max_extra_days, terms.floor)


def _options(matcher: Matcher, clients: Sequence[Client | list[Problem]]) -> Options:
    """A row for each client, eligible therapist and bookable appointment; one row where there is no appointment."""
    found: list[tuple[Ints, Ints, Floats, Floats, Ints]] = []
    slots = matcher.directory.practice.slots
    for number, one in enumerate(clients):
        if not isinstance(one, Client) or not len(one.rows):
            continue
        worth = np.full(matcher.directory.size, np.nan)
        worth[one.rows] = one.utility
        booked = np.flatnonzero(one.judgement.bookable & ~np.isnan(worth[slots.therapist]))
        without = np.setdiff1d(one.rows, slots.therapist[booked])
        therapist = np.concatenate([slots.therapist[booked], without])
        starts = slots.starts_at[booked].astype("datetime64[D]")
        days = (starts - one.asked.ask.day.astype("datetime64[D]")).astype(np.float64)
        wait = np.concatenate([days, np.full(len(without), np.nan)])
        slot = np.concatenate([booked, np.full(len(without), -1)])
        found.append((np.full(len(therapist), number), therapist, worth[therapist], wait, slot))
    if not found:
        none, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
        return Options(none, none, nothing, nothing, none)
    client, therapist, value, wait, slot = (np.concatenate(column) for column in zip(*found, strict=True))
    return Options(client, therapist, value, wait, slot)


def _groups(clients: Sequence[Client | list[Problem]], names: Sequence[str]) -> list[Group]:
    found = []
    for name in names:
        words = np.array([_word(one, name) if isinstance(one, Client) else "" for one in clients], dtype=object)
        found += [Group(f"{name}={word}", words == word) for word in sorted(set(words) - {""})]
    return found


def _word(one: Client, name: str) -> str:
    """The client's value of a column; the first of several; unknown is a group of its own."""
    value: Any = client_table(one.asked.request).get(name, [None])[0]
    return UNKNOWN if value is None else str(value).partition("|")[0]


def is_group(name: str, matcher: Matcher) -> bool:
    """Whether clients have such a column, so that its values make groups."""
    return name in CLIENT_KINDS or name in matcher.client_kinds


def _strange(name: str) -> Problem:
    return Problem("--groups", name, "must be a column of the clients table", "name one, such as gender")
