"""How much data it takes: the share of the ceiling's gain against episodes and therapists."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from data.synthetic.plan import Arm, Plan
from experiments.clinics import REGIMES, best, each_clinic, figure, gains, over_seeds, plans
from experiments.contest import Contest, one_model
from experiments.drawing import curves

Size = tuple[int, int]
SIZES: tuple[Size, ...] = (
    (1_000, 30), (1_000, 60), (3_000, 30), (3_000, 60), (3_000, 150),
    (10_000, 60), (10_000, 150), (10_000, 500), (30_000, 150), (30_000, 500),
)  # fmt: skip
"""Episodes and therapists."""
QUICK: tuple[Size, ...] = ((1_000, 60), (3_000, 60), (10_000, 60), (10_000, 150))


def run(
    sizes: Sequence[Size] = SIZES,
    seeds: int = 20,
    arm: Arm = "base",
    on_clinic: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Shares of the ceiling's gain of the model and of one boosted model, for every size of clinic."""
    found = []
    for episodes, therapists in sizes:
        rows = each_clinic(plans(seeds, arm=arm, episodes=episodes, therapists=therapists), _measure, on_clinic)
        found.append(
            {"name": f"{episodes}/{therapists}", "episodes": episodes, "therapists": therapists, **_entry(rows)}
        )
    return {"synthetic": True, "arm": arm, "seeds": seeds, "sizes": found}


def _measure(contest: Contest, plan: Plan) -> dict[str, float]:
    return gains(contest, best(contest) | {"one_model": one_model(contest, plan.seed)})


def _entry(rows: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for regime in REGIMES:
        found[f"ceiling_d_{regime}"] = over_seeds(rows[f"ceiling_{regime}"])
        found[f"share_of_ceiling_{regime}"] = over_seeds(rows[f"model_{regime}"], rows[f"ceiling_{regime}"])
        found[f"one_model_share_{regime}"] = over_seeds(rows[f"one_model_{regime}"], rows[f"ceiling_{regime}"])
    return found


def table(result: dict[str, Any]) -> Table:
    """A line a size of clinic."""
    title = f"SYNTHETIC: arm {result['arm']}, {result['seeds']} clinics of each size; shares of the ceiling's gain"
    grid = Table("episodes", "therapists", title=title)
    for regime in REGIMES:
        for words in ("ceiling (SD)", "model", "one model"):
            grid.add_column(f"{words}, {regime}", justify="right")
    for one in result["sizes"]:
        names = ("ceiling_d", "share_of_ceiling", "one_model_share")
        cells = [figure(one[f"{name}_{regime}"], 2) for regime in REGIMES for name in names]
        grid.add_row(f"{one['episodes']:,}", str(one["therapists"]), *cells)
    return grid


def picture(result: dict[str, Any], path: Path) -> Path:
    """The model's share of the ceiling's gain against episodes, a line for each number of therapists."""
    panels: dict[str, dict[str, dict[float, Any]]] = {"full caseloads": {}, "free choice": {}}
    for regime, panel in zip(REGIMES, panels.values(), strict=True):
        for one in result["sizes"]:
            line = panel.setdefault(f"{one['therapists']} therapists", {})
            line[one["episodes"]] = one[f"share_of_ceiling_{regime}"]
    title = f"SYNTHETIC: what the model makes of more data ({result['seeds']} clinics of each size)"
    return curves(panels, title, ("episodes", "share of the ceiling's gain"), path, scale="log")
