"""The mixed fit of a head with results 0 and 1: working responses, and the size of what therapists add.

Penalised quasi-likelihood (Breslow and Clayton 1993, "Approximate inference in generalized linear mixed models", J. Am.
Stat. Assoc. 88) fits the same model to working responses, over and over. It takes their weights for given, and so finds
therapists too much alike. One factor for all that therapists add is therefore chosen by the Laplace approximation of
the likelihood, at which all effects are solved for anew (Breslow and Lin 1995, "Bias correction in generalised linear
mixed models with a single component of dispersion", Biometrika 82).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from training.mixed import Solution, Structure, fit, means, solve
from training.shares import Rows

Floats = npt.NDArray[np.float64]

ROUNDS_OF_WORK = 25
"""Re-linearisations, at most."""
SETTLED = 1e-3
"""Log odds: a re-linearisation that moves no row further is the last. The search for variances is no finer."""
FACTORS, FIRST = (0.7, 1.6), (1.0, 1.1, 0.9)
"""Between which the factor of what therapists add is looked for, and the factors tried first."""
FINE = 0.01
MOST_FACTORS = 8
ALMOST = 3e-3
"""Log odds: while factors are compared, a re-linearisation that moves no row further is the last; the next is finer."""
LOOSE = 1e-2
"""Rise of the likelihood for which variances are not looked for any closer before the next re-linearisation."""
LEAST_SLOPE = 1e-4


def fit_binary(
    labels: Rows, structure: Structure, linear: Floats, theta: Floats | None, by_laplace: bool
) -> tuple[Rows, Solution]:
    """The solution, and the working responses it stands on.

    `labels` are rows whose response is 0 or 1 and whose weight is the case's; `linear` (n,) log odds and `theta`
    variance parameters to start from. Without `by_laplace` the variances are those of the quasi-likelihood.
    """
    rows, solution = labels, None
    for _ in range(ROUNDS_OF_WORK):
        rows = working(labels, linear)
        solution = fit(rows.total, structure, theta if solution is None else solution.theta, LOOSE)
        before, linear = linear, log_odds(rows, solution.b, solution.effects())
        if float(np.abs(linear - before).max()) < SETTLED:
            break
    assert solution is not None
    return _resized(labels, structure, linear, solution) if by_laplace and structure.width else (rows, solution)


def working(labels: Rows, linear: Floats) -> Rows:
    """Rows whose weighted squares are, around these log odds, the log likelihood of the labels."""
    chance = sigmoid(linear)
    slope = np.maximum(chance * (1 - chance), LEAST_SLOPE)
    return replace(labels, response=linear + (labels.response - chance) / slope, weight=labels.weight * slope)


def log_odds(rows: Rows, b: Floats, effects: Floats) -> Floats:
    """What a fit expects of every row, (n,): its coefficients (p,) and what therapists add, effects (t, q)."""
    linear: Floats = rows.border @ b + own(rows, effects)
    return linear


def own(rows: Rows, effects: Floats) -> Floats:
    """What each row's therapist adds beyond columns, (n,), with effects (t, q)."""
    added: Floats = np.einsum("nq,nq->n", effects[rows.therapist], rows.effects)
    return added


def laplace(labels: Rows, structure: Structure, theta: Floats, linear: Floats) -> tuple[float, Rows, Solution]:
    """Minus twice the log likelihood at these variances, effects integrated out at their mode, and that mode."""
    value, rows, _ = _mode(labels, structure, theta, linear, SETTLED)
    return value, rows, solve(rows.total, structure, theta)


def _mode(
    labels: Rows, structure: Structure, theta: Floats, linear: Floats, settled: float
) -> tuple[float, Rows, Floats]:
    """The value of `laplace`, the working responses at the mode, and the log odds there, (n,)."""
    for _ in range(ROUNDS_OF_WORK):
        rows = working(labels, linear)
        criterion, b, effects = means(rows.total, structure, theta)
        before, linear = linear, log_odds(rows, b, effects)
        if float(np.abs(linear - before).max()) < settled:
            break
    chance = sigmoid(linear)
    squares = float(rows.weight @ (rows.response - linear) ** 2)
    surprise = labels.response * np.log(chance) + (1 - labels.response) * np.log(1 - chance)
    deviance = -2 * float((labels.weight * surprise).sum())
    return criterion + rows.total.log_weight - squares + deviance, rows, linear


def _resized(labels: Rows, structure: Structure, linear: Floats, solution: Solution) -> tuple[Rows, Solution]:
    """The solution with all that therapists add times one factor, the likeliest; each search starts from the last."""
    therapists = np.arange(structure.parameters) < structure.parameters - len(structure.groups)

    def theta(factor: float) -> Floats:
        return np.where(therapists, factor, 1.0) * solution.theta

    def value(factor: float) -> float:
        nonlocal linear
        found, _, linear = _mode(labels, structure, theta(factor), linear, ALMOST)
        return found

    _, rows, resized = laplace(labels, structure, theta(least(value, *FACTORS)), linear)
    return rows, resized


def least(value: Callable[[float], float], low: float, high: float) -> float:
    """Where a smooth function is least between two factors, to `FINE`: by parabolas through the three best tried.

    Where they open downwards, the end that the best leans to.
    """
    tried = {factor: value(factor) for factor in FIRST}
    while len(tried) < MOST_FACTORS:
        near = sorted(tried, key=tried.__getitem__)[:3]
        bend, tilt, _ = np.polyfit(np.log(near), [tried[factor] for factor in near], 2)
        falling = high if near[0] > near[1] else low
        lowest = min(max(float(np.exp(-tilt / (2 * bend))), low), high) if bend > 0 else falling
        if min(abs(lowest / factor - 1) for factor in tried) < FINE:
            return lowest
        tried[lowest] = value(lowest)
    best: float = min(tried, key=tried.__getitem__)
    return best


def sigmoid(x: Floats) -> Floats:
    """Log odds to probability; log odds beyond 30 are cut off."""
    values: Floats = 1 / (1 + np.exp(-np.clip(x, -30, 30)))
    return values
