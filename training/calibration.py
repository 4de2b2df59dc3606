"""Whether predictions come true: of results by how high they were predicted, of rankings by how high the choice ranked.

*Calibration* is of absolute predictions: observed on predicted, with intercept, slope and deciles; probabilities stay
probabilities. *Dose-response* is of the ranking: mean result less prognosis by decile of the assigned therapist's
predicted percentile among those offered; where the ranking is right it rises.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from training.bands import FEWEST_IN_CELL
from training.evaluate import DIGITS, Figure, Offered, Resamples, regression

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TENTHS = 10


def calibration(y: Floats, predicted: Floats, weight: Floats, sd: float, resamples: Resamples) -> dict[str, Any]:
    """Observed results y (n,) on predicted ones: slope, intercept, mean of observed less predicted in SD, and deciles.

    Slope 1 and intercept 0 are right; below 1 the predictions spread too widely. Where all predictions are equal there
    is no slope.
    """
    bias = resamples.means(((y - predicted) / sd)[:, None], weight[:, None])[0]
    found: dict[str, Any] = {"bias": bias.as_json(), "deciles": _deciles(y, predicted, weight, resamples)}
    if np.ptp(predicted) < 1e-9:
        return {**found, "slope": None, "intercept": None}
    flat = np.zeros(len(y))
    slope = regression(y, predicted, flat, weight, resamples)
    return {**found, "slope": slope.as_json(), "intercept": _intercept(y, predicted, weight, resamples).as_json()}


def _intercept(y: Floats, x: Floats, weight: Floats, resamples: Resamples) -> Figure:
    """Where the line meets prediction 0: mean of y less slope times mean of x, in every resample its own."""
    sums = np.column_stack([weight, weight * x, weight * y, weight * x * x, weight * x * y])

    def solve(s: Floats) -> Floats:
        mean_x, mean_y = s[:, 1] / s[:, 0], s[:, 2] / s[:, 0]
        slope = (s[:, 4] / s[:, 0] - mean_x * mean_y) / np.maximum(s[:, 3] / s[:, 0] - mean_x**2, 1e-12)
        return np.asarray(mean_y - slope * mean_x)

    return resamples.figure(float(solve(sums.sum(axis=0)[None, :])[0]), solve(resamples.sums(sums)))


def _deciles(y: Floats, predicted: Floats, weight: Floats, resamples: Resamples) -> list[dict[str, Any]]:
    """Rows by tenths of the predictions; equal predictions stay together."""
    edges = np.quantile(predicted, np.arange(1, TENTHS) / TENTHS)
    tenth = np.searchsorted(edges, predicted, side="right")
    cells = tenth[:, None] == np.unique(tenth)[None, :]
    observed = resamples.means(np.repeat(y[:, None], cells.shape[1], axis=1), weight[:, None] * cells)
    return [
        {
            "n": int(cell.sum()),
            "predicted": round(float(np.average(predicted[cell], weights=weight[cell])), DIGITS),
            "observed": figure.as_json(DIGITS),
        }
        for cell, figure in zip(cells.T, observed, strict=True)
        if cell.sum() >= FEWEST_IN_CELL
    ]


def dose_response(
    response: Floats, score: Floats, offered: Offered, weight: Floats, resamples: Resamples
) -> list[dict[str, Any]]:
    """Mean of `response` (clients,), result less prognosis in SD, by tenth of the assigned therapist's percentile."""
    tenth = np.minimum((offered.percentile(score) * TENTHS).astype(np.int64), TENTHS - 1)
    known = ~np.isnan(response)
    cells = (tenth[:, None] == np.arange(TENTHS)) & known[:, None]
    means = resamples.means(np.repeat(response[:, None], TENTHS, axis=1), weight[:, None] * cells)
    return [
        {"from": i / TENTHS, "to": (i + 1) / TENTHS, "n": int(cells[:, i].sum()), "mean": means[i].as_json(DIGITS)}
        for i in range(TENTHS)
        if cells[:, i].sum() >= FEWEST_IN_CELL
    ]
