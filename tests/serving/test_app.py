"""The service as a whole: kept answers, safety tasks, readiness, and a directory that changes."""

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from data.database import connect
from data.dataset import Dataset, read
from data.errors import BundleError, NotReadyError
from data.loading import from_dataset, load
from data.sql import RECOMMENDATIONS, SAFETY_TASKS
from data.synthetic.truth import Truth
from serving.app import create_app
from serving.card import ModelCard
from serving.service import Service
from serving.settings import Settings
from serving.sources import Sources

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
Serve = Callable[[FastAPI], AbstractContextManager[httpx.Client]]


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    engine = connect(database)
    yield engine
    engine.dispose()


@pytest.fixture
def own(folder: Path, bundle: Path, database: str, told: Settings, serve: Serve) -> Iterator[httpx.Client]:
    """A service with a database of its own."""
    with serve(create_app(told, Sources(bundle, data=folder, database=database), lambda: NOW)) as client:
        yield client


def rows(engine: sa.Engine, table: sa.Table) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(table))]


# -- the journal -----------------------------------------------------------------------------------------------------


def test_the_bytes_of_every_answer_are_kept_with_what_they_came_from(
    own: httpx.Client, engine: sa.Engine, body: dict[str, Any]
) -> None:
    response = own.post("/v1/recommendations", json=body)
    (row,) = rows(engine, RECOMMENDATIONS)
    assert row["answer"] == response.content
    assert row["recommendation_id"] == response.json()["recommendation_id"]
    assert row["bundle_id"] == response.json()["model"]["bundle_id"]
    assert row["request"] == body
    assert row["client_id"] == body["client"]["client_id"]
    assert row["made_at"] == NOW
    assert row["directory_version"] == 0
    assert row["directory_source"].startswith("synthetic clinic")
    assert rows(engine, SAFETY_TASKS) == []


def test_a_task_is_kept_with_the_answer_that_opened_it(
    own: httpx.Client, engine: sa.Engine, body: dict[str, Any]
) -> None:
    measures = [{"instrument": "phq9", "item": 9, "value": 3}, {"instrument": "core10", "item": 6, "value": 0}]
    answer = own.post("/v1/recommendations", json={**body, "measures": measures}).json()
    (task,) = rows(engine, SAFETY_TASKS)
    assert task["task_id"] == answer["safety"]["task_id"]
    assert task["recommendation_id"] == answer["recommendation_id"]
    assert task["status"] == "held"
    assert task["raised_by"] == ["phq9.9"]
    assert task["due_at"] == NOW + dt.timedelta(hours=24)
    assert task["closed_at"] is None


def test_an_answer_that_cannot_be_kept_is_not_given(own: httpx.Client, engine: sa.Engine, body: dict[str, Any]) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE recommendations RENAME TO elsewhere")
    response = own.post("/v1/recommendations", json=body)
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert "t-0" not in response.text
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO recommendations")
    assert own.post("/v1/recommendations", json=body).status_code == 200


def test_a_task_that_cannot_be_kept_keeps_the_answer_back_too(
    own: httpx.Client, engine: sa.Engine, body: dict[str, Any]
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE safety_tasks RENAME TO elsewhere")
    measures = [{"instrument": "phq9", "item": 9, "value": 1}]
    assert own.post("/v1/recommendations", json={**body, "measures": measures}).status_code == 503
    assert rows(engine, RECOMMENDATIONS) == []


# -- the directory ---------------------------------------------------------------------------------------------------


def test_a_therapist_who_is_no_longer_listed_is_in_no_later_answer(
    clinic: tuple[Dataset, Truth], folder: Path, bundle: Path, database: str, engine: sa.Engine, told: Settings,
    serve: Serve, body: dict[str, Any],
) -> None:  # fmt: skip
    load(engine, from_dataset(read(folder)), NOW)
    with serve(create_app(told, Sources(bundle, database=database), lambda: NOW)) as client:
        first = client.post("/v1/recommendations", json=body).json()
        gone = first["recommendations"][0]["therapist_id"]
        frames = dict(clinic[0].frames)
        for name in ("therapists", "licences", "slots"):
            frames[name] = frames[name][frames[name]["therapist_id"] != gone]
        load(engine, from_dataset(Dataset(clinic[0].manifest, frames)), NOW)
        second = client.post("/v1/recommendations", json={**body, "k": 100}).json()
    assert second["counts"]["considered"] == first["counts"]["considered"] - 1
    assert gone not in [one["therapist_id"] for one in second["recommendations"]]
    assert [row["directory_version"] for row in rows(engine, RECOMMENDATIONS)] == [1, 2]


def test_a_stored_directory_is_judged_today(
    folder: Path, bundle: Path, database: str, engine: sa.Engine, told: Settings, serve: Serve, body: dict[str, Any]
) -> None:
    load(engine, from_dataset(read(folder)), NOW)
    with serve(create_app(told, Sources(bundle, database=database), lambda: NOW)) as client:
        assert client.post("/v1/recommendations", json=body).json()["as_of"] == "2026-10-01"


# -- what the service says of itself ---------------------------------------------------------------------------------


def test_the_card_says_what_the_model_is_and_is_not(client: httpx.Client) -> None:
    card = ModelCard.model_validate(client.get("/v1/model").json())
    assert {head.name for head in card.heads} == {"outcome", "alliance", "retention", "early_dropout"}
    assert card.synthetic
    assert any("diagnosis" in limit for limit in card.limits)
    assert card.evaluation


def test_it_is_alive_and_ready(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert set(ready.json()) == {"status", "bundle_id", "version", "refused"}


def test_it_is_alive_but_not_ready_without_its_schema(own: httpx.Client, engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    response = own.get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert own.get("/healthz").status_code == 200


def test_the_example_in_the_documentation_works_as_it_stands(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()
    operation = described["paths"]["/v1/recommendations"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    answer = client.post("/v1/recommendations", json=example)
    assert answer.status_code == 200
    assert len(answer.json()["recommendations"]) == 5
    for status in ("422", "503"):
        assert "application/problem+json" in operation["responses"][status]["content"]
    assert client.get("/docs").status_code == 200


# -- what it needs ---------------------------------------------------------------------------------------------------


def test_without_a_directory_it_says_how_to_send_one(
    bundle: Path, database: str, told: Settings, serve: Serve, body: dict[str, Any]
) -> None:
    with serve(create_app(told, Sources(bundle, database=database), lambda: NOW)) as client:
        response = client.post("/v1/recommendations", json=body)
    assert response.status_code == 503
    assert "data load" in response.json()["detail"]


def test_an_older_schema_is_refused(bundle: Path, folder: Path, tmp_path: Path, told: Settings) -> None:
    with pytest.raises(NotReadyError, match="database schema none"):
        Service.open(told, Sources(bundle, data=folder, database=f"sqlite:///{tmp_path}/empty.db"))


def test_a_bundle_that_computes_otherwise_is_refused(
    bundle: Path, folder: Path, database: str, told: Settings, tmp_path: Path
) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(bundle, altered)
    design = json.loads((altered / "design.json").read_text())
    design["severity_mean"] += 0.01
    (altered / "design.json").write_text(json.dumps(design))
    with pytest.raises(BundleError):
        Service.open(told, Sources(altered, data=folder, database=database))
