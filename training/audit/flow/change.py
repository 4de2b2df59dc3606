"""Change in scores beside what changes without treatment, and the early alliance with who answered."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.audit.document import Cell, Column, Estimate, Table
from training.audit.examined import Examined
from training.audit.words import with_interval
from training.bands import FEWEST_IN_CELL
from training.config import OutcomeConfig
from training.evaluate import DIGITS, Resamples
from training.targets import early_alliance, improvement

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNTREATED = {"fell": 0.087, "rose": 0.072, "below": 0.301, "below_and_fell": 0.155}
"""PHQ-9 over three months without treatment asked for: 10,866 pairs of scores of 4,036 people (PSYCHE-D)."""
RELIABILITY = (0.7, 0.8, 0.9)
"""Of one score, low, middle and high: an assumption, for the change that comes of measuring alone."""


@dataclass(frozen=True)
class Paired:
    """Courses of those who agreed, with a score at intake and a later one of one instrument."""

    looked_at: Examined
    instrument: str

    @cached_property
    def _totals(self) -> pd.DataFrame:
        """As the client rated them."""
        known = self.looked_at.snapshot.measures()
        mine = known[known["instrument"] == self.instrument]
        return mine[(mine["item"] == "0") & (mine["rater"] == "client")]

    @cached_property
    def _change(self) -> Floats:
        """Points better, of every course known."""
        outcome = OutcomeConfig(instruments=(self.instrument,), weeks=self.looked_at.config.outcome.weeks)
        return improvement(self._totals, self.looked_at.snapshot.episodes(), outcome, {self.instrument: 1.0})

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """Courses with both scores."""
        return np.flatnonzero(~np.isnan(self._change))

    @cached_property
    def change(self) -> Floats:
        """Points by which each fell: positive is better."""
        return np.asarray(self._change[self.rows])

    @cached_property
    def intake(self) -> Floats:
        """Score at intake."""
        own = self._totals[self._totals["session"] == 0].drop_duplicates("episode_id").set_index("episode_id")
        ids = self.looked_at.snapshot.episodes()["episode_id"].iloc[self.rows]
        values: Floats = own["value"].reindex(ids).to_numpy(dtype=np.float64)
        return values

    @cached_property
    def _resamples(self) -> Resamples:
        therapist = self.looked_at.snapshot.episodes()["therapist_id"].iloc[self.rows]
        codes = therapist.factorize(use_na_sentinel=False)[0].astype(np.int64)
        return Resamples.of(codes, self.looked_at.config.bootstraps, self.looked_at.config.seed)

    def mean(self, values: Floats, among: Bools) -> Estimate | None:
        """Mean over some of the rows with its interval; None where too few."""
        if among.sum() < FEWEST_IN_CELL:
            return None
        figure = self._resamples.means(values[:, None], among[:, None].astype(np.float64))[0]
        return Estimate(**figure.as_json(DIGITS))

    def by_measuring_alone(self, caseness: float) -> Estimate | None:
        """Points by which those over the threshold would fall if nothing but the measuring changed.

        (1 - reliability) x (their mean at intake less everybody's): regression to the mean of those referred.
        """
        over = self.intake >= caseness
        if over.sum() < FEWEST_IN_CELL:
            return None
        lead = float(self.intake[over].mean() - self.intake.mean())
        low, middle, high = (lead * (1 - reliability) for reliability in sorted(RELIABILITY, reverse=True))
        return Estimate(value=round(middle, DIGITS), low=round(low, DIGITS), high=round(high, DIGITS))


def change_table(looked_at: Examined) -> Table | None:
    """Change of those with paired scores beside change without treatment; None where nobody has any."""
    rows: list[tuple[Cell, ...]] = []
    for name in looked_at.config.outcome.instruments:
        known = looked_at.history.manifest.instruments()[name]
        paired = Paired(looked_at, name)
        if known.direction == "lower" and len(paired.rows) >= FEWEST_IN_CELL:
            rows += _rows_of(paired, known.name, known.thresholds)
    if not rows:
        return None
    columns = (
        Column(name="what", label="of those with a score at intake and a later one"),
        Column(name="n", label="courses", digits=0),
        Column(name="here", label="here"),
        Column(name="untreated", label="without treatment, over three months"),
    )
    note = (
        "Beside each other, and not to be subtracted: the people without treatment had not asked for help, and those "
        "here who gave no later score are missing. Without treatment: PHQ-9 of 4,036 people, 10,866 pairs (PSYCHE-D). "
        "Change by measuring alone: whoever scores high on one day scores lower on the next; for a reliability of .8 "
        "(interval: .9 to .7), which is assumed."
    )
    title = "Change beside change without treatment"
    return Table(id="change", title=title, columns=columns, rows=tuple(rows), note=note)


def _rows_of(paired: Paired, name: str, known: Mapping[str, float]) -> Iterator[tuple[Cell, ...]]:
    every = np.ones(len(paired.change), dtype=bool)
    yield (f"{name}: mean fall in points", len(every), paired.mean(paired.change, every), None)
    caseness, reliable = known.get("caseness"), known.get("reliable_change")
    drift = UNTREATED if paired.instrument == "phq9" else {}
    if reliable is not None:
        fell, rose = paired.change >= reliable, paired.change <= -reliable
        yield (
            f"{name}: share who fell by {reliable:g} or more",
            len(every),
            _of(paired, fell, every),
            drift.get("fell"),
        )
        yield (
            f"{name}: share who rose by {reliable:g} or more",
            len(every),
            _of(paired, rose, every),
            drift.get("rose"),
        )
    if caseness is None:
        return
    over = paired.intake >= caseness
    n = int(over.sum()) if over.sum() >= FEWEST_IN_CELL else None
    below = paired.intake - paired.change < caseness
    start = f"{name}, of those at {caseness:g} or more at intake:"
    yield (f"{start} share below it at the last", n, _of(paired, below, over), drift.get("below"))
    if reliable is not None:
        both = below & (paired.change >= reliable)
        yield (
            f"{start} share below it and fallen by {reliable:g}",
            n,
            _of(paired, both, over),
            drift.get("below_and_fell"),
        )
    yield (f"{start} mean fall in points", n, paired.mean(paired.change, over), None)
    yield (f"{start} mean fall by measuring alone", n, paired.by_measuring_alone(caseness), None)


def _of(paired: Paired, what: Bools, among: Bools) -> Estimate | None:
    return paired.mean(what.astype(np.float64), among)


@dataclass(frozen=True)
class Alliance:
    """The early alliance as clients rated it, and how many of those who started did."""

    started: int
    rated: int
    mean: Estimate
    at_most: float
    """Share of the ratings that are the highest there is."""
    highest: float

    def line(self) -> str:
        """Never the mean alone."""
        return (
            f"The early alliance is {with_interval(self.mean, '', sign=False)} of {self.highest:g} on average; "
            f"{self.rated / self.started:.0%} of the {self.started:,} who started rated it, and {self.at_most:.0%} of "
            "those ratings are the highest there is. Who was less content may not have answered."
        )


def alliance(looked_at: Examined, started: pd.Series) -> Alliance | None:
    """Of those who agreed; `started` are the ids of courses with a first session. None where too few rated it."""
    known, instrument = looked_at.snapshot, looked_at.config.outcome.alliance_instrument
    episodes = known.episodes()
    episodes = episodes[episodes["episode_id"].isin(started)].reset_index(drop=True)
    values, _ = early_alliance(known.measures(), episodes, instrument)
    rows = np.flatnonzero(~np.isnan(values))
    if len(rows) < FEWEST_IN_CELL:
        return None
    codes = episodes["therapist_id"].iloc[rows].factorize()[0].astype(np.int64)
    resamples = Resamples.of(codes, looked_at.config.bootstraps, looked_at.config.seed)
    figure = resamples.means(values[rows][:, None], np.ones((len(rows), 1)))[0]
    highest = looked_at.history.manifest.instruments()[instrument].high
    at_most = float((values[rows] >= highest - 1e-9).mean())
    return Alliance(len(episodes), len(rows), Estimate(**figure.as_json(DIGITS)), at_most, highest)
