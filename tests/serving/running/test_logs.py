"""Nothing that is sent is seen again: planted in every field of every request that the API describes, it is in no log
line, no metric and no problem document, whether the request succeeds, is refused or finds the database broken."""

import copy
import datetime as dt
import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from data.database import writing
from data.loading import DirectoryData
from data.loading import load as load_directory

Serve = Callable[..., AbstractContextManager[Any]]
Json = dict[str, Any]
CANARY, NUMBER = "canary-7f3a", 86753
PLANTED = re.compile(rf"{CANARY}|(?<![0-9a-f]){NUMBER}(?![0-9a-f])")  # not a part of an id or a time by chance
SCOPES = ("platform", "clinician", "auditor", "admin")
MOMENT = re.compile(r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}")
UTC = re.compile(r"(Z|\+00:00)$")


@pytest.fixture(scope="module")
def process(
    serve_process: Serve,
    bundle: Path,
    listed: DirectoryData,
    new_database: Callable[[str, Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """One worker on a stored directory."""
    folder = tmp_path_factory.mktemp("logs")
    with serve_process(folder, new_database("sqlite", folder), "--bundle", str(bundle)) as running:
        load_directory(running.engine, listed, dt.datetime.now(dt.UTC))
        yield running


@pytest.fixture(scope="module")
def described(process: Any) -> Json:
    """The API's description of itself."""
    return dict(process.client().get("/openapi.json").json())


def operations(described: Json) -> Iterator[tuple[str, str, Json]]:
    """Method, path and description of every route."""
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def resolved(schema: Json, described: Json) -> Json:
    while "$ref" in schema:
        found: Any = described
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return resolved(next(one for one in schema[several] if one.get("type") != "null"), described)
    return schema


def planted(schema: Json, described: Json, depth: int = 0) -> Any:
    """A value of this form with the canary wherever words or numbers go, and in a field that the form does not know."""
    schema = resolved(schema, described)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type", "string")
    if kind == "object" or "properties" in schema:
        own = {name: planted(one, described, depth + 1) for name, one in schema.get("properties", {}).items()}
        return {**own, "note": CANARY} if depth < 6 else own
    if kind == "array":
        return [planted(schema.get("items", {}), described, depth + 1)]
    return {"integer": NUMBER, "number": NUMBER + 0.5, "boolean": True}.get(kind, CANARY)


def one_at_a_time(example: Any) -> Iterator[Any]:
    """The example with the canary in one of its places, for each of them: some are accepted."""
    for place in places(example):
        changed = copy.deepcopy(example)
        holder = changed
        for part in place[:-1]:
            holder = holder[part]
        holder[place[-1]] = NUMBER if isinstance(holder[place[-1]], int | float) else CANARY
        yield changed


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in parts:
        if isinstance(one, dict | list):
            yield from places(one, (*at, name))
        else:
            yield (*at, name)


def requests(described: Json) -> Iterator[Json]:
    """Everything that is asked, as arguments of `httpx.Client.request`."""
    for method, path, operation in operations(described):
        url = re.sub(r"\{[^}]+\}", f"{CANARY}-1", path)
        query = {one["name"]: f"{CANARY}-2" for one in operation.get("parameters", []) if one["in"] == "query"}
        named = [one["name"] for one in operation.get("parameters", []) if one["in"] == "header"]
        headers = {**dict.fromkeys(named, f"{CANARY}-3"), "User-Agent": CANARY, "X-Request-ID": f"{CANARY} with blanks"}
        asked = {"method": method, "url": url, "headers": headers, "params": {**query, CANARY: CANARY}}
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            yield asked
            yield {**asked, "params": {}}
        for media, one in content.items():
            example = one.get("example")
            bodies = [planted(one.get("schema", {}), described), *one_at_a_time(example)]
            for body in bodies if example is None else [example, *bodies]:
                sent = body if isinstance(body, str) else json.dumps(body)
                typed = {**headers, "Content-Type": media}
                yield {**asked, "params": query, "content": sent, "headers": typed}
                plain = {name: value for name, value in typed.items() if name not in named}
                yield {**asked, "params": {}, "content": sent, "headers": plain}
            yield {**asked, "content": f"{CANARY} is no such thing", "headers": {**headers, "Content-Type": media}}


def ask(client: httpx.Client, described: Json) -> dict[str, set[int]]:
    """Sends everything; route -> statuses. No refusal repeats what was sent."""
    seen: dict[str, set[int]] = {}
    for asked in requests(described):
        answer = client.request(**asked)
        seen.setdefault(f"{asked['method']} {asked['url']}", set()).add(answer.status_code)
        if answer.status_code >= 400 and "json" in answer.headers.get("content-type", ""):
            assert not PLANTED.search(answer.text), (asked, answer.text)
            assert answer.headers["content-type"] == "application/problem+json", asked
    return seen


def silent(process: Any) -> None:
    """Neither the log nor the metrics know what was sent."""
    found = [line for line in process.log.read_text().splitlines() if PLANTED.search(line)]
    assert found == []
    assert [sample for sample in process.metrics() if PLANTED.search(str(sample))] == []


def test_what_is_sent_is_in_no_log_no_metric_and_no_problem_document(process: Any, described: Json) -> None:
    seen = ask(process.as_(*SCOPES), described)
    assert len(seen) == len(list(operations(described)))
    assert seen["POST /v1/recommendations"] >= {200, 422}
    answered = {status for statuses in seen.values() for status in statuses}
    assert answered >= {200, 404, 422}
    assert not answered & {500, 503}
    silent(process)


def test_a_key_that_is_not_known_is_repeated_nowhere(process: Any, described: Json) -> None:
    for headers in ({"Authorization": f"Bearer {CANARY}"}, {"Cookie": f"therapist_fit_key={CANARY}"}):
        seen = ask(process.client(**headers), described)
        assert seen["POST /v1/recommendations"] == {401, 422}  # what cannot be read is not looked at for a key
        assert seen["GET /v1/model"] == {401}
    silent(process)


def test_what_is_typed_into_a_page_is_in_no_log_and_no_metric(process: Any) -> None:
    typed = {"key": CANARY, "client_id": CANARY, "gender": CANARY, "birth_year": str(NUMBER), CANARY: CANARY}
    assert process.client().post("/login", data=typed).status_code == 401
    key = process.as_("platform").headers["Authorization"].removeprefix("Bearer ")
    signed_in = process.client(Cookie=f"therapist_fit_key={key}")
    assert signed_in.post("/match", data=typed).status_code in (200, 422)
    silent(process)


def test_a_line_says_whose_request_it_was_and_what_came_of_it(process: Any) -> None:
    client = process.as_("auditor")
    answer = client.get(f"/v1/recommendations/{CANARY}-1", headers={"X-Request-ID": "mine-1"})
    assert answer.status_code == 404
    (line,) = [event for event in process.events("request") if event["request_id"] == "mine-1"]
    key_id = client.headers["Authorization"].split("_")[1]
    assert line.pop("milliseconds") >= 0
    assert UTC.search(line.pop("timestamp"))
    assert line == {
        "event": "request", "level": "info", "request_id": "mine-1", "key_id": key_id, "tenant": "default",
        "method": "GET", "route": "/v1/recommendations/{recommendation_id}", "status": 404,
    }  # fmt: skip


def test_every_time_that_is_told_is_in_utc_with_its_offset(process: Any, described: Json, body: Json) -> None:
    client = process.as_(*SCOPES)
    asked = client.post("/v1/recommendations", json={**body, "as_of": "2026-10-01"})
    assert asked.json()["recommendations"]
    answers = [asked.json()]
    for method, path, _ in operations(described):
        if method == "GET" and "{" not in path:
            answers.append(client.get(path).json())
    moments = [text for answer in [*answers, *process.events()] for text in texts(answer) if MOMENT.match(text)]
    assert len(moments) > 10
    assert [text for text in moments if not UTC.search(text)] == []


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


BROKEN = {
    "no keys": (["DROP TABLE keys"], 503),
    "no journal": (
        [f"DROP TABLE {name}" for name in ("recommendations", "idempotency", "episodes", "safety_tasks")],
        503,
    ),
    "spoilt rows": ([f"UPDATE directory_entries SET payload = '{{ {CANARY}'"], 500),
}
"""What is done to a database while it is used: a database's own words may hold a whole row."""


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_database_says_nothing_of_what_was_sent(
    serve_process: Serve,
    bundle: Path,
    listed: DirectoryData,
    described: Json,
    tmp_path: Path,
    new_database: Callable[[str, Path], str],
    what: str,
) -> None:
    statements, status = BROKEN[what]
    url = new_database("sqlite", tmp_path)
    with serve_process(tmp_path, url, "--bundle", str(bundle)) as process:
        load_directory(process.engine, listed, dt.datetime.now(dt.UTC))
        client = process.as_(*SCOPES)
        with writing(process.engine) as connection:
            for statement in statements:
                connection.execute(sa.text(statement))
        seen = ask(client, described)
        assert status in seen["POST /v1/recommendations"]
        assert status == 500 or not any(500 in statuses for statuses in seen.values())
        silent(process)
