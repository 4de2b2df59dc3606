"""Putting a bundle together: manifest, track counts, golden rows, and the bundle that the test block has seen."""

import datetime as dt
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.dataset import Dataset
from data.history import History
from features.episodes import track_counts
from features.kinds import enough
from features.policy import Policy
from features.track import CASES_WITH
from training.bundle import Bundle, Manifest, Records
from training.config import TrainConfig
from training.learn import Learned, Material
from training.material import made_up_rows
from training.trial import Trial

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_THERAPISTS = 20
"""Below this an interval from resampling therapists is too narrow to prove anything."""
GOLDEN_CLIENTS, GOLDEN_THERAPISTS = 3, 8


def manifest_of(
    dataset: Dataset,
    config: TrainConfig,
    policy: Policy,
    material: Material,
    sds: dict[str, float],
    learned: dict[str, Learned],
    left_out: dict[str, str],
    evaluation: dict[str, Any],
    flags: dict[str, float],
) -> Manifest:
    """What the bundle of these heads says about itself."""
    said = dataset.manifest
    return Manifest(
        name=config.name,
        created_at=dt.datetime.now(dt.UTC),
        dataset=said.name,
        data_hash=dataset.fingerprint(),
        synthetic=said.synthetic,
        as_of=said.as_of,
        undated=said.undated,
        notes=said.notes,
        rules=said.rules,
        config=config.model_dump(mode="json"),
        policy_hash=policy.hash(),
        severity_of=dict(material.severity_of),
        intake_sds=sds,
        correlation=_correlation(list(learned.values())),
        left_out=left_out,
        seen=enough(material.clients.take(learned_from(learned))),
        kinds={
            table: {
                name: column.kind for name, column in said.column.get(table, {}).items() if column.known == "before"
            }
            for table in ("clients", "therapists")
        },
        flags=flags,
        proven=_proven(evaluation),
        served_on_everything=True,
        evaluation=evaluation,
        versions={"python": platform.python_version()}
        | {name: version(name) for name in ("therapist-fit", "lightgbm", "numpy", "scipy", "pandas")},
    )


def learned_from(learned: Mapping[str, Learned]) -> Ints:
    """Rows with a result in any head that ranks."""
    found: Ints = np.unique(np.concatenate([one.rows for one in learned.values() if one.head.info.weight > 0]))
    return found


def flags_of(history: History, episodes: pd.DataFrame, flagged: dict[str, float]) -> dict[str, float]:
    """Shares of rows with a profile known only from later than the match, and with targets of a second-best kind."""
    known = history.as_of_each(episodes["matched_on"].to_numpy().astype("datetime64[D]"))
    later = known.therapists(episodes["therapist_id"])["profile_is_later"]
    shares = {"therapist profile known only from later": float(later.mean()), **flagged}
    return {name: share for name, share in shares.items() if share > 0}


def _proven(evaluation: dict[str, Any]) -> bool:
    """Whether the gain over next-available was shown with the lower end of its interval above 0.

    Shown means: forward in time, over choices that were recorded, by enough therapists for the interval to hold.
    """
    gains = evaluation.get("utility", {}).get("over_next_available")
    if not gains or not (evaluation["forward"] and evaluation["offers_recorded"]):
        return False
    return bool(evaluation["therapists_tested"] >= FEWEST_THERAPISTS and gains["model"]["gain"]["low"] > 0)


def tested_of(manifest: Manifest, history: History, trial: Trial, test_from: dt.date | None) -> Bundle:
    """The bundle that was tested: learned from what was known before the test block, so that an audit can ask it."""
    model, material = dict(trial.heads["model"]), trial.material
    before = None if test_from is None else test_from - dt.timedelta(days=1)
    said = manifest.model_copy(
        update={
            "as_of": before or manifest.as_of,
            "severity_of": dict(material.severity_of),
            "intake_sds": trial.sds,
            "correlation": _correlation(list(model.values())),
            "left_out": trial.left_out,
            "proven": False,
            "served_on_everything": False,
            "evaluation": {"note": "learned before the test block, for the audit: never served"},
        }
    )
    records = records_of(history, material, before)
    return Bundle(said, material.features, material.design, {n: one.head for n, one in model.items()}, records)


def _correlation(learned: list[Learned]) -> tuple[tuple[float, ...], ...]:
    """Correlation of the heads' residuals over the rows that any two share; 0 where too few do."""
    matrix = np.eye(len(learned))
    for i, one in enumerate(learned):
        for j, other in enumerate(learned[:i]):
            _, mine, theirs = np.intersect1d(one.rows, other.rows, return_indices=True)
            if len(mine) >= 30:
                matrix[i, j] = matrix[j, i] = np.corrcoef(one.residual()[mine], other.residual()[theirs])[0, 1]
    values, vectors = np.linalg.eigh(np.nan_to_num(matrix))
    positive = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(positive))
    return tuple(tuple(map(float, row)) for row in positive * scale[:, None] * scale)


def records_of(history: History, material: Material, as_of: dt.date | None) -> Records:
    """Track counts on the day after `as_of`, so that its own matches count."""
    ids = pd.Series(material.therapist_ids, dtype="str")
    last_day = np.datetime64("NaT" if as_of is None else as_of, "D")
    days = np.full(len(ids), last_day + np.timedelta64(1, "D"))
    counts = track_counts(history.as_of_each(days), ids, material.problems)
    ago = counts.pop("days_since_last_case")
    last = np.where(np.isnan(ago), np.datetime64("NaT"), days - np.nan_to_num(ago).astype("timedelta64[D]"))
    kept = {name: values for name, values in counts.items() if name == "cases" or name.startswith(CASES_WITH)}
    return Records(material.therapist_ids, last.astype("datetime64[D]"), kept)


def golden_of(dataset: Dataset, history: History, material: Material, config: TrainConfig) -> dict[str, Any]:
    """Made-up clients and therapists, and ids, by which a bundle is checked when it is loaded."""
    days = np.full(len(material.episodes), "NaT", "datetime64[D]")
    known = history.as_of_each(days)
    clients = known.clients(material.episodes["client_id"]).join(known.intake(material.episodes["episode_id"]))
    skip = ("client_id", "disability", "sexual_orientation", "data_use")
    client_columns = [name for name in clients.columns if name not in skip]
    contract = dataset.contract("therapists")
    therapist_columns = [c.name for c in contract.columns if c.kind not in ("id", "date", "text") and c.name != "npi"]
    ids = [*material.therapist_ids[: GOLDEN_THERAPISTS - 1], "never-seen-0"]
    return {
        "clients": made_up_rows(clients, client_columns, GOLDEN_CLIENTS, config.seed),
        "therapists": made_up_rows(dataset["therapists"], therapist_columns, len(ids), config.seed + 1),
        "ids": ids,
    }
