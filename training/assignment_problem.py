"""The waiting list as a linear program with whole numbers, for HiGHS: a column for each option, sparse rows.

The solver is imported when there is a list to place: it takes 15 MB, and most workers never place one.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array, vstack

from training.assignment_list import Bools, Floats, Ints, Options, WaitingList

DAY_COST = 1e-4
"""SD that a day of waiting counts: so little that it decides between equals only."""
_PENALTY = 1e3
_NUDGE = 1e-3
_SECONDS = 60.0


@dataclass(frozen=True)
class Constraints:
    """What holds whoever is placed: `once` (clients, options) and `held` (places, appointments, limits; options)."""

    waiting: WaitingList
    once: csr_array
    held: csr_array
    most: Floats
    """Upper ends of the rows of `held`."""
    slot_of: Ints
    """(appointments,): whose it is; rows of `held` are therapists' places, appointments, limits."""

    @property
    def options(self) -> Options:
        """Its columns."""
        return self.waiting.options

    @classmethod
    def of(cls, waiting: WaitingList) -> "Constraints":
        """The rows of a list."""
        options = waiting.options
        columns = np.arange(len(options))
        blocks = [_counting(options.therapist, columns, len(waiting.places), len(options))]
        most = [waiting.places]
        booked = columns[options.slot >= 0]
        distinct, first, slot = np.unique(options.slot[booked], return_index=True, return_inverse=True)
        blocks.append(_counting(slot, booked, len(distinct), len(options)))
        most.append(np.ones(len(distinct), dtype=np.int64))
        for limit in waiting.limits:
            counted = columns[limit.counted[options.client]]
            blocks.append(_counting(options.therapist[counted], counted, len(limit.most), len(options)))
            most.append(limit.most)
        held = vstack(blocks, format="csr")
        once = _counting(options.client, columns, waiting.clients, len(options))
        slot_of = options.therapist[booked[first]]
        return cls(waiting, once, held, np.maximum(np.concatenate(most), 0).astype(np.float64), slot_of)


@dataclass(frozen=True)
class Solved:
    """Options taken, what one more place of each therapist would add, and whether nothing better can exist."""

    taken: Ints
    price: Floats
    exact: bool


def in_order(constraints: Constraints, start: Ints) -> Ints:
    """Options that place everyone who can be placed, those who came first before all others. With whom is left open.

    `start`: any options that can be taken together. Without load limits the sets that can be placed form a matroid, so
    the heaviest under any decreasing weights is the one found in order (Gale 1968); with them each client left out is
    tried against those before.
    """
    clients = constraints.waiting.clients
    possible = np.isin(np.arange(clients), constraints.options.client)
    if len(start) == possible.sum():
        return start
    taken = _heaviest(constraints, np.zeros(clients, dtype=bool))
    placed = np.isin(np.arange(clients), constraints.options.client[taken])
    for client in np.flatnonzero(possible) if constraints.waiting.limits else ():
        if not placed[client]:
            must = placed & (np.arange(clients) < client)
            must[client] = True
            tried = _heaviest(constraints, must)
            taken = tried if len(tried) else taken
            placed = np.isin(np.arange(clients), constraints.options.client[taken])
    return taken


def best(constraints: Constraints, start: Ints, floors: Floats) -> Solved:
    """The highest predicted utility for the clients placed by `start`, each group's mean at its floor (NaN: none)."""
    from scipy.optimize import Bounds, LinearConstraint, linprog, milp

    waiting, options = constraints.waiting, constraints.options
    if not len(start):
        return Solved(start, np.zeros(len(waiting.places)), True)
    placed = np.isin(np.arange(waiting.clients), options.client[start])
    fair, least, missed = _fair(constraints, placed, floors)
    worth = options.utility - DAY_COST * np.nan_to_num(options.wait)
    cost = np.concatenate([-worth, np.full(missed, _PENALTY)])
    high = np.concatenate([np.ones(len(options)), np.full(missed, np.inf)])
    whole = np.concatenate([np.ones(len(options)), np.zeros(missed)])
    each, wanted = _wider(constraints.once, missed), placed.astype(np.float64)
    upper = vstack([_wider(constraints.held, missed), -fair], format="csr")
    most = np.concatenate([constraints.most, -least])
    rules = [LinearConstraint(each, wanted, wanted), LinearConstraint(upper, -np.inf, most)]
    settings = {"mip_rel_gap": 1e-4, "time_limit": _SECONDS}
    answer = milp(cost, integrality=whole, bounds=Bounds(0, high), constraints=rules, options=settings)
    taken = start if answer.x is None else np.flatnonzero(answer.x[: len(options)] > 0.5)
    most[: len(waiting.places) + len(constraints.slot_of)] += _NUDGE  # the price of one more place, not of one less
    relaxed = linprog(cost, upper, most, each, wanted, bounds=np.column_stack([np.zeros(len(high)), high]))
    price = _prices(constraints, -relaxed.ineqlin.marginals if relaxed.status == 0 else np.zeros(len(most)))
    return Solved(taken, price, bool(answer.status == 0))


def _prices(constraints: Constraints, duals: Floats) -> Floats:
    """What a place of each therapist is worth together with the cheapest of their appointments."""
    therapists = len(constraints.waiting.places)
    slot = np.full(therapists, np.inf)
    np.minimum.at(slot, constraints.slot_of, duals[therapists : therapists + len(constraints.slot_of)])
    return np.maximum(duals[:therapists] + np.where(np.isinf(slot), 0.0, slot), 0.0)


def _heaviest(constraints: Constraints, must: Bools) -> Ints:
    """Options that place the heaviest set of clients that has everyone in `must`; none if there is no such set."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    clients, options = constraints.waiting.clients, constraints.options
    if not len(options):
        return np.zeros(0, dtype=np.int64)
    weight = 1.0 + (clients - options.client) / clients
    rules = [
        LinearConstraint(constraints.once, must.astype(np.float64), 1.0),
        LinearConstraint(constraints.held, -np.inf, constraints.most),
    ]
    settings = {"mip_rel_gap": 0.0, "time_limit": _SECONDS}
    whole = np.ones(len(options))
    answer = milp(-weight, integrality=whole, bounds=Bounds(0, 1), constraints=rules, options=settings)
    return np.zeros(0, dtype=np.int64) if answer.x is None else np.flatnonzero(answer.x > 0.5)


def _fair(constraints: Constraints, placed: Bools, floors: Floats) -> tuple[csr_array, Floats, int]:
    """Rows `sum of the group's utility + size x missed >= size x floor`, with a column `missed` for each of them."""
    options = constraints.options
    members = [group.member & placed for group in constraints.waiting.groups]
    kept = [i for i, member in enumerate(members) if member.any() and not np.isnan(floors[i])]
    sizes = np.array([members[i].sum() for i in kept], dtype=np.float64)
    sums = np.array([np.where(members[i][options.client], options.utility, 0.0) for i in kept])
    rows = np.column_stack([sums.reshape(len(kept), len(options)), np.diag(sizes)])
    return csr_array(rows), sizes * floors[kept], len(kept)


def _counting(row: Ints, columns: Ints, rows: int, width: int) -> csr_array:
    return csr_array((np.ones(len(columns)), (row, columns)), shape=(rows, width))


def _wider(rows: csr_array, columns: int) -> csr_array:
    """The same rows with empty columns added."""
    return csr_array((rows.data, rows.indices, rows.indptr), shape=(rows.shape[0], rows.shape[1] + columns))
