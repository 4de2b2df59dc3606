"""The demonstration: everything once, without a terminal, in a folder of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from data.errors import ConfigError
from serving.demo import MARK, _fresh, _look_around, _shortened, _waived
from serving.schemas import EXAMPLE_REQUEST

SMALL = ("--episodes", "800", "--therapists", "30")


@pytest.mark.prove
def test_it_shows_a_ranking_that_a_real_server_gave(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import therapist_fit; therapist_fit.main()", "demo", *SMALL]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path / "demo")], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    ranked = [line.split()[:2] for line in done.stdout.splitlines() if line[:1].isdigit() and " t-" in line]
    assert [rank for rank, _ in ranked[:5]] == ["1", "2", "3", "4", "5"]
    for words in (
        "SYNTHETIC",
        "signed as `demo`",
        "Approve the model",
        "mlflow ui",
        "/docs",
        "/audit",
        "The server is stopped.",
    ):
        assert words in done.stdout
    audit, signed = done.stdout.index("audit 1 -o"), done.stdout.index("audit sign 1 --who demo")
    assert audit < signed < done.stdout.index("models approve 1") < done.stdout.index("models promote 1")
    assert "not approved" not in done.stdout
    assert "nobody has signed" not in done.stdout
    log = (tmp_path / "demo" / "server.log").read_text().splitlines()
    assert json.loads(log[-1])["event"].startswith("Finished server process")


def test_it_writes_into_no_folder_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"):
        _fresh(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "mine"


def test_it_clears_what_an_earlier_demonstration_left(tmp_path: Path) -> None:
    home = _fresh(tmp_path / "demo")
    (home / "clinic").mkdir()
    assert sorted(path.name for path in _fresh(tmp_path / "demo").iterdir()) == [MARK, "settings.toml"]


def test_it_shows_the_request_on_one_short_line() -> None:
    assert _shortened({**EXAMPLE_REQUEST, "k": 5}) == (
        '{"client": {"client_id": "c-1042", ...}, "preferences": [...], "measures": [...], "k": 5}'
    )


def test_it_names_every_condition_that_was_waived_and_where_to_look() -> None:
    conditions = ["head alliance: rank validity: lower 95 % bound -0.03: must be above -0.02 -> bring more data"]
    count, named, card = _waived(conditions)
    assert count.startswith("1 condition")
    assert named.strip() == "head alliance: rank validity: lower 95 % bound -0.03: must be above -0.02"
    assert "therapist-fit models show" in card


def test_it_names_programs_as_seen_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    said = "\n".join(_look_around(Path("var/demo")))
    assert "cd var/demo && ../../.venv/bin/mlflow ui" in said
    assert str(tmp_path) not in said
    monkeypatch.setattr(sys, "executable", "/opt/fit/bin/python")
    assert "/opt/fit/bin/therapist-fit serve" in "\n".join(_look_around(Path("var/demo")))
