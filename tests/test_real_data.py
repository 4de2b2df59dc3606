"""Real data, end to end by the commands a person types: import, check, train, evaluate, rank one client over HTTP."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from data.manifest import RULES

ROOT = Path(__file__).parents[1]
EXPERIMENTS = ROOT / "experiments"
COMMAND = [sys.executable, "-c", "import therapist_fit; therapist_fit.main()"]
CLIENTS: dict[str, dict[str, Any]] = {
    "counsel_chat": {"client_id": "q-new-1", "problems": ["depression"], "title_words": 9},
    "schizophrenia_trials": {"client_id": "p-new-1", "problems": ["schizophrenia"], "treat": 1},
}


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*COMMAND, *arguments], cwd=home, env=environment, capture_output=True, text=True, check=False
    )


def done(home: Path, *arguments: str) -> dict[str, Any]:
    finished = run(home, *arguments, "--json")
    assert finished.returncode == 0, finished.stderr
    answer: dict[str, Any] = json.loads(finished.stdout)
    return answer


@contextmanager
def serving(home: Path, *arguments: str) -> Iterator[str]:
    command = [*COMMAND, "serve", *arguments, "--port", "0", "--metrics-port", "0", "--json"]
    process = subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="module", params=sorted(CLIENTS))
def source(
    request: pytest.FixtureRequest, real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A real set, imported by its mapping file alone."""
    name = str(request.param)
    home = tmp_path_factory.mktemp(name)
    mapping = EXPERIMENTS / f"{name}.mapping.toml"
    done(home, "data", "import", str(mapping), "--source", str(real_data / name), "--out", "dataset")
    return name, home


def test_a_real_set_is_imported_checked_trained_on_and_ranked_over_http(source: tuple[str, Path]) -> None:
    name, home = source
    assert done(home, "data", "check", "dataset")["problems"] == []
    config = EXPERIMENTS / f"{name}.toml"
    trained = done(home, "train", "dataset", "--config", str(config), "--out", "bundle", "--no-track")
    assert trained["undated"] is True
    assert trained["evaluation"]["forward"] is False
    assert trained["proven"] is False
    (home / "settings.toml").write_text((ROOT / "serving" / "settings.example.toml").read_text())
    key = {"Authorization": f"Bearer {done(home, 'keys', 'create', '--name', 'a test', '--scope', 'platform')['key']}"}
    with serving(home, "--settings", "settings.toml", "--bundle", "bundle", "--data", "dataset") as url:
        asked = {"json": {"client": CLIENTS[name], "k": 5}, "headers": key}
        reply = httpx.post(f"{url}/v1/recommendations", **asked, trust_env=False)
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    assert len(answer["recommendations"]) == 5
    assert (
        answer["counts"]["considered"]
        == answer["counts"]["eligible"]
        == {"counsel_chat": 307, "schizophrenia_trials": 198}[name]
    )
    assert answer["rules_not_checked"] == list(RULES)
    assert answer["versus_soonest"] is None
    assert answer["safety"]["status"] == "not_asked"
    assert any("undated" in note for note in answer["model"]["notes"])
    assert any("no hard rules" in note for note in answer["model"]["notes"])
    assert all(one["reasons"] for one in answer["recommendations"])
    assert "predicted" not in reply.text


@pytest.mark.parametrize(
    ("leak", "named"), [("answer_words", "episodes.answer_words"), ("client.views", "clients.views")]
)
def test_a_column_known_only_afterwards_stops_training_by_name_and_rule(
    leak: str, named: str, real_data: Path, tmp_path: Path
) -> None:
    mapping = EXPERIMENTS / "counsel_chat.mapping.toml"
    done(tmp_path, "data", "import", str(mapping), "--source", str(real_data / "counsel_chat"), "--out", "dataset")
    config = (EXPERIMENTS / "counsel_chat.toml").read_text() + f'\n[features]\ninclude = ["{leak}"]\n'
    (tmp_path / "leak.toml").write_text(config)
    finished = run(tmp_path, "train", "dataset", "--config", "leak.toml", "--out", "bundle", "--no-track")
    assert finished.returncode == 1
    assert named in finished.stderr
    assert "known only after the match" in finished.stderr
    assert not (tmp_path / "bundle").exists()
