"""What every experiment leaves behind: its table as JSON and its picture, under `var/` and in MLflow."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path("var/experiments")

Picture = Callable[[dict[str, Any], Path], Path]
"""Draws a result to a PNG file and returns the path."""


def keep(name: str, result: Mapping[str, Any], picture: Picture | None = None, folder: Path = FOLDER) -> list[Path]:
    """Writes `NAME.json`, and `NAME.png` where there is a picture; returns their paths. A later run replaces them."""
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f"{name}.json"
    written.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return [written] if picture is None else [written, picture(dict(result), folder / f"{name}.png")]


def track(name: str, result: Mapping[str, Any], files: list[Path]) -> str:
    """Logs figures and files of an experiment to MLflow, tagged with its name and whether it is synthetic; its run id.

    MLflow takes seconds to import: only here, and not at all with `--no-track`.
    """
    from training.registry.experiments import log

    return log(name, result, files)


def kept(name: str, folder: Path = FOLDER) -> dict[str, Any] | None:
    """The last result of an experiment; None where it has not been run."""
    written = folder / f"{name}.json"
    if not written.is_file():
        return None
    found: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
    return found
