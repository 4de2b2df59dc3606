"""Exposure: whom the ranking would have shown to clients of the test block, beside whom they saw."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.audit.charts import bars, chart
from training.audit.document import Chart, Column, Estimate, Finding, Table
from training.audit.examined import Examined
from training.audit.fairness.choice import Ranking
from training.audit.reports import FEWEST_CASES, Exposure
from training.audit.therapists.known import Known
from training.bands import FEWEST_IN_CELL
from training.evaluate import Figure, Resamples

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FIRST_PLACES = 5
TENTH = 10
MOST = 0.5
"""A tenth of the therapists with more of the first places than this are few with most of them."""
FAIR = 0.5
"""New therapists with a smaller share of first places than this much of their share by lot are hardly shown."""
WAYS = {"lot": "drawn by lot", "seen": "as clients were seen", "first": "first place", "first_five": "first five"}


@dataclass(frozen=True)
class Shown:
    """Clients of the test block with a choice, the therapists offered to them, and the utility of each pair."""

    known: Known
    therapist: Ints
    """Of each pair, as a position in `Known.ids`."""
    utility: Floats
    tells: Bools
    """Of each client, whether the ranking finds a difference worth a wait; without one the soonest is shown first."""

    @property
    def _looked_at(self) -> Examined:
        return self.known.looked_at

    @cached_property
    def place(self) -> Ints:
        """Place of each pair among those of its client, from 0."""
        offered = self._looked_at.offered
        order = np.lexsort((self.therapist, -self.utility, offered.position))
        begins = np.concatenate([[0], np.cumsum(np.bincount(offered.position))[:-1]])
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order)) - begins[offered.position[order]]
        return place

    @cached_property
    def weights(self) -> dict[str, Floats]:
        """By way of choosing, how much of a client each pair gets; those of a client sum to 1 (first five: up to 5)."""
        offered = self._looked_at.offered
        size, tells = np.bincount(offered.position)[offered.position], self.tells[offered.position]
        five = np.minimum(size, FIRST_PLACES) / size
        return {
            "lot": 1 / size,
            "seen": offered.assigned.astype(np.float64),
            "first": np.where(tells, self.place == 0, 1 / size),
            "first_five": np.where(tells, self.place < FIRST_PLACES, five),
        }

    def exposure(self, way: str) -> Floats:
        """What each therapist gets of the clients."""
        return np.bincount(self.therapist, self.weights[way], minlength=len(self.known.ids)).astype(np.float64)

    @cached_property
    def times_offered(self) -> Ints:
        """To how many clients each was offered."""
        return np.bincount(self.therapist, minlength=len(self.known.ids))

    @cached_property
    def clients(self) -> int:
        """How many clients had a choice."""
        return len(self._looked_at.offered.rows)

    @property
    def who(self) -> str:
        """Which clients they are."""
        tested = self._looked_at.tested is not None
        return "clients of the test block" if tested else "past clients, whom it had also learned from,"

    @cached_property
    def first(self) -> Ints:
        """Therapist who stands first for each client, in the order of `offered.rows`."""
        at = np.flatnonzero(self.place == 0)
        return self.therapist[at[np.argsort(self._looked_at.offered.position[at])]]

    @cached_property
    def new(self) -> Bools:
        """Who had fewer than 15 cases before the test block."""
        return self.known.seen_before < FEWEST_CASES

    @cached_property
    def new_share(self) -> tuple[dict[str, float], Figure | None]:
        """Share of new therapists by way of choosing, and that of first places over that by lot with its interval.

        Resampled by who stands first: few therapists can make the whole of it.
        """
        mine = {way: weight * self.new[self.therapist] for way, weight in self.weights.items()}
        share = {way: float(mine[way].sum() / weight.sum()) for way, weight in self.weights.items()}
        if share["lot"] == 0:
            return share, None
        position = self._looked_at.offered.position
        sums = np.column_stack([np.bincount(position, mine["first"]), np.bincount(position, mine["lot"])])
        resamples = Resamples.of(self.first, self._looked_at.config.bootstraps, self._looked_at.config.seed)
        drawn = resamples.sums(sums.astype(np.float64))
        return share, resamples.figure(share["first"] / share["lot"], drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12))


def shown(known: Known) -> Shown | None:
    """How clients of the test block would have been ranked; None where nobody had a choice."""
    looked_at = known.looked_at
    if not looked_at.choice.assigned.any() or not known.heads:
        return None
    therapist = pd.Index(known.ids).get_indexer(pd.Index(looked_at.choice.therapist_id)).astype(np.int64)
    if (therapist < 0).any():
        return None
    return Shown(known, therapist, looked_at.utility, Ranking(looked_at).meaningful)


def gini(values: Floats) -> float:
    """How unequally a sum is spread: 0 all alike, near 1 one has it all. (2 sum i x_i / n sum x) - (n + 1) / n."""
    ordered, n = np.sort(values), len(values)
    return float(2 * (np.arange(1, n + 1) @ ordered) / (n * ordered.sum()) - (n + 1) / n) if ordered.sum() else 0.0


def top_share(values: Floats) -> float:
    """Share of the sum that the tenth with most has; a part of a therapist counts as that part."""
    ordered, count = np.sort(values)[::-1], len(values) / TENTH
    whole = int(count)
    rest = (count - whole) * ordered[whole] if whole < len(ordered) else 0.0
    return float((ordered[:whole].sum() + rest) / ordered.sum()) if ordered.sum() else 0.0


def concentration(found: Shown) -> dict[str, tuple[float, float]]:
    """By way of choosing, over the therapists offered to anyone: Gini index and share of the tenth with most."""
    there = found.times_offered > 0
    return {way: (gini(found.exposure(way)[there]), top_share(found.exposure(way)[there])) for way in WAYS}


def _told_nothing(found: Shown) -> str:
    share = 1 - float(found.tells.mean())
    if not share:
        return ""
    return (
        f"For {share:.0%} of them it finds no difference worth a wait, and shows the soonest first: they count here as "
        "drawn by lot. "
    )


def words(found: Shown) -> list[str]:
    """What is to say of exposure."""
    spread, (share, ratio) = concentration(found), found.new_share
    lines = [
        f"For {found.clients} {found.who} the model was asked whom it would place first. The tenth of the therapists "
        f"placed first most often would get {spread['first'][1]:.0%} of the first places; the tenth seen most had "
        f"{spread['seen'][1]:.0%} of the clients, and by lot it would be {spread['lot'][1]:.0%}. "
        f"{_told_nothing(found)}Places left and waiting times, which spread clients out again, are not in this count."
    ]
    if ratio is None:
        lines.append(f"No therapist with fewer than {FEWEST_CASES} cases was offered to these clients.")
    else:
        lines.append(
            f"Therapists with fewer than {FEWEST_CASES} cases at that time would get {share['first']:.1%} of the first "
            f"places and {share['first_five']:.1%} of the first five; by lot they would get {share['lot']:.1%}, and "
            f"{share['seen']:.1%} of the clients saw one. Their share of first places is {ratio.value:.2f} times that "
            f"by lot (95 % interval {ratio.low:.2f} to {ratio.high:.2f})."
        )
    return lines


def findings(found: Shown) -> list[Finding]:
    """What a person should look at."""
    top, (_, ratio) = concentration(found)["first"][1], found.new_share
    said = []
    if ratio is not None and ratio.value < FAIR:
        line = f"New therapists would stand first {ratio.value:.2f} times as often as by lot (below {FAIR:g})"
        step = "decide how new therapists come to be seen"
        said.append(Finding(level="look", words=f"{line}: {step}.", page="section/therapists"))
    if top > MOST:
        line = f"A tenth of the therapists would get {top:.0%} of the first places"
        step = "capacity or prices must spread clients out"
        said.append(Finding(level="look", words=f"{line}: {step}.", page="section/therapists"))
    return said


def parts(found: Shown) -> list[Table | Chart]:
    """How exposure is spread, as a picture and a table."""
    spread, (share, ratio) = concentration(found), found.new_share
    rows = tuple(
        (
            label,
            spread[way][1],
            spread[way][0],
            share[way] if ratio is not None else None,
            Estimate(value=ratio.value, low=ratio.low, high=ratio.high) if way == "first" and ratio else None,
        )
        for way, label in WAYS.items()
    )
    columns = (
        Column(name="way", label="Way of choosing"),
        Column(name="top_tenth", label="Share of the tenth with most"),
        Column(name="gini", label="Gini index"),
        Column(name="new", label=f"Share of therapists with fewer than {FEWEST_CASES} cases", digits=3),
        Column(name="over_lot", label="That over the share by lot"),
    )
    note = "The Gini index is 0 if all get the same and nears 1 if one gets everything."
    return [
        _picture({way: top for way, (_, top) in spread.items()}),
        Table(id="therapist_exposure", title="How first places would be spread", columns=columns, rows=rows, note=note),
    ]


def _picture(top: Mapping[str, float]) -> Chart:
    labels, shares = list(WAYS.values()), np.array([100 * top[way] for way in WAYS])
    columns = (Column(name="way", label="Way of choosing"), Column(name="share", label="Share", unit="%", digits=0))
    return chart(
        name="therapist_first_places",
        title=f"A tenth of the therapists would get {top['first']:.0%} of the first places; by lot {top['lot']:.0%}",
        alt="Share of the tenth of therapists with most, by way of choosing: "
        + ", ".join(f"{label} {share:.0f} %" for label, share in zip(labels, shares, strict=True)),
        canvas=bars(labels, shares, "share of the tenth of therapists with most (%)"),
        columns=columns,
        rows=list(zip(labels, [round(float(share), 1) for share in shares], strict=True)),
    )


def exposures(known: Known, found: Shown | None) -> list[Exposure | None]:
    """By therapist; None for who was available to fewer than 10 clients."""
    if found is None:
        return [None] * len(known.ids)
    offered = found.times_offered.tolist()
    seen, first, five = (
        found.exposure(way).round().astype(np.int64).tolist() for way in ("seen", "first", "first_five")
    )
    return [
        Exposure(offered=count, first=first[i], first_five=five[i], seen=None if known.opted_out[i] else seen[i])
        if count >= FEWEST_IN_CELL
        else None
        for i, count in enumerate(offered)
    ]
