"""What a set of learned heads says of past clients: of the therapist each one saw, and of all who were available."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import History
from features.build import FeatureSet
from features.columns import Floats, Pairs
from features.episodes import clients_from_history, therapists_from_history
from features.rows import Ranges
from training.binary import sigmoid
from training.design import Design
from training.head import Head, used_effects

Ints = npt.NDArray[np.int64]

MOST_CANDIDATES = 50
HALF_A_YEAR = np.timedelta64(183, "D")
MOST_CLIENTS = 3000
"""Clients whose whole choice is scored; the rest of a large test block is scored for the assigned therapist only."""


class Reads(Protocol):
    """What says how rows of the past are read: what a run learns from, or a bundle."""

    @property
    def features(self) -> FeatureSet:
        """The columns to build."""

    @property
    def design(self) -> Design:
        """How they are standardised."""

    @property
    def severity_of(self) -> Ranges:
        """Scores at intake that make up severity, with their ranges."""

    @property
    def problems(self) -> Sequence[str]:
        """Main problems whose past cases are counted for each therapist."""


@dataclass(frozen=True)
class Choice:
    """All therapists that were available to some past clients, as pairs; the assigned one is always among them."""

    episode: Ints
    """Row of the episode each pair belongs to."""
    therapist_id: npt.NDArray[np.object_]
    assigned: npt.NDArray[np.bool_]
    recorded: bool
    """Whether the choices are recorded offers; else they are guessed from who was seeing clients around the day."""
    share: float
    """Share of the clients looked at whose offers are recorded and leave a choice."""


@dataclass(frozen=True)
class Scored:
    """Pairs as seen on the day of each match: feature columns by part, effect columns, therapist ids."""

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
        return self.design.ranking_part(self.blocks)

    @cached_property
    def _people(self) -> tuple[Ints, npt.NDArray[np.object_]]:
        """Which of the different therapists each row has, and those therapists; there are far more rows."""
        codes, names = pd.factorize(self.therapist_id)
        return codes.astype(np.int64), names

    def fit(self, head: Head, ids: Mapping[str, int]) -> Floats:
        """Posterior mean of the fit of each row's pair, on the link scale; `ids` are the head's known therapists."""
        codes, names = self._people
        position = np.array([ids.get(name, -1) for name in names], dtype=np.int64)[codes]
        columns = self._ranking if head.info.parts.columns else self._ranking[:, :0]
        return head.mean(columns, self.effects[:, used_effects(self.design, head.info.parts)], position)

    def expected(self, head: Head, ids: Mapping[str, int], landmark: Floats | None = None) -> Floats:
        """Expected result of each row's pair, on the scale of the target (probabilities for binary heads)."""
        return on_scale(head, self.prognosis(head, landmark) + self.fit(head, ids))


def on_scale(head: Head, link: Floats) -> Floats:
    """What is expected on the link scale, on the scale of the target: chances for binary heads."""
    return sigmoid(link) if head.info.kind == "binary" else link


def unit_at(head: Head, link: Floats) -> Floats:
    """What 1 on the link scale is on the scale of the target where `link` is expected: p (1 - p) for binary heads."""
    if head.info.kind != "binary":
        return np.ones_like(link)
    chance = sigmoid(link)
    return np.asarray(chance * (1 - chance))


def choices(history: History, episodes: pd.DataFrame, seed: int) -> Choice:
    """Who was available for each of some episodes.

    Where offers are recorded, those; clients without any, or with one alone, had no choice that could be scored. In
    data without offers: up to `MOST_CANDIDATES` therapists who were matched with anyone within half a year of the day.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(episodes))[:MOST_CLIENTS])
    offers = history.latest().offers()
    offered = _with_assigned(_offered(offers, episodes, rows), episodes)
    found = _real_choices(offered)
    if len(found):
        clients = found["row"].nunique()
        return _choice(found, episodes, True, clients / max(len(rows), 1))
    around = _with_assigned(_around(episodes, rows, rng), episodes)
    found = _real_choices(around)
    return _choice(found if len(found) else around, episodes, False, 0.0)


def _offered(offers: pd.DataFrame, episodes: pd.DataFrame, rows: Ints) -> pd.DataFrame:
    row = pd.Series(rows, index=episodes["episode_id"].iloc[rows])
    mine = offers[offers["episode_id"].isin(row.index)]
    return pd.DataFrame({"row": mine["episode_id"].map(row).astype(np.int64), "therapist_id": mine["therapist_id"]})


def _around(episodes: pd.DataFrame, rows: Ints, rng: np.random.Generator) -> pd.DataFrame:
    """Therapists who were seeing new clients around the day of each row; all of them where there are no days."""
    days = episodes["matched_on"].to_numpy().astype("datetime64[D]")
    ids, codes = np.unique(episodes["therapist_id"].to_numpy(dtype=object), return_inverse=True)
    there = np.zeros((len(rows), len(ids)), dtype=bool)
    for code in range(len(ids)):
        own = np.sort(days[codes == code])
        first = np.searchsorted(own, days[rows] - HALF_A_YEAR)
        there[:, code] = np.searchsorted(own, days[rows] + HALF_A_YEAR, side="right") > first
    there |= np.isnat(days[rows])[:, None]
    luck = np.where(there, rng.random(there.shape), 2.0)
    kept = np.argsort(luck, axis=1)[:, :MOST_CANDIDATES]
    row, place = np.nonzero(np.take_along_axis(there, kept, axis=1))
    return pd.DataFrame({"row": rows[row], "therapist_id": ids[kept[row, place]]})


def _with_assigned(available: pd.DataFrame, episodes: pd.DataFrame) -> pd.DataFrame:
    rows = np.unique(available["row"].to_numpy(dtype=np.int64))
    seen = pd.DataFrame({"row": rows, "therapist_id": episodes["therapist_id"].to_numpy(dtype=object)[rows]})
    both = pd.concat([available.astype({"therapist_id": object}), seen])
    return both.drop_duplicates().sort_values(["row", "therapist_id"], ignore_index=True)


def _real_choices(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs[pairs.groupby("row")["row"].transform("size") > 1].reset_index(drop=True)


def _choice(pairs: pd.DataFrame, episodes: pd.DataFrame, recorded: bool, share: float) -> Choice:
    rows, ids = pairs["row"].to_numpy(dtype=np.int64), pairs["therapist_id"].to_numpy(dtype=object)
    return Choice(rows, ids, ids == episodes["therapist_id"].to_numpy(dtype=object)[rows], recorded, share)


def score(history: History, episodes: pd.DataFrame, reads: Reads) -> Scored:
    """Feature rows for `episodes` as heads learned from the material, or those of the bundle, read them.

    An episode's `therapist_id` may be anyone who was available on the day, and it may stand there with many of them:
    what is known of its client is read once.
    """
    first = ~episodes["episode_id"].duplicated().to_numpy()
    own = pd.Index(episodes["episode_id"][first]).get_indexer(episodes["episode_id"]).astype(np.int64)
    clients = clients_from_history(history, episodes[first].reset_index(drop=True), reads.severity_of)
    therapists = therapists_from_history(history, episodes, reads.problems)
    blocks = reads.features.blocks(clients, therapists, Pairs(own, np.arange(len(episodes))))
    ids = episodes["therapist_id"].to_numpy(dtype=object)
    return Scored(blocks, reads.design.effect_columns(clients)[own], ids, reads.design)
