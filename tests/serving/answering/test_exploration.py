"""Signed exploration: who may be shuffled, with what chance, and what never changes."""

import datetime as dt
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.answering.exploration import Draw, explore, near
from serving.answering.matcher import Matcher, question
from serving.answering.recommend import Answered, Ids, answer
from serving.answering.safety import Assessment
from serving.schemas import RecommendationRequest
from training.first import First, first
from training.head import PairPosterior
from training.ranking import WORTH, Weighing

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
ONE_HEAD = Weighing(("outcome",), np.array([1.0]), np.array([1.0]), np.eye(1))
SHARE = 0.10

seeds, shares = st.integers(0, 2**63 - 1), st.floats(0.001, 0.10)


def drawn(seed: int, n: int, k: int, scale: float) -> tuple[First, np.ndarray]:
    """The first k of n made-up therapists, and their whole days of waiting."""
    rng = np.random.default_rng(seed)
    fit = PairPosterior(scale * rng.normal(size=n), np.zeros((n, 1)), np.full(n, 1e-4))
    days = rng.choice([1.0, 2.0, np.nan], n)
    return first({"outcome": fit}, ONE_HEAD, days, k), days


@given(seeds, st.integers(1, 40), st.integers(1, 12), st.sampled_from([0.001, 0.05, 1.0]), shares)
@settings(max_examples=200)
def test_chances_of_standing_first_sum_to_1_and_the_first_keeps_nearly_all(
    seed: int, n: int, k: int, scale: float, share: float
) -> None:
    found, days = drawn(seed % 1000, n, k, scale)
    explored = explore(found.order, near(found, days), Draw(seed, share))
    assert explored.propensity.sum() == pytest.approx(1)
    others = np.sort(explored.propensity)[:-1]
    assert others == pytest.approx(share / len(explored.near))
    assert explored.propensity.max() == pytest.approx(1 - share + share / len(explored.near))
    assert explored.near[explored.propensity.argmax()] == found.order[0]


@given(seeds, st.integers(1, 40), st.integers(1, 12), st.sampled_from([0.001, 0.05, 1.0]))
@settings(max_examples=200)
def test_nobody_moves_who_lies_further_than_a_twentieth_of_an_sd_from_the_first(
    seed: int, n: int, k: int, scale: float
) -> None:
    found, days = drawn(seed % 1000, n, k, scale)
    explored = explore(found.order, near(found, days), Draw(seed, 1.0))
    top = found.order[0]
    assert np.all(np.abs(found.net[top] - found.net[explored.near]) <= WORTH)
    assert len(set(explored.order.tolist())) == len(found.order)
    for before, after in zip(found.order, explored.order, strict=True):
        assert before == after or {before, after} <= set(explored.near.tolist())


@given(seeds, st.integers(2, 40))
def test_without_a_meaningful_difference_nobody_is_moved_to_a_later_day(seed: int, n: int) -> None:
    found, days = drawn(seed % 1000, n, 5, 0.001)
    assert found.by_wait
    explored = explore(found.order, near(found, days), Draw(seed, 1.0))
    same = days[explored.near] == days[found.order[0]]
    assert np.all(same | (np.isnan(days[explored.near]) & np.isnan(days[found.order[0]])))


@given(seeds, shares)
def test_the_same_seed_gives_the_same_order(seed: int, share: float) -> None:
    found, days = drawn(3, 30, 10, 0.05)
    alike = near(found, days)
    once, again = (explore(found.order, alike, Draw(seed, share)) for _ in range(2))
    assert once.order.tolist() == again.order.tolist()


def test_over_many_seeds_each_stands_first_as_often_as_the_chance_says() -> None:
    order = np.array([4, 2, 7, 1])
    alike = np.array([4, 2, 9])  # the ninth stands further down than the list goes
    counts: Counter[int] = Counter()
    for seed in range(20_000):
        explored = explore(order, alike, Draw(seed, SHARE))
        counts[int(explored.order[0])] += 1
        assert set(explored.order[2:].tolist()) == {7, 1}
    for position, chance in zip(alike.tolist(), explored.propensity.tolist(), strict=True):
        assert counts[position] / 20_000 == pytest.approx(chance, abs=0.005)


def test_one_alone_is_never_shuffled() -> None:
    order = np.array([4, 2, 7])
    for seed in range(50):
        explored = explore(order, np.array([4]), Draw(seed, 1.0))
        assert explored.order.tolist() == [4, 2, 7]
        assert explored.propensity.tolist() == [1.0]


# -- in an answer ----------------------------------------------------------------------------------------------------


def answered(matcher: Matcher, body: dict[str, Any], draw: Draw | None, status: Any = "not_asked") -> Answered:
    asked = question(matcher, RecommendationRequest.model_validate({**body, "k": 20}), NOW)
    return answer(matcher, asked, Assessment(status), Ids("r-1"), "platform", draw)


def shuffling() -> Draw:
    """A lot that shuffles: the first draw of its seed lies below the share."""
    seed = next(seed for seed in range(1000) if np.random.default_rng(seed).random() < SHARE)
    return Draw(seed, SHARE)


def test_while_exploration_is_off_no_chances_are_kept(matcher: Matcher, body: dict[str, Any]) -> None:
    assert answered(matcher, body, None).propensities is None


def test_chances_are_kept_for_every_answer_whether_shuffled_or_not(matcher: Matcher, body: dict[str, Any]) -> None:
    calm = next(seed for seed in range(1000) if np.random.default_rng(seed).random() >= SHARE)
    shuffled, as_it_is = answered(matcher, body, shuffling()), answered(matcher, body, Draw(calm, SHARE))
    assert shuffled.propensities == as_it_is.propensities
    assert shuffled.propensities
    assert sum(shuffled.propensities.values()) == pytest.approx(1)
    plain = answered(matcher, body, None).answer.recommendations
    assert as_it_is.answer.recommendations == plain
    assert max(shuffled.propensities, key=shuffled.propensities.__getitem__) == plain[0].therapist_id


def test_the_reader_is_told_where_the_order_may_have_been_drawn(matcher: Matcher, body: dict[str, Any]) -> None:
    found = answered(matcher, body, shuffling())
    told = [note for note in found.answer.notes if "drawn by lot" in note]
    assert found.propensities is not None
    assert len(told) == (len(found.propensities) > 1)
    assert not [note for note in answered(matcher, body, None).answer.notes if "drawn by lot" in note]


@pytest.mark.parametrize("status", ["flagged", "held"])
def test_with_a_safety_flag_or_hold_nothing_is_shuffled(matcher: Matcher, body: dict[str, Any], status: str) -> None:
    found, plain = (answered(matcher, body, draw, status) for draw in (shuffling(), None))
    assert found.answer == plain.answer
    shown = found.answer.recommendations
    assert found.propensities == ({shown[0].therapist_id: 1.0} if shown else {})
