"""How far do therapists differ in retention, and does the model find it? Estimated variance against the true one.

Synthetic clinics. *True* is the variance over therapists of the mean log odds that one panel of clients has with them:
the chances are those over all alliances that may come to be, which the model does not see either; with them the log
odds of therapists differ less than planted. *Estimated* is the same of the fit's posterior: what no column says of a
therapist, and beside it what the columns say, with the doubt about their coefficients.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table
from scipy.special import logit
from threadpoolctl import threadpool_limits

from data.consent import for_learning
from data.history import History
from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from data.synthetic.records import CENSORED
from data.synthetic.truth import Truth
from experiments.clinics import each, figure, over_seeds, plans
from experiments.drawing import points
from features.policy import Policy
from training.choosing import choose
from training.config import FitConfig, HeadConfig, TrainConfig
from training.head import used_effects
from training.learn import Learned, Material, learn_head
from training.material import gather
from training.scoring import Scored, score
from training.targets import NOT_EARLY, Target, learnable, target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HEADS = (
    HeadConfig(name="retention", source="retention", weight=1.0),
    HeadConfig(name="early_dropout", source="early_dropout"),
)
METHODS = {
    "laplace": FitConfig(weighed=False),
    "quasi_likelihood": FitConfig(weighed=False, binary_variances="quasi_likelihood"),
}
PANEL = 60
"""Clients over whom a therapist's log odds are averaged."""
NEAR = 0.15
"""An estimate this share off the truth is near enough."""


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 20,
    arm: Arm = "base",
    on_clinic: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """For each head the true and the estimated variance, means over seeds, and the ratio of the two, by method."""
    rows = each(plans(seeds, arm=arm, episodes=episodes, therapists=therapists), measure, on_clinic)
    size = {"episodes": episodes, "therapists": therapists, "seeds": seeds, "arm": arm}
    return {"synthetic": True, **size, "heads": summary(pd.DataFrame(rows))}


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Means over seeds and ratios of means, with intervals from resampling clinics."""
    found: dict[str, Any] = {}
    for head in HEADS:
        true = rows[f"{head.name}_true"]
        found[head.name] = {"true": over_seeds(true)} | {
            method: {name: over_seeds(rows[f"{head.name}_{method}_{name}"]) for name in ("own", "columns", "whole")}
            | {"of_true": over_seeds(rows[f"{head.name}_{method}_whole"], true)}
            for method in METHODS
        }
        found[head.name]["within_15_percent"] = abs(found[head.name]["laplace"]["of_true"]["value"] - 1) <= NEAR
    return found


def measure(plan: Plan) -> dict[str, float]:
    """True and estimated variances between therapists in one clinic."""
    config = TrainConfig(heads=HEADS, seed=plan.seed)
    with threadpool_limits(config.prognosis.threads):
        return _measure(plan, config)


def _measure(plan: Plan, config: TrainConfig) -> dict[str, float]:
    dataset, truth = simulate(plan)
    history = History(for_learning(dataset))
    snapshot = history.as_of(dataset.manifest.as_of)
    known = learnable(snapshot, config.split.wait_weeks)
    material = gather(history, known, choose(config, dataset, Policy.read()), config)
    panel = known.iloc[np.random.default_rng(plan.seed).permutation(len(known))[:PANEL]]
    their = np.arange(len(material.therapist_ids))
    everyone = panel.iloc[np.repeat(np.arange(PANEL), len(their))]
    everyone = everyone.assign(therapist_id=np.tile(material.therapist_ids, PANEL)).reset_index(drop=True)
    pairs = score(history, everyone, material)
    clients = pd.Index(truth.episode_ids).get_indexer(panel["episode_id"]).astype(np.int64)
    staff = pd.Index(truth.therapist_ids).get_indexer(list(material.therapist_ids)).astype(np.int64)
    found: dict[str, float] = {}
    for head in config.heads:
        goal = target(head, snapshot, known, config.outcome, {})
        seen = np.unique(material.therapist[goal.known])
        chance = true_chance(truth, head.source, short_courses(known), clients[:, None], staff[None, seen])
        found[f"{head.name}_true"] = float(logit(chance).mean(axis=0).var(ddof=1))
        found |= _estimated(head, material, goal, config, pairs, seen)
    return found


def _estimated(
    head: HeadConfig, material: Material, goal: Target, config: TrainConfig, pairs: Scored, seen: Ints
) -> dict[str, float]:
    found: dict[str, float] = {}
    for method, parts in METHODS.items():
        learned = learn_head(head, material, goal, config, parts)
        assert isinstance(learned, Learned)  # these clinics have results of both kinds
        own, columns = variances(learned, material, pairs, seen)
        name = f"{head.name}_{method}"
        found |= {f"{name}_own": own, f"{name}_columns": columns, f"{name}_whole": own + columns}
    return found


def variances(learned: Learned, material: Material, pairs: Scored, seen: Ints) -> tuple[float, float]:
    """Variance between therapists of the panel's mean fit: what no column says, and what columns say.

    The second is the posterior mean of that variance: of what the coefficients say, and of the doubt about them.
    """
    head, solution = learned.head, learned.head.solution
    shape = (PANEL, len(material.therapist_ids), -1)
    usual = pairs.effects[:, used_effects(material.design, head.info.parts)].reshape(shape)[:, 0].mean(axis=0)
    ranking = material.design.ranking_part(pairs.blocks).reshape(shape).mean(axis=0)[seen]
    spread = np.cov(ranking, rowvar=False)
    at = np.s_[len(solution.b) - ranking.shape[1] :]
    said = solution.b[at] @ spread @ solution.b[at] + np.trace(spread @ solution.b_cov[at, at])
    return float(usual @ solution.prior @ usual), float(said)


def true_chance(truth: Truth, source: str, short: tuple[float, float], episodes: Ints, therapists: Ints) -> Floats:
    """Chance of the good result among those whose result is known, over all alliances the dyad may come to have.

    Early dropout: a share of those who leave do so before session 3, and who is censored before it is not known.
    """
    stays = truth.retention(episodes, therapists)
    if source == "retention":
        return stays
    censored, leaves_early = sum(CENSORED), short[0] * (1 - stays)
    unknown = censored * (leaves_early + short[1] * stays)
    return np.asarray(1 - (1 - censored) * leaves_early / (1 - unknown))


def short_courses(known: pd.DataFrame) -> tuple[float, float]:
    """Shares of those who leave, and of those who stay, whose course ends before session 3: the same with anyone."""
    short = known["sessions_attended"] < NOT_EARLY
    leavers, stayers = (float(short[known["ending"] == ending].mean()) for ending in ("dropout", "planned"))
    return leavers, stayers


def table(result: dict[str, Any]) -> Table:
    """A line for each head and method."""
    size = f"{result['episodes']} episodes, {result['therapists']} therapists, {result['seeds']} seeds"
    title = f"SYNTHETIC: variance between therapists on the logit scale; {size}, arm {result['arm']}"
    grid = Table("head", "by", "true", "no column says", "columns say", "both", "both / true", title=title)
    for head, row in result["heads"].items():
        for method in METHODS:
            said = row[method]
            cells = [figure(row["true"]), *(figure(said[name]) for name in ("own", "columns", "whole", "of_true"))]
            grid.add_row(head, method.replace("_", "-"), *cells)
    return grid


def picture(result: dict[str, Any], path: Path) -> Path:
    """Estimated over true variance of each head, by method."""
    series = {method: {head: row[method]["of_true"] for head, row in result["heads"].items()} for method in METHODS}
    return points(series, "SYNTHETIC: estimated variance between therapists", "of the true one", path)
