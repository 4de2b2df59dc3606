"""The clients of the synthetic clinic: their circumstances, needs, wishes, and the day of each referral."""

from dataclasses import dataclass, fields, replace

import numpy as np

from data.synthetic import words
from data.synthetic.drawing import choose
from data.synthetic.plan import Plan
from data.synthetic.staff import jurisdictions, sites

NOISE = ("height_cm", "pets", "birth_month", "phone_age_years", "lucky_number", "screen_hours")
"""Declared client columns that have no effect on anything."""
NO_WISH = -1


@dataclass(frozen=True)
class Clients:
    """One entry per client; categories are codes into `words`, -1 or NaN is unknown."""

    numbers: np.ndarray
    birth_year: np.ndarray
    gender: np.ndarray
    ethnicity: np.ndarray
    languages: np.ndarray
    interpreter: np.ndarray
    jurisdiction: np.ndarray
    payer: np.ndarray
    modalities: np.ndarray
    problem: np.ndarray
    second_problem: np.ndarray
    level: np.ndarray
    prior_episodes: np.ndarray
    expectancy: np.ndarray
    motivation: np.ndarray
    support: np.ndarray
    employment: np.ndarray
    deprivation: np.ndarray
    long_term: np.ndarray
    disability: np.ndarray
    sexual_orientation: np.ndarray
    styles: np.ndarray
    """(clients, 3): wanted directiveness, expressiveness, homework; NaN = no wish."""
    wish: np.ndarray
    """(clients, topics): wanted value, or `NO_WISH`."""
    strength: np.ndarray
    """(clients, topics): code into `words.STRENGTHS`."""
    half_days: np.ndarray
    care_only: np.ndarray
    site: np.ndarray
    hidden: np.ndarray
    """What no table holds: severity beyond the questionnaires (it matters in the arm `hidden` only)."""
    area: np.ndarray
    noise: np.ndarray

    def take(self, rows: np.ndarray) -> "Clients":
        """The clients in these rows."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class Referrals:
    """One entry per episode."""

    client: np.ndarray
    """Row of the client."""
    day: np.ndarray
    delay: np.ndarray
    """Days until a match is sought."""
    source: np.ndarray


def admit(plan: Plan, rng: np.random.Generator, first: int = 0) -> tuple[Clients, Referrals]:
    """Clients numbered from `first`, and their referrals in order of the day; about one in twenty comes back."""
    back = int(plan.episodes * 0.05) if plan.years > 2 else 0
    n = plan.episodes - back
    clients = _clients(plan, rng, n, first)
    span = plan.years * 365.25
    once = np.floor(rng.uniform(-span, 1, n))
    early = np.flatnonzero(once < -450)
    returning = rng.choice(early, size=min(back, len(early)), replace=False)
    again = np.floor(rng.uniform(once[returning] + 420, 0))
    extra = rng.integers(0, n, 0) if len(returning) == back else _more(rng, n, back - len(returning), returning)
    client = np.concatenate([np.arange(n), returning, extra])
    day = np.concatenate([once, again, np.floor(rng.uniform(-span, 0, len(extra)))])
    order = np.argsort(day, kind="stable")
    total = len(client)
    delay = np.floor(rng.exponential(9, total))
    return clients, Referrals(client[order], day[order], delay, choose(rng, (0.45, 0.3, 0.15, 0.1), total))


def _more(rng: np.random.Generator, n: int, wanted: int, taken: np.ndarray) -> np.ndarray:
    return rng.choice(np.setdiff1d(np.arange(n), taken), size=wanted, replace=False)


def _clients(plan: Plan, rng: np.random.Generator, n: int, first: int) -> Clients:
    year = plan.as_of.year
    age = np.clip(rng.gamma(6.2, 6.2, n) + 3, 14, 88)
    ethnicity = choose(rng, (0.52, 0.22, 0.09, 0.11, 0.04, 0.02), n)
    deprivation = np.clip(np.round(rng.normal(5.6 - 1.2 * (ethnicity > 0), 2.7)), 1, 10)
    employment = np.select([age < 22, age > 66], [2, 3], choose(rng, (0.66, 0.19, 0.08, 0.0, 0.07), n))
    support = rng.beta(3.2, 2.2, n)
    unknown = rng.random((n, 5)) < (0.06, 0.05, 0.07, 0.05, 0.08)
    wish, strength = _wishes(rng, n, ethnicity)
    sexual = choose(rng, (0.86, 0.06, 0.06, 0.02), n)
    wish[:, 4] = np.where((sexual > 0) & (rng.random(n) < 0.5), 0, NO_WISH)
    languages = np.zeros((n, len(words.LANGUAGES)), bool)
    languages[:, 0] = True
    own = choose(rng, (0.80, 0.11, 0.03, 0.02, 0.02, 0.02), n)
    languages[np.arange(n), own] = True
    languages[(own > 0) & (rng.random(n) < 0.35), 0] = False
    return Clients(
        numbers=first + np.arange(n),
        birth_year=np.where(rng.random(n) < 0.01, np.nan, year - np.round(age)),
        gender=choose(rng, (0.645, 0.335, 0.02), n),
        ethnicity=np.where(rng.random(n) < 0.08, -1, ethnicity),
        languages=languages,
        interpreter=~languages[:, 0] & (rng.random(n) < 0.3),
        jurisdiction=choose(rng, (0.6, 0.22, 0.18)[: jurisdictions(plan)], n),
        payer=choose(rng, (0.2, 0.25, 0.25, 0.18, 0.12), n),
        modalities=_some(rng, n, (0.8, 0.6, 0.4)),
        problem=choose(rng, words.PROBLEM_WEIGHTS, n),
        second_problem=np.where(rng.random(n) < 0.4, choose(rng, words.PROBLEM_WEIGHTS, n), -1),
        level=(rng.random(n) < 0.06).astype(int),
        prior_episodes=rng.negative_binomial(0.9, 0.52, n).astype(float),
        expectancy=np.where(unknown[:, 0], np.nan, rng.beta(3.5, 2.0, n)),
        motivation=np.where(unknown[:, 1], np.nan, rng.beta(4.0, 2.0, n)),
        support=np.where(unknown[:, 2], np.nan, support),
        employment=np.where(unknown[:, 3], -1, employment),
        deprivation=np.where(unknown[:, 4], np.nan, deprivation),
        long_term=rng.random(n) < 0.12 + 0.004 * np.clip(age - 20, 0, 60),
        disability=rng.random(n) < 0.12,
        sexual_orientation=np.where(rng.random(n) < 0.15, -1, sexual),
        styles=np.where(rng.random((n, 3)) < 0.75, rng.beta(2.2, 2.2, (n, 3)).round(3), np.nan),
        wish=wish,
        strength=strength,
        half_days=_some(rng, n, (0.5,) * len(words.HALF_DAYS)),
        care_only=rng.random(n) < 0.04,
        site=rng.integers(0, sites(plan), n),
        hidden=rng.standard_normal(n),
        area=np.clip(0.22 + 0.5 * (ethnicity > 0) + 0.09 * rng.standard_normal(n), 0, 1),
        noise=_noise(rng, n),
    )


def _some(rng: np.random.Generator, n: int, share: tuple[float, ...]) -> np.ndarray:
    held = rng.random((n, len(share))) < share
    held[~held.any(axis=1), 0] = True
    return held


def _wishes(rng: np.random.Generator, n: int, ethnicity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Topics in the order of `words.TOPICS`; affirming is filled by the caller."""
    wish = np.full((n, len(words.TOPICS)), NO_WISH)
    asked = rng.random((n, 4)) < (0.28, 0.22, 0.0, 0.14)
    asked[:, 2] = (ethnicity > 0) & (rng.random(n) < 0.18)
    values = (choose(rng, (0.75, 0.23, 0.02), n), choose(rng, (0.4, 0.15, 0.15, 0.05, 0.2, 0.05), n))
    for topic, value in enumerate((*values, ethnicity, choose(rng, (0.5, 0.4, 0.1), n))):
        wish[asked[:, topic], topic] = value[asked[:, topic]]
    strength = choose(rng, (0.89, 0.05, 0.04, 0.02), n * len(words.TOPICS)).reshape(n, -1)
    strength[:, 2:] = np.where(strength[:, 2:] > 1, 0, strength[:, 2:])
    return wish, strength


def _noise(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.column_stack(
        [
            rng.normal(170, 9, n).round(),
            rng.poisson(0.7, n),
            rng.integers(1, 13, n),
            rng.gamma(2, 1.2, n).round(1),
            rng.integers(1, 100, n),
            rng.gamma(4, 1.1, n).round(1),
        ]
    ).astype(float)
