"""Variance between therapists of binary heads, against the truth of synthetic clinics."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from experiments.binary_heads import HEADS, METHODS, measure, picture, short_courses, summary, table, true_chance


def test_true_and_estimated_variances_are_of_one_size() -> None:
    found = measure(Plan(episodes=3000, therapists=50, seed=1))
    for head in HEADS:
        for method in METHODS:
            own, columns, whole = (found[f"{head.name}_{method}_{name}"] for name in ("own", "columns", "whole"))
            assert own >= 0
            assert columns >= 0
            assert whole == pytest.approx(own + columns)
            assert 0.2 < whole / found[f"{head.name}_true"] < 3
        assert found[f"{head.name}_laplace_own"] > found[f"{head.name}_quasi_likelihood_own"]


def test_the_true_chances_are_those_that_the_clinic_shows() -> None:
    dataset, truth = simulate(Plan(episodes=6000, therapists=60, seed=2))
    episodes = dataset["episodes"]
    over = episodes[episodes["ending"].isin(["planned", "dropout"])]
    rows = pd.Index(truth.episode_ids).get_indexer(over["episode_id"])
    seen = truth.therapist[rows]
    stayed = true_chance(truth, "retention", (0.5, 0.2), rows, seen).mean()
    assert stayed == pytest.approx((over["ending"] == "planned").mean(), abs=0.02)
    short = short_courses(over)
    censored = episodes["ending"].isin(["transferred", "stepped_up", "service_ended", "other"])
    known = (episodes["ending"].isin(["planned", "dropout"]) | censored) & episodes["started_on"].notna()
    known &= ~(censored & (episodes["sessions_attended"] < 3))
    late = ~((episodes["ending"] == "dropout") & (episodes["sessions_attended"] < 3))[known]
    rows = pd.Index(truth.episode_ids).get_indexer(episodes["episode_id"][known])
    chance = true_chance(truth, "early_dropout", short, rows, truth.therapist[rows])
    assert chance.mean() == pytest.approx(late.mean(), abs=0.02)


def test_a_head_is_said_to_be_near_if_the_mean_lies_within_15_percent(tmp_path: Path) -> None:
    rows = []
    for scale in (0.9, 1.0, 1.1):
        row = {f"{head.name}_true": 0.3 for head in HEADS}
        for method, off in (("laplace", 1.0), ("quasi_likelihood", 0.8)):
            row |= {f"{head.name}_{method}_own": 0.25 * scale * off for head in HEADS}
            row |= {f"{head.name}_{method}_columns": 0.05 * off for head in HEADS}
            row |= {f"{head.name}_{method}_whole": (0.25 * scale + 0.05) * off for head in HEADS}
        rows.append(row)
    heads = summary(pd.DataFrame(rows))
    for head in HEADS:
        assert heads[head.name]["laplace"]["of_true"]["value"] == pytest.approx(1.0)
        assert heads[head.name]["quasi_likelihood"]["of_true"]["value"] == pytest.approx(0.8)
        assert heads[head.name]["within_15_percent"] is True
    off = summary(pd.DataFrame(rows).assign(retention_laplace_whole=0.2))
    assert off["retention"]["within_15_percent"] is False
    size = {"episodes": 10, "therapists": 5, "seeds": 3, "arm": "base"}
    result = {"synthetic": True, **size, "heads": heads}
    assert json.dumps(result, allow_nan=False)
    assert "SYNTHETIC" in str(table(result).title)
    assert table(result).row_count == len(HEADS) * len(METHODS)
    assert np.frombuffer(picture(result, tmp_path / "heads.png").read_bytes()[:4], "S4")[0] == b"\x89PNG"
