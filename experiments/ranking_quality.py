"""Does the ranking send clients to therapists with whom they do better, and is it as sure as it may be?

Contests on synthetic clinics. Shares are of the ceiling's true gain, ratios of means over clinics. `columns` is the
bound that no learner of the same columns passes: the ceiling with its match effects as far as the columns can say them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table

from data.synthetic.plan import Arm, Plan
from experiments.certainty import certainty
from experiments.clinics import LEAST_CEILING, best, each_clinic, gains, over_seeds, plans
from experiments.contest import ELIGIBLE, Contest, expressible, free, full, gain, one_model
from experiments.drawing import points

Floats = npt.NDArray[np.float64]

ARMS: tuple[Arm, ...] = ("base", "confounded", "main-only", "null")
AMONG: tuple[tuple[str, int | None], ...] = (("10", 10), ("20", ELIGIBLE), ("all", None))
CERTAINTY = ("abstained", "covered_80", "covered_95", "set_holds", "set_size", "set_size_median", "declared")
JUDGED = 150
"""Clients of each clinic for whom the posterior is held against the truth."""


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 20,
    arms: Sequence[str] = ARMS,
    on_clinic: Callable[[], None] = lambda: None,
    jobs: int = 1,
) -> dict[str, Any]:
    """Shares of the ceiling's gain, what the model claims, and how sure it is, for every arm; means over seeds."""
    wanted = [plan for arm in arms for plan in plans(seeds, arm=arm, episodes=episodes, therapists=therapists)]
    rows = each_clinic(wanted, measure, on_clinic, jobs)
    found = {str(arm): summary(mine, episodes) for arm, mine in rows.groupby("arm", sort=False)}
    size = {"episodes": episodes, "therapists": therapists, "eligible": ELIGIBLE, "seeds": seeds}
    return {"synthetic": True, **size, "arms": found}


def measure(contest: Contest, plan: Plan) -> dict[str, float]:
    """Gains of the ceiling, the model and one boosted model on one clinic, and certainty, in outcome SD."""
    scores = {**best(contest), "columns": expressible(contest), "one_model": one_model(contest, plan.seed)}
    info, said = contest.learned.head.info, scores["model"]
    found: dict[str, float] = {}
    for name, many in AMONG:
        among = contest.among(many)
        end = "" if many == ELIGIBLE else f"_{name}"
        found |= {key + end: value for key, value in gains(among, scores).items()}
        found[f"claimed_full{end}"] = gain(said, full(said, among.eligible), among.eligible) / info.sd
        found[f"claimed_free{end}"] = gain(said, free(said, among.eligible), among.eligible) / info.sd
    proof = {f"rloss_{end}": info.gains["fit"][end] for end in ("value", "low", "high")}
    return found | certainty(contest, JUDGED) | proof | {f"weight_{part}": share for part, share in info.share.items()}


def summary(rows: pd.DataFrame, episodes: int) -> dict[str, Any]:
    """Means over seeds, and ratios of means with an interval from resampling seeds."""

    def share(name: str, regime: str) -> dict[str, float | None]:
        ratio = over_seeds(rows[f"{name}_{regime}"], rows[f"ceiling_{regime}"])
        return {"value": None, "low": None, "high": None} if ratio is None else dict(ratio)

    def mean(name: str) -> float:
        return float(rows[name].mean())

    claimed = over_seeds(rows["claimed_full"])
    assert claimed is not None
    model, most, one = share("model", "full"), share("columns", "full"), share("one_model", "full")
    slope = rows["came_true"].mean() / rows["predicted"].mean() if rows["predicted"].mean() > LEAST_CEILING else None
    return {
        "episodes": episodes,
        "ceiling_d_full": mean("ceiling_full"),
        "ceiling_d_free": mean("ceiling_free"),
        "share_of_ceiling_full": model["value"],
        "share_of_ceiling_full_low": model["low"],
        "share_of_ceiling_full_high": model["high"],
        "share_of_ceiling_free": share("model", "free")["value"],
        "columns_share_full": most["value"],
        "columns_share_free": share("columns", "free")["value"],
        "share_of_columns_full": None if not most["value"] else mean("model_full") / mean("columns_full"),
        "one_model_share_full": one["value"],
        "one_model_share_full_low": one["low"],
        "one_model_share_full_high": one["high"],
        "one_model_share_free": share("one_model", "free")["value"],
        "claimed_d_full": claimed["value"],
        "claimed_d_full_low": claimed["low"],
        "claimed_d_full_high": claimed["high"],
        "among": {
            end: {regime: share("model", f"{regime}_{end}")["value"] for regime in ("full", "free")}
            for end in ("10", "all")
        },
        "true_over_predicted": slope,
        **{name: mean(name) for name in CERTAINTY},
        "declared_right": None if rows["declared_right"].isna().all() else mean("declared_right"),
        "rloss_gain": {end: mean(f"rloss_{end}") for end in ("value", "low", "high")},
        "rloss_interval_has_0": float(((rows["rloss_low"] <= 0) & (rows["rloss_high"] >= 0)).mean()),
        "weight": {part: mean(f"weight_{part}") for part in ("therapist", "fit")},
    }


COLUMNS = {
    "ceiling_d_full": "ceiling d",
    "share_of_ceiling_full": "share full",
    "share_of_ceiling_free": "free",
    "columns_share_full": "columns'",
    "one_model_share_full": "one model",
    "claimed_d_full": "claimed d",
    "true_over_predicted": "true/said",
    "covered_80": "80 %",
    "covered_95": "95 %",
    "set_holds": "90 % set",
    "set_size": "mean size",
    "set_size_median": "median",
    "declared_right": "declared",
    "abstained": "abstained",
}

CAPTION = (
    "share full, free: of the ceiling's true gain under each regime; columns': what the ceiling reaches when its match "
    "effects are only what our columns can say; true/said: true over predicted gain of the therapist put first; 80 %, "
    "95 %: intervals of pair differences that hold the true one; 90 % set: holds the best therapist, with its size; "
    "declared: pairs declared different that differ that way; abstained: clients without a meaningful difference"
)


def table(result: dict[str, Any]) -> Table:
    """One line an arm and size; shares are of the ceiling's true gain."""
    title = f"SYNTHETIC: {result['eligible']} eligible, {result['seeds']} seeds; shares of the ceiling's true gain"
    title = f"{title}; {result['episodes']:,} episodes, {result['therapists']} therapists"
    grid = Table("arm", *COLUMNS.values(), "full, 10 and all eligible", title=title, caption=CAPTION)
    for arm, row in result["arms"].items():
        cells = [row.get(name) for name in COLUMNS] + [row["among"][end]["full"] for end in ("10", "all")]
        *shown, few, every = ("-" if cell is None else f"{cell:.3f}" for cell in cells)
        grid.add_row(arm, *shown, f"{few}, {every}")
    return grid


def picture(result: dict[str, Any], path: Path) -> Path:
    """Share of the ceiling's gain at full caseloads, with its interval, of every arm and size."""
    series: dict[str, dict[str, dict[str, float] | None]] = {}
    for name, words in (("share_of_ceiling_full", "this model"), ("one_model_share_full", "one boosted model")):
        rows = {arm: row for arm, row in result["arms"].items() if row[name] is not None}
        ends = {"value": "", "low": "_low", "high": "_high"}
        series[words] = {arm: {end: row[f"{name}{key}"] for end, key in ends.items()} for arm, row in rows.items()}
    title = "SYNTHETIC: share of the ceiling's true gain that the ranking reaches at full caseloads"
    return points(series, title, "share of the ceiling's gain, 95 % interval over clinics", path)
