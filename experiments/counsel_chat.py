"""Which of two answers to a question did readers find more helpful? Whole questions are held out."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

from experiments.held_out import Bench, imported
from training.config import TrainConfig
from training.split import folds

FOLDER, MAPPING, CONFIG = "counsel_chat", "counsel_chat.mapping.toml", "counsel_chat.toml"
SEEDS = range(20)
FOLDS = 5
SHRINK = 5.0
OTHER_SHRINKS = (1.0, 2.0, 10.0)
BOOTSTRAPS = 2000
FIGURES = (
    "pairwise", "pairwise_therapist_average", "gain", "gain_low", "gain_high",
    "gain_over_best_average", "gain_over_best_average_low", "gain_over_best_average_high",
)  # fmt: skip

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def run(data: Path) -> dict[str, Any]:
    """Share of pairs of answers put in the readers' order, beside a shrunken average of each therapist.

    `data` is the folder of real data. Both see the same folds of twenty splits; the interval of the difference comes
    from resampling questions. `by_shrinkage` has the average with other amounts of shrinkage on the same folds: a gain
    that a lightly shrunken average has too is owed to the amount of shrinkage, which the model estimates, and not to
    anything it knows of questions. So a gain is claimed only if the interval over the best of them excludes 0 as well.
    """
    bench = Bench.of(imported(MAPPING, data / FOLDER), TrainConfig.read(Path(__file__).with_name(CONFIG)))
    y = bench.goal.value
    question = bench.episodes["client_id"].factorize()[0].astype(np.int64)
    therapist = bench.episodes["therapist_id"].factorize()[0].astype(np.int64)
    first, second = unequal_pairs(question, y)
    ours = np.zeros(len(first))
    averages = {k: np.zeros(len(first)) for k in (SHRINK, *OTHER_SHRINKS)}
    for seed in SEEDS:
        predicted = bench.predict("client_id", FOLDS, seed, {"model": bench.config.fit})["model"]
        ours += correct(predicted, y, first, second) / len(SEEDS)
        fold = folds(bench.episodes["client_id"], FOLDS, seed)
        for k, share in averages.items():
            share += correct(therapist_average(y, therapist, fold, k), y, first, second) / len(SEEDS)
    average = averages[SHRINK]
    low, high = interval(ours - average, question[first])
    gain = float((ours - average).mean())
    best = max(averages.values(), key=lambda share: float(share.mean()))
    best_low, best_high = interval(ours - best, question[first])
    return {
        "pairwise": float(ours.mean()),
        "pairwise_therapist_average": float(average.mean()),
        "gain": gain,
        "gain_low": low,
        "gain_high": high,
        "gain_over_best_average": float((ours - best).mean()),
        "gain_over_best_average_low": best_low,
        "gain_over_best_average_high": best_high,
        "gain_claimed": bool(low > 0 and best_low > 0),
        "by_shrinkage": {f"{k:g}": float(share.mean()) for k, share in sorted(averages.items())},
        "pairs": len(first),
        "undated": True,
        "tested_forward_in_time": False,
    }


def unequal_pairs(question: Ints, y: Floats) -> tuple[Ints, Ints]:
    """All pairs of rows of one question whose values differ."""
    order = np.argsort(question, kind="stable")
    firsts, seconds = [], []
    for rows in np.split(order, np.flatnonzero(np.diff(question[order])) + 1):
        i, j = np.triu_indices(len(rows), 1)
        firsts.append(rows[i])
        seconds.append(rows[j])
    first, second = np.concatenate(firsts), np.concatenate(seconds)
    unequal = y[first] != y[second]
    return first[unequal], second[unequal]


def correct(score: Floats, y: Floats, first: Ints, second: Ints) -> Floats:
    """1 where the scores order a pair as the values do, 0 where they reverse it, 1/2 where they tie."""
    said = np.sign(score[first] - score[second]) * np.sign(y[first] - y[second])
    halves: Floats = (said + 1) / 2
    return halves


def therapist_average(y: Floats, therapist: Ints, fold: Ints, shrink: float = SHRINK) -> Floats:
    """Mean of the therapist's values in the other folds, shrunk towards the general mean by `shrink` cases."""
    predicted = np.empty(len(y))
    count = int(therapist.max()) + 1
    for f in np.unique(fold):
        seen = fold != f
        mean = y[seen].mean()
        total = np.bincount(therapist[seen], y[seen], minlength=count)
        cases = np.bincount(therapist[seen], minlength=count)
        predicted[~seen] = ((total + shrink * mean) / (cases + shrink))[therapist[~seen]]
    return predicted


def interval(difference: Floats, question: Ints) -> tuple[float, float]:
    """95 % interval of the mean over pairs, from resampling whole questions."""
    codes = np.unique(question, return_inverse=True)[1]
    total, pairs = np.bincount(codes, difference), np.bincount(codes)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), size=BOOTSTRAPS)
    low, high = np.quantile(drawn @ total / (drawn @ pairs), [0.025, 0.975])
    return float(low), float(high)


def table(result: dict[str, Any]) -> Table:
    """The figures, and whether a gain is claimed."""
    claim = "a gain is claimed" if result["gain_claimed"] else "no gain is claimed: a therapist average does as well"
    grid = Table("figure", "value", title=f"counsel_chat, {result['pairs']} pairs (undated): {claim}")
    for key in FIGURES:
        grid.add_row(key, f"{result[key]:.3f}")
    for k, share in result["by_shrinkage"].items():
        grid.add_row(f"therapist average, shrunk by {k} cases", f"{share:.3f}")
    return grid
