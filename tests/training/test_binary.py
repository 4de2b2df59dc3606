"""Binary heads: effects are solved for anew at every size of theirs, and the size is the likeliest."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, logit
from scipy.stats import norm

from training.binary import FACTORS, FINE, fit_binary, laplace, least, log_odds, working
from training.mixed import Structure
from training.shares import Rows

ONE = Structure(joint=1, strengths=0, border=1, dispersion=1.0)


def labels(sd: float, cases: int, therapists: int, level: float, seed: int = 0) -> Rows:
    """Labels of therapists who differ by `sd` log odds."""
    rng = np.random.default_rng(seed)
    therapist = np.repeat(np.arange(therapists), cases)
    effect = sd * rng.standard_normal(therapists)
    label = (rng.random(len(therapist)) < expit(level + effect[therapist])).astype(float)
    ones = np.ones((len(label), 1))
    return Rows(ones, ones, label, np.ones(len(label)), therapist, therapists)


def fitted(rows: Rows, by_laplace: bool, structure: Structure = ONE) -> float:
    """The estimated variance between therapists."""
    start = np.full(len(rows.response), logit(rows.response.mean()))
    return float(fit_binary(rows, structure, start, None, by_laplace)[1].prior[0, 0])


@pytest.mark.parametrize("cases", [8, 40])
def test_the_variance_between_therapists_is_found_within_15_percent(cases: int):
    found = np.mean([fitted(labels(0.8, cases, 150, 1.0, seed), True) for seed in range(20)])
    assert found == pytest.approx(0.64, rel=0.15)


def test_quasi_likelihood_finds_therapists_with_few_cases_too_much_alike():
    rows = [labels(0.8, 8, 150, 1.0, seed) for seed in range(10)]
    plain, resized = (np.mean([fitted(one, by) for one in rows]) for by in (False, True))
    assert plain < resized
    assert abs(plain - 0.64) > abs(resized - 0.64)


def test_the_approximation_is_the_integral_where_therapists_have_many_cases():
    """Differences of minus twice the log likelihood between two variances, beside numerical integration."""
    rows, theta = labels(0.8, 60, 12, 0.5), np.array([0.8])
    known = replace(rows, border=np.zeros((len(rows.response), 0)))  # no coefficient to integrate over
    none = replace(ONE, border=0)
    start = np.zeros(len(rows.response))
    near = laplace(known, none, theta, start)[0] - laplace(known, none, theta / 2, start)[0]
    assert near == pytest.approx(exact(rows, 0.8) - exact(rows, 0.4), abs=0.1)


def exact(rows: Rows, sd: float) -> float:
    total = 0.0
    for t in range(rows.therapists):
        mine = rows.response[rows.therapist == t]
        good, n = mine.sum(), len(mine)
        best = good * np.log(good / n) + (n - good) * np.log(1 - good / n)

        def density(u: float, good: float = good, n: int = n, best: float = best) -> float:
            return float(np.exp(good * np.log(expit(u)) + (n - good) * np.log(expit(-u)) - best) * norm.pdf(u, 0, sd))

        total += -2 * (np.log(quad(density, -6, 6, points=[logit(np.clip(good / n, 0.05, 0.95))])[0]) + best)
    return total


@pytest.mark.parametrize("factor", [0.72, 0.95, 1.0, 1.04, 1.3, 1.55])
def test_the_likeliest_factor_is_where_the_function_is_least(factor: float):
    assert least(lambda x: np.cosh(3 * np.log(x / factor)), *FACTORS) == pytest.approx(factor, rel=FINE)


@pytest.mark.parametrize(("slope", "end"), [(1.0, FACTORS[0]), (-1.0, FACTORS[1])])
def test_where_a_function_only_falls_the_likeliest_factor_is_the_end(slope: float, end: float):
    assert least(lambda x: slope * np.log(x) - 1e-3 * np.log(x) ** 2, *FACTORS) == pytest.approx(end)


def test_the_likelihood_is_the_same_from_wherever_its_mode_is_looked_for():
    rows = labels(0.8, 20, 60, 0.5)
    near, far = (laplace(rows, ONE, np.array([0.8]), np.full(len(rows.response), at))[0] for at in (0.5, -1.0))
    assert near == pytest.approx(far, abs=1e-2)


def test_working_responses_leave_the_solution_where_it_is_once_it_is_found():
    rows = labels(0.5, 30, 40, 0.5)
    found, solution = fit_binary(rows, ONE, np.zeros(len(rows.response)), None, True)
    at = log_odds(found, solution.b, solution.effects())
    again = laplace(rows, ONE, solution.theta, at)[2]
    assert log_odds(rows, again.b, again.effects()) == pytest.approx(at, abs=1e-3)
    assert (working(rows, at).weight <= 0.25 + 1e-12).all()


def test_without_therapist_effects_the_chance_is_the_share_seen():
    rows = labels(0.0, 20, 20, -1.0)
    none = replace(rows, effects=rows.effects[:, :0])
    found, solution = fit_binary(none, replace(ONE, joint=0), np.zeros(len(rows.response)), None, True)
    assert expit(log_odds(found, solution.b, solution.effects())) == pytest.approx(
        np.full(400, rows.response.mean()), abs=1e-6
    )


def test_therapists_who_do_not_differ_are_found_to_be_alike():
    assert np.mean([fitted(labels(0.0, 40, 100, 0.5, seed), True) for seed in range(10)]) < 0.03
