"""How much bias of assignment the ranking bears: severe clients sent to better therapists, ever more strongly.

Severity is measured in the arm `confounded`. In `hidden` what drives assignment and outcome is in no column: there is
no remedy in the data, and the figures show how far free choice falls and how seldom intervals hold the truth.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from data.synthetic.plan import Arm, Plan
from experiments.clinics import REGIMES, best, each_clinic, figure, gains, over_seeds, plans, posteriors
from experiments.contest import Contest, gain, true_outcomes
from experiments.drawing import curves
from training.ranking import Z80

ARMS: tuple[Arm, ...] = ("confounded", "hidden")
STRENGTHS = (0.0, 0.4, 0.8, 1.2, 1.6)
"""Log odds by which assignment leans to better therapists, per SD of severity and SD of their effect."""
QUICK = (0.0, 1.6)
JUDGED = 100
"""Clients of each clinic whose intervals are held against the truth."""


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 20,
    strengths: Sequence[float] = STRENGTHS,
    on_clinic: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Share of the ceiling, claimed and true gain, and coverage, by strength, severity measured or hidden."""
    found: dict[str, Any] = {}
    for arm in ARMS:
        found[arm] = []
        for strength in strengths:
            made = plans(seeds, arm=arm, episodes=episodes, therapists=therapists, confounding=strength)
            rows = each_clinic(made, _measure, on_clinic)
            found[arm].append({"name": f"{strength:g}", "strength": strength, **_entry(rows)})
    return {"synthetic": True, "episodes": episodes, "therapists": therapists, "seeds": seeds, "arms": found}


def _measure(contest: Contest, _: Plan) -> dict[str, float]:
    scores = best(contest)
    said, sd = scores["model"], contest.learned.head.info.sd
    claims = {
        f"claimed_{regime}": gain(said, choose(said, contest.eligible), contest.eligible) / sd
        for regime, choose in REGIMES.items()
    }
    return gains(contest, scores) | claims | coverage(contest)


def coverage(contest: Contest) -> dict[str, float]:
    """Share of 80 % intervals for gains (a therapist's fit less the eligible mean) that hold the true gain.

    Over all eligible pairs, and for each client's first choice alone.
    """
    true = true_outcomes(contest)
    inside, first = [], []
    for client, columns, fit in posteriors(contest, JUDGED):
        mine = true[client, columns]
        off = np.abs((fit.mean - fit.mean.mean()) - (mine - mine.mean()))
        held = off <= Z80 * fit.gain_sd()
        inside.append(held.mean())
        first.append(float(held[fit.mean.argmax()]))
    return {"coverage": float(np.mean(inside)), "coverage_of_first": float(np.mean(first))}


def _entry(rows: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for regime in REGIMES:
        found[f"share_of_ceiling_{regime}"] = over_seeds(rows[f"model_{regime}"], rows[f"ceiling_{regime}"])
        found[f"true_d_{regime}"] = over_seeds(rows[f"model_{regime}"])
        found[f"claimed_d_{regime}"] = over_seeds(rows[f"claimed_{regime}"])
    return found | {name: over_seeds(rows[name]) for name in ("coverage", "coverage_of_first")}


def table(result: dict[str, Any]) -> Table:
    """A line for each strength, severity measured or hidden."""
    size = f"{result['episodes']:,} episodes, {result['therapists']} therapists, {result['seeds']} clinics each"
    grid = Table("severity", "log odds", title=f"SYNTHETIC: {size}; gains in outcome SD, coverage of 80 % intervals")
    columns = ["coverage", "coverage_of_first"]
    for regime in REGIMES:
        columns += [f"share_of_ceiling_{regime}", f"true_d_{regime}", f"claimed_d_{regime}"]
    for name in columns:
        words = name.replace("_d_", ", ").replace("_full", ", full").replace("_free", ", free").replace("_", " ")
        grid.add_column(words, justify="right")
    for arm, entries in result["arms"].items():
        for one in entries:
            words = "measured" if arm == "confounded" else "hidden"
            grid.add_row(words, one["name"], *(figure(one[name], 2) for name in columns))
    return grid


def picture(result: dict[str, Any], path: Path) -> Path:
    """Shares of the ceiling, and the coverage of intervals, against the strength."""
    called = {"confounded": "severity measured", "hidden": "severity hidden"}
    panels: dict[str, dict[str, dict[float, Any]]] = {}
    for title, name in (
        ("share of the ceiling, full caseloads", "share_of_ceiling_full"),
        ("share of the ceiling, free choice", "share_of_ceiling_free"),
        ("coverage of 80 % intervals", "coverage"),
    ):
        panels[title] = {
            called[arm]: {one["strength"]: one[name] for one in entries} for arm, entries in result["arms"].items()
        }
    title = f"SYNTHETIC: severe clients sent to better therapists ({result['seeds']} clinics each)"
    return curves(panels, title, ("log odds per SD x SD", ""), path)
