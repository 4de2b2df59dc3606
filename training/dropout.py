"""Clients who drop out: the score expected at the end had they stayed, or weights for those who did stay.

Whoever leaves is taken to be like whoever stays with the same therapist, as many sessions in, with the same scores then
and at intake: the outcome is missing at random given these. What leads a client to leave and shows in none of them
cannot be made good.

*Expected* (Bang and Robins 2005, "Doubly robust estimation in missing data and causal inference models", Biometrics 61,
section 3.2): further change from any session on, regressed on the state at that session. Those who left later are in it
with what is expected of them, or all would seem to do as well as those who stay to the end; so it is worked out over
and over until it stands. Therapists have effects of their own in it, or their influence on those who left would be
hidden. *Weighted* (Robins, Rotnitzky and Zhao 1995, "Analysis of semiparametric regression models for repeated outcomes
in the presence of missing data", J. Am. Stat. Assoc. 90): one over the chance of not having left after any session.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.binary import fit_binary, log_odds, own, sigmoid
from training.mixed import Structure, fit
from training.shares import Rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEWEST = 50
"""Rows to learn from, and clients who left: with fewer nothing is changed."""
TIMES = 20
SETTLED = 1e-3
MOST_WEIGHT = 5.0
CONSTANT = 1e-9


@dataclass(frozen=True)
class Courses:
    """Scores on the way, one row a client and session with a score after intake, in order of both."""

    row: Ints
    """Position of the episode."""
    session: Floats
    change: Floats
    """Intake less the score, in intake SDs, up is better."""
    intake: Floats

    @property
    def last(self) -> Bools:
        """Whether the row is the episode's last."""
        return np.append(self.row[1:] != self.row[:-1], True) if len(self.row) else np.zeros(0, bool)

    def state(self) -> Floats:
        """What further change is regressed on: 1, and standardised columns."""
        change, intake, late = self.change, self.intake, np.log1p(self.session)
        x = np.column_stack([change, intake, late, change * late, intake * late, change * intake, change**2])
        sd = x.std(axis=0)
        return np.column_stack([np.ones(len(x)), (x - x.mean(axis=0))[:, sd > CONSTANT] / sd[sd > CONSTANT]])


def expected_at_the_end(value: Floats, courses: Courses, left: Bools, therapist: Ints) -> Floats:
    """Outcomes (episodes,) in which those who `left` have what is expected at the end, had they stayed.

    `therapist` (episodes,) holds positions. Who left without any score stays without an outcome.
    """
    known = ~np.isnan(value[courses.row])
    learned = _one_each(courses, known & ~courses.last)
    asked = np.flatnonzero(courses.last & known & left[courses.row])
    if learned.sum() < FEWEST or len(asked) == 0:
        return value
    state, late = courses.state(), np.log1p(courses.session)
    effects = np.column_stack([np.ones(len(late)), late - late.mean()])
    structure = _structure(2, state)
    stayed = value[~left & ~np.isnan(value)]
    found, theta = value.copy(), None
    for _ in range(TIMES):
        further = found[courses.row] - courses.change
        everyone = Rows(state, effects, further, np.ones(len(late)), therapist[courses.row], int(therapist.max()) + 1)
        solution = fit(everyone.sums(learned), structure, theta)
        theta = solution.theta
        ends = courses.change + state @ solution.b + own(everyone, solution.effects())
        ends = np.clip(ends, stayed.min(), stayed.max())
        moved = float(np.abs(ends[asked] - found[courses.row[asked]]).max())
        found[courses.row[asked]] = ends[asked]
        if moved < SETTLED:
            break
    return found


def weights_for_staying(courses: Courses, left: Bools, therapist: Ints) -> Floats:
    """Weights (episodes,) of those who stayed: one over the chance of having done so, at most 5, of mean 1.

    The chance of leaving after a session depends on the state at it and on the therapist.
    """
    leaves = courses.last & left[courses.row]
    risk = np.flatnonzero(leaves | ~courses.last)  # who ended as planned could not leave any more
    weight = np.ones(len(left))
    if min(leaves.sum(), len(risk) - leaves.sum()) < FEWEST:
        return weight
    state, label = courses.state()[risk], leaves[risk].astype(np.float64)
    ones = np.ones((len(risk), 1))
    labels = Rows(state, ones, label, np.ones(len(risk)), therapist[courses.row[risk]], int(therapist.max()) + 1)
    start = np.full(len(risk), float(np.log(label.mean() / (1 - label.mean()))))
    rows, solution = fit_binary(labels, _structure(1, state, 1.0), start, None, True)
    stays = np.zeros(len(left))
    leaving = sigmoid(log_odds(rows, solution.b, solution.effects()))
    np.add.at(stays, courses.row[risk], np.log1p(-leaving))
    weight = np.minimum(np.exp(-stays) * float(np.exp(stays[~left]).mean()), MOST_WEIGHT)
    return np.asarray(weight / weight[~left].mean())


def _structure(joint: int, state: Floats, dispersion: float | None = None) -> Structure:
    """Coefficients have a common variance, so that columns may say the same."""
    shrunken = (tuple(range(1, state.shape[1])),) if state.shape[1] > 1 else ()
    return Structure(joint, 0, state.shape[1], shrunken, dispersion)


def _one_each(courses: Courses, usable: Bools) -> Bools:
    """Marks one usable row of each episode, by lot: rows of one client are not independent."""
    rows = np.random.default_rng(0).permutation(np.flatnonzero(usable))
    marked = np.zeros(len(usable), bool)
    marked[rows[np.unique(courses.row[rows], return_index=True)[1]]] = True
    return marked
