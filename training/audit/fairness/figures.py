"""Every figure by group: what was missed, what the ranking brings, whether it came true, who is first, who waits."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.audit.document import Estimate
from training.audit.examined import Examined
from training.audit.fairness.cells import Cells, Drawn
from training.audit.fairness.choice import Ranking
from training.audit.fairness.people import People
from training.audit.importances import UTILITY
from training.bands import FEWEST_IN_CELL
from training.evaluate import Resamples
from training.groups import Groups, groups_with, standard_severity
from training.tested import weighted

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FREE, FULL = "free choice", "full caseloads"
Named = tuple[str, str]


@dataclass(frozen=True)
class Measured:
    """One figure of every cell; `about` says which, for programs: `gain`, `utility`, `free choice`."""

    about: tuple[str, ...]
    names: tuple[Named, ...]
    drawn: Drawn

    @cached_property
    def place(self) -> dict[Named, int]:
        """Where each cell stands."""
        return {name: i for i, name in enumerate(self.names)}

    def of(self, name: Named) -> Estimate | None:
        """The figure of a cell; None where too few are behind it."""
        return self.drawn.estimates[self.place[name]] if name in self.place else None

    def told(self, name: Named) -> Estimate | None:
        """The same as a table shows it: None, too, where a smaller group's could be worked out from it."""
        told = self.drawn.told
        return self.of(name) if told is None or name not in self.place or told[self.place[name]] else None

    def n(self, name: Named) -> int:
        """Rows behind it."""
        return int(self.drawn.n[self.place[name]]) if name in self.place else 0


Figures = Mapping[tuple[str, ...], Measured]


@dataclass(frozen=True)
class Tables:
    """Works the figures out; `test_groups` are those of the test rows."""

    looked_at: Examined
    people: People
    ranking: Ranking | None
    """None where nobody had a choice, or no head ranks."""

    @cached_property
    def test_groups(self) -> Groups:
        """Attribute -> group of each test row, those for audits only included."""
        e = self.looked_at
        return groups_with(e.history, e.test, standard_severity(e.seen.blocks["client"], e.asked))

    def figures(self) -> dict[tuple[str, ...], Measured]:
        """All of them by what they are about."""
        found: dict[tuple[str, ...], Measured] = {}
        for part in (self._missed(), self._choices(), self._waits()):
            found |= {one.about: one for one in part}
        return found

    def _resamples(self, therapist: pd.Series) -> Resamples:
        codes = therapist.factorize(use_na_sentinel=False)[0].astype(np.int64)
        return Resamples.of(codes, self.looked_at.config.bootstraps, self.looked_at.config.seed)

    def _cells(self, groups: Groups, rows: Ints, therapist: pd.Series) -> tuple[Cells, tuple[Named, ...]]:
        cells = Cells.of(groups, rows, self._resamples(therapist.iloc[rows]))
        return cells, tuple(cells.names)

    def _missed(self) -> Iterator[Measured]:
        """Of each head, in its SD: error, observed less predicted, and the slope of observed on predicted."""
        e = self.looked_at
        for config in e.head_configs:
            goal, head = e.goals[config.name], e.asked.heads[config.name]
            rows = np.flatnonzero(goal.known)
            if not len(rows):
                continue
            said = e.seen.expected(head, e.asked.place, goal.measured(head.info.landmark))[rows] / head.info.sd
            y = goal.value[rows] / head.info.sd
            weight = e.weights[config.name][rows]
            cells, names = self._cells(self.test_groups, rows, e.test["therapist_id"])
            yield Measured(("error", config.name), names, cells.mean(np.abs(y - said), weight))
            yield Measured(("bias", config.name), names, cells.mean(y - said, weight))
            yield Measured(("slope", config.name), names, cells.slope(y, said, np.zeros(len(y)), weight))

    def _choices(self) -> Iterator[Measured]:
        """What the ranking brings to those with a choice, what came true, and who would be first."""
        if self.ranking is None:
            return
        made = self.ranking
        rows = made.offered.rows
        cells, names = self._cells(self.test_groups, rows, self.looked_at.test["therapist_id"])
        assigned = made.offered.assigned
        for name, score in {UTILITY: made.utility, **made.gains}.items():
            yield Measured(("gain", name, FREE), names, cells.mean(score[made.first]))
            yield Measured(("gain", name, FULL), names, cells.mean(score[made.shared] - score[assigned]))
            response, average = self._response(made, name)
            yield Measured(
                ("true", name), names, cells.slope(response, score[assigned], average, np.ones(len(response)))
            )
        yield Measured(("stands first",), names, _ever_first(made, cells))
        for about, values in self._first(made):
            yield Measured(about, names, cells.mean(values))

    def _first(self, made: Ranking) -> Iterator[tuple[tuple[str, ...], Floats]]:
        """Values of each client with a choice."""
        yield ("offered",), np.bincount(made.offered.position).astype(np.float64)
        yield ("abstains",), (~made.meaningful).astype(np.float64)
        yield ("quality", "first"), made.quality[made.first]
        yield ("quality", "offered"), made.offered.means(made.quality)
        for name, weight in made.other_weights.items():
            other = made.offered.first(made.weighed(weight))
            yield ("agrees", name), (other == made.first).astype(np.float64)
            yield ("given up", name), made.utility[made.first] - made.utility[other]

    def _response(self, made: Ranking, name: str) -> tuple[Floats, Floats]:
        """Result less prognosis of each client, and the mean expected of those offered, in SD."""
        left = self.looked_at.left
        if name != UTILITY:
            return left[name], made.average[name]
        average = made.weight @ np.array([made.average[head] for head in made.heads])
        return weighted(np.array([left[head] for head in made.heads]), made.weight), average

    def _waits(self) -> Iterator[Measured]:
        """Days from referral to the first session, and who never had one."""
        people = self.people
        rows = np.arange(len(people.episodes))
        if not len(rows):
            return
        cells, names = self._cells(people.groups, rows, people.episodes["therapist_id"])
        yield Measured(("wait",), names, cells.mean(people.wait))
        yield Measured(("never",), names, cells.mean(people.never))


def _ever_first(made: Ranking, cells: Cells) -> Drawn:
    """Of the therapists offered to anyone in a cell, the share who would be first for someone in it."""
    first, offered = made.therapist[made.first], made.therapist
    shares = [
        len(np.unique(first[mine])) / max(len(np.unique(offered[mine[made.offered.position]])), 1)
        for mine in cells.member.T
    ]
    value = np.where(cells.count >= FEWEST_IN_CELL, shares, np.nan)
    return Drawn(value, np.full((1, len(shares)), np.nan), cells.count, told=cells.told(cells.count))


def tables_of(e: Examined) -> Tables:
    """The tables of an examined bundle."""
    ranks = any(head.info.weight > 0 for head in e.asked.heads.values())
    chosen = ranks and len(e.choice.episode) > 0 and bool((np.bincount(e.offered.position) > 1).any())
    return Tables(e, People(e), Ranking(e) if chosen else None)
