"""Therapists held out: how well the profile alone foretells results with therapists whom the fit has never seen.

Only the coefficients of the profile are asked for, so the fit has a therapist intercept and no slope or strengths.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.baselines import risk_adjusted
from training.binary import sigmoid
from training.config import HeadConfig, TrainConfig
from training.evaluate import Resamples, r2_difference, regression
from training.head import used_effects
from training.learn import Learned, Material, learn_head
from training.split import folds
from training.targets import Target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FIFTHS = 5
FEWEST_HELD_OUT = 5


def therapists_held_out(
    head: HeadConfig, material: Material, goal: Target, config: TrainConfig, learned: Learned
) -> dict[str, Any]:
    """Learns the fit without a fifth of the therapists, and looks at their clients.

    The prognosis is that of `learned`, cross-fitted by client. `slope` is that of results less prognosis on what the
    profile foretells, 1 if it comes true; `r2_gain` what the profile adds to the prognosis.
    """
    therapist = material.therapist[learned.rows]
    fifth = folds(pd.Series(np.arange(len(material.therapist_ids))), FIFTHS, config.seed)
    held = fifth[therapist] == 0
    count = len(np.unique(therapist[held]))
    if count < FEWEST_HELD_OUT:
        return {"therapists": count, "note": f"at least {FEWEST_HELD_OUT} therapists to hold out are needed"}
    parts = config.fit.model_copy(update={"slope": False, "strengths": False})
    found = learn_head(
        head, material, _without(goal, learned.rows[held]), config, parts,
        replace(learned.first, crossed=learned.first.crossed[~held]),
    )  # fmt: skip
    if isinstance(found, str):
        return {"therapists": count, "note": found}
    rows = learned.rows[held]
    fit = _profile(found, material, rows)
    expected = learned.first.crossed[held]
    if learned.head.info.kind == "binary":
        with_profile, expected = sigmoid(expected + fit), sigmoid(expected)
        fit = with_profile - expected
    resamples = Resamples.of(therapist[held], config.bootstraps, config.seed)
    y, weight, rest = learned.target[held], learned.weight[held], risk_adjusted(learned)[held]
    return {
        "therapists": count,
        "rows": len(rows),
        "slope": regression(rest, fit, np.zeros(len(rows)), weight, resamples).as_json(),
        "r2_gain": r2_difference(y, expected + fit, expected, weight, resamples).as_json(),
    }


def _without(goal: Target, rows: Ints) -> Target:
    """The target as if these rows did not belong to anyone it is learned from."""
    value, possible = goal.value.copy(), goal.possible.copy()
    value[rows], possible[rows] = np.nan, False
    return replace(goal, value=value, possible=possible)


def _profile(found: Learned, material: Material, rows: Ints) -> Floats:
    """Fit of each row's pair as the profile foretells it, on the link scale."""
    parts = found.head.info.parts
    ranking = material.ranking[rows] if parts.columns else np.zeros((len(rows), 0))
    effects = material.effects[rows][:, used_effects(material.design, parts)]
    return found.head.mean(ranking, effects, np.full(len(rows), -1))
