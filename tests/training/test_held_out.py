"""Therapists held out: the profile foretells what was planted in it, and nothing where nothing was."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from training.config import DEFAULT_HEADS, FitConfig, TrainConfig
from training.held_out import therapists_held_out
from training.learn import Learned
from training.run import Trained
from training.targets import Target

CONFIG = TrainConfig(bootstraps=100)


def planted(trained: Trained, result: np.ndarray) -> tuple[Learned, Target]:
    """The shared run with other results: a row's prognosis plus `result`."""
    learned = trained.learned["outcome"]
    learned = replace(learned, target=learned.first.crossed + result)
    value = np.full(len(trained.material.episodes), np.nan)
    value[learned.rows] = learned.target
    none = pd.DataFrame(index=trained.material.episodes.index)
    return learned, Target("outcome", value, ~np.isnan(value), np.zeros(len(value), bool), none)


def profile(trained: Trained, name: str) -> np.ndarray:
    """A standardised therapist column of each row learned from."""
    design, rows = trained.material.design, trained.learned["outcome"].rows
    values = design.therapist(trained.material.blocks["therapist"])[rows]
    return np.asarray(values[:, design.therapist.names.index(name)])


def test_what_the_profile_foretells_comes_true_with_therapists_never_seen(trained: Trained) -> None:
    skill = profile(trained, "interpersonal_skill")
    noise = np.random.default_rng(0).normal(size=len(skill))
    learned, goal = planted(trained, 0.8 * skill + 0.5 * noise)
    found = therapists_held_out(DEFAULT_HEADS[0], trained.material, goal, CONFIG, learned)
    assert 5 <= found["therapists"] <= 8  # a fifth of 40, less those without results
    assert found["slope"]["value"] == pytest.approx(1, abs=0.25)
    assert found["r2_gain"]["low"] > 0


def test_a_therapists_own_way_that_no_profile_shows_is_not_foretold(trained: Trained) -> None:
    material, rows = trained.material, trained.learned["outcome"].rows
    rng = np.random.default_rng(1)
    own = rng.normal(size=len(material.therapist_ids))[material.therapist[rows]]
    learned, goal = planted(trained, 0.8 * own + 0.5 * rng.normal(size=len(rows)))
    found = therapists_held_out(DEFAULT_HEADS[0], material, goal, CONFIG, learned)
    assert found["r2_gain"]["low"] < 0.1
    assert found["slope"]["low"] < 0.5


def test_without_columns_the_profile_says_nothing_and_with_few_therapists_nothing_is_said(trained: Trained) -> None:
    learned, goal = planted(trained, profile(trained, "interpersonal_skill"))
    bare = CONFIG.model_copy(update={"fit": FitConfig(columns=False)})
    found = therapists_held_out(DEFAULT_HEADS[0], trained.material, goal, bare, learned)
    assert found["r2_gain"]["value"] == 0
    few = replace(trained.material, therapist_ids=trained.material.therapist_ids[:6])
    kept = trained.material.therapist[learned.rows] < 6
    some = replace(
        learned,
        rows=learned.rows[kept],
        target=learned.target[kept],
        weight=learned.weight[kept],
        first=replace(learned.first, crossed=learned.first.crossed[kept]),
    )
    assert "at least 5 therapists" in therapists_held_out(DEFAULT_HEADS[0], few, goal, CONFIG, some)["note"]


def test_the_run_says_it_of_every_head_that_ranks(trained: Trained) -> None:
    heads = trained.bundle.manifest.evaluation["heads"]
    assert "slope" in heads["outcome"]["therapists_held_out"]
    assert "therapists_held_out" not in heads["early_dropout"]
