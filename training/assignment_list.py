"""A waiting list as a question: who could be placed with whom and when, under which limits, and what is next available.

Clients are numbered in the order in which they are to be placed: 0 has waited longest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FLOOR = 0.02
"""How far, in SD, a group's mean predicted gain may lie below what the next available therapist brings it."""
WAITS = -1
"""In place of an option: the client waits."""


@dataclass(frozen=True)
class Options:
    """Every way to place a client that the hard rules leave, one row each; all arrays of shape (options,)."""

    client: Ints
    therapist: Ints
    utility: Floats
    """Predicted, in SD."""
    wait: Floats
    """Days until the first session; NaN where unknown."""
    slot: Ints
    """The appointment that it takes, -1 where it takes none."""

    def __len__(self) -> int:
        return len(self.client)

    @classmethod
    def of(cls, utility: Floats, eligible: Bools, wait: Floats | None = None) -> "Options":
        """From tables (clients, therapists), where no appointments are kept; `wait` in days."""
        client, therapist = np.nonzero(eligible)
        days = np.full(len(client), np.nan) if wait is None else wait[client, therapist]
        none = np.full(len(client), -1, dtype=np.int64)
        return cls(client.astype(np.int64), therapist.astype(np.int64), utility[client, therapist], days, none)

    def take(self, rows: Ints) -> "Options":
        """These rows."""
        return Options(self.client[rows], self.therapist[rows], self.utility[rows], self.wait[rows], self.slot[rows])


@dataclass(frozen=True)
class Limit:
    """A load limit: of the clients counted, each therapist takes at most so many."""

    name: str
    counted: Bools
    """(clients,): whom it counts, such as those with severe symptoms."""
    most: Ints
    """(therapists,): how many more of them each may take."""


@dataclass(frozen=True)
class Group:
    """Clients whose mean predicted gain the fairness floor protects."""

    name: str
    member: Bools
    """(clients,)"""


@dataclass(frozen=True)
class WaitingList:
    """The question that `training.assignment.allocate` answers."""

    clients: int
    options: Options
    places: Ints
    """(therapists,): how many new clients each can take."""
    limits: Sequence[Limit] = ()
    groups: Sequence[Group] = ()
    max_extra_days: float | None = None
    """How many days more than the next available therapist would ask of the same client; None: any."""
    floor: float = FLOOR

    def waits(self, chosen: Ints) -> Floats:
        """Days until the first session of each client, for a choice of options; NaN for those not placed."""
        return _of_chosen(self.options.wait, chosen, np.nan)

    def utilities(self, chosen: Ints) -> Floats:
        """Predicted utility of each client, for a choice of options; 0 for those not placed."""
        return _of_chosen(self.options.utility, chosen, 0.0)

    def therapists(self, chosen: Ints) -> Ints:
        """Therapist of each client, for a choice of options; -1 for those not placed."""
        return _of_chosen(self.options.therapist.astype(np.float64), chosen, -1.0).astype(np.int64)


def next_available(waiting: WaitingList) -> Ints:
    """(clients,): the option of each client if everyone in turn takes the soonest that is left, `WAITS` for none."""
    options, places = waiting.options, waiting.places.copy()
    left = [limit.most.copy() for limit in waiting.limits]
    used: set[int] = set()
    chosen = np.full(waiting.clients, WAITS, dtype=np.int64)
    for row in np.lexsort((options.therapist, np.nan_to_num(options.wait, nan=np.inf), options.client)).tolist():
        client, therapist, slot = int(options.client[row]), int(options.therapist[row]), int(options.slot[row])
        counts = [count for limit, count in zip(waiting.limits, left, strict=True) if limit.counted[client]]
        taken = slot in used or any(count[therapist] <= 0 for count in [places, *counts])
        if chosen[client] != WAITS or taken:
            continue
        chosen[client] = row
        if slot >= 0:
            used.add(slot)
        for count in [places, *counts]:
            count[therapist] -= 1
    return chosen


def extra_days(waiting: WaitingList, soonest: Ints) -> Floats:
    """(options,): days beyond the client's next available option (`soonest`); NaN where either is unknown."""
    extra: Floats = waiting.options.wait - waiting.waits(soonest)[waiting.options.client]
    return extra


def within_cap(waiting: WaitingList, soonest: Ints) -> Bools:
    """(options,): those that the cap on extra waiting leaves.

    Where nothing was available in a client's turn, or nobody knows when, there is nothing to wait longer than.
    """
    if waiting.max_extra_days is None:
        return np.ones(len(waiting.options), dtype=bool)
    nothing = np.isnan(waiting.waits(soonest))[waiting.options.client]
    within: Bools = nothing | (extra_days(waiting, soonest) <= waiting.max_extra_days)
    return within


def usable(waiting: WaitingList) -> Bools:
    """(options,): those with therapists who have any place for such a client at all; the rest can never be taken."""
    options = waiting.options
    can: Bools = waiting.places[options.therapist] > 0
    for limit in waiting.limits:
        can = can & (~limit.counted[options.client] | (limit.most[options.therapist] > 0))
    return can


def group_means(waiting: WaitingList, chosen: Ints) -> Floats:
    """(groups,): mean predicted utility of those of each group who are placed; NaN where nobody is."""
    placed, utility = chosen != WAITS, waiting.utilities(chosen)
    means = [utility[m].mean() if (m := group.member & placed).any() else np.nan for group in waiting.groups]
    return np.array(means, dtype=np.float64)


def _of_chosen(values: Floats, chosen: Ints, otherwise: float) -> Floats:
    found = np.full(len(chosen), otherwise)
    found[chosen != WAITS] = values[chosen[chosen != WAITS]]
    return found
