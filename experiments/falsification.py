"""Does the model claim nothing where there is nothing to claim?

*Shuffled*: therapist ids shuffled within site and quarter, so that who treated whom says nothing any more; in every arm
but `drift` and `load`, each shuffle in a clinic of its own. *Control*: the intake score as the outcome, which no
therapist can have changed; what is known at intake of symptoms is then no feature. The claim is the model's own
predicted gain at full caseloads, in SD of what it predicts.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from data.dataset import Dataset
from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from experiments.certainty import certainty
from experiments.clinics import each, over_seeds, plans, said_by
from experiments.contest import Contest, full, gain, prepare
from experiments.drawing import points
from training.config import FeaturesConfig, FitConfig, HeadConfig, TrainConfig

ARMS: tuple[Arm, ...] = ("base", "weak", "strong", "main-only", "null", "confounded", "hidden", "informative-dropout")
QUICK_ARMS: tuple[Arm, ...] = ("base", "confounded")
KINDS = ("shuffled", "control")
JUDGED = 100
AT_INTAKE = (
    "severity",
    "phq9_intake",
    "gad7_intake",
    "wsas_intake",
    "core10_intake",
    "sleep_intake",
    "irritability_intake",
    "severity_x_skill",
    "severity_x_years",
)
LIMIT = 0.02
"""Outcome SD: more than this must not be claimed."""


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 20,
    arms: Sequence[Arm] = ARMS,
    on_clinic: Callable[[], None] = lambda: None,
    jobs: int = 1,
) -> dict[str, Any]:
    """Mean claim with its interval, and the share of clients without a meaningful difference, of every arm and kind."""
    wanted = [plan for arm in arms for plan in plans(seeds, arm=arm, episodes=episodes, therapists=therapists)]
    found = {}
    for kind in KINDS:
        rows = pd.DataFrame(each(wanted, partial(measure, kind), on_clinic, jobs))
        found[kind] = {str(arm): _entry(mine) for arm, mine in rows.groupby("arm", sort=False)}
    size = {"episodes": episodes, "therapists": therapists, "seeds": seeds}
    return {"synthetic": True, **size, "limit": LIMIT, "kinds": found}


def _entry(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "claimed_d_full": over_seeds(rows["claimed"]),
        "most_claimed": float(rows["claimed"].max()),
        "abstained": float(rows["abstained"].mean()),
        "rloss_interval_has_0": float(rows["has_0"].mean()),
    }


def measure(kind: str, plan: Plan) -> dict[str, Any]:
    """What the model claims in one clinic in which there is nothing to claim."""
    contest = CONTESTS[kind](plan)
    said, info = said_by(contest, contest.learned), contest.learned.head.info
    gains = info.gains["fit"]
    return {
        "arm": plan.arm,
        "claimed": gain(said, full(said, contest.eligible), contest.eligible) / info.sd,
        "abstained": certainty(contest, JUDGED)["abstained"],
        "has_0": float(gains["low"] <= 0 <= gains["high"]),
    }


def _shuffled(plan: Plan) -> Contest:
    dataset, truth = simulate(plan)
    return prepare(shuffled(dataset, plan.seed), truth, plan.seed)


def _control(plan: Plan) -> Contest:
    dataset, truth = simulate(plan)
    config = TrainConfig(
        heads=(HeadConfig(name="intake", source="measure:phq9@0", direction="lower", weight=1.0),),
        features=FeaturesConfig(exclude=AT_INTAKE),
        fit=FitConfig(slope=False),
        seed=plan.seed,
    )
    return prepare(dataset, truth, plan.seed, config)


CONTESTS: dict[str, Callable[[Plan], Contest]] = {"shuffled": _shuffled, "control": _control}


def shuffled(dataset: Dataset, seed: int) -> Dataset:
    """The dataset with therapist ids shuffled among the episodes of a site and quarter."""
    episodes = dataset.frames["episodes"].reset_index(drop=True)
    matched = episodes["matched_on"].fillna(episodes["started_on"])
    block = episodes["site"].astype("object").fillna("") + " " + matched.dt.to_period("Q").astype("str")
    ids = episodes["therapist_id"].to_numpy(dtype=object, copy=True)
    rng = np.random.default_rng(seed)
    for rows in block[episodes["therapist_id"].notna()].groupby(block).indices.values():
        places = np.flatnonzero(episodes["therapist_id"].notna())[rows]
        ids[places] = rng.permutation(ids[places])
    changed = episodes.assign(therapist_id=pd.Series(ids, dtype=episodes["therapist_id"].dtype))
    return replace(dataset, frames={**dataset.frames, "episodes": changed})


def table(result: dict[str, Any]) -> Table:
    """One line a kind and arm."""
    size = f"{result['episodes']:,} episodes, {result['therapists']} therapists, {result['seeds']} clinics each"
    title = f"SYNTHETIC: what is claimed where there is nothing to claim (at most {result['limit']} SD); {size}"
    grid = Table("kind", "arm", "claimed d, full caseloads", "most", "abstained", "R-loss interval has 0", title=title)
    for kind, arms in result["kinds"].items():
        for arm, row in arms.items():
            claim = "{value:.4f} ({low:.4f} to {high:.4f})".format(**row["claimed_d_full"])
            shares = (f"{row[name]:.3f}" for name in ("most_claimed", "abstained", "rloss_interval_has_0"))
            grid.add_row(kind, arm, claim, *shares)
    return grid


def picture(result: dict[str, Any], path: Path) -> Path:
    """Claims with their intervals, by kind and arm."""
    series = {kind: {arm: row["claimed_d_full"] for arm, row in arms.items()} for kind, arms in result["kinds"].items()}
    title = "SYNTHETIC: gain claimed where there is nothing to claim"
    return points(series, title, "claimed gain at full caseloads, SD", path)
