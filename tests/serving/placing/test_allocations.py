"""A waiting list placed over HTTP: kept, priced, with tasks for those who need one."""

import datetime as dt
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from data.sql import RECOMMENDATIONS, SAFETY_TASKS
from serving.placing.allocations import EXAMPLE_ALLOCATION

if TYPE_CHECKING:
    from conftest import Live


def a_list(body: dict[str, Any], clients: int, **changes: Any) -> dict[str, Any]:
    return {
        "clients": [
            {
                "episode_id": f"e-{i}",
                "request": {**body, "client": {**body["client"], "client_id": f"c-{i}"}, **changes},
            }
            for i in range(clients)
        ]
    }


def test_the_example_places_a_list_and_its_bytes_are_kept(service: "Live") -> None:
    client = service.as_("platform")
    placed = client.post("/v1/allocations", json=EXAMPLE_ALLOCATION)
    assert placed.status_code == 200, placed.text
    counts = placed.json()["counts"]
    assert counts["waiting"] == 2 == counts["placed"] + counts["held"] + counts["unplaced"]
    assert client.get(placed.headers["location"]).content == placed.content
    assert service.as_("platform", tenant="south").get(placed.headers["location"]).status_code == 404


def test_nothing_tells_with_whom_a_held_clients_place_is_set_aside(service: "Live", body: dict[str, Any]) -> None:
    sent = a_list(body, 1, measures=[{"instrument": "phq9", "item": "9", "value": 2}])
    client = service.as_("platform")
    placed = client.post("/v1/allocations", json={**sent, "terms": {"groups": ["gender"]}})
    told = placed.json()
    assert told["held"][0]["place_set_aside"] is True
    assert told["caseloads"] == []
    assert told["utility"] is None
    assert told["utility_next_available"] is None
    assert {group["allocated"] for group in told["groups"]} == {None}
    everyone = [one["therapist_id"] for one in client.get("/v1/therapists").json()["therapists"]]
    assert not [one for one in everyone if one in placed.text]


def test_prices_of_scarce_places_change_the_rankings_that_follow_and_then_expire(
    service: "Live", body: dict[str, Any]
) -> None:
    client = service.as_("platform")
    before = client.post("/v1/recommendations", json={**body, "k": 100}).json()
    placed = client.post("/v1/allocations", json=a_list(body, 120)).json()
    assert placed["prices"], "more clients than places: some place must be worth something to those who wait"
    after = client.post("/v1/recommendations", json={**body, "k": 100}).json()
    utility = {one["therapist_id"]: one["utility"]["mean"] for one in after["recommendations"]}
    assert utility == {one["therapist_id"]: one["utility"]["mean"] for one in before["recommendations"]}
    directory = service.service.matcher(service.service.admit(service.key("platform"))).directory
    held = directory.prices(service.service.now())
    assert held is not None
    assert {directory.ids[row] for row in held.nonzero()[0]} == set(placed["prices"])
    assert directory.prices(service.service.now() + dt.timedelta(days=8)) is None
    with service.service.engine.connect() as connection:
        first, second = sorted(connection.scalars(sa.select(RECOMMENDATIONS.c.prices)), key=len)
    assert first == {}
    assert second
    assert second.items() <= placed["prices"].items()


def test_a_list_can_be_placed_without_touching_later_rankings(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    client.post("/v1/allocations", json={**a_list(body, 120), "refresh_prices": False})
    directory = service.service.matcher(service.service.admit(service.key("platform"))).directory
    assert directory.version == 1


def test_each_client_who_reports_thoughts_of_self_harm_gets_one_open_task(
    service: "Live", body: dict[str, Any]
) -> None:
    client = service.as_("platform")
    measures = [{"instrument": "phq9", "item": 9, "value": 1}]
    for _ in range(2):
        assert client.post("/v1/allocations", json=a_list(body, 3, measures=measures)).status_code == 200
    with service.service.engine.connect() as connection:
        tasks = connection.execute(sa.select(SAFETY_TASKS.c.client_id, SAFETY_TASKS.c.status)).all()
    assert sorted(tasks) == [("c-0", "flagged"), ("c-1", "flagged"), ("c-2", "flagged")]


def test_a_client_who_stands_twice_on_the_list_is_named(service: "Live", body: dict[str, Any]) -> None:
    sent = a_list(body, 2)
    sent["clients"].append(sent["clients"][0])
    refused = service.as_("platform").post("/v1/allocations", json=sent)
    assert refused.status_code == 422
    fields = {one["field"] for one in refused.json()["problems"]}
    assert fields == {"clients[2].episode_id", "clients[2].request.client.client_id"}


def test_a_group_that_is_no_column_of_the_clients_is_named(service: "Live", body: dict[str, Any]) -> None:
    refused = service.as_("platform").post("/v1/allocations", json={**a_list(body, 1), "terms": {"groups": ["shoe"]}})
    assert refused.status_code == 422
    assert "terms.groups" in refused.text
