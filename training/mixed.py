"""The mixed model: jointly estimated variances by REML, a block solve, and the posterior of every therapist.

    y = X b + Z_t u_t + e,   u_t ~ N(0, s2 G),   b_r ~ N(0, s2 tau_r^2) for the shrunken columns r,   e ~ N(0, s2 / w)

The covariance of (b, u) has arrow shape: one small block per therapist, bordered by the columns of X. Everything
follows from `Sums`; `training.reml` has the likelihood. It is parametrised by relative factors (Bates, Maechler, Bolker
and Walker 2015, "Fitting linear mixed-effects models using lme4", J. Stat. Softw. 67(1), section 3.3) and minimised by
Newton steps. The prior that keeps variances of columns off zero: Chung, Rabe-Hesketh, Dorie, Gelman and Liu (2013), "A
nondegenerate penalized likelihood estimator for variance parameters", Psychometrika 78.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.reml import Profile
from training.sums import Floats, Sums

START = 0.3  # relative standard deviation from which variances start: well away from the boundary at 0
LARGEST = 10.0  # no relative standard deviation is larger: more is a model without noise
LEAST = 1e-5  # with a prior that keeps off zero
LEAST_START = 1e-3  # the criterion is flat at 0, so that a start there would never leave it
CLOSE = 1e-5  # a Newton step that promises less is the last
ENOUGH = 1e-4  # share of the promised fall with which a step is content
FLATTEST = 1e-6  # curvature below which a direction counts as flat
ROUNDING = 1e-12  # of the criterion
FARTHEST = 1.0  # no step changes a relative standard deviation by more
MOST_FALL = 0.9  # of a standard deviation that a prior keeps off zero, in one step
MOST_STEPS, MOST_HALVINGS = 100, 30


@dataclass(frozen=True)
class Structure:
    """Which variances there are.

    `joint` therapist columns (intercept, slope) share a full covariance; the following `strengths` columns share one
    variance. `shrunken[k]` lists the border columns of the k-th group of columns with a common prior variance; all
    other border columns are fixed effects. `dispersion` fixes s2 (1 for working responses of binary heads).
    """

    joint: int
    strengths: int
    border: int
    shrunken: tuple[tuple[int, ...], ...] = ()
    dispersion: float | None = None
    leans: tuple[tuple[float, ...], ...] = ()
    """Directions (each over all border columns) in which coefficients may lean together: beside its own deviation, a
    column has this share of a common effect, whose variance is estimated like that of a group."""
    near: float | None = None
    """Mode of a prior on the SDs of shrunken columns, density ~ tau exp(-tau / near): it keeps them off zero."""

    @cached_property
    def ways(self) -> Floats:
        """(border, border + leans): from coefficients of deviations and leans to those of the border's columns."""
        return np.column_stack([np.eye(self.border), *(np.array(lean) for lean in self.leans)])

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Columns with a common prior variance, leans behind the border's own columns."""
        return (*self.shrunken, *((self.border + i,) for i in range(len(self.leans))))

    @property
    def width(self) -> int:
        """Random effects a therapist."""
        return self.joint + self.strengths

    @property
    def parameters(self) -> int:
        """How many variance parameters are estimated."""
        return self.joint * (self.joint + 1) // 2 + (self.strengths > 0) + len(self.groups)

    def factor(self, theta: Floats) -> Floats:
        """The relative factor L (q, q): lower triangular for the joint columns, diagonal for the strengths."""
        lower = np.zeros((self.width, self.width))
        lower[np.tril_indices(self.joint)] = theta[: self.joint * (self.joint + 1) // 2]
        if self.strengths:
            strength = np.arange(self.joint, self.width)
            lower[strength, strength] = theta[self.joint * (self.joint + 1) // 2]
        return lower

    def scale(self, theta: Floats) -> Floats:
        """The factor by which each border column is multiplied: tau for shrunken columns, 1 for fixed ones."""
        scale = np.ones(self.border + len(self.leans))
        for columns, tau in zip(self.groups, theta[self.parameters - len(self.groups) :], strict=True):
            scale[list(columns)] = tau
        return scale

    @cached_property
    def ridge(self) -> Floats:
        """1 for shrunken border columns, 0 for fixed ones."""
        ridge = np.zeros(self.border + len(self.leans))
        for columns in self.groups:
            ridge[list(columns)] = 1.0
        return ridge

    def start(self) -> Floats:
        """Where the search for the variance parameters begins: columns with a prior below its mode, for most are."""
        theta = np.full(self.parameters, START)
        rows, columns = np.tril_indices(self.joint)
        theta[: len(rows)] = np.where(rows == columns, START, 0.0)
        if self.near is not None and self.groups:
            theta[-len(self.groups) :] = START * self.near
        return theta

    @cached_property
    def basis(self) -> tuple[Floats, ...]:
        """Matrices (q, q) whose sum, each times its variance, is G: entries of the joint block, then the strengths."""
        found = []
        for row, column in zip(*np.tril_indices(self.joint), strict=True):
            entry = np.zeros((self.width, self.width))
            entry[row, column] = entry[column, row] = 1.0
            found.append(entry)
        if self.strengths:
            found.append(np.diag((np.arange(self.width) >= self.joint).astype(np.float64)))
        return tuple(found)

    @cached_property
    def forms(self) -> Floats:
        """(m, m, m): variance k, in the order of `basis` and `groups`, is theta' forms[k] theta."""
        forms = np.zeros((self.parameters,) * 3)
        place = {(row, column): row * (row + 1) // 2 + column for row in range(self.joint) for column in range(row + 1)}
        for (row, column), k in place.items():
            for inner in range(column + 1):
                i, j = place[row, inner], place[column, inner]
                forms[k, i, j] += 0.5
                forms[k, j, i] += 0.5
        rest = np.arange(len(place), self.parameters)
        forms[rest, rest, rest] = 1.0
        return forms

    def prior(self, theta: Floats) -> tuple[float, Floats, Floats]:
        """Minus twice the log density (up to a constant) of the prior that `near` names, and two derivatives (m,)."""
        at = len(theta) - len(self.groups)
        slope, bend = np.zeros(len(theta)), np.zeros(len(theta))
        if self.near is None:
            return 0.0, slope, bend
        taus = np.maximum(np.abs(theta[at:]), LEAST)
        slope[at:] = -2 / taus + 2 / self.near
        bend[at:] = 2 / taus**2
        return float((-2 * np.log(taus) + 2 * taus / self.near).sum()), slope, bend

    def room(self, theta: Floats, step: Floats) -> float:
        """The share of a step that can be gone: none goes far, and none takes a variance with a prior off its side."""
        share = 1.0 / max(1.0, float(np.abs(step).max()) / FARTHEST)
        if self.near is None or not self.groups:
            return share
        taus, down = theta[-len(self.groups) :], -step[-len(self.groups) :]
        return min(
            share, *(MOST_FALL * tau / fall if fall > 0 else share for tau, fall in zip(taus, down, strict=True))
        )


@dataclass(frozen=True)
class Solution:
    """The fitted model.

    `b` (p,) and its covariance `b_cov`; for therapist t given b the effects are `at_zero[t] - per_border[t] @ b` with
    covariance `within[t]`; `prior` (q, q) is the covariance of a therapist never seen; `noise` is s2.
    """

    b: Floats
    b_cov: Floats
    at_zero: Floats
    per_border: Floats
    within: Floats
    prior: Floats
    noise: float
    theta: Floats
    criterion: float
    shrinkage: Floats
    """Prior variance of each border column; inf for fixed effects."""

    def effects(self) -> Floats:
        """Posterior mean of every therapist's effects, shape (t, q)."""
        effects: Floats = self.at_zero - self.per_border @ self.b
        return effects


def fit(sums: Sums, structure: Structure, theta: Floats | None = None, close: float = CLOSE) -> Solution:
    """Estimates the variances by REML and solves for all effects. `theta` starts from an earlier solution.

    A step that promises the criterion less than `close` is taken, and is the last; what is left is its square.
    """
    if structure.parameters == 0:
        return solve(sums, structure, np.zeros(0))
    start = structure.start() if theta is None else np.where(np.abs(theta) < LEAST_START, LEAST_START, theta)
    return solve(sums, structure, _least(sums, structure, start, close))


def _least(sums: Sums, structure: Structure, theta: Floats, close: float) -> Floats:
    """The variance parameters at the least of the criterion with its prior, by Newton steps that always go down."""
    at = _Point(sums, structure, theta)
    for _ in range(MOST_STEPS):
        gradient, hessian = at.derivatives()
        values, vectors = np.linalg.eigh(hessian)
        step = -vectors @ ((gradient @ vectors) / np.maximum(np.abs(values), FLATTEST))
        step = step * structure.room(at.theta, step)
        promised = -float(gradient @ step)
        if promised < close:
            settled: Floats = np.clip(at.theta + step, -LARGEST, LARGEST)
            return settled
        lower = _lower(at, step, promised)
        if lower is None:
            break
        at = lower
    return at.theta


def _lower(at: "_Point", step: Floats, promised: float) -> "_Point | None":
    """The first point along ever shorter steps that is low enough; None where rounding hides any fall."""
    slack = ROUNDING * abs(at.value)
    for share in 0.5 ** np.arange(MOST_HALVINGS):
        there = at.moved(share * step)
        if there.value < at.value - ENOUGH * share * promised + slack:
            return there
    return None


class _Point:
    """The criterion with its prior at one theta."""

    def __init__(self, sums: Sums, structure: Structure, theta: Floats):
        self.theta, self._sums, self._structure = theta, sums, structure
        self._profile = profile(sums, structure, theta)
        self.value = self._profile.value + structure.prior(theta)[0]

    def moved(self, step: Floats) -> "_Point":
        """The criterion a step away."""
        return _Point(self._sums, self._structure, np.clip(self.theta + step, -LARGEST, LARGEST))

    def derivatives(self) -> tuple[Floats, Floats]:
        """Gradient and Hessian by theta."""
        gradient, hessian = _derivatives(self._profile, self._structure, self.theta)
        _, slope, bend = self._structure.prior(self.theta)
        return gradient + slope, hessian + np.diag(bend)


def profile(sums: Sums, structure: Structure, theta: Floats) -> Profile:
    """The criterion at these variances, with the pieces of its solution."""
    ways, scale, ridge = structure.ways, structure.scale(theta), structure.ridge
    return Profile(sums, structure.factor(theta), ways, scale, ridge, structure.dispersion)


def _derivatives(at: Profile, structure: Structure, theta: Floats) -> tuple[Floats, Floats]:
    """Gradient and Hessian by theta, in which every variance is a quadratic form."""
    gradient, hessian = at.derivatives(structure.basis, structure.groups)
    forms = structure.forms
    turn: Floats = 2 * forms @ theta
    bend: Floats = 2 * np.tensordot(gradient, forms, 1)
    return turn.T @ gradient, turn.T @ hessian @ turn + bend


def criterion(sums: Sums, structure: Structure, theta: Floats) -> tuple[float, Floats]:
    """Minus twice the restricted log likelihood (up to no constant: comparable between models) and its gradient."""
    at = profile(sums, structure, theta)
    return at.value, _derivatives(at, structure, theta)[0]


def curvature(sums: Sums, structure: Structure, theta: Floats) -> Floats:
    """Second derivatives (m, m) of the criterion with its prior."""
    return _Point(sums, structure, theta).derivatives()[1]


def means(sums: Sums, structure: Structure, theta: Floats) -> tuple[float, Floats, Floats]:
    """Criterion, coefficients (p,) and therapist effects (t, q) of `solve` alone, in less time."""
    at = profile(sums, structure, theta)
    return at.value, at.b, at.effects(at.b)


def solve(sums: Sums, structure: Structure, theta: Floats) -> Solution:
    """All effects, given the variance parameters."""
    at, ridge = profile(sums, structure, theta), structure.ridge
    prior = (structure.ways**2) @ np.where(ridge > 0, at.noise * at.scale**2, 0.0)
    return Solution(
        b=at.b,
        b_cov=at.noise * at.covariance(),
        at_zero=at.at_zero(),
        per_border=at.per_border(),
        within=at.noise * at.inner,
        prior=at.noise * at.lower @ at.lower.T,
        noise=at.noise,
        theta=theta,
        criterion=at.value,
        shrinkage=np.where(ridge[: structure.border] > 0, prior, np.inf),
    )
