"""The mixed model: its criterion, its agreement with other programs and with brute force, and its edges."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, minimize

from training import reml
from training.config import FitConfig
from training.head import Head, HeadInfo
from training.mixed import Solution, Structure, criterion, curvature, fit
from training.sums import Sums

Floats = npt.NDArray[np.float64]
THERAPISTS, PROBLEMS = 15, 3


@dataclass(frozen=True)
class Rows:
    """Rows of one simulated clinic, drawn from the model itself."""

    x: Floats
    z: Floats
    y: Floats
    therapist: npt.NDArray[np.int64]
    effects: Floats
    weight: Floats

    def sums(self, joint: int = 2, problems: bool = False, border: int | None = None) -> Sums:
        z = np.column_stack([self.z[:, :joint], self.z[:, 2:] if problems else self.z[:, :0]])
        return Sums.of(self.x[:, :border], z, self.y, self.therapist, len(self.effects), self.weight)


def simulate(
    seed: int,
    therapists: int = THERAPISTS,
    each: int = 24,
    sds: tuple[float, float, float] = (0.6, 0.4, 0.4),
    weighted: bool = False,
) -> Rows:
    """y = 1 + .5 severity + .3 skill + intercept + slope x severity + strength + noise of SD 1 / sqrt(weight)."""
    rng = np.random.default_rng(seed)
    n = therapists * each
    therapist = np.repeat(np.arange(therapists), each)
    severity, problem = rng.normal(size=n), rng.integers(0, PROBLEMS, n)
    skill = rng.normal(size=therapists)[therapist]
    intercept, slope, strength = sds
    joint = rng.multivariate_normal(np.zeros(2), [[1, 0.4], [0.4, 1]], therapists) * [intercept, slope]
    effects = np.column_stack([joint, rng.normal(0, strength, (therapists, PROBLEMS))])
    weight = rng.uniform(0.5, 2, n) if weighted else np.ones(n)
    x = np.column_stack([np.ones(n), severity, skill])
    z = np.column_stack([np.ones(n), severity, problem[:, None] == np.arange(PROBLEMS)])
    noise = rng.normal(size=n) / np.sqrt(weight)
    y = x @ [1.0, 0.5, 0.3] + (z * effects[therapist]).sum(axis=1) + noise
    return Rows(x, z, y, therapist, effects, weight)


structures = st.builds(
    lambda joint, strengths, shrunken, dispersion: Structure(joint, strengths, 4, shrunken, dispersion),
    st.integers(0, 2),
    st.sampled_from([0, PROBLEMS]),
    st.sampled_from([(), ((2,),), ((1, 2), (3,))]),
    st.sampled_from([None, 1.0]),
)


@given(structures, st.integers(0, 10_000))
@settings(max_examples=40)
def test_the_gradient_of_the_criterion_is_that_of_finite_differences(structure: Structure, seed: int):
    rows = simulate(seed % 50, therapists=5, each=6, weighted=True)
    rng = np.random.default_rng([seed, 1])
    x = np.column_stack([rows.x, rng.normal(size=len(rows.y))])
    z = np.column_stack([rows.z[:, : structure.joint], rows.z[:, 2 : 2 + structure.strengths]])
    sums = Sums.of(x, z, rows.y, rows.therapist, 5, rows.weight)
    theta = rng.uniform(0.05, 1.2, structure.parameters)
    _, gradient = criterion(sums, structure, theta)
    expected = approx_fprime(theta, lambda at: criterion(sums, structure, at)[0], 1e-6)
    assert gradient == pytest.approx(expected, rel=1e-3, abs=1e-3)


def leaning(seed: int, structure: Structure) -> tuple[Rows, Sums, Structure]:
    """A weighted clinic with a border of 4, its sums for the structure, and the structure with a lean and a prior."""
    rows = simulate(seed, therapists=8, each=12, weighted=True)
    x = np.column_stack([rows.x, np.random.default_rng([seed, 1]).normal(size=len(rows.y))])
    z = np.column_stack([rows.z[:, : structure.joint], rows.z[:, 2 : 2 + structure.strengths]])
    leans = ((0.0, 0.0, 1.0, -1.0),) if structure.shrunken else ()
    sums = Sums.of(x, z, rows.y, rows.therapist, 8, rows.weight)
    return rows, sums, replace(structure, leans=leans, near=0.2 if structure.shrunken else None)


@given(structures, st.integers(0, 10_000))
@settings(max_examples=40)
def test_second_derivatives_of_the_criterion_are_those_of_finite_differences(structure: Structure, seed: int):
    _, sums, structure = leaning(seed % 50, structure)
    theta = np.random.default_rng([seed, 2]).uniform(0.05, 1.2, structure.parameters)

    def slope(at: Floats) -> Floats:
        return criterion(sums, structure, at)[1] + structure.prior(at)[1]

    found = curvature(sums, structure, theta) if structure.parameters else np.zeros((0, 0))
    for i in range(structure.parameters):
        step = np.zeros(structure.parameters)
        step[i] = 1e-5
        expected = (slope(theta + step) - slope(theta - step)) / 2e-5
        assert found[i] == pytest.approx(expected, rel=1e-4, abs=1e-3 * max(1.0, np.abs(found).max()) / 100)


@given(structures, st.integers(0, 10_000))
@settings(max_examples=30)
def test_the_fit_is_nowhere_worse_than_where_a_general_minimiser_arrives(structure: Structure, seed: int):
    _, sums, structure = leaning(seed % 50, structure)
    if structure.parameters == 0:
        return

    def whole(at: Floats) -> float:
        return criterion(sums, structure, at)[0] + structure.prior(at)[0]

    def steep(at: Floats) -> Floats:
        return criterion(sums, structure, at)[1] + structure.prior(at)[1]

    side = (-10.0, 10.0) if structure.near is None else (1e-5, 10.0)
    bounds = [(-10.0, 10.0)] * (structure.parameters - len(structure.groups)) + [side] * len(structure.groups)
    theirs = minimize(whole, structure.start(), jac=steep, method="L-BFGS-B", bounds=bounds)
    assert whole(fit(sums, structure).theta) <= theirs.fun + 1e-5


def test_a_fit_started_from_another_clinics_variances_arrives_at_the_same_place():
    _, sums, structure = leaning(1, Structure(2, PROBLEMS, 4, ((1, 2), (3,))))
    cold = fit(sums, structure)
    warm = fit(sums, structure, fit(leaning(2, structure)[1], structure).theta)
    assert warm.criterion == pytest.approx(cold.criterion, rel=1e-7)
    assert warm.b == pytest.approx(cold.b, rel=1e-4, abs=1e-6)
    assert warm.effects() == pytest.approx(cold.effects(), rel=1e-4, abs=1e-6)


def test_how_many_therapists_are_worked_on_together_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    _, sums, structure = leaning(3, Structure(2, PROBLEMS, 4, ((1, 2), (3,))))
    at_once = fit(sums, structure)
    monkeypatch.setattr(reml, "AT_ONCE", 60)
    in_parts = fit(sums, structure)
    assert in_parts.criterion == pytest.approx(at_once.criterion, rel=1e-10)
    assert in_parts.effects() == pytest.approx(at_once.effects(), rel=1e-6)


def test_a_lean_is_a_column_of_its_own_that_says_how_others_move_together():
    rows, sums, structure = leaning(3, Structure(1, 0, 4, ((2, 3),)))
    x = np.column_stack([rows.x, np.random.default_rng([3, 1]).normal(size=len(rows.y))])
    wide = Sums.of(np.column_stack([x, x @ structure.leans[0]]), rows.z[:, :1], rows.y, rows.therapist, 8, rows.weight)
    beside = fit(wide, replace(structure, border=5, shrunken=((2, 3), (4,)), leans=()))
    found = fit(sums, structure)
    assert found.criterion == pytest.approx(beside.criterion, rel=1e-8)
    assert found.b == pytest.approx(beside.b[:4] + np.array(structure.leans[0]) * beside.b[4], rel=1e-4, abs=1e-6)
    assert found.effects() == pytest.approx(beside.effects(), rel=1e-4, abs=1e-6)


@given(st.integers(0, 1000), st.integers(1, 359))
@settings(max_examples=20)
def test_sums_of_the_parts_add_up_to_the_sums_of_the_whole(seed: int, cut: int):
    rows = simulate(seed, weighted=True)
    first, second = (
        Sums.of(rows.x[part], rows.z[part], rows.y[part], rows.therapist[part], THERAPISTS, rows.weight[part])
        for part in (slice(cut), slice(cut, None))
    )
    whole, added = Sums.of(rows.x, rows.z, rows.y, rows.therapist, THERAPISTS, rows.weight), first + second
    for name in ("zz", "zx", "zy", "xx", "xy", "yy", "rows", "log_weight"):
        np.testing.assert_allclose(getattr(added, name), getattr(whole, name), rtol=1e-10, atol=1e-10)


@dataclass(frozen=True)
class Theirs:
    """What statsmodels says; `effects` has columns intercept, slope, strengths."""

    fixed: Floats
    covariance: Floats
    strength: float | None
    noise: float
    effects: Floats
    criterion: float
    converged: bool


def statsmodels_fit(rows: Rows, slope: bool, strengths: bool) -> Theirs:
    from statsmodels.regression.mixed_linear_model import MixedLM

    frame = pd.DataFrame({"y": rows.y, "severity": rows.x[:, 1], "skill": rows.x[:, 2], "therapist": rows.therapist})
    frame["problem"] = rows.z[:, 2:].argmax(axis=1)
    told = {"re_formula": "~severity"} if slope else {}
    if strengths:
        told["vc_formula"] = {"strength": "0 + C(problem)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its optimiser warns on the way; whether it arrived is asserted
        found = MixedLM.from_formula("y ~ severity + skill", frame, groups="therapist", **told).fit(
            reml=True, method=["bfgs"]
        )
    effects = np.array([np.asarray(found.random_effects[t]) for t in range(len(rows.effects))])
    strength = float(found.vcomp[0]) if strengths else None
    covariance = np.asarray(found.cov_re)
    fixed = found.fe_params.to_numpy()
    return Theirs(fixed, covariance, strength, found.scale, effects, -2 * found.llf, found.converged)


@pytest.mark.parametrize("seed", [1, 3])
@pytest.mark.parametrize(("slope", "strengths"), [(False, False), (True, False), (True, True)])
def test_the_criterion_is_never_worse_than_that_of_statsmodels(seed: int, slope: bool, strengths: bool):
    rows = simulate(seed, each=40, sds=(0.6, 0.5, 0.5))
    mine = fit(rows.sums(1 + slope, strengths), Structure(1 + slope, PROBLEMS * strengths, 3))
    assert mine.criterion <= statsmodels_fit(rows, slope, strengths).criterion + 1e-4


@pytest.mark.parametrize("seed", [2, 5])
@pytest.mark.parametrize(("slope", "strengths"), [(False, False), (True, False), (True, True)])
def test_the_fit_agrees_with_statsmodels(seed: int, slope: bool, strengths: bool):
    rows = simulate(seed, each=40, sds=(0.6, 0.5, 0.5))
    theirs = statsmodels_fit(rows, slope, strengths)
    joint = 1 + slope
    mine = fit(rows.sums(joint, strengths), Structure(joint, PROBLEMS * strengths, 3))
    assert theirs.converged
    assert mine.criterion == pytest.approx(theirs.criterion, abs=1e-4)
    assert mine.b == pytest.approx(theirs.fixed, rel=1e-3)
    assert mine.prior[:joint, :joint] == pytest.approx(theirs.covariance, rel=1e-3)
    assert mine.noise == pytest.approx(theirs.noise, rel=1e-3)
    if strengths:
        assert mine.prior[-1, -1] == pytest.approx(theirs.strength, rel=1e-3)
    spread = theirs.effects.std(axis=0)
    assert mine.effects() / spread == pytest.approx(theirs.effects / spread, rel=1e-3, abs=1e-3)


def test_a_true_variance_of_zero_is_estimated_near_zero_without_a_warning():
    rows = simulate(2, therapists=40, each=60, sds=(0.0, 0.0, 0.0))
    solution = fit(rows.sums(2, problems=True), Structure(2, PROBLEMS, 3))
    assert np.isfinite(solution.criterion)
    assert np.isfinite(solution.effects()).all()
    assert np.diag(solution.prior).max() < 0.015


def test_therapists_whose_means_are_all_the_same_have_no_variance_and_no_effects():
    rows = simulate(2)
    level = pd.Series(rows.y).groupby(rows.therapist).transform("mean").to_numpy()
    sums = Sums.of(rows.x[:, :1], rows.z[:, :1], rows.y - level, rows.therapist, THERAPISTS)
    solution = fit(sums, Structure(1, 0, 1))
    assert solution.prior[0, 0] == pytest.approx(0, abs=1e-9)
    assert solution.effects() == pytest.approx(0, abs=1e-9)


def test_a_start_at_the_boundary_does_not_stay_there():
    rows = simulate(2)
    structure = Structure(2, PROBLEMS, 3)
    free = fit(rows.sums(2, problems=True), structure)
    stuck = fit(rows.sums(2, problems=True), structure, np.zeros(structure.parameters))
    assert stuck.criterion == pytest.approx(free.criterion, abs=1e-4)


def test_a_shrunken_column_without_information_gets_a_coefficient_near_zero():
    rows = simulate(4)
    noise = np.random.default_rng(0).normal(size=(len(rows.y), 30))
    x = np.column_stack([rows.x, noise])
    columns = tuple(range(3, 33))
    sums = Sums.of(x, rows.z[:, :1], rows.y, rows.therapist, THERAPISTS)
    shrunken = fit(sums, Structure(1, 0, 33, (columns,)))
    free = fit(sums, Structure(1, 0, 33))
    assert np.abs(shrunken.b[3:]).max() < 0.5 * np.abs(free.b[3:]).max()
    assert np.isinf(shrunken.shrinkage[:3]).all()


def test_the_dispersion_can_be_held_fixed():
    rows = simulate(4)
    assert fit(rows.sums(), Structure(2, 0, 3, dispersion=1.0)).noise == 1.0


def test_without_variances_the_fit_is_weighted_least_squares():
    rows = simulate(5, weighted=True)
    sums = Sums.of(rows.x, rows.z[:, :0], rows.y, rows.therapist, THERAPISTS, rows.weight)
    root = np.sqrt(rows.weight)
    expected = np.linalg.lstsq(rows.x * root[:, None], rows.y * root, rcond=None)[0]
    assert fit(sums, Structure(0, 0, 3)).b == pytest.approx(expected)


# --- the posterior, against the dense Gaussian formula -------------------------------------------------------------


def head_of(solution: Solution) -> Head:
    info = HeadInfo("outcome", "outcome", "gaussian", "higher", 1.0, 1.0, 0, 0, FitConfig())
    return Head(info, "", 0.0, np.zeros(0), np.zeros(0), np.zeros(0), solution)


def dense_posterior(rows: Rows, solution: Solution) -> tuple[Floats, Floats]:
    """Mean and covariance of (b, u_1, ..., u_T), by one inverse of everything."""
    count, width = solution.at_zero.shape
    big = np.zeros((len(rows.y), count * width))
    for row, therapist in enumerate(rows.therapist):
        big[row, therapist * width : (therapist + 1) * width] = rows.z[row, :width]
    whole = np.column_stack([rows.x, big])
    prior = np.diag(np.r_[1 / solution.shrinkage, np.zeros(count * width)])
    prior[len(solution.b) :, len(solution.b) :] = np.kron(np.eye(count), np.linalg.inv(solution.prior))
    precision = (whole * rows.weight[:, None]).T @ whole / solution.noise + prior
    covariance = np.linalg.inv(precision)
    return covariance @ whole.T @ (rows.weight * rows.y) / solution.noise, covariance


@pytest.fixture(scope="module")
def tiny() -> tuple[Rows, Solution]:
    rows = simulate(3, therapists=6, each=10, sds=(0.8, 0.6, 0.6), weighted=True)
    solution = fit(rows.sums(2, problems=True), Structure(2, PROBLEMS, 3, ((1,), (2,))))
    assert np.linalg.eigvalsh(solution.prior).min() > 1e-3  # interior, so that the formula has an inverse
    return rows, solution


def test_the_posterior_of_pairs_is_that_of_the_dense_gaussian_formula(tiny: tuple[Rows, Solution]):
    rows, solution = tiny
    mean, covariance = dense_posterior(rows, solution)
    client, pair_columns = np.array([1.0, 0.7, 0.0, 1.0, 0.0]), np.array([[0.2], [-1.1]])
    mine = head_of(solution).posterior(pair_columns, np.tile(client, (2, 1)), np.array([4, 1]))
    seek = np.zeros((2, len(mean)))
    for i, therapist in enumerate((4, 1)):
        seek[i, 2] = pair_columns[i, 0]
        seek[i, 3 + 5 * therapist : 8 + 5 * therapist] = client
    assert mine.mean == pytest.approx(seek @ mean)
    assert mine.loading @ mine.loading.T + np.diag(mine.own) == pytest.approx(seek @ covariance @ seek.T)


def test_the_covariance_of_the_coefficients_is_that_of_the_dense_gaussian_formula(tiny: tuple[Rows, Solution]):
    rows, solution = tiny
    mean, covariance = dense_posterior(rows, solution)
    assert solution.b == pytest.approx(mean[:3])
    assert solution.b_cov == pytest.approx(covariance[:3, :3])
    assert solution.effects().ravel() == pytest.approx(mean[3:])


def test_standard_deviations_of_gains_and_differences_follow_from_the_covariance(tiny: tuple[Rows, Solution]):
    _, solution = tiny
    client = np.tile([1.0, 0.7, 0.0, 1.0, 0.0], (4, 1))
    fits = head_of(solution).posterior(np.array([[0.2], [-1.1], [0.4], [0.0]]), client, np.array([4, 1, 0, -1]))
    covariance = fits.loading @ fits.loading.T + np.diag(fits.own)
    centre = np.eye(4) - 1 / 4
    assert fits.gain_sd() == pytest.approx(np.sqrt(np.diag(centre @ covariance @ centre.T)))
    less_third = np.eye(4) - np.eye(4)[2]
    assert fits.difference_sd(2) == pytest.approx(np.sqrt(np.diag(less_third @ covariance @ less_third.T)))


def test_a_therapist_never_seen_has_the_prior_around_what_the_profile_predicts(tiny: tuple[Rows, Solution]):
    _, solution = tiny
    client = np.array([1.0, 0.7, 0.0, 1.0, 0.0])
    fits = head_of(solution).posterior(np.array([[0.5]]), client[None], np.array([-1]))
    assert fits.mean[0] == pytest.approx(0.5 * solution.b[2])
    assert fits.own[0] == pytest.approx(client @ solution.prior @ client)
    assert (fits.loading**2).sum() == pytest.approx(0.25 * solution.b_cov[2, 2])


def test_the_mean_of_pairs_is_that_of_the_posterior(tiny: tuple[Rows, Solution]):
    _, solution = tiny
    head, client = head_of(solution), np.array([1.0, 0.7, 0.0, 1.0, 0.0])
    columns, therapist = np.array([[0.2], [-1.1], [0.3]]), np.array([4, -1, 0])
    fits = head.posterior(columns, np.tile(client, (3, 1)), therapist)
    assert head.mean(columns, np.tile(client, (3, 1)), therapist) == pytest.approx(fits.mean)


@given(st.integers(0, 1000), st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_the_order_of_rows_changes_nothing_and_renamed_therapists_only_move(seed: int, random):
    rows = simulate(seed % 7)
    order, names = list(range(len(rows.y))), list(range(THERAPISTS))
    random.shuffle(order)
    random.shuffle(names)
    structure, name_of = Structure(2, 0, 3), np.array(names)
    before = fit(rows.sums(), structure)
    moved = Sums.of(rows.x[order], rows.z[order][:, :2], rows.y[order], name_of[rows.therapist[order]], THERAPISTS)
    after = fit(moved, structure)
    assert after.b == pytest.approx(before.b, rel=1e-6)
    assert after.prior == pytest.approx(before.prior, rel=1e-4, abs=1e-6)
    assert after.effects()[name_of] == pytest.approx(before.effects(), rel=1e-3, abs=1e-5)


# --- planted effects ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def repeated() -> list[tuple[Rows, Solution]]:
    """Sixty clinics drawn from the model, each with its fit."""
    clinics = [simulate(seed, therapists=40, each=20) for seed in range(60)]
    return [(rows, fit(rows.sums(2, problems=True), Structure(2, PROBLEMS, 3))) for rows in clinics]


def test_intervals_of_planted_coefficients_hold_the_truth_as_often_as_they_say(repeated: list[tuple[Rows, Solution]]):
    truth = np.array([1.0, 0.5, 0.3])
    z = np.array([(solution.b - truth) / np.sqrt(np.diag(solution.b_cov)) for _, solution in repeated])
    assert 0.95 - 0.045 < (np.abs(z) < 1.96).mean() < 0.95 + 0.045  # two SD of 180 throws


def test_intervals_of_planted_therapist_effects_hold_the_truth_as_often_as_they_say(
    repeated: list[tuple[Rows, Solution]],
):
    inside = []
    for rows, solution in repeated:
        client = np.tile([1.0, 1.0, 1.0, 0.0, 0.0], (40, 1))
        fits = head_of(solution).posterior(np.zeros((40, 1)), client, np.arange(40))
        truth = (rows.effects * client).sum(axis=1)
        gain = fits.mean - fits.mean.mean() - (truth - truth.mean())
        inside.append(np.abs(gain / fits.gain_sd()) < 1.96)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_planted_variances_are_recovered_on_average(repeated: list[tuple[Rows, Solution]]):
    found = np.array([[s.prior[0, 0], s.prior[1, 1], s.prior[0, 1], s.prior[2, 2], s.noise] for _, s in repeated])
    truth = np.array([0.36, 0.16, 0.4 * 0.6 * 0.4, 0.16, 1.0])
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - truth) < 3 * error).all()
