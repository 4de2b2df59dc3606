"""Variances are estimated too: what that adds to the posterior of coefficients and therapist effects.

Variance parameters are drawn from the normal approximation at their mode; the posterior given each draw is averaged,
and the spread of its means is added: the law of total variance. (Kackar and Harville 1984, "Approximations for standard
errors of estimators of fixed and random effects in mixed linear models", J. Am. Stat. Assoc. 79, do so by derivatives.)
"""

from dataclasses import replace

import numpy as np

from training.mixed import Solution, Structure, curvature, profile
from training.sums import Floats, Sums

DRAWS = 12
MOST_SD = 0.1
"""No relative standard deviation is taken to be less sure than this: beyond, the criterion is flat."""


def unsure(sums: Sums, structure: Structure, solution: Solution, seed: int) -> Solution:
    """The solution with posterior covariances that know of the variances' own uncertainty; means stay as they are."""
    if structure.parameters == 0:
        return solution
    draws = _draws(curvature(sums, structure, solution.theta), solution.theta, seed)
    found = [profile(sums, structure, theta) for theta in draws]
    b_shift = np.array([one.b - solution.b for one in found])
    shift = np.array([one.effects(solution.b) for one in found]) - solution.effects()
    return replace(
        solution,
        b_cov=np.mean([one.noise * one.covariance() for one in found], axis=0) + b_shift.T @ b_shift / len(found),
        within=np.mean([one.noise * one.inner for one in found], axis=0)
        + np.einsum("ktq,ktr->tqr", shift, shift) / len(found),
        prior=np.mean([one.noise * one.lower @ one.lower.T for one in found], axis=0),
    )


def _draws(curvature: Floats, theta: Floats, seed: int) -> Floats:
    values, vectors = np.linalg.eigh(curvature)
    sd = np.sqrt(2 / np.maximum(values, 2 / MOST_SD**2))
    luck = np.random.default_rng(seed).standard_normal((DRAWS // 2, len(theta)))
    away: Floats = np.concatenate([luck, -luck]) * sd @ vectors.T
    return theta + away
