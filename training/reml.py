"""The restricted likelihood of the mixed model at one set of variances, with its first and second derivatives.

With G = L L' the block of therapist t is M_t = I + L' Z'WZ L; all else follows from `Sums`, in O(T q p^2) time. The
criterion and its profiling follow Bates, Maechler, Bolker and Walker (2015), "Fitting linear mixed-effects models using
lme4", J. Stat. Softw. 67(1), section 3.4. In the variances v_k, of which V is a linear function with parts V_k,

    d/dv_k      = tr(P V_k) - y'P V_k P y / s2
    d2/dv_k dv_l = -tr(P V_k P V_l) + 2 y'P V_k P V_l P y / s2 - [(y'P V_k P y)(y'P V_l P y) / (s4 d), s2 profiled]

(Harville 1977, "Maximum likelihood approaches to variance component estimation", J. Am. Stat. Assoc. 72, section 4),
with d the degrees of freedom. Exact second derivatives cost no more here than the criterion itself does.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.linalg

from training.sums import Floats, Sums

AT_ONCE = 120_000
"""Cells of Z'X worked on together: temporary arrays stay small however many therapists there are."""


class Profile:
    """Minus twice the restricted log likelihood, and the pieces that its derivatives and the solution share.

    `lower` (q, q) is the relative factor L; `ways` (p, w) makes w columns of the border's p: these themselves, then
    others; `scale` (w,) is tau where they are shrunken and 1 elsewhere, `ridge` (w,) is 1 and 0. Without a `dispersion`
    s2 is profiled out.
    """

    def __init__(self, sums: Sums, lower: Floats, ways: Floats, scale: Floats, ridge: Floats, dispersion: float | None):
        self.sums, self.lower, self.ways, self.scale = sums, lower, ways, scale
        self.profiled = dispersion is None
        root = np.linalg.cholesky(np.eye(len(lower)) + lower.T @ sums.zz @ lower)
        half = np.linalg.solve(root, lower.T)
        self.inner = half.transpose(0, 2, 1) @ half  # K_t = L M_t^-1 L'
        xvx = sums.xx.copy()
        for some in self._therapists():
            rows = _rows(half[some] @ sums.zx[some])
            xvx -= rows.T @ rows
        settled = _times(self.inner, sums.zy)
        self.xvx: Floats = _made(xvx, ways)
        self.xvy: Floats = (sums.xy - settled.ravel() @ _rows(sums.zx)) @ ways
        yvy = sums.yy - float(settled.ravel() @ sums.zy.ravel())
        factor = np.linalg.cholesky(scale[:, None] * self.xvx * scale + np.diag(ridge))
        root_inverse = scipy.linalg.solve_triangular(factor, np.diag(scale), lower=True)
        self.inverse: Floats = root_inverse.T @ root_inverse  # of the w columns made
        self.made: Floats = self.inverse @ self.xvy
        self.b: Floats = ways @ self.made
        residual = max(yvy - float(self.xvy @ self.made), 1e-12)
        self.degrees = sums.rows - int((ridge == 0).sum())
        self.noise: float = residual / self.degrees if dispersion is None else dispersion
        log_blocks = 2 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum()
        log_border = 2 * np.log(np.diag(factor)).sum()
        misfit = residual / self.noise + self.degrees * np.log(2 * np.pi * self.noise)
        self.value = float(log_blocks + log_border + misfit - sums.log_weight)

    def _therapists(self) -> Iterator[slice]:
        count, q, p = self.sums.zx.shape
        many = max(1, AT_ONCE // max(1, q * p))
        return (slice(start, start + many) for start in range(0, count, many))

    def covariance(self) -> Floats:
        """(p, p): the covariance of b in units of s2."""
        size = len(self.ways)
        more = self.ways[:, size:]
        half = self.inverse[:size] + more @ self.inverse[size:]
        found: Floats = half[:, :size] + half[:, size:] @ more.T
        return found

    def per_border(self) -> Floats:
        """By how much each therapist's effects fall per unit of each border coefficient, shape (t, q, p)."""
        fall: Floats = self.inner @ self.sums.zx
        return fall

    def at_zero(self) -> Floats:
        """Each therapist's effects if all coefficients were 0, shape (t, q)."""
        return _times(self.inner, self.sums.zy)

    def effects(self, b: Floats) -> Floats:
        """Each therapist's effects given coefficients b (p,), shape (t, q)."""
        return _times(self.inner, self.sums.zy - self.sums.zx @ b)

    def derivatives(self, basis: Sequence[Floats], groups: Sequence[Sequence[int]]) -> tuple[Floats, Floats]:
        """Gradient (m,) and Hessian (m, m) by variances: G = sum of v_k basis[k], then one of each group of columns."""
        own, shared = _Therapists(self, basis), _Border(self, groups)
        pull = np.concatenate([own.pull, shared.pull])
        gradient = np.concatenate([own.trace, shared.trace]) - pull / self.noise
        across = own.across(shared)
        hessian = np.block([[own.second(), across], [across.T, shared.second()]])
        if self.profiled:
            hessian -= np.outer(pull, pull) / (self.noise**2 * self.degrees)
        return gradient, hessian


class _Therapists:
    """Pieces of the derivatives by therapists' variances; V_k = Z basis[k] Z'."""

    def __init__(self, at: Profile, basis: Sequence[Floats]):
        self._at, self._covariance, count, size = at, at.covariance(), len(basis), len(at.b)
        self.spread = np.zeros((count, size, size))  # sum of X'V^-1 Z basis[k] Z'V^-1 X
        self.along = np.zeros((count, size))  # X'V^-1 V_k P y
        self.trace, self.pull = np.zeros(count), np.zeros(count)
        self._traces, self._pulls = np.zeros((count, count)), np.zeros((count, count))
        for some in at._therapists():
            self._add(some, basis)
        self.trace -= np.tensordot(self.spread, self._covariance, 2)

    def _add(self, some: slice, basis: Sequence[Floats]) -> None:
        at, sums = self._at, self._at.sums
        zz, zx, inner = sums.zz[some], sums.zx[some], at.inner[some]
        zzk = zz @ inner
        zvz, zvx = zz - zzk @ zz, zx - zzk @ zx  # Z'V^-1 Z and Z'V^-1 X, therapist by therapist
        score = sums.zy[some] - zx @ at.b
        score = score - _times(zzk, score)  # Z'P y
        taken = (_rows(zvx) @ self._covariance).reshape(zvx.shape) @ zvx.transpose(0, 2, 1)
        moved = [score @ part for part in basis]
        first = np.array([(zvz @ part).ravel() for part in basis])
        second = np.array([((zvz - 2 * taken) @ part).transpose(0, 2, 1).ravel() for part in basis])
        whole = zvz.sum(axis=0)
        for k, part in enumerate(basis):
            self.spread[k] += _spread(zvx, part)
            self.along[k] += moved[k].ravel() @ _rows(zvx)
            self.trace[k] += (whole * part).sum()
            self.pull[k] += (moved[k] * score).sum()
        if basis:
            self._traces += first @ second.T
            settled = np.array([_times(zvz, one).ravel() for one in moved])
            self._pulls += settled @ np.array([one.ravel() for one in moved]).T

    def second(self) -> Floats:
        """Second derivatives by two of these, s2 held."""
        turned = self._covariance @ self.spread
        traces = self._traces + _flat(turned) @ _flat(turned.transpose(0, 2, 1)).T
        pulls = self._pulls - self.along @ self._covariance @ self.along.T
        found: Floats = 2 * pulls / self._at.noise - traces
        return found

    def across(self, border: "_Border") -> Floats:
        """Second derivatives by one of these and one of the border's."""
        left = border.left @ self.spread
        traces = (left * border.left).sum(axis=2)
        pulls = 2 * (self.along @ border.left.T) * border.score / self._at.noise
        found: Floats = (pulls - traces) @ border.member
        return found


class _Border:
    """Pieces of the derivatives by the variances of groups of the columns made; V_r = sum of their outer products."""

    def __init__(self, at: Profile, groups: Sequence[Sequence[int]]):
        self._at, size = at, len(at.made)
        self.member = np.zeros((size, len(groups)))
        for r, columns in enumerate(groups):
            self.member[list(columns), r] = 1.0
        rest = np.eye(size) - at.xvx @ at.inverse
        self.left: Floats = rest @ at.ways.T  # made'P = left X'V^-1
        self._middle = rest @ at.xvx  # made'P made
        self.score: Floats = at.xvy - at.xvx @ at.made  # made'P y
        self.trace: Floats = np.diag(self._middle) @ self.member
        self.pull: Floats = self.score**2 @ self.member

    def second(self) -> Floats:
        """Second derivatives by two of these, s2 held."""
        by_pair = 2 * self._middle * np.outer(self.score, self.score) / self._at.noise - self._middle**2
        found: Floats = self.member.T @ by_pair @ self.member
        return found


def _made(matrix: Floats, ways: Floats) -> Floats:
    """ways' matrix ways, where ways (p, w) begins with the identity."""
    more = ways[:, len(ways) :]
    if not more.shape[1]:
        return matrix
    across = matrix @ more
    return np.block([[matrix, across], [across.T, more.T @ across]])


def _spread(zvx: Floats, part: Floats) -> Floats:
    """Sum over therapists of zvx' part zvx, shape (p, p), from the rows that the part touches."""
    touched = np.flatnonzero(part.any(axis=0))
    core, rows = part[np.ix_(touched, touched)], zvx[:, touched]
    flat = _rows(rows)
    other = flat if np.array_equal(core, np.eye(len(core))) else _rows(core @ rows)
    found: Floats = flat.T @ other
    return found


def _rows(blocks: Floats) -> Floats:
    """(t, q, p) as (t q, p)."""
    return blocks.reshape(blocks.shape[0] * blocks.shape[1], blocks.shape[2])


def _flat(matrices: Floats) -> Floats:
    """(k, p, r) as (k, p r)."""
    return matrices.reshape(len(matrices), matrices.shape[1] * matrices.shape[2])


def _times(blocks: Floats, vectors: Floats) -> Floats:
    """Each block (q, q) times its vector (q,)."""
    found: Floats = (blocks @ vectors[:, :, None])[:, :, 0]
    return found
