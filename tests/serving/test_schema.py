"""The API does what its own description says, whatever is sent: no failure, and every answer of the form described."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from data.database import connect
from data.loading import DirectoryData
from data.loading import load as load_directory
from serving.app import create_app
from serving.settings import Settings
from serving.sources import Sources

if TYPE_CHECKING:
    from conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
CHECKS = (not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance)
EVERY_SCOPE = ("platform", "clinician", "auditor", "admin")


@pytest.fixture(scope="module")
def described(
    listed: DirectoryData,
    bundle: Path,
    new_database: Callable[[str, Path], str],
    tmp_path_factory: pytest.TempPathFactory,
    serve_live: "Callable[[FastAPI], AbstractContextManager[Live]]",
    told: Settings,
) -> Iterator[schemathesis.schemas.BaseSchema]:
    url = new_database("sqlite", tmp_path_factory.mktemp("fuzzed"))
    engine = connect(url)
    load_directory(engine, listed, NOW)
    engine.dispose()
    with serve_live(create_app(told, Sources(bundle, database=url), lambda: NOW)) as running:
        schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
        schema.config.update(headers={"Authorization": f"Bearer {running.key(*EVERY_SCOPE)}"})
        yield schema


def test_whatever_is_sent_the_answer_is_one_that_is_described(described: schemathesis.schemas.BaseSchema) -> None:
    tried = []
    for found in described.get_all_operations():
        operation = found.ok()
        tried.append(operation.label)

        @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
        @given(case=operation.as_strategy())
        def answers(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=list(CHECKS))

        answers()
    assert len(tried) >= 8
    assert "POST /v1/recommendations" in tried
