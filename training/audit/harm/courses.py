"""Everybody who was referred, and what became of them, in columns: what is asked about harm is asked of these.

An outcome is 1 where it happened, 0 where it did not, and NaN where it is not known. Shares among those of whom it is
known say how often it happens to people like them; of all referred it is at least what happened, and at most what
happened and what is not known.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from data.instruments import INSTRUMENTS
from data.served import FOLLOWED, NEXT_AVAILABLE, NOBODY_YET, NOT_RANKED, OVERRIDDEN
from training.audit.harm.hiding import coded
from training.bands import UNKNOWN, thirds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.object_]

ARMS: Mapping[str, str] = {
    FOLLOWED: "ranked, and one of those shown was chosen",
    NEXT_AVAILABLE: "with whoever was free first: the ranking found no difference that was worth a wait and showed "
    "the soonest first, or a lot was drawn among those free",
    OVERRIDDEN: "ranked, and somebody decided otherwise, with a reason on record",
    NOT_RANKED: "placed by staff or by the client's own choice, and nothing was ranked",
    NOBODY_YET: "waiting, held back until a clinician has talked with them, or they declined all shown",
}
"""How a client came to their therapist, in words. Everybody who was referred is in one of them."""
NHS_PAIR = ("phq9", "gad7")
OTHERWISE = ("core10", "oq45", "ors")
"""Asked where a service gives neither of the two: each with its own reliable change."""
ANY = "any"
"""The outcome that holds all others."""
NOT_EARLY = 3
_COLUMNS = ("arm", "therapist", "started", "ending", "declined", "attended", "wait", "waiting")
_TABLES = ("groups", "first", "last")
_SLACK = 1e-9


@dataclass(frozen=True)
class Referrals:
    """One row for everyone who was referred, shape (n,) each."""

    arm: Words
    """One of `ARMS`."""
    groups: Mapping[str, Words]
    """Attribute -> the group of each; `severity_band` is among them."""
    therapist: Ints
    """Which therapist, -1 for nobody."""
    started: Bools
    ending: Words
    """How the course ended; empty for one that has not."""
    declined: Bools
    """Those who declined whom they were to see, or all who were shown to them."""
    attended: Floats
    """Sessions attended, NaN where not known."""
    wait: Floats
    """Days from the referral to the first session."""
    waiting: Floats
    """Days since the referral of those who have neither started nor ended; else NaN."""
    first: Mapping[str, Floats]
    """Instrument -> total at intake."""
    last: Mapping[str, Floats]
    """Instrument -> the last total of a later session."""

    @property
    def size(self) -> int:
        """How many were referred."""
        return len(self.arm)

    def rows(self, at: Ints) -> "Referrals":
        """Some of them, by position."""
        columns: dict[str, Any] = {name: getattr(self, name)[at] for name in _COLUMNS}
        for name in _TABLES:
            columns[name] = {key: values[at] for key, values in getattr(self, name).items()}
        return Referrals(**columns)

    @cached_property
    def outcomes(self) -> Mapping[str, Floats]:
        """What may have gone wrong: name -> 1 it did, 0 it did not, NaN not known."""
        return {name: outcome.of(self) for name, outcome in OUTCOMES.items()}

    @property
    def deaths(self) -> Bools:
        """Those who died during the course."""
        return np.asarray(self.ending == "died", dtype=np.bool_)

    @cached_property
    def stratum(self) -> Ints:
        """Whom each is compared with: those of the same third of severity at intake, or with none known."""
        return coded(self.groups["severity_band"])[1]


@dataclass(frozen=True)
class Outcome:
    """One thing that may have gone wrong."""

    label: str
    """As the head of a column."""
    words: str
    """In the middle of a sentence: 17 of 300 `words`."""
    meaning: str
    of: Callable[[Referrals], Floats]


def measured(instruments: Mapping[str, Floats]) -> tuple[str, ...]:
    """By which instruments worse is told from better: PHQ-9 and GAD-7, others only where neither was given."""
    known = [name for name, values in instruments.items() if not np.isnan(values).all()]
    pair = tuple(name for name in NHS_PAIR if name in known)
    return pair or tuple(name for name in OTHERWISE if name in known)


def reliably_worse(first: Mapping[str, Floats], last: Mapping[str, Floats]) -> Floats:
    """1: one instrument rose by its reliable change and no other fell by its own; 0: not so; NaN: no pair of scores.

    With PHQ-9 and GAD-7 (6 and 4 points) it is the NHS rule of `data.nhs`; of a client with one of the two it says what
    that one says, and clients with a single session count too: nobody who got worse is left out.
    """
    names = [name for name in measured(first) if name in last]
    size = len(next(iter(first.values()), np.zeros(0)))
    worse, better, known = (np.zeros(size, bool) for _ in range(3))
    for name in names:
        turn = 1.0 if INSTRUMENTS[name].direction == "lower" else -1.0
        rise, enough = turn * (last[name] - first[name]), INSTRUMENTS[name].reliable_change - _SLACK
        known |= ~np.isnan(rise)
        worse |= rise >= enough
        better |= rise <= -enough
    return np.where(known, (worse & ~better).astype(float), np.nan)


def severity_bands(first: Mapping[str, Floats], size: int) -> Words:
    """Thirds of how severe it was at intake: mean share of the range of the instruments given, among those referred."""
    shares = []
    for name in measured(first):
        one = INSTRUMENTS[name]
        share = (first[name] - one.low) / (one.high - one.low)
        shares.append(share if one.direction == "lower" else 1 - share)
    if not shares:
        return np.full(size, UNKNOWN, dtype=object)
    given = (~np.isnan(shares)).sum(axis=0)
    mean = np.where(given > 0, np.nansum(shares, axis=0) / np.maximum(given, 1), np.nan)
    low, high = np.nanquantile(mean, [1 / 3, 2 / 3])
    return thirds(mean, float(low), float(high))


def _worse(all_of: Referrals) -> Floats:
    return reliably_worse(all_of.first, all_of.last) if all_of.first else np.full(all_of.size, np.nan)


def _dropout(all_of: Referrals) -> Floats:
    value = np.where(_begun(all_of) & _over(all_of), 0.0, np.nan)
    value[all_of.ending == "dropout"] = 1.0
    return value


def _early_dropout(all_of: Referrals) -> Floats:
    dropped = all_of.ending == "dropout"
    if np.isnan(all_of.attended[dropped]).all() and dropped.any():  # of who dropped out nobody knows when
        return np.full(all_of.size, np.nan)
    stayed = (all_of.attended >= NOT_EARLY) | (all_of.ending == "planned")
    return np.where(dropped & (all_of.attended < NOT_EARLY), 1.0, np.where(stayed, 0.0, np.nan))


def _declined(all_of: Referrals) -> Floats:
    known = all_of.started | _over(all_of)
    return np.where(all_of.declined | (all_of.ending == "declined"), 1.0, np.where(known, 0.0, np.nan))


def _unplanned(all_of: Referrals) -> Floats:
    ended = _begun(all_of) & _over(all_of)
    return np.where(ended, (all_of.ending != "planned").astype(float), np.nan)


def _any(all_of: Referrals) -> Floats:
    parts = [_worse(all_of), _declined(all_of), _unplanned(all_of)]
    happened = np.any([part == 1 for part in parts], axis=0)
    return np.where(happened, 1.0, np.where(all_of.ending == "planned", 0.0, np.nan))


def _begun(all_of: Referrals) -> Bools:
    """Courses that began: one that ended as planned, or by dropping out, did so also where no day is on record."""
    return np.asarray(all_of.started | np.isin(all_of.ending, ["planned", "dropout"]), dtype=np.bool_)


def _over(all_of: Referrals) -> Bools:
    """Courses that have ended, other than by a death: that is looked at case by case."""
    return np.asarray((all_of.ending != "") & (all_of.ending != "died"), dtype=np.bool_)


OUTCOMES: Mapping[str, Outcome] = {
    "deteriorated": Outcome(
        "Got reliably worse",
        "got reliably worse",
        "the last score is worse than the first by at least the reliable change (PHQ-9: 6 points, GAD-7: 4), and the "
        "other questionnaire is not better by as much; known of those with a first and a last score",
        _worse,
    ),
    "dropout": Outcome(
        "Dropped out", "dropped out", "the client ended it without agreement; known of courses that ended", _dropout
    ),
    "early_dropout": Outcome(
        "Dropped out before session 3",
        "dropped out before the third session",
        "known of those who reached session 3, ended as planned, or dropped out",
        _early_dropout,
    ),
    "declined": Outcome(
        "Declined the match",
        "declined the match",
        "the client did not want whom they were to see, or any of those shown; known of those who started or ended",
        _declined,
    ),
    "unplanned": Outcome(
        "Ended otherwise than planned",
        "ended otherwise than planned",
        "dropped out, went to another therapist or service, or was ended by the service; deaths are not in it",
        _unplanned,
    ),
    ANY: Outcome(
        "Any of these",
        "had any of these",
        "it is on record that the client got reliably worse, dropped out, declined, or ended otherwise than planned; a "
        "planned ending without a last score counts as none of these",
        _any,
    ),
}
