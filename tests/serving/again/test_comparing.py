"""Why one therapist stands above another: exact parts, honest doubt, and facts that would really change the order."""

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from data.database import writing
from data.versions import change, current

if TYPE_CHECKING:
    from conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)


def ask(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/v1/recommendations", json={**body, "k": 100})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def compare(client: httpx.Client, answer: dict[str, Any], a: str, b: str) -> dict[str, Any]:
    response = client.get(f"/v1/recommendations/{answer['recommendation_id']}/compare", params={"a": a, "b": b})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["therapist_id"] for one in answer["recommendations"]]


@pytest.fixture
def wishing(body: dict[str, Any]) -> dict[str, Any]:
    """A request with wishes of every strength."""
    wishes = [
        {"about": "orientation", "value": "cbt", "strength": "prefer"},
        {"about": "gender", "value": "woman", "strength": "prefer"},
        {"about": "language", "value": "en", "strength": "must"},
    ]
    return {**body, "preferences": wishes}


# -- why -------------------------------------------------------------------------------------------------------------


def test_the_parts_add_up_to_the_difference_of_the_answer(service: "Live", wishing: dict[str, Any]) -> None:
    client = service.as_("platform")
    answer = ask(client, wishing)
    utility = {one["therapist_id"]: one["utility"]["mean"] for one in answer["recommendations"]}
    order = ids(answer)
    for a, b in ((order[0], order[1]), (order[0], order[-1]), (order[4], order[2])):
        found = compare(client, answer, a, b)
        assert sum(part["share"] for part in found["parts"]) == pytest.approx(found["difference"], abs=1e-9)
        assert found["difference"] == pytest.approx(utility[a] - utility[b], abs=1e-9)
        assert found["utility"]["mean"] == pytest.approx(found["difference"], abs=1e-12)
        assert found["utility"]["low"] < found["utility"]["mean"] < found["utility"]["high"]


def test_both_stand_where_the_answer_put_them(service: "Live", wishing: dict[str, Any]) -> None:
    client = service.as_("platform")
    answer = ask(client, wishing)
    shown = {one["therapist_id"]: one for one in answer["recommendations"]}
    order = ids(answer)
    for a, b in ((order[0], order[1]), (order[-1], order[3])):
        found = compare(client, answer, a, b)
        assert found["above"] == min((a, b), key=order.index)
        for side in (found["a"], found["b"]):
            told = shown[side["therapist_id"]]
            assert (side["rank"], side["tie_group"]) == (told["rank"], told["tie_group"])
            assert side["wait_days"] == told["wait_days"]
            assert side["next_free"] == told["next_slots"][0]["starts_at"]


def test_somebody_further_down_has_a_rank_too(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    last = ids(ask(client, body))[-1]
    response = client.post("/v1/recommendations", json={**body, "k": 1})
    found = compare(client, response.json(), ids(response.json())[0], last)
    assert found["b"]["rank"] == response.json()["counts"]["eligible"]


def test_asked_the_other_way_round_it_says_the_same(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    answer = ask(client, body)
    a, b = ids(answer)[0], ids(answer)[-1]
    one, other = compare(client, answer, a, b), compare(client, answer, b, a)
    assert one["above"] == other["above"] == a
    assert other["difference"] == pytest.approx(-one["difference"])
    assert (one["chance_a_better"], one["chance_b_better"]) == (other["chance_b_better"], other["chance_a_better"])
    assert {part["name"]: part["share"] for part in one["parts"]} == pytest.approx(
        {part["name"]: -part["share"] for part in other["parts"]}
    )
    assert [one["change"] for one in one["would_change"]] == [one["change"] for one in other["would_change"]]


def test_who_cannot_be_told_apart_is_called_so(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    answer = ask(client, body)
    groups = {one["therapist_id"]: one["tie_group"] for one in answer["recommendations"]}
    order = ids(answer)
    near, far = compare(client, answer, order[0], order[1]), compare(client, answer, order[0], order[-1])
    assert groups[order[0]] == groups[order[1]] != groups[order[-1]]
    assert near["told_apart"] is False
    assert max(near["chance_a_better"], near["chance_b_better"]) < 0.8
    assert any("cannot be told apart" in words for words in near["words"])
    assert far["told_apart"] is True
    assert far["chance_a_better"] >= 0.8
    assert not any("cannot be told apart" in words for words in far["words"])


def test_the_wait_of_each_is_said(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    answer = ask(client, body)
    a, b = answer["recommendations"][0], answer["recommendations"][-1]
    words = compare(client, answer, a["therapist_id"], b["therapist_id"])["words"]
    assert any(f"{a['therapist_id']} is free in {a['wait_days']} day" in one for one in words)


# -- prices ----------------------------------------------------------------------------------------------------------


def test_a_price_is_a_part_of_the_difference_and_can_turn_the_order(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    top, second = ids(ask(client, body))[:2]
    price = {"price": 0.5, "until": (NOW + dt.timedelta(days=1)).isoformat()}
    with writing(service.service.engine) as connection:
        change(connection, "default", "a price", {"price": {top: price}}, NOW)
    answer = ask(client, body)
    found = compare(client, answer, top, second)
    assert found["above"] == second
    assert (found["a"]["price"], found["b"]["price"]) == (0.5, 0)
    assert found["difference"] == pytest.approx(found["utility"]["mean"] - 0.5)
    assert {part["name"]: part["share"] for part in found["parts"]}["price"] == -0.5
    assert sum(part["share"] for part in found["parts"]) == pytest.approx(found["difference"], abs=1e-9)
    assert "price" in [one["change"] for one in found["would_change"]]


# -- what would change it --------------------------------------------------------------------------------------------


def test_a_wish_that_is_said_to_turn_the_order_turns_it(service: "Live", wishing: dict[str, Any]) -> None:
    client = service.as_("platform")
    answer = ask(client, wishing)
    order = ids(answer)
    turned = 0
    for a, b in itertools.pairwise(order[:12]):
        found = compare(client, answer, a, b)
        said = {one["change"]: one["difference"] for one in found["would_change"]}
        for i, wish in enumerate(wishing["preferences"]):
            others = [one for at, one in enumerate(wishing["preferences"]) if at != i]
            softer = [{**wish, "strength": "prefer"}] if wish["strength"] == "must" else []
            again = ask(client, {**wishing, "preferences": others + softer})
            utility = {one["therapist_id"]: one["utility"]["mean"] for one in again["recommendations"]}
            name = f"wish:{wish['strength']}.{wish['about']}"
            assert (name in said) == (ids(again).index(b) < ids(again).index(a)), name
            if name in said:
                turned += 1
                assert said[name] == pytest.approx(utility[a] - utility[b], abs=1e-9)
    assert turned


def test_a_fact_on_record_that_is_said_to_turn_the_order_turns_it(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    answer = ask(client, body)
    order = ids(answer)
    main = body["client"]["problems"][0]
    said = [
        (a, b, one["change"].removeprefix("record:"))
        for a, b in itertools.pairwise(order)
        for one in compare(client, answer, a, b)["would_change"]
        if one["change"].startswith("record:")
    ]
    assert said
    for a, b, column in said:
        with writing(service.service.engine) as connection:
            before = current(connection, "default", b)["profile"]
            more = {**before, column: "|".join([*filter(None, [before.get(column)]), main])}
            change(connection, "default", "one more word", {"profile": {b: more}}, NOW)
        again = ids(ask(client, body))
        assert again.index(b) < again.index(a)
        with writing(service.service.engine) as connection:
            change(connection, "default", "as it was", {"profile": {b: before}}, NOW)


def test_where_the_soonest_time_decides_a_sooner_one_would_change_it(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    top, second, *others = ids(ask(client, body))
    answer = ask(client, {**body, "exclude_therapists": [{"therapist_id": one} for one in others]})
    assert answer["meaningful_difference"] is False
    first, last = ids(answer)
    found = compare(client, answer, last, first)
    assert found["above"] == first
    assert {first, last} == {top, second}
    assert any("soonest free time comes first" in words for words in found["words"])
    assert "free_time" in [one["change"] for one in found["would_change"]]


def test_where_nothing_that_was_tried_would_change_it_that_is_said(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    answer = ask(client, body)
    found = compare(client, answer, ids(answer)[0], ids(answer)[-1])
    assert found["would_change"] == []
    assert found["looked_at"]


# -- who was not eligible --------------------------------------------------------------------------------------------


def test_somebody_not_eligible_is_explained_by_the_ledger(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    answer = ask(client, body)
    path = f"/v1/recommendations/{answer['recommendation_id']}/exclusions"
    first, second = client.get(path).json()["therapists"][:2]
    found = compare(client, answer, ids(answer)[0], first["therapist_id"])
    assert found["above"] == ids(answer)[0]
    assert found["b"]["excluded"] == first
    assert found["told_apart"] is None
    assert found["parts"] == []
    both = compare(client, answer, first["therapist_id"], second["therapist_id"])
    assert both["above"] is None
    assert [both["a"]["excluded"], both["b"]["excluded"]] == [first, second]


def test_a_must_that_keeps_somebody_away_is_tried_as_a_wish(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    plain = ask(client, {**body, "preferences": []})
    strict = [{"about": "gender", "value": "woman", "strength": "must"}]
    answer = ask(client, {**body, "preferences": strict})
    soft = ids(ask(client, {**body, "preferences": [{**strict[0], "strength": "prefer"}]}))
    away = next(one for one in ids(plain) if one not in ids(answer))
    lower = next(one for one in soft[::-1] if one in ids(answer))
    found = compare(client, answer, away, lower)
    assert found["above"] == lower
    assert (soft.index(away) < soft.index(lower)) == (
        "wish:must.gender" in [one["change"] for one in found["would_change"]]
    )
    assert found["looked_at"] == ["if the wish about gender were one to be met if possible"]


# -- what cannot be compared -----------------------------------------------------------------------------------------


def test_a_held_answer_compares_nobody_before_its_release(service: "Live", body: dict[str, Any]) -> None:
    client, clinician = service.as_("platform"), service.as_("clinician")
    a, b = ids(ask(client, body))[:2]
    measures = [{"instrument": "phq9", "item": "9", "value": 3}]
    held = client.post("/v1/recommendations", json={**body, "measures": measures}).json()
    path = f"/v1/recommendations/{held['recommendation_id']}"
    refused = clinician.get(f"{path}/compare", params={"a": a, "b": b})
    assert refused.status_code == 409
    assert a not in refused.text
    released = clinician.post(f"{path}/release", json={"who": "clinician-7", "reason": "talked today"}).json()
    assert compare(client, released, a, b)["above"] in (a, b)


def test_two_listed_therapists_are_compared(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    answer = ask(client, body)
    top = ids(answer)[0]
    path = f"/v1/recommendations/{answer['recommendation_id']}/compare"
    assert client.get(path, params={"a": top, "b": top}).status_code == 422
    assert client.get(path, params={"a": top}).status_code == 422
    assert client.get(path, params={"a": top, "b": "t-99999"}).status_code == 404
