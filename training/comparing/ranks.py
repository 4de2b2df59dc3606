"""For which clients of a dataset two bundles put another therapist first, and how far their orders agree."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.consent import for_learning
from data.dataset import Dataset
from data.errors import ConfigError, Problem
from data.history import History
from training.bundle import Bundle
from training.config import TrainConfig
from training.evaluate import Offered, Resamples
from training.groups import Groups, group_table, groups_of
from training.scoring import Choice, choices, score, unit_at
from training.split import blocks
from training.targets import learnable

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_OFFERED = 3
"""Orders of fewer therapists are not correlated."""


def ranked_differently(dataset: Dataset, first: Bundle, second: Bundle) -> dict[str, Any]:
    """Clients of the dataset's test block who had a choice, ranked by both bundles as they are served.

    `another_first`: share of clients for whom another therapist stands first; `correlation`: Spearman's, of the
    utilities of the therapists offered to one client; `given_up`: what the first bundle expects to lose by the
    second's choice, in SD. Each with the interval of therapists drawn again, for all and by group of clients (`n` is
    None for a group too small to show).

    Raises ConfigError if nobody in the data had a choice.
    """
    history = History(for_learning(dataset))
    config = TrainConfig.model_validate(second.manifest.config)
    test = _test_block(history, config)
    choice = choices(history, test, config.seed) if len(test) else None
    if choice is None or not len(choice.episode):
        rule = "nobody in it, whose result could be known, had a choice of therapists"
        raise ConfigError([Problem("--data", dataset.manifest.name, rule, "give data with courses of treatment")])
    chosen = test.iloc[choice.episode].assign(therapist_id=choice.therapist_id).reset_index(drop=True)
    utilities = [utility(history, chosen, bundle) for bundle in (first, second)]
    offered = Offered(choice.episode, choice.assigned)
    every = pd.Series("everybody", index=test.index, dtype=object)
    groups = {"all": every, **groups_of(history, test, score(history, test, second), second)}
    everybody, *by_group = _table(offered, utilities, test, groups, config)
    return {"whose": _whose(choice, dataset), "pairs": len(choice.episode), "all": everybody, "by_group": by_group}


def _test_block(history: History, config: TrainConfig) -> pd.DataFrame:
    episodes = learnable(history.latest(), config.split.wait_weeks)
    if not len(episodes):
        return episodes
    return episodes[blocks(episodes, config.split, config.seed).test].reset_index(drop=True)


def utility(history: History, chosen: pd.DataFrame, bundle: Bundle) -> Floats:
    """Utility of each pair, in SD, but for a constant of each client: as the service ranks by, on the day of the match.

    Probabilities are those of the client with the mean therapist offered.
    """
    seen, heads = score(history, chosen, bundle), bundle.counting
    position = pd.factorize(chosen["episode_id"])[0]
    count = np.bincount(position)
    total = np.zeros(len(chosen))
    for name, share in zip(heads.names, heads.share, strict=True):
        head = bundle.heads[name]
        fit = seen.fit(head, bundle.place)
        if head.info.kind == "binary":
            mean = np.bincount(position, weights=seen.prognosis(head) + fit) / count
            fit = fit * unit_at(head, mean)[position]
        total += share * fit
    return total


def _table(
    offered: Offered, utilities: list[Floats], test: pd.DataFrame, groups: Groups, config: TrainConfig
) -> list[dict[str, Any]]:
    best = [offered.first(one) for one in utilities]
    columns = {
        "another_first": (best[0] != best[1]).astype(np.float64),
        "correlation": correlations(offered.position, *utilities),
        "given_up": utilities[0][best[0]] - utilities[0][best[1]],
    }
    therapist = test["therapist_id"].factorize()[0][offered.rows].astype(np.int64)
    resamples = Resamples.of(therapist, config.bootstraps, config.seed)
    return group_table(groups, offered.rows, columns, np.ones(len(offered.rows)), resamples)


def correlations(position: Ints, one: Floats, other: Floats) -> Floats:
    """Spearman's correlation within each client, (clients,); NaN for fewer than 3 offered or where all are equal."""
    frame = pd.DataFrame({"client": position, "a": one, "b": other})
    ranks = frame.groupby("client")[["a", "b"]].rank()
    gaps = ranks - ranks.groupby(frame["client"]).transform("mean")
    sums = pd.DataFrame({"ab": gaps["a"] * gaps["b"], "aa": gaps["a"] ** 2, "bb": gaps["b"] ** 2})
    total = sums.groupby(frame["client"]).sum()
    size = np.sqrt((total["aa"] * total["bb"]).to_numpy(dtype=np.float64))
    known = (np.bincount(position) >= FEWEST_OFFERED) & (size > 0)
    return np.where(known, total["ab"].to_numpy(dtype=np.float64) / np.where(size > 0, size, 1.0), np.nan)


def _whose(choice: Choice, dataset: Dataset) -> str:
    offers = "offers on record" if choice.recorded else "those who were seeing new clients around the day"
    return f"clients of the test block of {dataset.manifest.name}, each with {offers}; as known on the day of the match"
