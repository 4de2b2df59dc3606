"""The figures that real data must give, as the experiments print them."""

from pathlib import Path

import numpy as np
import pytest

from experiments import counsel_chat, obd_small, schizophrenia_trials
from experiments.counsel_chat import correct, interval, therapist_average, unequal_pairs


def test_psychiatrists_account_for_their_published_share_and_help_to_predict_week_8(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schizophrenia_trials, "SEEDS", range(2))
    found = schizophrenia_trials.run(real_data)
    assert found["icc_endpoint"] == pytest.approx(0.133, abs=0.01)
    assert found["r2_week8"] >= 0.295
    assert found["r2_week8_without_therapist"] == pytest.approx(0.256, abs=0.01)
    assert found["r2_week8_unseen_difference"] >= -0.005


def test_answers_are_ordered_no_worse_than_by_a_therapist_average_on_the_same_folds(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counsel_chat, "SEEDS", range(2))
    found = counsel_chat.run(real_data)
    assert found["pairs"] == 2520
    assert found["pairwise_therapist_average"] == pytest.approx(0.73, abs=0.02)
    assert found["pairwise"] > found["pairwise_therapist_average"] - 0.01
    assert found["gain_claimed"] == (found["gain_low"] > 0 and found["gain_over_best_average_low"] > 0)
    assert not found["gain_claimed"]
    # What the model has over five cases of shrinkage, a lightly shrunken average has too: it is no insight.
    assert found["pairwise"] < max(found["by_shrinkage"].values()) + 0.01


@pytest.mark.prove
def test_twenty_splits_give_the_published_therapist_average(real_data: Path) -> None:
    found = counsel_chat.run(real_data)
    assert found["pairwise_therapist_average"] == pytest.approx(0.73, abs=0.01)


def test_pairs_are_of_one_question_and_differ() -> None:
    first, second = unequal_pairs(np.array([0, 0, 0, 1, 1]), np.array([1.0, 2.0, 1.0, 3.0, 3.0]))
    assert {tuple(sorted(pair)) for pair in zip(first.tolist(), second.tolist(), strict=True)} == {(0, 1), (1, 2)}


def test_tied_scores_count_half() -> None:
    score, y = np.array([1.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.5])
    said = correct(score, y, np.array([0, 0, 1]), np.array([1, 2, 2]))
    assert said.tolist() == [0.5, 1.0, 0.0]


def test_a_therapist_average_never_reads_the_fold_it_predicts() -> None:
    y, therapist, fold = np.array([4.0, 0.0, 2.0, 2.0]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    changed = np.where(fold == 0, 9.0, y)
    before, after = therapist_average(y, therapist, fold), therapist_average(changed, therapist, fold)
    assert before[fold == 0].tolist() == after[fold == 0].tolist()
    assert before[fold == 1].tolist() != after[fold == 1].tolist()


def test_an_interval_over_questions_brackets_the_mean() -> None:
    difference = np.tile([1.0, -1.0, 0.0, 1.0], 50)
    low, high = interval(difference, np.arange(200) // 2)
    assert low < difference.mean() < high
    assert interval(np.ones(10), np.arange(10)) == (1.0, 1.0)


def test_off_policy_values_are_the_published_ones_and_the_thin_direction_is_warned_of(real_data: Path) -> None:
    found = obd_small.run(real_data)
    assert found["relative_value"] == pytest.approx(1.198126, abs=1e-6)
    forward, reverse = found["random_to_bts"], found["bts_to_random"]
    assert (forward["ips"], forward["snips"]) == pytest.approx((0.004553, 0.004776), abs=1e-6)
    assert (reverse["ips"], reverse["snips"]) == pytest.approx((0.00236, 0.002334), abs=1e-6)
    assert (round(forward["ess"]), round(reverse["ess"])) == (1640, 340)
    assert forward["warning"] == ""
    assert "340 of its 10000 rows" in reverse["warning"]
    shown = [list(column.cells) for column in obd_small.table(found).columns]
    assert [column[-1] for column in shown] == ["warning", "none", reverse["warning"]]
