"""Do the off-policy estimators give a published figure? (10,000 + 10,000 logged recommendations, true propensities)"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table

from training.offpolicy import Value, inverse_propensity, self_normalised, weights

FOLDER = "obd_small"
ITEMS, POSITIONS = 80, 3
DRAWS, SEED = 100_000, 12345

Floats = npt.NDArray[np.float64]


def run(data: Path) -> dict[str, Any]:
    """Value of one policy read from the log of the other, both ways; `data` is the folder of real data.

    `relative_value` is the inverse-propensity value of Bernoulli Thompson sampling on the random log, over that log's
    mean reward.
    """
    random, thompson = _log(data, "random"), _log(data, "bts")
    forward = _estimates(random, policy(data)[random["item_id"], random["rank"]])
    reverse = _estimates(thompson, np.full(len(thompson), 1 / ITEMS))
    on_random = float(random["click"].mean())
    return {
        "relative_value": forward["ips"].value / on_random,
        "on_policy_random": on_random,
        "on_policy_bts": float(thompson["click"].mean()),
        "random_to_bts": _as_json(forward),
        "bts_to_random": _as_json(reverse),
    }


def policy(data: Path) -> Floats:
    """Probability of each item at each position under Bernoulli Thompson sampling, from its published prior."""
    alpha, beta = _prior((data / FOLDER / "prior_bts.yaml").read_text())
    drawn = np.random.RandomState(SEED).beta(alpha, beta, size=(DRAWS, ITEMS))
    first = drawn.argsort(axis=1)[:, ::-1][:, :POSITIONS]
    chances = [np.bincount(first[:, position], minlength=ITEMS) / DRAWS for position in range(POSITIONS)]
    return np.stack(chances, axis=1)


def _prior(text: str) -> tuple[Floats, Floats]:
    part = text[text.index("all:") :]
    names = {name: part.index(f"{name}:") for name in ("alpha", "beta")}
    found = {}
    for name, start in names.items():
        numbers = re.findall(r"-\s*([\d.]+)", part[start:])
        found[name] = np.array(numbers[:ITEMS], dtype=np.float64)
    return found["alpha"], found["beta"]


def _log(data: Path, name: str) -> pd.DataFrame:
    log = pd.read_csv(data / FOLDER / f"{name}_all_all.csv.gz")
    return log.assign(rank=log["position"].rank(method="dense").astype(int) - 1)


def _estimates(log: pd.DataFrame, probability: Floats) -> dict[str, Value]:
    reward = log["click"].to_numpy(dtype=np.float64)
    weight = weights(np.asarray(probability, dtype=np.float64), log["propensity_score"].to_numpy(dtype=np.float64))
    return {"ips": inverse_propensity(reward, weight), "snips": self_normalised(reward, weight)}


def _as_json(found: dict[str, Value]) -> dict[str, Any]:
    ips = found["ips"]
    return {
        "ips": ips.value,
        "se": ips.se,
        "snips": found["snips"].value,
        "ess": ips.effective,
        "warning": ips.warning,
    }


def table(result: dict[str, Any]) -> Table:
    """Both directions, beside what a policy really earned."""
    grid = Table("figure", "random to BTS", "BTS to random", title=f"relative value {result['relative_value']:.6f}")
    for key in ("ips", "se", "snips", "ess"):
        grid.add_row(key, f"{result['random_to_bts'][key]:.6g}", f"{result['bts_to_random'][key]:.6g}")
    grid.add_row("earned by the policy itself", f"{result['on_policy_bts']:.4f}", f"{result['on_policy_random']:.4f}")
    grid.add_row("warning", *(result[way]["warning"] or "none" for way in ("random_to_bts", "bts_to_random")))
    return grid
