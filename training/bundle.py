"""A bundle in memory: what serving asks for the fits of one client with the therapists of a directory."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from features.build import FeatureSet
from features.columns import Columns, Pairs
from features.kinds import new_to
from features.rows import CLIENT_KINDS, THERAPIST_KINDS, Ranges, client_columns, with_track
from features.track import CASES_WITH
from training.design import Design
from training.fits import Met, Prepared, Together, chance_a_unit
from training.head import Head, PairPosterior, used_effects
from training.parts import Fits
from training.ranking import Weighing
from training.stack import Stack

if TYPE_CHECKING:
    from training.predicted import Span

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FORMAT = 3
WITH_PARQUET = 2
"""The format before, which is still read: it kept the therapists in Parquet."""


class Manifest(BaseModel):
    """What a bundle says about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    bundle_id: str = ""
    name: str
    created_at: dt.datetime
    dataset: str
    data_hash: str
    synthetic: bool
    as_of: dt.date | None
    undated: bool
    notes: str
    rules: tuple[str, ...]
    config: Mapping[str, Any]
    policy_hash: str
    severity_of: Mapping[str, tuple[float, float]]
    intake_sds: Mapping[str, float]
    correlation: tuple[tuple[float, ...], ...]
    """Correlation of the heads' residuals, in the order of the heads."""
    left_out: Mapping[str, str]
    """Heads that could not be learned, and why."""
    kinds: Mapping[str, Mapping[str, str]]
    """Kinds of the columns that the dataset declared, by table."""
    seen: Mapping[str, tuple[str, ...]] = {}
    """Kinds of clients of which there was enough to learn from (`features.kinds`); empty in older bundles."""
    flags: Mapping[str, float]
    """Shares of the rows learned from whose facts are second best: see `training.run`."""
    proven: bool
    """Whether the lower bound of the utility gain over next-available is above 0."""
    served_on_everything: bool
    """True: learned from all that was known; False: only from what was known before the test block."""
    evaluation: Mapping[str, Any]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Records:
    """Track counts of the therapists the bundle learned from, as known on its `as_of`."""

    ids: tuple[str, ...]
    last_case_on: npt.NDArray[np.datetime64]
    counts: Mapping[str, Floats]
    """`cases` and `cases_with.<problem>`."""

    def on(self, position: Ints, day: np.datetime64) -> dict[str, Floats]:
        """Track columns of therapists at these positions on a day; a therapist never seen has no cases."""
        seen, at = position >= 0, np.where(position >= 0, position, 0)
        if not self.ids:
            return {name: np.zeros(len(position)) for name in self.counts}
        table = {name: np.where(seen, count[at], 0.0) for name, count in self.counts.items()}
        for name in table:
            if name.startswith(CASES_WITH):  # whole numbers, of which a directory has millions
                table[name] = table[name].astype(np.float32)
        ago = (day.astype("datetime64[D]") - self.last_case_on[at]).astype(np.float64)
        unknown = ~seen | np.isnat(self.last_case_on[at]) | np.isnat(day)
        return {**table, "days_since_last_case": np.where(unknown, np.nan, np.maximum(ago, 0.0))}


@dataclass(frozen=True)
class Bundle:
    """A model that can be served: load it, prepare a directory once, then ask for the fits of one client."""

    manifest: Manifest
    features: FeatureSet
    design: Design
    heads: Mapping[str, Head]
    records: Records
    spans: Mapping[str, "Span"] = field(default_factory=dict)
    """By head how sure an absolute prediction is (`training.predicted`); empty for a bundle that has none."""

    @cached_property
    def place(self) -> dict[str, int]:
        """Position of each therapist whom the bundle knows."""
        return {name: i for i, name in enumerate(self.records.ids)}

    @property
    def severity_of(self) -> Ranges:
        """Scores at intake that make up severity, with their ranges."""
        return dict(self.manifest.severity_of)

    @property
    def problems(self) -> tuple[str, ...]:
        """Main problems whose past cases are counted for each therapist."""
        return tuple(name.removeprefix(CASES_WITH) for name in self.records.counts if name.startswith(CASES_WITH))

    @cached_property
    def weighing(self) -> Weighing:
        """Weights, spreads and error correlation of the heads, for the utility."""
        infos = [head.info for head in self.heads.values()]
        return Weighing(
            tuple(info.name for info in infos),
            np.array([info.weight for info in infos]),
            np.array([info.sd for info in infos]),
            np.array(self.manifest.correlation),
        )

    @cached_property
    def counting(self) -> Weighing:
        """The same of the heads that count."""
        return self.weighing.among(list(self.heads))

    def new_to(self, client: Columns) -> list[str]:
        """In what this one client is of no kind that was learned from: then the model tells no therapists apart."""
        return new_to(self.manifest.seen, client)

    @property
    def servable(self) -> bool:
        """False if a head looks at measures taken after the match (a landmark): analysis only."""
        return not any(head.info.landmark for head in self.heads.values())

    def clients(self, table: Mapping[str, Sequence[Any]], size: int, day: dt.date | None) -> Columns:
        """Client rows from columns of `clients`, wishes (`prefer.gender`) and intake scores (`phq9.0`)."""
        kinds = CLIENT_KINDS | dict(self.manifest.kinds.get("clients", {}))
        return client_columns(table, size, _years(size, day), self.manifest.severity_of, kinds)

    def therapists(self, ids: Sequence[str], table: Mapping[str, Any], day: dt.date | None) -> Prepared:
        """Therapist rows of a table joined by id with what the bundle knows of them."""
        kinds = THERAPIST_KINDS | dict(self.manifest.kinds.get("therapists", {}))
        return self.prepare(ids, Columns.of(table, kinds, len(ids)), day)

    def prepare(self, ids: Sequence[str], profiles: Columns, day: dt.date | None) -> Prepared:
        """The same from profiles that are columns already."""
        position = np.array([self.place.get(name, -1) for name in ids], dtype=np.int64)
        cases = self.records.on(position, np.datetime64("NaT" if day is None else day, "D"))
        columns = with_track(profiles, _years(len(ids), day), cases)
        ranking = self.design.therapist(self.features.build_rows("therapist", columns))
        return Prepared(columns, position, ranking, self.stack.b[:, : ranking.shape[1]] @ ranking.T)

    def ranking_columns(self, client: Columns, prepared: Prepared, rows: Ints) -> Floats:
        """Standardised border columns that rank, for one client with the therapists at `rows`."""
        pairs = Pairs.of_one(rows)
        block = self.features.build_pairs(client, prepared.columns, pairs)
        return np.column_stack([prepared.ranking[rows], self.design.pair(block)])

    def posteriors(self, client: Columns, prepared: Prepared, rows: Ints) -> dict[str, PairPosterior]:
        """Fits of one client with the therapists at `rows`, in each head's own unit (probability for binary heads)."""
        ranking = self.ranking_columns(client, prepared, rows)
        found = {}
        for name, head in self.heads.items():
            columns, effects = self._inputs(head, ranking, client)
            fit = head.posterior(columns, np.repeat(effects[None], len(rows), axis=0), prepared.position[rows])
            found[name] = fit.scaled(self._unit(head, client, fit.mean))
        return found

    def fits(self, client: Columns, prepared: Prepared, rows: Ints) -> Fits:
        """The same fits for an answer: means of all at `rows` (each once), variances of whom they are asked for."""
        pairs = Pairs.of_one(rows)
        built = self.features.build_pairs_by_column(client, prepared.columns, pairs)
        met = Met(prepared, rows, built, self.design.pair.by_column(built), prepared.position[rows])
        effects = self.design.effect_columns(client)[0]
        at = np.flatnonzero(effects)
        fits = Together(self.stack, met, at, effects[at], self._log_odds(client))
        return Fits(fits, self.design.names[self.design.ranking], [self.design.effects[i] for i in at])

    @cached_property
    def stack(self) -> Stack:
        """All heads side by side."""
        used = [used_effects(self.design, head.info.parts).tolist() for head in self.heads.values()]
        width = self.design.ranking.stop - self.design.ranking.start
        return Stack.of(self.heads, used, len(self.design.effects), width)

    def _log_odds(self, client: Columns) -> dict[str, float]:
        """The prognosis of one client by every binary head: the others rank without it."""
        binary = {name: head for name, head in self.heads.items() if head.info.kind == "binary"}
        block = self.features.build_rows("client", client) if binary else np.zeros((1, 0))
        return {name: self._expected(head, block) for name, head in binary.items()}

    def expected(self, head: Head, client: Columns) -> float:
        """The prognosis of one client on the head's link scale."""
        return self._expected(head, self.features.build_rows("client", client))

    def _expected(self, head: Head, block: Floats) -> float:
        return float(head.prognosis(head.client_part(self.design, block))[0])

    def _inputs(self, head: Head, ranking: Floats, client: Columns) -> tuple[Floats, Floats]:
        """What this head uses of the ranking columns (n, r) and of the client's effect columns (q,)."""
        effects = self.design.effect_columns(client)[0]
        used = effects[used_effects(self.design, head.info.parts)]
        return ranking if head.info.parts.columns else ranking[:, :0], used

    def _unit(self, head: Head, client: Columns, fits: Floats) -> float:
        """1, or for a binary head the probability gained per unit of the logit at this client's expectation."""
        if head.info.kind == "gaussian":
            return 1.0
        return chance_a_unit(self.expected(head, client) + float(fits.mean()))


def _years(size: int, day: dt.date | None) -> Floats:
    return np.full(size, np.nan if day is None else float(day.year))
