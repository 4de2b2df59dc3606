"""What happens once a client and a therapist are matched: alliance, staying or leaving, sessions, and their days."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtr
from scipy.stats import nbinom

from data.synthetic.drawing import BoundedScores
from data.synthetic.intake import GAD7_SD, PHQ9_SD, Intake
from data.synthetic.plan import ARMS, Plan
from data.synthetic.truth import ALLIANCE_TO_DROPOUT, Truth, floored

MOST = 20
"""Sessions in a course at most: with a session a week or so, all lie within 26 weeks of the match."""
ONE_SESSION = 0.178
"""Share of starters with one session."""
LATE = 178
"""Last day of a course, counted from the match."""
NEVER_STARTS = 0.06
_LENGTH_R, _LENGTH_MEAN = 0.94, 5.9
_LEAVES_EARLY = 1.45
"""How much shorter the courses of those who drop out are, on a normal scale."""
_LEAVER_PENALTY = 0.42
_SHORT_COURSE = np.array([0.55, 0.30, 0.10] + [0.0] * (MOST - 3))
_ALLIANCE_TO_POST = 0.44
_ADHERENCE_TO_POST = 0.20
_MODERATE = 0.6
_ADHERENCE_VARIANCE = 0.03
_FAR, _MEAN_DISTANCE = 3.0, 0.91  # squared distance from the mean in variances, cut at 3: its mean
_HIGHEST_POST, _HIGHEST_FACTOR = 3.5, 2.6
_TO_SYMPTOMS, _TO_ALLIANCE = 0.21, 0.24
"""Lag-1 effects on the true deviations: noise in both measures brings what is seen down to about .06."""
_CARRY = 0.35
_OUTLOOK, _SESSION = 0.58, 0.48
"""Weights of what stays and what comes with a session in a score's deviation; the rest is the questionnaire's own."""
SCORE_PRECISION, STAYING_PRECISION = 8.0, 9.5
"""Of the beta distribution of a last score around its expectation, for those who respond and those who stay as they
came: the lower, the wider."""
_RESPONSE, _MOST_STAYING = 0.755, 0.6
"""Expected last score of those who respond, as a share of everyone's; the share that stays is at most the second."""


@dataclass
class Courses:
    """One entry per episode, filled as matches are made. Days count from `as_of`; NaN is "did not happen"."""

    therapist: np.ndarray
    matched: np.ndarray
    wait: np.ndarray
    started: np.ndarray
    last_held: np.ndarray
    ended: np.ndarray
    gap: np.ndarray
    sessions: np.ndarray
    leaves: np.ndarray
    """Whether the client drops out (meant for all who start, also where another ending came first)."""
    intended: np.ndarray
    """Sessions the course would have had without dropout (`informative-dropout` only; else as `sessions`)."""
    post: np.ndarray
    """Expected post composite of this course, in intake SDs."""


@dataclass(frozen=True)
class Luck:
    """The random numbers of every episode, drawn before anyone is matched."""

    dyad: np.ndarray
    leave: np.ndarray
    length: np.ndarray
    start: np.ndarray
    pace: np.ndarray
    close: np.ndarray
    adherence: np.ndarray
    responds: np.ndarray
    outlook: np.ndarray
    """(episodes): what keeps this client's scores above or below expectation all along."""
    symptom: np.ndarray
    alliance: np.ndarray
    """(episodes, sessions): deviations; a good alliance lowers the next symptoms, and few symptoms raise it."""
    phq9: np.ndarray
    gad7: np.ndarray
    hazard: np.ndarray


def luck(plan: Plan, rng: np.random.Generator) -> Luck:
    """Every episode's random numbers."""
    n = plan.episodes
    symptom, alliance = _reciprocal(rng, n)
    informative = ARMS[plan.arm].informative_dropout
    return Luck(
        dyad=rng.standard_normal(n),
        leave=rng.random(n),
        length=rng.standard_normal(n),
        start=rng.random(n),
        pace=rng.random(n),
        close=rng.random(n),
        adherence=rng.beta(4.2, 2.8, n),
        responds=rng.random(n),
        outlook=rng.standard_normal(n),
        symptom=symptom,
        alliance=alliance,
        phq9=rng.standard_normal((n, MOST)).astype(np.float32),
        gad7=rng.standard_normal((n, MOST)).astype(np.float32),
        hazard=rng.random((n, MOST)) if informative else np.empty((n, 0)),
    )


def blank(plan: Plan) -> Courses:
    """Courses of which nothing has happened yet."""
    n = plan.episodes
    return Courses(
        therapist=np.full(n, -1),
        matched=np.full(n, np.nan),
        wait=np.full(n, np.nan),
        started=np.full(n, np.nan),
        last_held=np.full(n, np.nan),
        ended=np.full(n, np.nan),
        gap=np.full(n, np.nan),
        sessions=np.zeros(n, int),
        leaves=np.zeros(n, bool),
        intended=np.zeros(n, int),
        post=np.full(n, np.nan),
    )


@dataclass(frozen=True)
class Rules:
    """Lookup tables that every course shares."""

    responding: BoundedScores
    staying: BoundedScores
    length_edges: np.ndarray
    leavers: float
    short: np.ndarray
    """(2): mean of the short-course factor among those who stay and those who leave."""


def rules() -> Rules:
    """The length of courses: one session for some, else 2 + a negative binomial, cut at `MOST`."""
    p = _LENGTH_R / (_LENGTH_R + _LENGTH_MEAN)
    more = nbinom.pmf(np.arange(MOST - 1), _LENGTH_R, p)
    shares = np.concatenate([[ONE_SESSION], (1 - ONE_SESSION) * more / more.sum()])
    edges, leavers = np.cumsum(shares)[:-1], 0.28
    grid = np.linspace(-4.5, 4.5, 2001)
    weight = np.exp(-(grid**2) / 2)
    short = [
        float(_SHORT_COURSE[_count(edges, leavers, grid - _LEAVES_EARLY * leaves) - 1] @ weight / weight.sum())
        for leaves in (0, 1)
    ]
    return Rules(BoundedScores(SCORE_PRECISION), BoundedScores(STAYING_PRECISION), edges, leavers, np.array(short))


def run(
    plan: Plan,
    truth: Truth,
    intake: Intake,
    drawn: Luck,
    shared: Rules,
    courses: Courses,
    rows: np.ndarray,
    therapists: np.ndarray,
    matched: np.ndarray,
    wait: np.ndarray,
) -> None:
    """Fills in the courses of `rows` with these therapists, matched on these days, first seen `wait` days later."""
    logit = truth.dropout_logit(rows, therapists)
    dyad = drawn.dyad[rows]
    chance = expit(logit - ALLIANCE_TO_DROPOUT * dyad)
    leaves = drawn.leave[rows] < chance
    count = _count(shared.length_edges, shared.leavers, drawn.length[rows] - _LEAVES_EARLY * leaves)
    post = floored(truth.composite[rows] - truth.needs.prognosis[rows] - truth.fit(rows, therapists))
    factor = _alliance_factor(dyad) * _adherence_factor(drawn.adherence[rows], dyad)
    intended = count
    if ARMS[plan.arm].informative_dropout:
        expected = post * _bounded(factor, post)
        intended = np.minimum(_count(shared.length_edges, 0.0, drawn.length[rows]) + 2, MOST)
        count, leaves = _leave_by_score(truth, intake, drawn, shared, rows, intended, expected, chance)
    else:
        factor = factor * np.where(leaves, 1 + _LEAVER_PENALTY * (1 - chance), 1 - _LEAVER_PENALTY * chance)
        factor = factor * (1 + _SHORT_COURSE[count - 1] - shared.short[leaves.astype(int)])
    post = post * _bounded(factor, post)
    courses.therapist[rows], courses.matched[rows], courses.wait[rows] = therapists, matched, wait
    courses.sessions[rows], courses.intended[rows] = count, intended
    courses.leaves[rows], courses.post[rows] = leaves, post
    _date(drawn, courses, rows)


def expected_shares(intake: Intake, rows: np.ndarray, post: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected last PHQ-9 and GAD-7 as shares of their ranges; their mean in intake SDs is `post`."""
    tilt = np.clip(0.12 * intake.lean[rows], -0.2, 0.2)
    phq9, gad7 = post * (1 + tilt) * PHQ9_SD / 27, post * (1 - tilt) * GAD7_SD / 21
    return np.minimum(phq9, 0.95), np.minimum(gad7, 0.95)


def scores(
    intake: Intake, drawn: Luck, shared: Rules, rows: np.ndarray, at: np.ndarray, last: np.ndarray, post: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """PHQ-9 and GAD-7 (before rounding) at attended session `at` (1, 2, ...) of a course measured last at `last`.

    Change follows the logarithm of the session (Stulz 2013) and is complete at `last`.
    """
    done = np.clip(np.log1p(at) / np.log1p(last), 0, 1)
    means = expected_shares(intake, rows, post)
    steady = _OUTLOOK * drawn.outlook[rows] + _SESSION * drawn.symptom[rows, at - 1]
    own = np.sqrt(1 - _OUTLOOK**2 - _SESSION**2)
    firsts = (intake.phq9.sum(axis=1)[rows] / 27, intake.gad7.sum(axis=1)[rows] / 21)
    found = []
    for mean, first, noise, top in zip(means, firsts, (drawn.phq9, drawn.gad7), (27, 21), strict=True):
        end = _end(shared, mean, first, drawn.responds[rows], steady + own * noise[rows, at - 1])
        found.append(top * ((1 - done) * first + done * end))
    return found[0], found[1]


def _end(shared: Rules, mean: np.ndarray, first: np.ndarray, responds: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Last scores with expectation `mean`: some clients stay about as they came, the others fall below the mean.

    Without the first group reliable improvement is far more common than in the NHS at the same recovery.
    """
    came = np.minimum(first, 0.97)
    ratio = np.minimum(mean / np.maximum(came, 0.02), 1.0)
    staying = np.minimum((1 - _RESPONSE) * ratio / (1 - _RESPONSE * ratio), _MOST_STAYING) * (ratio < 1)
    lower = (mean - staying * came) / (1 - staying)
    return np.where(responds < staying, shared.staying.share(came, z), shared.responding.share(lower, z))


def _reciprocal(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit-variance deviations in which a good alliance lowers the next symptoms and the reverse."""
    symptom, alliance = rng.standard_normal((2, n, MOST))
    joint = 0.0  # correlation of the two at the same session
    for j in range(1, MOST):
        before, bond = symptom[:, j - 1], alliance[:, j - 1]
        rest = [np.sqrt(1 - _CARRY**2 - lag**2 + 2 * _CARRY * lag * joint) for lag in (_TO_SYMPTOMS, _TO_ALLIANCE)]
        symptom[:, j] = _CARRY * before - _TO_SYMPTOMS * bond + rest[0] * symptom[:, j]
        alliance[:, j] = _CARRY * bond - _TO_ALLIANCE * before + rest[1] * alliance[:, j]
        joint = (_CARRY**2 + _TO_SYMPTOMS * _TO_ALLIANCE) * joint - _CARRY * (_TO_SYMPTOMS + _TO_ALLIANCE)
    return symptom, alliance


def _count(edges: np.ndarray, leavers: float, place: np.ndarray) -> np.ndarray:
    """Sessions from a normal score that is lower for those who leave; over all starters it has the wanted shares."""
    rank = (1 - leavers) * ndtr(place) + leavers * ndtr(place + _LEAVES_EARLY)
    return np.asarray(np.searchsorted(edges, rank, side="right") + 1)


def _bounded(factor: np.ndarray, post: np.ndarray) -> np.ndarray:
    """The factor drawn towards 1 where the score is high, so that it stays within range and its mean stays 1."""
    room = np.clip((_HIGHEST_POST / np.maximum(post, 1e-9) - 1) / (_HIGHEST_FACTOR - 1), 0, 1)
    return np.asarray(1 + room * (factor - 1))


def _alliance_factor(dyad: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-_ALLIANCE_TO_POST * dyad - _ALLIANCE_TO_POST**2 / 2))


def _adherence_factor(adherence: np.ndarray, dyad: np.ndarray) -> np.ndarray:
    """Moderate adherence is best, and only where the alliance is weak (Barber 2006); its mean is 1 for every dyad."""
    weak = np.clip(-dyad - 0.3, 0, 1.2)
    distance = np.minimum((adherence - _MODERATE) ** 2 / _ADHERENCE_VARIANCE, _FAR)
    return np.asarray(1 + _ADHERENCE_TO_POST * weak * (distance - _MEAN_DISTANCE))


def _leave_by_score(
    truth: Truth,
    intake: Intake,
    drawn: Luck,
    shared: Rules,
    rows: np.ndarray,
    intended: np.ndarray,
    post: np.ndarray,
    chance: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Sessions attended and whether the client left: after each session by therapist, alliance and the last score."""
    count, leaves = intended.copy(), np.zeros(len(rows), bool)
    base = -np.log1p(-np.clip(chance, 0.001, 0.95)) / 4.2
    for session in range(1, int(intended.max())):
        at = np.full(len(rows), session)
        phq9, gad7 = scores(intake, drawn, shared, rows, at, intended, post)
        gain = truth.composite[rows] - (phq9 / PHQ9_SD + gad7 / GAD7_SD) / 2
        hazard = 1 - np.exp(-base / session**0.3 * np.exp(-1.1 * (gain - 0.35)))
        goes = ~leaves & (session < intended) & (drawn.hazard[rows, session - 1] < hazard)
        count, leaves = np.where(goes, session, count), leaves | goes
    return count, leaves


def _date(drawn: Luck, courses: Courses, rows: np.ndarray) -> None:
    """Days of the first and last session and of the ending; those who never start decline within two weeks."""
    matched, wait, count = courses.matched[rows], courses.wait[rows], courses.sessions[rows]
    declines = drawn.start[rows] < NEVER_STARTS
    gap = np.minimum(7 + 4.5 * drawn.pace[rows], (LATE - wait) / np.maximum(count, 1))
    last = matched + wait + np.floor((count - 1) * gap)
    closing = np.where(courses.leaves[rows], 10 + 12 * drawn.close[rows], 6 * drawn.close[rows])
    courses.gap[rows] = gap
    courses.started[rows] = np.where(declines, np.nan, matched + wait)
    courses.last_held[rows] = np.where(declines, np.nan, last)
    courses.ended[rows] = np.where(declines, matched + 1 + np.floor(13 * drawn.close[rows]), last + np.floor(closing))
    courses.sessions[rows] = np.where(declines, 0, count)
