"""Does the ranking send clients to therapists with whom they do better? Contests on synthetic clinics."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table

from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from experiments.contest import ELIGIBLE, Contest, ceiling, free, full, gain, one_model, prepare, true_outcomes
from training.head import PairPosterior, used_effects
from training.ranking import Weighing, rank

Floats = npt.NDArray[np.float64]

ARMS: tuple[Arm, ...] = ("base", "confounded", "main-only", "null")
JUDGED = 150
"""Clients of each clinic for whom it is asked whether a difference is declared meaningful."""
LEAST_CEILING = 0.01
BOOTSTRAPS = 2000


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 5,
    arms: Sequence[Arm] = ARMS,
    on_clinic: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Shares of the ceiling's gain, and what the model claims, for every arm; means over seeds, at 20 eligible."""
    found = {}
    for arm in arms:
        rows = []
        for seed in range(seeds):
            rows.append(measure(Plan(arm=arm, episodes=episodes, therapists=therapists, seed=seed)))
            if on_clinic is not None:
                on_clinic()
        found[arm] = summary(pd.DataFrame(rows), episodes)
    return {"synthetic": True, "eligible": ELIGIBLE, "seeds": seeds, "therapists": therapists, "arms": found}


def summary(rows: pd.DataFrame, episodes: int) -> dict[str, Any]:
    """Means over seeds, and ratios of means with an interval from resampling seeds."""
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(rows), (BOOTSTRAPS, len(rows)))
    claimed = rows["claimed_full"].to_numpy()[draws].mean(axis=1)
    best = {regime: float(rows[f"ceiling_{regime}"].mean()) for regime in ("full", "free")}

    def share(name: str, regime: str) -> float | None:
        return None if best[regime] < LEAST_CEILING else float(rows[f"{name}_{regime}"].mean() / best[regime])

    ratio = rows["model_full"].to_numpy()[draws].mean(axis=1) / rows["ceiling_full"].to_numpy()[draws].mean(axis=1)
    wide = best["full"] < LEAST_CEILING
    return {
        "episodes": episodes,
        "ceiling_d_full": best["full"],
        "ceiling_d_free": best["free"],
        "share_of_ceiling_full": share("model", "full"),
        "share_of_ceiling_full_low": None if wide else float(np.quantile(ratio, 0.025)),
        "share_of_ceiling_full_high": None if wide else float(np.quantile(ratio, 0.975)),
        "share_of_ceiling_free": share("model", "free"),
        "one_model_share_full": share("one_model", "full"),
        "one_model_share_free": share("one_model", "free"),
        "claimed_d_full": float(rows["claimed_full"].mean()),
        "claimed_d_full_low": float(np.quantile(claimed, 0.025)),
        "claimed_d_full_high": float(np.quantile(claimed, 0.975)),
        "abstained": float(rows["abstained"].mean()),
    }


def measure(plan: Plan) -> dict[str, float]:
    """Gains of the ceiling, the model and one boosted model on one clinic, in outcome SD."""
    contest = prepare(*simulate(plan), plan.seed)
    true = true_outcomes(contest)
    sd = contest.learned.head.info.sd
    model = contest.shaped(contest.pairs.fit(contest.learned.head, contest.material.place))
    scores = {"ceiling": ceiling(contest), "model": model, "one_model": one_model(contest, plan.seed)}
    found = {}
    for name, said in scores.items():
        found[f"{name}_free"] = gain(true, free(said, contest.eligible), contest.eligible) / sd
        found[f"{name}_full"] = gain(true, full(said, contest.eligible), contest.eligible) / sd
    found["claimed_full"] = gain(model, full(model, contest.eligible), contest.eligible) / sd
    found["abstained"] = abstained(contest)
    return found


def abstained(contest: Contest) -> float:
    """Share of clients for whom no difference is declared meaningful."""
    head, design = contest.learned.head, contest.material.design
    weighing = Weighing(("outcome",), np.ones(1), np.array([head.info.sd]), np.eye(1))
    ids = contest.pairs.therapist_id
    position = np.array([contest.material.place[name] for name in ids], dtype=np.int64)
    ranking = design.ranking_part(contest.pairs.blocks)
    effects = contest.pairs.effects[:, used_effects(design, head.info.parts)]
    said = []
    for client in range(min(JUDGED, len(contest.clients))):
        rows = client * len(contest.therapists) + np.flatnonzero(contest.eligible[client])
        fit: PairPosterior = head.posterior(ranking[rows], effects[rows], position[rows])
        waits = np.full(len(rows), np.nan)
        said.append(rank({"outcome": fit}, weighing, waits, list(ids[rows]), groups_for=1).meaningful_difference)
    return 1.0 - float(np.mean(said))


def table(result: dict[str, Any]) -> Table:
    """One line an arm; shares are of the ceiling's true gain."""
    title = f"SYNTHETIC: {result['therapists']} therapists, {result['eligible']} eligible, {result['seeds']} seeds"
    names = (
        "ceiling_d_full",
        "share_of_ceiling_full",
        "share_of_ceiling_free",
        "one_model_share_full",
        "claimed_d_full",
        "abstained",
    )
    grid = Table("arm", "episodes", *names, title=title)
    for arm, row in result["arms"].items():
        grid.add_row(arm, str(row["episodes"]), *("-" if row[name] is None else f"{row[name]:.3f}" for name in names))
    return grid
