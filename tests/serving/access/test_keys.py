"""Keys: who may ask what, and that tenants see nothing of each other."""

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from typer.testing import CliRunner

from data.database import connect
from data.errors import ConfigError, NoKeyError, NotFoundError
from data.loading import DirectoryData, load
from data.sql import KEYS
from serving.access import keys
from serving.access.key_commands import app as commands
from serving.app import create_app
from serving.settings import Settings
from serving.sources import Sources

if TYPE_CHECKING:
    from conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)


@pytest.fixture
def engine(database: str) -> sa.Engine:
    return connect(database)


def test_a_key_opens_for_its_tenant_with_its_scopes(engine: sa.Engine) -> None:
    info, token = keys.create(engine, "north", "intake form", ["platform"], NOW)
    caller = keys.caller_of(engine, token, NOW)
    assert (caller.tenant, caller.key_id, caller.scopes) == ("north", info.key_id, {"platform"})
    assert caller.may("clinician", "platform")
    assert not caller.may("clinician", "admin")
    engine.dispose()


def test_the_secret_is_kept_nowhere(engine: sa.Engine) -> None:
    _, token = keys.create(engine, "north", "intake form", ["platform"], NOW)
    with engine.connect() as connection:
        stored = str([tuple(row) for row in connection.execute(sa.select(KEYS))])
    assert token.split("_", 2)[2] not in stored
    engine.dispose()


@pytest.mark.parametrize("change", ["another secret", "another id", "no prefix", "empty", "half"])
def test_nobody_is_known_by_a_key_that_was_changed(engine: sa.Engine, change: str) -> None:
    _, token = keys.create(engine, "north", "intake form", ["platform"], NOW)
    prefix, key_id, secret = token.split("_", 2)
    sent = {
        "another secret": f"{prefix}_{key_id}_{secret[::-1]}",
        "another id": f"{prefix}_{key_id[::-1]}x_{secret}",
        "no prefix": f"{key_id}_{secret}",
        "empty": "",
        "half": f"{prefix}_{key_id}",
    }[change]
    with pytest.raises(NoKeyError):
        keys.caller_of(engine, sent, NOW)
    engine.dispose()


def test_a_key_ends_on_its_day_or_when_it_is_revoked(engine: sa.Engine) -> None:
    info, token = keys.create(engine, "north", "intake form", ["platform"], NOW, days=30)
    keys.caller_of(engine, token, NOW + dt.timedelta(days=29))
    with pytest.raises(NoKeyError):
        keys.caller_of(engine, token, NOW + dt.timedelta(days=30))
    with pytest.raises(NotFoundError):
        keys.revoke(engine, "south", info.key_id, NOW)
    keys.revoke(engine, "north", info.key_id, NOW)
    with pytest.raises(NoKeyError):
        keys.caller_of(engine, token, NOW)
    assert [one.revoked_at for one in keys.keys_of(engine, "north")] == [NOW]
    assert keys.keys_of(engine, "south") == []
    engine.dispose()


def test_everything_wrong_with_a_new_key_is_said_at_once(engine: sa.Engine) -> None:
    with pytest.raises(ConfigError) as raised:
        keys.create(engine, "north", " ", ["platform", "owner"], NOW)
    assert [problem.where for problem in raised.value.problems] == ["--scope", "--name"]
    with pytest.raises(ConfigError, match="opens nothing"):
        keys.create(engine, "north", "nobody", [], NOW)
    engine.dispose()


def test_the_commands_make_list_and_revoke(tmp_path: Path) -> None:
    run, database = CliRunner(), f"sqlite:///{tmp_path}/service.db"
    made = run.invoke(commands, ["create", "--name", "first admin", "--scope", "admin", "--database", database])
    assert made.exit_code == 0
    token = made.stdout.split()[0]
    key_id = token.split("_")[1]
    listed = run.invoke(commands, ["list", "--database", database]).stdout
    assert key_id in listed
    assert "admin" in listed
    assert token not in listed
    assert run.invoke(commands, ["revoke", key_id, "--database", database]).exit_code == 0
    assert "revoked" in run.invoke(commands, ["list", "--database", database]).stdout


# -- over HTTP -------------------------------------------------------------------------------------------------------

OPEN = {"/healthz", "/readyz", "/login", "/docs", "/openapi.json"}


def test_every_route_but_the_open_ones_asks_for_a_key(service: "Live") -> None:
    asked = 0
    for path, methods in service.app.openapi()["paths"].items():
        for method in methods:
            response = service.client().request(method, path.replace("{", "x1").replace("}", ""), json={})
            if path not in OPEN:
                assert response.status_code == 401, f"{method} {path}: {response.status_code}"
                assert response.headers["www-authenticate"] == "Bearer"
                assert response.headers["content-type"] == "application/problem+json"
                asked += 1
    assert asked >= 3


def test_a_key_without_the_scope_is_told_which_it_takes(service: "Live", body: dict[str, Any]) -> None:
    response = service.as_("auditor").post("/v1/recommendations", json=body)
    assert response.status_code == 403
    assert "platform or clinician" in response.json()["detail"]


def test_a_revoked_key_opens_nothing_from_the_next_request_on(service: "Live") -> None:
    token = service.key("platform")
    client = service.client(Authorization=f"Bearer {token}")
    assert client.get("/v1/model").status_code == 200
    keys.revoke(service.service.engine, "default", token.split("_")[1], service.service.now())
    assert client.get("/v1/model").status_code == 401


def test_the_cookie_of_the_login_page_is_a_key_too(service: "Live") -> None:
    client = service.client(Cookie=f"therapist_fit_key={service.key('auditor')}")
    assert client.get("/v1/model").status_code == 200


def test_an_answer_of_one_tenant_is_not_there_for_another(
    service: "Live", listed: DirectoryData, body: dict[str, Any]
) -> None:
    load(service.service.engine, listed, NOW, "south")
    mine = service.as_("platform").post("/v1/recommendations", json=body)
    assert mine.status_code == 200
    assert service.as_("platform", tenant="south").get(mine.headers["location"]).status_code == 404
    assert service.as_("platform").get(mine.headers["location"]).content == mine.content


def test_a_tenant_without_a_directory_is_not_shown_anothers(service: "Live", body: dict[str, Any]) -> None:
    response = service.as_("platform", tenant="south").post("/v1/recommendations", json=body)
    assert response.status_code == 503
    assert "retry-after" in response.headers


def test_a_dataset_served_as_it_stands_belongs_to_the_default_tenant(
    folder: Path, bundle: Path, database: str, told: Settings, body: dict[str, Any],
    serve_live: "Callable[[FastAPI], AbstractContextManager[Live]]",
) -> None:  # fmt: skip
    with serve_live(create_app(told, Sources(bundle, data=folder, database=database), lambda: NOW)) as running:
        assert running.as_("platform").post("/v1/recommendations", json=body).status_code == 200
        assert running.as_("platform", tenant="south").post("/v1/recommendations", json=body).status_code == 503


# -- writes that are sent again ----------------------------------------------------------------------------------------


def sent(client: httpx.Client, body: dict[str, Any], key: str) -> httpx.Response:
    return client.post("/v1/recommendations", json=body, headers={"Idempotency-Key": key})


def test_a_write_sent_again_gives_the_first_outcome_byte_by_byte(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    first, again = sent(client, body, "k-1"), sent(client, body, "k-1")
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert sent(client, body, "k-2").json()["recommendation_id"] != first.json()["recommendation_id"]


def test_another_request_with_the_same_key_is_refused(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    sent(client, body, "k-1")
    refused = sent(client, {**body, "k": 7}, "k-1")
    assert refused.status_code == 422
    assert refused.json()["problems"][0]["field"] == "Idempotency-Key"


def test_the_same_key_of_another_caller_is_another_key(service: "Live", body: dict[str, Any]) -> None:
    first = sent(service.as_("platform"), body, "k-1")
    assert sent(service.as_("platform"), body, "k-1").json()["recommendation_id"] != first.json()["recommendation_id"]


def test_a_write_that_was_refused_is_not_remembered(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("platform")
    assert sent(client, {**body, "k": 1000}, "k-1").status_code == 422
    assert sent(client, body, "k-1").status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 129])
def test_a_key_for_repeats_that_cannot_be_kept_is_refused(service: "Live", body: dict[str, Any], key: str) -> None:
    assert sent(service.as_("platform"), body, key).status_code == 422


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "a|b"])
def test_a_tenant_that_no_row_could_carry_is_refused_by_name(
    engine: sa.Engine, listed: DirectoryData, name: str
) -> None:
    with pytest.raises(ConfigError, match="--tenant"):
        keys.create(engine, name, "intake form", ["platform"], NOW)
    with pytest.raises(ConfigError, match="--tenant"):
        load(engine, listed, NOW, name)
    engine.dispose()
