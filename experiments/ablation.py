"""What each part of the model is worth: parts off one at a time, every variant on the same contests."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from data.synthetic.plan import Arm, Plan
from experiments.clinics import REGIMES, best, each_clinic, figure, gains, learned_with, over_seeds, plans, said_by
from experiments.contest import OUTCOME, Contest
from experiments.drawing import points
from training.config import FitConfig, TrainConfig

ARMS: tuple[Arm, ...] = ("base", "confounded")
QUICK_ARMS: tuple[Arm, ...] = ("confounded",)
"""Where clients are sent by severity every part has something to do."""


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 20,
    arms: Sequence[Arm] = ARMS,
    on_clinic: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """True gain of the model and of every variant, and what is lost to the model, with intervals over seeds."""
    found = {}
    for arm in arms:
        rows = each_clinic(plans(seeds, arm=arm, episodes=episodes, therapists=therapists), _measure, on_clinic)
        found[arm] = {name: _entry(rows, name) for name in ("model", *dict(variants(TrainConfig())))}
    return {"synthetic": True, "episodes": episodes, "therapists": therapists, "seeds": seeds, "arms": found}


def variants(config: TrainConfig) -> Iterator[tuple[str, TrainConfig]]:
    """The configuration without each of its parts: those of the fit that are on, refits, and the boosted prognosis."""
    for part, field in FitConfig.model_fields.items():
        if field.annotation is bool and getattr(config.fit, part):
            yield f"no {part}", config.model_copy(update={"fit": config.fit.model_copy(update={part: False})})
    for name, change in (("no refits", {"refits": 0}), ("prognosis not boosted", {"boosted": False})):
        yield name, config.model_copy(update={"prognosis": config.prognosis.model_copy(update=change)})


def _measure(contest: Contest, plan: Plan) -> dict[str, float]:
    config = TrainConfig(heads=(OUTCOME,), seed=plan.seed)
    scores = best(contest)
    for name, changed in variants(config):
        scores[name] = said_by(contest, learned_with(contest, changed))
    return gains(contest, scores)


def _entry(rows: pd.DataFrame, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for regime in REGIMES:
        mine = rows[f"{name}_{regime}"]
        found[f"gain_d_{regime}"] = over_seeds(mine)
        found[f"lost_d_{regime}"] = over_seeds(rows[f"model_{regime}"] - mine)
        found[f"share_of_ceiling_{regime}"] = over_seeds(mine, rows[f"ceiling_{regime}"])
    return found


def table(result: dict[str, Any]) -> Table:
    """A line a variant: its gain, and what is lost to the whole model on the same clinics."""
    size = f"{result['episodes']:,} episodes, {result['therapists']} therapists, {result['seeds']} clinics"
    grid = Table("arm", "variant", title=f"SYNTHETIC: {size}; gains in outcome SD (95 % interval over clinics)")
    for words in ("gain, full", "lost, full", "gain, free", "lost, free"):
        grid.add_column(words, justify="right")
    for arm, entries in result["arms"].items():
        for name, one in entries.items():
            lost = {regime: "" if name == "model" else figure(one[f"lost_d_{regime}"]) for regime in REGIMES}
            cells = [(figure(one[f"gain_d_{regime}"]), lost[regime]) for regime in REGIMES]
            grid.add_row(arm, name, *(cell for pair in cells for cell in pair))
    return grid


def picture(result: dict[str, Any], path: Path) -> Path:
    """What each part is worth at full caseloads, by arm."""
    lost = {
        arm: {name: one["lost_d_full"] for name, one in entries.items() if name != "model"}
        for arm, entries in result["arms"].items()
    }
    title = f"SYNTHETIC: what is lost without each part, caseloads full ({result['seeds']} clinics)"
    return points(lost, title, "gain lost (outcome SD, 95 % interval)", path)
