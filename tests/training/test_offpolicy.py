"""Values of a policy read from the log of another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import DataError
from training.offpolicy import (
    LEAST_SHARE,
    doubly_robust,
    effective_size,
    even,
    first,
    inverse_propensity,
    self_normalised,
    top_share,
    weights,
)

ARM = np.array([0, 1, 0, 1])
REWARD = np.array([1.0, 0.0, 1.0, 1.0])
LOGGED = np.full(4, 0.5)
TWO = np.repeat([0, 1], [4, 2])
"""Two clients: one with four therapists to choose from, one with two."""


def test_the_policy_that_logged_is_worth_its_mean_reward() -> None:
    weight = weights(LOGGED, LOGGED)
    for value in (inverse_propensity(REWARD, weight), self_normalised(REWARD, weight)):
        assert value.value == pytest.approx(0.75)
        assert value.effective == pytest.approx(4)


def test_always_choosing_an_arm_is_worth_what_that_arm_brought() -> None:
    weight = weights((ARM == 1).astype(float), LOGGED)
    assert inverse_propensity(REWARD, weight).value == pytest.approx(0.5)
    assert self_normalised(REWARD, weight).value == pytest.approx(0.5)


@given(st.integers(0, 10_000))
def test_a_right_model_makes_the_doubly_robust_value_exact_whatever_the_propensities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arm, mean = rng.integers(0, 3, 50), np.array([0.1, 0.5, 0.9])
    policy = rng.dirichlet(np.ones(3))
    wrong = weights(policy[arm], rng.uniform(0.05, 1.0, 50))
    found = doubly_robust(mean[arm], wrong, mean[arm], np.full(50, policy @ mean))
    assert found.value == pytest.approx(policy @ mean)


def test_estimators_hold_the_true_value_in_their_intervals_about_as_often_as_they_say() -> None:
    rng, mean = np.random.default_rng(0), np.array([0.2, 0.4, 0.6, 0.8])
    logging, policy = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
    held = {"ips": 0, "snips": 0, "dr": 0}
    for _ in range(300):
        arm = rng.choice(4, 500, p=logging)
        reward = (rng.random(500) < mean[arm]).astype(float)
        weight = weights(policy[arm], logging[arm])
        rough = np.full(4, 0.5)
        found = {
            "ips": inverse_propensity(reward, weight, 0.9),
            "snips": self_normalised(reward, weight, 0.9),
            "dr": doubly_robust(reward, weight, rough[arm], np.full(500, policy @ rough), 0.9),
        }
        for name, value in found.items():
            held[name] += value.low < policy @ mean < value.high
    assert all(0.85 < count / 300 < 0.95 for count in held.values()), held


def test_clients_of_one_therapist_count_together() -> None:
    reward, weight = np.repeat([0.0, 1.0], 50), np.ones(100)
    alone = inverse_propensity(reward, weight)
    together = inverse_propensity(reward, weight, cluster=np.repeat(np.arange(10), 10))
    assert together.value == alone.value
    assert together.se > 2 * alone.se


def test_a_log_that_says_little_is_warned_of_and_one_that_says_nothing_is_not_estimable() -> None:
    weight = np.ones(4000)
    weight[:2] = 400.0
    few = inverse_propensity(np.ones(4000), weight)
    assert not few.estimable
    assert "not estimable" in few.warning
    weight[:2] = 150.0
    some = inverse_propensity(np.ones(4000), weight)
    assert some.estimable
    assert some.effective < LEAST_SHARE * 10_000
    even = inverse_propensity(np.ones(4000), np.ones(4000))
    assert even.warning == ""


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30))
def test_an_effective_size_lies_between_one_and_the_rows(values: list[float]) -> None:
    assert 1 - 1e-9 <= effective_size(np.array(values)) <= len(values) + 1e-9


def test_probabilities_that_are_none_are_refused_all_at_once() -> None:
    with pytest.raises(DataError) as refused:
        weights(np.array([0.5, 1.5]), np.array([0.0, 0.5]))
    assert len(refused.value.problems) == 2
    assert "above 0" in str(refused.value)


def test_the_first_choice_is_the_highest_score_and_ties_share_it() -> None:
    assert first(np.array([1.0, 3.0, 2.0, 0.0, 5.0, 5.0]), TWO).tolist() == [0, 1, 0, 0, 0.5, 0.5]


def test_the_top_tenth_of_twenty_is_two_and_of_two_is_one() -> None:
    position = np.repeat([0, 1], [20, 2])
    found = top_share(np.arange(22.0), position)
    assert found[position == 0].tolist() == [0.0] * 18 + [0.5, 0.5]
    assert found[position == 1].tolist() == [0.0, 1.0]


def test_those_who_tie_at_the_edge_of_the_top_share_what_is_left() -> None:
    score = np.array([9.0, 7.0, 7.0, 7.0, 1.0, 0.0])
    assert top_share(score, np.zeros(6, int), 1 / 3) == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6, 0, 0])


@given(st.lists(st.integers(1, 25), min_size=1, max_size=8), st.integers(0, 10_000))
def test_every_policy_spends_one_whole_chance_on_each_client(sizes: list[int], seed: int) -> None:
    position = np.repeat(np.arange(len(sizes)), sizes)
    score = np.random.default_rng(seed).integers(0, 4, len(position)).astype(float)
    for policy in (even(position), first(score, position), top_share(score, position)):
        assert np.bincount(position, policy) == pytest.approx(np.ones(len(sizes)))
        assert (policy >= 0).all()


def test_only_the_errors_of_one_therapists_clients_count_together_in_the_doubly_robust_value() -> None:
    rng = np.random.default_rng(1)
    therapist = np.repeat(np.arange(10), 20)
    expected = np.repeat(rng.normal(size=10), 20)  # the severe all see the same few
    reward, ones = expected + rng.normal(scale=0.1, size=200), np.ones(200)
    right = doubly_robust(reward, ones, expected, expected, cluster=therapist)
    wrong = doubly_robust(reward, ones, np.zeros(200), np.zeros(200), cluster=therapist)
    assert right.value == pytest.approx(wrong.value)
    assert wrong.se > 3 * right.se


def test_a_single_therapist_leaves_the_error_open() -> None:
    assert inverse_propensity(REWARD, np.ones(4), cluster=np.zeros(4)).se == float("inf")
