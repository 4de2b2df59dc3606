"""How dropout is handled, against the truth of synthetic clinics."""

import json
from pathlib import Path

import pytest

from data.synthetic.plan import Plan
from experiments.informative_dropout import FIGURES, HANDLINGS, measure, picture, run, table


def test_what_is_expected_of_those_who_left_brings_the_mean_outcome_nearer_to_the_truth() -> None:
    found = measure(Plan(arm="informative-dropout", episodes=4000, therapists=60, seed=1))
    assert found["last_off"] < -0.01  # who leaves early leaves before the change is complete
    assert abs(found["expected_off"]) < abs(found["last_off"])
    for handling in HANDLINGS:
        assert found[f"{handling}_rank"] > 0.3
        assert found[f"{handling}_spread"] * found[f"{handling}_calibration"] == pytest.approx(
            found[f"{handling}_rank"] ** 2
        )


def test_arms_are_summed_up_over_seeds_with_intervals_and_said_to_be_synthetic(tmp_path: Path) -> None:
    found = run(episodes=1500, therapists=40, seeds=2, arms=("informative-dropout",))
    assert found["synthetic"]
    entries = found["arms"]["informative-dropout"]
    assert set(entries) == set(HANDLINGS)
    for name in FIGURES:
        assert (
            entries["expected"][name]["low"] <= entries["expected"][name]["value"] <= entries["expected"][name]["high"]
        )
    assert entries["last"]["more_than_last_d_full"]["value"] == 0
    assert json.dumps(found, allow_nan=False)
    assert "SYNTHETIC" in str(table(found).title)
    assert picture(found, tmp_path / "dropout.png").stat().st_size > 1000
