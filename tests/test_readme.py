"""The README says what is so: its commands, options, files and targets exist, and its picture is the demo's."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from serving.schemas import RecommendationRequest
from therapist_fit import ROOMS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
INDENTED = re.findall(r"^    (therapist-fit .+)$", README, flags=re.M)
COMMANDS = sorted({line.split("  ")[0].split(" #")[0].strip() for line in INDENTED})


def leaf(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and the words left for it."""
    command = typer.main.get_command(importlib.import_module(ROOMS[words[0]][0]).app)
    rest = words[1:]
    while getattr(command, "commands", None) and rest:
        named, *after = rest if rest[0] in command.commands else ["make", *rest]  # `audit 1` is `audit make 1`
        command, rest = command.commands[named], after
    return command, rest


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_exists_with_its_options(line: str) -> None:
    command, rest = leaf(shlex.split(line)[1:])
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if word.startswith("-")} <= known


def test_the_readme_starts_with_the_two_commands() -> None:
    head = README[: README.index("## For a data scientist")]
    assert "make demo" in head
    assert "make test" in head
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"make ([a-z]+)", README)) - {"says"} <= targets


@pytest.mark.parametrize(
    "place", sorted(set(re.findall(r"`((?:experiments|features|data|training|serving)/[\w./]+)`", README)))
)
def test_every_file_that_the_readme_names_is_there(place: str) -> None:
    assert (ROOT / place).exists()


def test_the_request_in_the_readme_is_one_the_service_takes() -> None:
    body = README[README.index("-d '{") + 4 : README.index("}'", README.index("-d '{")) + 1]
    request = RecommendationRequest.model_validate(json.loads(body))
    assert request.k == 5


def test_the_demo_shown_in_the_readme_is_labelled_synthetic_and_ends_with_ranked_therapists() -> None:
    shown = README[README.index("<!-- demo output -->") : README.index("<!-- end of demo output -->")]
    assert "A SYNTHETIC clinic" in shown
    assert len(re.findall(r"^[1-5] +t-\d+ ", shown, flags=re.M)) == 5


def said(home: Path, *line: str) -> dict[str, Any]:
    """The JSON of one of our commands."""
    command = [sys.executable, "-c", "import therapist_fit; therapist_fit.main()", *line, "--json"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.prove
def test_the_data_scientists_and_the_leads_commands_lead_to_a_champion_that_passed_the_gate(tmp_path: Path) -> None:
    lead = ("--who", "A. Lead", "--reason", "audit read")
    said(tmp_path, "data", "simulate", "var/clinic", "--episodes", "10000", "--therapists", "150")
    said(tmp_path, "train", "var/clinic")
    assert len(said(tmp_path, "models", "list")["models"]) == 1
    assert (tmp_path / said(tmp_path, "audit", "1", "-o", "audit.html")["file"]).is_file()
    flagged = said(tmp_path, "audit", "sign", "1", *lead)["unsigned"]
    assert "therapist.practice_area" in flagged  # it stands in for ethnicity in a synthetic clinic
    named = [word for name in flagged for word in ("--feature", name)]
    assert said(tmp_path, "audit", "sign", "1", *lead, *named)["unsigned"] == []
    said(tmp_path, "models", "approve", "1", *lead)
    assert said(tmp_path, "models", "promote", "1", *lead)["waived"] == []
    made = [one["action"] for one in said(tmp_path, "models", "history")["decisions"]]
    assert made == ["sign", "sign", "approve", "promote"]
