"""What Prometheus is told: added up over real workers, and true after one has died."""

import datetime as dt
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from data.database import connect, writing
from data.loading import DirectoryData
from data.loading import load as load_directory
from data.sql import DIRECTORY_VERSIONS
from serving.running.metrics import GROUPS, STAGES
from serving.running.overview import MOST_TENANTS, _directories

Serve = Callable[..., AbstractContextManager[Any]]
DAY = "2026-10-01"


@pytest.fixture(scope="module")
def process(
    serve_process: Serve,
    bundle: Path,
    listed: DirectoryData,
    new_database: Callable[[str, Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Any]:
    """Two workers on a stored directory."""
    folder = tmp_path_factory.mktemp("metrics")
    database = new_database("sqlite", folder)
    with serve_process(folder, database, "--bundle", str(bundle), "--workers", "2") as running:
        load_directory(running.engine, listed, dt.datetime.now(dt.UTC))
        yield running


def total(told: dict[Any, float], name: str, **labels: str) -> float:
    """The sum over all samples of a name that have these labels."""
    wanted = set(labels.items())
    return sum(value for (one, own), value in told.items() if one == name and wanted <= own)


def pids(process: Any) -> set[str]:
    return {e["event"].split("[")[1] for e in process.events() if e["event"].startswith("Started server process")}


def test_requests_are_added_up_over_workers_and_outlive_them(process: Any, body: dict[str, Any]) -> None:
    """Many connections, so that both workers are asked; then one is killed."""
    key = process.as_("platform").headers["Authorization"]
    before = process.metrics()

    def ask(_: int) -> int:
        headers = {"Authorization": key, "Connection": "close"}
        with httpx.Client(base_url=process.told["url"], headers=headers, timeout=60, trust_env=False) as client:
            return client.post("/v1/recommendations", json={**body, "as_of": DAY}).status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(60))) == {200}
    route = {"route": "/v1/recommendations", "method": "POST", "status": "200"}
    counted = process.metrics()

    def more(name: str, **labels: str) -> float:
        return total(counted, name, **labels) - total(before, name, **labels)

    assert more("therapist_fit_requests_total", **route) == 60
    assert more("therapist_fit_request_seconds_count", route="/v1/recommendations") == 60
    for stage in STAGES:
        assert more("therapist_fit_stage_seconds_count", stage=stage) == 60
    assert total(counted, "therapist_fit_requests_in_hand") == 0
    assert total(counted, "therapist_fit_workers") == 2
    assert total(counted, "therapist_fit_worker_restarts_total") == 0
    started = pids(process)
    os.kill(int(min(started).rstrip("]")), signal.SIGKILL)
    for _ in range(1200):  # as long as it takes unless something is stuck
        if total(process.metrics(), "therapist_fit_worker_restarts_total") == 1 and len(pids(process)) == 3:
            break
        time.sleep(0.05)
    assert len(pids(process)) == 3
    assert total(process.metrics(), "therapist_fit_worker_restarts_total") == 1
    assert total(process.metrics(), "therapist_fit_requests_total", **route) == total(
        counted, "therapist_fit_requests_total", **route
    )


def test_answers_are_counted_by_what_came_of_them(process: Any, body: dict[str, Any]) -> None:
    client, before = process.as_("platform"), process.metrics()
    ranked = client.post("/v1/recommendations", json={**body, "as_of": DAY}).json()
    nobody = {**body, "as_of": DAY, "client": {**body["client"], "jurisdiction": "NZ", "payer": "none-1"}}
    empty = client.post("/v1/recommendations", json=nobody).json()
    assert not empty["recommendations"]
    after = process.metrics()

    def more(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    outcome = "ranked" if ranked["meaningful_difference"] else "no_difference"
    assert more("therapist_fit_recommendations_total", outcome=outcome) == 1
    assert more("therapist_fit_recommendations_total", outcome="empty") == 1
    for rule in {*ranked["excluded"], *empty["excluded"]}:
        count = ranked["excluded"].get(rule, 0) + empty["excluded"].get(rule, 0)
        assert more("therapist_fit_excluded_total", rule=rule) == count
    assert more("therapist_fit_eligible_count") == 2
    assert more("therapist_fit_eligible_sum") == ranked["counts"]["eligible"] + empty["counts"]["eligible"]
    assert more("therapist_fit_tied_first_sum") == sum(one["tie_group"] == 1 for one in ranked["recommendations"])
    assert more("therapist_fit_shown_total") == len(ranked["recommendations"])
    assert more("therapist_fit_listed_total") == ranked["counts"]["considered"]
    groups = {(dict(own)["cases"], dict(own)["caseload"]) for name, own in after if name == "therapist_fit_shown_total"}
    assert groups <= set(GROUPS)


def test_open_and_overdue_safety_tasks_are_told_by_tenant(process: Any, body: dict[str, Any]) -> None:
    flagged = {**body, "measures": [{"instrument": "phq9", "item": "9", "value": 1, "taken_on": DAY}], "as_of": DAY}
    process.as_("platform").post("/v1/recommendations", json=flagged).raise_for_status()
    told = process.metrics()
    assert total(told, "therapist_fit_safety_tasks_open", tenant="default") == 1
    assert total(told, "therapist_fit_safety_tasks_overdue", tenant="default") == 0
    with writing(process.engine) as connection:
        connection.execute(sa.text("UPDATE safety_tasks SET due_at = '2026-01-01 00:00:00.000000'"))
    assert total(process.metrics(), "therapist_fit_safety_tasks_overdue", tenant="default") == 1


def test_the_model_and_the_directory_are_told_with_their_ages(process: Any) -> None:
    told, ready = process.metrics(), process.client().get("/readyz").json()
    assert total(told, "therapist_fit_model", bundle_id=ready["bundle_id"]) == 1
    assert total(told, "therapist_fit_model_age_seconds") > 0
    assert total(told, "therapist_fit_directory_age_seconds", tenant="default") > 0
    assert total(told, "therapist_fit_database_up") == 1
    assert total(told, "therapist_fit_refused_bundles_total") == 0


def test_a_route_is_counted_by_its_template_and_an_unknown_one_by_no_name(process: Any) -> None:
    client = process.as_("platform")
    client.get("/v1/recommendations/no-such-71351")
    client.get("/nothing-71351")
    client.request("WONDER-71351", "/healthz")
    told = process.metrics()
    assert (
        total(told, "therapist_fit_requests_total", route="/v1/recommendations/{recommendation_id}", status="404") == 1
    )
    assert total(told, "therapist_fit_requests_total", route="unknown", status="404") == 1
    assert not any("71351" in str(sample) for sample in told)


def test_tenants_beyond_the_first_hundred_are_told_together(database: str) -> None:
    now, engine = dt.datetime(2026, 10, 1, tzinfo=dt.UTC), connect(database)
    rows = [
        {"tenant": f"t{i:03}", "version": 1, "made_at": now, "source": "a test", "meta": {}}
        for i in range(MOST_TENANTS + 5)
    ]
    with writing(engine) as connection:
        connection.execute(sa.insert(DIRECTORY_VERSIONS), rows)
    with engine.connect() as connection:
        (family,) = _directories(connection, now)
    engine.dispose()
    assert len(family.samples) == MOST_TENANTS + 1
    assert {sample.labels["tenant"] for sample in family.samples} >= {"t000", "other"}
    assert {sample.value for sample in family.samples} == {0.0}
