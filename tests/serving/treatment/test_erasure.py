"""Erasure: everything of one client goes, nothing of another, and a receipt says what."""

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from data.sql import ALLOCATIONS, METADATA, RECEIPTS, RECOMMENDATIONS
from serving.treatment.erasure import client_hash

if TYPE_CHECKING:
    from tests.serving.treatment.conftest import Desk

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
CLIENT = "c-71351"


def treated(desk: "Desk", client_id: str, episode_id: str) -> dict[str, Any]:
    """Everything that may be on record of a client. Returns what they chose."""
    asked = {**desk.body["client"], "client_id": client_id}
    measures = [{"instrument": "phq9", "item": 9, "value": 1}]
    answer = desk.ask(client=asked, measures=measures)
    first = answer["recommendations"][0]
    chosen = desk.client.post(
        f"/v1/recommendations/{answer['recommendation_id']}/choice",
        json={
            "kind": "chosen",
            "therapist_id": first["therapist_id"],
            "starts_at": first["next_slots"][0]["starts_at"],
        },
        headers={"Idempotency-Key": f"key-{client_id}"},
    )
    assert chosen.status_code == 201, chosen.text
    desk.begin(episode_id, client_id=client_id)
    item = {"instrument": "phq9", "item": 9}
    assert desk.measure({**item, "value": 2}, episode_id=episode_id).status_code == 200
    assert desk.measure({**item, "value": 3}, episode_id=episode_id, correct=True).status_code == 200
    told: dict[str, Any] = chosen.json()
    return told


def everything(desk: "Desk") -> str:
    """All rows of all tables as text, but those of the directory."""
    found = []
    with desk.engine.connect() as connection:
        for table in METADATA.sorted_tables:
            if not table.name.startswith("directory"):
                mine = sa.select(table).where(table.c.tenant == desk.tenant)
                found += [str(row) for row in connection.execute(mine)]
    return "\n".join(found)


def test_nothing_of_the_client_is_left_and_the_receipt_says_how_much_there_was(desk: "Desk") -> None:
    told = treated(desk, CLIENT, "e-71351")
    admin = desk.as_("admin")
    assert CLIENT in everything(desk)
    erased = admin.delete(f"/v1/clients/{CLIENT}")
    assert erased.status_code == 200, erased.text
    receipt = erased.json()
    assert receipt["removed"] == {
        "recommendations": 1,
        "choices": 1,
        "episodes": 2,
        "measures": 1,
        "corrections": 1,
        "safety_tasks": 3,
        "idempotency": 1,
        "allocations": 0,
    }
    assert receipt["places_freed"] == 2
    left = everything(desk)
    assert CLIENT not in left
    assert "e-71351" not in left
    assert told["episode_id"] not in left
    assert client_hash(desk.tenant, CLIENT) in left
    assert CLIENT not in erased.text


def test_that_an_answer_was_given_stays_but_it_cannot_be_read(desk: "Desk") -> None:
    told = treated(desk, CLIENT, "e-1")
    (before,) = desk.rows(RECOMMENDATIONS)
    desk.as_("admin").delete(f"/v1/clients/{CLIENT}")
    (row,) = desk.rows(RECOMMENDATIONS)
    kept = ("recommendation_id", "made_at", "bundle_id", "version", "directory_version", "settings_hash")
    assert {name: row[name] for name in kept} == {name: before[name] for name in kept}
    gone = ("request", "answer", "client_id", "propensities", "seed")
    assert [row[name] for name in gone] == [None] * len(gone)
    assert (row["prices"], row["erased_at"]) == ({}, NOW)
    path = f"/v1/recommendations/{row['recommendation_id']}"
    assert desk.client.get(path).status_code == 410
    assert desk.client.post(f"{path}/choice", json={"kind": "declined", "reason": "other"}).status_code == 410
    assert desk.client.get(f"/v1/episodes/{told['episode_id']}").status_code == 404
    with desk.engine.connect() as connection:
        table = RECOMMENDATIONS
        empty = sa.select(sa.func.count()).where(table.c.tenant == desk.tenant, table.c.request.is_(sa.null()))
        assert connection.scalar(empty) == 1


def test_an_answer_to_a_client_without_an_id_goes_with_the_course_that_names_them(desk: "Desk") -> None:
    nameless = {name: value for name, value in desk.body["client"].items() if name != "client_id"}
    answer = desk.ask(client=nameless)
    chosen = desk.choose(answer, therapist_id=answer["recommendations"][0]["therapist_id"]).json()
    assert desk.put(chosen["episode_id"], client_id=CLIENT).status_code == 200
    assert desk.as_("admin").delete(f"/v1/clients/{CLIENT}").json()["removed"]["recommendations"] == 1
    assert desk.client.get(f"/v1/recommendations/{answer['recommendation_id']}").status_code == 410


def test_places_and_slots_that_the_client_held_are_free_again(desk: "Desk") -> None:
    told = treated(desk, CLIENT, "e-1")
    desk.as_("admin").delete(f"/v1/clients/{CLIENT}")
    for therapist in (told["therapist_id"], "t-00000"):
        entries = desk.on_record(therapist)
        assert entries["caseload"].get("taken", []) == []
        assert [row for row in entries["slots"]["rows"] if "episode_id" in row] == []


def test_other_clients_and_other_tenants_keep_everything(desk: "Desk") -> None:
    treated(desk, CLIENT, "e-1")
    other = treated(desk, "c-2", "e-2")
    south = desk.elsewhere("admin")
    assert south.delete(f"/v1/clients/{CLIENT}").status_code == 404
    assert desk.as_("platform", "clinician", "auditor").delete(f"/v1/clients/{CLIENT}").status_code == 403
    assert desk.as_("admin").delete(f"/v1/clients/{CLIENT}").status_code == 200
    assert desk.client.get(f"/v1/episodes/{other['episode_id']}").json()["place"]["status"] == "kept"
    assert desk.client.get(f"/v1/recommendations/{other['recommendation_id']}").status_code == 200
    assert desk.measure({"instrument": "phq9", "item": 9, "value": 3}, episode_id="e-2").json()["unchanged"] == 1


def test_a_second_erasure_names_the_receipt_until_something_new_comes_in(desk: "Desk") -> None:
    admin = desk.as_("admin")
    assert admin.delete(f"/v1/clients/{CLIENT}").status_code == 404
    treated(desk, CLIENT, "e-1")
    receipt = admin.delete(f"/v1/clients/{CLIENT}").json()["receipt_id"]
    again = admin.delete(f"/v1/clients/{CLIENT}")
    assert again.status_code == 410
    assert receipt in again.json()["detail"]
    desk.ask(client={**desk.body["client"], "client_id": CLIENT})
    assert admin.delete(f"/v1/clients/{CLIENT}").status_code == 200
    assert len(desk.rows(RECEIPTS)) == 2
    assert len(desk.rows(RECOMMENDATIONS)) == 2


def test_an_erasure_sent_again_with_its_key_gives_the_same_receipt(desk: "Desk") -> None:
    desk.ask(client={**desk.body["client"], "client_id": CLIENT})
    admin = desk.as_("admin")
    both = [admin.delete(f"/v1/clients/{CLIENT}", headers={"Idempotency-Key": "erase-1"}) for _ in range(2)]
    assert both[0].content == both[1].content
    assert CLIENT not in everything(desk)


def test_a_list_sent_again_after_an_erasure_does_not_bring_the_client_back(desk: "Desk") -> None:
    entries = [{"episode_id": "e-1", "request": {**desk.body, "client": {**desk.body["client"], "client_id": CLIENT}}}]
    sent = {"json": {"clients": entries, "refresh_prices": False}, "headers": {"Idempotency-Key": "list-1"}}
    first = desk.client.post("/v1/allocations", **sent)
    desk.as_("admin").delete(f"/v1/clients/{CLIENT}")
    assert CLIENT not in everything(desk)
    again = desk.client.post("/v1/allocations", **sent)
    assert again.headers["location"] != first.headers["location"]


def test_a_waiting_list_that_names_the_client_is_emptied(desk: "Desk") -> None:
    def a_list(*clients: str) -> None:
        entries = [
            {"episode_id": f"e-{i}", "request": {**desk.body, "client": {**desk.body["client"], "client_id": name}}}
            for i, name in enumerate(clients)
        ]
        response = desk.client.post("/v1/allocations", json={"clients": entries})
        assert response.status_code == 200, response.text

    a_list(CLIENT, "c-2")
    a_list("c-713510", "c-2")
    receipt = desk.as_("admin").delete(f"/v1/clients/{CLIENT}").json()
    assert receipt["removed"]["allocations"] == 1
    rows = desk.rows(ALLOCATIONS)
    assert [row["answer"] is None for row in rows] == [row["erased_at"] is not None for row in rows]
    assert [json.dumps(row["request"]).count("c-713510") for row in rows if row["request"]] == [1]
