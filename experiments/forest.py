"""A causal forest (EconML, optional extra `peers`) as a contender in the contests.

The forest is built for one or a few treatments, not for 150 therapists. So the treatments here are the ranking columns
of which the field expects something, and for each client it learns what each of them is worth (Wager and Athey 2018;
Athey, Tibshirani and Wager 2019), after client and column have been made free of what the client alone predicts. To
what the forest leaves, each therapist's shrunken mean is added: it would else know no therapist at all.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from training.baselines import Scores, risk_adjusted
from training.learn import Learned, Material
from training.scoring import Scored
from training.tested import therapist_means

Floats = npt.NDArray[np.float64]

TREES, LEAST_LEAF, SHARE = 200, 50, 0.25
MISSING = "EconML is not installed (pip install '.[peers]' in the project's folder)"


def installed() -> bool:
    """Whether EconML can take part."""
    return find_spec("econml") is not None


def causal_forest(material: Material, learned: Learned, seed: int) -> Scores:
    """Scores of pairs: what the forest expects of the columns for each client, and the therapist's shrunken mean."""
    from econml.grf import CausalForest

    x, treatments = _clients(material, material.blocks["client"]), _treatments(material, material.ranking)
    x, treatments = x[learned.rows], treatments[learned.rows]
    expected = np.linalg.lstsq(x, treatments, rcond=None)[0]
    y, therapist = risk_adjusted(learned), material.therapist[learned.rows]
    forest: Any = CausalForest(
        n_estimators=TREES, min_samples_leaf=LEAST_LEAF, max_samples=SHARE, n_jobs=1, random_state=seed
    ).fit(x, treatments - x @ expected, y)
    worth = forest.oob_predict(x).reshape(len(x), -1)
    left = y - (worth * (treatments - x @ expected)).sum(axis=1)
    means = np.append(therapist_means(left, therapist, len(material.place), learned.weight)[1], 0.0)

    def scores(scored: Scored) -> Floats:
        clients = _clients(material, scored.blocks["client"])
        _, first, own = np.unique(clients, axis=0, return_index=True, return_inverse=True)
        each = forest.predict(clients[first]).reshape(len(first), -1)[own.ravel()]
        place = np.array([material.place.get(name, -1) for name in scored.therapist_id], dtype=np.int64)
        columns = _treatments(material, material.design.ranking_part(scored.blocks))
        return np.asarray((each * columns).sum(axis=1) + means[place])

    return scores


def _treatments(material: Material, ranking: Floats) -> Floats:
    names = material.design.names[material.design.ranking]
    return ranking[:, [i for i, name in enumerate(names) if name in material.expected]]


def _clients(material: Material, block: Floats) -> Floats:
    """Severity, main problem, and the client columns of which the field expects something, after a constant."""
    names = material.design.client.names
    kept = [
        i
        for i, name in enumerate(names)
        if name == "severity" or name.startswith("main_problem.") or name in material.expected
    ]
    return np.column_stack([np.ones(len(block)), material.design.client(block)[:, kept]])
