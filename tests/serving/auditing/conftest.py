"""A service whose bundle was audited, and one whose bundle was not."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI

from data.database import connect
from data.loading import DirectoryData
from data.loading import load as load_directory
from features.policy import Policy
from serving.access.auth import COOKIE
from serving.app import create_app
from serving.settings import Settings
from serving.sources import Sources
from tests.training.report.examples import MADE_AT, rich
from training.audit.document import Audit
from training.deciding import publish

if TYPE_CHECKING:
    from conftest import Live

Started = Callable[[FastAPI], AbstractContextManager["Live"]]


@pytest.fixture
def fresh(stored: str, bundle: Path, serve_live: Started, told: Settings) -> "Iterator[Live]":
    """A service on a database of its own, whose bundle was not audited."""
    with serve_live(create_app(told, Sources(bundle, database=stored), lambda: MADE_AT)) as running:
        yield running


@pytest.fixture(scope="module")
def audited(
    listed: DirectoryData,
    bundle: Path,
    new_database: Callable[[str, Path], str],
    tmp_path_factory: pytest.TempPathFactory,
    serve_live: Started,
    told: Settings,
) -> "Iterator[Live]":
    """A service whose bundle was audited, shared by tests that only read."""
    url = new_database("sqlite", tmp_path_factory.mktemp("audited"))
    engine = connect(url)
    load_directory(engine, listed, MADE_AT)
    engine.dispose()
    with serve_live(create_app(told, Sources(bundle, database=url), lambda: MADE_AT)) as running:
        put_before(running)
        yield running


def put_before(running: "Live", **changes: Any) -> str:
    """Publishes an audit of the served bundle under today's policy; its evidence hash."""
    text = document(running, **changes).model_dump_json().encode()
    return publish(running.service.engine, text, "3").evidence_hash


def document(running: "Live", **changes: Any) -> Audit:
    """An audit of the served bundle under today's policy."""
    bundle_id = running.service.model.bundle.manifest.bundle_id
    return rich(**{"bundle_id": bundle_id, "policy_hash": Policy.read().hash(), **changes})


def browser_of(running: "Live", *scopes: str, tenant: str = "default") -> httpx.Client:
    """A client that is signed in as a browser is."""
    return running.client(Cookie=f"{COOKIE}={running.key(*scopes, tenant=tenant)}")
