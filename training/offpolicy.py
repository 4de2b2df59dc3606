"""What a policy would have brought, read from a log of what another policy chose.

Each logged row has a reward, the probability with which the logging policy chose as it did (the propensity), and the
probability with which the policy in question would have. Inverse propensity scoring weighs a row by the ratio; the
self-normalised form divides by the mean weight; the doubly robust form adds a model of the reward and is right if the
propensities or the model are (Dudik, Langford and Li 2011, "Doubly robust policy evaluation and learning", ICML).
All of it rests on every choice having had some chance, and on nothing unmeasured having driven both choice and reward.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from data.errors import DataError, Problem

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST_SHARE = 0.05
"""Below this share of the rows an effective sample size is warned of."""
LEAST_SIZE = 100.0
"""Below this effective sample size a value is not estimable."""
TOP_SHARE = 0.1
"""Share of the eligible that the policy `top_share` draws from."""


@dataclass(frozen=True)
class Value:
    """An estimated value with its interval, and how much of the log speaks to it."""

    value: float
    se: float
    low: float
    high: float
    effective: float
    """Effective sample size (Kish): rows of an even log that would say as much."""
    rows: int

    @property
    def estimable(self) -> bool:
        """Whether enough of the log speaks to the policy at all."""
        return self.effective >= LEAST_SIZE

    @property
    def warning(self) -> str:
        """What a reader should know; empty if nothing."""
        if not self.estimable:
            return f"not estimable: the log says as much as {self.effective:.0f} rows, {LEAST_SIZE:.0f} are needed"
        if self.effective < LEAST_SHARE * self.rows:
            return f"the log says as much as {self.effective:.0f} of its {self.rows} rows: policies differ widely"
        return ""


def even(position: Ints) -> Floats:
    """The policy that draws uniformly from each client's choice; `position` (pairs,) is the client of each pair."""
    probability: Floats = 1 / np.bincount(position)[position]
    return probability


def first(score: Floats, position: Ints) -> Floats:
    """The policy that always takes the highest score of a client's choice; those that tie share evenly."""
    return _highest(score, position, np.ones(int(position.max()) + 1))


def top_share(score: Floats, position: Ints, share: float = TOP_SHARE) -> Floats:
    """The policy that draws uniformly from the highest-scoring share of a client's choice, rounded up to a whole.

    Those that tie at the edge share what is left for them evenly.
    """
    return _highest(score, position, np.ceil(share * np.bincount(position) - 1e-9))


def _highest(score: Floats, position: Ints, many: Floats) -> Floats:
    """Even probability of the `many` (clients,) highest scores of each client; pairs sorted by client."""
    start = np.searchsorted(position, np.arange(len(many)))
    ranked = score[np.lexsort((-score, position))]
    edge = ranked[start + many.astype(np.int64) - 1][position]
    above, tied = score > edge, score == edge
    left = many - np.bincount(position, above)
    probability: Floats = (above + tied * (left / np.bincount(position, tied))[position]) / many[position]
    return probability


def weights(policy: Floats, logged: Floats) -> Floats:
    """Importance weights: probability under the policy over the logged one, each of shape (rows,).

    Raises DataError for probabilities that are none, and for choices that were logged as impossible.
    """
    problems = []
    for name, values, low in (("policy", policy, 0.0), ("propensity", logged, np.nextafter(0.0, 1.0))):
        bad = ~((values >= low) & (values <= 1.0))
        if bad.any():
            rule = "must be a probability" + (" above 0: what was chosen had a chance" if name == "propensity" else "")
            first = f"row {int(np.argmax(bad)) + 1}: {values[bad][0]}"
            problems.append(Problem(name, f"{first} ({int(bad.sum())} rows)", rule, "mend the log"))
    if problems:
        raise DataError(problems)
    return policy / logged


def effective_size(weight: Floats) -> float:
    """Kish's effective sample size of some weights."""
    total = float((weight**2).sum())
    return float(weight.sum()) ** 2 / total if total > 0 else 0.0


def inverse_propensity(
    reward: Floats, weight: Floats, level: float = 0.95, cluster: npt.ArrayLike | None = None
) -> Value:
    """Mean of weighted rewards: unbiased if propensities are right, and noisy where weights are large."""
    return _value(weight * reward, weight, level, cluster)


def self_normalised(reward: Floats, weight: Floats, level: float = 0.95, cluster: npt.ArrayLike | None = None) -> Value:
    """Weighted rewards over the sum of weights: slightly biased, and steadier."""
    mean = float(weight @ reward / weight.sum())
    return _value(mean + weight / weight.mean() * (reward - mean), weight, level, cluster)


def doubly_robust(
    reward: Floats,
    weight: Floats,
    expected_logged: Floats,
    expected_policy: Floats,
    level: float = 0.95,
    cluster: npt.ArrayLike | None = None,
) -> Value:
    """Expected reward under the policy, plus the weighted error of the model for what was chosen.

    `expected_logged` is the model's reward of the logged choice, `expected_policy` its mean over the policy's choices.
    Of clusters only the errors belong together: what is expected of a client does not hang on whom they saw.
    """
    return _value(expected_policy, weight, level, cluster, weight * (reward - expected_logged))


def _value(
    score: Floats, weight: Floats, level: float, cluster: npt.ArrayLike | None, correction: Floats | None = None
) -> Value:
    """Mean of the rows' scores plus corrections; its error from rows, or from whole clusters (a therapist's clients).

    With a correction, that is what clusters (the clients of one therapist) share; else it is the score. The interval
    is Student's, with as many degrees of freedom as there are rows or clusters, less one.
    """
    whole = score if correction is None else score + correction
    rows, mean = len(whole), float(whole.mean())
    codes = np.arange(rows) if cluster is None else np.unique(np.asarray(cluster), return_inverse=True)[1]
    shared = whole if correction is None or cluster is None else correction
    apart = 0.0 if shared is whole else _error(score, np.arange(rows))
    se = float(np.hypot(apart, _error(shared, codes.astype(np.int64))))
    groups = int(codes.max()) + 1
    half = float(stdtrit(max(groups - 1, 1), (1 + level) / 2)) * se
    return Value(mean, se, mean - half, mean + half, effective_size(weight), rows)


def _error(values: Floats, codes: Ints) -> float:
    """Standard error of a mean whose rows belong to independent groups; a single group says nothing: infinite."""
    gaps = np.bincount(codes, values - values.mean())
    groups = len(gaps)
    if groups < 2:
        return float("inf")
    return float(np.sqrt((gaps**2).sum() * groups / (groups - 1))) / len(values)
