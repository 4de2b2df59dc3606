"""Coverage against the truth of synthetic clinics."""

import json

import pytest

from data.synthetic.plan import Plan
from experiments.coverage import measure, run, table


def test_conformal_intervals_hold_results_with_the_therapist_seen_and_with_the_one_put_first() -> None:
    found = measure(Plan(episodes=3000, therapists=50, seed=1))
    assert found["clients"] > 200
    for who in ("seen", "put_first"):
        assert found[f"outcome_80_{who}"] == pytest.approx(0.80, abs=0.07)
        assert found[f"outcome_95_{who}"] == pytest.approx(0.95, abs=0.04)
        assert 0.3 < found[f"retention_80_{who}"] < found[f"retention_95_{who}"] <= 1


def test_arms_are_summed_up_over_seeds_with_intervals_and_said_to_be_synthetic() -> None:
    found = run(episodes=1500, therapists=40, seeds=2, arms=("base",))
    assert found["synthetic"]
    row = found["arms"]["base"]
    figure = row["figures"]["outcome_80_seen"]
    assert figure["low"] <= figure["value"] <= figure["high"]
    assert set(row["within_2_points"]) == {f"outcome_{n}_{who}" for n in (80, 95) for who in ("seen", "put_first")}
    assert json.dumps(found, allow_nan=False)
    assert "SYNTHETIC" in str(table(found).title)
