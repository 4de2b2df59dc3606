"""The therapists of the synthetic clinic: who they are, from when to when they work, what they may and do offer."""

from dataclasses import dataclass

import numpy as np

from data.synthetic import words
from data.synthetic.drawing import choose
from data.synthetic.plan import Plan

NEVER = np.inf
NOISE = ("height_cm", "commute_minutes", "siblings", "coffees_a_day", "office_floor", "birth_month")
"""Declared therapist columns that have no effect on anything."""


@dataclass(frozen=True)
class Staff:
    """One entry per therapist. Days count from `as_of` (0); categories are codes into `words`."""

    ids: list[str]
    joined: np.ndarray
    stops: np.ndarray
    """Last day on which new clients are taken; infinite while the therapist does."""
    site: np.ndarray
    gender: np.ndarray
    birth_year: np.ndarray
    ethnicity: np.ndarray
    faith: np.ndarray
    affirming: np.ndarray
    practising_since: np.ndarray
    qualifications: np.ndarray
    orientation: np.ndarray
    trained: np.ndarray
    """(therapists, problems): verified training."""
    specialties: np.ndarray
    """(therapists, problems): stated."""
    added_specialty: np.ndarray
    """Problem that the second version of the profile adds; -1 = there is no second version."""
    updated: np.ndarray
    """Day of the second version; NaN = none."""
    levels: np.ndarray
    languages: np.ndarray
    modalities: np.ndarray
    payers_from: np.ndarray
    """(therapists, payers): day from which the payer is accepted."""
    ages: np.ndarray
    styles: np.ndarray
    """(therapists, 3): directiveness, expressiveness, homework."""
    skill: np.ndarray
    skill_known: np.ndarray
    licence_from: np.ndarray
    licence_until: np.ndarray
    """(therapists, jurisdictions): last day; -inf = never licensed there."""
    suspended: np.ndarray
    """(therapists, jurisdictions): a licence that is on the register but suspended."""
    capacity: np.ndarray
    opt_out: np.ndarray
    empathy: np.ndarray
    area: np.ndarray
    noise: np.ndarray


def hire(plan: Plan, rng: np.random.Generator, first: int = 0) -> Staff:
    """`plan.therapists` therapists, numbered from `first`."""
    n, year = plan.therapists, plan.as_of.year
    start = -plan.years * 365.25
    joined = np.where(rng.random(n) < 0.72, start - rng.uniform(30, 2000, n), rng.uniform(start, -20, n))
    joined[: max(2, n // 10)] = start - 400.0
    stops = np.where(rng.random(n) < 0.12, rng.uniform(joined + 60, 400), NEVER)
    stops[: max(2, n // 10)] = NEVER
    hired = year + np.floor(joined / 365.25)
    birth_year = np.clip(np.round(rng.normal(year - 44, 10, n)), year - 72, hired - 25)
    ethnicity = choose(rng, (0.62, 0.14, 0.08, 0.10, 0.04, 0.02), n)
    skill = rng.standard_normal(n)
    updated = np.where(rng.random(n) < 0.35, np.round(rng.uniform(np.maximum(joined, start) + 15, -5)), np.nan)
    updated = np.where((updated > joined) & (updated < np.minimum(stops, 0)), updated, np.nan)
    trained = rng.random((n, len(words.PROBLEMS))) < 0.30
    trained[:, :2] |= rng.random((n, 2)) < 0.5
    trained[: max(2, n // 10)] = True
    specialties = (trained & (rng.random(trained.shape) < 0.9)) | (rng.random(trained.shape) < 0.15)
    fresh = np.argmin(specialties + rng.random(specialties.shape) * 0.5, axis=1)
    licence_from, licence_until, suspended = _licences(plan, rng, joined)
    return Staff(
        ids=[f"t-{first + i:05d}" for i in range(n)],
        joined=np.floor(joined),
        stops=np.floor(stops),
        site=rng.integers(0, sites(plan), n),
        gender=choose(rng, (0.70, 0.27, 0.03), n),
        birth_year=birth_year,
        ethnicity=ethnicity,
        faith=choose(rng, (0.55, 0.28, 0.04, 0.06, 0.04, 0.03), n),
        affirming=rng.random(n) < 0.45,
        practising_since=np.minimum(birth_year + 24 + rng.integers(0, 12, n), hired),
        qualifications=rng.random((n, len(words.QUALIFICATIONS))) < (0.35, 0.35, 0.2, 0.15, 0.12, 0.2),
        orientation=choose(rng, (0.38, 0.16, 0.13, 0.09, 0.18, 0.06), n),
        trained=trained,
        specialties=specialties,
        added_specialty=np.where(np.isnan(updated), -1, fresh),
        updated=updated,
        levels=np.column_stack([np.ones(n, bool), _mostly(rng, n, 0.6)]),
        languages=np.column_stack([np.ones(n, bool), rng.random((n, 5)) < (0.18, 0.05, 0.04, 0.04, 0.03)]),
        modalities=_mostly(rng, (n, 3), (0.92, 0.75, 0.6), all_first=True),
        payers_from=_payers(rng, n, joined, updated),
        ages=_mostly(rng, (n, 4), (0.12, 0.35, 1.0, 0.75)),
        styles=_styles(rng, skill),
        skill=skill,
        skill_known=rng.random(n) < 0.9,
        licence_from=licence_from,
        licence_until=licence_until,
        suspended=suspended,
        capacity=_capacity(plan, rng),
        opt_out=rng.random(n) < 0.03,
        empathy=0.6 * skill + 0.8 * rng.standard_normal(n),
        area=np.clip(0.22 + 0.5 * (ethnicity > 0) + 0.09 * rng.standard_normal(n), 0, 1),
        noise=_noise(rng, n),
    )


def sites(plan: Plan) -> int:
    """Sites of the clinic: about 30 therapists each."""
    return int(np.clip(plan.therapists // 30, 1, 8))


def jurisdictions(plan: Plan) -> int:
    """Jurisdictions served: few in a small clinic, so that enough therapists are eligible for each client."""
    return int(np.clip(plan.therapists // 60, 1, len(words.JURISDICTIONS)))


def _mostly(
    rng: np.random.Generator, shape: int | tuple[int, int], share: float | tuple[float, ...], all_first: bool = False
) -> np.ndarray:
    held = rng.random(shape) < share
    held[: max(2, len(held) // 10)] = True  # a tenth can see anyone, so that nobody is without an offer
    if all_first:
        held[~held.any(axis=1), 0] = True
    return held


def _payers(rng: np.random.Generator, n: int, joined: np.ndarray, updated: np.ndarray) -> np.ndarray:
    held = _mostly(rng, (n, 5), (0.9, 0.6, 0.65, 0.6, 0.5), all_first=True)
    accepted = np.where(held, np.floor(joined)[:, None], NEVER)
    later = ~held & ~np.isnan(updated)[:, None] & (rng.random((n, 5)) < 0.3)
    return np.where(later, updated[:, None], accepted)


def _styles(rng: np.random.Generator, skill: np.ndarray) -> np.ndarray:
    own = rng.standard_normal((len(skill), 3))
    directive = own[:, 0]
    expressive = 0.4 * skill + np.sqrt(1 - 0.16) * own[:, 1]
    homework = 0.5 * directive + np.sqrt(0.75) * own[:, 2]
    return np.clip(0.5 + 0.2 * np.column_stack([directive, expressive, homework]), 0.02, 0.98).round(3)


def _licences(plan: Plan, rng: np.random.Generator, joined: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, places = plan.therapists, jurisdictions(plan)
    held = rng.random((n, places)) < 0.45
    held[np.arange(n), rng.integers(0, places, n)] = True
    held[: max(2, n // 10)] = True
    since = np.floor(joined[:, None] - rng.uniform(0, 1500, (n, places)))
    until = np.floor(rng.uniform(200, 900, (n, places)))
    extra = held & (held.cumsum(axis=1) > 1)
    extra[: max(2, n // 10)] = False
    expired = extra & (rng.random((n, places)) < 0.1)
    until = np.where(expired, np.floor(rng.uniform(-plan.years * 365, -10, (n, places))), until)
    suspended = extra & ~expired & (rng.random((n, places)) < 0.06)
    until = np.maximum(until, since + 30)
    return np.where(held, since, NEVER), np.where(held, until, -NEVER), suspended


def _capacity(plan: Plan, rng: np.random.Generator) -> np.ndarray:
    weekly = plan.episodes / (plan.years * 52.2)
    open_cases = weekly * 9.0 / (plan.therapists * 0.8)
    return np.maximum(np.ceil(open_cases * 1.45 * rng.lognormal(0, 0.35, plan.therapists)), 2)


def _noise(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.column_stack(
        [
            rng.normal(170, 9, n).round(),
            rng.gamma(2.5, 12, n).round(),
            rng.poisson(1.6, n),
            rng.poisson(2.2, n),
            rng.integers(0, 9, n),
            rng.integers(1, 13, n),
        ]
    ).astype(float)
