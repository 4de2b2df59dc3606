"""Who had clearly more harm: each arm beside the others, each group beside everyone else as ill at intake.

Clients were not drawn by lot, so a difference says where to look and not why. It is *clear* where its interval leaves
out 0 after allowing for how many comparisons were made (Bonferroni; half of it for the outcomes one by one, half for
all of them taken together, which few events show better): where nothing differs, at most one audit in twenty points at
anything.

Shares of a group are compared with what would be expected if everyone else of the same third of severity fared as they
did (direct standardisation). Clients of one therapist are alike: both sides count for as many clients as they are
worth then (a design effect of at least 1, from the therapists' own sums). The interval of a difference is made of
those of its two shares (Newcombe 1998, Stat Med 17:873), exact ones where events are few.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.served import NOBODY_YET
from training.audit.document import Estimate
from training.audit.harm.counts import Counts, counts
from training.audit.harm.courses import ANY, ARMS, Referrals
from training.audit.harm.hiding import OTHERS, pooled
from training.audit.harm.rates import limits
from training.bands import FEWEST_IN_CELL

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.object_]

ALARMS = 0.05
"""How often anything at all may be pointed at where nothing differs."""
ARM = "arm"
"""The attribute of how clients came to a therapist."""
FEWEST_COMPARED = 30
"""A side with fewer clients of whom the outcome is known is shown, and not compared."""


@dataclass(frozen=True)
class Contrast:
    """One outcome in one group of clients beside others."""

    attribute: str
    group: str
    against: str
    outcome: str
    n: int
    share: float
    expected: float
    """Share that those compared with would have had, had they been as ill at intake."""
    low: float
    high: float
    """Of the difference between the two, at the level that allows for all comparisons."""

    @property
    def difference(self) -> Estimate:
        """In percentage points."""
        return Estimate(value=100 * (self.share - self.expected), low=100 * self.low, high=100 * self.high)

    @property
    def is_more(self) -> bool:
        """Whether it is clearly more than expected."""
        return self.low > 0

    @property
    def is_less(self) -> bool:
        """Whether it is clearly less than expected."""
        return self.high < 0


@dataclass(frozen=True)
class Sides:
    """Two sets of the same people who are compared."""

    attribute: str
    group: str
    against: str
    mine: Bools
    others: Bools
    stratum: Ints
    """Like is compared with like: which stratum each is in."""
    silent: frozenset[str]
    """Outcomes of which the group's own share is not shown."""


def group_sides(all_of: Referrals) -> Iterator[Sides]:
    """Each group of each attribute beside everyone else; groups by severity beside everyone, however ill."""
    for attribute, words in all_of.groups.items():
        alike = np.zeros(all_of.size, np.int64) if attribute == "severity_band" else all_of.stratum
        together, told = pooled(words), counts(words, all_of.outcomes)
        for at, group in enumerate(told.names):
            mine = np.asarray(together == group, dtype=np.bool_)
            yield Sides(attribute, group, "everyone else", mine, ~mine, alike, _silent(told, at))


def arm_sides(all_of: Referrals, words: Words, names: Sequence[str], attribute: str) -> Iterator[Sides]:
    """Each of the named sets of clients beside the first of them that anybody is in."""
    together, told = pooled(words), counts(words, all_of.outcomes)
    there = [name for name in names if name in told.names]
    for name in there[1:]:
        mine, others = (np.asarray(together == one, dtype=np.bool_) for one in (name, there[0]))
        silent = _silent(told, told.names.index(name)) | _silent(told, told.names.index(there[0]))
        yield Sides(attribute, name, there[0], mine, others, all_of.stratum, silent)


def _silent(told: Counts, at: int) -> frozenset[str]:
    return frozenset(name for name, hidden in told.hidden.items() if hidden[at])


def compared_all(all_of: Referrals) -> list[Contrast]:
    """How clients came to a therapist and every group, each beside the others, in every outcome."""
    arms = [name for name in ARMS if name != NOBODY_YET]
    sides = [*arm_sides(all_of, all_of.arm, arms, ARM), *group_sides(all_of)]
    return contrasts(sides, all_of.outcomes, all_of.therapist)


def contrasts(sides: Sequence[Sides], outcomes: Mapping[str, Floats], therapist: Ints) -> list[Contrast]:
    """All comparisons that enough is known for, each at the level that allows for their number."""
    able = [
        (one, name)
        for one in sides
        if one.group != OTHERS
        for name, values in outcomes.items()
        if name not in one.silent
        and min((~np.isnan(values[side])).sum() for side in (one.mine, one.others)) >= FEWEST_COMPARED
    ]
    return [
        contrast
        for one, name in able
        if (contrast := _contrast(one, name, outcomes[name], therapist, _level(able, name))) is not None
    ]


def _level(able: Sequence[tuple[Sides, str]], outcome: str) -> float:
    """Of an interval, of which one end decides; both ends decide where two arms are compared."""
    alike = [sides for sides, name in able if (name == ANY) == (outcome == ANY)]
    ends = sum(2 if sides.attribute == ARM else 1 for sides in alike)
    return 1 - ALARMS / ends


def _contrast(sides: Sides, name: str, values: Floats, therapist: Ints, level: float) -> Contrast | None:
    known = ~np.isnan(values)
    strata = int(sides.stratum.max(initial=0)) + 1
    there = np.bincount(sides.stratum[known & sides.others], minlength=strata)
    comparable = known & (there > 0)[sides.stratum]
    a, b = comparable & sides.mine, comparable & sides.others
    n, others = (np.bincount(sides.stratum[one], minlength=strata).astype(float) for one in (a, b))
    if n.sum() < FEWEST_IN_CELL:
        return None
    events, theirs = (np.bincount(sides.stratum[one], values[one], strata).astype(float) for one in (a, b))
    weight = n / n.sum()
    share, expected = float(events.sum() / n.sum()), float((weight * _ratio(theirs, others)).sum())
    worth = 1 / _design_effect(sides, values, therapist, a, b, weight, others)
    spread = float((weight**2 * _ratio(_variance(theirs, others), others)).sum())
    effective = worth * max(expected * (1 - expected), 1 / (4 * others.sum())) / max(spread, 1e-12)
    low, high = limits(events.sum() * worth, n.sum() * worth, level)
    least, most = limits(expected * effective, effective, level)
    gap = share - expected
    return Contrast(
        sides.attribute,
        sides.group,
        sides.against,
        name,
        int(n.sum()),
        share,
        expected,
        gap - float(np.hypot(share - low, most - expected)),
        gap + float(np.hypot(high - share, expected - least)),
    )


def _ratio(top: Floats, bottom: Floats) -> Floats:
    return np.asarray(np.where(bottom > 0, top / np.maximum(bottom, 1), 0.0))


def _variance(events: Floats, n: Floats) -> Floats:
    """Of one client's outcome in each stratum, never quite 0."""
    share = (events + 0.5) / (n + 1)
    return np.asarray(share * (1 - share))


def _design_effect(
    sides: Sides, values: Floats, therapist: Ints, a: Bools, b: Bools, weight: Floats, others: Floats
) -> float:
    """How much wider the difference varies because clients of one therapist are alike; 1 where it does not.

    Sums of what each client adds to the difference, by therapist, against the same as if each client stood alone.
    """
    used = a | b
    stratum = sides.stratum[used]
    mean = _ratio(
        np.bincount(stratum, values[used], len(weight)).astype(float),
        np.bincount(stratum, minlength=len(weight)).astype(float),
    )
    per = np.where(a[used], 1 / a.sum(), -_ratio(weight, others)[stratum])
    added = per * (values[used] - mean[stratum])
    seen = therapist[used] >= 0
    sums = np.bincount(therapist[used][seen], added[seen])
    clusters = int((np.bincount(therapist[used][seen]) > 0).sum())
    alone = float((added**2).sum())
    if clusters < 2 or alone <= 0:
        return 1.0
    together = float((sums**2).sum()) * clusters / (clusters - 1) + float((added[~seen] ** 2).sum())
    return max(together / alone, 1.0)
