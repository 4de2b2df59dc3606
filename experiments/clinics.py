"""One runner for contests on many synthetic clinics: all contenders on the same contest, figures over seeds."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from experiments.contest import Contest, ceiling, free, full, gain, prepare, true_outcomes
from training.config import TrainConfig
from training.head import PairPosterior, used_effects
from training.learn import Learned, learn_head

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Found = TypeVar("Found")

REGIMES = {"full": full, "free": free}
BOOTSTRAPS = 2000
LEAST_CEILING = 0.01
"""Outcome SD: below this a share of the ceiling's gain is a share of nothing."""


def each(
    plans: Iterable[Plan], measure: Callable[[Plan], Found], on_clinic: Callable[[], None], jobs: int = 1
) -> list[Found]:
    """What is measured of every plan, in their order; `on_clinic` is called after each.

    With several `jobs` in processes of their own; `measure` is then a function of a module, or part of one.
    """
    if jobs == 1:
        return list(_told(map(measure, plans), on_clinic))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        return list(_told(pool.map(measure, plans), on_clinic))


def _told(values: Iterable[Found], on_each: Callable[[], None]) -> Iterator[Found]:
    for value in values:
        yield value
        on_each()


def each_clinic(
    plans: Iterable[Plan],
    measure: Callable[[Contest, Plan], dict[str, float]],
    on_clinic: Callable[[], None],
    jobs: int = 1,
) -> pd.DataFrame:
    """What is measured on the contest of every plan's clinic: a row a plan, beside the plan's own values."""
    return pd.DataFrame(each(plans, partial(_row, measure), on_clinic, jobs))


def _row(measure: Callable[[Contest, Plan], dict[str, float]], plan: Plan) -> dict[str, Any]:
    return {**plan.model_dump(exclude={"as_of"}), **measure(prepare(*simulate(plan), plan.seed), plan)}


def plans(seeds: int, **values: Any) -> Iterator[Plan]:
    """The same plan with seeds 0, 1, ..."""
    return (Plan(seed=seed, **values) for seed in range(seeds))


def gains(contest: Contest, scores: Mapping[str, Floats]) -> dict[str, float]:
    """True gain of choosing by each score, in outcome SD, in both regimes, as `NAME_full` and `NAME_free`."""
    true, sd = true_outcomes(contest), contest.learned.head.info.sd
    return {
        f"{name}_{regime}": gain(true, choose(said, contest.eligible), contest.eligible) / sd
        for name, said in scores.items()
        for regime, choose in REGIMES.items()
    }


def best(contest: Contest) -> dict[str, Floats]:
    """Our model's scores of all pairs, and the ceiling's."""
    return {"model": said_by(contest, contest.learned), "ceiling": ceiling(contest)}


def said_by(contest: Contest, learned: Learned) -> Floats:
    """The fit that a head expects of all pairs, a row a client, in outcome units."""
    return contest.shaped(contest.pairs.fit(learned.head, contest.material.place))


def learned_with(contest: Contest, config: TrainConfig) -> Learned:
    """The contest's head learned anew, with another configuration."""
    found = learn_head(config.heads[0], contest.material, contest.goal, config, config.fit)
    assert isinstance(found, Learned)  # the contest's own head was learned from the same rows
    return found


def posteriors(contest: Contest, most: int) -> Iterator[tuple[int, Ints, PairPosterior]]:
    """The fit of a client with the eligible: row, their columns, posterior; for at most that many clients."""
    head, design = contest.learned.head, contest.material.design
    position = np.array([contest.material.place[name] for name in contest.pairs.therapist_id], dtype=np.int64)
    ranking = design.ranking_part(contest.pairs.blocks)
    effects = contest.pairs.effects[:, used_effects(design, head.info.parts)]
    for client in range(min(most, len(contest.clients))):
        columns = np.flatnonzero(contest.eligible[client])
        rows = client * len(contest.therapists) + columns
        yield client, columns, head.posterior(ranking[rows], effects[rows], position[rows])


@dataclass(frozen=True)
class Range:
    """A mean over clinics, or a ratio of such means, with its 95 % interval from resampling clinics."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """Plain values."""
        return {"value": self.value, "low": self.low, "high": self.high}


def over_seeds(values: pd.Series, of: pd.Series | None = None) -> dict[str, float] | None:
    """Mean over clinics, or with `of` the ratio of the two means; None where that is a ratio to almost nothing."""
    x = values.to_numpy(dtype=np.float64)
    y = np.ones(len(x)) if of is None else of.to_numpy(dtype=np.float64)
    if y.mean() < LEAST_CEILING:
        return None
    draws = np.random.default_rng(0).integers(0, len(x), (BOOTSTRAPS, len(x)))
    low, high = np.quantile(x[draws].mean(axis=1) / y[draws].mean(axis=1), [0.025, 0.975])
    return Range(float(x.mean() / y.mean()), float(low), float(high)).as_json()


def figure(found: Mapping[str, float] | None, digits: int = 3) -> str:
    """An interval in words: value (low to high); - where there is none."""
    if found is None:
        return "-"
    return f"{found['value']:.{digits}f} ({found['low']:.{digits}f} to {found['high']:.{digits}f})"
