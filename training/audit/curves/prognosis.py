"""How the prognosis goes along what is known of the client, and whether results of people not seen go along with it.

Accumulated local effects (Apley and Zhu 2020, "Visualizing the effects of predictor variables in black box supervised
learning models", J. R. Stat. Soc. B 82) ask the trees only about clients near to those there are. Trees have no
posterior; the interval is that with which results of the test block, all else as the model has it, follow the curve.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training.audit.curves.ranking import FEW_VALUES, columns_for
from training.audit.curves.shapes import RESAMPLES, tenths
from training.audit.examined import Examined
from training.audit.importance.prognosis import contributions
from training.bands import FEWEST_IN_CELL
from training.bundle import Bundle
from training.evaluate import Figure, Resamples, slope
from training.head import Head
from training.ranking import WORTH
from training.scoring import on_scale, unit_at

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_CLIENTS = 1000
PIECES = 16
CELLS = 8
PERCENT = 100.0


@dataclass(frozen=True)
class Course:
    """One head's expected result along a feature, as differences from its average, in the head's own unit."""

    value: Floats
    """(m,) at the values or words of the feature."""
    place: Ints
    """Cells of people: position in `value` of words, -1 for numbers."""
    x: Floats
    """Where each cell of people lies on the feature's scale; NaN for words."""
    n: Ints
    seen: tuple[Figure, ...]
    """Mean result of each cell, all else taken off as the model has it."""
    change: float
    """What the model expects from end to end, or between the words furthest apart."""
    borne_out: Figure | None
    """What results show of it, as a straight line; None where too few are known, or words differ too little."""


@dataclass(frozen=True)
class Along:
    """A feature of the client: its values (numbers) or words, and the course of each head."""

    x: Floats | tuple[str, ...]
    courses: Mapping[str, Course]
    counts: tuple[int, ...]
    """Clients with each word; empty for numbers."""


class Prognoses:
    """What the served bundle expects of the clients of the test block, and how they did."""

    def __init__(self, looked_at: Examined):
        self._at, self.bundle = looked_at, looked_at.bundle
        self.who = "people not seen" if looked_at.tested else "people it learned from"
        self.heads = {n: h for n, h in self.bundle.heads.items() if h.info.weight > 0} or dict(self.bundle.heads)

    @cached_property
    def block(self) -> Floats:
        """The clients' columns, (rows, columns), in the order of the bundle's own features."""
        return columns_for(self.bundle, self._at.asked, self._at.seen, "client")

    @cached_property
    def sample(self) -> Ints:
        """Rows of clients about whom the trees are asked."""
        rng = np.random.default_rng(self._at.config.seed)
        return np.sort(rng.permutation(len(self.block))[:MOST_CLIENTS])

    @cached_property
    def resamples(self) -> Resamples:
        """Draws of whole therapists of the test block."""
        codes = np.unique(self._at.seen.therapist_id.astype(str), return_inverse=True)[1].astype(np.int64)
        return Resamples.of(codes, RESAMPLES, self._at.config.seed)

    @cached_property
    def left(self) -> dict[str, Floats]:
        """Result of each test row less what `asked` expected of it, by head; NaN where unknown."""
        asked = self._at.asked
        return {
            name: (goal.value - self._at.seen.expected(asked.heads[name], asked.place)) * unit_of(asked.heads[name])
            for name, goal in self._at.goals.items()
            if name in asked.heads
        }

    def columns(self, bundle: Bundle, feature: str) -> list[int]:
        """Positions of a feature's columns among those of the bundle's clients."""
        names = bundle.features.columns_of("client")
        return [i for i, name in enumerate(names) if bundle.features.feature_of[name] == feature]

    def spread(self) -> dict[str, float]:
        """By how much each feature moves the prognosis between clients: SD of its contributions, in the head's SDs.

        Of the head in which it moves most; features in order, the largest first.
        """
        of, names = self.bundle.features.feature_of, self.bundle.features.columns_of("client")
        rows = self.block[self.sample]
        found: dict[str, float] = {}
        for head in self.heads.values():
            given = contributions(self.bundle.design, head, rows) / head.info.sd * link_unit(self.bundle, head, rows)
            for feature in dict.fromkeys(of[name] for name in names):
                mine = given[:, self.columns(self.bundle, feature)].sum(axis=1)
                found[feature] = max(found.get(feature, 0.0), float(mine.std()))
        return dict(sorted(found.items(), key=lambda one: -one[1]))

    def along(self, feature: str) -> Along | None:
        """The feature's course; None where it is unknown or the same for everybody."""
        columns = self.columns(self.bundle, feature)
        return (
            self._words(feature, columns)
            if self.bundle.features.words[feature] is not None
            else self._number(feature, columns)
        )

    def _number(self, feature: str, columns: list[int]) -> Along | None:
        raw = self.block[:, columns[0]]
        known = raw[self.sample][~np.isnan(raw[self.sample])]
        edges = _edges(known) if len(known) else np.zeros(0)
        if len(edges) < 2:
            return None
        courses = {}
        for name, head in self.heads.items():
            value = accumulated(self.bundle, head, self.block[self.sample], columns[0], edges)
            tested = self._tested(name, feature, edges)
            courses[name] = self._course(
                name,
                edges,
                value,
                np.interp(raw, edges, value) if tested is None else np.interp(raw, edges, tested),
                raw,
            )
        return Along(edges, courses, ())

    def _tested(self, name: str, feature: str, edges: Floats) -> Floats | None:
        """The same curve of the bundle that has not seen the test block."""
        asked = self._at.asked
        columns = self.columns(asked, feature)
        if asked is self.bundle or name not in asked.heads or not columns:
            return None
        rows = self._at.seen.blocks["client"][self.sample]
        return accumulated(asked, asked.heads[name], rows, columns[0], edges)

    def _course(self, name: str, edges: Floats, value: Floats, own: Floats, raw: Floats) -> Course:
        """With the results of all rows; `own` (rows,) is what the model that was tested adds for each, NaN unknown."""
        change, reach = float(value[-1] - value[0]), float(edges[-1] - edges[0])
        left = self.left.get(name)
        known = np.zeros(len(raw), bool) if left is None else ~np.isnan(left) & ~np.isnan(raw)
        if left is None or known.sum() < 2 * FEWEST_IN_CELL:
            return Course(value, np.zeros(0, int), np.zeros(0), np.zeros(0, int), (), change, None)
        cell = np.full(len(raw), -1)
        cell[known] = tenths(raw[known], CELLS)
        cells = [one for one in np.unique(cell[known]) if (cell == one).sum() >= FEWEST_IN_CELL]
        member = cell[:, None] == np.array(cells)
        response = np.where(known, np.nan_to_num(left) + own, 0.0)
        seen = self.resamples.means(np.repeat(response[:, None], len(cells), axis=1), member.astype(np.float64))
        x = np.array([raw[cell == one].mean() for one in cells])
        place = np.full(len(cells), -1)
        return Course(
            value, place, x, member.sum(axis=0), tuple(seen), change, self._borne(response, raw, known, reach)
        )

    def _borne(self, response: Floats, x: Floats, known: npt.NDArray[np.bool_], reach: float) -> Figure | None:
        """How far results went: their straight line on x (rows,), over so much of it."""
        if np.ptp(x[known]) < 1e-9:
            return None
        flat = np.zeros(len(x))
        found, _ = slope(response, np.where(known, x, 0.0), flat, known.astype(np.float64), self.resamples)
        low, high = sorted((found.low * reach, found.high * reach))
        return Figure(found.value * reach, low, high)

    def _words(self, feature: str, columns: list[int]) -> Along | None:
        raw = self.block[:, columns]
        counts = np.nansum(raw, axis=0).astype(int)
        kept = [i for i, count in enumerate(counts) if count >= FEWEST_IN_CELL]
        if len(kept) < 2:
            return None
        prefix = len(feature) + 1
        names = [self.bundle.features.columns_of("client")[columns[i]][prefix:] for i in kept]
        several = bool(np.nansum(raw, axis=1).max() > 1)
        courses = {name: self._of_words(name, head, columns, kept, several) for name, head in self.heads.items()}
        return Along(tuple(names), courses, tuple(int(counts[i]) for i in kept))

    def _of_words(self, name: str, head: Head, columns: list[int], kept: list[int], several: bool) -> Course:
        value = by_word(self.bundle, head, self.block[self.sample], columns, several)[kept]
        member = self.block[:, columns][:, kept] == 1
        left, order = self.left.get(name), np.argsort(value)
        change = float(value[order[-1]] - value[order[0]])
        known = np.zeros(len(member), bool) if left is None else ~np.isnan(left) & member.any(axis=1)
        many = (member & known[:, None]).sum(axis=0)
        if left is None or known.sum() < 2 * FEWEST_IN_CELL:
            return Course(value, np.zeros(0, int), np.zeros(0), np.zeros(0, int), (), change, None)
        own = (member * value).sum(axis=1)
        response = np.where(known, np.nan_to_num(left) + own, 0.0)
        place = np.flatnonzero(many >= FEWEST_IN_CELL)
        weight = (member & known[:, None])[:, place].astype(np.float64)
        seen = self.resamples.means(np.repeat(response[:, None], len(place), axis=1), weight)
        borne = (
            self._borne(response, own, known, change) if abs(change) > WORTH * head.info.sd * unit_of(head) else None
        )
        return Course(value, place, np.full(len(place), np.nan), many[place], tuple(seen), change, borne)


def unit_of(head: Head) -> float:
    """A head's own unit: chances in percent, all else as it is."""
    return PERCENT if head.info.kind == "binary" else 1.0


def link_unit(bundle: Bundle, head: Head, rows: Floats) -> float:
    """1, or for chances the chance gained per unit of the logit, at the average of these clients."""
    return float(unit_at(head, head.prognosis(head.client_part(bundle.design, rows))).mean())


def expected(bundle: Bundle, head: Head, rows: Floats) -> Floats:
    """What a head expects of clients (rows, columns) whoever the therapist is, in its own unit."""
    return unit_of(head) * on_scale(head, head.prognosis(head.client_part(bundle.design, rows)))


def accumulated(bundle: Bundle, head: Head, rows: Floats, column: int, edges: Floats) -> Floats:
    """Accumulated local effects at the edges, (m,), mean 0 over the clients whose value is known."""
    rows = rows[~np.isnan(rows[:, column])]
    piece = np.clip(np.searchsorted(edges, rows[:, column], side="left") - 1, 0, len(edges) - 2)
    gain = _with(bundle, head, rows, column, edges[piece + 1]) - _with(bundle, head, rows, column, edges[piece])
    count = np.bincount(piece, minlength=len(edges) - 1)
    steps = np.bincount(piece, gain, len(edges) - 1) / np.maximum(count, 1)
    value = np.concatenate([[0.0], np.cumsum(steps)])
    centred: Floats = value - np.interp(rows[:, column], edges, value).mean()
    return centred


def by_word(bundle: Bundle, head: Head, rows: Floats, columns: list[int], several: bool) -> Floats:
    """What the prognosis would be were each word everybody's, (words,), less its average over who has which.

    Where a client may have several words: with the word less without it.
    """
    found = np.empty(len(columns))
    for i, column in enumerate(columns):
        there, away = rows.copy(), rows.copy()
        there[:, column if several else columns] = 0.0
        there[:, column], away[:, column] = 1.0, 0.0
        found[i] = expected(bundle, head, there).mean() - (expected(bundle, head, away).mean() if several else 0.0)
    share = np.nan_to_num(np.nansum(rows[:, columns], axis=0))
    centred: Floats = found - (0.0 if several else float(np.average(found, weights=share + 1e-9)))
    return centred


def _with(bundle: Bundle, head: Head, rows: Floats, column: int, values: Floats) -> Floats:
    there = rows.copy()
    there[:, column] = values
    return expected(bundle, head, there)


def _edges(known: Floats) -> Floats:
    """Where the pieces of a curve meet: all values where there are few, else quantiles."""
    few = np.unique(known)
    return few if len(few) <= FEW_VALUES else np.unique(np.quantile(known, np.linspace(0, 1, PIECES + 1)))
