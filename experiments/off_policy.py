"""Do intervals of a policy's value, read from the log of another, hold the true value? Synthetic clinics.

The model and its policies are learned before the test block, as in a training run; the block is valued from what the
clinic recorded; the truth says what each policy would have brought these clients.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table
from scipy.stats import binomtest, spearmanr

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from data.synthetic.truth import Truth
from experiments.clinics import each, plans
from features.policy import Policy
from training.choice_log import ChoiceLog, choice_log
from training.choosing import choose
from training.config import HeadConfig, SplitConfig, TrainConfig
from training.learn import Learned, learn_head
from training.material import gather
from training.scoring import choices, score
from training.split import blocks
from training.targets import intake_sds, learnable, target
from training.trial import cut
from training.valuation import LEVEL, Reward, estimates, expectations, reward_of, shown

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ARMS: tuple[Arm, ...] = ("base", "confounded", "hidden")
OUTCOME = HeadConfig(name="outcome", source="outcome", weight=1.0)
EPISODES, THERAPISTS, TEST = 10_600, 150, 2000
"""Clinics in which a quarter of the courses old enough to have a result makes a test block of 2,000."""
ESTIMATORS = ("ips", "snips", "dr", "gain")


def run(
    seeds: int = 20,
    arms: Sequence[Arm] = ARMS,
    test: int = TEST,
    on_clinic: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Coverage, half-width, bias and effective sizes of every policy and estimator, for every arm, over clinics."""
    found = {}
    for arm in arms:
        rows = each(_plans(arm, seeds, test), partial(measure, test=test), on_clinic)
        found[arm] = summary(pd.DataFrame(rows))
    return {"synthetic": True, "level": LEVEL, "seeds": seeds, "test_episodes": test, "arms": found}


def _plans(arm: Arm, seeds: int, test: int) -> Iterator[Plan]:
    size = test / TEST
    return plans(seeds, arm=arm, episodes=round(EPISODES * size), therapists=max(round(THERAPISTS * size), 20))


def measure(plan: Plan, test: int) -> dict[str, float]:
    """One clinic: each policy's true value and, by estimator, value, error, interval and effective size, in SD."""
    dataset, truth = simulate(plan)
    made, reward, sd, rows = learn_and_log(dataset, plan.seed, test)
    own = pd.Index(truth.episode_ids).get_indexer(rows["episode_id"].iloc[made.rows]).astype(np.int64)
    theirs = pd.Index(truth.therapist_ids).get_indexer(made.therapist_id).astype(np.int64)
    true = truth.outcome(own[made.position], theirs) / sd
    policies = {"logged": made.assigned.astype(np.float64), **made.policies()}
    worth = {
        name: float(np.bincount(made.position, chance * true)[reward.possible].mean())
        for name, chance in policies.items()
    }
    row = {f"propensity_{name}": value for name, value in _propensities(truth, own, theirs, made).items()}
    for name, by in estimates(made, reward).items():
        row[f"{name}_effective"], row[f"{name}_warned"] = by["dr"].effective, float(by["dr"].warning != "")
        row[f"{name}_estimable"] = float(shown(name, by["dr"]))
        for estimator, one in by.items():
            goal = worth[name] - (worth["next_available"] if estimator == "gain" else 0.0)
            key = f"{name}_{estimator}"
            row |= {f"{key}_error": one.value - goal, f"{key}_half": (one.high - one.low) / 2, f"{key}_true": goal}
            row[f"{key}_held"] = float(one.low <= goal <= one.high)
    return row


def learn_and_log(dataset: Dataset, seed: int, test: int) -> tuple[ChoiceLog, Reward, float, pd.DataFrame]:
    """The test block as a log, its results, the outcome's SD, and the block's episodes; learned before the block."""
    config = TrainConfig(heads=(OUTCOME,), seed=seed, split=SplitConfig(test_share=0.25))
    history = History(for_learning(dataset))
    latest = history.latest()
    episodes = learnable(latest, config.split.wait_weeks)
    parts = blocks(episodes, config.split, seed)
    snapshot, earlier = cut(history, config, parts, episodes)
    material = gather(history, earlier, choose(config, dataset, Policy.read()), config)
    sds = intake_sds(snapshot, config.outcome.instruments)
    learned = learn_head(OUTCOME, material, target(OUTCOME, snapshot, earlier, config.outcome, sds), config, config.fit)
    assert isinstance(learned, Learned)  # these clinics have results
    rows = episodes[parts.test].iloc[:test].reset_index(drop=True)
    choice = choices(history, rows, seed)
    everyone = rows.iloc[choice.episode].assign(therapist_id=choice.therapist_id).reset_index(drop=True)
    seen, pairs = score(history, rows, material), score(history, everyone, material)
    expected = expectations(learned.head, material, seen, pairs, choice)
    made = choice_log(history, config, material, rows, pairs, choice, expected)
    assert made is not None  # nor do they lack choices
    goal = target(OUTCOME, latest, rows, config.outcome, sds)
    return made, reward_of(goal, learned.head, seen, made, expected[made.pairs]), learned.head.info.sd, rows


def _propensities(truth: Truth, own: Ints, theirs: Ints, made: ChoiceLog) -> dict[str, float]:
    """How near the estimated propensities come to the true ones, where they had to be estimated."""
    width = len(truth.therapist_ids)
    key = truth.offers[:, 0] * width + truth.offers[:, 1]
    order = np.argsort(key)
    at = order[np.searchsorted(key[order], own[made.position] * width + theirs)]
    true = truth.propensity[at]
    true = true / np.bincount(made.position, true)[made.position]
    said = made.propensities
    guessed = ~said.recorded[made.position]
    even = 1 / np.bincount(made.position)[made.position]
    return {
        "rank_correlation": float(spearmanr(true[guessed], said.chance[guessed]).statistic),
        "mean_error": float(np.abs(true - said.chance)[guessed].mean()),
        "mean_error_even": float(np.abs(true - even)[guessed].mean()),
        "calibration_slope": said.slope,
        "share_recorded": float(said.recorded.mean()),
        "share_clipped": float(said.clipped.mean()),
    }


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Over clinics: coverage with its 95 % interval (Clopper-Pearson), mean half-width, bias, effective sizes."""
    policies = {}
    for policy in ("argmax", "top_tenth", "next_available", "logged"):
        policies[policy] = {
            "true_value": float(rows[f"{policy}_dr_true"].mean()),
            "true_gain": float(rows[f"{policy}_gain_true"].mean()),
            "effective_size": float(rows[f"{policy}_effective"].mean()),
            "warned": float(rows[f"{policy}_warned"].mean()),
            "estimable": float(rows[f"{policy}_estimable"].mean()),
            **{estimator: _estimator(rows, f"{policy}_{estimator}") for estimator in ESTIMATORS},
        }
    names = [name for name in rows if name.startswith("propensity_")]
    return {
        "propensity": {name.removeprefix("propensity_"): float(rows[name].mean()) for name in names},
        "policies": policies,
    }


def _estimator(rows: pd.DataFrame, key: str) -> dict[str, float]:
    held = binomtest(int(rows[f"{key}_held"].sum()), len(rows))
    between = held.proportion_ci(0.95)
    return {
        "coverage": float(held.statistic),
        "coverage_low": float(between.low),
        "coverage_high": float(between.high),
        "half_width": float(rows[f"{key}_half"].mean()),
        "half_width_most": float(rows[f"{key}_half"].max()),
        "bias": float(rows[f"{key}_error"].mean()),
        "error_sd": float(rows[f"{key}_error"].std()),
    }


def table(result: dict[str, Any]) -> Table:
    """One line an arm, policy and estimator."""
    title = (
        f"SYNTHETIC: {result['test_episodes']} test episodes, {result['seeds']} seeds, {result['level']:.0%} intervals"
    )
    names = ("coverage", "95 % of it", "half-width", "bias", "SD of error", "effective size", "not estimable")
    caption = "\n".join(_of_propensities(arm, found["propensity"]) for arm, found in result["arms"].items())
    grid = Table("arm", "policy", "estimator", *names, title=title, caption=caption)
    for arm, found in result["arms"].items():
        for policy, by in found["policies"].items():
            for estimator in ESTIMATORS:
                one = by[estimator]
                grid.add_row(
                    arm, policy, estimator, f"{one['coverage']:.3f}",
                    f"{one['coverage_low']:.3f}-{one['coverage_high']:.3f}", f"{one['half_width']:.3f}",
                    f"{one['bias']:+.3f}", f"{one['error_sd']:.3f}", f"{by['effective_size']:.0f}",
                    f"{1 - by['estimable']:.0%}",
                )  # fmt: skip
    return grid


def _of_propensities(arm: str, mean: dict[str, float]) -> str:
    said = ("mean_error", "mean_error_even", "rank_correlation", "calibration_slope")
    error, even, rank, slope = (f"{mean[name]:.3f}" for name in said)
    return (
        f"{arm}: propensities {mean['share_recorded']:.0%} recorded, {mean['share_clipped']:.1%} clipped; estimated "
        f"ones off by {error} on average (an even chance: {even}), rank correlation with the true ones {rank}, "
        f"calibration slope {slope}"
    )


def figure(result: dict[str, Any], path: Path) -> Path:
    """Coverage of every estimator's interval by policy and arm, with its binomial interval, to a PNG."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(4 * len(result["arms"]), 4), layout="constrained")
    panels = canvas.subplots(1, len(result["arms"]), sharey=True, squeeze=False)[0]
    shown = ("top_tenth", "argmax", "next_available")
    for axes, (arm, found) in zip(panels, result["arms"].items(), strict=True):
        for i, estimator in enumerate(ESTIMATORS):
            ones = [found["policies"][policy][estimator] for policy in shown]
            middle = np.array([one["coverage"] for one in ones])
            reach = np.abs(np.array([[one[f"coverage_{side}"] for one in ones] for side in ("low", "high")]) - middle)
            axes.errorbar(np.arange(len(shown)) + (i - 1.5) * 0.15, middle, reach, fmt="o", ms=4, label=estimator)
        axes.axhline(result["level"], color="grey", lw=0.8)
        axes.set_xticks(np.arange(len(shown)), [name.replace("_", "\n") for name in shown])
        axes.set_title(f"{arm} (synthetic)")
    panels[0].set_ylabel(
        f"share of {result['seeds']} clinics whose {result['level']:.0%} interval\nholds the true value"
    )
    canvas.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    canvas.savefig(path, dpi=120)
    return path
