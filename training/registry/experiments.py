"""Puts the result of an experiment into MLflow: figures, table and picture."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow

from training.registry.store import connect

_UNFIT = re.compile(r"[^\w\-. /:]")
"""What MLflow does not take in the name of a metric."""


def log(name: str, result: Mapping[str, Any], files: Iterable[Path]) -> str:
    """A run of the experiment's name with every number of the result as a metric and the files; returns its id."""
    connect()
    tags = {"experiment": name, "synthetic": str(bool(result.get("synthetic"))).lower(), "kind": "experiment"}
    with mlflow.start_run(run_name=name, tags=tags) as run:
        mlflow.log_metrics(dict(numbers(result)))
        for path in files:
            mlflow.log_artifact(str(path))
    return str(run.info.run_id)


def numbers(values: Mapping[str, Any] | list[Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every finite number in nested JSON, under the names that lead to it; entries of a list by their `name`."""
    pairs = values.items() if isinstance(values, Mapping) else ((_called(i, one), one) for i, one in enumerate(values))
    for key, value in pairs:
        if isinstance(value, Mapping | list):
            yield from numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"):
            yield _UNFIT.sub("_", f"{prefix}{key}"), float(value)


def _called(place: int, entry: Any) -> str:
    return str(entry.get("name", place)) if isinstance(entry, Mapping) else str(place)
