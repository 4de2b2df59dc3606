"""Whether trees over the ranking columns prove themselves.

They learn what the mixed fit leaves of rows it has not seen, fold by fold, and are kept if what they foretell of other
folds beats no trees by the odds that every part of the fit has to beat.
"""

import numpy as np
import numpy.typing as npt

from training.remainder import FEWEST_IN_LEAF, Remainder, grow
from training.shares import ODDS_AGAINST, Z95, Crossed

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def search(
    crossed: Crossed, ranking: Floats, fold: Ints, noise: float, seed: int
) -> tuple[Remainder, dict[str, float]]:
    """The trees, where they stand up, and their R-loss gain with its 95 % interval as a share of what is left over.

    `crossed` holds the rows as foretold by fits that have not seen their clients, `ranking` (n, r) their columns.
    """
    left = crossed.rest - crossed.parts.sum(axis=1)
    if ranking.shape[1] == 0 or len(left) < 4 * FEWEST_IN_LEAF:
        return Remainder(), {}
    said = np.empty(len(left))
    for one in np.unique(fold):
        out = fold == one
        said[out] = grow(ranking[~out], left[~out], crossed.weight[~out], seed)(ranking[out])
    gain = crossed.weight * (2 * left * said - said**2)
    whole, error = float(crossed.weight @ crossed.rest**2), crossed.error(gain - gain.mean())
    value = float(gain.sum()) / whole
    found = {"value": value, "low": value - Z95 * error / whole, "high": value + Z95 * error / whole}
    if gain.sum() / (2 * noise) < np.log(ODDS_AGAINST):
        return Remainder(), found
    return grow(ranking, left, crossed.weight, seed), found
