"""A thousand choices at once for a hundred places, asked of two real workers on each database."""

import asyncio
import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import sqlalchemy as sa

from data.database import connect, new_id
from data.directory import DirectoryData
from data.loading import load as load_directory
from data.sql import CHOICES, EPISODES, RECOMMENDATIONS, TENANT
from data.versions import latest_version, read_directory
from serving.access.keys import create

if TYPE_CHECKING:
    from tests.serving.conftest import Process

THERAPISTS, PLACES, SLOTS, CLIENTS = 10, 10, 4, 1000
AT_ONCE = 40


def crowded(listed: DirectoryData, now: dt.datetime) -> DirectoryData:
    """Ten therapists with ten places and four free times each, whom any client can see."""
    names = sorted(listed.entries["profile"])[:THERAPISTS]
    start = now.replace(minute=0, second=0, microsecond=0) + dt.timedelta(days=2)
    times = [(start + dt.timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%SZ") for day in range(SLOTS)]
    slots = {"rows": [{"starts_at": time, "status": "free"} for time in times], "updated_at": f"{now:%Y-%m-%d}"}
    room = {"accepts_new": True, "caseload_capacity": 20 + PLACES}
    entries = {
        "profile": {name: {**listed.entries["profile"][name], **room} for name in names},
        "licences": {name: listed.entries["licences"][name] for name in names},
        "slots": dict.fromkeys(names, slots),
        "caseload": {name: {"open_cases": 20} for name in names},
    }
    return replace(listed, meta=listed.meta.model_copy(update={"rules": ("capacity",)}), entries=entries)


def copied(engine: sa.Engine, recommendation_id: str, now: dt.datetime) -> list[str]:
    """As many answers as there are clients, all like one that was given."""
    table = RECOMMENDATIONS
    with engine.begin() as connection:
        one = connection.execute(sa.select(table).where(table.c.recommendation_id == recommendation_id)).one()
        rows = [{**one._mapping, "recommendation_id": new_id(now), "client_id": f"c-{i}"} for i in range(CLIENTS)]
        connection.execute(sa.insert(table), rows)
    return [row["recommendation_id"] for row in rows]


async def choose_all(url: str, key: str, wanted: list[tuple[str, dict[str, Any]]]) -> list[httpx.Response]:
    """Everybody at once; who is told to wait asks again."""
    limits = httpx.Limits(max_connections=AT_ONCE)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=120, trust_env=False) as client:

        async def choose(recommendation_id: str, sent: dict[str, Any]) -> httpx.Response:
            key = {
                "Idempotency-Key": str(uuid.uuid4())
            }  # a connection that broke is tried again: nothing happens twice
            while True:
                try:
                    path = f"/v1/recommendations/{recommendation_id}/choice"
                    response = await client.post(path, json=sent, headers=key)
                except httpx.TransportError:
                    continue
                if response.status_code != 503:
                    return response
                await asyncio.sleep(float(response.headers["retry-after"]))

        return await asyncio.gather(*(choose(*one) for one in wanted))


def test_a_thousand_choices_take_a_hundred_places_and_no_time_twice(
    database: str, listed: DirectoryData, bundle: Path, body: dict[str, Any], tmp_path: Path,
    serve_process: "Callable[..., AbstractContextManager[Process]]",
) -> None:  # fmt: skip
    now = dt.datetime.now(dt.UTC)
    engine = connect(database)
    load_directory(engine, crowded(listed, now), now)
    key = create(engine, TENANT, "a crowd", ["platform"], now)[1]
    with serve_process(tmp_path, database, "--bundle", str(bundle), "--workers", "2") as process:
        url = process.told["url"]
        asked = httpx.post(
            f"{url}/v1/recommendations", headers={"Authorization": f"Bearer {key}"}, trust_env=False,
            json={**body, "preferences": [], "k": THERAPISTS}, timeout=60,
        ).json()  # fmt: skip
        names = [one["therapist_id"] for one in asked["recommendations"]]
        times = [row["starts_at"] for row in crowded(listed, now).entries["slots"][names[0]]["rows"]]
        answers = copied(engine, asked["recommendation_id"], now)
        wanted = [(answer, sent_by(i, names, times)) for i, answer in enumerate(answers)]
        told = asyncio.run(choose_all(url, key, wanted))
        one_answer = [(asked["recommendation_id"], {"kind": "declined", "reason": "other"})]
        assert [one.status_code for one in asyncio.run(choose_all(url, key, one_answer))] == [201]
    assert Counter(one.status_code for one in told) == {201: THERAPISTS * PLACES, 409: CLIENTS - THERAPISTS * PLACES}
    assert all(" -> " in one.json()["detail"] for one in told if one.status_code == 409)
    check(engine, names, [one.json() for one in told if one.status_code == 201])
    engine.dispose()


def sent_by(client: int, names: list[str], times: list[str]) -> dict[str, Any]:
    """Each asks one of the ten; every other names one of the four times."""
    turn, who = divmod(client, THERAPISTS)
    sent = {"kind": "chosen", "therapist_id": names[who]}
    return sent | ({"starts_at": times[turn // 2 % SLOTS]} if turn % 2 else {})


def check(engine: sa.Engine, names: list[str], taken: list[dict[str, Any]]) -> None:
    """Places taken equal places, each once; each booked time belongs to the one course that says so."""
    directory = read_directory(engine)
    assert directory is not None
    of_directory = {one["episode_id"]: name for name in names for one in directory.entries["caseload"][name]["taken"]}
    assert of_directory == {one["episode_id"]: one["therapist_id"] for one in taken}
    assert Counter(of_directory.values()) == dict.fromkeys(names, PLACES)
    booked = [
        (row["episode_id"], name, dt.datetime.fromisoformat(row["starts_at"]))
        for name in names
        for row in directory.entries["slots"][name]["rows"]
        if row["status"] == "booked"
    ]
    said = [
        (one["episode_id"], one["therapist_id"], dt.datetime.fromisoformat(one["starts_at"]))
        for one in taken
        if one["starts_at"]
    ]
    assert sorted(booked) == sorted(said)
    with engine.connect() as connection:
        episodes = {row.episode_id for row in connection.execute(sa.select(EPISODES.c.episode_id))}
        chosen = [row.episode_id for row in connection.execute(sa.select(CHOICES).where(CHOICES.c.kind == "chosen"))]
    assert sorted(chosen) == sorted(episodes) == sorted(of_directory)
    assert latest_version(engine) == 1 + len(taken)
