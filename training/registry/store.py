"""Where MLflow keeps things: SQLite and a folder under `var/`, or any server named by MLFLOW_TRACKING_URI."""

import logging
import os
import warnings
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient

MODEL = "therapist-fit"
EXPERIMENT = "therapist-fit"
VAR = Path("var")


def connect() -> MlflowClient:
    """A client of the store, with the experiment made if it is not there yet."""
    _be_quiet()
    uri = address()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient(uri, uri)
    if client.get_experiment_by_name(EXPERIMENT) is None:
        place = (VAR / "mlartifacts").absolute().as_uri() if uri == _local() else None
        client.create_experiment(EXPERIMENT, artifact_location=place)
    mlflow.set_experiment(EXPERIMENT)
    return client


def address() -> str:
    """Where the store is, for people."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _local()


def _local() -> str:
    VAR.mkdir(exist_ok=True)
    return f"sqlite:///{(VAR / 'mlflow.db').absolute()}"


def _be_quiet() -> None:
    """MLflow and Alembic announce every migration of a new store, and MLflow every download; nobody asked."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="mlflow")
