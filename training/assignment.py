"""A waiting list at once: who is placed with whom, under places, load limits, a cap on waiting and a fairness floor.

Two questions, never mixed. *Who is placed* follows the order of the list alone: the set of clients that places,
appointments and load limits can hold, those who came first before all others. Predicted severity or outcome has no
part in it. *With whom* is then the highest sum of predicted utility.
"""

from dataclasses import dataclass, replace

import numpy as np

from training.assignment_list import (
    WAITS,
    Bools,
    Floats,
    Ints,
    WaitingList,
    group_means,
    next_available,
    usable,
    within_cap,
)
from training.assignment_problem import Constraints, best, in_order


@dataclass(frozen=True)
class Allocation:
    """The answer: for each client the row of the list's options that is taken, `WAITS` for those who wait."""

    chosen: Ints
    next_available: Ints
    """The same if everyone in turn took the soonest place they could see."""
    price: Floats
    """(therapists,): what one more place would add to the summed utility, in SD; 0 where places are left."""
    shortfall: Floats
    """(groups,): how far below the floor each group's mean lies, in SD; 0 where the floor is kept."""
    within: Bools
    """(options,): those that the cap on extra waiting leaves."""
    exact: bool
    """False if the solver ran out of time, and this is the best that it had found."""


def allocate(waiting: WaitingList) -> Allocation:
    """The allocation with the highest predicted utility of those placed. No list makes it raise.

    Places, appointments, load limits and the cap always hold: whoever they leave out waits. A floor that cannot be
    kept with everyone placed is missed by as little as can be, and `shortfall` says by how much.
    """
    soonest = next_available(waiting)
    within = within_cap(waiting, soonest)
    rows = np.flatnonzero(within & usable(waiting))
    floors = group_means(waiting, soonest) - waiting.floor
    constraints = Constraints.of(replace(waiting, options=waiting.options.take(rows)))
    solved = best(constraints, in_order(constraints, np.searchsorted(rows, soonest[soonest != WAITS])), floors)
    chosen = np.full(waiting.clients, WAITS, dtype=np.int64)
    chosen[waiting.options.client[rows[solved.taken]]] = rows[solved.taken]
    below = np.nan_to_num(floors - group_means(waiting, chosen))
    return Allocation(chosen, soonest, solved.price, np.where(below > 1e-6, below, 0.0), within, solved.exact)


def placeable(waiting: WaitingList, rows: Bools) -> Bools:
    """(clients,): who would be placed, in the order of the list, with these options under its places and limits."""
    constraints = Constraints.of(replace(waiting, options=waiting.options.take(np.flatnonzero(rows & usable(waiting)))))
    taken = in_order(constraints, np.zeros(0, dtype=np.int64))
    placed: Bools = np.isin(np.arange(waiting.clients), constraints.options.client[taken])
    return placed
