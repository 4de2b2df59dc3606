"""One small synthetic clinic with a model, made once for all tests of the service."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from data.database import connect
from data.dataset import Dataset, read, write
from data.loading import DirectoryData, from_dataset
from data.loading import load as load_directory
from data.sql import TENANT
from data.synthetic.truth import Truth
from serving.access.keys import create
from serving.answering.matcher import Matcher
from serving.app import create_app
from serving.listing.directory import Directory
from serving.schemas import EXAMPLE_REQUEST
from serving.service import Service
from serving.settings import Limits, NextStep, Settings
from serving.sources import Sources
from training.config import PrognosisConfig, TrainConfig
from training.run import train
from training.storage import load

EXAMPLE = Path(__file__).parents[2] / "serving" / "settings.example.toml"
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
    limits=Limits(requests_per_minute=1_000_000),
)


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> Iterator[None]:
    """A server in a thread of this process would write its log into what a command prints meanwhile."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@dataclass
class Live:
    """A real server on a free port, in a thread of this process, and a client for each kind of key."""

    app: FastAPI
    url: str
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def service(self) -> Service:
        running: Service = self.app.state.service
        return running

    def key(self, *scopes: str, tenant: str = TENANT) -> str:
        """A new key, as it is sent."""
        return create(self.service.engine, tenant, "a test", scopes, self.service.now())[1]

    def as_(self, *scopes: str, tenant: str = TENANT) -> httpx.Client:
        """A client with a new key."""
        return self.client(Authorization=f"Bearer {self.key(*scopes, tenant=tenant)}")

    def client(self, **headers: str) -> httpx.Client:
        """A client with these headers and no key."""
        self.clients.append(httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False))
        return self.clients[-1]


@contextmanager
def live(app: FastAPI) -> Iterator[Live]:
    """Serves an application for the length of a block."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    assert server.started, getattr(app.state, "refused", "the server did not start")
    running = Live(app, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
    try:
        yield running
    finally:
        for client in running.clients:
            client.close()
        server.should_exit = True
        thread.join()


@contextmanager
def served(app: FastAPI) -> Iterator[httpx.Client]:
    """The same, asked with a platform's key."""
    with live(app) as running:
        yield running.as_("platform")


@pytest.fixture
def serve() -> Callable[[FastAPI], AbstractContextManager[httpx.Client]]:
    """Serves an application for the length of a block; the client has a platform's key."""
    return served


@pytest.fixture(scope="session")
def serve_live() -> Callable[[FastAPI], AbstractContextManager[Live]]:
    """Serves an application for the length of a block."""
    return live


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
def client(
    folder: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[str, Path], str]
) -> Iterator[httpx.Client]:
    """A service on the clinic as it stands, shared by all tests that only ask; the client has a platform's key."""
    database = new_database("sqlite", tmp_path_factory.mktemp("service"))
    with served(create_app(SETTINGS, Sources(bundle, data=folder, database=database), lambda: NOW)) as client:
        yield client


@pytest.fixture(scope="session")
def listed(clinic: tuple[Dataset, Truth]) -> DirectoryData:
    """The clinic's directory."""
    return from_dataset(clinic[0])


@pytest.fixture
def stored(database: str, listed: DirectoryData) -> str:
    """URL of a database that holds the clinic's directory, once on SQLite and once on PostgreSQL."""
    engine = connect(database)
    load_directory(engine, listed, NOW)
    engine.dispose()
    return database


@pytest.fixture
def service(stored: str, bundle: Path) -> Iterator[Live]:
    """A service on the stored directory: `service.as_("platform")` is a client with a key of that scope."""
    with live(create_app(SETTINGS, Sources(bundle, database=stored), lambda: NOW)) as running:
        yield running


@pytest.fixture
def body() -> dict[str, Any]:
    """A good request, of a client of its own: who is held in one test must not be held in another."""
    return {**EXAMPLE_REQUEST, "client": {**EXAMPLE_REQUEST["client"], "client_id": f"c-{uuid.uuid4().hex[:12]}-1"}}


@dataclass
class Process:
    """The command `therapist-fit serve` as a real process with its workers."""

    popen: subprocess.Popen[str]
    log: Path
    told: dict[str, Any]
    """What it said when it was ready: `url` and more."""
    engine: sa.Engine
    clients: list[httpx.Client] = field(default_factory=list)

    def as_(self, *scopes: str, tenant: str = TENANT) -> httpx.Client:
        """A client with a new key."""
        _, key = create(self.engine, tenant, "a test", scopes, dt.datetime.now(dt.UTC))
        return self.client(Authorization=f"Bearer {key}")

    def client(self, **headers: str) -> httpx.Client:
        """A client with these headers and no key."""
        self.clients.append(httpx.Client(base_url=self.told["url"], headers=headers, timeout=30, trust_env=False))
        return self.clients[-1]

    def metrics(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """What `/metrics` tells: (name, labels) -> value."""
        text = httpx.get(f"{self.told['metrics']}/metrics", timeout=30, trust_env=False).text
        families = text_string_to_metric_families(text)
        return {(one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples}

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Lines of its log so far, those of one event if named."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if name in (None, line["event"])]


@contextmanager
def process(folder: Path, database: str, *arguments: str, **environment: str) -> Iterator[Process]:
    """The server until the end of the block, in a working folder of its own; stopped by a signal if it still runs."""
    log, engine, settings = folder / "server.log", connect(database), folder / "settings.toml"
    roomy = EXAMPLE.read_text().replace("requests_per_minute = 600", "requests_per_minute = 1_000_000")
    settings.write_text(roomy)
    command = [sys.executable, "-c", "import therapist_fit; therapist_fit.main()", "serve", "--json"]
    command += ["--port", "0", "--metrics-port", "0", "--settings", str(settings), "--database", database, *arguments]
    with log.open("w") as written:
        popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=written, text=True, cwd=folder, env=os.environ | environment
        )
    assert popen.stdout is not None
    running = None
    try:
        first = popen.stdout.readline()
        assert first, log.read_text()[-3000:]
        running = Process(popen, log, json.loads(first), engine)
        yield running
    finally:
        for client in running.clients if running else ():
            client.close()
        if popen.poll() is None:
            popen.send_signal(signal.SIGTERM)
            assert popen.wait(timeout=60) == 0, log.read_text()[-3000:]
        popen.stdout.close()
        engine.dispose()


@pytest.fixture(scope="session")
def serve_process() -> Callable[..., AbstractContextManager[Process]]:
    """Starts `therapist-fit serve` for the length of a block: folder, database URL, options; a key by `as_`."""
    return process
