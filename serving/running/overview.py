"""`/metrics`, by the parent: what all workers counted together, and what only the parent and the database know."""

import contextlib
import datetime as dt
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, Metric, multiprocess, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from data.errors import NotReadyError
from data.sql import DIRECTORY_VERSIONS, SAFETY_TASKS
from serving.running.handover import HandOver
from serving.running.supervisor import Crew
from training.bundle import Manifest

MOST_TENANTS = 100
"""Beyond these, those with the least are told together as `other`."""
_SHARED = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True)
class Overview(Collector):
    """What the parent knows, read when it is asked for."""

    crew: Crew
    handover: HandOver
    engine: sa.Engine
    now: Callable[[], dt.datetime]

    def collect(self) -> Iterator[Metric]:
        """The model, the workers, and what is in the database now; without a database the rest is still told."""
        now = self.now()
        yield from self._model(now)
        yield GaugeMetricFamily("therapist_fit_workers", "Workers that answer.", len(self.crew.ready()))
        yield CounterMetricFamily("therapist_fit_worker_restarts", "Workers that died.", self.crew.restarts)
        yield CounterMetricFamily("therapist_fit_refused_bundles", "Since the start.", self.handover.refused)
        refused = self.handover.refusal is not None
        yield GaugeMetricFamily("therapist_fit_bundle_refused", "1 while the champion is not served.", float(refused))
        try:
            with self.engine.connect() as connection:
                told = [*_directories(connection, now), *_tasks(connection, now)]
        except sa.exc.SQLAlchemyError:
            told = []
        yield GaugeMetricFamily("therapist_fit_database_up", "1 if the database could be read.", float(bool(told)))
        yield from told

    def _model(self, now: dt.datetime) -> Iterator[Metric]:
        serving = self.handover.serving
        manifest = Manifest.model_validate_json((serving.folder / "manifest.json").read_text())
        info = GaugeMetricFamily("therapist_fit_model", "What answers now.", labels=["version", "bundle_id"])
        info.add_metric([serving.version, manifest.bundle_id], 1)
        yield info
        age = (now - manifest.created_at).total_seconds()
        yield GaugeMetricFamily("therapist_fit_model_age_seconds", "Since it was trained.", age)


def _directories(connection: sa.Connection, now: dt.datetime) -> Iterator[Metric]:
    newest = sa.func.max(DIRECTORY_VERSIONS.c.made_at)
    asked = sa.select(DIRECTORY_VERSIONS.c.tenant, newest).group_by(DIRECTORY_VERSIONS.c.tenant)
    ages = {tenant: (now - made_at).total_seconds() for tenant, made_at in connection.execute(asked)}
    words = "Since the directory last changed."
    yield _by_tenant("therapist_fit_directory_age_seconds", words, ages, max)


def _tasks(connection: sa.Connection, now: dt.datetime) -> Iterator[Metric]:
    tasks = SAFETY_TASKS.c
    late = sa.func.sum(sa.case((tasks.due_at < now, 1), else_=0))
    asked = sa.select(tasks.tenant, sa.func.count(), late).where(tasks.closed_at.is_(None)).group_by(tasks.tenant)
    rows = connection.execute(asked).all()
    counted = {tenant: float(count) for tenant, count, _ in rows}
    overdue = {tenant: float(count) for tenant, _, count in rows}
    yield _by_tenant("therapist_fit_safety_tasks_open", "That nobody has closed.", counted, sum)
    yield _by_tenant("therapist_fit_safety_tasks_overdue", "Of them, those that are late.", overdue, sum)


def _by_tenant(
    name: str, words: str, values: Mapping[str, float], together: Callable[[list[float]], float]
) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, words, labels=["tenant"])
    most = sorted(values, key=lambda tenant: (-values[tenant], tenant))
    for tenant in most[:MOST_TENANTS]:
        gauge.add_metric([tenant], values[tenant])
    if rest := [values[tenant] for tenant in most[MOST_TENANTS:]]:
        gauge.add_metric(["other"], together(rest))
    return gauge


@contextlib.contextmanager
def shared_counts() -> Iterator[Path]:
    """A folder, empty at the start and gone at the end, in which workers that start within the block keep counts."""
    with tempfile.TemporaryDirectory(prefix="therapist-fit-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[_SHARED] = folder
        try:
            yield Path(folder)
        finally:
            del os.environ[_SHARED]


def bury(folder: Path, pid: int) -> None:
    """What a worker that died had in hand is no longer counted; what it had answered is."""
    multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def told(overview: Overview, counts: Path, host: str, port: int) -> Iterator[int]:
    """Serves `/metrics` for the length of the block; gives the port, any free one for 0.

    Raises NotReadyError if the address is taken.
    """
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, str(counts))  # type: ignore[no-untyped-call]
    registry.register(overview)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise NotReadyError(
            f"{host}:{port}: {error.strerror} -> name another --metrics-port or --metrics-host"
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
