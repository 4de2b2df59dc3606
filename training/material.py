"""Gathers what heads learn from: feature rows of past matches, each as known on its own day."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from data.history import History
from features.build import FEWEST_ROWS, FeatureSet
from features.columns import Columns, Floats, Pairs
from features.episodes import from_history
from features.rows import Ranges, known_codes
from training.choosing import Chosen
from training.config import TrainConfig
from training.design import Design, learn_design
from training.learn import Material
from training.split import folds

PANEL = 32
FOLDINGS = 2
SIGN = {"+": 1.0, "-": -1.0}


def severity_ranges(config: TrainConfig, history: History) -> Ranges:
    """Range of each instrument that makes up severity: those of the outcome."""
    known = history.manifest.instruments()
    names = [name for name in config.outcome.instruments if name in known]
    return {f"{name}.0": (known[name].low, known[name].high) for name in names}


def main_problems(history: History, episodes: pd.DataFrame) -> tuple[str, ...]:
    """Main problems that enough of the episodes have, so that strengths in them can be learned."""
    clients = history.as_of_each(np.full(len(episodes), "NaT", "datetime64[D]")).clients(episodes["client_id"])
    rows = Columns.of(clients[["problems"]], {"problems": "codes"}, len(clients))
    return tuple(known_codes(rows.set("problems").first_codes(), FEWEST_ROWS))


def gather(history: History, episodes: pd.DataFrame, chosen: Chosen, config: TrainConfig) -> Material:
    """Feature rows of the episodes, the columns they make, and the design that standardises them."""
    problems = main_problems(history, episodes)
    severity_of = severity_ranges(config, history)
    clients, therapists = from_history(history, episodes, severity_of, problems)
    features = FeatureSet.learn(clients, therapists, chosen.names, chosen.declared)
    blocks = features.blocks(clients, therapists, Pairs.each(clients.size))
    design = learn_design(features, clients, blocks, config.fit.slope, problems)
    codes, ids = episodes["therapist_id"].factorize(sort=True)
    return Material(
        episodes=episodes,
        features=features,
        design=design,
        clients=clients,
        blocks=blocks,
        effects=design.effect_columns(clients),
        therapist=codes.astype(np.int64),
        therapist_ids=tuple(map(str, ids)),
        severity_of=severity_of,
        problems=problems,
        folds=tuple(folds(episodes["client_id"], config.prognosis.folds, config.seed + i) for i in range(FOLDINGS)),
        usual=_usual(features, design, clients, therapists, episodes),
        expected={c: SIGN[e] for c, n in features.feature_of.items() if (e := chosen.policy.rule(n).expected) in SIGN},
    )


def _usual(
    features: FeatureSet, design: Design, clients: Columns, therapists: Columns, episodes: pd.DataFrame
) -> Floats:
    """What each pair column usually is for each client: its mean over a panel of therapists, those of other rows.

    The panel is spread evenly over the days, so that it stands for who was there when.
    """
    in_time = np.argsort(episodes["matched_on"].to_numpy(), kind="stable")
    panel = in_time[np.linspace(0, len(in_time) - 1, min(PANEL, len(in_time))).astype(np.int64)]
    everyone = np.arange(clients.size)
    total = np.zeros((clients.size, len(design.pair.names)))
    for row in panel:
        pairs = Pairs(everyone, np.full(clients.size, row))
        total += design.pair(features.build_pairs(clients, therapists, pairs))
    return total / len(panel)


def made_up_rows(table: pd.DataFrame, columns: Sequence[str], count: int, seed: int) -> dict[str, list[object]]:
    """Rows no one has: each column drawn on its own, so that a golden row is nobody's."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[object]] = {}
    for name in columns:
        drawn = table[name].iloc[rng.integers(0, len(table), count)]
        rows[name] = [None if pd.isna(cell) else _plain(cell) for cell in drawn]
    return rows


def _plain(cell: object) -> object:
    return cell.item() if isinstance(cell, np.generic) else cell
