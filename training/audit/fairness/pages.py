"""A page for each attribute by which clients are grouped: all figures, pictures, findings in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.audit.charts import chart, intervals
from training.audit.document import Cell, Chart, Column, Estimate, Finding, Section, Table
from training.audit.fairness.cells import EVERYONE, FEWEST_FOR_SLOPE
from training.audit.fairness.figures import FREE, FULL, Figures, Measured, Named
from training.audit.fairness.results import FEWEST_COMPARED, MARGIN, OF_NEED, Compared
from training.audit.fairness.words import attribute_words, group_words, head_words, named
from training.audit.importances import UTILITY
from training.audit.words import capital, with_interval
from training.bands import FEWEST_IN_CELL, UNKNOWN

SUPPRESSED = (
    f"Empty: not shown, as fewer than {FEWEST_IN_CELL} clients are behind it or behind what could be worked out from "
    "it. Intervals are 95 %, therapists resampled."
)


@dataclass(frozen=True)
class Page:
    """What there is to say of one attribute."""

    attribute: str
    groups: tuple[str, ...]
    figures: Figures
    compared: Sequence[Compared]
    findings: tuple[Finding, ...]

    @property
    def names(self) -> list[Named]:
        """Everyone, then every group."""
        return [EVERYONE, *((self.attribute, group) for group in self.groups)]

    def section(self) -> Section:
        """The page."""
        return Section(
            id=self.attribute,
            title=f"For whom does it work less well, by {attribute_words(self.attribute)}?",
            says=tuple(self._says()),
            findings=self.findings,
            parts=(*self._charts(), *self._tables()),
        )

    def _says(self) -> Iterator[str]:
        known = [group for group in self.groups if group != UNKNOWN]
        unknown = " and those of whom it is not on record" if UNKNOWN in self.groups else ""
        yield f"{len(known)} groups{unknown} are compared."
        gain = self.figures.get(("gain", UTILITY, FREE))
        if gain is not None:
            yield from _range_line(gain, self.names)
        own = self._own_gaps()
        if own:
            lowest = min(own, key=lambda one: one[1].value)
            yield (
                f"Beside other clients with the same need at intake and the same therapist, results lie lowest for "
                f"{named((self.attribute, lowest[0].group))}: {head_words(lowest[0].head)} {with_interval(lowest[1])}."
            )
        elif self.attribute in OF_NEED:
            yield (
                "Whether worse results here are harder need or worse care cannot be told from these data, so the means "
                "of groups are not compared; whether results depend on the therapist more in one group is looked at."
            )
        if not self.findings:
            yield "Nothing here has to be looked at before signing."

    def _own_gaps(self) -> list[tuple[Compared, Estimate]]:
        return [(one, one.gap) for one in self.compared if one.gap is not None]

    def _charts(self) -> Iterator[Chart]:
        gain = self.figures.get(("gain", UTILITY, FREE))
        if gain is not None:
            yield from _gain_chart(self.attribute, gain, self.names)
        gaps = self._own_gaps()
        if gaps:
            yield _gap_chart(self.attribute, gaps)

    def _tables(self) -> Iterator[Table]:
        heads = [about[1] for about in self.figures if about[0] == "error"]
        columns = [
            ((kind, head), Column(name=f"{kind}_{head}", label=f"{label} ({head_words(head)})", unit=unit))
            for head in heads
            for kind, label, unit in (
                ("error", "mean error", "SD"),
                ("bias", "observed less predicted", "SD"),
                ("slope", "slope of observed on predicted; 1 is right", ""),
            )
        ]
        if columns:
            note = f"{SUPPRESSED} Slopes need {FEWEST_FOR_SLOPE} results."
            yield self._table("predictions", "How predictions and results compare", columns, note)
        if ("gain", UTILITY, FREE) in self.figures:
            yield from self._of_choices()
        if ("wait",) in self.figures:
            yield self._waits()
        if self.compared:
            yield self._results()

    def _of_choices(self) -> Iterator[Table]:
        ranked = [about[1] for about in self.figures if about[0] == "true"]
        gains = [
            (
                ("gain", head, regime),
                Column(name=f"gain_{head}_{regime[:4]}", label=f"{head_words(head)}, {regime}", unit="SD"),
            )
            for head in ranked
            for regime in (FREE, FULL)
        ]
        title = "Expected gain of the ranking's choice over the next available therapist"
        yield self._table("gains", title, gains, SUPPRESSED)
        true = [(("true", head), Column(name=f"true_{head}", label=head_words(head))) for head in ranked]
        note = (
            "Result less prognosis of those who saw a therapist whom the ranking puts high beside those who saw one "
            f"whom it puts low: 1 is as promised, 0 nothing of it. Needs {FEWEST_FOR_SLOPE} results. {SUPPRESSED}"
        )
        yield self._table("came_true", "Of each SD that the ranking promised, how much came true", true, note)
        yield self._table("choices", "Who would be first, and for how many nothing can be told", CHOICES, CHOICES_NOTE)

    def _waits(self) -> Table:
        columns: list[tuple[tuple[str, ...], Column]] = [
            (("wait",), Column(name="wait_days", label="days from referral to the first session", digits=1)),
            (("never",), Column(name="never_started", label="share who never started")),
        ]
        note = f"Of all who were referred and agreed to learning, those who wait still among them. {SUPPRESSED}"
        return self._table("waits", "Who waits", columns, note)

    def _table(self, name: str, title: str, columns: Sequence[tuple[tuple[str, ...], Column]], note: str) -> Table:
        shown = [(self.figures[about], column) for about, column in columns if about in self.figures]
        most = max((one for one, _ in shown), key=lambda one: one.n(EVERYONE))
        rows = [
            (group_words(name[1]), _count(most, name), *(one.told(name) for one, _ in shown)) for name in self.names
        ]
        head = (Column(name="group", label="group"), Column(name="n", label="clients", digits=0))
        return Table(
            id=name, title=title, columns=(*head, *(column for _, column in shown)), rows=tuple(rows), note=note
        )

    def _results(self) -> Table:
        columns = (
            Column(name="group", label="group"),
            Column(name="result", label="result"),
            Column(name="n", label="results", digits=0),
            Column(name="therapists", label="therapists", digits=0),
            Column(name="gap", label="beside others with the same need and therapist", unit="SD"),
            Column(name="chance", label="chance, adjusted, of such a gap if the truth were the margin", digits=3),
            Column(name="spread", label="how far this differs between therapists", unit="SD"),
        )
        rows = tuple(
            (group_words(one.group), head_words(one.head), one.n, one.therapists, one.gap, _chance(one), one.spread)
            for one in self.compared
        )
        note = (
            f"Groups with {FEWEST_COMPARED} results or more. The margin is {MARGIN:.2f} SD: less than that may be what "
            "intake does not record. Need is what was known at intake of symptoms, problems, care level, earlier "
            "courses, hope, motivation, support and work; age, gender, ethnicity and the like are left out of it."
        )
        return Table(id="results", title="Results given the need", columns=columns, rows=rows, note=note)


CHOICES: list[tuple[tuple[str, ...], Column]] = [
    (("offered",), Column(name="offered", label="therapists to choose from", digits=1)),
    (("abstains",), Column(name="abstains", label="share without a meaningful difference")),
    (("stands first",), Column(name="ever_first", label="share of the therapists offered who would be first for any")),
    (("quality", "first"), Column(name="quality_first", label="general standing of who would be first", unit="SD")),
    (("quality", "offered"), Column(name="quality_offered", label="general standing of those offered", unit="SD")),
    (("agrees", "alone"), Column(name="agrees_alone", label="share with the same first by outcome alone")),
    (("agrees", "equal"), Column(name="agrees_equal", label="share with the same first by equal weights")),
    (("given up", "alone"), Column(name="given_up_alone", label="utility given up by outcome alone", unit="SD")),
    (("given up", "equal"), Column(name="given_up_equal", label="utility given up by equal weights", unit="SD")),
]
CHOICES_NOTE = (
    "General standing is a therapist's mean utility over everyone they could have seen: equal figures mean that groups "
    "are offered, and sent to, therapists of the same standing. In a small group fewer therapists can be first. "
    f"{SUPPRESSED}"
)


def _chance(one: Compared) -> Cell:
    return None if np.isnan(one.chances[1]) else round(one.chances[1], 3)


def _count(of: Measured, name: Named) -> Cell:
    return None if of.told(name) is None else of.n(name)


def _shown(measured: Measured, names: Sequence[Named]) -> list[tuple[Named, Estimate]]:
    found = [(name, measured.told(name)) for name in names]
    return [(name, one) for name, one in found if one is not None]


def _range_line(gain: Measured, names: Sequence[Named]) -> Iterator[str]:
    own = [(name, one) for name, one in _shown(gain, names) if name != EVERYONE]
    if own:
        name, least = min(own, key=lambda one: one[1].value)
        yield (
            "If every client could have the ranking's first choice, that would be expected to bring at least "
            f"{with_interval(least)} over the next available therapist; least for {named(name)}."
        )


def _gain_chart(attribute: str, gain: Measured, names: Sequence[Named]) -> Iterator[Chart]:
    own = [(name, one) for name, one in _shown(gain, names) if one.low is not None]
    if len(own) < 2:
        return
    values = np.array([[one.value, one.low, one.high] for _, one in own], dtype=np.float64)
    groups = values[1:, 0] if own[0][0] == EVERYONE else values[:, 0]
    title = f"Every group gains: between {groups.min():+.2f} and {groups.max():+.2f} SD over the next available"
    if groups.min() <= 0:
        title = f"Not every group gains: between {groups.min():+.2f} and {groups.max():+.2f} SD"
    labels = [group_words(name[1]) for name, _ in own]
    rows = [(label, one) for label, (_, one) in zip(labels, own, strict=True)]
    columns = (Column(name="group", label="group"), Column(name="gain", label="expected gain", unit="SD"))
    alt = f"A dot with its interval for each group by {attribute_words(attribute)}. {title}."
    canvas = intervals(labels, values[:, 0], values[:, 1], values[:, 2], "expected gain of the first choice, SD")
    yield chart(f"gain_by_{attribute}", title, alt, canvas, columns, rows, "Free choice, all results as weighed.")


def _gap_chart(attribute: str, gaps: Sequence[tuple[Compared, Estimate]]) -> Chart:
    """The groups' gaps in the head in which one of them lies lowest."""
    lowest = min(gaps, key=lambda one: one[1].value)[0]
    own = [(one, gap) for one, gap in gaps if one.head == lowest.head]
    worse = [one for one, _ in own if one.worse]
    title = f"No group surely does worse than its need explains in {head_words(lowest.head)}"
    if worse:
        title = capital(f"{group_words(worse[0].group)}: {head_words(lowest.head)} is lower than the need explains")
    labels = [group_words(one.group) for one, _ in own]
    values = np.array([[gap.value, gap.low, gap.high] for _, gap in own], dtype=np.float64)
    columns = (Column(name="group", label="group"), Column(name="gap", label="beside others", unit="SD"))
    alt = f"A dot with its interval for each group by {attribute_words(attribute)}. {title}."
    canvas = intervals(
        labels, values[:, 0], values[:, 1], values[:, 2], "result beside others with the same need and therapist, SD"
    )
    rows = [(label, gap) for label, (_, gap) in zip(labels, own, strict=True)]
    return chart(f"gap_by_{attribute}", title, alt, canvas, columns, rows, f"A gap under {MARGIN:.2f} SD is no sign.")
