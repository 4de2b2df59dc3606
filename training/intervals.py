"""Learning intervals for absolute predictions: conformal for scores, credible for probabilities.

A *conformal* interval is as wide as it has to be to have held the results of clients who were left out (Lei et al.
2018, doi 10.1080/01621459.2017.1307116). Every row learned from is left out in turn: its prognosis is cross-fitted by
client, and the rest of the fit is linear, so that its residual without the row is the residual over one less its
leverage. Residuals are divided by how large they are to be expected, where that can be foretold: noise grows with
severity. Both tails are read off, as scores are skewed.

What is expected of a pair is less sure for a therapist hardly known: the variance of the expectation, less what it was
on average for the rows learned from, widens the interval or narrows it.

A *credible* interval for a probability holds the uncertainty of the fit, of the client terms and of the trees. That of
the trees is seen in how far trees grown from two halves of the clients differ. What nothing on record says of a client
cannot be learned from results 0 and 1 of clients seen once, and is not in it: the interval is for the chance of clients
like this one.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from data.instruments import Instrument
from training.config import MEASURE, OutcomeConfig, TrainConfig
from training.conformal import LEVELS, Conformal, Credible, noise_terms, severity_of, variance_of
from training.head import Head, HeadInfo, used_effects
from training.learn import Learned, Material
from training.predicted import Span
from training.prognosis import boosting, filled
from training.scoring import Scored
from training.split import folds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST_SHARE = 0.3
"""Noise is never taken to be less than this share of its average, nor of what trees say less than it to be signal."""
FIFTHS = 5
ENOUGH_ROWS, POINTS = 1000, 0.02
"""From so many rows on, coverage may miss its level by so much; below, it lies inside the 99 % binomial band."""


def intervals_of(material: Material, learned: Learned, config: TrainConfig) -> Conformal | Credible:
    """Learns the intervals of a head from the rows that it was learned from."""
    if learned.head.info.kind == "binary":
        return credibility(material, learned, config)
    return conformal(material, learned)


def conformal(material: Material, learned: Learned) -> Conformal:
    """Learns the intervals of a head for scores."""
    predicted, residual, variance = left_out(material, learned)
    severity = severity_of(material.effects[learned.rows], material.design)
    noise, floor = _noise(predicted, severity, np.abs(residual), material.fold[learned.rows])
    shell = Conformal({}, noise, floor, float(variance.mean()))
    score = np.sort(residual / shell.spread(predicted, severity, variance))
    return replace(shell, quantiles={level: _ends(score, level / 100) for level in LEVELS})


def credibility(material: Material, learned: Learned, config: TrainConfig) -> Credible:
    """Learns how far the trees of a head for probabilities err.

    In turn a fifth of the clients is left out, and trees are grown from two fifths and from the two others. Half the
    squared difference of what they say of the fifth is the variance of trees grown from two fifths; it falls as the
    number of clients rises. That is what chance put in. Trees stopped early also leave something out: if a share s of
    what they say is signal, they err by that variance over s, as a shrunken mean does.

    Heads with a landmark are never served, and have none of this.
    """
    head, rows = learned.head, learned.rows
    if not head.trees or head.info.landmark:
        return Credible()
    x = filled(material.blocks["client"][rows], head.fills)
    start = head.constant + _pair_fit(material, learned)
    fifth = folds(material.episodes["client_id"].iloc[rows], FIFTHS, config.seed)
    settings = boosting("binary", config.prognosis, config.seed)

    def grown(some: npt.NDArray[np.bool_], whom: npt.NDArray[np.bool_]) -> Floats:
        y, weight = learned.target[some], learned.weight[some]
        cases = lightgbm.Dataset(x[some], y, weight=weight, init_score=start[some], params={"verbose": -1})
        found = lightgbm.train(settings, cases, num_boost_round=head.info.rounds)
        return np.asarray(found.predict(x[whom], raw_score=True, num_threads=1))

    differences = []
    for out in range(FIFTHS):
        place = (fifth - out) % FIFTHS
        one, other = grown(np.isin(place, (1, 2)), place == 0), grown(np.isin(place, (3, 4)), place == 0)
        differences.append(float((one - other).var()))
    chance = float(np.mean(differences)) / 2 * (2 / FIFTHS)
    signal = max(1 - chance / max(float(learned.border[:, 1].var()), 1e-12), LEAST_SHARE)
    return Credible(chance / signal * float(head.solution.b[1]) ** 2)


def _pair_fit(material: Material, learned: Learned) -> Floats:
    """What the fit adds to the prognosis of each row learned from, on the link scale."""
    ranking = learned.border[:, material.design.ranking.start :]
    effects = material.effects[learned.rows][:, used_effects(material.design, learned.head.info.parts)]
    return learned.head.mean(ranking, effects, material.therapist[learned.rows])


def left_out(material: Material, learned: Learned) -> tuple[Floats, Floats, Floats]:
    """Prediction of every row learned from, its residual and its variance, as if that row had not been there."""
    head, rows = learned.head, learned.rows
    effects = material.effects[rows][:, used_effects(material.design, head.info.parts)]
    fitted = head.posterior(learned.border, effects, material.therapist[rows])
    variance = variance_of(fitted)
    leverage = np.minimum(learned.weight * variance / head.solution.noise, 0.95)
    residual = (learned.target - fitted.mean) / (1 - leverage)
    return learned.target - residual, residual, variance / (1 - leverage)


def _noise(predicted: Floats, severity: Floats, size: Floats, fold: Ints) -> tuple[tuple[float, ...], float]:
    """Coefficients of the expected size of a residual: a constant, unless more foretells other folds beyond chance."""
    mean = float(size.mean())
    terms = noise_terms(predicted, severity)
    gain = np.zeros(len(size))
    for one in np.unique(fold):
        out = fold == one
        b = np.linalg.lstsq(terms[~out], size[~out], rcond=None)[0]
        constant = size[~out].mean()
        said = np.maximum(terms[out] @ b, LEAST_SHARE * constant)
        gain[out] = np.log(constant / said) + size[out] / constant - size[out] / said
    if gain.mean() <= gain.std() / np.sqrt(len(gain)):
        return (mean,), LEAST_SHARE * mean
    found = np.linalg.lstsq(terms, size, rcond=None)[0]
    return tuple(map(float, found)), LEAST_SHARE * mean


def _ends(score: Floats, level: float) -> tuple[float, float]:
    """Quantiles of sorted scores that leave out (1 - level)/2 on each side, counting the row still to come."""
    n, side = len(score), (1 - level) / 2
    low, high = int(np.floor((n + 1) * side)), int(np.ceil((n + 1) * (1 - side)))
    return float(score[max(low - 1, 0)]), float(score[min(high - 1, n - 1)])


def coverage(y: Floats, low: Floats, high: Floats, level: int) -> dict[str, Any]:
    """Share of results inside their intervals, between what bounds it should lie, and whether it does."""
    n, share = len(y), float(((low <= y) & (y <= high)).mean())
    aim = level / 100
    ends = binom.interval(0.99, n, aim) if n < ENOUGH_ROWS else (n * (aim - POINTS), n * (aim + POINTS))
    bounds = [float(end) / n for end in ends]
    width = float((high - low).mean())
    return {"covered": share, "n": n, "bounds": bounds, "holds": bounds[0] <= share <= bounds[1], "width": width}


def expectation(
    head: Head, scored: Scored, ids: Mapping[str, int], landmark: Floats | None = None
) -> tuple[Floats, Floats]:
    """What is expected of each pair on the link scale, and the variance of that."""
    design, parts = scored.design, head.info.parts
    client = head.client_part(design, scored.blocks["client"], landmark)
    ranking = design.ranking_part(scored.blocks) if parts.columns else np.zeros((len(client), 0))
    position = np.array([ids.get(name, -1) for name in scored.therapist_id], dtype=np.int64)
    effects = scored.effects[:, used_effects(design, parts)]
    fitted = head.posterior(np.column_stack([client, ranking]), effects, position)
    return fitted.mean, variance_of(fitted)


def learn_spans(
    learned: Mapping[str, Learned], material: Material, config: TrainConfig, instruments: Mapping[str, Instrument]
) -> dict[str, Span]:
    """How sure each learned head is. A head with a landmark is never served, and has none."""
    served = {name: one for name, one in learned.items() if not one.head.info.landmark}
    return {
        name: Span(intervals_of(material, one, config), _possible(one.head.info, config.outcome, instruments))
        for name, one in served.items()
    }


def _possible(
    info: HeadInfo, outcome: OutcomeConfig, instruments: Mapping[str, Instrument]
) -> tuple[float, float] | None:
    """Least and greatest score of the questionnaire that a head is for."""
    found = MEASURE.fullmatch(info.source)
    name = outcome.alliance_instrument if info.source == "alliance" else found["instrument"] if found else ""
    if info.kind == "binary" or name not in instruments:
        return None
    return instruments[name].low, instruments[name].high
