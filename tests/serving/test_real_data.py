"""Real data, end to end: import, check, train, serve, rank one client over HTTP. Undated, and without hard rules."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from data.checking import check
from data.dataset import read
from data.importing import import_dataset
from data.manifest import RULES
from serving.app import create_app
from serving.service import Sources
from serving.settings import Settings
from training.config import TrainConfig
from training.run import train

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
CLIENTS = {
    "counsel_chat": {"problems": ["depression"], "title_words": 9, "text_words": 80},
    "schizophrenia_trials": {"treat": 1},
}


@pytest.mark.parametrize("name", list(CLIENTS))
def test_one_client_is_ranked_over_http_and_the_answer_says_what_was_not_tested(
    name: str, real_data: Path, tmp_path: Path, database: str, told: Settings,
    serve: Callable[[FastAPI], AbstractContextManager[httpx.Client]],
) -> None:  # fmt: skip
    folder, bundle = tmp_path / "dataset", tmp_path / "bundle"
    import_dataset(EXPERIMENTS / f"{name}.mapping.toml", real_data / name, folder)
    assert check(folder) == []
    config = TrainConfig.read(EXPERIMENTS / f"{name}.toml").model_copy(update={"bootstraps": 50})
    train(read(folder), config, bundle)
    with serve(create_app(told, Sources(bundle, data=folder, database=database))) as client:
        response = client.post("/v1/recommendations", json={"client": CLIENTS[name], "k": 5})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert len(answer["recommendations"]) == 5
    assert answer["counts"]["considered"] == answer["counts"]["eligible"]
    assert answer["rules_not_checked"] == list(RULES)
    assert answer["versus_soonest"] is None
    assert answer["safety"]["status"] == "not_asked"
    assert not answer["model"]["proven"]
    assert any("not tested forward in time" in note for note in answer["model"]["notes"])
    assert any("no hard rules" in note for note in answer["model"]["notes"])
