"""The model beside what others would use: every contender learns from the same rows and ranks the same clients."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from data.synthetic.plan import Arm, Plan
from experiments import forest
from experiments.clinics import REGIMES, best, each_clinic, figure, gains, over_seeds, plans
from experiments.contest import OUTCOME, Contest, true_outcomes
from experiments.drawing import points
from training.baselines import learn_baselines
from training.config import TrainConfig

ARMS: tuple[Arm, ...] = ("base", "confounded")
QUICK_ARMS: tuple[Arm, ...] = ("confounded",)
"""Where clients are sent by severity, as they are in life."""
WORDS = {
    "preferences_only": "preferences only",
    "therapist_mean": "therapist mean",
    "therapist_severity_problem": "therapist mean + severity + problem",
    "top_rule": "TOP-style rule",
    "neighbours": "nearest neighbours",
    "one_model": "one boosted model",
    "one_model_with_id": "one boosted model with therapist id",
    "causal_forest": "causal forest",
    "model": "this model",
    "ceiling": "ceiling",
    "oracle": "oracle",
}
"""Contenders: the ceiling lacks only the therapists' own deviations, the oracle nothing."""


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 20,
    arms: Sequence[Arm] = ARMS,
    on_clinic: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """True gain over next available of every contender, in outcome SD and as a share of the ceiling's."""
    found = {}
    for arm in arms:
        rows = each_clinic(plans(seeds, arm=arm, episodes=episodes, therapists=therapists), _measure, on_clinic)
        found[arm] = {name: _entry(rows, name) for name in WORDS if f"{name}_full" in rows}
    skipped = {} if forest.installed() else {"causal_forest": forest.MISSING}
    size = {"episodes": episodes, "therapists": therapists, "seeds": seeds}
    return {"synthetic": True, **size, "arms": found, "skipped": skipped}


def _measure(contest: Contest, plan: Plan) -> dict[str, float]:
    config = TrainConfig(heads=(OUTCOME,), seed=plan.seed)
    material, learned = contest.material, contest.learned
    recipes = learn_baselines(OUTCOME, material, contest.goal, config, learned, names=set(WORDS))
    if forest.installed():
        recipes["causal_forest"] = forest.causal_forest(material, learned, plan.seed)
    scores = {name: contest.shaped(np.asarray(recipe(contest.pairs))) for name, recipe in recipes.items()}
    return gains(contest, {**scores, **best(contest), "oracle": true_outcomes(contest)})


def _entry(rows: pd.DataFrame, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for regime in REGIMES:
        mine = rows[f"{name}_{regime}"]
        found[f"gain_d_{regime}"] = over_seeds(mine)
        found[f"share_of_ceiling_{regime}"] = over_seeds(mine, rows[f"ceiling_{regime}"])
        found[f"behind_model_d_{regime}"] = over_seeds(rows[f"model_{regime}"] - mine)
    return found


def table(result: dict[str, Any]) -> Table:
    """A line a contender; next available and patient-only choose at random among the eligible, a gain of 0."""
    size = f"{result['episodes']:,} episodes, {result['therapists']} therapists, {result['seeds']} clinics"
    skipped = [f"{WORDS[name]} left out: {why}" for name, why in result["skipped"].items()]
    note = "next available and patient-only: 0 by construction"
    title = f"SYNTHETIC: {size}; gains in outcome SD (95 % interval over clinics)"
    grid = Table("arm", "contender", title=title, caption="; ".join([note, *skipped]))
    for words in ("gain, full", "share of ceiling, full", "gain, free", "share of ceiling, free"):
        grid.add_column(words, justify="right")
    for arm, entries in result["arms"].items():
        for name, one in entries.items():
            cells = [
                cell
                for regime in REGIMES
                for cell in (figure(one[f"gain_d_{regime}"]), figure(one[f"share_of_ceiling_{regime}"], 2))
            ]
            grid.add_row(arm, WORDS[name], *cells)
    return grid


def picture(result: dict[str, Any], path: Path) -> Path:
    """Gains at full caseloads, by arm."""
    found = {
        arm: {WORDS[name]: one["gain_d_full"] for name, one in entries.items()}
        for arm, entries in result["arms"].items()
    }
    last = result["arms"][next(reversed(result["arms"]))]
    mine, one = (last[name]["share_of_ceiling_full"] for name in ("model", "one_model"))
    reached = "" if mine is None else f"the model reaches {mine['value']:.0%} of the ceiling's gain, "
    reached += "" if one is None else f"one boosted model {one['value']:.0%} "
    title = f"SYNTHETIC: {reached}({next(reversed(result['arms']))}, caseloads full, {result['seeds']} clinics)"
    return points(found, title, "true gain (outcome SD, 95 % interval)", path)
