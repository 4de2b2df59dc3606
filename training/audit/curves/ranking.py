"""What each feature that ranks adds to the fit over its range: exact for the coefficients, with posterior intervals.

The fit is linear in standardised columns, so that what a feature adds from one value to another is a difference of
columns times coefficients, with the variance that their posterior covariance gives it. Where small trees over the
columns were kept as well, their partial dependence (Friedman 2001) is added, and has no interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training.audit.curves.shapes import most
from training.audit.examined import Examined
from training.audit.importances import UTILITY
from training.bundle import Bundle
from training.evaluate import Figure
from training.head import Head
from training.ranking import combined_sd
from training.scoring import Scored, unit_at
from training.shares import Z95

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PARTS = ("therapist", "pair")
FEW_VALUES = 6
SAMPLED = 200
"""Pairs over which the dependence of the small trees is averaged."""
SEVERITIES = (0.1, 0.5, 0.9)
"""Quantiles of the client's number at which a product is shown: low, middle, high."""


@dataclass(frozen=True)
class Product:
    """A pair feature that is a number of the client's times one of the therapist's, each from its own middle."""

    name: str
    client: str
    therapist: str
    client_middle: float
    therapist_middle: float
    words: str


PRODUCTS = (
    Product("severity_x_skill", "severity", "interpersonal_skill", 0.5, 0.0, "severity"),
    Product("severity_x_years", "severity", "years_practising", 0.5, 0.0, "severity"),
    Product("expectancy_x_directiveness", "expectancy", "directiveness", 0.5, 0.5, "expectancy"),
    Product("support_x_expressiveness", "social_support", "expressiveness", 0.5, 0.5, "social support"),
    Product("motivation_x_homework", "motivation", "homework", 0.5, 0.5, "motivation"),
)
"""As `features.match` builds them; a test holds the two together."""


@dataclass(frozen=True)
class Lines:
    """What a feature adds at the values `x` (m,): for the utility and each head a figure a value, in its SDs."""

    x: Floats
    by_head: Mapping[str, Sequence[Figure]]
    change: Mapping[str, Figure]
    """From the first value to the last."""


class Ranking:
    """The served bundle's fit, and the pairs that were available, read as it reads them."""

    def __init__(self, looked_at: Examined):
        self.bundle, self._asked, self._pairs = looked_at.bundle, looked_at.asked, looked_at.pairs
        self._clients = looked_at.offered

    @cached_property
    def blocks(self) -> dict[str, Floats]:
        """Columns of the pairs as they are, by part, in the order of the bundle's own features."""
        return {part: columns_for(self.bundle, self._asked, self._pairs, part) for part in (*PARTS, "client")}

    @cached_property
    def heads(self) -> dict[str, Head]:
        """Heads with columns that rank, those that count first."""
        found = {name: head for name, head in self.bundle.heads.items() if head.info.parts.columns}
        return dict(sorted(found.items(), key=lambda one: -one[1].info.weight))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that rank."""
        return self.bundle.design.names[self.bundle.design.ranking]

    @cached_property
    def columns(self) -> Floats:
        """The pairs' standardised columns that rank, (pairs, r)."""
        return self.bundle.design.ranking_part(self.blocks)

    @cached_property
    def units(self) -> dict[str, float]:
        """SDs of each head for 1 on its link scale; for a chance at the average client's."""
        found = {}
        for name, head in self.heads.items():
            link = head.prognosis(head.client_part(self.bundle.design, self.blocks["client"][:: self._thin]))
            found[name] = float(unit_at(head, link).mean()) / head.info.sd
        return found

    @cached_property
    def _thin(self) -> int:
        return max(1, len(self.columns) // 2000)

    @cached_property
    def coefficients(self) -> dict[str, tuple[Floats, Floats]]:
        """By head b (r,) of the columns that rank and its covariance (r, r), in SDs of the head."""
        found = {}
        for name, head in self.heads.items():
            ranks, unit = slice(len(head.solution.b) - len(self.names), None), self.units[name]
            found[name] = head.solution.b[ranks] * unit, head.solution.b_cov[ranks, ranks] * unit**2
        return found

    @cached_property
    def by_therapist(self) -> tuple[Ints, Floats]:
        """Which therapist each pair has, and the mean of every therapist's columns, (therapists, r)."""
        codes = np.unique(self._pairs.therapist_id.astype(str), return_inverse=True)[1].astype(np.int64)
        count = np.bincount(codes)
        return codes, np.column_stack([np.bincount(codes, column) / count for column in self.columns.T])

    def spread(self) -> dict[str, float]:
        """By how much each feature moves the utility among the therapists of one client: SD, the largest first."""
        of = self.bundle.features.feature_of
        b = self.utility_of({name: b for name, (b, _) in self.coefficients.items()})
        moved: dict[str, Floats] = {}
        for i, column in enumerate(self.names):
            moved[of[column]] = moved.get(of[column], 0.0) + self.columns[:, i] * b[i]
        centred = {name: one - self._clients.means(one)[self._clients.position] for name, one in moved.items()}
        found = {name: float(np.sqrt((one**2).mean())) for name, one in centred.items()}
        return dict(sorted(found.items(), key=lambda one: -one[1]))

    def utility_of(self, by_head: Mapping[str, Floats]) -> Floats:
        """Weighted sum over the heads that count of what is in their SDs."""
        heads = self.bundle.counting
        share = heads.share * heads.sd
        parts = [w * by_head[n] for w, n in zip(share, heads.names, strict=True) if n in by_head]
        total: Floats = np.sum(parts, axis=0) if parts else np.zeros_like(next(iter(by_head.values())))
        return total

    def adds(self, gap: Floats, trees: Mapping[str, Floats] | None = None) -> dict[str, list[Figure]]:
        """What a difference of columns, (m, r), adds to the utility and to each head, with 95 % intervals.

        `trees` (m,) by head is what the small trees add to it.
        """
        values = {name: gap @ b + (trees[name] if trees else 0.0) for name, (b, _) in self.coefficients.items()}
        sds = {name: _sd(gap, covariance) for name, (_, covariance) in self.coefficients.items()}
        return {
            UTILITY: _figures(self.utility_of(values), self._utility_sd(sds)),
            **{name: _figures(values[name], sds[name]) for name in values},
        }

    def _utility_sd(self, sds: Mapping[str, Floats]) -> Floats:
        heads = self.bundle.counting
        none = np.zeros_like(next(iter(sds.values())))
        raw = np.array([sds.get(name, none) * sd for name, sd in zip(heads.names, heads.sd, strict=True)])
        return combined_sd(raw, heads)

    def raw(self, column: str) -> Floats:
        """The values that a column has in the pairs."""
        part = next(part for part in (*PARTS, "client") if column in self.bundle.features.columns_of(part))
        found: Floats = self.blocks[part][:, self.bundle.features.columns_of(part).index(column)]
        return found

    def has(self, column: str) -> bool:
        """Whether it is a column that ranks, or one of the client's."""
        return column in self.names or column in self.bundle.features.columns_of("client")

    def standardised(self, column: str, values: Floats) -> Floats:
        """The column's values as the fit reads them."""
        scaler = (
            self.bundle.design.therapist if column in self.bundle.design.therapist.names else self.bundle.design.pair
        )
        at = scaler.names.index(column)
        width = int(scaler.keep.max()) + 1
        block = np.full((len(values), width), np.nan)
        block[:, scaler.keep[at]] = values
        found: Floats = scaler(block)[:, at]
        return found

    def moved(self, column: str, x: Floats) -> Floats:
        """Columns (m, r) where one takes the values x and all others stay."""
        gap = np.zeros((len(x), len(self.names)))
        gap[:, self.names.index(column)] = self.standardised(column, x)
        return gap

    def trees(self, values: Floats, touched: Ints) -> dict[str, Floats] | None:
        """What the small trees add where the columns `touched` take values (m, r): averaged over pairs, in SDs."""
        if not any(head.remainder.text for head in self.heads.values()):
            return None
        rows = self.columns[:: max(1, len(self.columns) // SAMPLED)]
        found = {name: np.empty(len(values)) for name in self.heads}
        for i, one in enumerate(values):
            there = rows.copy()
            there[:, touched] = one[touched]
            for name, head in self.heads.items():
                found[name][i] = head.remainder(there).mean() * self.units[name]
        return found


def columns_for(bundle: Bundle, asked: Bundle, seen: Scored, part: str) -> Floats:
    """Rows that one bundle built, with the columns of another; NaN where the first has no such column."""
    there = {name: i for i, name in enumerate(asked.features.columns_of(part))}
    wanted = bundle.features.columns_of(part)
    block = seen.blocks[part]
    if tuple(there) == wanted:
        return block
    columns = [block[:, there[name]] if name in there else np.full(len(block), np.nan) for name in wanted]
    return np.column_stack([np.zeros((len(block), 0)), *columns])


def values_of(known: Floats) -> Floats:
    """The values at which a feature is shown: all where there are few, else points over the middle 95 %."""
    few = np.unique(known)
    return few if len(few) <= FEW_VALUES else most(known)


def lines(ranking: Ranking, column: str) -> Lines | None:
    """What a number adds from its average on; None where it is unknown everywhere or never varies."""
    raw = ranking.raw(column)
    known = raw[~np.isnan(raw)]
    if not len(known) or np.ptp(known) < 1e-12:
        return None
    x = values_of(known)
    if np.ptp(x) < 1e-12:
        x = np.unique(known)[[0, -1]]
    return _lines(ranking, x, ranking.moved(column, x), ranking.moved(column, np.array([known.mean()])))


def product_lines(ranking: Ranking, product: Product) -> dict[float, Lines]:
    """What a therapist's number adds for clients at a low, a middle and a high value of the client's; by that value."""
    theirs, mine = ranking.raw(product.therapist), ranking.raw(product.client)
    theirs, mine = theirs[~np.isnan(theirs)], mine[~np.isnan(mine)]
    if not len(mine) or not len(theirs) or np.ptp(theirs) < 1e-12:
        return {}
    x, middle, found = values_of(theirs), np.array([theirs.mean()]), {}
    for client in np.unique(np.quantile(mine, SEVERITIES)).tolist():
        found[client] = _lines(ranking, x, *(_with_product(ranking, product, at, client) for at in (x, middle)))
    return found


def _with_product(ranking: Ranking, product: Product, x: Floats, client: float) -> Floats:
    gap = ranking.moved(product.therapist, x)
    values = (client - product.client_middle) * (x - product.therapist_middle)
    return gap + ranking.moved(product.name, values)


def _lines(ranking: Ranking, x: Floats, at: Floats, middle: Floats) -> Lines:
    touched = np.flatnonzero(np.ptp(np.concatenate([at, middle]), axis=0) > 0)
    trees, there = ranking.trees(at, touched), ranking.trees(middle, touched)
    beside = trees and there and {name: trees[name] - there[name] for name in trees}
    last = trees and {name: trees[name][-1:] - trees[name][:1] for name in trees}
    change = ranking.adds(at[-1:] - at[:1], last)
    return Lines(x, ranking.adds(at - middle, beside), {name: one[0] for name, one in change.items()})


def word_lines(ranking: Ranking, feature: str) -> dict[str, dict[str, Figure]]:
    """What each word of a feature adds: of one code beside the average, of several words having it beside not."""
    columns = [c for c in ranking.names if ranking.bundle.features.feature_of[c] == feature]
    raw = np.column_stack([ranking.raw(column) for column in columns])
    together = bool(np.nanmax(np.nansum(raw, axis=1), initial=0.0) > 1)
    usual = np.nansum(raw, axis=0) / np.maximum((~np.isnan(raw)).sum(axis=0), 1)
    found = {}
    for word in columns:
        to = np.where([c == word for c in columns], 1.0, usual if together else 0.0)
        of = np.where([c == word for c in columns], 0.0, usual) if together else usual
        gap = sum(
            ranking.moved(c, np.array([a])) - ranking.moved(c, np.array([b]))
            for c, a, b in zip(columns, to, of, strict=True)
        )
        found[word.removeprefix(f"{feature}.")] = {n: one[0] for n, one in ranking.adds(np.asarray(gap)).items()}
    return found


def _sd(gap: Floats, covariance: Floats) -> Floats:
    sd: Floats = np.sqrt(np.maximum(np.einsum("mr,rs,ms->m", gap, covariance, gap, optimize=True), 0.0))
    return sd


def _figures(value: Floats, sd: Floats) -> list[Figure]:
    return [Figure(float(v), float(v - Z95 * s), float(v + Z95 * s)) for v, s in zip(value, sd, strict=True)]
