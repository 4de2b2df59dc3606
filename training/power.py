"""The power line: the smallest gain that data of this size could tell from none.

A gain d estimated with standard error s is told from 0 at the two-sided level a with power b where d is at least
(t[1 - a/2] + t[b]) s, with Student's quantiles for as many degrees of freedom as there are therapists less one
(Bloom 1995, "Minimum detectable effects", Evaluation Review 19).
"""

from dataclasses import dataclass
from typing import Any

from scipy.special import stdtrit

LEVEL, POWER = 0.05, 0.80
WORTH_A_MOVE = 0.05
"""The gain (SD) from which a difference is called meaningful; how many clients it would take is said beside."""


@dataclass(frozen=True)
class Power:
    """What an evaluation could have seen."""

    smallest: float
    """Smallest gain (SD) that it would find with 80 % power, two-sided 5 %."""
    clients: int
    therapists: int
    needed: int
    """Clients it would take, with as many for each therapist as now, to find a gain of `WORTH_A_MOVE`."""

    @property
    def words(self) -> str:
        """The line for a card."""
        return (
            f"With {self.clients:,} later clients of {self.therapists:,} therapists, past choices alone would show a "
            f"gain over next-available of {self.smallest:.2f} SD or more four times in five (two-sided 5 %) and "
            f"often miss a smaller one. A gain of {WORTH_A_MOVE:.2f} SD would take about {self.needed:,} clients."
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {
            "smallest_gain": self.smallest,
            "power": POWER,
            "level": LEVEL,
            "clients": self.clients,
            "therapists": self.therapists,
            "clients_for_a_gain_of_0.05": self.needed,
            "words": self.words,
        }


def smallest_gain(se: float, groups: int, power: float = POWER, level: float = LEVEL) -> float:
    """The smallest true gain that is told from none with this power; `se` from `groups` independent groups (> 1)."""
    freedom = max(groups - 1, 1)
    return float(stdtrit(freedom, 1 - level / 2) + stdtrit(freedom, power)) * se


def power_of(se: float, clients: int, therapists: int) -> Power:
    """The power line of an evaluation whose gain has standard error `se`, with clients grouped by therapist."""
    smallest = smallest_gain(se, therapists)
    return Power(smallest, clients, therapists, round(clients * (smallest / WORTH_A_MOVE) ** 2))
