"""Controls that must come to nothing: where they do not, a figure of the audit does not mean what it says.

*Dealt by lot*: the therapist seen is replaced by one drawn from those offered, so that the rank must foretell nothing.
*Results of others*: results are shuffled between clients, so that predictions must foretell nothing.
*Before treatment*: severity at intake, and the prognosis, are looked at as if they were results; no therapist can have
changed them, so a slope shows who was sent to whom (negative control outcome: Lipsitch, Tchetgen Tchetgen and Cohen
2010, "Negative controls: a tool for detecting confounding and bias in observational studies", Epidemiology 21).
Controls for which the model is learned again are in `therapist-fit experiment falsification`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from training.audit.examined import Examined
from training.audit.ranked import FEWEST_CLIENTS, Ranked
from training.evaluate import LEVEL, Figure, rank_validity

Floats = npt.NDArray[np.float64]

DRAWS = 400
SMALL = 0.10
"""A slope (SD) that a control may have without a person being asked to look, however sure it is."""
SENT = (
    "Who was sent to whom had to do with it: the model adjusts for what is on record, but whatever else those who send "
    "clients go by may be mistaken for an effect of therapists."
)


@dataclass(frozen=True)
class Control:
    """One control: its figure, what it should be, and whether it came to nothing."""

    name: str
    figure: Figure
    holds: bool
    words: str
    n: int
    by_design: bool = False
    """Made so that it comes to nothing: it shows what chance brings, and cannot show that anything is amiss."""


def controls(looked_at: Examined, ranked: Ranked) -> list[Control]:
    """Every control on the ranking that the data allow."""
    rng = np.random.default_rng(looked_at.config.seed)
    found = [_dealt_by_lot(ranked, rng), _results_of_others(ranked, rng)]
    return found + _before_treatment(looked_at, ranked)


def slopes(response: Floats, regressors: Floats, control: Floats, weight: Floats) -> Floats:
    """Slope of the response (n,) on each row of regressors (draws, n), given 1 and the control (n,)."""
    root = np.sqrt(weight)
    basis = np.linalg.qr(np.column_stack([root, root * control]))[0]
    y = root * response
    y = y - basis @ (basis.T @ y)
    x = regressors * root
    x = x - (x @ basis) @ basis.T
    square = np.einsum("dn,dn->d", x, x)
    return np.asarray(x @ y / np.maximum(square, 1e-12))


def _of_draws(draws: Floats) -> Figure:
    edge = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [edge, 1 - edge])
    return Figure(float(draws.mean()), float(low), float(high))


def _known(ranked: Ranked) -> tuple[Floats, Floats]:
    """Results with 0 where there is none, and weights that leave those out."""
    missing = np.isnan(ranked.together)
    return np.nan_to_num(ranked.together), np.where(missing, 0.0, 1.0)


def _dealt_by_lot(ranked: Ranked, rng: np.random.Generator) -> Control:
    offered = ranked.offered
    percentile, count = ranked.percentiles(ranked.utility), np.bincount(offered.position)
    order = np.argsort(offered.position, kind="stable")
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    drawn = order[first + (rng.random((DRAWS, len(count))) * count).astype(np.int64)]
    response, weight = _known(ranked)
    mean = offered.means(ranked.utility)
    figure = _of_draws(slopes(response, percentile[drawn], mean, weight))
    real = float(slopes(response, percentile[None, offered.assigned], mean, weight)[0])
    beyond = real > figure.high or real < figure.low
    words = (
        f"With a therapist drawn by lot from those offered in the place of the one seen, results rise by "
        f"{figure.value:+.2f} SD ({figure.low:+.2f} to {figure.high:+.2f}) from the lowest to the highest rank; with "
        f"the one really seen by {real:+.2f}, " + ("more than the lot brings." if beyond else "no more than the lot.")
    )
    return Control("dealt by lot", figure, figure.low <= 0 <= figure.high, words, ranked.clients, by_design=True)


def _results_of_others(ranked: Ranked, rng: np.random.Generator) -> Control:
    known = ~np.isnan(ranked.together)
    results = ranked.together[known]
    regressor = ranked.offered.percentile(ranked.utility)[known]
    control = ranked.offered.means(ranked.utility)[known]
    shuffled = rng.permuted(np.tile(results, (DRAWS, 1)), axis=1)
    figure = _of_draws(_slopes_of_many(shuffled, regressor, control))
    words = (
        f"With the results of other clients, dealt out at random, they rise by {figure.value:+.2f} SD "
        f"({figure.low:+.2f} to {figure.high:+.2f}) from the lowest to the highest rank: that is what chance brings."
    )
    return Control("results of others", figure, figure.low <= 0 <= figure.high, words, int(known.sum()), by_design=True)


def _slopes_of_many(responses: Floats, regressor: Floats, control: Floats) -> Floats:
    """Slope of each row of responses (draws, n) on the regressor (n,), given 1 and the control (n,)."""
    basis = np.linalg.qr(np.column_stack([np.ones(len(control)), control]))[0]
    x = regressor - basis @ (basis.T @ regressor)
    return np.asarray(responses @ x / max(float(x @ x), 1e-12))


def _before_treatment(looked_at: Examined, ranked: Ranked) -> list[Control]:
    rows, asked = ranked.offered.rows, []
    severity = severity_at_intake(looked_at)[rows]
    if (~np.isnan(severity)).sum() >= FEWEST_CLIENTS:
        asked.append(("severity at intake", "how severe symptoms were at intake", severity))
    for head in ranked.heads:
        expected = looked_at.prognoses[head.name][rows]
        if np.ptp(expected) > 0:
            said = f"the {head.name} to be expected whoever the therapist is"
            asked.append((f"prognosis of {head.name}", said, expected))
    return [unchanged(name, said, values, ranked, len(asked)) for name, said, values in asked]


def unchanged(name: str, said: str, values: Floats, ranked: Ranked, many: int) -> Control:
    """What was so before treatment as if it were a result, one of `many` such controls, by the rank of who was seen."""
    scaled = (values - np.nanmean(values)) / np.nanstd(values)
    figure = rank_validity(scaled, ranked.utility, ranked.offered, np.ones(len(scaled)), ranked.resamples)
    chance = abs(figure.value) <= sure_of(many) * _error(figure)
    holds = chance or abs(figure.value) <= SMALL
    slope = f"{figure.value:+.2f} SD ({figure.low:+.2f} to {figure.high:+.2f})"
    end = _ending(chance, holds)
    words = f"From the lowest to the highest rank of the therapist seen, {said} changes by {slope}, {end}."
    return Control(name, figure, holds, words, int((~np.isnan(values)).sum()))


def _ending(chance: bool, holds: bool) -> str:
    if chance:
        return "within what chance brings"
    return f"more than chance brings, but {SMALL:.2f} SD at most" if holds else "more than chance brings"


def known_at_intake(looked_at: Examined) -> Iterator[Control]:
    """Heads that were learned as controls: what is known at intake, which no therapist can have changed."""
    for head in looked_at.config.heads:
        tested = looked_at.evaluation.get("heads", {}).get(head.name, {})
        if head.source.endswith("@0") and "rank_validity" in tested:
            figure = Figure(**tested["rank_validity"])
            holds = abs(figure.value) <= SMALL or figure.low <= 0 <= figure.high
            words = (
                f"{head.name}, known at intake and learned as if it were a result, rises by {figure.value:+.2f} SD "
                f"({figure.low:+.2f} to {figure.high:+.2f}) from the lowest to the highest rank by itself."
            )
            yield Control(f"{head.name} learned as a result", figure, holds, words, tested["rows"])


def sure_of(many: int) -> float:
    """Standard errors that one of `many` controls must lie from 0, so that all hold by chance 19 times in 20."""
    return float(ndtri(1 - (1 - LEVEL) / 2 / many))


def _error(figure: Figure) -> float:
    return (figure.high - figure.low) / (2 * sure_of(1))


def severity_at_intake(looked_at: Examined) -> Floats:
    """Mean over the outcome's instruments of the intake total, in intake SDs, of each test row; NaN where unknown."""
    days = looked_at.test["matched_on"].to_numpy().astype("datetime64[D]")
    measures = looked_at.history.as_of_each(days).intake(looked_at.test["episode_id"])
    sds = looked_at.asked.manifest.intake_sds
    names = [name for name in looked_at.config.outcome.instruments if f"{name}.0" in measures and name in sds]
    table = np.array([measures[f"{name}.0"].to_numpy(dtype=np.float64) / sds[name] for name in names])
    if not names:
        return np.full(len(looked_at.test), np.nan)
    table = table - np.nanmean(table, axis=1, keepdims=True)
    known = ~np.isnan(table)
    return np.where(known.any(axis=0), np.nansum(table, axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)
