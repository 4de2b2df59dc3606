"""Prices of scarce therapists: what they are on markets with an obvious answer, and what they bring."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.assignment import allocate
from training.assignment_list import Options, WaitingList
from training.head import PairPosterior
from training.prices import WINDOW, Demand, learn_prices, place_in_turn
from training.ranking import Weighing, rank

BOTH = np.ones((8, 2), dtype=bool)
RIVALS = np.tile([[1.0, 0.0], [0.4, 0.0]], (4, 1))
"""Half of the clients gain 1 from the first therapist, half .4; the second brings everyone nothing."""


def test_a_therapist_with_places_for_all_who_want_them_costs_nothing() -> None:
    assert learn_prices(Demand.of(RIVALS, BOTH), np.array([8, 8]), 8).tolist() == [0.0, 0.0]


def test_a_scarce_therapist_costs_what_those_bring_who_must_go_elsewhere() -> None:
    price = learn_prices(Demand.of(RIVALS, BOTH), np.array([4, 8]), 8)
    assert 0.4 < price[0] < 1.0
    assert price[1] == 0.0


def test_a_therapist_without_a_place_has_no_price_and_no_demand_none_either() -> None:
    demand = Demand.of(RIVALS, BOTH)
    assert learn_prices(demand, np.array([0, 8]), 8).tolist() == [0.0, 0.0]
    assert learn_prices(demand, np.array([4, 8]), 0).tolist() == [0.0, 0.0]
    assert learn_prices(Demand.of(RIVALS[:0], BOTH[:0]), np.array([4, 8]), 8).tolist() == [0.0, 0.0]


def test_clients_beyond_all_places_raise_no_price() -> None:
    demand = Demand.of(RIVALS, BOTH)
    few, many = (learn_prices(demand, np.array([4, 4]), ahead) for ahead in (8, 800))
    assert many == pytest.approx(few)


def test_the_price_is_that_of_the_whole_list_where_everyone_is_known() -> None:
    """Against the multipliers of the exact program, on a list that is the demand itself."""
    rng = np.random.default_rng(0)
    utility = rng.normal(0, 0.3, (200, 5))
    places = np.array([10, 20, 30, 60, 200])
    exact = allocate(WaitingList(200, Options.of(utility, np.ones(utility.shape, bool)), places)).price
    price = learn_prices(Demand.of(utility, np.ones(utility.shape, bool)), places, 200, steps=2000)
    assert price == pytest.approx(exact, abs=0.03)


def test_the_window_forgets_the_oldest() -> None:
    demand = Demand.of(np.zeros((WINDOW, 2)), np.ones((WINDOW, 2), bool)).joined(
        np.array([1.0, 2.0]), np.array([True, False])
    )
    assert len(demand.utility) == WINDOW
    assert demand.utility[-1].tolist() == [1.0, -np.inf]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_in_turn_no_place_is_given_twice_and_nobody_is_placed_with_whom_they_may_not_see(seed: int) -> None:
    rng = np.random.default_rng(seed)
    eligible, places = rng.random((12, 4)) < 0.6, rng.integers(0, 4, 4)
    utility = rng.normal(size=(12, 4))
    chosen = place_in_turn(utility, eligible, places, Demand.of(utility[:0], eligible[:0]))
    placed = chosen >= 0
    assert (np.bincount(chosen[placed], minlength=4) <= places).all()
    assert eligible[np.flatnonzero(placed), chosen[placed]].all()


def test_a_client_who_gains_little_leaves_the_scarce_therapist_to_those_who_gain_more() -> None:
    coming = RIVALS[[1, 1, 0, 0]]
    places = np.array([2, 2])
    greedy_first = place_in_turn(coming, BOTH[:4], places, Demand.of(RIVALS[:0], BOTH[:0]))
    priced = place_in_turn(coming, BOTH[:4], places, Demand.of(RIVALS, BOTH))
    assert greedy_first[0] == 0
    assert priced.tolist() == [1, 1, 0, 0]


def test_prices_know_nobody_before_they_have_come() -> None:
    rng = np.random.default_rng(1)
    utility, every = rng.normal(size=(30, 3)), np.ones((30, 3), bool)
    other = utility.copy()
    other[15:] = rng.normal(size=(15, 3))
    demand, places = Demand.of(rng.normal(size=(50, 3)), np.ones((50, 3), bool)), np.array([10, 10, 10])
    first, second = (place_in_turn(table, every, places, demand) for table in (utility, other))
    assert first[:15].tolist() == second[:15].tolist()


def test_ranking_subtracts_the_price_and_still_shows_the_utility() -> None:
    posterior = PairPosterior(np.array([0.9, 0.5, 0.1]), np.zeros((3, 1)), np.full(3, 1e-6))
    weighing = Weighing(("outcome",), np.ones(1), np.ones(1), np.eye(1))
    wait, ids = np.full(3, np.nan), ["t-1", "t-2", "t-3"]
    free = rank({"outcome": posterior}, weighing, wait, ids)
    priced = rank({"outcome": posterior}, weighing, wait, ids, price=np.array([0.6, 0.0, 0.0]))
    assert free.order.tolist() == [0, 1, 2]
    assert priced.order.tolist() == [1, 0, 2]
    assert priced.utility.mean == pytest.approx(free.utility.mean)
    assert priced.tie_group.tolist() == [2, 1, 3]
