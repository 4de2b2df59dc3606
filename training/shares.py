"""What of a fit stands up to clients it has not seen: its within-therapist R-loss, cross-fitted, and a share for it.

The R-loss (Nie and Wager 2021, "Quasi-oracle estimation of heterogeneous treatment effects", Biometrika 108) is the
squared error of what the nuisance leaves of the result (prognosis, client and therapist terms, and what the match
columns usually are for the client) once the fit, centred over therapists, is taken off.

A share is the weight of the models that have the part (pseudo-BMA: Yao, Vehtari, Simpson and Gelman 2018, "Using
stacking to average Bayesian predictive distributions", Bayesian Analysis 13), at odds of 20 to 1 against it before any
row was looked at. A part that foretells nothing has a share near 0 and claims nothing; all that differs between
therapists for one client has one share, so that its size never changes who suits whom. (Cutting each gain by one
standard error instead was tried: for the same claim where nothing is planted it cost twice as much where much is.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add

import numpy as np
import numpy.typing as npt

from training.border import Border
from training.mixed import Solution, Structure, means
from training.sums import Sums

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PARTS = ("therapist", "match", "slope", "strengths")
Z95 = 1.959963984540054
LEAST = 1e-9
ODDS_AGAINST = 20.0


@dataclass(frozen=True)
class Rows:
    """What a mixed fit is fitted to: border (n, p), therapist columns (n, q), response, precision, positions."""

    border: Floats
    effects: Floats
    response: Floats
    weight: Floats
    therapist: Ints
    therapists: int

    def sums(self, some: npt.NDArray[np.bool_] | slice) -> Sums:
        """Sums of some of the rows."""
        parts = (self.border[some], self.effects[some], self.response[some], self.therapist[some])
        return Sums.of(*parts, self.therapists, self.weight[some])

    @cached_property
    def total(self) -> Sums:
        """Sums of all rows."""
        return self.sums(slice(None))


@dataclass(frozen=True)
class Crossed:
    """Every row as foretold by a fit that has not seen its client: what the nuisance leaves, and the parts (n, 4)."""

    rest: Floats
    parts: Floats
    weight: Floats
    therapist: Ints

    def gain(self, columns: Sequence[int], given: Sequence[int] = ()) -> Floats:
        """By how much each row's weighted squared error falls when the parts are taken off beside those `given`."""
        rest = self.rest - self.parts[:, list(given)].sum(axis=1)
        return self.fall(rest, self.parts[:, list(columns)].sum(axis=1))

    def fall(self, rest: Floats, part: Floats) -> Floats:
        """By how much each row's weighted squared error falls when a part (n,) is taken off what is left, `rest`."""
        fallen: Floats = self.weight * (2 * rest * part - part**2)
        return fallen

    @cached_property
    def whole(self) -> float:
        """The weighted squares that the nuisance leaves, of which a gain is told as a share."""
        return float(self.weight @ self.rest**2)

    def error(self, gain: Floats) -> float:
        """Standard error of a summed gain, from whole therapists."""
        return float(np.sqrt((np.bincount(self.therapist, gain - gain.mean()) ** 2).sum()))


def cross(
    rows: Rows, usual: Floats, border: Border, structure: Structure, theta: Floats, folds: Sequence[Ints]
) -> list[Crossed]:
    """The rows foretold fold by fold, once for each way of folding; variances are those of all rows.

    `usual` (n, pair columns) is what the match columns usually are for the client.
    """
    return [_crossed(rows, usual, border, structure, theta, fold) for fold in folds]


def _crossed(rows: Rows, usual: Floats, border: Border, structure: Structure, theta: Floats, fold: Ints) -> Crossed:
    own = {one: rows.sums(fold == one) for one in np.unique(fold)}
    total = reduce(add, own.values())
    rest, parts = np.empty(len(fold)), np.zeros((len(fold), len(PARTS)))
    common, pairs = border.therapists_from, border.pairs_from
    for one, sums in own.items():
        out = fold == one
        _, b, everyone = means(total - sums, structure, theta)
        x = rows.border[out]
        effects = everyone[rows.therapist[out]] * rows.effects[out]
        away = usual[out] @ b[pairs:]
        rest[out] = rows.response[out] - x[:, :common] @ b[:common] - away
        parts[out, 0] = x[:, common:pairs] @ b[common:pairs] + effects[:, : min(structure.joint, 1)].sum(axis=1)
        parts[out, 1] = x[:, pairs:] @ b[pairs:] - away
        parts[out, 2] = effects[:, 1 : structure.joint].sum(axis=1)
        parts[out, 3] = effects[:, structure.joint :].sum(axis=1)
    return Crossed(rest, parts, rows.weight, rows.therapist)


def shares(crossed: Sequence[Crossed], noise: float) -> dict[str, float]:
    """The share of what therapists are to everyone (`therapist`) and of what differs within a client (`fit`)."""
    blocks = {"therapist": (0,), "fit": (1, 2, 3)}
    models: list[tuple[str, ...]] = [(), ("therapist",), ("fit",), ("therapist", "fit")]
    evidence = np.array([_evidence(crossed, [i for name in model for i in blocks[name]], noise) for model in models])
    evidence -= np.log(ODDS_AGAINST) * np.array([len(model) for model in models])
    weight = np.exp(evidence - evidence.max())
    weight = weight / weight.sum()
    return {name: float(sum(w for w, model in zip(weight, models, strict=True) if name in model)) for name in blocks}


def _evidence(crossed: Sequence[Crossed], columns: Sequence[int], noise: float) -> float:
    """Log predictive density of unseen rows over that of no fit; mean over the foldings."""
    return float(np.mean([one.gain(columns).sum() / (2 * noise) for one in crossed]))


def gains(crossed: Sequence[Crossed]) -> dict[str, dict[str, float]]:
    """R-loss gain of each part beside the others, and of all that differs within a client, with 95 % intervals.

    As a share of the variance that the nuisance leaves; above 0 the part foretells something of clients not seen.
    """
    within = {"fit": (1, 2, 3)} | {name: (i,) for i, name in enumerate(PARTS)}
    found = {}
    for name, columns in within.items():
        given = [i for i in range(len(PARTS)) if i not in columns]
        fallen = [(one.gain(columns, given), one) for one in crossed]
        value = float(np.mean([gain.sum() / one.whole for gain, one in fallen]))
        error = float(np.mean([one.error(gain) / one.whole for gain, one in fallen]))
        found[name] = interval(value, Z95 * error)
    return found


def interval(value: float, reach: float) -> dict[str, float]:
    """A figure, and how far its interval reaches to both sides."""
    return {"value": value, "low": value - reach, "high": value + reach}


def weighed(solution: Solution, border: Border, share: Mapping[str, float]) -> Solution:
    """The solution with each part's effects times its share, and their variances times it as well."""
    d = np.ones(border.size)
    d[border.therapists_from : border.pairs_from] = share["therapist"]
    d[border.pairs_from :] = share["fit"]
    e = np.full(solution.prior.shape[0], share["fit"])
    e[:1] = share["therapist"]
    root_d, root_e = np.sqrt(np.maximum(d, 0.0)), np.sqrt(e)
    per_border = root_e[:, None] * solution.per_border * np.where(root_d > LEAST, 1 / np.maximum(root_d, LEAST), 0.0)
    b = d * solution.b
    return replace(
        solution,
        b=b,
        b_cov=root_d[:, None] * solution.b_cov * root_d,
        at_zero=e * solution.effects() + per_border @ b,
        per_border=per_border,
        within=root_e[:, None] * solution.within * root_e,
        prior=root_e[:, None] * solution.prior * root_e,
    )
