"""A desk at which places are chosen, courses recorded and scores sent in."""

import datetime as dt
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
from data.sql import TENANT
from data.versions import change, current
from serving.app import create_app
from serving.service import Sources
from serving.settings import Settings

if TYPE_CHECKING:
    from tests.serving.conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)


@dataclass
class Desk:
    """A service with a clock that the test moves, and a platform that asks it."""

    live: "Live"
    moment: dt.datetime
    body: dict[str, Any]

    def __post_init__(self) -> None:
        self.client = self.live.as_("platform")
        self.engine = self.live.service.engine

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
            return current(connection, TENANT, therapist_id)

    def record(self, therapist_id: str, **payloads: Any) -> None:
        """Changes what the directory has of a therapist."""
        with writing(self.engine) as connection:
            change(connection, TENANT, "a test", {k: {therapist_id: v} for k, v in payloads.items()}, self.moment)

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
            return [dict(row._mapping) for row in connection.execute(sa.select(table))]


@pytest.fixture
def desk(
    stored: str,
    bundle: Path,
    told: Settings,
    body: dict[str, Any],
    serve_live: "Callable[[FastAPI], AbstractContextManager[Live]]",
) -> Iterator[Desk]:
    made: list[Desk] = []
    app = create_app(told, Sources(bundle, database=stored), lambda: made[0].moment if made else NOW)
    with serve_live(app) as running:
        made.append(Desk(running, NOW, body))
        yield made[0]
