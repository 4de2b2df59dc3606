"""The heads of a bundle side by side, so that what all of them need for one client is worked out at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from training.head import Head

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stack:
    """H heads side by side: what of them no client changes. K therapists are known; the last place is the never seen.

    A head without ranking columns, or with fewer effects, has zeros where the others have numbers.
    """

    names: tuple[str, ...]
    heads: tuple[Head, ...]
    used: tuple[tuple[int, ...], ...]
    """Of each head the effects of the design that it has."""
    b: Floats
    """(H, r): coefficients of the ranking columns."""
    factor: Floats
    """(H, p, p): square roots of the covariances of the coefficients."""
    ranked: Floats
    """(H, r, p): their rows of the ranking columns."""
    effects: Floats
    """(H, q, K + 1): posterior means of the therapists' effects."""
    within: Floats
    """(H, q, q, K + 1): their covariances."""

    @classmethod
    def of(cls, heads: Mapping[str, Head], used: Sequence[Sequence[int]], effects: int, ranking: int) -> Self:
        """From heads with their places among the design's `effects`, and the number of columns that rank."""
        p = max((len(head.solution.b) for head in heads.values()), default=0)
        known = max((len(head.solution.at_zero) for head in heads.values()), default=0)
        b, factor = np.zeros((len(heads), ranking)), np.zeros((len(heads), p, p))
        ranked, means = np.zeros((len(heads), ranking, p)), np.zeros((len(heads), effects, known + 1))
        within = np.zeros((len(heads), effects, effects, known + 1))
        for i, (head, at) in enumerate(zip(heads.values(), used, strict=True)):
            solution, size = head.solution, len(head.solution.b)
            factor[i, :size, :size] = head.b_factor
            if head.info.parts.columns:
                b[i], ranked[i, :, :size] = solution.b[size - ranking :], head.b_factor[size - ranking :]
            within[i][np.ix_(at, at)] = solution.prior[:, :, None]
            if len(solution.at_zero):
                means[i, list(at), :-1] = solution.effects().T
                within[i, :, :, :-1][np.ix_(at, at)] = solution.within.transpose(1, 2, 0)
        places = tuple(tuple(int(one) for one in at) for at in used)
        return cls(tuple(heads), tuple(heads.values()), places, b, factor, ranked, means, within)

    @cached_property
    def unseen(self) -> Floats:
        """(H, 1): variance of what no column says of a pair."""
        return np.array([[head.info.unseen] for head in self.heads])

    @cached_property
    def place(self) -> dict[str, int]:
        """Where each head stands."""
        return {name: i for i, name in enumerate(self.names)}
