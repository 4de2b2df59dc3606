"""Early alliance and results, and how far adherence mattered where the alliance was weak or strong.

All of it is association: what is seen during therapy follows from how therapy goes as well as the other way round.
Results are risk-adjusted: less the prognosis. Intervals come from resampling therapists with all their clients.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.errors import NotFoundError
from data.instruments import instrument
from features.episodes import clients_from_history
from training.audit.curves.shapes import RESAMPLES, Regressed, correlation, knots_of, most, regressed, spline, tenths
from training.audit.examined import Examined
from training.bands import FEWEST_IN_CELL
from training.config import HeadConfig
from training.evaluate import Figure, Resamples
from training.scoring import on_scale
from training.targets import early_alliance, target

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MOST_ROWS = 20_000
FEWEST_ROWS = 100
"""Below that nothing is said of an association."""
FEWEST_THERAPISTS = 5
LEVELS = {"weak": 0.1, "middling": 0.5, "strong": 0.9}
"""Quantiles of early alliance at which adherence is looked at."""
ENDS = (0.1, 0.9)
"""Quantiles of adherence that count as low and high; halfway between them is moderate."""


@dataclass(frozen=True)
class Rated:
    """Clients with an early rating of the alliance and a known result, one row each; results in SDs of the head."""

    head: str
    instrument: str
    alliance: Floats
    raw: Floats
    adjusted: Floats
    adherence: Floats
    """Mean over the attended sessions that were rated; NaN where none was."""
    therapist: npt.NDArray[np.int64]
    asked: int
    """Clients who started therapy and could have had a rating."""
    answered: int
    ceiling: float | None
    """Share of the ratings that are the highest there is; None where the range is unknown."""
    of: int
    """Rows before a sample was taken."""
    seed: int

    def among(self, kept: Bools) -> Resamples:
        """Resamples of the therapists of some rows."""
        codes = np.unique(self.therapist[kept], return_inverse=True)[1].astype(np.int64)
        return Resamples.of(codes, RESAMPLES, self.seed)

    @property
    def enough(self) -> bool:
        """Whether there are enough clients and therapists, and the ratings differ."""
        different = len(np.unique(self.alliance)) >= 3
        return len(self.raw) >= FEWEST_ROWS and len(np.unique(self.therapist)) >= FEWEST_THERAPISTS and different

    @property
    def with_adherence(self) -> Bools:
        """Rows whose adherence is known."""
        return ~np.isnan(self.adherence)


def result_of(looked_at: Examined) -> HeadConfig | None:
    """The head that counts as the result: outcome, else a measure, else staying; never the alliance itself."""
    found = [one for one in looked_at.config.heads if one.name in looked_at.bundle.heads and one.source != "alliance"]
    order = sorted(found, key=lambda one: (one.source != "outcome", one.kind != "gaussian", -one.weight))
    return order[0] if order else None


def rated(looked_at: Examined) -> Rated | None:
    """Everyone with both, or a sample; None where the data have no ratings, or the model no result to look at."""
    head, name = result_of(looked_at), looked_at.config.outcome.alliance_instrument
    episodes = looked_at.episodes
    values, _ = early_alliance(looked_at.snapshot.measures(), episodes, name)
    if head is None or np.isnan(values).all():
        return None
    could = _started(episodes) | ~np.isnan(values)
    rows = np.flatnonzero(~np.isnan(values))
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(looked_at.config.seed).permutation(rows)[:MOST_ROWS])
    some = episodes.iloc[rows].reset_index(drop=True)
    raw, adjusted = _results(looked_at, head, some)
    known = ~np.isnan(raw)
    return Rated(
        head=head.name,
        instrument=name,
        alliance=values[rows][known],
        raw=raw[known],
        adjusted=adjusted[known],
        adherence=_adherence(looked_at, some)[known],
        therapist=some["therapist_id"].factorize()[0].astype(np.int64)[known],
        asked=int(could.sum()),
        answered=int((~np.isnan(values)).sum()),
        ceiling=_ceiling(name, values),
        of=int((~np.isnan(values)).sum()),
        seed=looked_at.config.seed,
    )


def _started(episodes: pd.DataFrame) -> Bools:
    begun: Bools = (episodes["started_on"].notna() | (episodes["sessions_attended"].fillna(0) > 0)).to_numpy(dtype=bool)
    return begun if begun.any() else np.ones(len(episodes), dtype=bool)


def _ceiling(name: str, values: Floats) -> float | None:
    try:
        highest = instrument(name).high
    except NotFoundError:
        return None
    return float((values[~np.isnan(values)] >= highest - 1e-9).mean())


def _results(looked_at: Examined, head: HeadConfig, episodes: pd.DataFrame) -> tuple[Floats, Floats]:
    """Results as they are, and less the prognosis of the served bundle, both in the head's SDs."""
    bundle, config = looked_at.bundle, looked_at.config
    learned, sds = bundle.heads[head.name], dict(bundle.manifest.intake_sds)
    value = target(head, looked_at.snapshot, episodes, config.outcome, sds).value
    clients = clients_from_history(looked_at.history, episodes, bundle.severity_of)
    block = bundle.features.build_rows("client", clients)
    expected = on_scale(learned, learned.prognosis(learned.client_part(bundle.design, block)))
    return value / learned.info.sd, (value - expected) / learned.info.sd


def _adherence(looked_at: Examined, episodes: pd.DataFrame) -> Floats:
    """Mean adherence of the attended sessions of each episode; NaN where none was rated."""
    sessions = looked_at.snapshot.sessions()
    if "adherence" not in sessions:
        return np.full(len(episodes), np.nan)
    known = sessions[sessions["adherence"].notna() & (sessions["status"].isna() | (sessions["status"] == "attended"))]
    mean = known.groupby("episode_id")["adherence"].mean().reindex(episodes["episode_id"])
    values: Floats = mean.to_numpy(dtype=np.float64)
    return values


@dataclass(frozen=True)
class AllianceCurve:
    """Risk-adjusted result along early alliance: tenths of clients, a smooth line, and correlations."""

    x: Floats
    mean: tuple[Figure, ...]
    n: tuple[int, ...]
    smooth_x: Floats
    smooth: tuple[Figure, ...]
    r: Figure
    """Risk-adjusted."""
    raw_r: Figure


def alliance_curve(found: Rated) -> AllianceCurve:
    """Of clients with enough ratings (`Rated.enough`)."""
    every = np.ones(len(found.raw), dtype=bool)
    resamples = found.among(every)
    adjusted = found.adjusted - found.adjusted.mean()
    cell = tenths(found.alliance)
    cells = [one for one in np.unique(cell) if (cell == one).sum() >= FEWEST_IN_CELL]
    member = (cell[:, None] == np.array(cells)).astype(np.float64)
    means = resamples.means(np.repeat(adjusted[:, None], len(cells), axis=1), member)
    line, x = _smooth(found.alliance, adjusted, resamples), most(found.alliance)
    return AllianceCurve(
        x=np.array([found.alliance[cell == one].mean() for one in cells]),
        mean=tuple(means),
        n=tuple(int(one) for one in member.sum(axis=0)),
        smooth_x=x,
        smooth=tuple(line(x)),
        r=correlation(found.alliance, found.adjusted, resamples),
        raw_r=correlation(found.alliance, found.raw, resamples),
    )


def _smooth(x: Floats, y: Floats, resamples: Resamples) -> Callable[[Floats], list[Figure]]:
    """A restricted cubic spline, or a straight line where there are few different values."""
    knots = knots_of(x)
    columns = (
        (lambda at: spline(at, knots)) if len(knots) >= 3 else (lambda at: np.column_stack([np.ones(len(at)), at]))
    )
    fitted: Regressed = regressed(columns(x), y, resamples)
    return lambda at: fitted.at(columns(at), resamples)


@dataclass(frozen=True)
class AdherenceAt:
    """At one level of the alliance: risk-adjusted result along adherence, beside that at moderate adherence."""

    alliance: float
    line: tuple[Figure, ...]
    rise: Figure
    """From low to high adherence."""
    bend: Figure
    """Moderate adherence beside the mean of low and high: above 0 moderate did best."""


@dataclass(frozen=True)
class AdherenceCurve:
    """Adherence x alliance: quadratic in adherence, both of its terms changing with the alliance."""

    x: Floats
    at: dict[str, AdherenceAt]
    change_of_bend: Figure
    """`bend` where the alliance is weak less where it is strong."""
    n: int
    seen: dict[str, Floats]
    """Adherence of the third of clients nearest to each level."""


def adherence_curve(found: Rated) -> AdherenceCurve | None:
    """None where adherence and alliance are known together for too few, or adherence hardly varies."""
    kept = found.with_adherence
    adherence, alliance = found.adherence[kept], found.alliance[kept]
    few = kept.sum() < FEWEST_ROWS or len(np.unique(found.therapist[kept])) < FEWEST_THERAPISTS
    if few or len(np.unique(adherence)) < 5 or len(np.unique(alliance)) < 3:
        return None
    resamples = found.among(kept)
    columns = _columns_of(adherence, alliance)
    fitted = regressed(columns(adherence, alliance), found.adjusted[kept], resamples)
    x = most(adherence)
    low, high = np.quantile(adherence, ENDS)
    middle = (low + high) / 2
    at, bends = {}, {}
    for name, place in LEVELS.items():
        level = float(np.quantile(alliance, place))
        ways = columns(np.array([low, middle, high]), np.full(3, level))
        bends[name] = ways[1] - (ways[0] + ways[2]) / 2
        away = columns(x, np.full(len(x), level)) - ways[1]
        rise, bend = fitted.at(np.array([ways[2] - ways[0], bends[name]]), resamples)
        at[name] = AdherenceAt(level, tuple(fitted.at(away, resamples)), rise, bend)
    change = fitted.at((bends["weak"] - bends["strong"])[None, :], resamples)[0]
    third = np.searchsorted(np.quantile(alliance, [1 / 3, 2 / 3]), alliance)
    seen = {name: adherence[third == i] for i, name in enumerate(LEVELS)}
    return AdherenceCurve(x, at, change, int(kept.sum()), seen)


def _columns_of(adherence: Floats, alliance: Floats) -> Callable[[Floats, Floats], Floats]:
    """Standardised as in these rows: 1, a, a2, A, A2, a A, a2 A with adherence a and alliance A."""
    ends = [(one.mean(), max(float(one.std()), 1e-9)) for one in (adherence, alliance)]

    def columns(a: Floats, b: Floats) -> Floats:
        a, b = ((one - mean) / sd for one, (mean, sd) in zip((a, b), ends, strict=True))
        return np.column_stack([np.ones(len(a)), a, a**2, b, b**2, a * b, a**2 * b])

    return columns
