"""Figures of the evaluation, computed by hand or by law."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluate import (
    Offered,
    Resamples,
    as_json,
    difference,
    policy_gain,
    r2,
    r2_difference,
    r2_figure,
    rank_validity,
    slope,
)

# three clients: 0 could see three therapists and saw the middle one, 1 two (the better), 2 one only
OFFERED = Offered(np.array([0, 0, 0, 1, 1, 2]), np.array([False, True, False, True, False, True]))
SCORE = np.array([0.1, 0.2, 0.6, 0.5, 0.3, 0.4])


def resamples(therapist: list[int], count: int = 200) -> Resamples:
    return Resamples.of(np.array(therapist), count, 0)


def test_the_percentile_is_the_share_of_the_others_whom_the_assigned_therapist_exceeds():
    assert OFFERED.percentile(SCORE).tolist() == [0.5, 1.0, 0.5]


def test_ties_count_half():
    assert OFFERED.percentile(np.array([0.2, 0.2, 0.6, 0.3, 0.3, 0.4])).tolist() == [0.25, 0.5, 0.5]


def test_means_and_bests_are_those_of_each_clients_own_choice():
    assert OFFERED.means(SCORE) == pytest.approx([0.3, 0.4, 0.4])
    assert OFFERED.best(SCORE) == pytest.approx([0.6, 0.5, 0.4])
    assert OFFERED.of_assigned(SCORE) == pytest.approx([0.2, 0.5, 0.4])


@given(st.lists(st.floats(-3, 3).map(lambda x: round(x, 2)), min_size=6, max_size=6), st.floats(0.5, 4))
def test_percentiles_know_only_the_order(scores: list[float], stretch: float):
    score = np.array(scores)
    assert OFFERED.percentile(score * stretch + 1) == pytest.approx(OFFERED.percentile(score))


def test_r2_is_one_for_the_truth_and_zero_for_the_weighted_mean():
    y, weight = np.array([1.0, 2.0, 6.0]), np.array([1.0, 1.0, 2.0])
    assert r2(y, y, weight) == 1.0
    assert r2(y, np.full(3, 3.75), weight) == pytest.approx(0)
    assert r2(y, np.array([1.0, 2.0, 5.0]), weight) == pytest.approx(1 - 2 / 20.75)


def test_the_difference_in_r2_is_the_difference_of_both():
    rng = np.random.default_rng(0)
    y, weight = rng.normal(size=80), rng.uniform(0.5, 2, 80)
    better, worse = 0.8 * y, 0.2 * y + rng.normal(size=80)
    found = r2_difference(y, better, worse, weight, resamples((np.arange(80) % 8).tolist()))
    assert found.value == pytest.approx(r2(y, better, weight) - r2(y, worse, weight))
    assert 0 < found.low < found.value < found.high


def test_the_same_prediction_twice_differs_by_nothing():
    y = np.arange(10.0)
    found = r2_difference(y, y / 2, y / 2, np.ones(10), resamples([i % 3 for i in range(10)]))
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_resamples_draw_therapists_with_all_their_rows():
    drawn = resamples([5, 5, 9, 9, 9])
    assert (drawn.counts.sum(axis=1) == 2).all()
    sums = drawn.sums(np.array([1.0, 1.0, 10.0, 10.0, 10.0]))
    assert set(sums.tolist()) == {4.0, 32.0, 60.0}  # one twice, both, the other twice


def test_resamples_are_those_of_the_seed():
    first, again, other = (Resamples.of(np.arange(6), 50, seed).counts for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_the_slope_is_that_of_weighted_least_squares_given_the_control():
    rng = np.random.default_rng(1)
    x, control, weight = rng.normal(size=60), rng.normal(size=60), rng.uniform(0.5, 2, 60)
    y = 2 * x - control + rng.normal(size=60)
    design, root = np.column_stack([x, np.ones(60), control]), np.sqrt(weight)
    expected = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0][0]
    found, draws = slope(y, x, control, weight, resamples((np.arange(60) % 10).tolist()))
    assert found.value == pytest.approx(expected)
    assert found.low < 2 < found.high
    assert len(draws) == 200


def test_a_score_that_is_the_same_for_everyone_gains_nothing():
    response = np.array([1.0, -1.0, 0.5])
    found = policy_gain(response, np.zeros(6), OFFERED, np.ones(3), resamples([0, 1, 2]))
    assert found.claimed == 0
    assert (found.gain.value, found.gain.low, found.gain.high) == (0, 0, 0)
    assert rank_validity(response, np.zeros(6), OFFERED, np.ones(3), resamples([0, 1, 2])).value == 0


def choice(clients: int, therapists: int, seed: int) -> tuple[Offered, np.ndarray, np.ndarray]:
    """Clients who could see every therapist and saw one at random; each pair has a true fit."""
    rng = np.random.default_rng(seed)
    seen = rng.integers(0, therapists, clients)
    offered = Offered(np.repeat(np.arange(clients), therapists), (np.arange(therapists) == seen[:, None]).ravel())
    return offered, seen, 0.3 * rng.normal(size=(clients, therapists)).ravel()


def test_a_claim_that_comes_true_is_the_gain():
    offered, seen, fit = choice(3000, 8, 0)
    response = offered.of_assigned(fit) + 0.5 * np.random.default_rng(1).normal(size=3000)
    found = policy_gain(response, fit, offered, np.ones(3000), Resamples.of(seen, 200, 0))
    truth = (offered.best(fit) - offered.means(fit)).mean()
    assert found.claimed == pytest.approx(truth)
    assert found.calibration.low < 1 < found.calibration.high
    assert found.gain.low < truth < found.gain.high


def test_a_claim_twice_too_large_is_cut_to_what_came_true():
    offered, seen, fit = choice(3000, 8, 0)
    response = offered.of_assigned(fit) + 0.5 * np.random.default_rng(1).normal(size=3000)
    honest = policy_gain(response, fit, offered, np.ones(3000), Resamples.of(seen, 200, 0))
    boasting = policy_gain(response, 2 * fit, offered, np.ones(3000), Resamples.of(seen, 200, 0))
    assert boasting.claimed == pytest.approx(2 * honest.claimed)
    assert boasting.gain.value == pytest.approx(honest.gain.value)
    assert difference(boasting, honest, Resamples.of(seen, 200, 0)).value == pytest.approx(0, abs=1e-6)


def test_rank_validity_is_positive_for_scores_that_come_true_and_needs_no_scale():
    offered, seen, fit = choice(3000, 8, 2)
    response = offered.of_assigned(fit) + 0.5 * np.random.default_rng(1).normal(size=3000)
    drawn = Resamples.of(seen, 200, 0)
    found = rank_validity(response, fit, offered, np.ones(3000), drawn)
    assert found.low > 0
    assert rank_validity(response, 5 * fit, offered, np.ones(3000), drawn).value == pytest.approx(found.value, rel=1e-3)


def test_scores_of_noise_have_intervals_that_hold_zero_as_often_as_they_say():
    inside = []
    for seed in range(100):
        offered, seen, noise = choice(400, 20, seed)
        response = np.random.default_rng([seed, 1]).normal(size=400)
        gain = policy_gain(response, noise, offered, np.ones(400), Resamples.of(seen, 200, 0)).gain
        inside.append(gain.low < 0 < gain.high)
    assert 0.86 <= np.mean(inside) <= 0.99  # resampling 20 therapists is a little short of 95 %


def test_clients_without_a_result_count_for_the_claim_and_not_for_what_came_true():
    response = np.array([1.0, np.nan, 0.5])
    found = policy_gain(response, SCORE, OFFERED, np.ones(3), resamples([0, 1, 2]))
    assert found.claimed == pytest.approx((0.3 + 0.1 + 0.0) / 3)
    assert np.isfinite(found.gain.value)


def test_figures_become_plain_numbers():
    found = r2_difference(np.arange(4.0), np.arange(4.0), np.zeros(4), np.ones(4), resamples([0, 1, 0, 1]))
    assert as_json({"r2": found})["r2"].keys() == {"value", "low", "high"}


def test_an_r2_has_an_interval_that_narrows_with_the_rows() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for rows in (200, 3200):
        signal = rng.normal(size=rows)
        y = signal + rng.normal(size=rows)
        figure = r2_figure(y, signal, np.ones(rows), Resamples.of(np.arange(rows) % 40, 400, 0))
        assert figure.low < 0.5 < figure.high
        assert figure.value == pytest.approx(r2(y, signal, np.ones(rows)))
        widths.append(figure.high - figure.low)
    assert widths[1] < widths[0] / 2
