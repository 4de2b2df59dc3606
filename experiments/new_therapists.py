"""A therapist who is new: what the profile alone says, and how it grows with 5, 15, 30 and 60 cases.

Some therapists' episodes are taken out of the data, but for their first few; the model learns from the rest. Their
expected effect (averaged over the same clients, and compared with each other) is held against the true one. The
ceiling knows what the profile is truly worth and learns only each therapist's own deviation, with the true variances.
What comes of it for one new person is an expected effect with a wide interval, and no verdict.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table
from scipy.stats import spearmanr

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from experiments.clinics import figure, over_seeds, plans, said_by
from experiments.contest import OUTCOME, Contest, ceiling, prepare, true_outcomes
from experiments.drawing import curves
from training.config import TrainConfig
from training.head import PairPosterior, used_effects
from training.ranking import Z80
from training.scoring import score
from training.targets import intake_sds, learnable, target

Floats = npt.NDArray[np.float64]

CASES = (0, 5, 15, 30, 60)
MOST_NEW = 30
"""Therapists of each clinic who are taken to be new, at most; a fifth of those who have cases enough."""
CLIENTS = 60
"""Over whom a therapist's effect is averaged."""


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 20,
    arm: Arm = "base",
    on_clinic: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Rank correlation with the true effect by number of cases, beside its ceiling, with the intervals' width."""
    rows = []
    for plan in plans(seeds, arm=arm, episodes=episodes, therapists=therapists):
        rows += [asdict(reading) for reading in measure(plan)]
        on_clinic()
    table = pd.DataFrame(rows)
    names = [name for name in table.columns if name != "cases"]
    found = [
        {"name": f"{cases} cases", "cases": int(cases), **{name: over_seeds(mine[name]) for name in names}}
        for cases, mine in table.groupby("cases")
    ]
    result = {"synthetic": True, "arm": arm, "episodes": episodes, "therapists": therapists, "seeds": seeds}
    return {**result, "cases": found, "words": words(found)}


@dataclass(frozen=True)
class Reading:
    """What is said of one clinic's new therapists after so many cases of each."""

    cases: int
    therapists: int
    correlation: float
    """Spearman's, of expected with true effect."""
    ceiling: float
    half_width: float
    """Of the 80 % interval of a therapist's effect less the mean of the new ones, in outcome SD."""
    coverage: float
    verdicts: float
    """Share of the new therapists whose 80 % interval leaves 0 out."""


def measure(plan: Plan) -> Iterator[Reading]:
    """Learns anew for every number of cases; the new therapists are the same throughout."""
    dataset, truth = simulate(plan)
    cases = _cases(dataset)
    new = _new(cases, plan.seed)
    for many in CASES:
        kept = cases.groupby("therapist_id").head(many)["episode_id"]
        smaller = without(dataset, new, set(kept))
        yield _reading(_beside(prepare(smaller, truth, plan.seed), smaller, new), many)


def _cases(dataset: Dataset) -> pd.DataFrame:
    """Episodes with a known outcome that are old enough to learn from, the earliest first."""
    config = TrainConfig(heads=(OUTCOME,))
    snapshot = History(for_learning(dataset)).latest()
    known = learnable(snapshot, config.split.wait_weeks)
    sds = intake_sds(snapshot, config.outcome.instruments)
    goal = target(OUTCOME, snapshot, known, config.outcome, sds)
    return known[goal.known].sort_values(["matched_on", "episode_id"])


def _new(cases: pd.DataFrame, seed: int) -> list[str]:
    """Therapists with the most cases asked for: a fifth of them, or `MOST_NEW`; the others remain known."""
    counts = cases["therapist_id"].value_counts().sort_index()
    enough = np.array([name for name, count in counts.items() if count >= min(CASES[-1], counts.median())])
    many = min(MOST_NEW, max(len(counts) // 5, 3))
    return list(np.random.default_rng(seed).permutation(enough)[:many])


def without(dataset: Dataset, therapists: list[str], kept: set[str]) -> Dataset:
    """The dataset without the courses of some therapists, but for those kept."""
    episodes = dataset["episodes"]
    gone = episodes["therapist_id"].isin(therapists) & ~episodes["episode_id"].isin(kept)
    ids = set(episodes.loc[gone, "episode_id"])
    frames = {
        name: frame[~frame["episode_id"].isin(ids)].reset_index(drop=True) if "episode_id" in frame else frame
        for name, frame in dataset.frames.items()
    }
    return replace(dataset, frames=frames)


def _beside(contest: Contest, dataset: Dataset, new: list[str]) -> Contest:
    """The same contest with the new therapists in place of the others, and fewer clients."""
    truth, clients = contest.truth, contest.clients[:CLIENTS]
    history = History(for_learning(dataset))
    episodes = history.latest().episodes().set_index("episode_id", drop=False).loc[truth.episode_ids[clients]]
    everyone = episodes.iloc[np.repeat(np.arange(len(clients)), len(new))]
    everyone = everyone.assign(therapist_id=np.tile(np.array(new), len(clients))).reset_index(drop=True)
    return replace(
        contest,
        pairs=score(history, everyone, contest.material),
        clients=clients,
        therapists=pd.Index(truth.therapist_ids).get_indexer(new).astype(np.int64),
        eligible=np.ones((len(clients), len(new)), dtype=bool),
    )


def _reading(contest: Contest, cases: int) -> Reading:
    true, sd = true_outcomes(contest).mean(axis=0), contest.learned.head.info.sd
    said = said_by(contest, contest.learned).mean(axis=0)
    half = Z80 * averaged(contest).gain_sd()
    off = np.abs((said - said.mean()) - (true - true.mean()))
    return Reading(
        cases=cases,
        therapists=len(true),
        correlation=float(spearmanr(said, true).statistic),
        ceiling=float(spearmanr(ceiling(contest).mean(axis=0), true).statistic),
        half_width=float(half.mean() / sd),
        coverage=float((off <= half).mean()),
        verdicts=float((np.abs(said - said.mean()) > half).mean()),
    )


def averaged(contest: Contest) -> PairPosterior:
    """Posterior of each therapist's fit averaged over the clients: the fit is linear in what a pair brings."""
    head, design = contest.learned.head, contest.material.design
    shape = (len(contest.clients), len(contest.therapists), -1)
    ranking = design.ranking_part(contest.pairs.blocks).reshape(shape).mean(axis=0)
    effects = contest.pairs.effects[:, used_effects(design, head.info.parts)].reshape(shape).mean(axis=0)
    ids = contest.truth.therapist_ids[contest.therapists]
    place = np.array([contest.material.place.get(name, -1) for name in ids], dtype=np.int64)
    return head.posterior(ranking if head.info.parts.columns else ranking[:, :0], effects, place)


def words(found: list[dict[str, Any]]) -> list[str]:
    """What may be said of a therapist after so many cases: an expected effect and its interval, and no verdict."""
    said = []
    for one in found:
        since = "From the profile alone" if one["cases"] == 0 else f"After {one['cases']} cases"
        wide, apart = one["half_width"]["value"], one["verdicts"]["value"]
        said.append(
            f"{since}: an expected effect, give or take {wide:.2f} SD (80 % interval); for {1 - apart:.0%} of new "
            "therapists that includes no difference at all. It is an expectation, not a verdict on anyone."
        )
    return said


def table(result: dict[str, Any]) -> Table:
    """A line a number of cases, and what may be said below."""
    size = f"{result['episodes']:,} episodes, {result['therapists']} therapists, {result['seeds']} clinics"
    title = f"SYNTHETIC: {size}; new therapists, expected against true effect (95 % interval over clinics)"
    grid = Table("cases", title=title, caption="\n".join(result["words"]))
    columns = ("correlation", "ceiling", "half_width", "coverage", "verdicts", "therapists")
    for name in ("rank correlation", "its ceiling", "80 % half-width (SD)", "coverage", "beyond 0", "therapists"):
        grid.add_column(name, justify="right")
    for one in result["cases"]:
        cells = [figure(one[name], 2) for name in columns[:-1]]
        grid.add_row(str(one["cases"]), *cells, f"{one['therapists']['value']:.0f}")
    return grid


def picture(result: dict[str, Any], path: Path) -> Path:
    """Rank correlation and the width of the interval against the number of cases."""
    lines = {"model": "correlation", "ceiling": "ceiling"}
    panels = {
        "rank correlation with the true effect": {
            called: {one["cases"]: one[name] for one in result["cases"]} for called, name in lines.items()
        },
        "80 % half-width of a therapist's effect (SD)": {
            "model": {one["cases"]: one["half_width"] for one in result["cases"]}
        },
    }
    title = f"SYNTHETIC: what is known of a new therapist ({result['seeds']} clinics)"
    return curves(panels, title, ("cases", ""), path)
