"""How fast one answer is: what is measured is what it is said to be. No time is asserted."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

from data.loading import from_dataset
from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from experiments.speed import BODY, check, in_process, ready_made, table
from experiments.speed_clinic import everyone_eligible
from experiments.speed_floor import commit_times, floor_of
from experiments.speed_servers import SETTINGS
from serving.answering.matcher import Matcher, question
from serving.listing.directory import Directory
from serving.schemas import RecommendationRequest
from serving.settings import Settings
from training.config import PrognosisConfig, TrainConfig
from training.run import train
from training.storage import load

THERAPISTS = 70
FREE_FROM = dt.datetime.now(dt.UTC) + dt.timedelta(days=2)


@pytest.fixture(scope="module")
def matcher(tmp_path_factory: pytest.TempPathFactory) -> Matcher:
    home = tmp_path_factory.mktemp("speed")
    dataset, _ = simulate(Plan(episodes=900, therapists=25, seed=0))
    train(dataset, TrainConfig(bootstraps=50, prognosis=PrognosisConfig(rounds=5, folds=2)), home / "bundle")
    (home / "settings.toml").write_text(SETTINGS)
    settings = Settings.read(home / "settings.toml")
    data = everyone_eligible(from_dataset(dataset), THERAPISTS, FREE_FROM)
    directory = Directory.of(data, settings)
    return Matcher(load(home / "bundle"), "speed", directory, settings)


def test_everybody_may_see_the_example_client_and_no_two_are_alike(matcher: Matcher):
    first = min(matcher.directory.practice.slots.starts_at)
    assert first >= np.datetime64(FREE_FROM.replace(tzinfo=None), "s")
    check(in_process(matcher), THERAPISTS)
    assert len({tuple(row) for row in matcher.prepared(dt.date(2026, 11, 1)).ranking.tolist()}) == THERAPISTS


def test_a_directory_in_which_somebody_is_excluded_is_not_measured():
    told = {"counts": {"considered": 2, "eligible": 1}, "recommendations": [], "excluded": {"slot": 1}}
    with pytest.raises(RuntimeError, match="slot"):
        check(json.dumps(told).encode(), 2)


def test_the_floor_is_a_variance_for_every_therapist_and_none_for_the_best(matcher: Matcher):
    request = RecommendationRequest.model_validate_json(BODY)
    asked = question(matcher, request, dt.datetime.now(dt.UTC))
    found = floor_of(matcher.bundle, asked.client, matcher.prepared(asked.day))()
    assert isinstance(found, np.ndarray)
    assert found.shape == (THERAPISTS,)
    assert np.all(found > 0)


def test_columns_for_mlflow_are_as_many_as_said():
    body = json.loads(ready_made(3, 5))["dataframe_split"]
    assert len(body["columns"]) == 5
    assert [len(row) for row in body["data"]] == [5, 5, 5]


def test_commits_are_timed_in_a_journal_that_has_grown(tmp_path: Path):
    found = commit_times(tmp_path, 300)
    assert set(found) == {"0", "300"}
    assert min(found.values()) > 0


def test_the_table_shows_what_was_measured():
    times = {"1000": 1.0, "10000": 2.0}
    result = {
        "http_ms": times, "mlflow_ms": times, "in_process_ms": {"10000": 1.0}, "floor_ms": {"10000": 1.0},
        "ratio": {"mlflow/http 1000": 8.0}, "requests_a_second": times, "memory_mb": {"1000": 90.0},
        "commit_ms": {"0": 1.0},
    }  # fmt: skip
    shown, costs = table(result).renderables
    assert shown.row_count == 4
    assert costs.row_count == 5
