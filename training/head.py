"""One head: a prognosis of the client, and the fit between client and therapist with its posterior."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from training.config import FitConfig, Kind
from training.design import Design
from training.mixed import Solution
from training.prognosis import Trees
from training.remainder import Remainder

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairPosterior:
    """The fit of one client with n therapists: `mean` (n,), covariance `loading @ loading.T + diag(own)`.

    `loading` (n, p) holds what all pairs share (the border's coefficients), `own` (n,) each therapist's own effects.
    """

    mean: Floats
    loading: Floats
    own: Floats

    def scaled(self, factor: float) -> Self:
        """The posterior in other units: means and loadings times the factor, variances times its square."""
        return replace(self, mean=self.mean * factor, loading=self.loading * factor, own=self.own * factor**2)

    def difference_sd(self, to: int, at: Ints | None = None) -> Floats:
        """Standard deviation of each fit less that of the therapist at position `to`: of all, or of those `at`."""
        at = np.arange(len(self.own)) if at is None else at
        gap = self.loading[at] - self.loading[to]
        own = np.where(at == to, 0.0, self.own[at] + self.own[to])
        sd: Floats = np.sqrt(np.einsum("np,np->n", gap, gap) + own)
        return sd

    def gain_sd(self, at: Ints | None = None) -> Floats:
        """Standard deviation of each fit less the mean fit of all n: of all, or of those `at`."""
        n, at = len(self.own), np.arange(len(self.own)) if at is None else at
        gap = self.loading[at] - self.loading.mean(axis=0)
        own = self.own[at] * (1 - 2 / n) + self.own.sum() / n**2
        sd: Floats = np.sqrt(np.einsum("np,np->n", gap, gap) + np.maximum(own, 0.0))
        return sd


@dataclass(frozen=True)
class HeadInfo:
    """What a head is, in words and numbers for people."""

    name: str
    source: str
    kind: Kind
    direction: str
    weight: float
    sd: float
    """Standard deviation that makes the utility's unit: of the target; for probabilities .43 (a share of 3 in 4)."""
    rows: int
    rounds: int
    parts: FitConfig
    landmark: tuple[str, ...] = ()
    share: Mapping[str, float] = field(default_factory=dict)
    """How much of the fit stood up to clients not seen, 0 to 1: `therapist` (the same for all clients) and `fit`."""
    unseen: float = 0.0
    """Variance of what no column says of a pair, on the link scale."""
    gains: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Within-therapist R-loss gain of each part, cross-fitted, with 95 % interval, as a share of what is left over."""


@dataclass(frozen=True)
class Head:
    """A learned head. All arrays are plain; `therapists` positions index `at_zero`, `per_border` and `within`."""

    info: HeadInfo
    trees: str
    constant: float
    fills: Floats
    """What an unknown client column, or landmark behind them, counts as in the trees; NaN where they know better."""
    landmark_mean: Floats
    landmark_sd: Floats
    solution: Solution
    remainder: Remainder = field(default_factory=Remainder)

    @cached_property
    def _trees(self) -> Trees:
        return Trees(self.trees, self.constant, self.fills)

    @cached_property
    def b_factor(self) -> Floats:
        """A square root of the covariance of b: loading = border @ factor."""
        values, vectors = np.linalg.eigh(self.solution.b_cov)
        root: Floats = vectors * np.sqrt(np.maximum(values, 0.0))
        return root

    def client_part(self, design: Design, block: Floats, landmark: Floats | None = None) -> Floats:
        """Border columns of clients from their feature columns (rows, client columns); no `landmark` means unknown."""
        extra = np.full((len(block), len(self.landmark_mean)), np.nan) if landmark is None else landmark
        prognosis = self._trees.predict(np.column_stack([block, extra]))
        return np.column_stack([design.client_part(block, prognosis), self._landmarks(extra)])

    def _landmarks(self, extra: Floats) -> Floats:
        values = (extra - self.landmark_mean) / self.landmark_sd
        return np.where(np.isnan(values), 0.0, values)

    def prognosis(self, part: Floats) -> Floats:
        """What to expect whoever the therapist is, on the link scale; `part` is `client_part`."""
        expected: Floats = part @ self.solution.b[: part.shape[1]]
        return expected

    def posterior(self, ranking: Floats, effects: Floats, therapist: Ints) -> PairPosterior:
        """The fit of pairs: `ranking` (n, r) border columns that rank, `effects` (n, q) client's Z, positions (n,).

        A therapist at position -1 was never seen: the prior, around what the profile predicts.
        """
        s = self.solution
        seen = therapist >= 0
        at = np.where(seen, therapist, 0)
        border = np.zeros((len(therapist), len(s.b)))
        border[:, len(s.b) - ranking.shape[1] :] = ranking
        known = np.zeros(len(therapist))
        within = np.broadcast_to(s.prior, (len(therapist), *s.prior.shape))
        if len(s.at_zero):
            known = np.where(seen, np.einsum("nq,nq->n", s.at_zero[at], effects), 0.0)
            border = border - np.where(seen[:, None], np.einsum("nqp,nq->np", s.per_border[at], effects), 0.0)
            within = np.where(seen[:, None, None], s.within[at], s.prior)
        own = np.einsum("nq,nqr,nr->n", effects, within, effects) + self.info.unseen
        return PairPosterior(border @ s.b + known + self.remainder(ranking), border @ self.b_factor, own)

    def mean(self, ranking: Floats, effects: Floats, therapist: Ints) -> Floats:
        """Posterior mean of the fit of pairs, as `posterior` gives it, where no variance is needed."""
        fixed: Floats = ranking @ self.solution.b[len(self.solution.b) - ranking.shape[1] :] + self.remainder(ranking)
        if not len(self._effects):
            return fixed
        own = np.einsum("nq,nq->n", self._effects[np.maximum(therapist, 0)], effects)
        return fixed + np.where(therapist >= 0, own, 0.0)

    @cached_property
    def carried_total(self) -> Floats:
        """(q, p): sum over the therapists of what their effects take from the border's coefficients."""
        total: Floats = self.solution.per_border.sum(axis=0)
        return total

    @cached_property
    def _effects(self) -> Floats:
        return self.solution.effects()

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything numeric, for one npz file."""
        s = self.solution
        return {
            "b": s.b, "b_cov": s.b_cov, "at_zero": s.at_zero, "per_border": s.per_border, "within": s.within,
            "prior": s.prior, "theta": s.theta, "shrinkage": s.shrinkage,
            "numbers": np.array([s.noise, s.criterion, self.constant]),
            "fills": self.fills, "landmark_mean": self.landmark_mean, "landmark_sd": self.landmark_sd,
        }  # fmt: skip

    @classmethod
    def from_arrays(
        cls, info: HeadInfo, trees: str, remainder: Remainder, arrays: Mapping[str, npt.NDArray[Any]]
    ) -> Self:
        """The head that was written as these arrays, the text of its trees, and its remainder."""
        names = ("b", "b_cov", "at_zero", "per_border", "within", "prior", "theta", "shrinkage")
        noise, value, constant = arrays["numbers"].tolist()
        solution = Solution(**{name: arrays[name] for name in names}, noise=noise, criterion=value)
        facts = (arrays["fills"], arrays["landmark_mean"], arrays["landmark_sd"], solution)
        return cls(info, trees, constant, *facts, remainder)


def joint_effects(design: Design, fit: FitConfig) -> range:
    """Positions, among the design's effects, of those with a joint covariance: none, intercept, or both."""
    return range(0 if not fit.therapist else design.joint if fit.slope else 1)


def used_effects(design: Design, fit: FitConfig) -> Ints:
    """Positions, among the design's effects, of those this fit has."""
    strengths = range(design.joint, len(design.effects)) if fit.therapist and fit.strengths else range(0)
    return np.array([*joint_effects(design, fit), *strengths], dtype=np.int64)
