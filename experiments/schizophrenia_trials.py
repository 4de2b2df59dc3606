"""Do psychiatrists differ, and does knowing who treats help to predict? (2,151 patients of 198 psychiatrists)"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from data.dataset import Dataset
from experiments.held_out import Bench, imported, pooled_r2
from training.baselines import PATIENT_ONLY
from training.config import TrainConfig
from training.mixed import Structure, fit
from training.sums import Sums

FOLDER, MAPPING, CONFIG = "schizophrenia_trials", "schizophrenia_trials.mapping.toml", "schizophrenia_trials.toml"
SEEDS = range(5)
FOLDS = 5
LANDMARK = 1


def run(data: Path) -> dict[str, Any]:
    """Intraclass correlation of the endpoint, and pooled out-of-fold R2 of week 8 with what is known after week 1.

    `data` is the folder of real data. `*_unseen` holds psychiatrists out whole. Figures are means over five seeds.
    """
    dataset = imported(MAPPING, data / FOLDER)
    config = TrainConfig.read(Path(__file__).with_name(CONFIG))
    head = config.heads[0].model_copy(update={"landmark": LANDMARK})
    config = config.model_copy(update={"heads": (head,)})
    bench = Bench.of(dataset, config)
    variants = {"with": config.fit, "without": PATIENT_ONLY}
    found: dict[str, list[float]] = {}
    for seed in SEEDS:
        for owner, suffix in (("client_id", ""), ("therapist_id", "_unseen")):
            for name, predicted in bench.predict(owner, FOLDS, seed, variants).items():
                key = f"r2_week8{suffix}" + ("" if name == "with" else "_without_therapist")
                found.setdefault(key, []).append(pooled_r2(bench.goal.value, predicted))
    means = {key: float(np.mean(values)) for key, values in found.items()}
    difference = means["r2_week8_unseen"] - means["r2_week8_unseen_without_therapist"]
    return {
        "icc_endpoint": icc_endpoint(dataset),
        **means,
        "r2_week8_unseen_difference": difference,
        "rows_week8": len(bench.episodes),
        "undated": True,
        "tested_forward_in_time": False,
    }


def icc_endpoint(dataset: Dataset) -> float:
    """Share of variance between psychiatrists in `endpoint ~ treatment + (1 | psychiatrist)`, by REML."""
    measures = dataset["measures"]
    ends = measures[measures["instrument"] == "panss_endpoint"].set_index("episode_id")["value"]
    rows = dataset["episodes"].merge(dataset["clients"][["client_id", "treat"]], on="client_id")
    rows = rows[rows["episode_id"].isin(ends.index)]
    codes, names = pd.factorize(rows["therapist_id"])
    border = np.column_stack([np.ones(len(rows)), rows["treat"].to_numpy(dtype=float)])
    y = ends.loc[rows["episode_id"]].to_numpy(dtype=float)
    sums = Sums.of(border, np.ones((len(rows), 1)), y, codes.astype(np.int64), len(names))
    solution = fit(sums, Structure(joint=1, strengths=0, border=2))
    return float(solution.prior[0, 0] / (solution.prior[0, 0] + solution.noise))


def table(result: dict[str, Any]) -> Table:
    """The figures beside what they must reach."""
    grid = Table("figure", "value", "expected", title="schizophrenia_trials (undated: not tested forward in time)")
    expected = {
        "icc_endpoint": ".133 +- .01",
        "r2_week8": ">= .30",
        "r2_week8_without_therapist": "about .256",
        "r2_week8_unseen_difference": ">= -.005",
    }
    for key, value in result.items():
        if isinstance(value, float):
            grid.add_row(key, f"{value:.3f}", expected.get(key, ""))
    return grid
