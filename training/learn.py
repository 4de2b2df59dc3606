"""Learning one head: cross-fitted prognosis, then the mixed fit, then the prognosis again on what the fit leaves."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.linear_model import LogisticRegression

from data.errors import ConfigError, Problem
from features.build import FeatureSet
from features.columns import Columns
from features.rows import Ranges
from training import prognosis
from training.config import FitConfig, HeadConfig, TrainConfig
from training.design import Design, Scaler
from training.head import Head, HeadInfo, structure, used_effects
from training.mixed import Solution, fit
from training.prognosis import Prognosis
from training.sums import Sums
from training.targets import Target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PROBABILITY_SD = 0.43  # of a result that three in four reach
MOST_WEIGHT = 5.0
FEWEST_ROWS = 50
FEWEST_REPEATED = 3  # therapists with more than one case
ROUNDS_OF_WORK = 25  # re-linearisations of a binary head, at most


@dataclass(frozen=True)
class Material:
    """What all heads of a run learn from: one row an episode."""

    episodes: pd.DataFrame
    features: FeatureSet
    design: Design
    clients: Columns
    blocks: Mapping[str, Floats]
    """Feature columns by part: `client`, `therapist`, `pair`."""
    effects: Floats
    therapist: Ints
    """Position of the episode's therapist among `therapist_ids`."""
    therapist_ids: tuple[str, ...]
    severity_of: Ranges
    problems: tuple[str, ...]
    """Main problems whose past cases are counted for each therapist."""
    fold: Ints
    expected: frozenset[str]
    """Ranking columns of which the field expects a better or a worse result, as the policy says."""

    @property
    def ranking(self) -> Floats:
        """Border columns that rank, of each row's own pair."""
        return self.design.ranking_part(self.blocks)

    @cached_property
    def place(self) -> dict[str, int]:
        """Position of each therapist among `therapist_ids`."""
        return {name: i for i, name in enumerate(self.therapist_ids)}


@dataclass(frozen=True)
class Learned:
    """A head, and what it said of the rows it learned from."""

    head: Head
    rows: Ints
    """Rows of the material that had a target."""
    target: Floats
    weight: Floats
    first: Prognosis
    """The prognosis before any fit was taken into account: that of the baselines."""
    border: Floats

    def residual(self) -> Floats:
        """Target less prognosis and fixed part, on the target's scale (probabilities for binary heads)."""
        expected = self.border @ self.head.solution.b
        if self.head.info.kind == "binary":
            expected = sigmoid(expected)
        return self.target - expected


def learn_head(
    head: HeadConfig,
    material: Material,
    target: Target,
    config: TrainConfig,
    parts: FitConfig,
    given: Prognosis | None = None,
) -> Learned | str:
    """The learned head, or the reason why it is left out (too few labels, or only one class).

    With a `given` prognosis only the fit is learned: baselines share the prognosis they are compared on.
    """
    rows = np.flatnonzero(target.known)
    y = target.value[rows]
    if len(rows) < FEWEST_ROWS:
        return f"{len(rows)} labels; at least {FEWEST_ROWS} are needed"
    if float(np.ptp(y)) == 0:
        return "only one class" if head.kind == "binary" else "all labels are equal"
    if head.kind == "binary" and not np.isin(y, (0.0, 1.0)).all():
        odd = float(y[~np.isin(y, (0.0, 1.0))][0])
        step = 'give the head kind = "gaussian"'
        raise ConfigError([Problem(f"head {head.name}", f"{odd:g}", "a binary head learns 0 or 1", step)])
    parts = identified(parts, material.therapist[rows])
    weight = observation_weights(target, material.blocks["client"])[rows]
    extra = target.landmark.to_numpy(dtype=np.float64)[rows]
    scaler = Scaler.learn(tuple(map(str, target.landmark.columns)), extra)
    extra = extra[:, scaler.keep]
    work = _Work(head, material, rows, y, weight, extra, scaler, config, parts)
    return work.learn(given)


def identified(parts: FitConfig, therapist: Ints) -> FitConfig:
    """The parts that these rows can tell apart: without repeated cases a therapist effect is the noise by another name.

    The head records what was kept.
    """
    cases = np.bincount(therapist)
    within = int((cases[cases > 1] - 1).sum())
    if (cases > 1).sum() >= FEWEST_REPEATED and within >= FEWEST_ROWS // 2:
        return parts
    return parts.model_copy(update={"therapist": False, "slope": False, "strengths": False})


def observation_weights(target: Target, client_block: Floats) -> Floats:
    """Weights for rows that could have had a value: mean chance of having one over this client's chance, at most 5."""
    weight = np.ones(len(target.value))
    could = target.possible
    seen = target.known[could]
    if seen.all() or not seen.any() or min(seen.sum(), (~seen).sum()) < FEWEST_ROWS or client_block.shape[1] == 0:
        return weight
    scaler = Scaler.learn(tuple(map(str, range(client_block.shape[1]))), client_block[could])
    x = scaler(client_block[could])
    if x.shape[1] == 0:
        return weight
    chance = LogisticRegression(C=0.1, max_iter=1000).fit(x, seen).predict_proba(x)[:, 1]
    weight[could] = np.minimum(seen.mean() / np.maximum(chance, 1e-3), MOST_WEIGHT)
    return weight


@dataclass(frozen=True)
class _Work:
    """One head in the making."""

    head: HeadConfig
    material: Material
    rows: Ints
    y: Floats
    weight: Floats
    extra: Floats
    scaler: Scaler
    config: TrainConfig
    parts: FitConfig

    def learn(self, given: Prognosis | None) -> Learned:
        ranking = self.material.ranking[self.rows] if self.parts.columns else np.zeros((len(self.rows), 0))
        effects = self.material.effects[self.rows][:, used_effects(self.material.design, self.parts)]
        first = found = given or self._prognosis(np.zeros(len(self.rows)))
        border, solution = self._fit(ranking, effects, found, None)
        for _ in range(self.config.prognosis.refits if found.trees and given is None else 0):
            pair_fit = ranking @ solution.b[border.shape[1] - ranking.shape[1] :] + self._own(solution, effects)
            found = self._prognosis(pair_fit)
            border, solution = self._fit(ranking, effects, found, solution)
        return Learned(self._head(found, solution), self.rows, self.y, self.weight, first, border)

    def _fit(
        self, ranking: Floats, effects: Floats, found: Prognosis, start: Solution | None
    ) -> tuple[Floats, Solution]:
        border = np.column_stack([self._client_part(found.crossed), ranking])
        return border, self._solve(border, effects, found, start)

    def _prognosis(self, pair_fit: Floats) -> Prognosis:
        x = np.column_stack([self.material.blocks["client"][self.rows], self.extra])
        fold = self.material.fold[self.rows]
        return prognosis.learn(
            x, self.y, self.weight, fold, self.head.kind, self.config.prognosis, self.config.seed, pair_fit
        )

    def _client_part(self, crossed: Floats) -> Floats:
        block = self.material.design.client_part(self.material.blocks["client"][self.rows], crossed)
        extra = (self.extra - self.scaler.mean) / self.scaler.sd
        return np.column_stack([block, np.where(np.isnan(extra), 0.0, extra)])

    def _sums(self, border: Floats, effects: Floats, response: Floats, weight: Floats) -> Sums:
        therapist = self.material.therapist[self.rows]
        return Sums.of(border, effects, response, therapist, len(self.material.therapist_ids), weight)

    def _solve(self, border: Floats, effects: Floats, found: Prognosis, start: Solution | None) -> Solution:
        shape = structure(
            self.material.design,
            self.material.expected,
            self.parts,
            self.extra.shape[1],
            self.head.kind,
            bool(found.trees),
        )
        if self.head.kind == "gaussian":
            theta = None if start is None else start.theta
            return fit(self._sums(border, effects, self.y, self.weight), shape, theta)
        solution = start
        linear = found.crossed if start is None else border @ start.b + self._own(start, effects)
        for _ in range(ROUNDS_OF_WORK):
            chance = sigmoid(linear)
            slope = np.maximum(chance * (1 - chance), 1e-4)
            response = linear + (self.y - chance) / slope
            theta = None if solution is None else solution.theta
            solution = fit(self._sums(border, effects, response, self.weight * slope), shape, theta)
            before, linear = linear, border @ solution.b + self._own(solution, effects)
            if float(np.abs(linear - before).max()) < 1e-5:
                break
        assert solution is not None
        return solution

    def _own(self, solution: Solution, effects: Floats) -> Floats:
        own: Floats = np.einsum("nq,nq->n", solution.effects()[self.material.therapist[self.rows]], effects)
        return own

    def _head(self, found: Prognosis, solution: Solution) -> Head:
        binary = self.head.kind == "binary"
        info = HeadInfo(
            name=self.head.name,
            source=self.head.source,
            kind=self.head.kind,
            direction=self.head.direction or "higher",
            weight=self.head.weight,
            sd=PROBABILITY_SD if binary else float(self.y.std()),
            rows=len(self.rows),
            rounds=found.rounds,
            parts=self.parts,
            landmark=self.scaler.names,
        )
        return Head(info, found.trees, found.constant, self.scaler.mean, self.scaler.sd, solution)


def sigmoid(x: Floats) -> Floats:
    """Log odds to probability; log odds beyond 30 are cut off."""
    values: Floats = 1 / (1 + np.exp(-np.clip(x, -30, 30)))
    return values
