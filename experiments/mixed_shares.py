"""Share of variance between therapists, and its growth with severity, by REML on per-therapist sums."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize


@dataclass(frozen=True)
class Shares:
    """Variance between therapists over all variance left by the case mix, at three severities."""

    low: float
    mean: float
    high: float
    correlation: float
    residual_sd: float


def shares(outcome: np.ndarray, design: np.ndarray, severity: np.ndarray, therapist: np.ndarray) -> Shares:
    """Fits outcome = design b + g0[therapist] + g1[therapist] severity + noise; shares at -2, 0 and +2 SD.

    REML over the three elements of the covariance of (g0, g1), the noise variance profiled out
    (Harville 1977, J Am Stat Assoc 72:320). Scores are bounded, so noise grows with severity; rows are weighted for
    it, or the growth would pass as a therapist's slope. Shares refer to the noise at mean severity. Rows with
    unknown outcome must be left out before.
    """
    weight = 1 / _noise_by_severity(outcome, design, severity)
    random = np.column_stack([np.ones(len(outcome)), severity])
    sums = _Sums.of(outcome * weight, design * weight[:, None], random * weight[:, None], therapist)
    start = np.array([np.log(0.2), 0.05, np.log(0.05)])
    found = minimize(sums.criterion, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-4})
    root, noise = _root(found.x), sums.noise(found.x)
    covariance = root @ root.T
    at = {s: float(np.array([1, s]) @ covariance @ np.array([1, s])) for s in (-2, 0, 2)}
    spread = np.sqrt(np.diag(covariance))
    correlation = covariance[0, 1] / max(spread.prod(), 1e-12)
    low, mean, high = (v / (v + 1) for v in at.values())
    return Shares(low, mean, high, float(correlation), float(np.sqrt(noise * (1 + at[0]))))


def _noise_by_severity(outcome: np.ndarray, design: np.ndarray, severity: np.ndarray) -> np.ndarray:
    """SD of the noise relative to mean severity: absolute residuals on severity and its square."""
    rest = np.abs(outcome - design @ np.linalg.lstsq(design, outcome, rcond=None)[0])
    curve = np.polynomial.Polynomial.fit(severity, rest, 2)
    return np.asarray(np.maximum(curve(severity) / curve(0.0), 0.3))


def _root(theta: np.ndarray) -> np.ndarray:
    """Cholesky root of the covariance of (g0, g1), in units of the noise variance."""
    return np.array([[np.exp(theta[0]), 0.0], [theta[1], np.exp(theta[2])]])


@dataclass(frozen=True)
class _Sums:
    """All that REML needs of the rows: cross products, per therapist where random effects enter."""

    xx: np.ndarray
    xy: np.ndarray
    yy: float
    zz: np.ndarray
    zx: np.ndarray
    zy: np.ndarray
    rows: int

    @classmethod
    def of(cls, y: np.ndarray, x: np.ndarray, z: np.ndarray, therapist: np.ndarray) -> "_Sums":
        _, group = np.unique(therapist, return_inverse=True)
        many = group.max() + 1

        def per(left: np.ndarray, right: np.ndarray) -> np.ndarray:
            products = left[:, :, None] * right[:, None, :]
            return np.stack(
                [
                    np.stack([np.bincount(group, products[:, i, j], many) for j in range(right.shape[1])], axis=-1)
                    for i in range(left.shape[1])
                ],
                axis=1,
            )

        return cls(x.T @ x, x.T @ y, float(y @ y), per(z, z), per(z, x), per(z, y[:, None])[:, :, 0], len(y))

    def _solve(self, theta: np.ndarray) -> tuple[float, float, np.ndarray]:
        """log det V, residual sum of squares at the generalised least squares solution, X' V^-1 X."""
        root = _root(theta)
        inner = np.eye(2) + root.T @ self.zz @ root
        zx, zy = root.T @ self.zx, self.zy @ root
        solved = np.linalg.solve(inner, np.concatenate([zx, zy[:, :, None]], axis=2))
        xvx = self.xx - np.einsum("tij,tik->jk", zx, solved[:, :, :-1])
        xvy = self.xy - np.einsum("tij,ti->j", zx, solved[:, :, -1])
        yvy = self.yy - float((zy * solved[:, :, -1]).sum())
        beta = np.linalg.solve(xvx, xvy)
        return float(np.linalg.slogdet(inner)[1].sum()), yvy - float(xvy @ beta), xvx

    def noise(self, theta: np.ndarray) -> float:
        """Noise variance at its REML optimum."""
        return self._solve(theta)[1] / (self.rows - len(self.xy))

    def criterion(self, theta: np.ndarray) -> float:
        """Twice the negative restricted log likelihood, up to a constant."""
        log_det, squares, xvx = self._solve(theta)
        free = self.rows - len(self.xy)
        return float(log_det + free * np.log(squares / free) + np.linalg.slogdet(xvx)[1])
