"""`train` and `models` on the command line."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.dataset import write
from data.errors import DataError, GateError, NotFoundError
from data.migrating import open_database
from training import commands, models
from training.audit.document import Audit, evidence_hash
from training.deciding import Wish, decide, publish

RUNNER = CliRunner()
CONFIG = 'bootstraps = 50\n[[heads]]\nname = "outcome"\nsource = "outcome"\nweight = 1\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a small clinic and a configuration."""
    from data.synthetic.clinic import simulate
    from data.synthetic.plan import Plan

    folder = tmp_path_factory.mktemp("commands")
    write(simulate(Plan(episodes=700, therapists=14, seed=5))[0], folder / "clinic")
    (folder / "train.toml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


@pytest.fixture(scope="module")
def said(place: Path) -> dict[str, Any]:
    """What `train --json` says."""
    done = RUNNER.invoke(commands.app, ["clinic", "--config", "train.toml", "--out", "var/bundle", "--json"])
    assert done.exit_code == 0, done.exception
    assert (place / "var" / "bundle" / "manifest.json").is_file()
    found: dict[str, Any] = json.loads(done.stdout)  # one object, and nothing beside it
    return found


def models_say(*told: str) -> str:
    done = RUNNER.invoke(models.app, list(told))
    assert done.exit_code == 0, done.exception
    return done.stdout


def test_train_says_what_it_made_in_one_json_object(said: dict[str, Any]):
    assert said["version"] == "1"
    assert said["synthetic"]
    assert said["left_out"] == {}
    assert set(said["evaluation"]["heads"]) == {"outcome"}


def test_train_says_it_in_words_too():
    done = RUNNER.invoke(commands.app, ["clinic", "--config", "train.toml", "--no-track", "--out", "var/words"])
    assert done.exit_code == 0, done.exception
    assert "synthetic data: no figure says anything about real therapy" in done.stdout
    assert "outcome: R2" in done.stdout
    assert "for every 1 predicted" in done.stdout
    assert "gain over next available" in done.stdout
    assert "full caseloads: " in done.stdout
    assert "registered" not in done.stdout


def test_models_lists_what_was_registered(said: dict[str, Any]):
    (one,) = json.loads(models_say("list", "--json"))["models"]
    assert (one["version"], one["bundle_id"]) == ("1", said["bundle_id"])
    assert said["bundle_id"] in models_say("list")


def test_models_show_gives_the_card_or_the_manifest(said: dict[str, Any]):
    assert "Learned from synthetic data" in models_say("show", "1")
    assert json.loads(models_say("show", "1", "--json"))["bundle_id"] == said["bundle_id"]


@pytest.mark.usefixtures("said")
def test_models_export_copies_the_bundle(place: Path):
    assert json.loads(models_say("export", "1", "var/served", "--json"))["bundle"] == "var/served"
    assert (place / "var" / "served" / "golden.json").is_file()


@pytest.fixture(scope="module")
def promoted(said: dict[str, Any]) -> dict[str, list[str]]:
    """What a named person is refused for, and what a demonstration then waives."""
    version = said["version"]
    refused = RUNNER.invoke(models.app, ["promote", version, "--who", "A. Lead", "--reason", "looked at it"])
    assert isinstance(refused.exception, GateError)
    done = json.loads(models_say("promote", version, "--who", "demo", "--reason", "a demonstration", "--json"))
    assert "demonstration only, not met:" in models_say("promote", version, "--who", "demo", "--reason", "again")
    return {"refused": [str(problem) for problem in refused.exception.problems], "waived": done["waived"]}


def test_models_promote_refuses_and_a_demonstration_says_what_it_waives(promoted: dict[str, list[str]]):
    assert promoted["refused"]
    assert promoted["waived"] == promoted["refused"]
    assert json.loads(models_say("list", "--json"))["models"][0]["aliases"] == ["champion"]


@pytest.fixture
def looked_at(said: dict[str, Any], promoted: dict[str, list[str]], an_audit: Callable[..., Audit]) -> Audit:
    """An audit of the promoted bundle, newer than any other, before those who decide."""
    assert promoted["waived"]
    found = an_audit(said["bundle_id"], synthetic=True, made_at=dt.datetime.now(dt.UTC))
    engine = open_database()
    publish(engine, found.model_dump_json().encode(), "1")
    decide(engine, Wish("sign", "A. Lead", "read it"), found, found.model_dump_json().encode(), "1")
    engine.dispose()
    return found


def test_models_approve_and_reject_put_a_verdict_on_record(looked_at: Audit):
    done = json.loads(models_say("approve", "1", "--who", "A. Lead", "--reason", "nobody loses", "--json"))
    assert (done["action"], done["version"], done["who"]) == ("approve", "1", "A. Lead")
    assert done["evidence_hash"] == evidence_hash(looked_at.model_dump_json().encode())
    assert done["unsigned"] == []
    words = models_say("reject", "1", "--who", "A. Lead", "--reason", "older adults lose")
    assert words.startswith(f"rejected: bundle {looked_at.bundle_id} (version 1), by A. Lead, on audit ")
    refused = RUNNER.invoke(models.app, ["approve", "1", "--who", " ", "--reason", "nobody loses"])
    assert isinstance(refused.exception, GateError)
    assert [problem.where for problem in refused.exception.problems] == ["who"]


def test_models_history_tells_every_decision_and_what_was_served_on_a_day(looked_at: Audit):
    told = json.loads(models_say("history", "--json"))["decisions"]
    last = told[-1]
    assert (last["action"], last["who"], last["reason"], last["version"]) == ("sign", "A. Lead", "read it", "1")
    assert set(last["features"]) == {"severity", "wishes_met"}
    assert f"(bundle {looked_at.bundle_id}), 2 features  by A. Lead: read it" in models_say("history")
    day = json.loads(models_say("history", "--on", last["made_at"][:10], "--json"))
    assert day["at_start"] is None
    assert (day["at_end"]["action"], day["at_end"]["who"]) == ("promote", "demo")
    assert [change["action"] for change in day["changes"]] == ["promote", "promote"]
    assert "served at the end of the day:   version 1" in models_say("history", "--on", last["made_at"][:10])
    long_ago = json.loads(models_say("history", "--on", "2020-01-01", "--json"))
    assert (long_ago["at_end"], long_ago["decisions"]) == (None, [])


def test_what_will_be_served_tomorrow_is_not_known():
    assert RUNNER.invoke(models.app, ["history", "--on", "2999-01-01"]).exit_code == 2


@pytest.mark.usefixtures("said")
def test_a_model_that_is_not_there_is_an_error():
    assert isinstance(RUNNER.invoke(models.app, ["show", "77"]).exception, NotFoundError)


def test_a_dataset_with_problems_is_not_learned_from(place: Path):
    (place / "broken").mkdir()
    (place / "broken" / "dataset.toml").write_text('name = "broken"\nundated = true\n')
    (place / "broken" / "therapists.csv").write_text("therapist_id\nnobody\n")
    (place / "broken" / "clients.csv").write_text("client_id\nc1\n")
    (place / "broken" / "episodes.csv").write_text("episode_id,client_id,therapist_id\ne1,c9,t9\n")
    error = RUNNER.invoke(commands.app, ["broken"]).exception
    assert isinstance(error, DataError)
    assert len(error.problems) >= 3


def test_the_program_exits_with_1_and_names_column_and_rule(place: Path):
    config = CONFIG.replace("[[heads]]", '[features]\ninclude = ["episode.sessions_attended"]\n[[heads]]')
    (place / "after.toml").write_text(config)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from therapist_fit import main; main()",
            "train",
            "clinic",
            "--config",
            "after.toml",
            "--json",
        ],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "episodes.sessions_attended" in done.stderr
    assert "known after the match is never a feature" in done.stderr


@pytest.mark.parametrize(
    "told",
    [
        ["--help"],
        ["promote", "--help"],
        ["approve", "--help"],
        ["reject", "--help"],
        ["history", "--help"],
        ["export", "--help"],
        ["show", "--help"],
    ],
)
def test_help_has_an_example(told: list[str]):
    done = RUNNER.invoke(models.app, told)
    assert done.exit_code == 0
    assert "Example: therapist-fit models" in done.stdout or told == ["--help"]


def test_the_help_of_train_has_an_example():
    assert "Example: therapist-fit train" in RUNNER.invoke(commands.app, ["--help"]).stdout
