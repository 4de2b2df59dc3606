"""A clinician releases a held answer: a new one with the list, the old one stays as it was, its task is closed."""

import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from data.loading import load
from data.sql import RECOMMENDATIONS, SAFETY_TASKS
from serving.again.release import EXAMPLE_RELEASE
from serving.app import create_app
from serving.settings import Exploration, Settings
from serving.sources import Sources

if TYPE_CHECKING:
    from conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
HELD = [{"instrument": "phq9", "item": "9", "value": 2, "taken_on": "2026-09-29"}]


def held(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/v1/recommendations", json={**body, "measures": HELD}).json()
    assert answer["safety"]["status"] == "held"
    assert answer["recommendations"] == []
    return answer


def path_of(answer: dict[str, Any], part: str = "") -> str:
    return f"/v1/recommendations/{answer['recommendation_id']}{part}"


def tasks(live: "Live") -> list[dict[str, Any]]:
    with live.service.engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(sa.select(SAFETY_TASKS))]


def answers(live: "Live") -> list[dict[str, Any]]:
    with live.service.engine.connect() as connection:
        rows = connection.execute(sa.select(RECOMMENDATIONS).order_by(RECOMMENDATIONS.c.released_from))
        return [dict(row._mapping) for row in rows]


def test_the_list_is_in_a_new_answer_and_the_old_one_stays(service: "Live", body: dict[str, Any]) -> None:
    platform, clinician = service.as_("platform"), service.as_("clinician")
    before = held(platform, body)
    response = clinician.post(path_of(before, "/release"), json=EXAMPLE_RELEASE)
    after = response.json()
    assert response.status_code == 200
    assert response.headers["Location"] == path_of(after)
    assert after["recommendation_id"] != before["recommendation_id"]
    assert after["released_from"] == before["recommendation_id"]
    assert len(after["recommendations"]) == body["k"]
    assert after["next_step"] is None
    assert platform.get(path_of(before)).json() == before
    assert platform.get(path_of(after)).content == response.content


def test_what_was_reported_stays_told(service: "Live", body: dict[str, Any]) -> None:
    before = held(service.as_("platform"), body)
    after = service.as_("clinician").post(path_of(before, "/release"), json=EXAMPLE_RELEASE).json()
    assert after["safety"]["status"] == "flagged"
    assert after["safety"]["asked"] == ["phq9.9"]
    assert after["safety"]["task_id"] == before["safety"]["task_id"]
    assert "reported on 2026-09-29" in after["safety"]["words"]
    assert "released the list" in after["safety"]["words"]


def test_the_task_is_closed_by_name_and_no_other_is_opened(service: "Live", body: dict[str, Any]) -> None:
    before = held(service.as_("platform"), body)
    service.as_("clinician").post(path_of(before, "/release"), json=EXAMPLE_RELEASE)
    (task,) = tasks(service)
    assert task["task_id"] == before["safety"]["task_id"]
    assert (task["closed_by"], task["reason"]) == (EXAMPLE_RELEASE["who"], EXAMPLE_RELEASE["reason"])
    assert task["closed_at"] == NOW


def test_a_task_that_was_closed_before_keeps_who_closed_it(service: "Live", body: dict[str, Any]) -> None:
    before = held(service.as_("platform"), body)
    earlier = {"closed_at": NOW - dt.timedelta(hours=1), "closed_by": "clinician-2", "reason": "Called back."}
    with service.service.engine.begin() as connection:
        connection.execute(sa.update(SAFETY_TASKS).values(**earlier))
    assert service.as_("clinician").post(path_of(before, "/release"), json=EXAMPLE_RELEASE).status_code == 200
    (task,) = tasks(service)
    assert (task["closed_by"], task["closed_at"]) == ("clinician-2", earlier["closed_at"])
    assert task["reason"] == f"Called back.\nReleased by clinician-7: {EXAMPLE_RELEASE['reason']}"


def test_an_answer_is_released_once(service: "Live", body: dict[str, Any]) -> None:
    clinician = service.as_("clinician")
    before = held(service.as_("platform"), body)
    first = clinician.post(path_of(before, "/release"), json=EXAMPLE_RELEASE).json()
    again = clinician.post(path_of(before, "/release"), json=EXAMPLE_RELEASE)
    assert again.status_code == 409
    assert first["recommendation_id"] in again.json()["detail"]
    assert clinician.post(path_of(first, "/release"), json=EXAMPLE_RELEASE).status_code == 409


def test_of_several_clinicians_at_once_one_releases_it(service: "Live", body: dict[str, Any]) -> None:
    before = held(service.as_("platform"), body)
    clients = [service.as_("clinician") for _ in range(6)]
    with ThreadPoolExecutor(len(clients)) as pool:
        sent = pool.map(lambda one: one.post(path_of(before, "/release"), json=EXAMPLE_RELEASE).status_code, clients)
        statuses = sorted(sent)
    assert statuses == [200] + [409] * 5
    assert [row["released_from"] for row in answers(service)].count(before["recommendation_id"]) == 1


def test_an_answer_that_is_not_held_needs_no_release(service: "Live", body: dict[str, Any]) -> None:
    given = service.as_("platform").post("/v1/recommendations", json=body).json()
    refused = service.as_("clinician").post(path_of(given, "/release"), json=EXAMPLE_RELEASE)
    assert refused.status_code == 409
    assert "not held" in refused.json()["detail"]


def test_only_a_clinician_releases(service: "Live", body: dict[str, Any]) -> None:
    before = held(service.as_("platform"), body)
    for scope in ("platform", "auditor", "admin"):
        assert service.as_(scope).post(path_of(before, "/release"), json=EXAMPLE_RELEASE).status_code == 403
    assert service.client().post(path_of(before, "/release"), json=EXAMPLE_RELEASE).status_code == 401
    assert tasks(service)[0]["closed_at"] is None


@pytest.mark.parametrize(
    "missing",
    [{"who": "c-1"}, {"reason": "talked"}, {"who": " ", "reason": "talked"}, {"who": "c-1", "reason": "nul \0"}],
)
def test_who_and_why_go_on_record(service: "Live", body: dict[str, Any], missing: dict[str, str]) -> None:
    before = held(service.as_("platform"), body)
    refused = service.as_("clinician").post(path_of(before, "/release"), json=missing)
    assert refused.status_code == 422
    assert refused.json()["problems"]


def test_sent_again_with_its_key_it_is_the_same_release(service: "Live", body: dict[str, Any]) -> None:
    clinician = service.as_("clinician")
    before = held(service.as_("platform"), body)
    sent = {"json": EXAMPLE_RELEASE, "headers": {"Idempotency-Key": "release-1"}}
    first, again = (clinician.post(path_of(before, "/release"), **sent) for _ in range(2))
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_release_that_cannot_be_kept_is_not_made(service: "Live", body: dict[str, Any]) -> None:
    clinician, engine = service.as_("clinician"), service.service.engine
    before = held(service.as_("platform"), body)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE safety_tasks RENAME TO elsewhere")
    assert clinician.post(path_of(before, "/release"), json=EXAMPLE_RELEASE).status_code == 503
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO safety_tasks")
    assert len(answers(service)) == 1
    assert clinician.post(path_of(before, "/release"), json=EXAMPLE_RELEASE).status_code == 200


def test_a_released_answer_never_explores(
    stored: str, bundle: Path, told: Settings, serve_live: Callable[[FastAPI], AbstractContextManager["Live"]],
    body: dict[str, Any],
) -> None:  # fmt: skip
    signed = Exploration(signed_by="A. Lead", signed_on=NOW.date(), reason="to keep learning", share=0.1)
    exploring = told.model_copy(update={"exploration": signed})
    with serve_live(create_app(exploring, Sources(bundle, database=stored), lambda: NOW)) as live:
        before = held(live.as_("platform"), body)
        live.as_("clinician").post(path_of(before, "/release"), json=EXAMPLE_RELEASE)
        (released,) = [row for row in answers(live) if row["released_from"] is not None]
    assert released["seed"] is None
    assert released["propensities"] is None
    assert released["audience"] == "platform"


def test_it_is_answered_from_todays_directory(service: "Live", listed: Any, body: dict[str, Any]) -> None:
    before = held(service.as_("platform"), body)
    entries = {
        kind: {name: one for name, one in rows.items() if name != "t-00024"} for kind, rows in listed.entries.items()
    }
    load(service.service.engine, type(listed)(0, listed.source, listed.meta, entries), NOW)
    after = service.as_("clinician").post(path_of(before, "/release"), json=EXAMPLE_RELEASE).json()
    assert after["counts"]["considered"] == before["counts"]["considered"] - 1
