"""What experiments leave behind: files, and a run in MLflow."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.table import Table
from typer.testing import CliRunner

from experiments.console import JSON, QUICK, TRACK, conduct, show
from experiments.tracking import keep, kept

RESULT = {"synthetic": True, "arms": {"base": {"share": 0.5, "none": None}}, "rows": [{"name": "a, b", "d": 1}]}


def draw(_: dict[str, Any], path: Path) -> Path:
    path.write_bytes(b"\x89PNG")
    return path


def table(_: dict[str, Any]) -> Table:
    return Table("a table", "of figures")


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()

    @made.callback()
    def _describe() -> None: ...

    @made.command("some_question")
    def _question(
        context: typer.Context, clinics: int = 3, quick: QUICK = False, track: TRACK = True, as_json: JSON = False
    ) -> None:
        def run(on_clinic: Callable[..., None]) -> dict[str, Any]:
            on_clinic()
            return {**RESULT, "clinics": 5 if quick else clinics}

        conduct(context, run, 1, table, draw, as_json, track)

    return made


def test_a_result_is_kept_beside_its_picture_and_can_be_read_again(tmp_path: Path) -> None:
    files = keep("some_question", RESULT, draw, tmp_path / "deep")
    assert [path.name for path in files] == ["some_question.json", "some_question.png"]
    assert kept("some_question", tmp_path / "deep") == RESULT
    assert kept("another", tmp_path / "deep") is None
    assert [path.name for path in keep("some_question", RESULT, folder=tmp_path)] == ["some_question.json"]


def test_json_stands_alone_on_standard_output_and_names_the_command_that_made_it(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["some_question", "--quick", "--clinics", "4", "--json", "--no-track"])
    assert found.exit_code == 0, found.output
    said = json.loads(found.stdout)
    assert said["command"] == "therapist-fit experiment some_question --quick --clinics 4"
    assert said["clinics"] == 5
    assert said == kept("some_question")
    assert "some_question.png" in found.stderr
    assert not (tmp_path / "var" / "mlflow.db").exists()


def test_figures_and_files_are_logged_to_mlflow_under_the_experiments_name(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.registry.store import connect

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = CliRunner().invoke(app, ["some_question"])
    assert found.exit_code == 0, found.output
    assert "a table" in found.stdout
    client = connect()
    run = client.get_run(found.stderr.rsplit("MLflow run ")[1].strip())
    tags = {name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")}
    assert tags == {"experiment": "some_question", "synthetic": "true", "kind": "experiment"}
    assert run.data.metrics == {"arms.base.share": 0.5, "rows.a_ b.d": 1.0, "clinics": 3.0}
    assert {one.path for one in client.list_artifacts(run.info.run_id)} == {"some_question.json", "some_question.png"}


def test_show_prints_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    show(RESULT, table, as_json=False)
    assert "of figures" in capsys.readouterr().out
