"""Why someone waits, what binds and what could not be kept, in words: which limit, for whom, by how much."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from training.assignment import Allocation, placeable
from training.assignment_list import WAITS, Bools, Floats, Ints, Limit, WaitingList, group_means, within_cap

Kind = Literal["nobody", "limit", "cap", "places"]
_MORE_CASES = (1, 2, 3)
_MORE_DAYS = (1, 3, 7, 14, 28, 91)
_TIGHT = 1e-6


@dataclass(frozen=True)
class Reason:
    """Why one client waits, and what would change it."""

    client: int
    kind: Kind
    words: str
    next_step: str


def reasons(waiting: WaitingList, allocation: Allocation) -> list[Reason]:
    """One reason for each client who is not placed, in the order of the list.

    A load limit or the cap is named only if the client would be placed were it softer, with how much softer.
    """
    left = np.flatnonzero(allocation.chosen == WAITS)
    options = np.bincount(waiting.options.client, minlength=waiting.clients)
    softer = _softer(waiting, allocation, left[options[left] > 0])
    return [_reason(waiting, client, softer) for client in left.tolist()]


def missed_floors(waiting: WaitingList, allocation: Allocation) -> list[str]:
    """Each group whose floor could not be kept, and by how much it is missed."""
    return [
        f"{group.name}: the mean predicted gain lies {waiting.floor + short:.3f} SD below what the next available "
        f"therapist brings this group, where {waiting.floor:g} is allowed"
        for group, short in zip(waiting.groups, allocation.shortfall.tolist(), strict=True)
        if short > 0
    ]


def binding(waiting: WaitingList, allocation: Allocation, names: Sequence[str]) -> list[str]:
    """The constraints that shape this allocation; `names` are those of the therapists."""
    therapist = waiting.therapists(allocation.chosen)
    full = _reached(therapist[therapist >= 0], waiting.places, names)
    found = [f"places: all taken with {', '.join(full)}"] if full else []
    for limit in waiting.limits:
        reached = _reached(therapist[(therapist >= 0) & limit.counted], limit.most, names)
        found += [f"{limit.name}: reached with {', '.join(reached)}"] if reached else []
    outside = len(np.unique(waiting.options.client[~allocation.within]))
    if outside:
        found.append(f"cap on extra waiting: rules out some therapists or times for {_count(outside, 'client')}")
    margin = group_means(waiting, allocation.chosen) - group_means(waiting, allocation.next_available)
    tight = np.nan_to_num(margin, nan=np.inf) <= _TIGHT - waiting.floor
    names_of = [group.name for group, is_tight in zip(waiting.groups, tight, strict=True) if is_tight]
    return found + [f"fairness floor: {name} is held at it" for name in names_of]


def _reason(waiting: WaitingList, client: int, softer: dict[int, Reason]) -> Reason:
    if client in softer:
        return softer[client]
    mine = waiting.options.therapist[waiting.options.client == client]
    if not len(mine):
        words = "no therapist can see this client under the hard rules"
        step = "look at which rule excludes most, ask whether it can soften, or refer on; the place in the list is kept"
        return Reason(client, "nobody", words, step)
    therapists = np.unique(mine)
    held = int(waiting.places[therapists].sum())
    words = (
        f"{_count(len(therapists), 'therapist')} can see this client, and their {_count(held, 'place')} "
        "or free appointments go to clients who have waited longer"
    )
    step = "one more place or appointment with any of them is enough; else this client comes first when one is free"
    return Reason(client, "places", words, step)


def _softer(waiting: WaitingList, allocation: Allocation, able: Ints) -> dict[int, Reason]:
    """Clients whom a softer limit, or a softer cap, would place: the smallest of the steps tried that does."""
    found: dict[int, Reason] = {}
    for placed, reason in _steps(waiting, allocation):
        left = [client for client in able.tolist() if client not in found]
        if not left:
            break
        helped = placed()
        found |= {client: reason(client) for client in left if helped[client]}
    return found


def _steps(
    waiting: WaitingList, allocation: Allocation
) -> Iterator[tuple[Callable[[], Bools], Callable[[int], Reason]]]:
    for i, limit in enumerate(waiting.limits):
        for more in _MORE_CASES:
            softer = replace(limit, most=np.maximum(limit.most, 0) + more)
            limits = (*waiting.limits[:i], softer, *waiting.limits[i + 1 :])
            yield _placed(replace(waiting, limits=limits), allocation.within), _limit_reason(limit, more)
    for days in _MORE_DAYS if waiting.max_extra_days is not None else ():
        longer = replace(waiting, max_extra_days=(waiting.max_extra_days or 0.0) + days)
        yield _placed(waiting, within_cap(longer, allocation.next_available)), _cap_reason(days)


def _placed(waiting: WaitingList, rows: Bools) -> Callable[[], Bools]:
    return lambda: placeable(waiting, rows)


def _limit_reason(limit: Limit, more: int) -> Callable[[int], Reason]:
    words = f"the limit '{limit.name}' leaves this client without a place, though places are free"
    step = f"{more} more for each therapist would be enough; whether they can carry it is theirs to say"
    return lambda client: Reason(client, "limit", words, step)


def _cap_reason(days: int) -> Callable[[int], Reason]:
    words = "a place could be made only if clients ahead waited longer than the cap on extra waiting allows"
    step = f"a cap that is {_count(days, 'day')} longer would place this client; else the next free place is theirs"
    return lambda client: Reason(client, "cap", words, step)


def _reached(therapist: Ints, most: Ints | Floats, names: Sequence[str]) -> list[str]:
    load = np.bincount(therapist, minlength=len(most))
    return [name for name, count, end in zip(names, load, most, strict=True) if count and count >= end]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
