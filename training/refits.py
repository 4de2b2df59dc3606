"""A head learned again from other draws of the same people: what stays the same is a finding, what moves is luck.

Coefficients of the fit: therapists are drawn again with all their clients, each draw a therapist of its own, and the
fit is solved at the variances that were estimated (the cluster bootstrap: Field and Welsh 2007, "Bootstrapping
clustered data", J. R. Stat. Soc. B 69). A head for probabilities keeps its last working response. Trees of the
prognosis: clients are drawn again, other seeds, the known number of rounds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import lightgbm
import numpy as np
import numpy.typing as npt

from training.config import Kind, PrognosisConfig
from training.mixed import Structure, means
from training.prognosis import Prognosis, boosting, filled
from training.shares import Rows
from training.sums import AT_ONCE

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REFITS = 20
REGROWN = 4
LOOKED_AT = 600
"""Rows whose contributions are compared between the trees grown again."""


@dataclass(frozen=True)
class Refits:
    """What other draws of the same people would have taught a head."""

    coefficients: Floats
    """(REFITS, ranking columns): as served, on the link scale per SD of the column."""
    contributions: Floats
    """(REGROWN, rows looked at, client columns and landmarks): of the trees, on the link scale; no rows: no trees."""


def refitted(rows: Rows, structure: Structure, theta: Floats, seed: int) -> Floats:
    """Coefficients (REFITS, p) of the border at these variances, therapists drawn again with all their rows."""
    rng, count = np.random.default_rng(seed), rows.therapists
    here = np.flatnonzero(np.bincount(rows.therapist, minlength=count))
    drawn = [here[rng.integers(0, len(here), len(here))] for _ in range(REFITS)]
    return np.array([drawn_again(rows, structure, theta, some) for some in drawn])


def drawn_again(rows: Rows, structure: Structure, theta: Floats, drawn: Ints) -> Floats:
    """Coefficients (p,) of the border from therapists `drawn` with all their rows, each draw a therapist of its own."""
    total = rows.total
    times = np.bincount(drawn, minlength=rows.therapists).astype(np.float64)[rows.therapist]
    weight = rows.weight * times
    xx = np.zeros_like(total.xx)
    kept = np.flatnonzero(times)
    for some in (kept[start : start + AT_ONCE] for start in range(0, len(kept), AT_ONCE)):
        part = rows.border[some] * np.sqrt(weight[some, None])
        xx += part.T @ part
    sums = replace(
        total,
        zz=total.zz[drawn],
        zx=total.zx[drawn],
        zy=total.zy[drawn],
        xx=xx,
        xy=(weight * rows.response) @ rows.border,
        yy=float(weight @ rows.response**2),
        rows=int(times.sum()),
    )
    return means(sums, structure, theta)[1]


def regrown(
    x: Floats,
    y: Floats,
    weight: Floats,
    person: Ints,
    kind: Kind,
    config: PrognosisConfig,
    seed: int,
    fit: Floats,
    found: Prognosis,
) -> Floats:
    """Contributions (REGROWN, rows, p) of client columns x (n, p) in trees grown again as `found` was.

    `person` says which client each row is of, `fit` (n,) what its pair adds on the link scale.
    """
    if not found.trees:
        return np.zeros((REGROWN, 0, x.shape[1]))
    x = filled(x, found.fills)
    some = np.random.default_rng(seed).permutation(len(y))[:LOOKED_AT]
    grown = []
    for number, rows in enumerate(_drawn(person, seed)):
        init = found.constant + fit[rows]
        data = lightgbm.Dataset(x[rows], y[rows], weight=weight[rows], init_score=init, params={"verbose": -1})
        settings = boosting(kind, config, seed + 1 + number)
        trees = lightgbm.train(settings, data, num_boost_round=found.rounds)
        grown.append(np.asarray(trees.predict(x[some], pred_contrib=True, num_threads=1))[:, :-1])
    return np.array(grown)


def _drawn(person: Ints, seed: int) -> Iterator[Ints]:
    """Rows of clients drawn again, all rows of a client as often as the client was drawn."""
    rng = np.random.default_rng(seed)
    clients = int(person.max()) + 1
    for _ in range(REGROWN):
        times = rng.multinomial(clients, np.full(clients, 1 / clients))
        yield np.repeat(np.arange(len(person)), times[person])
