"""Off-policy values of synthetic clinics against their truth."""

from pathlib import Path

import pandas as pd
import pytest

from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm
from experiments.off_policy import ESTIMATORS, _plans, figure, learn_and_log, measure, run, summary, table

TEST = 600


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return pd.DataFrame([measure(plan, TEST) for plan in _plans("base", 2, TEST)])


def test_policies_are_fixed_before_the_block_they_are_valued_on() -> None:
    dataset, _ = simulate(next(_plans("base", 1, TEST)))
    made, reward, sd, block = learn_and_log(dataset, 0, TEST)
    assert len(block) == TEST
    assert 0.9 * TEST < len(made.rows) <= TEST
    assert sd > 0
    assert len(reward.expected) == len(made.assigned)


def test_estimated_propensities_come_nearer_to_the_true_ones_than_an_even_chance(rows: pd.DataFrame) -> None:
    assert (rows["propensity_rank_correlation"] > 0.4).all()
    assert (rows["propensity_mean_error"] < rows["propensity_mean_error_even"]).all()
    assert rows["propensity_calibration_slope"].between(0.7, 1.3).all()
    assert (rows["propensity_share_clipped"] < 0.05).all()


def test_the_true_gain_of_next_available_is_none_and_that_of_the_first_choice_the_most(rows: pd.DataFrame) -> None:
    assert (rows["next_available_gain_true"] == 0).all()
    assert (rows["argmax_gain_true"] > 0).all()
    assert rows["argmax_gain_true"].mean() > rows["top_tenth_gain_true"].mean()


def test_a_doubly_robust_value_lies_about_as_near_as_it_says(rows: pd.DataFrame) -> None:
    assert (rows["top_tenth_dr_error"].abs() < 2.5 * rows["top_tenth_dr_half"]).all()
    assert (rows["next_available_dr_error"].abs() < 2.5 * rows["next_available_dr_half"]).all()


def test_coverage_has_a_binomial_interval_and_every_row_is_shown(rows: pd.DataFrame, tmp_path: Path) -> None:
    found = summary(rows)
    one = found["policies"]["top_tenth"]["dr"]
    assert one["coverage_low"] <= one["coverage"] <= one["coverage_high"]
    result = {"synthetic": True, "level": 0.9, "seeds": 2, "test_episodes": TEST, "arms": {"base": found}}
    assert table(result).row_count == 4 * len(ESTIMATORS)
    assert "SYNTHETIC" in str(table(result).title)
    assert figure(result, tmp_path / "off_policy.png").stat().st_size > 0


@pytest.mark.prove
@pytest.mark.parametrize("arm", ["base", "confounded"])
def test_nine_in_ten_intervals_hold_the_true_value_and_are_narrow_enough(arm: Arm) -> None:
    found = run(seeds=200, arms=(arm,))["arms"][arm]["policies"]["top_tenth"]["dr"]
    assert 0.85 <= found["coverage"] <= 0.96
    assert found["half_width"] <= 0.15
