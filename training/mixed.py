"""The mixed model: jointly estimated variances by REML, a block solve, and the posterior of every therapist.

    y = X b + Z_t u_t + e,   u_t ~ N(0, s2 G),   b_r ~ N(0, s2 tau_r^2) for the shrunken columns r,   e ~ N(0, s2 / w)

The covariance of (b, u) has arrow shape: one small block per therapist, bordered by the columns of X. With
G = L L' the block of therapist t is M_t = I + L' Z'WZ L; everything else follows from `Sums`, in O(T q^2 p) time.
The profiled REML criterion and its parametrisation by relative factors follow Bates, Maechler, Bolker and Walker
(2015), "Fitting linear mixed-effects models using lme4", J. Stat. Softw. 67(1), sections 3.3-3.4; its gradient is the
usual tr(P dV) - y'P dV P y / s2. The prior that keeps variances of columns off zero: Chung, Rabe-Hesketh, Dorie, Gelman
and Liu (2013), "A nondegenerate penalized likelihood estimator for variance parameters", Psychometrika 78.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.optimize

from training.sums import Floats, Sums

START = 0.3  # relative standard deviation from which every variance starts: well away from the boundary at 0
LARGEST = 10.0  # no relative standard deviation is larger: more is a model without noise
LEAST = 1e-5  # with a prior that keeps off zero
LEAST_START = 0.01  # the criterion is flat at 0, so that a start there would never leave it


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

    @property
    def ways(self) -> Floats:
        """(border, border + leans): from coefficients of deviations and leans to those of the border's columns."""
        return np.column_stack([np.eye(self.border), *(np.array(lean) for lean in self.leans)])

    @property
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

    def ridge(self) -> Floats:
        """1 for shrunken border columns, 0 for fixed ones."""
        ridge = np.zeros(self.border + len(self.leans))
        for columns in self.groups:
            ridge[list(columns)] = 1.0
        return ridge

    def start(self) -> Floats:
        """Where the search for the variance parameters begins."""
        theta = np.full(self.parameters, START)
        rows, columns = np.tril_indices(self.joint)
        theta[: len(rows)] = np.where(rows == columns, START, 0.0)
        return theta

    def prior(self, theta: Floats) -> tuple[float, Floats]:
        """Minus twice the log density (up to a constant) of the prior that `near` names, and its gradient."""
        at = len(theta) - len(self.groups)
        gradient = np.zeros(len(theta))
        if self.near is None:
            return 0.0, gradient
        taus = np.maximum(np.abs(theta[at:]), LEAST)
        gradient[at:] = -2 / taus + 2 / self.near
        return float((-2 * np.log(taus) + 2 * taus / self.near).sum()), gradient


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


def fit(sums: Sums, structure: Structure, theta: Floats | None = None) -> Solution:
    """Estimates the variances by REML and solves for all effects. `theta` starts from an earlier solution."""
    if structure.parameters == 0:
        return solve(sums, structure, np.zeros(0))
    wide = sums.through(structure.ways) if structure.leans else sums
    bounds = [(-LARGEST, LARGEST)] * structure.parameters
    if structure.near is not None:
        bounds[-len(structure.groups) :] = [(LEAST, LARGEST)] * len(structure.groups)
    found = scipy.optimize.minimize(
        lambda at: objective(wide, structure, at),
        structure.start() if theta is None else np.where(np.abs(theta) < LEAST_START, LEAST_START, theta),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 500, "ftol": 1e-10, "gtol": 1e-5},
    )
    return solve(sums, structure, found.x)


def objective(wide: Sums, structure: Structure, theta: Floats) -> tuple[float, Floats]:
    """The criterion with its prior, and the gradient, from sums through the structure's ways."""
    at = _Profile(wide, structure, theta)
    prior, slope = structure.prior(theta)
    return at.value + prior, at.gradient() + slope


def criterion(sums: Sums, structure: Structure, theta: Floats) -> tuple[float, Floats]:
    """Minus twice the restricted log likelihood (up to no constant: comparable between models) and its gradient."""
    at = _Profile(sums.through(structure.ways) if structure.leans else sums, structure, theta)
    return at.value, at.gradient()


class _Profile:
    """The criterion at one theta, with the pieces that its gradient and the solution share."""

    def __init__(self, sums: Sums, structure: Structure, theta: Floats):
        self.sums, self.structure, self.theta = sums, structure, theta
        self.lower = structure.factor(theta)
        self.scale = structure.scale(theta)
        eye = np.eye(structure.width)
        block = eye + self.lower.T @ sums.zz @ self.lower
        chol = np.linalg.cholesky(block)
        self.inner = self.lower @ np.linalg.solve(block, np.broadcast_to(self.lower.T, block.shape))  # K_t
        self.kzx = self.inner @ sums.zx
        xvx = sums.xx - np.einsum("tqp,tqr->pr", sums.zx, self.kzx, optimize=True)
        self.xvx = (xvx + xvx.T) / 2
        self.xvy = sums.xy - np.einsum("tqp,tq->p", self.kzx, sums.zy, optimize=True)
        yvy = sums.yy - float(np.einsum("tq,tqr,tr->", sums.zy, self.inner, sums.zy, optimize=True))
        hessian = self.scale[:, None] * self.xvx * self.scale + np.diag(structure.ridge())
        self.hessian = scipy.linalg.cho_factor(hessian, lower=True)
        self.scaled_b = scipy.linalg.cho_solve(self.hessian, self.scale * self.xvy)
        self.b = self.scale * self.scaled_b
        self.residual = max(yvy - float(self.xvy @ self.b), 1e-12)
        self.degrees = sums.rows - int((structure.ridge() == 0).sum())
        self.noise = self.residual / self.degrees if structure.dispersion is None else structure.dispersion
        log_blocks = 2 * np.log(np.diagonal(chol, axis1=1, axis2=2)).sum()
        log_border = 2 * np.log(np.diag(self.hessian[0])).sum()
        fit = self.residual / self.noise + self.degrees * np.log(2 * np.pi * self.noise)
        self.value = float(log_blocks + log_border + fit - sums.log_weight)

    def border_inverse(self) -> Floats:
        """H^-1 (p, p): the covariance of b in units of s2."""
        eye = np.eye(len(self.scale))
        inverse: Floats = self.scale[:, None] * scipy.linalg.cho_solve(self.hessian, eye) * self.scale
        return inverse

    def gradient(self) -> Floats:
        inverse, sums, structure = self.border_inverse(), self.sums, self.structure
        zpx = sums.zx - sums.zz @ self.kzx  # Z'V^-1 X per therapist
        middle = (sums.zz - sums.zz @ self.inner @ sums.zz).sum(axis=0)
        middle = middle - np.einsum("tqp,tsp->qs", zpx @ inverse, zpx, optimize=True)
        score = sums.zy - sums.zx @ self.b
        score = score - np.einsum("tqr,trs,ts->tq", sums.zz, self.inner, score, optimize=True)
        by_lower = 2 * (middle - score.T @ score / self.noise) @ self.lower
        joint = by_lower[: structure.joint, : structure.joint][np.tril_indices(structure.joint)]
        parts = [joint]
        if structure.strengths:
            parts.append(np.array([np.diag(by_lower)[structure.joint :].sum()]))
        parts.append(self._shrinkage_gradient(inverse))
        return np.concatenate(parts)

    def _shrinkage_gradient(self, inverse: Floats) -> Floats:
        spread = np.diag(self.xvx) - np.einsum("pr,rs,sp->p", self.xvx, inverse, self.xvx, optimize=True)
        pull = (self.xvy - self.xvx @ self.b) ** 2 / self.noise
        by_variance = spread - pull
        taus = self.theta[self.structure.parameters - len(self.structure.groups) :]
        return np.array(
            [2 * tau * by_variance[list(c)].sum() for c, tau in zip(self.structure.groups, taus, strict=True)]
        )


def solve(sums: Sums, structure: Structure, theta: Floats) -> Solution:
    """All effects, given the variance parameters."""
    ways = structure.ways
    at = _Profile(sums.through(ways) if structure.leans else sums, structure, theta)
    ridge = structure.ridge()
    prior = (ways**2) @ np.where(ridge > 0, at.noise * at.scale**2, 0.0)
    return Solution(
        b=ways @ at.b,
        b_cov=at.noise * ways @ at.border_inverse() @ ways.T,
        at_zero=np.einsum("tqr,tr->tq", at.inner, sums.zy),
        per_border=at.kzx[:, :, : structure.border],
        within=at.noise * at.inner,
        prior=at.noise * at.lower @ at.lower.T,
        noise=at.noise,
        theta=theta,
        criterion=at.value,
        shrinkage=np.where(ridge[: structure.border] > 0, prior, np.inf),
    )
