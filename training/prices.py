"""Prices of scarce therapists, for clients who come one by one: what a place is worth to those still to come.

Who comes next is not known, but who came lately is: the price of a therapist is the multiplier at which the recent
clients, asked again, would fill the places that are left and no more. Each client then gets the therapist with the
highest utility less price. Prices are learned again as places go (Agrawal, Wang, Ye 2014, dynamic online linear
programming), on a softened dual (Cuturi 2013): it is smooth, so that few steps from the last prices are enough, and
it does not follow every whim of a few recent clients.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SOFTNESS = 0.02
"""SD of utility over which a recent client's choice is spread: less follows the sample's noise, more blurs."""
FIRST_STEPS = 200
STEPS = 3
WINDOW = 2000
"""Recent clients that demand is learned from."""
_FEWEST = 1e-3


@dataclass(frozen=True)
class Demand:
    """Recent clients: utility of every therapist for each (clients, therapists), -inf where they may not meet."""

    utility: Floats

    @classmethod
    def of(cls, utility: Floats, eligible: Bools) -> "Demand":
        """From tables (clients, therapists), oldest client first; the last `WINDOW` count."""
        return cls(np.where(eligible, utility, -np.inf)[-WINDOW:])

    def joined(self, utility: Floats, eligible: Bools) -> "Demand":
        """The same with one client more (therapists,), the oldest gone where the window is full."""
        return Demand(np.vstack([self.utility, np.where(eligible, utility, -np.inf)])[-WINDOW:])


def learn_prices(
    demand: Demand, places: Ints, ahead: float, start: Floats | None = None, steps: int = FIRST_STEPS
) -> Floats:
    """(therapists,): the price of a place of each, in SD of utility, never negative; 0 where no place is left.

    `places` are those left, `ahead` how many clients are expected before there are new ones, `start` the last prices.
    Clients beyond the places raise no price: who waits is for the order of the list to say.
    """
    price = np.zeros(len(places)) if start is None else start.copy()
    open_to = np.flatnonzero(places > 0)
    utility = demand.utility[:, open_to]
    utility = utility[np.isfinite(utility).any(axis=1)]
    price[places <= 0] = 0.0
    if not len(utility) or ahead <= 0:
        return np.zeros(len(places))
    left = places[open_to].astype(np.float64)
    each = min(ahead, left.sum()) / len(utility)
    price[open_to] = _filled(utility, left, each, price[open_to], steps)
    return price


def _filled(utility: Floats, left: Floats, each: float, price: Floats, steps: int) -> Floats:
    """Raises prices where more is asked than left, lowers them where less: each step a step down the softened dual."""
    for _ in range(steps):
        wish = (utility - price) / SOFTNESS
        wish -= wish.max(axis=1, keepdims=True)
        np.exp(wish, out=wish)
        asked = each * (wish / wish.sum(axis=1, keepdims=True)).sum(axis=0)
        price = np.maximum(price + SOFTNESS * np.log(np.maximum(asked, _FEWEST) / left), 0.0)
    return price


def place_in_turn(
    utility: Floats,
    eligible: Bools,
    places: Ints,
    demand: Demand,
    every: int = 1,
    on_client: Callable[[], None] | None = None,
) -> Ints:
    """(clients,): the therapist of each of the clients (rows, in the order in which they come), -1 where none is left.

    As many clients are expected as rows; prices know nobody before they have come, and are learned again after `every`
    client, from those who came before and `demand`.
    """
    left, price = places.copy(), np.zeros(len(places))
    chosen = np.full(len(utility), -1, dtype=np.int64)
    for client in range(len(utility)):
        if client % every == 0:
            steps = STEPS if client else FIRST_STEPS
            price = learn_prices(demand, left, len(utility) - client, price, steps)
        possible = eligible[client] & (left > 0)
        if possible.any():
            chosen[client] = int(np.where(possible, utility[client] - price, -np.inf).argmax())
            left[chosen[client]] -= 1
        demand = demand.joined(utility[client], eligible[client])
        if on_client is not None:
            on_client()
    return chosen
