"""Courses of the synthetic clinic as tables of the data contract: episodes, offers, sessions, measures.

Nothing dated after `as_of` is written: courses still running then are `ongoing`, with what was known on that day.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.synthetic import course, words
from data.synthetic.assignment import ALGORITHM, RANDOM, Assignment
from data.synthetic.drawing import days, identifiers, integers, labels
from data.synthetic.people import Referrals
from data.synthetic.plan import Plan
from data.synthetic.truth import Truth

ENDINGS = (
    "planned",
    "dropout",
    "declined",
    "transferred",
    "stepped_up",
    "service_ended",
    "other",
    "ongoing",
    "waiting",
)
PLANNED, DROPOUT, DECLINED, ONGOING, WAITING = 0, 1, 2, 7, 8
CENSORED = (0.025, 0.04, 0.02, 0.02)
"""Shares of starters who are transferred, stepped up, whose service ended, or who left for other reasons."""


@dataclass(frozen=True)
class Held:
    """One entry per attended session that lies on or before `as_of`, in order of episode and session."""

    episode: np.ndarray
    number: np.ndarray
    day: np.ndarray
    count: np.ndarray
    """(episodes): attended sessions up to `as_of`."""

    @property
    def starts(self) -> np.ndarray:
        """Row of each episode's first session, shape (episodes)."""
        return np.asarray(np.cumsum(self.count) - self.count)


def held(courses: course.Courses) -> Held:
    """Every attended session up to `as_of`."""
    planned = courses.sessions
    episode = np.repeat(np.arange(len(planned)), planned)
    number = np.arange(len(episode)) - np.repeat(np.cumsum(planned) - planned, planned) + 1
    day = courses.started[episode] + np.floor((number - 1) * courses.gap[episode])
    known = day <= 0
    count = np.bincount(episode[known], minlength=len(planned))
    return Held(episode[known], number[known], day[known], count)


def endings(courses: course.Courses, rng: np.random.Generator) -> np.ndarray:
    """Codes into `ENDINGS`; who is transferred or stepped up is independent of who would drop out."""
    edges = np.cumsum(CENSORED)
    place = np.searchsorted(edges, rng.random(len(courses.sessions)), side="right")
    code = np.where(place < len(edges), 3 + place, np.where(courses.leaves, DROPOUT, PLANNED))
    code = np.where(np.isnan(courses.started), DECLINED, code)
    code = np.where(courses.ended > 0, ONGOING, code)
    return np.where(courses.therapist < 0, WAITING, code)


def episodes(
    plan: Plan,
    truth: Truth,
    referrals: Referrals,
    assignment: Assignment,
    ending: np.ndarray,
    attended: Held,
    first_site: int,
) -> pd.DataFrame:
    """The courses; the probability of assignment is logged only where an algorithm or a lot decided."""
    courses = assignment.courses
    assigned = courses.therapist >= 0
    logged = np.isin(assignment.how, (ALGORITHM, RANDOM))
    own = truth.therapist[truth.offers[:, 0]] == truth.offers[:, 1]
    chance = np.full(plan.episodes, np.nan)
    chance[truth.offers[own, 0]] = truth.propensity[own]
    over = assigned & (ending < ONGOING)
    site = truth.clients.site[truth.client_of]
    return pd.DataFrame(
        {
            "episode_id": labels(truth.episode_ids.tolist(), np.arange(plan.episodes)),
            "client_id": identifiers("c", truth.clients.numbers).iloc[truth.client_of].reset_index(drop=True),
            "therapist_id": labels(truth.therapist_ids.tolist(), courses.therapist),
            "referred_on": days(plan.as_of, referrals.day),
            "matched_on": days(plan.as_of, courses.matched),
            "started_on": days(plan.as_of, np.where(courses.started <= 0, courses.started, np.nan)),
            "ended_on": days(plan.as_of, np.where(over, courses.ended, np.nan)),
            "ending": labels(ENDINGS, ending),
            "assigned_by": labels(("choice", "staff", "algorithm", "random"), np.where(assigned, assignment.how, -1)),
            "propensity": np.where(logged, chance, np.nan),
            "site": labels([f"site-{first_site + i + 1}" for i in range(int(site.max()) + 1)], site),
            "referral_source": labels(words.REFERRERS, referrals.source),
            "sessions_attended": integers(attended.count, assigned),
        }
    )


def offers(truth: Truth) -> pd.DataFrame:
    """Who was at hand for whom on the day."""
    return pd.DataFrame(
        {
            "episode_id": labels(truth.episode_ids.tolist(), truth.offers[:, 0]),
            "therapist_id": labels(truth.therapist_ids.tolist(), truth.offers[:, 1]),
        }
    )


def sessions(
    plan: Plan, truth: Truth, drawn: course.Luck, ending: np.ndarray, attended: Held, rng: np.random.Generator
) -> pd.DataFrame:
    """Booked sessions: the attended ones, those missed before them, and the missed ones by which a dropout shows."""
    missed = rng.random(len(attended.episode)) < np.where(attended.number > 1, 0.10, 0.0)
    quits = np.flatnonzero((ending == DROPOUT) & (attended.count > 0))
    end = (attended.starts + attended.count - 1)[quits]
    episode = np.concatenate([attended.episode, attended.episode[missed], quits])
    day = np.concatenate([attended.day, attended.day[missed] - 3, np.minimum(attended.day[end] + 7, 0)])
    kind = rng.random(len(episode))
    status = np.where(kind < 0.4, 1, np.where(kind < 0.85, 2, 3))
    status[: len(attended.episode)] = 0
    status[len(status) - len(quits) :] = 2
    order = np.lexsort((day, episode))
    episode, day, status = episode[order], day[order], status[order]
    starts = np.searchsorted(episode, episode)
    rated = (status == 0) & (rng.random(len(episode)) < 0.6)
    adherence = np.clip(drawn.adherence[episode] + 0.06 * rng.standard_normal(len(episode)), 0, 1)
    observed = (status == 0) & (rng.random(len(episode)) < 0.08)
    synchrony = np.clip(0.5 + 0.12 * drawn.dyad[episode] + 0.12 * rng.standard_normal(len(episode)), 0, 1)
    return pd.DataFrame(
        {
            "episode_id": labels(truth.episode_ids.tolist(), episode),
            "session": integers(np.arange(len(episode)) - starts + 1),
            "held_on": days(plan.as_of, day),
            "status": labels(("attended", "late_cancel", "did_not_attend", "cancelled_by_service"), status),
            "adherence": np.where(rated, adherence.round(3), np.nan),
            "synchrony": np.where(observed, synchrony.round(3), np.nan),
        }
    )


def taken(attended: Held, reachable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which attended sessions have symptom scores: some clients answer at intake only, most nearly always."""
    never = rng.random(len(reachable)) < 0.05 + 0.05 * reachable
    often = np.where(never, 0.0, np.clip(0.94 - 0.06 * reachable, 0, 1))
    return np.asarray(rng.random(len(attended.episode)) < often[attended.episode])
