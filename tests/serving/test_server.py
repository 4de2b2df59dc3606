"""The command `therapist-fit serve` as a real process with its worker, asked over HTTP."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest

from data.dataset import Dataset, write
from data.synthetic.truth import Truth
from data.tables import CLIENTS

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "serving" / "settings.example.toml"
CANARY = "canary-7f3a"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "import therapist_fit; therapist_fit.main()", *arguments]


@contextmanager
def running(log: Path, *arguments: str, **environment: str) -> Iterator[httpx.Client]:
    """The server until the end of the block; its log in a file."""
    with log.open("w") as written:
        process = subprocess.Popen(
            command("serve", "--port", "0", "--json", *arguments),
            stdout=subprocess.PIPE, stderr=written, text=True, cwd=log.parent, env=os.environ | environment,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            assert first, log.read_text()[-3000:]
            with httpx.Client(base_url=json.loads(first)["url"], timeout=30, trust_env=False) as client:
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
            process.stdout.close()


def test_a_live_worker_never_imports_mlflow_and_its_log_knows_no_people(
    bundle: Path, folder: Path, body: dict[str, Any], tmp_path: Path
) -> None:
    """PYTHONPROFILEIMPORTTIME makes every process write each module that it imports, the worker too."""
    log = tmp_path / "server.log"
    given = ("--settings", str(EXAMPLE), "--bundle", str(bundle), "--data", str(folder))
    with running(log, *given, PYTHONPROFILEIMPORTTIME="1") as client:
        assert client.base_url.host == "127.0.0.1"
        ranked = client.post("/v1/recommendations", json=body)
        assert len(ranked.json()["recommendations"]) == 5
        planted = client.post("/v1/recommendations", json=with_canaries(body), headers={"X-Request-ID": "request-1"})
        assert planted.status_code == 200
        assert client.post("/v1/recommendations", json={"client": {"gender": CANARY}, CANARY: 1}).status_code == 422
        assert client.get(f"/v1/model?{CANARY}=1").status_code == 200
    lines = log.read_text().splitlines()
    imported = {line.rsplit("|", 1)[1].strip() for line in lines if line.startswith("import time:")}
    assert {"serving.worker", "serving.recommend", "lightgbm"} <= imported
    assert not {name for name in imported if name.split(".")[0] == "mlflow"}
    events = [json.loads(line) for line in lines if line.startswith("{")]
    mine = [event for event in events if event.get("request_id") == "request-1"]
    assert planted.json()["recommendation_id"] in [event.get("recommendation_id") for event in mine]
    assert [event["status"] for event in mine if event["event"] == "request"] == [200]
    assert CANARY not in log.read_text()
    assert "71351" not in json.dumps(events)
    (recommended,) = [event for event in mine if event["event"] == "recommended"]
    assert set(recommended) == {"event", "level", "timestamp", "request_id", "recommendation_id"}


def with_canaries(body: dict[str, Any]) -> dict[str, Any]:
    """A good request with a value that must not be seen again in every field that takes words."""
    words = {column.name: CANARY for column in CLIENTS.columns if column.kind in ("code", "tag", "codes", "tags")}
    ours = {"client_id": "c-71351", "birth_year": 1971, "jurisdiction": "US-CA", "data_use": "care_only"}
    excluded = [{"therapist_id": "t-71351", "reason": CANARY}]
    return {**body, "client": {**body["client"], **words, **ours}, "exclude_therapists": excluded}


def refusal(tmp_path: Path, *arguments: str) -> str:
    done = subprocess.run(
        command("serve", "--port", "0", *arguments), cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


def test_without_words_for_what_happens_next_it_does_not_start(bundle: Path, folder: Path, tmp_path: Path) -> None:
    given = ("--bundle", str(bundle), "--data", str(folder))
    assert "settings" in refusal(tmp_path, *given)
    silent = tmp_path / "silent.toml"
    silent.write_text('time_zone = "UTC"\n')
    assert "next_step" in refusal(tmp_path, *given, "--settings", str(silent))


def test_a_bundle_whose_files_were_altered_is_refused_and_the_reason_given(
    bundle: Path, folder: Path, tmp_path: Path
) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(bundle, altered)
    golden = json.loads((altered / "golden.json").read_text())
    golden["computed"]["outcome fit of row 0"][0] += 0.01
    (altered / "golden.json").write_text(json.dumps(golden))
    said = refusal(tmp_path, "--settings", str(EXAMPLE), "--bundle", str(altered), "--data", str(folder))
    assert "error: " in said
    assert str(altered) in said


def test_a_dataset_that_breaks_the_contract_is_refused_without_a_cell_of_it(
    clinic: tuple[Dataset, Truth], bundle: Path, tmp_path: Path
) -> None:
    broken = write(clinic[0], tmp_path / "broken", "csv")
    clients = pd.read_csv(broken / "clients.csv", dtype="string")
    clients.loc[:2, "birth_year"] = CANARY
    clients.to_csv(broken / "clients.csv", index=False)
    said = refusal(tmp_path, "--settings", str(EXAMPLE), "--bundle", str(bundle), "--data", str(broken))
    assert f"error: {broken}: 3 problems in the dataset" in said
    assert "therapist-fit data check" in said
    assert CANARY not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("url", ["postgresql://someone:sesame@127.0.0.1:1/nothing", "no address"])
def test_a_database_that_does_not_answer_is_one_line(bundle: Path, folder: Path, tmp_path: Path, url: str) -> None:
    given = ("--settings", str(EXAMPLE), "--bundle", str(bundle), "--data", str(folder))
    (line,) = refusal(tmp_path, *given, "--database", url).splitlines()
    assert line.startswith("error: the database cannot be used")
    assert "sesame" not in line


def test_a_file_that_is_no_database_is_one_line(bundle: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_text("not a database, but long enough to be looked at" * 100)
    given = ("--settings", str(EXAMPLE), "--bundle", str(bundle), "--data", str(folder))
    said = refusal(tmp_path, *given, "--database", f"sqlite:///{tmp_path}/letter.db")
    assert len(said.splitlines()) == 1
