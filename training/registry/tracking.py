"""Puts a finished run into MLflow: what it was told, what it found, what it made."""

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import ColSpec, Schema

from training.bundle import Manifest
from training.card.model_card import model_card
from training.config import flat
from training.pictures import draw
from training.registry.store import MODEL, connect
from training.run import Trained

REQUIREMENTS = ("lightgbm", "numpy", "pandas", "pyarrow", "pydantic", "scikit-learn", "scipy", "sqlalchemy")
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Tracked:
    """Where a run can be found again."""

    run_id: str
    version: str


def track(trained: Trained) -> Tracked:
    """Logs config, data hash, metrics with intervals, pictures, card and bundle; registers the bundle as a version."""
    client = connect()
    manifest = Manifest.model_validate_json((trained.folder / "manifest.json").read_text())
    with mlflow.start_run(run_name=manifest.name) as run:
        mlflow.set_tags(_tags(manifest))
        mlflow.log_params(dict(flat(manifest.config)))
        mlflow.log_metrics(dict(_metrics(manifest.evaluation)))
        with TemporaryDirectory() as folder:
            for picture in draw(trained, Path(folder)):
                mlflow.log_artifact(str(picture), "pictures")
            card = Path(folder) / "model_card.md"
            card.write_text(model_card(manifest, trained.bundle))
            mlflow.log_artifact(str(card))
        mlflow.log_artifact(str(trained.folder / "manifest.json"))
        registered = _register(client, run.info.run_id, _log(trained.folder))
    return Tracked(run.info.run_id, registered)


def _log(folder: Path) -> str:
    """Logs the bundle as a pyfunc and returns its model id. MLflow's warnings are about what is meant to be so here."""
    text = ColSpec("string", "client"), ColSpec("string", "therapist")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logged = mlflow.pyfunc.log_model(
            name="bundle",
            python_model=str(Path(__file__).with_name("scorer.py")),
            artifacts={"bundle": str(folder)},
            code_paths=[str(_ROOT / name) for name in ("data", "features", "training")],
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            signature=ModelSignature(inputs=Schema(list(text))),
            input_example=_example(folder),
        )
    return str(logged.model_id)


def _register(client: MlflowClient, run_id: str, model_id: str) -> str:
    """The next version of the registered model; the client says nothing where `log_model` would print."""
    try:
        client.get_registered_model(MODEL)
    except MlflowException:
        client.create_registered_model(MODEL)
    made = client.create_model_version(MODEL, f"models:/{model_id}", run_id, model_id=model_id)
    return str(made.version)


def _example(folder: Path) -> pd.DataFrame:
    """The golden rows, as pyfunc input."""
    golden = json.loads((folder / "golden.json").read_text())
    client = {name: values[0] for name, values in golden["clients"].items()}
    therapists = [
        {"therapist_id": name, **{column: values[i] for column, values in golden["therapists"].items()}}
        for i, name in enumerate(golden["ids"])
    ]
    return pd.DataFrame({"client": json.dumps(client), "therapist": [json.dumps(one) for one in therapists]})


def _tags(manifest: Manifest) -> dict[str, str]:
    return {
        "bundle_id": manifest.bundle_id,
        "dataset": manifest.dataset,
        "data_hash": manifest.data_hash,
        "policy_hash": manifest.policy_hash,
        "synthetic": str(manifest.synthetic).lower(),
        "proven": str(manifest.proven).lower(),
        "tested_forward_in_time": str(bool(manifest.evaluation.get("forward"))).lower(),
    }


def _metrics(evaluation: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in evaluation.items():
        if isinstance(value, Mapping):
            yield from _metrics(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and value == value:
            yield f"{prefix}{key}", float(value)
