"""How far own results can be trusted: what they tell by number of cases, beside theory and beside two random halves."""

import numpy as np
import numpy.typing as npt

from training.audit.document import Cell, Column, Estimate, Table
from training.audit.therapists.effects import reliability, reliability_in_theory
from training.audit.therapists.known import Known
from training.audit.therapists.words import head_label
from training.bands import FEWEST_IN_CELL
from training.evaluate import LEVEL, Figure
from training.scoring import score

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BANDS = ((1, 14), (15, 29), (30, 59), (60, 99), (100, None))
MOST_ROWS = 15_000
"""Of more episodes those of some therapists, drawn at random, are split into halves."""
FEWEST_HALVES = 20
"""Fewer therapists say nothing about how halves agree."""


def table(known: Known) -> Table:
    """A row for each head and number of known results."""
    halves = _halves(known)
    rows = [
        row
        for head in known.heads
        for low, high in BANDS
        if (row := _row(known, head, low, high, halves.get(head))) is not None
    ]
    columns = (
        Column(name="head", label="Of what"),
        Column(name="cases", label="Cases with a known result"),
        Column(name="therapists", label="Therapists", digits=0),
        Column(name="reliability", label="Reliability in this model"),
        Column(name="theory", label="In theory"),
        Column(name="halves", label="From two halves of their cases"),
    )
    return Table(
        id="therapist_reliability",
        title="What a number of cases tells of one therapist",
        columns=columns,
        rows=tuple(rows),
        note=(
            "0: own results tell nothing beyond the profile; 1: they tell everything. Theory: n / (n + noise / "
            "variance between therapists). Halves: how the means of two random halves of each therapist's cases "
            "agree, stepped up to all cases (Spearman and Brown), with 95 % interval; not shown for fewer than "
            f"{FEWEST_HALVES} therapists. Not shown at all where fewer than {FEWEST_IN_CELL} therapists have as many."
        ),
    )


def _row(known: Known, head: str, low: int, high: int | None, halves: "Halves | None") -> tuple[Cell, ...] | None:
    bundle, counts = known.looked_at.bundle, known.result_counts[head]
    inside = (counts >= low) & (counts <= (high or np.inf)) & np.array([one in bundle.place for one in known.ids])
    if inside.sum() < FEWEST_IN_CELL:
        return None
    place = [bundle.place[known.ids[i]] for i in np.flatnonzero(inside)]
    own = reliability(bundle, head, known.usual)[place]
    theory = reliability_in_theory(bundle, head, known.usual, counts[inside].astype(np.float64))
    agreed = None if halves is None else halves.agree(inside, known.looked_at.config.seed)
    return (
        head_label(head),
        f"{low} to {high}" if high else f"{low} and more",
        int(inside.sum()),
        round(float(own.mean()), 3),
        round(float(theory.mean()), 3),
        None if agreed is None else Estimate(value=agreed.value, low=agreed.low, high=agreed.high),
    )


class Halves:
    """Mean of what is left over, of each therapist, in two random halves of their cases; NaN for who was not drawn."""

    def __init__(self, therapist: Ints, rest: Floats, size: int, seed: int):
        luck = np.random.default_rng(seed).random(len(rest))
        order = np.lexsort((luck, therapist))
        begins = np.concatenate([[0], np.cumsum(np.bincount(therapist, minlength=size))[:-1]])
        half = (np.arange(len(order)) - begins[therapist[order]]) % 2
        self.means = np.array([_means(therapist[order][half == k], rest[order][half == k], size) for k in (0, 1)])

    def agree(self, inside: npt.NDArray[np.bool_], seed: int, draws: int = 200) -> Figure | None:
        """How the halves of these therapists correlate, stepped up to whole caseloads, with therapists resampled."""
        pair = self.means[:, inside & ~np.isnan(self.means).any(axis=0)]
        count = pair.shape[1]
        if count < FEWEST_HALVES:
            return None
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
        found = [_stepped_up(pair, weight) for weight in drawn]
        edge = (1 - LEVEL) / 2
        low, high = np.quantile(found, [edge, 1 - edge])
        return Figure(round(_stepped_up(pair, np.ones(count)), 3), round(float(low), 3), round(float(high), 3))


def _means(therapist: Ints, rest: Floats, size: int) -> Floats:
    count = np.bincount(therapist, minlength=size)
    total = np.bincount(therapist, rest, minlength=size)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _stepped_up(pair: Floats, weight: npt.NDArray[np.number]) -> float:
    """Spearman-Brown: 2 r / (1 + r); halves may as well change places, so r is about their common mean."""
    mean = np.average(pair.mean(axis=0), weights=weight)
    away = pair - mean
    both, each = weight @ (away[0] * away[1]), weight @ (away**2).mean(axis=0)
    r = float(both / each) if each > 0 else 0.0
    return 2 * r / (1 + r) if r > -1 else -1.0


def _halves(known: Known) -> dict[str, Halves]:
    """By head, from the episodes of as many therapists as `MOST_ROWS` allow."""
    looked_at, therapist = known.looked_at, known.cases.therapist
    luck = np.random.default_rng(looked_at.config.seed).permutation(len(known.ids))
    counts = np.bincount(therapist, minlength=len(known.ids))
    drawn = luck[np.cumsum(counts[luck]) <= max(MOST_ROWS, int(counts[luck[0]]))]
    rows = np.flatnonzero(np.isin(therapist, drawn))
    bundle = looked_at.bundle
    seen = score(looked_at.history, looked_at.episodes.iloc[rows].reset_index(drop=True), bundle)
    found = {}
    for name in known.heads:
        head, y = bundle.heads[name], known.values[name][rows]
        rest = y - seen.expected(head, {})
        told = ~np.isnan(rest)
        found[name] = Halves(therapist[rows][told], rest[told], len(known.ids), looked_at.config.seed)
    return found
