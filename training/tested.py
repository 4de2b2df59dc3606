"""The test block as scored by the model and by what it has to beat, and every figure read off it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.baselines import Scores
from training.calibration import calibration, dose_response
from training.config import HeadConfig, TrainConfig
from training.conformal import LEVELS, Conformal, Credible, severity_of
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
from training.groups import Groups, group_table
from training.head import Head
from training.intervals import coverage, expectation
from training.learn import Learned, Material, observation_weights
from training.mixed import Structure, fit
from training.regimes import Choices
from training.robust import ENOUGH_CLUSTERS
from training.scoring import Scored, on_scale, unit_at
from training.sums import Sums
from training.targets import Target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CONTENDERS = ("model", "therapist_mean", "patient_only")


@dataclass(frozen=True)
class Tested:
    """The test block: its rows as seen, all pairs that were offered, targets, groups, and who scores them."""

    config: TrainConfig
    material: Material
    heads: Mapping[str, Mapping[str, Learned]]
    peers: Mapping[str, Mapping[str, Scores]]
    intervals: Mapping[str, Conformal | Credible]
    test: pd.DataFrame
    seen: Scored
    pairs: Scored
    offered: Offered
    goals: Mapping[str, Target]
    groups: Groups

    def _predicted(self, head: Head, goal: Target) -> Floats:
        """Expected result with the therapist seen, on the target's scale."""
        return self.seen.expected(head, self.material.place, goal.measured(head.info.landmark))

    def _resamples(self, rows: Ints) -> Resamples:
        therapist = self.test["therapist_id"].factorize()[0][rows]
        return Resamples.of(therapist.astype(np.int64), self.config.bootstraps, self.config.seed)

    @cached_property
    def _of_choices(self) -> Resamples:
        return self._resamples(self.offered.rows)

    @cached_property
    def _ranking(self) -> list[HeadConfig]:
        """Heads that make the utility."""
        return [head for head in self.config.heads if head.weight > 0 and head.name in self.goals]

    def head(self, config: HeadConfig) -> dict[str, Any]:
        """All figures of one head."""
        goal = self.goals[config.name]
        rows = np.flatnonzero(goal.known)
        if len(rows) < 2 or np.ptp(goal.value[rows]) == 0:
            return {"rows": len(rows), "note": "no results to compare in the test block"}
        model = self.heads["model"][config.name].head
        weight = observation_weights(goal, self.seen.blocks["client"])
        said = {name: self._predicted(self.heads[name][config.name].head, goal)[rows] for name in CONTENDERS}
        y, w = goal.value[rows], weight[rows]
        resamples = self._resamples(rows)
        said["therapist_only"] = self._therapist_only(config)[rows]
        figures = {
            f"r2_over_{name}": r2_difference(y, said["model"], said[name], w, resamples).as_json()
            for name in ("patient_only", "therapist_only", "therapist_mean")
        }
        response, score_of = self.choice(config, "model")
        beside, weights = self._of_choices, weight[self.offered.rows]
        gap = (y - said["model"]) / model.info.sd
        missed = {"bias": gap, "error": np.abs(gap)}
        return {
            "rows": len(rows),
            "r2": {name: r2_figure(y, predicted, w, resamples).as_json() for name, predicted in said.items()},
            **figures,
            "rank_validity": rank_validity(response, score_of, self.offered, weights, beside).as_json(),
            "rank_validity_errors": "CR2" if beside.clusters < ENOUGH_CLUSTERS else "therapists resampled",
            "policy": policy_gain(response, score_of, self.offered, weights, beside).as_json(),
            "regimes": self._choices.regimes({"model": (response, score_of)}, weights, beside),
            "dose_response": dose_response(response, score_of, self.offered, weights, beside),
            "calibration": calibration(y, said["model"], w, model.info.sd, resamples),
            "intervals": self._intervals(config.name, rows, said["model"]),
            "groups": self._groups(rows, missed, w, score_of),
        }

    def _groups(self, rows: Ints, missed: Mapping[str, Floats], weight: Floats, score: Floats) -> list[dict[str, Any]]:
        """By group: what was missed, and the gain in this head of the therapists whom the utility puts first, in SD.

        `n` counts results; the gain is over all clients of the group with a choice.
        """
        table = group_table(self.groups, rows, missed, weight, self._resamples(rows))
        if not self._ranking:
            return table
        gain = score[self.offered.first(self._model[1])] - self.offered.means(score)
        gains = group_table(self.groups, self.offered.rows, {"gain": gain}, np.ones(len(gain)), self._of_choices)
        return [
            row | {name: one[name] for name in ("gain",) if name in one} for row, one in zip(table, gains, strict=True)
        ]

    def _intervals(self, name: str, rows: Ints, predicted: Floats) -> dict[str, Any]:
        """How often results lay inside the conformal intervals; the mean width of credible ones."""
        head, goal, found = self.heads["model"][name].head, self.goals[name], self.intervals[name]
        link, variance = expectation(head, self.seen, self.material.place, goal.measured(head.info.landmark))
        if isinstance(found, Credible):
            ends = {level: found.interval(link[rows], variance[rows], level) for level in LEVELS}
            widths = {str(level): {"width": float((high - low).mean())} for level, (low, high) in ends.items()}
            return {"kind": "credible", "coverage": widths, **found.as_json()}
        severity = severity_of(self.seen.effects[rows], self.material.design)
        inside = {
            str(level): coverage(goal.value[rows], *found.interval(predicted, severity, level, variance[rows]), level)
            for level in LEVELS
        }
        return {"kind": "conformal", "coverage": inside, **found.as_json()}

    def _therapist_only(self, config: HeadConfig) -> Floats:
        """The shrunken mean of each test row's therapist: nothing is known of the client."""
        learned = self.heads["model"][config.name]
        therapist = self.material.therapist[learned.rows]
        mean, effects = therapist_means(learned.target, therapist, len(self.material.place), learned.weight)
        place = self.test["therapist_id"].map(self.material.place).fillna(-1).to_numpy(dtype=np.int64)
        return mean + np.where(place >= 0, effects[place], 0.0)

    def choice(self, config: HeadConfig, contender: str) -> tuple[Floats, Floats]:
        """Result less prognosis of each client with a choice, and every pair's score, both in the head's SD units."""
        model = self.heads["model"][config.name].head
        goal = self.goals[config.name]
        rows = self.offered.rows
        link = self._prognoses[config.name]
        response = (goal.value[rows] - on_scale(model, link)) / model.info.sd
        if contender not in self.heads:
            return response, self.peers[config.name][contender](self.pairs) / model.info.sd
        average = self.offered.means(self.pairs.fit(model, self.material.place))
        said = self.pairs.fit(self.heads[contender][config.name].head, self.material.place)
        return response, said * unit_at(model, link + average)[self.offered.position] / model.info.sd

    @cached_property
    def _prognoses(self) -> dict[str, Floats]:
        """Prognosis of each client with a choice, on the link scale, by head."""
        heads = {name: self.heads["model"][name].head for name in self.goals}
        said = {n: self.seen.prognosis(h, self.goals[n].measured(h.info.landmark)) for n, h in heads.items()}
        return {name: link[self.offered.rows] for name, link in said.items()}

    def utility_of(self, contender: str) -> tuple[Floats, Floats]:
        """Response and score of the weighted sum of the heads that rank, in SD, as `choice` gives a head's."""
        weights = np.array([head.weight for head in self._ranking])
        parts = [self.choice(head, contender) for head in self._ranking]
        response = weighted(np.array([part[0] for part in parts]), weights)
        score: Floats = (weights / weights.sum()) @ np.array([part[1] for part in parts])
        return response, score

    @cached_property
    def _model(self) -> tuple[Floats, Floats]:
        return self.utility_of("model")

    def utility(self) -> dict[str, Any]:
        """What ranking by the utility brings over next-available, beside the policies it has to beat."""
        if not self._ranking:
            return {"note": "no head with a weight could be learned"}
        resamples = self._of_choices
        peers = list(next(iter(self.peers.values()), {}))
        policies = {"model": self._model} | {name: self.utility_of(name) for name in ("therapist_mean", *peers)}
        response, score = policies["model"]
        one = np.ones(len(response))
        gains: dict[str, PolicyGain] = {
            name: policy_gain(*policies[name], self.offered, one, resamples) for name in policies
        }
        return {
            "over_next_available": {name: gain.as_json() for name, gain in gains.items()},
            "patient_only_over_next_available": "0 by construction: it expects the same of every therapist",
            "model_over_therapist_mean": difference(gains["model"], gains["therapist_mean"], resamples).as_json(),
            "rank_validity": rank_validity(response, score, self.offered, one, resamples).as_json(),
            "dose_response": dose_response(response, score, self.offered, one, resamples),
            "regimes": self._choices.regimes(policies, one, resamples),
            "groups": self._utility_groups(score),
        }

    @cached_property
    def _choices(self) -> Choices:
        therapist = pd.factorize(self.pairs.therapist_id)[0].astype(np.int64)
        day = self.test["matched_on"].to_numpy().astype("datetime64[D]")[self.offered.rows]
        return Choices(self.offered, therapist, day, self.config.seed)

    def _utility_groups(self, score: Floats) -> list[dict[str, Any]]:
        """Predicted gain in utility by group, under free choice and under full caseloads."""
        mean = self.offered.means(score)
        shared = self._choices.assign(self._choices.centred(score)[0], np.ones(len(score), dtype=bool))
        gains = {
            "gain_free_choice": self.offered.best(score) - mean,
            "gain_full_caseloads": score[shared] - self.offered.of_assigned(score),
        }
        return group_table(self.groups, self.offered.rows, gains, np.ones(len(mean)), self._of_choices)


def therapist_means(y: Floats, therapist: Ints, count: int, weight: Floats) -> tuple[float, Floats]:
    """General mean and every therapist's shrunken deviation from it, by REML on the scale of the target."""
    ones = np.ones((len(y), 1))
    solution = fit(Sums.of(ones, ones, y, therapist, count, weight), Structure(joint=1, strengths=0, border=1))
    return float(solution.b[0]), solution.effects()[:, 0]


def weighted(values: Floats, weights: Floats) -> Floats:
    """Weighted mean over the heads (h,) of values (h, clients) that are known; NaN where none of a client is."""
    known = ~np.isnan(values)
    total = (weights[:, None] * known).sum(axis=0)
    mean = (weights[:, None] * np.nan_to_num(values)).sum(axis=0) / np.maximum(total, 1e-12)
    return np.where(total > 0, mean, np.nan)
