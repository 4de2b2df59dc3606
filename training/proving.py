"""Whether trees over the ranking columns prove themselves.

They learn what the mixed fit leaves of rows it has not seen, fold by fold, and are kept if what they foretell of other
folds beats no trees by the odds that every part of the fit has to beat.
"""

import numpy as np
import numpy.typing as npt

from training.remainder import FEWEST_IN_LEAF, Remainder, grow
from training.shares import ODDS_AGAINST, Z95, Crossed, interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def search(
    crossed: Crossed, ranking: Floats, fold: Ints, noise: float, seed: int
) -> tuple[Remainder, dict[str, dict[str, float]]]:
    """The trees, where they stand up, and as `remainder` their R-loss gain, as `gains` has those of the parts.

    `crossed` holds the rows as foretold by fits that have not seen their clients, `ranking` (n, r) their columns.
    Without columns, or with too few rows for leaves, nothing is searched and no gain is told.
    """
    left = crossed.rest - crossed.parts.sum(axis=1)
    if ranking.shape[1] == 0 or len(left) < 4 * FEWEST_IN_LEAF:
        return Remainder(), {}
    said = np.empty(len(left))
    for one in np.unique(fold):
        out = fold == one
        said[out] = grow(ranking[~out], left[~out], crossed.weight[~out], seed)(ranking[out])
    gain = crossed.fall(left, said)
    value, reach = float(gain.sum()) / crossed.whole, Z95 * crossed.error(gain) / crossed.whole
    found = {"remainder": interval(value, reach)}
    if gain.sum() / (2 * noise) < np.log(ODDS_AGAINST):
        return Remainder(), found
    return grow(ranking, left, crossed.weight, seed), found
