"""Past choices as a log: who was available to each client, whom they saw, and how likely that was."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import History
from training.config import TrainConfig
from training.design import Scaler
from training.learn import Material
from training.offpolicy import even, first, top_share
from training.propensity import FEWEST_CHOICES, FOLDS, Drivers, Propensities, estimate, lift
from training.scoring import Choice, Scored
from training.split import folds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LIFTS = ("site", "referral_source")
"""Columns of episodes whose cases may go to some therapists more than to others."""


@dataclass(frozen=True)
class ChoiceLog:
    """Choices of past clients: arrays of pairs are sorted by client, and each client has at least two pairs."""

    rows: Ints
    """Row of the test block of each client."""
    pairs: Ints
    """Row, among the pairs of the choice it was made from, of each pair."""
    position: Ints
    """Client of each pair, as a position in `rows`."""
    therapist_id: npt.NDArray[np.object_]
    assigned: Bools
    score: Floats
    """What the policies rank by, of each pair."""
    propensities: Propensities
    recorded: bool
    """Whether the choices are recorded offers; else they are guessed."""

    @property
    def seen(self) -> npt.NDArray[np.object_]:
        """Therapist whom each client saw."""
        return self.therapist_id[self.assigned]

    def policies(self) -> dict[str, Floats]:
        """Probability of each pair under each policy."""
        return {
            "argmax": first(self.score, self.position),
            "top_tenth": top_share(self.score, self.position),
            "next_available": even(self.position),
        }


def choice_log(
    history: History,
    config: TrainConfig,
    material: Material,
    test: pd.DataFrame,
    pairs: Scored,
    choice: Choice,
    score: Floats,
) -> ChoiceLog | None:
    """The choices with their propensities; None where too few clients had one.

    Therapists who opted out of learning are left out: none of their own cases is in the data.
    """
    kept, offered = _kept(history, choice)
    rows, position = np.unique(choice.episode[kept], return_inverse=True)
    if len(rows) < FEWEST_CHOICES:
        return None
    clients = test.iloc[rows]
    drivers = _drivers(material, clients, pairs, kept, position.astype(np.int64), choice, score)
    propensities = estimate(drivers, folds(clients["client_id"], FOLDS, config.seed), _recorded(clients, offered[rows]))
    return ChoiceLog(
        rows,
        np.flatnonzero(kept),
        drivers.position,
        choice.therapist_id[kept],
        drivers.assigned,
        score[kept],
        propensities,
        choice.recorded,
    )


def _kept(history: History, choice: Choice) -> tuple[Bools, Floats]:
    """Pairs that stay, and by test row the offers made and the share of them that stay."""
    therapists = history.latest().therapists()
    out = set(therapists.loc[therapists["learning_opt_out"].fillna(False).to_numpy(dtype=bool), "therapist_id"])
    stays = ~np.isin(choice.therapist_id, list(out)) | choice.assigned
    offered = np.bincount(choice.episode).astype(np.float64)
    left = np.bincount(choice.episode, stays)
    return stays & (left > 1)[choice.episode], np.column_stack([offered, left])


def _recorded(clients: pd.DataFrame, offered: Floats) -> Floats:
    """Propensities that are known, among those who stay: what was recorded, and an even chance for a lot."""
    recorded: Floats = clients["propensity"].to_numpy(dtype=np.float64, na_value=np.nan)
    by_lot = (clients["assigned_by"] == "random").to_numpy(dtype=bool, na_value=False)
    known = np.where(np.isnan(recorded) & by_lot, 1 / offered[:, 0], recorded)
    return np.where(known > 0, np.minimum(known * offered[:, 0] / offered[:, 1], 1.0), np.nan)


def _drivers(
    material: Material, clients: pd.DataFrame, pairs: Scored, kept: Bools, position: Ints, choice: Choice, score: Floats
) -> Drivers:
    """What may have driven the choices: lifts, the ranking itself, match and track columns, the profile."""
    design, ids = material.design, choice.therapist_id[kept]
    people = np.unique(ids, return_inverse=True)[1].astype(np.int64)
    severity = pairs.effects[kept, 1] if design.joint > 1 else np.zeros(len(ids))
    gain = score[kept] - (np.bincount(position, score[kept]) / np.bincount(position))[position]
    general = (np.bincount(people, gain) / np.bincount(people))[people]
    episodes = material.episodes
    past = {name: episodes[name].to_numpy(dtype=object) for name in ("therapist_id", *LIFTS)}
    now = {name: clients[name].to_numpy(dtype=object)[position] for name in LIFTS} | {"therapist_id": ids}
    lifts = [lift(past, now, name) for name in LIFTS]
    return Drivers(
        position,
        choice.assigned[kept],
        (
            _standard(np.column_stack([*lifts, gain, general, general * severity])),
            design.pair(pairs.blocks["pair"][kept]),
            design.therapist(pairs.blocks["therapist"][kept]),
        ),
        people,
        severity,
    )


def _standard(columns: Floats) -> Floats:
    names = tuple(str(i) for i in range(columns.shape[1]))
    return Scaler.learn(names, columns)(columns)
