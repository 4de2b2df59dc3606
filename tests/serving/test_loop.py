"""The loop closes: ask, choose, treat, measure, export, learn again, and the next model knows what came of it."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI

from data.database import connect
from data.dataset import read
from data.exporting import export
from data.loading import DirectoryData
from data.loading import load as load_directory
from serving.app import create_app
from serving.running.loaded import Model
from serving.settings import Exploration, Settings
from serving.sources import Sources
from training.config import PrognosisConfig, TrainConfig
from training.run import train
from training.storage import load

if TYPE_CHECKING:
    from conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
COURSES = 12
LEARNING_LAG = dt.timedelta(weeks=40)
"""A course is learned from once 30 weeks have passed since the match."""


class Clock:
    """The service's clock, which the test moves."""

    def __init__(self) -> None:
        self.moment = NOW

    def __call__(self) -> dt.datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def platform(
    listed: DirectoryData, new_database: Callable[[str, Path], str], tmp_path: Path, bundle: Path, told: Settings,
    clock: Clock, serve_live: "Callable[[FastAPI], AbstractContextManager[Live]]",
) -> "Iterator[tuple[Live, str]]":  # fmt: skip
    """A platform, and its database's URL; a named lead has signed for exploration."""
    url = new_database("sqlite", tmp_path)
    engine = connect(url)
    load_directory(engine, listed, NOW)
    engine.dispose()
    signed = Exploration(signed_by="A. Lead", signed_on=NOW.date(), reason="to learn fairly")
    settings = told.model_copy(update={"exploration": signed})
    with serve_live(create_app(settings, Sources(bundle, database=url), clock)) as running:
        yield running, url


def treat(platform: httpx.Client, clock: Clock, body: dict[str, Any], client_id: str, **columns: Any) -> dict[str, Any]:
    """One client's way: shown therapists, the first chosen, treated for six sessions, better in the end."""
    asked = {**body, "client": {**body["client"], "client_id": client_id, **columns}}
    shown = platform.post("/v1/recommendations", json=asked).json()
    first = shown["recommendations"][0]
    chosen = platform.post(
        f"/v1/recommendations/{shown['recommendation_id']}/choice",
        json={"kind": "chosen", "therapist_id": first["therapist_id"]},
    )
    assert chosen.status_code == 201, chosen.text
    course = f"/v1/episodes/{chosen.json()['episode_id']}"
    start = clock.moment.date() + dt.timedelta(days=5)
    clock.moment += dt.timedelta(weeks=8)
    assert platform.put(course, json={"started_on": str(start)}).status_code == 200
    for session, score in ((2, 12), (4, 9), (6, 6)):
        day = str(start + dt.timedelta(weeks=session))
        measures = [
            {"instrument": "phq9", "value": score, "taken_on": day},
            {"instrument": "gad7", "value": score - 1, "taken_on": day},
        ]
        kept = platform.post(
            "/v1/measures", json={"episode_id": chosen.json()["episode_id"], "session": session, "measures": measures}
        )
        assert kept.status_code == 200, kept.text
    ended = {"ended_on": str(start + dt.timedelta(weeks=7)), "ending": "planned", "sessions_attended": 6}
    assert platform.put(course, json=ended).status_code == 200
    clock.moment -= dt.timedelta(weeks=8)
    return {**chosen.json(), "shown": [one["therapist_id"] for one in shown["recommendations"]]}


def test_what_came_of_it_is_learned_and_whoever_agreed_to_care_only_is_not(
    platform: "tuple[Live, str]", clock: Clock, body: dict[str, Any], folder: Path, bundle: Path, tmp_path: Path
) -> None:
    running, url = platform
    client = running.as_("platform")
    learned = [treat(client, clock, body, f"c-new-{i}") for i in range(COURSES)]
    only_care = treat(client, clock, body, "c-care-1", data_use="care_only")

    clock.moment += LEARNING_LAG
    engine = connect(url)
    export(engine, tmp_path / "after", clock.moment, onto=folder)
    engine.dispose()
    episodes = read(tmp_path / "after")["episodes"].set_index("episode_id")
    mine = episodes.loc[[one["episode_id"] for one in learned]]
    assert only_care["episode_id"] not in episodes.index
    assert set(mine["assigned_by"]) == {"algorithm"}
    assert mine["propensity"].between(0, 1, inclusive="right").all(), "exploration is signed: every chance is on record"
    offers = read(tmp_path / "after")["offers"]
    for one in learned:
        assert set(offers.loc[offers["episode_id"] == one["episode_id"], "therapist_id"]) == set(one["shown"])

    config = TrainConfig(bootstraps=50, prognosis=PrognosisConfig(rounds=20, folds=2))
    train(read(tmp_path / "after"), config, tmp_path / "bundle")
    before, after = cases(load(bundle)), cases(load(tmp_path / "bundle"))
    seen = Counter(one["therapist_id"] for one in learned)
    assert {name: after[name] for name in before} == {name: count + seen[name] for name, count in before.items()}
    assert seen.keys() <= after.keys()

    loaded = running.service.loaded
    loaded.swap(loaded.readied(Model.of(tmp_path / "bundle")))
    answer = client.post("/v1/recommendations", json=body).json()
    assert answer["model"]["bundle_id"] == load(tmp_path / "bundle").manifest.bundle_id


def cases(bundle: Any) -> dict[str, float]:
    """Courses that a bundle knows of, by therapist."""
    return dict(zip(bundle.records.ids, bundle.records.counts["cases"].tolist(), strict=True))
