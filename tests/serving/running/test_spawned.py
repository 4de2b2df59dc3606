"""What a worker process begins with."""

import importlib
import os
import subprocess
import sys

import pytest

from serving.running.spawned import MALLOC, frugal, give_back, hidden


def test_what_is_hidden_is_not_found_and_can_be_imported_afterwards() -> None:
    sys.modules.pop("wave", None)
    with hidden(("wave",)), pytest.raises(ImportError):
        importlib.import_module("wave")
    assert importlib.import_module("wave").__name__ == "wave"


def test_what_is_imported_already_stays() -> None:
    before = importlib.import_module("json")
    with hidden(("json",)):
        assert importlib.import_module("json") is before
    assert sys.modules["json"] is before


def told_to_a_child() -> str:
    command = [sys.executable, "-c", "import os; print(os.environ.get('MALLOC_TRIM_THRESHOLD_'))"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_only_processes_started_meanwhile_are_told_how_to_use_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MALLOC:
        monkeypatch.delenv(name, raising=False)
    with frugal():
        assert told_to_a_child() == MALLOC["MALLOC_TRIM_THRESHOLD_"]
    assert not MALLOC.keys() & os.environ.keys()
    assert told_to_a_child() == "None"


def test_an_operator_who_said_otherwise_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    with frugal():
        assert told_to_a_child() == "7"
    assert os.environ["MALLOC_TRIM_THRESHOLD_"] == "7"


def test_memory_is_given_back_wherever_this_runs() -> None:
    give_back(100_000)
    give_back(40)
