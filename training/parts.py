"""What makes up a utility: its exact parts, by ranking column, by effect of the therapist, and by trees."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.fits import Met, Together
from training.ranking import Weighing

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """Shares of utilities, in SD, by ranking column, `effect.<name>` and `remainder`; `values` is (therapists, names).

    Those of one therapist sum to the utility exactly.
    """

    names: Sequence[str]
    values: Floats


@dataclass(frozen=True)
class Fits:
    """One client's fits with n therapists, by head, and what they consist of."""

    heads: Together
    columns: Sequence[str]
    """Names of the ranking columns."""
    effects: Sequence[str]
    """Names of the client's effects that are not 0."""

    @property
    def met(self) -> Met:
        """The columns they come from."""
        return self.heads.met

    def parts(self, weighing: Weighing, at: Ints) -> Parts:
        """What makes up the utilities at these positions."""
        fits, counting = self.heads, weighing.among(list(self.heads))
        which = fits.which(counting.names)
        share = counting.share * fits.unit[which]
        columns = (self.met.at(at) - self.met.mean) * (share @ fits.stack.b[which])
        effects = np.tensordot(share, fits.stack.effects[which][:, fits.effects], 1)
        average = effects @ fits.counts / len(self.met.rows)
        own = fits.z * (effects[:, self.met.position[at]] - average[:, None]).T
        trees = np.zeros((len(at), 1))
        for i, per_unit in zip(which.tolist(), share.tolist(), strict=True):
            if i in fits.trees:
                trees[:, 0] += per_unit * (fits.trees[i][at] - fits.trees[i].mean())
        names = [*self.columns, *(f"effect.{name}" for name in self.effects), "remainder"]
        return Parts(names, np.concatenate([columns, own, trees], axis=1))
