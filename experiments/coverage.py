"""Do intervals hold what they promise, for the therapist a client saw and for the one who would have been put first?

Synthetic clinics, the latest block, learned from what was known before it. A result with the therapist put first was
never seen: it is taken to be the true expected outcome of that pair plus what the client's own result lay off the
expected one. Credible intervals of retention are held against the true probability.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table
from threadpoolctl import threadpool_limits

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from data.synthetic.truth import Truth
from experiments.clinics import each, plans
from features.policy import Policy
from training.choosing import choose
from training.config import HeadConfig, TrainConfig
from training.conformal import LEVELS, severity_of
from training.evaluate import Offered
from training.intervals import POINTS, conformal, coverage, credibility, expectation
from training.learn import Learned, Material, learn_head
from training.material import gather
from training.scoring import Scored, choices, score
from training.split import blocks
from training.targets import intake_sds, learnable, target
from training.trial import cut

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ARMS: tuple[Arm, ...] = ("base", "confounded", "hidden", "drift")
OUTCOME = HeadConfig(name="outcome", source="outcome", weight=1.0)
RETENTION = HeadConfig(name="retention", source="retention", kind="binary")
WHOM = ("seen", "put_first")


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 20,
    arms: Sequence[Arm] = ARMS,
    on_clinic: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Mean coverage over seeds in every arm, of each level and for whom, with the interval of that mean."""
    found = {}
    for arm in arms:
        made = plans(seeds, arm=arm, episodes=episodes, therapists=therapists)
        found[arm] = _summary(pd.DataFrame(each(made, measure, on_clinic)))
    return {"synthetic": True, "episodes": episodes, "therapists": therapists, "seeds": seeds, "arms": found}


def _summary(rows: pd.DataFrame) -> dict[str, Any]:
    mean = rows.mean()
    reach = 1.96 * rows.std(ddof=1) / np.sqrt(len(rows)) if len(rows) > 1 else rows.std(ddof=0)
    clients = float(mean.pop("clients"))
    ends = {name: (float(mean[name] - reach[name]), float(mean[name] + reach[name])) for name in mean.index}
    figures = {name: {"value": float(mean[name]), "low": low, "high": high} for name, (low, high) in ends.items()}
    holds = {
        f"outcome_{level}_{who}": abs(mean[f"outcome_{level}_{who}"] - level / 100) <= POINTS
        for level in LEVELS
        for who in WHOM
    }
    return {"clients": clients, "figures": figures, "within_2_points": {n: bool(ok) for n, ok in holds.items()}}


def measure(plan: Plan) -> dict[str, float]:
    """Shares of one clinic's latest clients inside their intervals."""
    config = TrainConfig(heads=(OUTCOME, RETENTION), seed=plan.seed)
    with threadpool_limits(config.prognosis.threads):
        return _measure(*simulate(plan), config)


def _measure(dataset: Dataset, truth: Truth, config: TrainConfig) -> dict[str, float]:
    history = History(for_learning(dataset))
    episodes = learnable(history.latest(), config.split.wait_weeks)
    parts = blocks(episodes, config.split, config.seed)
    snapshot, earlier = cut(history, config, parts, episodes)
    material = gather(history, earlier, choose(config, dataset, Policy.read()), config)
    sds = intake_sds(snapshot, config.outcome.instruments)
    heads = {}
    for head in config.heads:
        goal = target(head, snapshot, earlier, config.outcome, sds)
        heads[head.name] = learn_head(head, material, goal, config, config.fit)
    outcome, retention = heads["outcome"], heads["retention"]
    assert isinstance(outcome, Learned)
    assert isinstance(retention, Learned)  # these clinics have results of both kinds
    test = episodes[parts.test].reset_index(drop=True)
    choice = choices(history, test, config.seed)
    everyone = test.iloc[choice.episode].assign(therapist_id=choice.therapist_id).reset_index(drop=True)
    pairs, offered = score(history, everyone, material), Offered(choice.episode, choice.assigned)
    result = target(OUTCOME, history.latest(), test, config.outcome, sds).value[offered.rows]
    of_truth = pd.Index(truth.episode_ids).get_indexer(test["episode_id"].iloc[offered.rows]).astype(np.int64)
    first = offered.first(pairs.fit(outcome.head, material.place))
    pair_of = {"seen": np.flatnonzero(offered.assigned), "put_first": first}
    found: dict[str, float] = {"clients": float((~np.isnan(result)).sum())}
    seen = truth.outcome(of_truth, _their(truth, pairs, pair_of["seen"]))
    for who, chosen in pair_of.items():
        therapist = _their(truth, pairs, chosen)
        potential = result + truth.outcome(of_truth, therapist) - seen
        found |= _conformal(material, outcome, _rows(pairs, chosen), potential, who)
        found |= _credible(material, retention, config, _rows(pairs, chosen), truth.retention(of_truth, therapist), who)
    return found


def _their(truth: Truth, pairs: Scored, rows: Ints) -> Ints:
    return np.asarray(pd.Index(truth.therapist_ids).get_indexer(pairs.therapist_id[rows]).astype(np.int64))


def _rows(pairs: Scored, rows: Ints) -> Scored:
    blocks_ = {part: block[rows] for part, block in pairs.blocks.items()}
    return Scored(blocks_, pairs.effects[rows], pairs.therapist_id[rows], pairs.design)


def _conformal(material: Material, learned: Learned, scored: Scored, result: Floats, who: str) -> dict[str, float]:
    intervals, known = conformal(material, learned), ~np.isnan(result)
    predicted, variance = (part[known] for part in expectation(learned.head, scored, material.place))
    severity = severity_of(scored.effects, material.design)[known]
    ends = {level: intervals.interval(predicted, severity, level, variance) for level in LEVELS}
    inside = {level: coverage(result[known], low, high, level) for level, (low, high) in ends.items()}
    return {f"outcome_{level}_{who}": one["covered"] for level, one in inside.items()}


def _credible(
    material: Material, learned: Learned, config: TrainConfig, scored: Scored, chance: Floats, who: str
) -> dict[str, float]:
    intervals = credibility(material, learned, config)
    link, variance = expectation(learned.head, scored, material.place)
    ends = {level: intervals.interval(link, variance, level) for level in LEVELS}
    inside = {level: (low <= chance) & (chance <= high) for level, (low, high) in ends.items()}
    return {f"retention_{level}_{who}": float(held.mean()) for level, held in inside.items()}


def table(result: dict[str, Any]) -> Table:
    """One line an arm; shares inside the interval, in per cent."""
    size = f"{result['episodes']} episodes, {result['therapists']} therapists, {result['seeds']} seeds"
    title = f"SYNTHETIC: % of the latest block inside their intervals; {size}"
    names = [f"{head}_{level}_{who}" for head in ("outcome", "retention") for level in LEVELS for who in WHOM]
    grid = Table("arm", "clients", *(name.replace("_", " ") for name in names), title=title)
    for arm, row in result["arms"].items():
        grid.add_row(arm, f"{row['clients']:.0f}", *(f"{100 * row['figures'][name]['value']:.1f}" for name in names))
    return grid
