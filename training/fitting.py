"""Fitting one head: the prognosis, the mixed fit beside it, and how much of the fit stands up to clients not seen."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training import prognosis
from training.binary import LOOSE, fit_binary, log_odds, own
from training.border import Border, without_usual
from training.config import FitConfig, Kind, TrainConfig
from training.design import Design
from training.mixed import CLOSE, Solution, Structure, fit
from training.prognosis import Prognosis
from training.proving import search
from training.refits import Refits, refitted, regrown
from training.remainder import Remainder
from training.shares import Rows, cross, gains, shares, weighed
from training.unsure import unsure

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

UNSEEN = 0.15
"""What columns cannot say of a match is taken to be this share of what they say: an assumption, stated on the card."""


@dataclass(frozen=True)
class Fitted:
    """A prognosis, a mixed fit without what only training knows, and what was found out about the fit."""

    first: Prognosis
    """The prognosis before any fit was taken into account."""
    prognosis: Prognosis
    solution: Solution
    border: Floats
    """Columns of the solution's border, of the rows fitted to."""
    share: Mapping[str, float]
    gains: Mapping[str, Mapping[str, float]]
    unseen: float
    remainder: Remainder
    again: Refits | None
    """What other draws of the same people would have taught; None where that was not asked."""


@dataclass(frozen=True)
class _Mixed:
    """A mixed fit, and the rows it stands on."""

    border: Border
    structure: Structure
    rows: Rows
    solution: Solution

    def pair_fit(self) -> Floats:
        """What columns that rank and the row's therapist add, (n,)."""
        ranking = np.s_[self.border.therapists_from :]
        said: Floats = self.rows.border[:, ranking] @ self.solution.b[ranking]
        return said + own(self.rows, self.solution.effects())


@dataclass(frozen=True)
class Fitting:
    """One head's rows (n of them, each with a target) and how to fit them."""

    kind: Kind
    y: Floats
    weight: Floats
    person: Ints
    """Which client each row is of."""
    client: Floats
    """Client columns as features have them."""
    landmarks: Floats
    """Measures up to the landmark, NaN where missing, and the same standardised, 0 where missing."""
    standard_landmarks: Floats
    ranking: Floats
    usual: Floats
    """What each pair column usually is for the row's client."""
    effects: Floats
    therapist: Ints
    therapists: int
    folds: tuple[Ints, ...]
    """Ways of folding the rows by client; the first is the prognosis's."""
    design: Design
    expected: Mapping[str, float]
    parts: FitConfig
    config: TrainConfig

    def learn(self, given: Prognosis | None, again: bool = False) -> Fitted:
        """Fits to the rows; a `given` prognosis is kept as it is; `again`: and to other draws of them."""
        first = found = given or self._prognosis(np.zeros(len(self.y)))
        refits = self.config.prognosis.refits if found.trees and given is None else 0
        beside = np.zeros(len(self.y))
        mixed = self._fit(found, None, refits == 0)
        for left in reversed(range(refits)):
            beside = mixed.pair_fit()
            found = self._prognosis(beside)
            mixed = self._fit(found, mixed.solution, left == 0)
        border, rows = mixed.border, mixed.rows
        solution = unsure(rows.total, mixed.structure, mixed.solution, self.config.seed)
        unseen = self._unseen(border, rows, solution)
        share, gained, remainder = {"therapist": 1.0, "fit": 1.0}, dict[str, dict[str, float]](), Remainder()
        if self.parts.weighed and (self.parts.therapist or self.parts.columns):
            share, gained, remainder = self._stood_up(replace(mixed, solution=solution))
            solution = weighed(solution, border, share)
        settled = without_usual(solution, border, rows.border)
        kept = np.delete(rows.border, np.s_[border.client : border.therapists_from], axis=1)
        refit = self._again(mixed, found, beside, share) if again else None
        return Fitted(first, found, settled, kept, share, gained, share["fit"] * unseen, remainder, refit)

    def _again(self, mixed: _Mixed, found: Prognosis, beside: Floats, share: Mapping[str, float]) -> Refits:
        """Coefficients and contributions over other draws; the trees were grown `beside` that fit (n,)."""
        border, seed, x = mixed.border, self.config.seed, np.column_stack([self.client, self.landmarks])
        drawn = refitted(mixed.rows, mixed.structure, mixed.solution.theta, seed)[:, border.therapists_from :]
        counts = np.repeat([share["therapist"], share["fit"]], [len(border.therapist), len(border.pair)])
        people = (self.y, self.weight, self.person, self.kind, self.config.prognosis, seed, beside, found)
        return Refits(drawn * counts, regrown(x, *people))

    def _unseen(self, border: Border, rows: Rows, solution: Solution) -> float:
        """Variance of match in shapes that no column has: a share of the variance of what the columns say."""
        if not border.pair:
            return 0.0
        said = (rows.border[:, border.pairs_from :] - self.usual) @ solution.b[border.pairs_from :]
        return UNSEEN * float(said.var())

    def _prognosis(self, pair_fit: Floats) -> Prognosis:
        x, config = np.column_stack([self.client, self.landmarks]), self.config
        return prognosis.learn(
            x, self.y, self.weight, self.folds[0], self.kind, config.prognosis, config.seed, pair_fit
        )

    @cached_property
    def _controls(self) -> Floats:
        """What is usual for a client, standardised; nothing where no columns rank."""
        if not self.parts.columns:
            return np.zeros((len(self.y), 0))
        sd = self.usual.std(axis=0)
        varies = sd > 1e-6
        standard: Floats = (self.usual - self.usual.mean(axis=0))[:, varies] / sd[varies]
        return standard

    def _fit(self, found: Prognosis, start: Solution | None, last: bool) -> _Mixed:
        """A fit before the last only says what to take off before trees are grown again: it need not be close."""
        ranking = self.ranking if self.parts.columns else self.ranking[:, :0]
        client = self.design.client_part(self.client, found.crossed)
        columns = np.column_stack([client, self.standard_landmarks, self._controls, ranking])
        landmarks, usual = self.standard_landmarks.shape[1], self._controls.shape[1]
        border = Border.of(self.design, self.expected, self.parts, landmarks, usual, bool(found.trees))
        structure = border.structure(self.design, self.parts, self.kind)
        rows = Rows(columns, self.effects, self.y, self.weight, self.therapist, self.therapists)
        return _Mixed(border, structure, *self._solve(rows, structure, found, start, last))

    def _solve(
        self, rows: Rows, structure: Structure, found: Prognosis, start: Solution | None, last: bool
    ) -> tuple[Rows, Solution]:
        theta = None if start is None else start.theta
        if self.kind == "gaussian":
            return rows, fit(rows.total, structure, theta, CLOSE if last else LOOSE)
        linear = found.crossed if start is None else log_odds(rows, start.b, start.effects())
        return fit_binary(rows, structure, linear, theta, last and self.parts.binary_variances == "laplace")

    def _stood_up(self, mixed: _Mixed) -> tuple[dict[str, float], dict[str, dict[str, float]], Remainder]:
        """How much of the fit counts, the R-loss gain of each part, and trees where they prove themselves."""
        usual = self.usual if self.parts.columns else self.usual[:, :0]
        noise = mixed.solution.noise
        crossed = cross(mixed.rows, usual, mixed.border, mixed.structure, mixed.solution.theta, self.folds)
        gained, remainder = gains(crossed), Remainder()
        if self.parts.remainder and self.parts.columns:
            ranking = mixed.rows.border[:, mixed.border.therapists_from :]
            remainder, found = search(crossed[0], ranking, self.folds[0], noise, self.config.seed)
            gained |= found
        return shares(crossed, noise), gained, remainder
