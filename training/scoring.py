"""What a set of learned heads says of past clients: of the therapist each one saw, and of all who were available."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import History
from features.build import FeatureSet
from features.columns import Columns, Floats, Pairs
from features.rows import Ranges, from_history
from training.design import Design
from training.head import Head, used_effects

Ints = npt.NDArray[np.int64]

MOST_CLIENTS = 3000
"""Clients whose whole choice is scored; the rest of a large test block is scored for the assigned therapist only."""


@dataclass(frozen=True)
class Choice:
    """All therapists that were available to some past clients, as pairs; the assigned one is always among them."""

    episode: Ints
    """Row of the episode each pair belongs to."""
    therapist_id: npt.NDArray[np.object_]
    assigned: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scored:
    """Pairs as seen on the day of each match: feature columns by part, effect columns, therapist ids."""

    clients: Columns
    blocks: Mapping[str, Floats]
    effects: Floats
    therapist_id: npt.NDArray[np.object_]
    design: Design

    def prognosis(self, head: Head, landmark: Floats | None = None) -> Floats:
        """Expected result of each row on the link scale, whoever the therapist is."""
        return head.prognosis(head.client_part(self.design, self.blocks["client"], landmark))

    @cached_property
    def _ranking(self) -> Floats:
        """Border columns that rank, shared by all heads."""
        return np.column_stack([self.design.therapist(self.blocks["therapist"]), self.design.pair(self.blocks["pair"])])

    def fit(self, head: Head, ids: Mapping[str, int]) -> Floats:
        """Posterior mean of the fit of each row's pair, on the link scale; `ids` are the head's known therapists."""
        position = np.array([ids.get(name, -1) for name in self.therapist_id], dtype=np.int64)
        columns = self._ranking if head.info.parts.columns else self._ranking[:, :0]
        return head.mean(columns, self.effects[:, used_effects(self.design, head.info.parts)], position)


def choices(history: History, episodes: pd.DataFrame, seed: int) -> Choice:
    """Who was available for each episode: its offers, else everyone in the data (and then said in the report)."""
    offers = history.as_of(None if history.manifest.undated else history.manifest.as_of).offers()
    offers = offers[offers["episode_id"].isin(episodes["episode_id"])]
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(episodes))[:MOST_CLIENTS])
    some = episodes.iloc[chosen]
    row = pd.Series(chosen, index=some["episode_id"])
    if len(offers):
        offers = offers[offers["episode_id"].isin(some["episode_id"])]
        available = pd.DataFrame({"row": offers["episode_id"].map(row), "therapist_id": offers["therapist_id"]})
    else:
        everyone = np.unique(episodes["therapist_id"].to_numpy(dtype=object))
        available = pd.DataFrame(
            {"row": np.repeat(chosen, len(everyone)), "therapist_id": np.tile(everyone, len(chosen))}
        )
    seen = pd.DataFrame({"row": chosen, "therapist_id": some["therapist_id"].to_numpy()})
    pairs = pd.concat([available, seen]).drop_duplicates().sort_values(["row", "therapist_id"], ignore_index=True)
    rows = pairs["row"].to_numpy(dtype=np.int64)
    ids = pairs["therapist_id"].to_numpy(dtype=object)
    return Choice(rows, ids, ids == episodes["therapist_id"].to_numpy(dtype=object)[rows])


def score(
    history: History,
    episodes: pd.DataFrame,
    features: FeatureSet,
    design: Design,
    severity_of: Ranges,
    problems: tuple[str, ...],
) -> Scored:
    """Feature rows for `episodes`, whose `therapist_id` may be anyone who was available on the day."""
    clients, therapists = from_history(history, episodes, severity_of, problems)
    blocks = {
        "client": features.build_rows("client", clients),
        "therapist": features.build_rows("therapist", therapists),
        "pair": features.build_pairs(clients, therapists, Pairs.each(clients.size)),
    }
    ids = episodes["therapist_id"].to_numpy(dtype=object)
    return Scored(clients, blocks, design.effect_columns(clients), ids, design)
