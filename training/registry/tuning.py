"""Studies in MLflow: a parent run for each, and under it a run for every finished trial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from training.registry.store import EXPERIMENT, connect
from training.study import Attempt, Tuned


class StudyRuns:
    """The runs of one study: continued where it was tracked before, so that no trial is logged twice."""

    def __init__(self, study: str, tags: Mapping[str, str]):
        self._client = connect()
        experiment = self._client.get_experiment_by_name(EXPERIMENT)
        assert experiment is not None  # `connect` makes it
        self._experiment = str(experiment.experiment_id)
        parents = self._found(f"tags.kind = 'tuning' and tags.study = '{study}'")
        self.parent: str = (
            parents[0].info.run_id if parents else self._run(study, {**tags, "kind": "tuning", "study": study})
        )
        self._client.update_run(self.parent, status="RUNNING")
        self._logged = {run.data.tags["trial"] for run in self._found(f"tags.mlflow.parentRunId = '{self.parent}'")}

    def log(self, attempt: Attempt) -> None:
        """A run for a finished trial, under the study's."""
        number = str(attempt.number)
        if number in self._logged:
            return
        tags = {"kind": "trial", "trial": number, "state": attempt.state, "mlflow.parentRunId": self.parent}
        run = self._run(f"trial {number}", tags)
        for name, value in attempt.params.items():
            self._client.log_param(run, name, value)
        for name, value in _metrics(attempt).items():
            self._client.log_metric(run, name, value)
        self._client.set_terminated(run)
        self._logged.add(number)

    def close(self, tuned: Tuned, files: list[Path]) -> None:
        """The study's own figures and files; the run is over until the study is continued."""
        for prefix, attempt in (("best.", tuned.best), ("given.", tuned.given)):
            for name, value in _metrics(attempt).items():
                self._client.log_metric(self.parent, prefix + name, value)
        for name, value in tuned.improvement.items():
            self._client.log_metric(self.parent, f"improvement.{name}", value)
        for path in files:
            self._client.log_artifact(self.parent, str(path))
        self._client.set_terminated(self.parent)

    def _run(self, name: str, tags: Mapping[str, Any]) -> str:
        run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags))
        return str(run.info.run_id)

    def _found(self, query: str) -> list[Run]:
        return list(all_runs(self._client, self._experiment, query))


def all_runs(client: MlflowClient, experiment: str, query: str) -> list[Run]:
    """Every run that a query finds, page by page."""
    found: list[Run] = []
    token = None
    while True:
        page = client.search_runs([experiment], query, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _metrics(attempt: Attempt) -> dict[str, float]:
    loss = {} if attempt.loss is None else {"loss": attempt.loss}
    return loss | {f"error_within_therapists.{name}": value for name, value in attempt.heads.items()}
