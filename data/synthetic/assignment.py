"""Who was offered to whom and who was chosen: week by week, under capacity, not at random."""

from dataclasses import dataclass

import numpy as np

from data.synthetic import course
from data.synthetic.eligibility import eligible
from data.synthetic.intake import Intake
from data.synthetic.people import Referrals
from data.synthetic.plan import ARMS, Plan
from data.synthetic.terms import preferences_met
from data.synthetic.truth import Truth

WEEK = 7
RANDOM_SHARE = 0.03
"""Clients assigned by lot among their offers."""
CHOICE, STAFF, ALGORITHM, RANDOM = range(4)


@dataclass(frozen=True)
class Assignment:
    """What the weeks brought. Offers are rows (episode, therapist) with the probability of being assigned."""

    courses: course.Courses
    offers: np.ndarray
    propensity: np.ndarray
    how: np.ndarray
    """(episodes): CHOICE, STAFF, ALGORITHM or RANDOM."""


@dataclass(frozen=True)
class _Week:
    """Who seeks a match in one week, and what each therapist has to give."""

    rows: np.ndarray
    places: np.ndarray
    wait: np.ndarray


def assign(
    plan: Plan, truth: Truth, referrals: Referrals, intake: Intake, rng: np.random.Generator, drawn: course.Luck
) -> Assignment:
    """Runs through the weeks; every client without a free therapist asks again the week after."""
    courses, shared = course.blank(plan), course.rules()
    how = np.where(rng.random(plan.episodes) < RANDOM_SHARE, RANDOM, rng.choice(3, plan.episodes, p=(0.5, 0.4, 0.1)))
    sought = referrals.day + referrals.delay
    week_of = np.floor((sought - sought.min()) / WEEK).astype(int)
    order = np.argsort(week_of, kind="stable")
    starts = np.searchsorted(week_of[order], np.arange(week_of[sought <= 0].max() + 2))
    late: np.ndarray = np.empty(0, int)
    pairs: list[np.ndarray] = []
    chances: list[np.ndarray] = []
    open_cases = _OpenCases(len(truth.therapist_ids))
    for week in range(len(starts) - 1):
        monday = sought.min() + WEEK * week
        rows = np.concatenate([late, order[starts[week] : starts[week + 1]]])
        rows = rows[sought[rows] <= 0]
        day = np.minimum(np.maximum(sought[rows], monday), 0.0)
        wait = 2 + np.floor(rng.gamma(2.2, 3.6, len(truth.therapist_ids)))
        places = truth.staff.capacity - open_cases.on(monday)
        late, offers, chance = _one_week(
            plan, truth, intake, rng, drawn, shared, courses, _Week(rows, places, wait), day, how
        )
        open_cases.add(courses, rows)
        pairs.append(offers)
        chances.append(chance)
    return Assignment(courses, np.concatenate(pairs), np.concatenate(chances), how)


class _OpenCases:
    """Matches that have not ended, counted per therapist."""

    def __init__(self, therapists: int):
        self._therapists = therapists
        self._therapist = np.empty(0, int)
        self._ended = np.empty(0)

    def on(self, day: float) -> np.ndarray:
        still = self._ended >= day
        self._therapist, self._ended = self._therapist[still], self._ended[still]
        return np.bincount(self._therapist, minlength=self._therapists)

    def add(self, courses: course.Courses, rows: np.ndarray) -> None:
        matched = rows[courses.therapist[rows] >= 0]
        self._therapist = np.concatenate([self._therapist, courses.therapist[matched]])
        self._ended = np.concatenate([self._ended, courses.ended[matched]])


def _one_week(
    plan: Plan,
    truth: Truth,
    intake: Intake,
    rng: np.random.Generator,
    drawn: course.Luck,
    shared: course.Rules,
    courses: course.Courses,
    week: _Week,
    day: np.ndarray,
    how: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matches until everyone has a therapist or no place is left; who is left, the offers, their probabilities."""
    clients = truth.clients.take(truth.client_of[week.rows])
    allowed = eligible(plan, clients, day, truth.staff)
    at_hand = np.where(allowed, rng.random(allowed.shape), np.inf)
    places, waiting = week.places.copy(), np.arange(len(week.rows))
    pairs, chances = [np.empty((0, 2), int)], [np.empty(0)]
    while len(waiting):
        offers = _nearest(np.where(places > 0, at_hand[waiting], np.inf), plan.offers)
        some = (offers >= 0).any(axis=1)
        if not some.any():
            break
        asking, offers = waiting[some], offers[some]
        rows = week.rows[asking]
        chance = _probabilities(plan, truth, rows, offers, week.wait, how[rows] == RANDOM)
        pick = _draw(chance, rng)
        therapist = offers[np.arange(len(pick)), pick]
        taken = _first_come(therapist, places)
        got = asking[taken]
        course.run(
            plan, truth, intake, drawn, shared, courses, week.rows[got], therapist[taken], day[got],
            week.wait[therapist[taken]],
        )  # fmt: skip
        places = places - np.bincount(therapist[taken], minlength=len(places))
        shown = (offers >= 0) & taken[:, None]
        pairs.append(np.column_stack([np.broadcast_to(rows[:, None], offers.shape)[shown], offers[shown]]))
        chances.append(chance[shown])
        waiting = np.concatenate([asking[~taken], waiting[~some]])
    return week.rows[waiting], np.concatenate(pairs), np.concatenate(chances)


def _nearest(keys: np.ndarray, many: int) -> np.ndarray:
    """The `many` therapists with the smallest finite keys, -1 where there are fewer."""
    many = min(many, keys.shape[1])
    found = np.argpartition(keys, many - 1, axis=1)[:, :many]
    return np.where(np.isfinite(np.take_along_axis(keys, found, axis=1)), found, -1)


def _probabilities(
    plan: Plan, truth: Truth, rows: np.ndarray, offers: np.ndarray, wait: np.ndarray, by_lot: np.ndarray
) -> np.ndarray:
    """Softmax over the offers: the soonest slot, wishes, training, site, a mild bias by severity, and the arm's."""
    therapists = np.maximum(offers, 0)
    e, clients, staff = rows[:, None], truth.clients, truth.staff
    client = truth.client_of[e]
    severity = truth.severity[e]
    utility = -0.07 * wait[therapists] + 1.1 * preferences_met(clients, client, staff, therapists, severity)
    utility = utility + 0.5 * staff.trained[therapists, clients.problem[client]]
    utility = utility + 0.8 * (staff.site[therapists] == clients.site[client])
    utility = utility + 0.12 * severity * np.where(staff.skill_known, staff.skill, 0)[therapists]
    if plan.severity_to_better:
        driver = clients.hidden[client] if ARMS[plan.arm].hidden_severity else severity
        main = truth.effects.main[truth.era[e], therapists]
        utility = utility + plan.severity_to_better * driver * main / max(truth.effects.main.std(), 1e-9)
    utility = np.where(offers >= 0, np.where(by_lot[:, None], 0.0, utility), -np.inf)
    odds = np.exp(utility - utility.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _draw(chance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    edges = chance.cumsum(axis=1)
    return np.asarray((edges < rng.random((len(chance), 1)) * edges[:, -1:]).sum(axis=1))


def _first_come(therapist: np.ndarray, places: np.ndarray) -> np.ndarray:
    """True for those who get the place they chose: in order, until the therapist's places are taken."""
    order = np.argsort(therapist, kind="stable")
    ordered = therapist[order]
    start = np.searchsorted(ordered, ordered)
    taken = np.empty(len(therapist), bool)
    taken[order] = np.arange(len(ordered)) - start < places[ordered]
    return taken
