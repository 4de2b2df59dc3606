"""Errors of a regression that hold with few therapists: CR2, with degrees of freedom of their own.

Clients of one therapist are alike, so errors are clustered by therapist. With fewer than 40 the usual cluster errors
and the bootstrap are too small. CR2 (Bell and McCaffrey 2002, "Bias reduction in standard errors for linear regression
with multi-stage samples") weighs each cluster's residuals so that the variance is unbiased were the errors independent;
its t statistic has Satterthwaite's degrees of freedom (Pustejovsky and Tipton 2018, doi 10.1080/07350015.2016.1247004).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ENOUGH_CLUSTERS = 40
"""From here on resampling whole clusters does as well."""


@dataclass(frozen=True)
class Robust:
    """Coefficients of a weighted regression (k,), their CR2 standard errors and degrees of freedom."""

    value: Floats
    error: Floats
    df: Floats

    def interval(self, level: float) -> tuple[Floats, Floats]:
        """Lower and upper ends, each of shape (k,)."""
        reach = student.ppf((1 + level) / 2, self.df) * self.error
        return self.value - reach, self.value + reach


def cr2(x: Floats, y: Floats, weight: Floats, cluster: Ints) -> Robust:
    """Regression of y (n,) on x (n, k) of full rank, weights being inverse variances, errors clustered.

    Never holds an n x n matrix: a cluster's hat matrix has rank k at most. A direction that one cluster alone decides
    leaves no residual there and adds nothing.
    """
    x, y = x * np.sqrt(weight)[:, None], y * np.sqrt(weight)
    bread: Floats = np.asarray(np.linalg.inv(x.T @ x), dtype=np.float64)
    value = bread @ x.T @ y
    residual = y - x @ value
    _, codes = np.unique(cluster, return_inverse=True)
    order = np.argsort(codes, kind="stable")
    scores, own, cross = [], [], []
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        mine = x[rows]
        adjusted = _adjusted(mine, bread) @ bread
        """A_g X_g (X'X)^-1, one column a coefficient: what turns the cluster's residuals into its score."""
        scores.append(adjusted.T @ residual[rows])
        own.append((adjusted**2).sum(axis=0))
        cross.append(adjusted.T @ mine)
    error = np.sqrt((np.array(scores) ** 2).sum(axis=0))
    return Robust(value, error, _satterthwaite(np.array(own), np.array(cross), bread))


def _adjusted(mine: Floats, bread: Floats) -> Floats:
    """(I - X_g (X'X)^-1 X_g')^(-1/2) X_g by the few directions in which it is not the identity."""
    root = np.linalg.cholesky(bread)
    left, values, _ = np.linalg.svd(mine @ root, full_matrices=False)
    rest = 1 - values**2
    factor = np.where(rest > 1e-10, 1 / np.sqrt(np.maximum(rest, 1e-10)), 0.0) - 1
    return np.asarray(mine + left @ (factor[:, None] * (left.T @ mine)))


def _satterthwaite(own: Floats, cross: Floats, bread: Floats) -> Floats:
    """tr(G)^2 / tr(G^2) for each coefficient, G the covariance of the clusters' scores under independent errors."""
    found = np.empty(own.shape[1])
    for j in range(own.shape[1]):
        g = np.diag(own[:, j]) - cross[:, j] @ bread @ cross[:, j].T
        found[j] = np.trace(g) ** 2 / (g**2).sum()
    return found
