"""Questionnaires at intake: PHQ-9 and GAD-7 answers from two correlated severities, and WSAS."""

from dataclasses import dataclass

import numpy as np

from data.synthetic import words
from data.synthetic.people import Clients, Referrals
from data.synthetic.plan import ARMS, Plan

PHQ9_SD, GAD7_SD = 6.0, 5.0
"""Intake SDs of the calibration (Wakefield 2021 and NHS intake figures); they scale the composite."""
SEVERITY_MEAN, SEVERITY_SD = 2.51, 0.915
"""Mean and SD of the composite (PHQ-9/6 + GAD-7/5)/2 at intake in the arm `base`."""
DRIFT_IN_SEVERITY = 0.5

_STEP = 0.75
_PHQ9 = np.array([-0.20, -0.46, -0.51, -0.74, -0.10, -0.51, -0.20, 0.51])[:, None] + np.array([-_STEP, 0, _STEP])
_ITEM9 = np.array([[0.385, 1.40, 1.95]])  # 35 % any, 8 % 2 or 3
_GAD7 = np.array([-0.62, -0.46, -0.62, -0.46, 0.10, -0.41, -0.10])[:, None] + np.array([-_STEP, 0, _STEP])


@dataclass(frozen=True)
class Intake:
    """One entry per episode."""

    phq9: np.ndarray
    """(episodes, 9) answers."""
    gad7: np.ndarray
    """(episodes, 7) answers."""
    wsas: np.ndarray
    composite: np.ndarray
    """(PHQ-9/6 + GAD-7/5)/2."""
    lean: np.ndarray
    """PHQ-9/6 - GAD-7/5: more depressed than anxious, or less."""

    @property
    def severity(self) -> np.ndarray:
        """The composite in SDs of the arm `base`."""
        return np.asarray((self.composite - SEVERITY_MEAN) / SEVERITY_SD)


def assess(plan: Plan, clients: Clients, referrals: Referrals, rng: np.random.Generator) -> Intake:
    """Answers of every episode's client before the match."""
    low, worried = _severities(clients, referrals, rng)
    if ARMS[plan.arm].drift:
        late = DRIFT_IN_SEVERITY * (referrals.day > -365) / 0.88
        low, worried = low + late, worried + late
    phq9 = np.hstack([_answers(low, 0.69, _PHQ9, rng), _answers(low, 0.56, _ITEM9, rng)])
    gad7 = _answers(worried, 0.69, _GAD7, rng)
    p, g = phq9.sum(axis=1) / PHQ9_SD, gad7.sum(axis=1) / GAD7_SD
    strain = 0.62 * low + 0.78 * rng.standard_normal(len(low))
    wsas = np.clip(np.round(18.5 + 9.9 * strain), 0, 40)
    return Intake(phq9, gad7, wsas, (p + g) / 2, p - g)


def _severities(clients: Clients, referrals: Referrals, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    who = referrals.client
    jobless = (clients.employment == words.EMPLOYMENT.index("unemployed"))[who] - 0.18
    poor = (5.0 - np.where(np.isnan(clients.deprivation), 5.0, clients.deprivation)[who]) / 2.7
    lonely = (0.59 - np.where(np.isnan(clients.support), 0.59, clients.support)[who]) / 0.2
    shared = 0.45 * jobless + 0.10 * poor + 0.12 * lonely
    common = shared + np.sqrt(0.78 - shared.var()) * rng.standard_normal(len(who))
    own = np.sqrt(0.22) * rng.standard_normal((2, len(who)))
    return common + own[0], common + own[1]


def _answers(severity: np.ndarray, loading: float, cuts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rest = np.sqrt(1 - loading**2)
    latent = loading * severity[:, None] + rest * rng.standard_normal((len(severity), len(cuts)))
    return np.asarray((latent[:, :, None] > cuts[None]).sum(axis=2))
