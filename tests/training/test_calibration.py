"""Calibration and dose-response on data with obvious answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.calibration import FEWEST_IN_CELL, calibration, dose_response
from training.evaluate import Offered, Resamples


def drawn(rows: int, therapists: int = 50) -> Resamples:
    return Resamples.of(np.arange(rows) % therapists, 200, 0)


def test_predictions_that_come_true_have_slope_one_intercept_zero_and_no_bias() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.normal(1, 0.5, 4000)
    found = calibration(predicted + rng.normal(size=4000), predicted, np.ones(4000), 1.0, drawn(4000))
    assert found["slope"]["low"] < 1 < found["slope"]["high"]
    assert found["intercept"]["low"] < 0 < found["intercept"]["high"]
    assert found["bias"]["low"] < 0 < found["bias"]["high"]
    assert len(found["deciles"]) == 10
    assert sum(row["n"] for row in found["deciles"]) == 4000
    near = [abs(row["observed"]["value"] - row["predicted"]) < 0.25 for row in found["deciles"]]
    assert all(near)


@given(st.floats(0.25, 4), st.floats(-2, 2))
def test_predictions_stretched_and_shifted_are_found_out(stretch: float, shift: float) -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=300)
    found = calibration(truth, (truth - shift) / stretch, np.ones(300), 2.0, drawn(300))
    assert found["slope"]["value"] == pytest.approx(stretch, rel=1e-6)
    assert found["intercept"]["value"] == pytest.approx(shift, abs=1e-6)
    assert found["bias"]["value"] == pytest.approx((truth - (truth - shift) / stretch).mean() / 2)


def test_predictions_that_are_all_equal_have_a_bias_and_no_slope() -> None:
    found = calibration(np.arange(20.0), np.full(20, 9.5), np.ones(20), 1.0, drawn(20, 5))
    assert found["slope"] is None
    assert found["intercept"] is None
    assert found["bias"]["value"] == 0
    assert [row["n"] for row in found["deciles"]] == [20]


def test_weights_count_rows_as_often_as_they_say() -> None:
    y, predicted = np.array([0.0, 1.0, 2.0, 4.0] * 5), np.array([0.0, 1.0, 2.0, 3.0] * 5)
    weight = np.array([1.0, 1.0, 1.0, 3.0] * 5)
    twice = np.repeat(np.arange(20), weight.astype(int))
    found = calibration(y, predicted, weight, 1.0, drawn(20, 20))
    beside = calibration(y[twice], predicted[twice], np.ones(len(twice)), 1.0, drawn(len(twice), 20))
    assert found["slope"]["value"] == pytest.approx(beside["slope"]["value"])
    assert found["bias"]["value"] == pytest.approx(beside["bias"]["value"])


def test_with_few_therapists_the_slope_has_the_wider_errors_of_cr2() -> None:
    rng = np.random.default_rng(2)
    therapist = np.repeat(np.arange(8), 40)
    predicted = rng.normal(size=8)[therapist] + 0.2 * rng.normal(size=320)
    y = predicted + 0.5 * rng.normal(size=8)[therapist] + rng.normal(size=320)
    few = calibration(y, predicted, np.ones(320), 1.0, Resamples.of(therapist, 200, 0))["slope"]
    many = calibration(y, predicted, np.ones(320), 1.0, Resamples.of(np.arange(320), 200, 0))["slope"]
    assert few["value"] == pytest.approx(many["value"])
    assert few["high"] - few["low"] > 1.5 * (many["high"] - many["low"])


def choice(clients: int, seed: int) -> tuple[Offered, np.ndarray, np.ndarray]:
    """Clients who could see eleven therapists and saw one at random: pairs, their fit, and the fit of those seen."""
    rng = np.random.default_rng(seed)
    fit = rng.normal(size=(clients, 11))
    seen = rng.integers(0, 11, clients)
    offered = Offered(np.repeat(np.arange(clients), 11), (np.arange(11) == seen[:, None]).ravel())
    return offered, fit.ravel(), fit[np.arange(clients), seen]


def test_results_rise_with_the_rank_where_the_ranking_is_right_and_do_not_where_it_is_noise() -> None:
    offered, fit, own = choice(2200, 0)
    drawn_ = Resamples.of(np.arange(2200) % 50, 100, 0)
    right = [row["mean"]["value"] for row in dose_response(own, fit, offered, np.ones(2200), drawn_)]
    assert len(right) == 10
    assert (np.diff(right) > 0).all()
    noise = np.random.default_rng(1).normal(size=len(fit))
    wrong = dose_response(own, noise, offered, np.ones(2200), drawn_)
    assert sum(row["mean"]["low"] < 0 < row["mean"]["high"] for row in wrong) >= 8


def test_tenths_with_fewer_than_ten_results_are_not_shown_and_missing_results_do_not_count() -> None:
    offered, fit, own = choice(300, 2)
    percentile = offered.percentile(fit)
    response = np.where(percentile < 0.1, np.nan, own)
    kept = np.flatnonzero(percentile < 0.1)[: FEWEST_IN_CELL - 1]
    response[kept] = own[kept]
    rows = dose_response(response, fit, offered, np.ones(300), Resamples.of(np.arange(300) % 50, 50, 0))
    assert [row["from"] for row in rows] == [i / 10 for i in range(1, 10)]
    assert sum(row["n"] for row in rows) == int((percentile >= 0.1).sum())
