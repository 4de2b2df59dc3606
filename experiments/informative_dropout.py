"""Clients who drop out: is their last score to be learned from, or what they could have come to?

Synthetic clinics. In `informative-dropout` clients leave according to therapist and last score, and the truth is the
score at week 16 of all who started. In `base` leaving is part of the outcome, and the truth is the last score. Three
outcomes are learned from on the same clinics: the *last* score; the score *expected* at the end, for those who left;
the last score of those who stayed, *weighted* for having stayed. All are held against the arm's own truth.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from experiments.clinics import REGIMES, each, figure, gains, over_seeds, plans, said_by
from experiments.contest import OUTCOME, Contest, ceiling, prepare, true_outcomes
from experiments.drawing import points
from training.config import OutcomeConfig, TrainConfig
from training.learn import Learned, learn_head
from training.targets import intake_sds, target

Floats = npt.NDArray[np.float64]

ARMS: tuple[Arm, ...] = ("informative-dropout", "base")
QUICK_ARMS: tuple[Arm, ...] = ("informative-dropout",)
Handling = Literal["last", "expected", "weighted"]
HANDLINGS: tuple[Handling, ...] = ("last", "expected", "weighted")
FIGURES = ("rank", "spread", "calibration", "off")


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 20,
    arms: Sequence[Arm] = ARMS,
    on_clinic: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """True gains, and how therapist effects and outcomes lie to the truth, by arm and by how dropout is handled."""
    found: dict[str, Any] = {}
    for arm in arms:
        made = plans(seeds, arm=arm, episodes=episodes, therapists=therapists)
        rows = pd.DataFrame(each(made, measure, on_clinic))
        found[arm] = {handling: _entry(rows, handling) for handling in HANDLINGS}
    return {"synthetic": True, "episodes": episodes, "therapists": therapists, "seeds": seeds, "arms": found}


def _entry(rows: pd.DataFrame, handling: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for regime in REGIMES:
        mine = rows[f"{handling}_{regime}"]
        found[f"gain_d_{regime}"] = over_seeds(mine)
        found[f"more_than_last_d_{regime}"] = over_seeds(mine - rows[f"last_{regime}"])
        found[f"share_of_ceiling_{regime}"] = over_seeds(mine, rows[f"ceiling_{regime}"])
    return found | {name: over_seeds(rows[f"{handling}_{name}"]) for name in FIGURES}


def measure(plan: Plan) -> dict[str, float]:
    """Gains and bias of one clinic, however dropout is handled; the ceiling learns from last scores."""
    dataset, truth = simulate(plan)
    contest = prepare(dataset, truth, plan.seed)
    scores, found = {"ceiling": ceiling(contest)}, dict[str, float]()
    for handling in HANDLINGS:
        learned = contest.learned if handling == "last" else learned_from(contest, dataset, handling, plan.seed)
        scores[handling] = said_by(contest, learned)
        found |= {f"{handling}_{name}": value for name, value in effects(contest, scores[handling]).items()}
        found[f"{handling}_off"] = off(contest, learned)
    return found | gains(contest, scores)


def learned_from(contest: Contest, dataset: Dataset, handling: Handling, seed: int) -> Learned:
    """The head learned from the outcome so handled, on the contest's rows."""
    config = TrainConfig(heads=(OUTCOME,), outcome=OutcomeConfig(dropout=handling), seed=seed)
    snapshot = History(for_learning(dataset)).as_of(dataset.manifest.as_of)
    sds = intake_sds(snapshot, config.outcome.instruments)
    goal = target(OUTCOME, snapshot, contest.material.episodes, config.outcome, sds)
    learned = learn_head(OUTCOME, contest.material, goal, config, config.fit)
    assert isinstance(learned, Learned)  # these clinics have results
    return learned


def effects(contest: Contest, said: Floats) -> dict[str, float]:
    """Estimated beside true therapist effects: means over the contest's clients.

    `rank` is their correlation, `spread` the slope of estimated on true (below 1: shrunken, as it should be where cases
    are few), `calibration` that of true on estimated (1 is right; above, more could have been said).
    """
    ours, true = said.mean(axis=0), true_outcomes(contest).mean(axis=0)
    both = np.cov(ours, true)
    return {
        "rank": float(np.corrcoef(ours, true)[0, 1]),
        "spread": float(both[0, 1] / both[1, 1]),
        "calibration": float(both[0, 1] / both[0, 0]),
    }


def off(contest: Contest, learned: Learned) -> float:
    """Mean outcome learned from, as weighted, less the true expected one of all with a score, in outcome SD."""
    truth = contest.truth
    ids = contest.material.episodes["episode_id"].iloc[contest.learned.rows]
    rows = pd.Index(truth.episode_ids).get_indexer(ids).astype(np.int64)
    true = truth.outcome(rows, truth.therapist[rows]).mean()
    return float((np.average(learned.target, weights=learned.weight) - true) / contest.learned.head.info.sd)


def table(result: dict[str, Any]) -> Table:
    """A line for each arm and handling."""
    size = f"{result['episodes']:,} episodes, {result['therapists']} therapists, {result['seeds']} clinics"
    caption = (
        "Therapist effects: correlation of estimated and true; slope of estimated on true; of true on estimated (1 is "
        "right). Off: mean outcome learned from less the true one, in outcome SD. Intervals over clinics: 95 %."
    )
    grid = Table("arm", "learned from", title=f"SYNTHETIC: {size}; gains in outcome SD", caption=caption)
    for regime in REGIMES:
        for words in ("gain", "more than last", "share of ceiling"):
            grid.add_column(f"{words}, {regime}", justify="right")
    for words in ("correlation", "estimated on true", "true on estimated", "off"):
        grid.add_column(words, justify="right")
    for arm, entries in result["arms"].items():
        for handling, one in entries.items():
            cells = [
                figure(one[f"{name}_{regime}"])
                for regime in REGIMES
                for name in ("gain_d", "more_than_last_d", "share_of_ceiling")
            ]
            grid.add_row(arm, handling, *cells, *(figure(one[name]) for name in FIGURES))
    return grid


def picture(result: dict[str, Any], path: Path) -> Path:
    """Gain beyond learning from last scores, at full caseloads and under free choice, by arm."""
    more = {
        f"{arm}, {regime}": {name: one[f"more_than_last_d_{regime}"] for name, one in entries.items() if name != "last"}
        for arm, entries in result["arms"].items()
        for regime in REGIMES
    }
    title = f"SYNTHETIC: gain beyond learning from last scores ({result['seeds']} clinics)"
    return points(more, title, "gain (outcome SD, 95 % interval)", path)
