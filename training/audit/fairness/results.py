"""Whether a group does worse than its need explains, and whether that depends on the therapist.

The *gap* of a group is the difference in results between its members and all others with the same therapist and the
same need at intake: both sides are compared within therapists, and what is known of the need is regressed out. Age,
ethnicity and the like are not in it: a prognosis that knows them expects worse of a group that has been harmed, and
would find nothing. The *spread* is how far the gap differs from therapist to therapist.

A group is named where its gap is surely larger than `MARGIN`, a tenth of an SD: the largest difference that studies of
therapists' caseloads report between groups of clients (random slopes of .05 to .10 SD about a mean of nil; Hayes
2015, Owen 2012), so that what intake does not record is not taken for harm. So is one whose spread surely is. A gap
that is surely there and looks larger than the margin, but is not surely so, is noted. Surely: Holm's rule at .05 over
every group and every head that ranks, for each of the three questions.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2
from scipy.stats import t as student

from training.audit.document import Estimate
from training.audit.fairness.cells import ALPHA, holm
from training.audit.fairness.people import People
from training.bands import UNKNOWN
from training.config import HeadConfig
from training.evaluate import DIGITS, LEVEL, Resamples
from training.targets import Target, intake_sds, target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MARGIN = 0.10
FEWEST_COMPARED = 20
"""Results needed on either side of a comparison."""
FEWEST_THERAPISTS = 5
PAIRED_THERAPISTS = 15
"""Therapists with two or more clients of the group, for the spread to be estimated."""
OF_NEED = ("severity_band", "problem")
"""Attributes that are the need itself: whether worse results are harder need or worse care cannot be told."""


@dataclass(frozen=True)
class Compared:
    """One group's results beside all others', in one head's SD."""

    attribute: str
    group: str
    head: str
    n: int
    therapists: int
    gap: Estimate | None
    """None for attributes of need."""
    chances: tuple[float, float, float]
    """One-sided: of such a gap if there were none, of such a gap if it were the margin, and of such a spread if it were
    the margin; NaN where there is none to speak of. After `compare` adjusted by Holm's rule."""
    spread: Estimate | None
    """SD over therapists; None where too few have two clients of the group."""

    @property
    def behind(self) -> bool:
        """Whether the group surely does worse than its need explains; by more than the margin as far as can be seen."""
        return self.gap is not None and self.gap.value < -MARGIN and self.chances[0] < ALPHA

    @property
    def worse(self) -> bool:
        """Whether it surely does so by more than the margin."""
        return self.chances[1] < ALPHA

    @property
    def uneven(self) -> bool:
        """Whether its results surely depend on the therapist more than others' do."""
        return self.chances[2] < ALPHA


def compare(people: People) -> list[Compared]:
    """Every group of every attribute in every head, judged together."""
    e = people.looked_at
    sds = dict(e.asked.manifest.intake_sds) or intake_sds(e.snapshot, e.config.outcome.instruments)
    found: list[Compared] = []
    for head in e.head_configs:
        if head.weight > 0 and head.landmark is None:
            found += _of_head(people, head, target(head, e.snapshot, people.episodes, e.config.outcome, sds))
    adjusted = [holm(np.array(column)) for column in zip(*(one.chances for one in found), strict=True)]
    return [
        replace(one, chances=(float(gap), float(large), float(spread)))
        for one, gap, large, spread in zip(found, *adjusted, strict=True)
    ]


def _of_head(people: People, head: HeadConfig, goal: Target) -> Iterator[Compared]:
    rows = np.flatnonzero(goal.known & people.met)
    if len(rows) < 2 * FEWEST_COMPARED:
        return
    e = people.looked_at
    rows = rows[np.argsort(people.therapist[rows], kind="stable")]
    therapist = np.unique(people.therapist[rows], return_inverse=True)[1].astype(np.int64)
    y = goal.value[rows] / e.asked.heads[head.name].info.sd
    within = Within.of(y, people.need[rows], therapist, e.config.bootstraps, e.config.seed)
    for attribute, values in people.groups.items():
        mine = values.to_numpy(dtype=object)[rows]
        for group in sorted(set(mine), key=lambda word: (word == UNKNOWN, word)):
            one = within.compared(attribute, str(group), head.name, mine == group)
            if one is not None:
                yield one


@dataclass(frozen=True)
class Within:
    """Results, and what is known of the need, each less the mean of the therapist's clients; rows by therapist."""

    therapist: Ints
    """Rising from row to row."""
    rest: Floats
    """Result less what the need explains."""
    need: Floats
    inverse: Floats
    variance: float
    resamples: Resamples

    @classmethod
    def of(cls, y: Floats, need: Floats, therapist: Ints, count: int, seed: int) -> "Within":
        """From results (n,) in SD and columns of need (n, k), rows sorted by therapist."""
        need, y = _centred(need, therapist), _centred(y[:, None], therapist)[:, 0]
        gram = need.T @ need
        inverse = np.asarray(np.linalg.pinv(gram, rcond=1e-9, hermitian=True), dtype=np.float64)
        rest = y - need @ (inverse @ (need.T @ y))
        free = len(y) - (therapist.max() + 1) - np.linalg.matrix_rank(gram, hermitian=True)
        return cls(
            therapist, rest, need, inverse, float(rest @ rest / max(free, 1)), Resamples.of(therapist, count, seed)
        )

    def compared(self, attribute: str, group: str, head: str, member: Bools) -> Compared | None:
        """One group beside all others; None where either side is too small."""
        therapists = len(np.unique(self.therapist[member]))
        if min(member.sum(), (~member).sum()) < FEWEST_COMPARED or therapists < FEWEST_THERAPISTS:
            return None
        gap, chances, rest = self._gap(member, attribute in OF_NEED, therapists)
        spread, uneven = self._spread(rest, member)
        return Compared(attribute, group, head, int(member.sum()), therapists, gap, (*chances, uneven), spread)

    def _gap(
        self, member: Bools, of_need: bool, therapists: int
    ) -> tuple[Estimate | None, tuple[float, float], Floats]:
        """The gap, its one-sided chances against nothing and the margin, and what is left of the results beside it.

        Its error is the larger of the model's and the one by therapist, with as many degrees of freedom as there are
        therapists who saw the group, less one: either alone is too small for a small group.
        """
        inside = _centred(member[:, None].astype(np.float64), self.therapist)[:, 0]
        inside = inside - self.need @ (self.inverse @ (self.need.T @ inside))
        mass = float(inside @ inside)
        if of_need or mass < FEWEST_THERAPISTS:
            return None, (np.nan, np.nan), self.rest - member * self.rest[member].mean()
        gap = float(inside @ self.rest) / mass
        rest = self.rest - gap * inside
        sums = np.bincount(self.therapist, weights=inside * rest)
        by_therapist = np.sqrt((sums**2).sum() * therapists / (therapists - 1)) / mass
        error = max(np.sqrt(self.variance / mass), by_therapist)
        reach = float(student.ppf(1 - (1 - LEVEL) / 2, therapists - 1)) * error
        found = _estimate(gap, gap - reach, gap + reach)
        chances = student.cdf([gap / error, (gap + MARGIN) / error], therapists - 1)
        return found, (float(chances[0]), float(chances[1])), rest

    def _spread(self, rest: Floats, member: Bools) -> tuple[Estimate | None, float]:
        """SD over therapists of the group's results beside the gap, and the chance of so much if it were the margin.

        The estimate is of the products of two clients of one therapist; the chance is Cochran's, with the margin's
        variance beside that of the results: of everyone's, or of the group's with one therapist where that is larger,
        for a group may differ more from client to client, whoever the therapist is.
        """
        who = self.therapist[member]
        count = np.bincount(who, minlength=self.resamples.clusters).astype(np.float64)
        if (count >= 2).sum() < PAIRED_THERAPISTS:
            return None, np.nan
        total = np.bincount(who, weights=rest[member], minlength=len(count))
        squares = np.bincount(who, weights=rest[member] ** 2, minlength=len(count))
        seen = count > 0
        own = (squares.sum() - (total[seen] ** 2 / count[seen]).sum()) / max(count.sum() - seen.sum(), 1)
        variance = max(self.variance, float(own))
        cochran = (total[seen] ** 2 / count[seen] ** 2 / (variance / count[seen] + MARGIN**2)).sum()
        chance = float(chi2.sf(cochran, seen.sum() - 1))
        product, pairs = total**2 - squares, count * (count - 1)
        drawn = (self.resamples.counts @ product) / np.maximum(self.resamples.counts @ pairs, 1.0)
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        value, low, high = (float(np.sqrt(max(v, 0.0))) for v in (product.sum() / pairs.sum(), low, high))
        return _estimate(value, low, high), chance


def _estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value=round(value, DIGITS), low=round(low, DIGITS), high=round(high, DIGITS))


def _centred(values: Floats, therapist: Ints) -> Floats:
    """Columns (n, k), sorted by therapist, less the mean over the therapist's rows."""
    count = np.bincount(therapist)
    starts = np.concatenate([[0], np.cumsum(count[:-1])]).astype(np.int64)
    means = np.add.reduceat(values, starts, axis=0) / count[:, None]
    centred: Floats = values - np.repeat(means, count, axis=0)
    return centred
