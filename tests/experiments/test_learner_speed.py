"""How fast the learner is: what is measured adds up, and watching changes nothing."""

import lightgbm
import numpy as np
import pytest

from experiments.learner_speed import beside_mixedlm, drawn, mixed_fit, slope, structure
from experiments.stopwatch import BOOSTING, PEERS, PROGNOSIS, REST, Stopwatch, stopwatch
from training import trial


def test_linear_time_has_slope_one():
    found = [{"rows": n, "cpu": 3e-6 * n} for n in (1_000, 5_000, 20_000)]
    assert slope(found, "rows") == pytest.approx({"all": 1.0, "largest": 1.0})


def test_made_up_rows_are_as_wide_as_the_structure_says():
    x, z, y, therapist = next(drawn(300, 7))
    assert x.shape == (300, structure().border)
    assert z.shape == (300, structure().width)
    assert len(y) == len(therapist) == 300


def test_the_mixed_fit_is_timed_with_its_sums():
    found = mixed_fit((2_000, 20))
    assert found["cpu"] == pytest.approx(found["sums_cpu"] + found["fit_cpu"])
    assert found["peak_mb"] >= found["peak_mb_before"]


def test_both_fits_of_the_same_model_end_at_the_same_criterion():
    assert beside_mixedlm((600, 20))["worst_criterion_gap"] < 1e-3


def test_stages_within_a_stage_count_for_themselves_and_those_of_peers_for_peers():
    watch = Stopwatch()
    with watch.stage(PEERS):
        watch.timed(sum, PROGNOSIS)(np.arange(10_000).tolist())
    assert watch.cpu[PROGNOSIS] == 0
    with watch.stage(PROGNOSIS):
        watch.boosting(sum)(range(200_000))
    assert watch.wall[BOOSTING] > 0


def test_what_was_watched_is_left_as_it_was():
    before = lightgbm.cv, trial.gather
    with stopwatch() as watch:
        assert (lightgbm.cv, trial.gather) != before
    assert (lightgbm.cv, trial.gather) == before
    assert watch.wall[REST] > 0
