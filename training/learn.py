"""Learning one head from the rows of a run: who has a target, what each row weighs, and the head that comes of it."""

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
from training.binary import sigmoid
from training.config import FitConfig, HeadConfig, TrainConfig
from training.design import Design, Scaler
from training.fitting import Fitted, Fitting
from training.head import Head, HeadInfo, used_effects
from training.prognosis import Prognosis
from training.refits import Refits
from training.targets import Target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PROBABILITY_SD = 0.43  # of a result that three in four reach
MOST_WEIGHT = 5.0
FEWEST_ROWS = 50
FEWEST_REPEATED = 3  # therapists with more than one case


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
    folds: tuple[Ints, ...]
    """Ways of folding the rows by client."""
    usual: Floats
    """What each pair column usually is for the row's client: its mean over therapists of other rows."""
    expected: Mapping[str, float]
    """Ranking columns of which the field expects a better (1) or a worse (-1) result, as the policy says."""

    @property
    def fold(self) -> Ints:
        """The first way of folding: that of the prognosis."""
        return self.folds[0]

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
    again: Refits | None = None
    """What other draws of the same people would have taught; None where that was not asked."""

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
    again: bool = False,
) -> Learned | str:
    """The learned head, or the reason why it is left out (too few labels, or only one class).

    With a `given` prognosis only the fit is learned: baselines share the prognosis they are compared on. With `again`
    it is learned from other draws of the same people as well, for the audit.
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
    if target.weight is not None:
        weight = weight * target.weight[rows]
    landmarks = target.landmark.to_numpy(dtype=np.float64)[rows]
    scaler = Scaler.learn(tuple(map(str, target.landmark.columns)), landmarks)
    landmarks = landmarks[:, scaler.keep]
    standard = (landmarks - scaler.mean) / scaler.sd
    fitted = Fitting(
        kind=head.kind,
        y=y,
        weight=weight,
        person=material.episodes["client_id"].factorize()[0].astype(np.int64)[rows],
        client=material.blocks["client"][rows],
        landmarks=landmarks,
        standard_landmarks=np.where(np.isnan(standard), 0.0, standard),
        ranking=material.ranking[rows],
        usual=material.usual[rows],
        effects=material.effects[rows][:, used_effects(material.design, parts)],
        therapist=material.therapist[rows],
        therapists=len(material.therapist_ids),
        folds=tuple(fold[rows] for fold in material.folds),
        design=material.design,
        expected=material.expected,
        parts=parts,
        config=config,
    ).learn(given, again)
    found = _head(head, y, parts, scaler, fitted)
    return Learned(found, rows, y, weight, fitted.first, fitted.border, fitted.again)


def _head(head: HeadConfig, y: Floats, parts: FitConfig, scaler: Scaler, fitted: Fitted) -> Head:
    binary, found = head.kind == "binary", fitted.prognosis
    info = HeadInfo(
        name=head.name,
        source=head.source,
        kind=head.kind,
        direction=head.direction or "higher",
        weight=head.weight,
        sd=PROBABILITY_SD if binary else float(y.std()),
        rows=len(y),
        rounds=found.rounds,
        parts=parts,
        landmark=scaler.names,
        share=fitted.share,
        gains=fitted.gains,
        unseen=fitted.unseen,
    )
    facts = (found.trees, found.constant, found.fills, scaler.mean, scaler.sd, fitted.solution)
    return Head(info, *facts, fitted.remainder)


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
