"""Every command says what it does, with an example, and can answer in JSON."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from therapist_fit import ROOMS

COMMAND = Path(sys.executable).with_name("therapist-fit")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    plain = os.environ | {"NO_COLOR": "1", "COLUMNS": "200", "TERM": "dumb"}
    return subprocess.run([COMMAND, *words], capture_output=True, text=True, check=False, env=plain)


def test_help_lists_every_room_and_imports_none():
    found = run("--help")
    assert found.returncode == 0, found.stderr
    for name, (_, line) in ROOMS.items():
        assert name in found.stdout
        assert line[:40] in found.stdout
    rooms = {module.split(".")[0] for module, _ in ROOMS.values()}
    probe = f"import sys, therapist_fit; print(sorted({rooms | {'pandas', 'numpy'}} & set(sys.modules)))"
    seen = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_answers_help(room: str):
    found = run(room, "--help")
    assert found.returncode == 0, found.stderr
    assert f"therapist-fit {room}" in found.stdout
    assert found.stderr == ""


def test_a_command_that_does_not_exist_is_bad_use():
    assert run("nonsense").returncode == 2


def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
    for word, child in (inner or {}).items():
        yield from leaves(child, f"{name} {word}")


@pytest.mark.parametrize("room", ROOMS)
def test_every_command_has_an_example_and_speaks_json(room: str):
    app = importlib.import_module(ROOMS[room][0]).app
    for name, command in leaves(typer.main.get_command(app), room):
        assert "Example:" in (command.help or ""), name
        assert f"therapist-fit {name}" in (command.help or "").partition("Example:")[2], name
        assert "--json" in {option for parameter in command.params for option in parameter.opts}, name
