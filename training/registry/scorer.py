"""The bundle as an MLflow pyfunc (models from code), so that MLflow's own tools can score it.

Input: one row a pair, both cells JSON text: `client` (columns of the client, wishes as `prefer.gender`, intake scores
as `phq9.0`) and `therapist` (profile with its `therapist_id`). Rows with the same `client` text are one choice: they
are ranked against each other. Output: a row for each, in the order given.
"""

import json
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from training.bundle import Bundle
from training.ranking import rank
from training.storage import load


class Scorer(PythonModel):
    """Ranks therapists for clients given as JSON."""

    def load_context(self, context: Any) -> None:
        """Loads the bundle; called by MLflow once."""
        self.bundle: Bundle = load(context.artifacts["bundle"])

    def predict(
        self,
        context: Any,  # noqa: ARG002 - MLflow calls by these names
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Ranks the therapists asked about for each client; rows come back in their order."""
        parts = [self._choice(text, rows) for text, rows in model_input.groupby("client", sort=False)]
        return pd.concat(parts).loc[model_input.index]

    def _choice(self, text: str, rows: pd.DataFrame) -> pd.DataFrame:
        day = None if self.bundle.manifest.undated else self.bundle.manifest.as_of
        asked = {name: [value] for name, value in json.loads(text).items()}
        profiles = [json.loads(cell) for cell in rows["therapist"]]
        ids = [profile.pop("therapist_id") for profile in profiles]
        names = {name for profile in profiles for name in profile}
        table = {name: [profile.get(name) for profile in profiles] for name in names}
        prepared = self.bundle.therapists(ids, table, day)
        fits = self.bundle.posteriors(self.bundle.clients(asked, 1, day), prepared, np.arange(len(ids)))
        ranked = rank(fits, self.bundle.weighing, np.full(len(ids), np.nan), ids)
        place = np.empty(len(ids), dtype=np.int64)
        place[ranked.order] = np.arange(1, len(ids) + 1)
        found = {
            "therapist_id": ids,
            "rank": place,
            "tie_group": ranked.tie_group,
            "utility": ranked.utility.mean,
            "utility_low": ranked.utility.low,
            "utility_high": ranked.utility.high,
            "meaningful_difference": ranked.meaningful_difference,
        }
        gains = {f"gain_{name}": gain.mean for name, gain in ranked.gains.items()}
        return pd.DataFrame({**found, **gains}, index=rows.index)


set_model(Scorer())
