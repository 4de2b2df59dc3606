"""Is the ranking as sure as it may be? What the posterior says of pairs in a contest, against the truth.

Everything is of the utility of the outcome head alone, in outcome SD, over the clients judged and their eligible.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from experiments.clinics import posteriors
from experiments.contest import Contest, true_outcomes
from training.head import PairPosterior
from training.ranking import SURE, Weighing, beats, best_set, rank, utility

Floats = npt.NDArray[np.float64]

LEVELS = (80, 95)
SET_LEVEL = 0.9


def certainty(contest: Contest, most: int) -> dict[str, float]:
    """Means over at most that many clients.

    `covered_80`, `covered_95`: intervals of pair differences that hold the true one. `predicted`, `came_true`: gain of
    the recommended therapist over the eligible mean. `set_holds`, `set_size`, `set_size_median`: the 90 % set.
    `declared`: pairs declared different; `declared_right`: of them, those that differ that way. `abstained`: clients
    without a meaningful difference.
    """
    true, sd = true_outcomes(contest), contest.learned.head.info.sd
    weighing = Weighing(("outcome",), np.ones(1), np.array([sd]), np.eye(1))
    rng = np.random.default_rng(0)
    rows = []
    for client, columns, posterior in posteriors(contest, most):
        rows.append(_client(posterior, true[client, columns], weighing, sd, int(rng.integers(len(columns)))))
    found = {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if not name.startswith("pairs")}
    found["set_size_median"] = float(np.median([row["set_size"] for row in rows]))
    declared, right = (sum(row[name] for row in rows) for name in ("pairs_declared", "pairs_right"))
    return found | {"declared": declared / len(rows), "declared_right": right / declared if declared else np.nan}


def _client(posterior: PairPosterior, true: Floats, weighing: Weighing, sd: float, to: int) -> dict[str, float]:
    gap = posterior.mean - posterior.mean[to] - (true - true[to])
    other = np.arange(len(true)) != to
    z = np.abs(gap[other]) / posterior.difference_sd(to)[other]
    first = int(posterior.mean.argmax())
    fits = {"outcome": posterior}
    chance = beats(fits, weighing, utility(fits, weighing), first)
    declared = (chance >= SURE) & (np.arange(len(true)) != first)
    held = best_set(posterior, SET_LEVEL)
    ids = [f"t{i}" for i in range(len(true))]
    ranked = rank(fits, weighing, np.full(len(true), np.nan), ids, groups_for=1)
    return {
        **{f"covered_{level}": float((z <= ndtri((1 + level / 100) / 2)).mean()) for level in LEVELS},
        "predicted": float(posterior.mean[first] - posterior.mean.mean()) / sd,
        "came_true": float(true[first] - true.mean()) / sd,
        "set_holds": float(int(true.argmax()) in held),
        "set_size": float(len(held)),
        "pairs_declared": float(declared.sum()),
        "pairs_right": float((true[first] > true[declared]).sum()),
        "abstained": 1.0 - ranked.meaningful_difference,
    }
