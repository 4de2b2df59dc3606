"""Where courses are lost, by group of clients and by therapist; all who were referred are the denominator."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2, norm

from training.audit.charts import bars, chart
from training.audit.document import Chart, Column, Estimate, Finding, Table
from training.audit.fairness.cells import ALPHA, FEWEST_JUDGED, holm
from training.audit.fairness.words import attribute_words, group_words, named
from training.audit.flow.counts import Courses
from training.audit.harm.hiding import told_apart
from training.audit.harm.rates import wilson
from training.audit.reports import FEWEST_CASES
from training.audit.words import capital
from training.bands import FEWEST_IN_CELL, UNKNOWN
from training.evaluate import DIGITS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FEWER = 0.05
"""A share this much lower than everyone's is worth looking at."""
TENTHS = 10
FEWEST_THERAPISTS = 10
LOOKED_AT = ("assessed", "started", "rated", "paired")
LABELS = {
    "assessed": "assessed at intake",
    "started": "started",
    "rated": "early alliance rated",
    "paired": "paired scores",
}


@dataclass(frozen=True)
class Share:
    """How many of one group reached one thing."""

    attribute: str
    group: str
    step: str
    k: int
    n: int

    @property
    def estimate(self) -> Estimate | None:
        """With Wilson's 95 % interval; None where too few."""
        return share_of(self.k, self.n)


def share_of(k: int, n: int) -> Estimate | None:
    """A share of n with its 95 % interval; None under the number that may be shown."""
    if n < FEWEST_IN_CELL:
        return None
    low, high = wilson(k, n)
    return Estimate(value=round(k / n, DIGITS), low=round(low, DIGITS), high=round(high, DIGITS))


def shares(courses: Courses) -> list[Share]:
    """Of every group and everything looked at, each of all who were referred, whatever else they reached."""
    found = []
    steps = [name for name in LOOKED_AT if name in courses.steps]
    for attribute, values in courses.groups.items():
        words = values.to_numpy(dtype=object)
        for group in sorted(set(words), key=lambda word: (word == UNKNOWN, word)):
            mine = words == group
            for step in steps:
                k = int((courses.reached[step] & mine).sum())
                found.append(Share(attribute, str(group), step, k, int(mine.sum())))
    return found


def group_table(found: Sequence[Share]) -> Table:
    """A line for each group."""
    steps = list(dict.fromkeys(one.step for one in found))
    cells = {(one.attribute, one.group, one.step): one for one in found}
    groups = list(dict.fromkeys((one.attribute, one.group, one.n) for one in found))
    told = told_apart([name for name, _, _ in groups], np.array([n for _, _, n in groups], dtype=np.int64))
    rows = tuple(
        (
            attribute_words(attribute),
            group_words(group),
            n if shown else None,
            *(cells[attribute, group, step].estimate if shown else None for step in steps),
        )
        for (attribute, group, n), shown in zip(groups, told, strict=True)
    )
    columns = (
        Column(name="attribute", label="by"),
        Column(name="group", label="group"),
        Column(name="referred", label="courses referred", digits=0),
        *(Column(name=step, label=LABELS[step], unit="share of all referred") for step in steps),
    )
    return Table(
        id="losses_by_group",
        title="Who reaches what, by group, of all who were referred",
        columns=columns,
        rows=rows,
        pages=tuple(f"group/{attribute}" for attribute, _, _ in groups),
        note=f"Groups under {FEWEST_IN_CELL} are not shown, nor one from which they could be worked out. Intervals are "
        "95 % (Wilson).",
    )


def findings(courses: Courses, found: Sequence[Share]) -> Iterator[Finding]:
    """Groups of whom surely fewer reach something, by more than may be: Holm's rule over all of them."""
    asked = [one for one in found if one.n >= FEWEST_JUDGED and not _by_definition(one)]
    everyone = {step: float(courses.reached[step].mean()) for step in {one.step for one in asked}}
    z = [_z(one, everyone[one.step]) for one in asked]
    for one, chance in zip(asked, holm(_lower(np.array(z, dtype=np.float64))), strict=True):
        own = one.estimate
        if chance < ALPHA and own is not None:
            words = (
                f"{named((one.attribute, one.group))}: {LABELS[one.step]} are {own.value:.0%} of those referred (95 % "
                f"interval {own.low or 0:.0%} to {own.high or 0:.0%}), of everyone {everyone[one.step]:.0%}: "
                "what is learned speaks less for them."
            )
            yield Finding(level="look", words=capital(words), page="section/data")


def _by_definition(one: Share) -> bool:
    """Severity is unknown of those without a score at intake because they have none."""
    return one.attribute == "severity_band" and one.group == UNKNOWN


def _z(one: Share, everyone: float) -> float:
    error = np.sqrt(max(everyone * (1 - everyone), 1e-12) / one.n)
    return float((one.k / one.n - everyone + FEWER) / error)


def _lower(z: Floats) -> Floats:
    found: Floats = norm.cdf(z)
    return found


@dataclass(frozen=True)
class Answers:
    """How far therapists differ in the share of those they began with who have paired scores."""

    rates: Floats
    n: npt.NDArray[np.int64]

    @classmethod
    def of(cls, courses: Courses) -> "Answers":
        """Therapists with enough courses begun."""
        begun = courses.reached["started"] & courses.reached["matched"]
        codes = courses.episodes["therapist_id"].factorize()[0]
        n = np.bincount(codes[begun]) if begun.any() else np.zeros(0, dtype=np.int64)
        k = np.bincount(codes[begun & courses.reached["paired"]], minlength=len(n))
        enough = n >= FEWEST_CASES
        return cls(k[enough] / n[enough], n[enough])

    @property
    def enough(self) -> bool:
        """Whether there are therapists enough to show how they spread."""
        return len(self.n) >= FEWEST_THERAPISTS

    @property
    def spread(self) -> float:
        """SD between therapists beyond what chance makes of the same rate."""
        mean = np.average(self.rates, weights=self.n)
        chance = float((mean * (1 - mean) / self.n).mean())
        return float(np.sqrt(max(self.rates.var(ddof=1) - chance, 0.0)))

    @property
    def uneven(self) -> bool:
        """Whether therapists surely differ."""
        mean = np.average(self.rates, weights=self.n)
        if not 0 < mean < 1:
            return False
        heterogeneity = (self.n * (self.rates - mean) ** 2).sum() / (mean * (1 - mean))
        return bool(chi2.sf(heterogeneity, len(self.n) - 1) < ALPHA)

    def line(self) -> str:
        """In words."""
        if not self.enough:
            return (
                f"Fewer than {FEWEST_THERAPISTS} therapists began {FEWEST_CASES} courses: how they spread is not shown."
            )
        low, middle, high = np.quantile(self.rates, [0.1, 0.5, 0.9])
        beyond = (
            f"beyond chance they differ with an SD of {self.spread:.0%}"
            if self.uneven
            else "no more than chance may bring"
        )
        return (
            f"Of {len(self.n)} therapists who began {FEWEST_CASES} courses or more, half have paired scores for "
            f"{middle:.0%} or more of their clients, the lowest tenth for {low:.0%} or fewer and the highest for "
            f"{high:.0%} or more; {beyond}."
        )

    def drawn(self) -> Chart:
        """Therapists by tenths of their share; nobody is named."""
        edges = np.arange(TENTHS + 1) / TENTHS
        counts = np.histogram(self.rates, bins=edges)[0].astype(np.float64)
        filled = np.flatnonzero(counts)
        span = range(int(filled[0]), int(filled[-1]) + 1)
        labels = [f"{edges[i]:.0%} to {edges[i + 1]:.0%}" for i in span]
        title = (
            "Paired scores depend on the therapist"
            if self.uneven
            else "That paired scores depend on the therapist is not shown"
        )
        alt = f"A bar for each tenth of the share with paired scores, as long as there are therapists. {title}."
        columns = (
            Column(name="share", label="share with paired scores"),
            Column(name="n", label="therapists", digits=0),
        )
        rows = [(label, int(counts[i])) for label, i in zip(labels, span, strict=True)]
        note = f"Therapists with {FEWEST_CASES} courses begun or more; of all clients with a first session."
        canvas = bars(labels, counts[span.start : span.stop], "therapists")
        return chart("answers_by_therapist", title, alt, canvas, columns, rows, note)
