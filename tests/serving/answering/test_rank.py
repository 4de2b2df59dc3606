"""The command `therapist-fit rank`: the answer of the service, without a server."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from data.errors import RequestError
from serving.answering.rank import app

KEPT_APART = ("recommendation_id", "model", "next_step")


def invoke(bundle: Path, folder: Path, request: Path, *more: str) -> Any:
    given = ["--bundle", str(bundle), "--data", str(folder), "--client", str(request), *more]
    return CliRunner().invoke(app, given)


@pytest.fixture
def request_file(tmp_path: Path, body: dict[str, Any]) -> Path:
    path = tmp_path / "client.json"
    path.write_text(json.dumps(body))
    return path


def test_it_gives_the_answer_that_the_server_gives(
    bundle: Path, folder: Path, request_file: Path, client: httpx.Client, body: dict[str, Any], tmp_path: Path
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(
        'time_zone = "America/Los_Angeles"\n[next_step]\ncontact = "Intake."\nplace_kept = "Kept."\n'
        'who_acts = "Someone."\nby_when = "Soon."\n[required_training]\nptsd = "ptsd"\n'
    )
    result = invoke(bundle, folder, request_file, "--json", "--settings", str(settings))
    assert result.exit_code == 0, result.output
    alone, served = json.loads(result.stdout), client.post("/v1/recommendations", json=body).json()
    for answer in (alone, served):
        for name in KEPT_APART:
            del answer[name]
    assert alone == served


def test_one_line_begins_with_rank_and_therapist_for_each(bundle: Path, folder: Path, request_file: Path) -> None:
    answer = json.loads(invoke(bundle, folder, request_file, "--json", "-k", "6").stdout)
    printed = invoke(bundle, folder, request_file, "-k", "6").stdout.splitlines()
    begun = [tuple(line.split()[:2]) for line in printed if line[:1].isdigit() and line.split()[1].startswith("t-")]
    assert begun == [(str(one["rank"]), one["therapist_id"]) for one in answer["recommendations"]]
    assert all(f"     {reason}" in printed for one in answer["recommendations"] for reason in one["reasons"])


def test_the_columns_of_a_client_alone_will_do(
    bundle: Path, folder: Path, body: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "columns.json"
    path.write_text(json.dumps(body["client"]))
    assert invoke(bundle, folder, path).exit_code == 0


def test_a_request_that_breaks_rules_fails_naming_each(bundle: Path, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({"client": {"birth_year": 1}, "k": 0}))
    result = invoke(bundle, folder, path)
    assert isinstance(result.exception, RequestError)
    assert [problem.where for problem in result.exception.problems] == ["client.birth_year", "k"]
