"""One small synthetic clinic with a model, made once for all tests of the service."""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
import uvicorn
from fastapi import FastAPI

from data.database import open_database
from data.dataset import Dataset, read, write
from data.loading import from_dataset
from data.synthetic.truth import Truth
from serving.app import create_app
from serving.directory import Directory
from serving.matcher import Matcher
from serving.schemas import EXAMPLE_REQUEST
from serving.service import Sources
from serving.settings import NextStep, Settings
from training.config import PrognosisConfig, TrainConfig
from training.run import train
from training.storage import load

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
SETTINGS = Settings(
    next_step=NextStep(
        contact="The intake team.",
        place_kept="The place is kept.",
        who_acts="The coordinator calls.",
        by_when="In two days.",
    ),
    held_next_step=NextStep(
        contact="The clinician on duty.",
        place_kept="The place is kept.",
        who_acts="A clinician talks first.",
        by_when="Today.",
    ),
    required_training={"ptsd": "ptsd", "ocd": "ocd", "eating_disorder": "eating_disorder"},
    time_zone="America/Los_Angeles",
)


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> Iterator[None]:
    """A server in a thread of this process would write its log into what a command prints meanwhile."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@contextmanager
def served(app: FastAPI) -> Iterator[httpx.Client]:
    """A real server on a free port, in a thread of this process."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    assert server.started, getattr(app.state, "refused", "the server did not start")
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def serve() -> Callable[[FastAPI], AbstractContextManager[httpx.Client]]:
    """Serves an application for the length of a block."""
    return served


@pytest.fixture(scope="session")
def told() -> Settings:
    return SETTINGS


@pytest.fixture(scope="session")
def folder(clinic: tuple[Dataset, Truth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic clinic as a dataset on disk."""
    return write(clinic[0], tmp_path_factory.mktemp("clinic") / "clinic")


@pytest.fixture(scope="session")
def bundle(clinic: tuple[Dataset, Truth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle learned from it."""
    config = TrainConfig(bootstraps=50, prognosis=PrognosisConfig(rounds=20, folds=2))
    made = tmp_path_factory.mktemp("bundle") / "bundle"
    train(clinic[0], config, made)
    return made


@pytest.fixture(scope="session")
def matcher(folder: Path, bundle: Path) -> Matcher:
    return Matcher(load(bundle), "test", Directory.of(from_dataset(read(folder)), SETTINGS), SETTINGS)


@pytest.fixture(scope="session")
def client(folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service on the clinic as it stands, shared by all tests that only ask."""
    database = new_database(tmp_path_factory.mktemp("service"))
    with served(create_app(SETTINGS, Sources(bundle, data=folder, database=database), lambda: NOW)) as client:
        yield client


@pytest.fixture
def database(tmp_path: Path) -> str:
    """URL of a database with the newest schema and nothing in it."""
    return new_database(tmp_path)


def new_database(folder: Path) -> str:
    url = f"sqlite:///{folder}/service.db"
    open_database(url).dispose()
    return url


@pytest.fixture
def body() -> dict[str, Any]:
    """A good request."""
    return {**EXAMPLE_REQUEST, "client": dict(EXAMPLE_REQUEST["client"])}
