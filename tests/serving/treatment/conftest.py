"""A desk at which places are chosen, courses recorded and scores sent in."""

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from data.database import writing
from data.loading import DirectoryData
from data.loading import load as load_directory
from data.versions import change, current, latest_version
from serving.app import create_app
from serving.settings import Settings
from serving.sources import Sources

if TYPE_CHECKING:
    from tests.serving.conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)


@dataclass
class Clock:
    """The service's time."""

    moment: dt.datetime = NOW

    def __call__(self) -> dt.datetime:
        return self.moment


@dataclass
class Desk:
    """A clinic of a test's own in a service that all share, with a clock that the test moves."""

    live: "Live"
    clock: Clock
    tenant: str
    body: dict[str, Any]

    def __post_init__(self) -> None:
        self.client = self.as_("platform")
        self.engine = self.live.service.engine

    @property
    def moment(self) -> dt.datetime:
        return self.clock.moment

    @moment.setter
    def moment(self, moment: dt.datetime) -> None:
        self.clock.moment = moment

    @property
    def version(self) -> int | None:
        """The newest version of the clinic's directory."""
        return latest_version(self.engine, self.tenant)

    def as_(self, *scopes: str) -> httpx.Client:
        """Somebody of the clinic with a new key."""
        return self.live.as_(*scopes, tenant=self.tenant)

    def elsewhere(self, *scopes: str) -> httpx.Client:
        """Somebody of another clinic."""
        return self.live.as_(*scopes, tenant=f"{self.tenant}-south")

    def ask(self, **changes: Any) -> dict[str, Any]:
        response = self.client.post("/v1/recommendations", json={**self.body, **changes})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def choose(self, answer: dict[str, Any], client: httpx.Client | None = None, **sent: Any) -> httpx.Response:
        path = f"/v1/recommendations/{answer['recommendation_id']}/choice"
        return (client or self.client).post(path, json={"kind": "chosen", **sent})

    def on_record(self, therapist_id: str) -> dict[str, Any]:
        with self.engine.connect() as connection:
            return current(connection, self.tenant, therapist_id)

    def record(self, therapist_id: str, **payloads: Any) -> None:
        """Changes what the directory has of a therapist."""
        with writing(self.engine) as connection:
            change(connection, self.tenant, "a test", {k: {therapist_id: v} for k, v in payloads.items()}, self.moment)

    def leave_places(self, therapist_id: str, count: int) -> None:
        known = self.on_record(therapist_id)
        open_cases = known["profile"]["caseload_capacity"] - count
        self.record(therapist_id, caseload={**known["caseload"], "open_cases": open_cases})

    def put(self, episode_id: str, client: httpx.Client | None = None, **sent: Any) -> httpx.Response:
        headers = {"If-Match": sent.pop("if_match")} if "if_match" in sent else {}
        return (client or self.client).put(f"/v1/episodes/{episode_id}", json=sent, headers=headers)

    def begin(self, episode_id: str = "e-1", therapist_id: str = "t-00000", **sent: Any) -> dict[str, Any]:
        """A course that began elsewhere, started on 1 September."""
        known = {"client_id": "c-1042", "therapist_id": therapist_id, "started_on": "2026-09-01", **sent}
        response = self.put(episode_id, **known)
        assert response.status_code == 201, response.text
        course: dict[str, Any] = response.json()
        return course

    def measure(self, *measures: dict[str, Any], client: httpx.Client | None = None, **sent: Any) -> httpx.Response:
        """Answers of 8 September, session 1, unless said otherwise."""
        given = [{"taken_on": "2026-09-08", **one} for one in measures]
        body = {"episode_id": "e-1", "session": 1, "measures": given, **sent}
        return (client or self.client).post("/v1/measures", json=body)

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            return [
                dict(row._mapping) for row in connection.execute(sa.select(table).where(table.c.tenant == self.tenant))
            ]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def shared(
    request: pytest.FixtureRequest,
    new_database: Callable[[str, Path], str],
    tmp_path_factory: pytest.TempPathFactory,
    bundle: Path,
    told: Settings,
    serve_live: "Callable[[FastAPI], AbstractContextManager[Live]]",
) -> "Iterator[tuple[Live, Clock]]":
    """One service on each database, for clinics that do not see each other."""
    database, clock = new_database(request.param, tmp_path_factory.mktemp("treatment")), Clock()
    with serve_live(create_app(told, Sources(bundle, database=database), clock)) as running:
        yield running, clock


@pytest.fixture
def desk(shared: "tuple[Live, Clock]", listed: DirectoryData, body: dict[str, Any]) -> Desk:
    """A clinic with the synthetic directory, on 1 October 2026."""
    live, clock = shared
    made = Desk(live, clock, f"clinic-{uuid.uuid4().hex}", body)
    made.moment = NOW
    load_directory(made.engine, listed, NOW, made.tenant)
    return made
