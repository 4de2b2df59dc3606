"""The smallest gain that data of this size could tell from none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.offpolicy import inverse_propensity
from training.power import LEVEL, POWER, power_of, smallest_gain


def test_with_many_therapists_it_is_two_point_eight_standard_errors() -> None:
    assert smallest_gain(0.1, 100_000) == pytest.approx(0.28, abs=0.001)


@given(st.floats(0.001, 1.0), st.integers(2, 500))
def test_it_grows_with_the_error_and_shrinks_with_therapists(se: float, groups: int) -> None:
    assert smallest_gain(2 * se, groups) == pytest.approx(2 * smallest_gain(se, groups))
    assert smallest_gain(se, groups + 1) < smallest_gain(se, groups)


def test_a_gain_of_that_size_is_found_four_times_in_five_and_none_once_in_twenty() -> None:
    """60 therapists of 10 clients each, who differ."""
    rng, groups, each, rounds = np.random.default_rng(0), 60, 10, 800
    therapist = np.repeat(np.arange(groups), each)
    true_se = np.sqrt(0.25 / groups + 1 / (groups * each))
    smallest = smallest_gain(float(true_se), groups)
    found = {0.0: 0, smallest: 0}
    for gain in found:
        for _ in range(rounds):
            reward = gain + 0.5 * rng.normal(size=groups)[therapist] + rng.normal(size=groups * each)
            value = inverse_propensity(reward, np.ones(groups * each), 1 - LEVEL, therapist)
            found[gain] += value.low > 0 or value.high < 0
    assert found[smallest] / rounds == pytest.approx(POWER, abs=0.05)
    assert found[0.0] / rounds == pytest.approx(LEVEL, abs=0.025)


def test_the_line_says_gain_and_clients_needed_in_words() -> None:
    found = power_of(0.05, 2000, 131)
    assert found.needed == round(2000 * (found.smallest / 0.05) ** 2)
    assert "2,000 later clients of 131 therapists" in found.words
    assert f"{found.smallest:.2f} SD" in found.words
    assert found.as_json()["words"] == found.words
