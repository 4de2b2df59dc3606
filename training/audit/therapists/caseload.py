"""Caseloads: whether severe clients, or those at risk, gather with some therapists, as assigned and as ranked."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training.audit.document import Cell, Column, Finding, Table
from training.audit.reports import FEWEST_CASES, Caseload
from training.audit.therapists.effects import effects, usual_client
from training.audit.therapists.exposure import Shown
from training.audit.therapists.known import Known
from training.bands import FEWEST_IN_CELL
from training.evaluate import Figure, Resamples

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MUCH = 0.05
"""From this share of the differences on, clients of a kind clearly gather with some therapists."""
BANDS = (
    f"fewer than {FEWEST_CASES} cases",
    "lower third of what is expected",
    "middle third",
    "upper third",
)
"""Of therapists, by what the tested model expects of them for a usual client."""


@dataclass(frozen=True)
class Gathered:
    """Share of the differences between clients that lies between therapists, as assigned and with the first choice."""

    seen: Figure
    first: Figure


@dataclass(frozen=True)
class Caseloads:
    """Clients of the test block with a choice: the therapist seen, the one ranked first, and what is known of them."""

    shown: Shown

    @cached_property
    def _rows(self) -> Ints:
        return np.flatnonzero(self.shown.known.cases.tested)[self.shown.known.looked_at.offered.rows]

    @cached_property
    def severity(self) -> Floats:
        """By client, in SD."""
        return self.shown.known.cases.severity[self._rows]

    @cached_property
    def risk(self) -> Floats:
        """By client 1, 0 or NaN."""
        return self.shown.known.cases.risk[self._rows]

    @cached_property
    def therapist(self) -> dict[str, Ints]:
        """By client, whom they saw and who would stand first; as they saw where the ranking tells no difference."""
        seen = self.shown.therapist[self.shown.known.looked_at.offered.assigned]
        return {"seen": seen, "first": np.where(self.shown.tells, self.shown.first, seen)}

    def gathered(self, values: Floats) -> Gathered | None:
        """How far clients gather by these values; None where too few are known."""
        known = ~np.isnan(values)
        if known.sum() < FEWEST_IN_CELL or np.ptp(values[known]) == 0:
            return None
        found = {way: self._between(values[known], at[known]) for way, at in self.therapist.items()}
        return Gathered(found["seen"], found["first"])

    def _between(self, values: Floats, therapist: Ints) -> Figure:
        config = self.shown.known.looked_at.config
        return between(values, therapist, config.bootstraps, config.seed)

    @cached_property
    def band(self) -> Ints:
        """Position in `BANDS` of every therapist."""
        known = self.shown.known
        expected, enough = _utility_before(known), known.seen_before >= FEWEST_CASES
        if not enough.any():
            return np.zeros(len(expected), dtype=np.int64)
        third = np.searchsorted(np.quantile(expected[enough], [1 / 3, 2 / 3]), expected, side="right")
        return np.where(enough, 1 + third, 0).astype(np.int64)


def between(values: Floats, therapist: Ints, count: int, seed: int) -> Figure:
    """Intraclass correlation by analysis of variance, with therapists resampled (Fleiss 1986, chapter 1)."""
    resamples = Resamples.of(therapist, count, seed)
    codes = resamples.therapist
    n = np.bincount(codes).astype(np.float64)
    total = np.bincount(codes, values)
    pieces = np.column_stack([np.ones(len(n)), n, total, np.bincount(codes, values**2), total**2 / n, n**2])
    return resamples.figure(float(_icc(pieces.sum(axis=0)[None])[0]), _icc(resamples.counts @ pieces))


def _icc(sums: Floats) -> Floats:
    groups, n, total, squares, means, n_squares = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        among = (means - total**2 / n) / (groups - 1)
        within = (squares - means) / (n - groups)
        usual = (n - n_squares / n) / (groups - 1)
        found: Floats = (among - within) / (among + (usual - 1) * within)
    return np.where(np.isfinite(found), found, 0.0)


def _utility_before(known: Known) -> Floats:
    """What the tested bundle expects of each therapist, over the heads that rank, in SD."""
    bundle = known.looked_at.asked
    prepared = bundle.therapists(known.ids, {str(n): known.profiles[n] for n in known.profiles}, bundle.manifest.as_of)
    client, heads = usual_client(bundle), bundle.counting
    told = [effects(bundle, name, prepared, client).value for name in heads.names]
    expected: Floats = heads.share @ np.array(told)
    return expected


def words(found: Caseloads) -> Iterator[str]:
    """Whether clients gather with some therapists."""
    for values, kind in ((found.severity, "severity at intake"), (found.risk, "reported thoughts of self-harm")):
        gathered = found.gathered(values)
        if gathered is None:
            yield f"Whether clients gather with some therapists by {kind} cannot be said: too few were asked."
            continue
        yield (
            f"Of the differences between clients in {kind}, {_share(gathered.seen)} lie between therapists as clients "
            f"were assigned, and {_share(gathered.first)} would with the ranking's first choice: {gathering(gathered)}."
        )


def _share(one: Figure) -> str:
    return (
        f"{100 * max(one.value, 0):.1f} % (95 % interval {100 * max(one.low, 0):.1f} to {100 * max(one.high, 0):.1f})"
    )


def gathering(one: Gathered) -> str:
    """Whether such clients gather, and whether the ranking adds to it, as far as the intervals tell."""
    if _more(one):
        return "the ranking would bring such clients together with some therapists"
    if one.seen.value >= MUCH and one.seen.low > 0:
        return "such clients gather with some therapists already, and the ranking does not clearly add to it"
    if max(one.first.high, one.seen.high) >= MUCH:
        return "whether such clients gather, or the ranking would bring them together, cannot be told from so few"
    return "such clients hardly gather with some therapists, and the ranking would not change that"


def _more(one: Gathered) -> bool:
    return one.first.value >= MUCH and one.first.low > one.seen.value


def findings(found: Caseloads) -> list[Finding]:
    """Where the ranking would bring clients together."""
    kinds = ((found.severity, "Severe clients"), (found.risk, "Clients who reported thoughts of self-harm"))
    gathered = [(one, kind) for values, kind in kinds if (one := found.gathered(values)) is not None]
    return [
        Finding(
            level="look",
            words=f"{kind} would gather with some therapists if the first choice were always taken: see caseloads.",
            page="section/therapists",
        )
        for one, kind in gathered
        if _more(one)
    ]


def table(found: Caseloads) -> Table:
    """Severity and risk by band of therapists, as assigned and with the ranking's first choice."""
    rows = []
    for place, label in enumerate(BANDS):
        mine: list[Cell] = [label, int((found.band == place).sum())]
        for way in ("seen", "first"):
            there = found.band[found.therapist[way]] == place
            mine += [*mix_of(found.severity[there], found.risk[there])]
        rows.append(tuple(mine))
    heads = [
        (f"{way}_{name}", f"{label}: {text}")
        for way, label in (("seen", "As assigned"), ("first", "First choice"))
        for name, text in (("clients", "clients"), ("severity", "mean severity"), ("risk", "reported self-harm"))
    ]
    columns = (
        Column(name="band", label="Therapists"),
        Column(name="therapists", label="How many", digits=0),
        *(Column(name=name, label=text, digits=0 if name.endswith("clients") else 2) for name, text in heads),
    )
    note = (
        "Severity is in SD from the mean of all clients, self-harm the share of those asked. Not shown where fewer "
        f"than {FEWEST_IN_CELL} are behind a figure. Bands are of what the model expects for a usual client."
    )
    return Table(
        id="therapist_caseloads",
        title="Severity and risk by band of therapists",
        columns=columns,
        rows=tuple(rows),
        note=note,
    )


def mix_of(severity: Floats, risk: Floats) -> tuple[int | None, float | None, float | None]:
    """How many clients, their mean severity, and the share who reported thoughts of self-harm; None below 10."""
    if len(severity) < FEWEST_IN_CELL:
        return None, None, None
    known, asked = severity[~np.isnan(severity)], risk[~np.isnan(risk)]
    mean = round(float(known.mean()), 3) if len(known) >= FEWEST_IN_CELL else None
    few = min(asked.sum(), len(asked) - asked.sum()) < FEWEST_IN_CELL
    return len(severity), mean, None if few else round(float(asked.mean()), 3)


def mixes(known: Known) -> list[Caseload | None]:
    """By therapist, who their clients were; None for fewer than 10, and for whoever opted out of learning."""
    cases, count = known.cases, len(known.ids)
    every = np.bincount(cases.therapist, minlength=count)
    severity, graded = _sums(cases.therapist, cases.severity, count)
    reported, asked = _sums(cases.therapist, cases.risk, count)
    shown = (every >= FEWEST_IN_CELL) & ~known.opted_out
    told = np.minimum(reported, asked - reported) >= FEWEST_IN_CELL
    return [
        Caseload(
            clients=int(every[i]),
            severity=round(float(severity[i] / graded[i]), 2) if graded[i] >= FEWEST_IN_CELL else None,
            risk_share=round(float(reported[i] / asked[i]), 2) if told[i] else None,
        )
        if shown[i]
        else None
        for i in range(count)
    ]


def _sums(therapist: Ints, values: Floats, count: int) -> tuple[Floats, Floats]:
    """Sum of the known values of each therapist, and how many they are."""
    known = ~np.isnan(values)
    total = np.bincount(therapist[known], values[known], minlength=count).astype(np.float64)
    return total, np.bincount(therapist[known], minlength=count).astype(np.float64)
