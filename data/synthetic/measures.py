"""Answers of the synthetic clinic as the table `measures`: symptoms, alliance, daily life."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.synthetic import course, words
from data.synthetic.drawing import days, integers, labels, whole
from data.synthetic.intake import Intake
from data.synthetic.people import Referrals
from data.synthetic.plan import ARMS, Plan
from data.synthetic.records import Held
from data.synthetic.truth import ALLIANCE_MEAN, DYAD_SD, Truth, rating_scores

INSTRUMENTS = ("phq9", "gad7", "wai_sr", "wsas", "absence_days")
ITEMS = ("0", *(str(i) for i in range(1, 10)), "goal", "task", "bond")
PHQ9, GAD7, WAI, WSAS, ABSENCE = range(5)
_SESSION_SD, _SHARED_SD, _BOND_SD = 0.32, 0.37, 0.57
RATED = np.array([0.25, 0.25, 0.72, 0.72, 0.72] + [0.0, 0.30] * 10)[: course.MOST]
"""Chance that an alliance rating is asked for and given after attended session 1, 2, ..."""


@dataclass(frozen=True)
class Rows:
    """Rows of the table `measures`, as codes."""

    episode: np.ndarray
    session: np.ndarray
    instrument: np.ndarray
    item: np.ndarray
    day: np.ndarray
    value: np.ndarray


def measures(
    plan: Plan,
    truth: Truth,
    referrals: Referrals,
    intake: Intake,
    drawn: course.Luck,
    courses: course.Courses,
    attended: Held,
    symptoms: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Every answer given up to `as_of`."""
    asked = np.where(np.isnan(courses.matched), 0.0, courses.matched)
    day = referrals.day + np.floor(rng.random(plan.episodes) * (asked - referrals.day + 1))
    scores, last = _symptoms(plan, intake, drawn, courses, attended, symptoms, rng)
    parts = [
        *_at_intake(plan, truth, intake, day, rng),
        *scores,
        *_at_the_end(truth, intake, courses, attended, last, rng),
        *_alliance(truth, drawn, courses, attended, rng),
    ]
    merged = [np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__dataclass_fields__]
    whole_rows = Rows(*merged)
    order = np.lexsort((whole_rows.session, whole_rows.episode))
    r = Rows(*(column[order] for column in merged))
    return pd.DataFrame(
        {
            "episode_id": labels(truth.episode_ids.tolist(), r.episode),
            "session": integers(r.session),
            "instrument": labels(INSTRUMENTS, r.instrument),
            "item": labels(ITEMS, r.item),
            "rater": labels(("client",), np.zeros(len(r.episode), int)),
            "taken_on": days(plan.as_of, r.day),
            "value": r.value.astype(float),
        }
    )


def _rows(
    episode: np.ndarray, session: np.ndarray | int, what: int, item: int, day: np.ndarray, value: np.ndarray
) -> Rows:
    n = len(episode)
    return Rows(episode, np.broadcast_to(session, n), np.full(n, what), np.full(n, item), day, value)


def _at_intake(plan: Plan, truth: Truth, intake: Intake, day: np.ndarray, rng: np.random.Generator) -> list[Rows]:
    """Items and totals of PHQ-9 and GAD-7, WSAS, days of absence; a few clients were not assessed."""
    answered = np.flatnonzero(rng.random(plan.episodes) > 0.02)
    when = day[answered]
    rows = []
    for what, items in ((PHQ9, intake.phq9), (GAD7, intake.gad7)):
        rows += [_rows(answered, 0, what, i + 1, when, items[answered, i]) for i in range(items.shape[1])]
        rows.append(_rows(answered, 0, what, 0, when, items[answered].sum(axis=1)))
    lives = answered[rng.random(len(answered)) < 0.85]
    rows.append(_rows(lives, 0, WSAS, 0, day[lives], intake.wsas[lives]))
    works = _employed(truth)[lives]
    absent = rng.negative_binomial(0.5, 0.5 / (0.5 + np.exp(0.9 + 0.5 * intake.severity[lives[works]])))
    rows.append(_rows(lives[works], 0, ABSENCE, 0, day[lives[works]], np.minimum(absent, 28)))
    return rows


def _employed(truth: Truth) -> np.ndarray:
    return np.asarray((truth.clients.employment == words.EMPLOYMENT.index("employed"))[truth.client_of])


def _symptoms(
    plan: Plan,
    intake: Intake,
    drawn: course.Luck,
    courses: course.Courses,
    attended: Held,
    symptoms: np.ndarray,
    rng: np.random.Generator,
) -> tuple[list[Rows], np.ndarray]:
    """Totals at the sessions where they were taken, and the composite of the last of them (NaN without)."""
    e, number, day = attended.episode[symptoms], attended.number[symptoms], attended.day[symptoms]
    informative = ARMS[plan.arm].informative_dropout
    running = courses.ended > 0
    last_measured = np.ones(plan.episodes, int)
    np.maximum.at(last_measured, e, number)
    last = np.where(running, np.maximum(courses.sessions, 1), last_measured)
    last = np.maximum(courses.intended, 1) if informative else last
    phq9, gad7 = course.scores(intake, drawn, course.rules(), e, number, last[e], courses.post[e])
    phq9, gad7 = whole(phq9, rng), whole(gad7, rng)
    composite = np.full(plan.episodes, np.nan)
    composite[e] = (phq9 / 6 + gad7 / 5) / 2  # sessions come in order: the last one stays
    return [_rows(e, number, PHQ9, 0, day, phq9), _rows(e, number, GAD7, 0, day, gad7)], composite


def _at_the_end(
    truth: Truth,
    intake: Intake,
    courses: course.Courses,
    attended: Held,
    last: np.ndarray,
    rng: np.random.Generator,
) -> list[Rows]:
    """WSAS and days of absence at the last session of courses that are over."""
    over = (courses.ended <= 0) & (attended.count > 0) & np.isfinite(last)
    e = np.flatnonzero(over & (rng.random(len(last)) < 0.8))
    at = (attended.starts + attended.count - 1)[e]
    gain = truth.composite[e] - last[e]
    value = intake.wsas[e] - 5.7 - 4.2 * (gain - 1.0) + 6.0 * rng.standard_normal(len(e))
    rows = [_rows(e, attended.number[at], WSAS, 0, attended.day[at], np.clip(np.round(value), 0, 40))]
    works = _employed(truth)[e]
    absent = rng.negative_binomial(0.5, 0.5 / (0.5 + np.exp(0.2 + 0.5 * (last[e[works]] - 1.3))))
    day = attended.day[at[works]]
    return [*rows, _rows(e[works], attended.number[at[works]], ABSENCE, 0, day, np.minimum(absent, 28))]


def _alliance(
    truth: Truth, drawn: course.Luck, courses: course.Courses, attended: Held, rng: np.random.Generator
) -> list[Rows]:
    """WAI-SR subscales and their mean: client, therapist, dyad, session and subscale add up on a normal scale."""
    asked = rng.random(len(attended.episode)) < RATED[attended.number - 1]
    e, number, day = attended.episode[asked], attended.number[asked], attended.day[asked]
    level = truth.alliance_score(e, courses.therapist[e]) + DYAD_SD * drawn.dyad[e]
    level = level + _SESSION_SD * drawn.alliance[e, number - 1]
    goal_task = _SHARED_SD * rng.standard_normal(len(e))
    bond = _BOND_SD * rng.standard_normal(len(e))
    scores, parts = rating_scores(), []
    for shared in (goal_task, goal_task, bond):
        z = level + shared + (_BOND_SD**2 - _SHARED_SD**2) ** 0.5 * rng.standard_normal(len(e)) * (shared is goal_task)
        parts.append(whole(16 * scores.share(np.full(len(e), ALLIANCE_MEAN), z), rng) / 4 + 1)
    names = [ITEMS.index(name) for name in ("goal", "task", "bond")]
    rows = [_rows(e, number, WAI, item, day, part) for item, part in zip(names, parts, strict=True)]
    return [*rows, _rows(e, number, WAI, 0, day, np.mean(parts, axis=0))]
