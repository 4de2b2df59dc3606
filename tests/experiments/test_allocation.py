"""What prices and allocation bring on synthetic clinics: the market by hand, and one small clinic."""

from typing import Any

import numpy as np
import pytest

from experiments.allocation import as_list, run
from experiments.allocation_stream import (
    Stream,
    extra_wait,
    in_turn,
    lowest_group,
    mix,
    optimum,
    policies,
    taken,
)
from training.assignment import allocate


def stream(said: list[list[float]], places: int = 1, days: list[list[float]] | None = None) -> Stream:
    """Everyone may see everyone; what is predicted is true."""
    table = np.array(said)
    clients, therapists = table.shape
    everyone = np.ones(table.shape, dtype=bool)
    return Stream(
        said=table,
        true=table,
        luck=np.zeros(table.shape),
        earlier=table,
        earlier_luck=np.zeros(table.shape),
        places=np.full(therapists, places),
        days=np.zeros((therapists, places)) if days is None else np.array(days),
        severity=np.arange(clients, dtype=float),
        risk=np.arange(clients) == 0,
        groups={"a": np.arange(clients) == 0, "b": np.arange(clients) > 0},
        eligible=everyone,
    )


RIVALS = stream([[0.5, 0.4], [0.5, 0.0]])


def test_hindsight_leaves_the_therapist_to_whom_it_matters_and_greed_does_not() -> None:
    assert optimum(RIVALS.said, RIVALS.eligible, RIVALS.places).tolist() == [1, 0]
    assert in_turn(RIVALS.said, RIVALS).tolist() == [0, 1]
    assert policies(RIVALS, None, 0)["prices"].tolist() == [1, 0]


def test_hindsight_leaves_out_whom_no_place_may_take() -> None:
    eligible = np.array([[True, False], [True, False]])
    assert sorted(optimum(RIVALS.said, eligible, RIVALS.places).tolist()) == [-1, 0]


def test_next_available_takes_the_soonest_appointment_left() -> None:
    market = stream([[0.0, 0.0]] * 3, places=2, days=[[1, 9], [2, 3]])
    chosen = in_turn(None, market)
    assert chosen.tolist() == [0, 1, 1]
    assert extra_wait(market, chosen).tolist() == [0, 0, 0]
    assert extra_wait(market, np.array([1, 0, 0])).tolist() == [1, 0, 6]


def test_a_client_without_a_place_counts_as_the_average_of_those_they_may_see() -> None:
    gains = RIVALS.gains(RIVALS.said)
    assert gains[0].tolist() == pytest.approx([0.05, -0.05])
    assert taken(gains, np.array([0, -1])).tolist() == pytest.approx([0.05, 0.0])


def test_the_lowest_group_is_the_one_that_loses_most() -> None:
    assert lowest_group(RIVALS.said, np.array([1, 0]), np.array([0, 1]), RIVALS.groups) == pytest.approx(-0.1)


def test_the_mix_is_over_therapists() -> None:
    found = mix(np.array([0, 0, 1, -1]), np.array([1.0, 3.0, 0.0, 9.0]), np.array([True, False, False, True]), 3)
    assert found["severity_mean"] == 1.0
    assert found["severity_max"] == 2.0
    assert found["risk_max"] == 0.5


def test_the_list_of_a_stream_is_its_first_clients_with_the_first_appointments() -> None:
    market = stream([[0.5, 0.4]] * 8, places=4, days=[[1, 2, 3, 4]] * 2)
    waiting = as_list(market)
    assert (waiting.clients, waiting.places.tolist()) == (6, [3, 3])
    assert sorted(set(waiting.options.wait.tolist())) == [1, 2, 3]
    assert np.bincount(waiting.therapists(allocate(waiting).chosen)).tolist() == [3, 3]


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return run(episodes=1500, therapists=40, seeds=2, eligible=(10, None))


def test_prices_lie_between_greed_and_hindsight(result: dict[str, Any]) -> None:
    for rules in result["one_by_one"].values():
        value = {rule: figures["predicted"]["value"] for rule, figures in rules.items()}
        assert value["optimum"] >= value["prices"] > value["greedy"] > value["random"]
        assert rules["prices"]["share_predicted"]["value"] > 0.85
        assert rules["optimum"]["share_predicted"]["value"] == 1.0
        assert rules["random"]["share_true"]["value"] == 0.0


def test_the_list_keeps_its_limits_and_pays_little_for_them(result: dict[str, Any]) -> None:
    rules = {name: {k: v["value"] for k, v in f.items()} for name, f in result["waiting_list"]["rules"].items()}
    kept, best, soonest = (rules[name] for name in ("allocated_within_limits", "allocated", "next_available"))
    assert kept["extra_days_max"] <= result["waiting_list"]["max_extra_days"]
    assert kept["over_severe_limit"] == 0
    assert soonest["lowest_group"] == 0
    assert best["predicted"] >= kept["predicted"] > soonest["predicted"]


def test_results_are_labelled_synthetic(result: dict[str, Any]) -> None:
    assert result["synthetic"] is True
    assert {"optimum", "prices", "greedy", "next_available", "random"} == set(result["one_by_one"]["all"])
