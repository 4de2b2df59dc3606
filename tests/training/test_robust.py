"""CR2 errors against the definition written out with whole matrices, and against what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import block_diag
from scipy.stats import t as student

from training.robust import cr2


def by_definition(x: np.ndarray, y: np.ndarray, w: np.ndarray, cluster: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard errors and degrees of freedom with the n x n hat matrix, its square roots and quadratic forms."""
    order = np.argsort(cluster, kind="stable")
    x, y, cluster = (x * np.sqrt(w)[:, None])[order], (y * np.sqrt(w))[order], cluster[order]
    n, k = x.shape
    bread = np.linalg.inv(x.T @ x)
    annihilator = np.eye(n) - x @ bread @ x.T
    residual = annihilator @ y
    blocks = []
    for one in np.unique(cluster):
        rows = cluster == one
        values, vectors = np.linalg.eigh(annihilator[np.ix_(rows, rows)])
        inverse = np.where(values > 1e-9, 1 / np.sqrt(np.where(values > 1e-9, values, 1)), 0)
        blocks.append(vectors @ np.diag(inverse) @ vectors.T)
    adjust = block_diag(*blocks)
    errors, dfs = np.empty(k), np.empty(k)
    for j in range(k):
        weights = adjust @ x @ bread[:, j]
        shares = np.array([(weights * residual)[cluster == one].sum() for one in np.unique(cluster)])
        errors[j] = np.sqrt((shares**2).sum())
        forms = [annihilator @ np.where(cluster == one, weights, 0) for one in np.unique(cluster)]
        values = np.linalg.eigvalsh(sum(np.outer(form, form) for form in forms))
        dfs[j] = values.sum() ** 2 / (values**2).sum()
    return errors, dfs


@given(st.integers(0, 10_000), st.integers(4, 12), st.booleans())
def test_errors_and_degrees_of_freedom_are_those_of_the_definition(seed: int, clusters: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    cluster = np.concatenate([np.arange(clusters), rng.integers(0, clusters, 50)])
    n = len(cluster)
    x = np.column_stack([rng.normal(size=n), np.ones(n), rng.normal(size=clusters)[cluster]])
    y, w = rng.normal(size=n) + rng.normal(size=clusters)[cluster], rng.uniform(0.3, 3, n) if weighted else np.ones(n)
    found = cr2(x, y, w, cluster)
    errors, dfs = by_definition(x, y, w, cluster)
    root = np.sqrt(w)
    assert found.value == pytest.approx(np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0])
    assert found.error == pytest.approx(errors)
    assert found.df == pytest.approx(dfs)


def test_with_one_row_a_cluster_the_mean_has_the_error_of_every_textbook() -> None:
    y = np.array([1.0, 2.0, 4.0, 9.0, -3.0])
    found = cr2(np.ones((5, 1)), y, np.ones(5), np.arange(5))
    assert found.value[0] == pytest.approx(y.mean())
    assert found.error[0] == pytest.approx(y.std(ddof=1) / np.sqrt(5))
    assert found.df[0] == pytest.approx(4)
    low, high = found.interval(0.95)
    reach = student.ppf(0.975, 4) * y.std(ddof=1) / np.sqrt(5)
    assert (low[0], high[0]) == (pytest.approx(y.mean() - reach), pytest.approx(y.mean() + reach))


def test_a_column_that_one_cluster_alone_decides_is_no_failure() -> None:
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(6), 5)
    x = np.column_stack([np.ones(30), cluster == 0])
    found = cr2(x, rng.normal(size=30), np.ones(30), cluster)
    assert np.isfinite(found.error).all()
    assert found.error[0] > 0


def test_intervals_of_ten_unequal_clusters_hold_the_truth_as_often_as_they_say() -> None:
    inside, plain = [], []
    sizes = np.array([4, 4, 5, 6, 8, 10, 15, 25, 40, 60])
    cluster = np.repeat(np.arange(10), sizes)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        x = np.column_stack([rng.normal(size=10)[cluster], np.ones(len(cluster))])
        y = 0.5 * rng.normal(size=10)[cluster] + rng.normal(size=len(cluster))
        found = cr2(x, y, np.ones(len(y)), cluster)
        low, high = found.interval(0.95)
        inside.append(low[0] < 0 < high[0])
        plain.append(abs(found.value[0]) < 1.96 * np.sqrt(np.linalg.inv(x.T @ x)[0, 0] * y.var()))
    assert 0.92 <= np.mean(inside) <= 0.985
    assert np.mean(plain) < 0.9
