"""Refusals: problem documents that name every field and repeat nothing that was sent."""

import json
from typing import Any

import httpx
import pytest

from data.tables import CLIENTS, PREFERENCE_TOPICS, STRENGTHS
from serving.problems import MEDIA_TYPE
from serving.schemas import ClientFields, Preference, ProblemDocument

CANARY = "canary-7f3a"


def refused(client: httpx.Client, body: Any, status: int = 422) -> dict[str, str]:
    """The rules broken, by field."""
    response = client.post("/v1/recommendations", json=body)
    assert response.status_code == status
    assert response.headers["content-type"] == MEDIA_TYPE
    document = ProblemDocument.model_validate(response.json())
    assert document.status == status
    assert document.request_id == response.headers["x-request-id"]
    assert document.instance == f"urn:therapist-fit:request:{document.request_id}"
    assert all(problem.rule and problem.next_step for problem in document.problems)
    return {problem.field: problem.rule for problem in document.problems}


def test_every_broken_field_is_named_in_one_answer(client: httpx.Client) -> None:
    body = {
        "client": {"birth_year": 1700, "languages": ["en"], "shoe_size": 41, "modalities": ["video"]},
        "preferences": [
            {"about": "gender", "value": "woman", "strength": "maybe"},
            {"about": "style", "value": "strict", "strength": "prefer"},
        ],
        "measures": [
            {"instrument": "phq9", "item": 9, "value": "often"},
            {"instrument": "phq9", "item": 12, "value": 1},
            {"instrument": "mood", "value": 1},
            {"instrument": "gad7", "value": 99},
            {"instrument": "wai_sr", "value": 4},
            {"instrument": "phq9", "item": 1, "value": 1.5},
            {"instrument": "phq9", "item": 1, "value": 1, "taken_on": "2027-01-01"},
        ],
        "window": {"from": "2026-10-09", "to": "2026-10-05"},
        "k": 0,
        "colour": "blue",
    }
    assert set(refused(client, body)) == {
        "client.birth_year", "client.shoe_size", "preferences[0].strength", "preferences[1].value",
        "measures[0].value", "measures[1].item", "measures[2].instrument", "measures[3].value",
        "measures[4].instrument", "measures[5].value", "measures[6].taken_on", "window.to", "k", "colour",
        "client.jurisdiction", "client.care_level", "client.payer", "client.problems",
    }  # fmt: skip


def test_a_field_that_a_rule_needs_is_named_with_the_rule(client: httpx.Client, body: dict[str, Any]) -> None:
    del body["client"]["jurisdiction"]
    assert refused(client, body) == {
        "client.jurisdiction": "the directory checks licence, which cannot be judged without it"
    }


def test_an_empty_request_names_what_is_needed(client: httpx.Client) -> None:
    found = refused(client, {})
    assert found["client"] == "is required"
    assert "client.birth_year" in found


JSON = "application/json"


@pytest.mark.parametrize(
    ("content", "kind", "step"),
    [
        (b"{", JSON, "send one JSON object"),
        (b'{"client": {}, }', JSON, "send one JSON object"),
        (b"[1, 2]", JSON, "send one JSON object"),
        (b'"words"', JSON, "send one JSON object"),
        (b"null", JSON, "send one JSON object"),
        (b"", JSON, "send one JSON object"),
        ('{"client": {"gender": "höflich"}}'.encode("latin-1"), JSON, "UTF-8"),
        (b'{"client": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON, "send one JSON object"),
        (b'{"client": {}}', None, "send content-type: application/json"),
        (b'{"client": {}}', "text/plain", "send content-type: application/json"),
        (b"client=1", "application/x-www-form-urlencoded", "send content-type: application/json"),
    ],
)
def test_what_is_not_a_json_object_is_refused_as_the_body(
    client: httpx.Client, content: bytes, kind: str | None, step: str
) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = client.post("/v1/recommendations", content=content, headers=headers)
    assert response.status_code == 422
    assert response.headers["content-type"] == MEDIA_TYPE
    document = ProblemDocument.model_validate(response.json())
    assert {problem.field for problem in document.problems if not problem.field.startswith("client")} == {"body"}
    assert step in document.problems[0].next_step
    assert "content-type: application/json" in document.problems[0].next_step


def test_a_window_that_is_neither_day_nor_time_is_one_problem(client: httpx.Client, body: dict[str, Any]) -> None:
    for wrong in ("soon", "2026-10-05T10:00:00", "2026-13-01", 7, None, True, [1]):
        found = refused(client, {**body, "window": {"from": "2026-10-01", "to": wrong}})
        assert found == {"window.to": "must be a day such as 2026-10-05, or a time with its offset"}


@pytest.mark.parametrize("depth", [5, 300, 900])
def test_depth_inside_a_field_is_a_problem_of_that_field(
    client: httpx.Client, body: dict[str, Any], depth: int
) -> None:
    deep: Any = 1
    for _ in range(depth):
        deep = [deep]
    for name in ("height_cm", "shoe_size"):
        assert set(refused(client, {**body, "client": {**body["client"], name: deep}})) == {f"client.{name}"}


def test_half_a_character_is_refused_wherever_it_stands(client: httpx.Client, body: dict[str, Any]) -> None:
    half = chr(0xD800)
    wish = {"about": "orientation", "value": half, "strength": "prefer"}
    sent = {**body, "client": {**body["client"], "payer": half}, "preferences": [wish]}
    response = client.post("/v1/recommendations", content=json.dumps(sent), headers={"content-type": JSON})
    assert response.status_code == 422
    assert {one["field"] for one in response.json()["problems"]} == {"client.payer", "preferences[0].value"}


@pytest.mark.parametrize("said", [True, False])
def test_a_body_of_more_than_a_megabyte_is_not_read(client: httpx.Client, said: bool) -> None:
    pieces = (b" " * 100_000 for _ in range(30))
    content = b"".join(pieces) if said else pieces
    response = client.post("/v1/recommendations", content=content, headers={"content-type": JSON})
    assert response.status_code == 413
    assert response.headers["content-type"] == MEDIA_TYPE
    assert "1000000 bytes" in ProblemDocument.model_validate(response.json()).detail
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("year", [2027, 1905])
def test_a_birth_year_is_one_of_the_last_120_years(client: httpx.Client, body: dict[str, Any], year: int) -> None:
    body["client"]["birth_year"] = year
    assert set(refused(client, body)) == {"client.birth_year"}


def test_true_is_no_number_and_a_number_is_no_day(client: httpx.Client, body: dict[str, Any]) -> None:
    body["client"] |= {"birth_year": True, "prior_episodes": True, "motivation": False, "deprivation_decile": True}
    scores = [{"instrument": "phq9", "item": 9, "value": True, "taken_on": 5}]
    assert set(refused(client, {**body, "measures": scores, "k": True, "as_of": 0})) == {
        "client.birth_year", "client.prior_episodes", "client.motivation", "client.deprivation_decile",
        "measures[0].value", "measures[0].taken_on", "k", "as_of",
    }  # fmt: skip


def test_a_declared_column_is_taken_and_must_have_its_kind(client: httpx.Client, body: dict[str, Any]) -> None:
    body["client"]["height_cm"] = 170
    assert client.post("/v1/recommendations", json=body).status_code == 200
    for wrong in ("tall", True, 10**400, [170], {"cm": 170}):
        body["client"]["height_cm"] = wrong
        assert refused(client, body) == {"client.height_cm": "must be a number"}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "1" + "0" * 400])
def test_a_score_is_a_finite_number(client: httpx.Client, body: dict[str, Any], value: str) -> None:
    content = json.dumps({**body, "measures": [{"instrument": "phq9", "value": 71351}]}).replace("71351", value)
    response = client.post("/v1/recommendations", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert [one["field"] for one in response.json()["problems"]] == ["measures[0].value"]


def test_sets_may_come_as_lists_or_as_tables_hold_them(client: httpx.Client, body: dict[str, Any]) -> None:
    as_list = client.post("/v1/recommendations", json=body).json()
    body["client"]["problems"] = "anxiety|insomnia"
    as_text = client.post("/v1/recommendations", json=body).json()
    assert as_text["recommendations"] == as_list["recommendations"]


def test_free_text_and_names_are_no_ids(client: httpx.Client, body: dict[str, Any]) -> None:
    body["client"]["client_id"] = "Jane Doe"
    assert set(refused(client, body)) == {"client.client_id"}


def test_an_unknown_route_and_a_wrong_method_are_problem_documents(client: httpx.Client) -> None:
    for response, status in ((client.get("/v2/nothing"), 404), (client.get("/v1/recommendations"), 405)):
        assert response.status_code == status
        assert response.headers["content-type"] == MEDIA_TYPE
        assert ProblemDocument.model_validate(response.json()).status == status


def test_a_request_id_is_taken_over_or_made(client: httpx.Client) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    made = client.get("/healthz", headers={"X-Request-ID": "not an id; <script>"}).headers["x-request-id"]
    assert len(made) == 32


def test_no_problem_document_repeats_what_was_sent(client: httpx.Client) -> None:
    """Canary values in every field of a bad request."""
    columns = {column.name: f"{CANARY} {column.name}" for column in CLIENTS.columns}
    body = {
        "client": columns,
        "preferences": [{"about": CANARY, "value": f"{CANARY}|x", "strength": CANARY}],
        "measures": [{"instrument": f"{CANARY} x", "item": f"{CANARY} y", "value": CANARY, "taken_on": CANARY}],
        "window": {"from": CANARY, "to": CANARY},
        "exclude_therapists": [{"therapist_id": f"{CANARY} x", "reason": f"{CANARY}\n"}],
        "k": CANARY,
        "as_of": CANARY,
    }
    response = client.post("/v1/recommendations", json=body)
    assert response.status_code == 422
    assert CANARY not in response.text
    well_formed = {
        "client": {"birth_year": 1990},
        "preferences": [{"about": "style", "value": CANARY, "strength": "must"}],
        "measures": [{"instrument": CANARY, "item": CANARY, "value": 71351}],
    }
    response = client.post("/v1/recommendations", json=well_formed)
    assert response.status_code == 422
    assert CANARY not in response.text
    assert "71351" not in response.text


def test_the_form_has_exactly_the_columns_of_the_clients_table() -> None:
    assert set(ClientFields.model_fields) == {column.name for column in CLIENTS.columns}
    schema = json.dumps(Preference.model_json_schema())
    assert all(f'"{word}"' in schema for word in (*PREFERENCE_TOPICS, *STRENGTHS))


def test_a_directory_may_be_longer_than_one_clients_request(client: httpx.Client) -> None:
    """1.5 MB of spaces: too long for one client, and for a directory merely no JSON."""
    spaces = b" " * 1_500_000
    single = client.post("/v1/recommendations", content=spaces, headers={"content-type": JSON})
    many = client.post("/v1/therapists:bulk?mode=merge", content=spaces, headers={"content-type": JSON})
    assert single.status_code == 413
    assert many.status_code in (409, 422)
