"""The test of a configuration: learn from what was known before the test block, then look at the block once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import History, Snapshot
from training.choosing import Chosen
from training.config import FitConfig, HeadConfig, TrainConfig
from training.evaluate import (
    Offered,
    PolicyGain,
    Resamples,
    difference,
    policy_gain,
    r2_difference,
    r2_figure,
    rank_validity,
)
from training.head import Head
from training.learn import Learned, Material, learn_head, observation_weights, sigmoid
from training.material import gather
from training.mixed import Structure, fit
from training.scoring import Scored, choices, score
from training.split import Blocks
from training.sums import Sums
from training.targets import Target, intake_sds, learnable, target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Say = Callable[[str], None]

PATIENT_ONLY = FitConfig(therapist=False, slope=False, strengths=False, columns=False)
THERAPIST_MEAN = FitConfig(therapist=True, slope=False, strengths=False, columns=False)
CONTENDERS = ("model", "therapist_mean", "patient_only")


@dataclass(frozen=True)
class Trial:
    """Heads learned before the cut, beside their baselines: contender -> head name -> head."""

    material: Material
    heads: Mapping[str, Mapping[str, Learned]]
    sds: dict[str, float]
    left_out: dict[str, str]


def learn_before(
    history: History, config: TrainConfig, chosen: Chosen, snapshot: Snapshot, episodes: pd.DataFrame, say: Say
) -> Trial:
    """Learns every head and its baselines from `episodes` with the results known in `snapshot`."""
    material = gather(history, episodes, chosen, config)
    sds = intake_sds(snapshot, config.outcome.instruments)
    heads: dict[str, dict[str, Learned]] = {name: {} for name in CONTENDERS}
    left_out = {}
    for head in config.heads:
        say(f"test: {head.name}")
        goal = target(head, snapshot, episodes, config.outcome, sds)
        full = learn_head(head, material, goal, config, config.fit)
        if isinstance(full, str):
            left_out[head.name] = full
            continue
        heads["model"][head.name] = full
        for contender, parts in (("therapist_mean", THERAPIST_MEAN), ("patient_only", PATIENT_ONLY)):
            beside = learn_head(head, material, goal, config, parts, full.first)
            assert not isinstance(beside, str)  # the same labels were enough above
            heads[contender][head.name] = beside
    return Trial(material, heads, sds, left_out)


def cut(history: History, config: TrainConfig, blocks: Blocks, episodes: pd.DataFrame) -> tuple[Snapshot, pd.DataFrame]:
    """What was known when the test block began, and the episodes old enough by then; undated: all but the test rows."""
    if blocks.test_from is None:
        return history.as_of(None), episodes[~blocks.test].reset_index(drop=True)
    snapshot = history.as_of(blocks.test_from)
    return snapshot, learnable(snapshot, config.split.wait_weeks)


def evaluate(
    history: History, config: TrainConfig, trial: Trial, blocks: Blocks, episodes: pd.DataFrame, say: Say
) -> dict[str, Any]:
    """Every figure of the evaluation on the test block, as JSON."""
    test = episodes[blocks.test].reset_index(drop=True)
    snapshot = history.latest()
    say("test: evaluation")
    seen = score(history, test, trial.material)
    choice = choices(history, test, config.seed)
    everyone = test.iloc[choice.episode].assign(therapist_id=choice.therapist_id).reset_index(drop=True)
    pairs = score(history, everyone, trial.material)
    offered = Offered(choice.episode, choice.assigned)
    learned = [head for head in config.heads if head.name not in trial.left_out]
    goals = {head.name: target(head, snapshot, test, config.outcome, trial.sds) for head in learned}
    table = _Table(config, trial, test, seen, pairs, offered, goals)
    result = {head.name: table.head(head) for head in learned}
    return {
        "forward": blocks.forward,
        "test_from": None if blocks.test_from is None else blocks.test_from.isoformat(),
        "learned_from": len(trial.material.episodes),
        "test_episodes": len(test),
        "clients_with_choice": len(offered.rows),
        "therapists_a_choice": float(len(choice.episode) / max(len(offered.rows), 1)),
        "offers_recorded": choice.recorded,
        "share_with_offers": choice.share,
        "therapists_tested": int(test["therapist_id"].nunique()),
        "heads": result,
        "utility": table.utility(),
        "left_out": trial.left_out,
    }


@dataclass(frozen=True)
class _Table:
    """The test block as scored by the contenders."""

    config: TrainConfig
    trial: Trial
    test: pd.DataFrame
    seen: Scored
    pairs: Scored
    offered: Offered
    goals: Mapping[str, Target]

    def _landmark(self, head: Head, goal: Target) -> Floats:
        wide = goal.landmark.reindex(columns=list(head.info.landmark))
        values: Floats = wide.to_numpy(dtype=np.float64)
        return values

    def _predicted(self, head: Head, goal: Target) -> Floats:
        """Expected result with the therapist seen, on the target's scale."""
        return self.seen.expected(head, self.trial.material.place, self._landmark(head, goal))

    def _resamples(self, rows: Ints) -> Resamples:
        therapist = self.test["therapist_id"].factorize()[0][rows]
        return Resamples.of(therapist.astype(np.int64), self.config.bootstraps, self.config.seed)

    def head(self, config: HeadConfig) -> dict[str, Any]:
        goal = self.goals[config.name]
        rows = np.flatnonzero(goal.known)
        if len(rows) < 2 or np.ptp(goal.value[rows]) == 0:
            return {"rows": len(rows), "note": "no results to compare in the test block"}
        weight = observation_weights(goal, self.seen.blocks["client"])
        said = {name: self._predicted(self.trial.heads[name][config.name].head, goal)[rows] for name in CONTENDERS}
        y, w = goal.value[rows], weight[rows]
        resamples = self._resamples(rows)
        said["therapist_only"] = self._therapist_only(config)[rows]
        figures = {
            f"r2_over_{name}": r2_difference(y, said["model"], said[name], w, resamples).as_json()
            for name in ("patient_only", "therapist_only", "therapist_mean")
        }
        response, score_of = self._choice(config, "model")
        beside = self._resamples(self.offered.rows)
        weights = weight[self.offered.rows]
        return {
            "rows": len(rows),
            "r2": {name: r2_figure(y, predicted, w, resamples).as_json() for name, predicted in said.items()},
            **figures,
            "rank_validity": rank_validity(response, score_of, self.offered, weights, beside).as_json(),
            "policy": policy_gain(response, score_of, self.offered, weights, beside).as_json(),
        }

    def _therapist_only(self, config: HeadConfig) -> Floats:
        """The shrunken mean of each test row's therapist: nothing is known of the client."""
        learned = self.trial.heads["model"][config.name]
        therapist = self.trial.material.therapist[learned.rows]
        mean, effects = therapist_means(learned.target, therapist, len(self.trial.material.place), learned.weight)
        place = self.test["therapist_id"].map(self.trial.material.place).fillna(-1).to_numpy(dtype=np.int64)
        return mean + np.where(place >= 0, effects[place], 0.0)

    def _choice(self, config: HeadConfig, contender: str) -> tuple[Floats, Floats]:
        """Result less prognosis of each client with a choice, and every pair's fit, both in the head's SD units."""
        model = self.trial.heads["model"][config.name].head
        goal = self.goals[config.name]
        rows = self.offered.rows
        link = self.seen.prognosis(model, self._landmark(model, goal))[rows]
        head = self.trial.heads[contender][config.name].head
        fit = self.pairs.fit(head, self.trial.material.place)
        if model.info.kind == "binary":
            average = self.offered.means(self.pairs.fit(model, self.trial.material.place))
            chance = sigmoid(link + average)
            fit = fit * (chance * (1 - chance))[self.offered.position]
            return (goal.value[rows] - sigmoid(link)) / model.info.sd, fit / model.info.sd
        return (goal.value[rows] - link) / model.info.sd, fit / model.info.sd

    def utility(self) -> dict[str, Any]:
        """What ranking by the utility brings over next-available, beside the policies it has to beat."""
        heads = [h for h in self.config.heads if h.weight > 0 and h.name not in self.trial.left_out]
        if not heads:
            return {"note": "no head with a weight could be learned"}
        weights = np.array([head.weight for head in heads])
        resamples = self._resamples(self.offered.rows)
        gains: dict[str, PolicyGain] = {}
        for contender in ("model", "therapist_mean"):
            parts = [self._choice(head, contender) for head in heads]
            response = _weighted(np.array([part[0] for part in parts]), weights)
            scores = (weights / weights.sum()) @ np.array([part[1] for part in parts])
            gains[contender] = policy_gain(response, scores, self.offered, np.ones(len(response)), resamples)
            if contender == "model":
                validity = rank_validity(response, scores, self.offered, np.ones(len(response)), resamples)
        return {
            "over_next_available": {name: gain.as_json() for name, gain in gains.items()},
            "patient_only_over_next_available": "0 by construction: it expects the same of every therapist",
            "model_over_therapist_mean": difference(gains["model"], gains["therapist_mean"], resamples).as_json(),
            "rank_validity": validity.as_json(),
        }


def therapist_means(y: Floats, therapist: Ints, count: int, weight: Floats) -> tuple[float, Floats]:
    """General mean and every therapist's shrunken deviation from it, by REML on the scale of the target."""
    ones = np.ones((len(y), 1))
    solution = fit(Sums.of(ones, ones, y, therapist, count, weight), Structure(joint=1, strengths=0, border=1))
    return float(solution.b[0]), solution.effects()[:, 0]


def _weighted(values: Floats, weights: Floats) -> Floats:
    """Weighted mean over the heads a client has a result for; NaN where there is none."""
    known = ~np.isnan(values)
    total = (weights[:, None] * known).sum(axis=0)
    mean = (weights[:, None] * np.nan_to_num(values)).sum(axis=0) / np.maximum(total, 1e-12)
    return np.where(total > 0, mean, np.nan)
