"""The mixed fit of a head with results 0 and 1: working responses, and the size of what therapists add.

Penalised quasi-likelihood (Breslow and Clayton 1993, "Approximate inference in generalized linear mixed models", J. Am.
Stat. Assoc. 88) fits the same model to working responses, over and over. It takes their weights for given, and so finds
therapists too much alike. One factor for all that therapists add is therefore chosen by the Laplace approximation of
the likelihood, at which all effects are solved for anew (Breslow and Lin 1995, "Bias correction in generalised linear
mixed models with a single component of dispersion", Biometrika 82).
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.optimize

from training.mixed import Solution, Structure, fit, solve
from training.shares import Rows

Floats = npt.NDArray[np.float64]

ROUNDS_OF_WORK = 25
"""Re-linearisations, at most."""
SETTLED = 1e-3
"""Log odds: a re-linearisation that moves no row further is the last. The search for variances is no finer."""
FACTORS = (0.7, 1.6)
"""Between these the factor of what therapists add is looked for."""
FINE = 0.01
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
        solution = fit(rows.sums(), structure, theta if solution is None else solution.theta)
        before, linear = linear, log_odds(rows, solution)
        if float(np.abs(linear - before).max()) < SETTLED:
            break
    assert solution is not None
    return _resized(labels, structure, linear, solution) if by_laplace and structure.width else (rows, solution)


def working(labels: Rows, linear: Floats) -> Rows:
    """Rows whose weighted squares are, around these log odds, the log likelihood of the labels."""
    chance = sigmoid(linear)
    slope = np.maximum(chance * (1 - chance), LEAST_SLOPE)
    return replace(labels, response=linear + (labels.response - chance) / slope, weight=labels.weight * slope)


def log_odds(rows: Rows, solution: Solution) -> Floats:
    """What the solution expects of every row, (n,)."""
    linear: Floats = rows.border @ solution.b + own(rows, solution)
    return linear


def own(rows: Rows, solution: Solution) -> Floats:
    """What each row's therapist adds beyond columns, (n,)."""
    added: Floats = np.einsum("nq,nq->n", solution.effects()[rows.therapist], rows.effects)
    return added


def laplace(labels: Rows, structure: Structure, theta: Floats, linear: Floats) -> tuple[float, Rows, Solution]:
    """Minus twice the log likelihood at these variances, effects integrated out at their mode, and that mode."""
    for _ in range(ROUNDS_OF_WORK):
        rows = working(labels, linear)
        sums = rows.sums()
        solution = solve(sums, structure, theta)
        before, linear = linear, log_odds(rows, solution)
        if float(np.abs(linear - before).max()) < SETTLED:
            break
    chance = sigmoid(linear)
    slope = np.maximum(chance * (1 - chance), LEAST_SLOPE)
    squares = float((labels.weight * (labels.response - chance) ** 2 / slope).sum())
    surprise = labels.response * np.log(chance) + (1 - labels.response) * np.log(1 - chance)
    deviance = -2 * float((labels.weight * surprise).sum())
    return solution.criterion + sums.log_weight - squares + deviance, rows, solution


def _resized(labels: Rows, structure: Structure, linear: Floats, solution: Solution) -> tuple[Rows, Solution]:
    """The solution with all that therapists add times one factor, the likeliest."""
    therapists = np.arange(structure.parameters) < structure.parameters - len(structure.groups)

    def at(factor: float) -> tuple[float, Rows, Solution]:
        return laplace(labels, structure, np.where(therapists, factor, 1.0) * solution.theta, linear)

    found = scipy.optimize.minimize_scalar(
        lambda factor: at(factor)[0], bounds=FACTORS, method="bounded", options={"xatol": FINE}
    )
    _, rows, solution = at(float(found.x))
    return rows, solution


def sigmoid(x: Floats) -> Floats:
    """Log odds to probability; log odds beyond 30 are cut off."""
    values: Floats = 1 / (1 + np.exp(-np.clip(x, -30, 30)))
    return values
