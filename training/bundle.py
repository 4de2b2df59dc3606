"""A bundle: a folder of plain files that computes the same tomorrow as it did in training, or refuses to load.

manifest.json   what it is, what it learned from, how it was evaluated
features.json   the feature set;  design.json  the columns of the fit
heads/NAME.txt  LightGBM text;    heads/NAME.npz  the mixed fit
therapists.parquet  ids and track counts as known on `as_of`
golden.json     made-up rows with the columns and scores they had in training
"""

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from data.errors import BundleError
from features.build import FeatureSet
from features.columns import Columns, Pairs
from features.rows import CLIENT_KINDS, THERAPIST_KINDS, client_columns, therapist_columns
from features.track import CASES_WITH
from training.config import FitConfig
from training.design import Design
from training.head import Head, HeadInfo, PairPosterior, used_effects
from training.ranking import Weighing

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FORMAT = 1
TOLERANCE = 1e-9


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
    proven: bool
    """Whether the lower bound of the utility gain over next-available is above 0."""
    served_on_everything: bool
    """True: learned from all that was known; False: only from what was known before the test block."""
    evaluation: Mapping[str, Any]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Prepared:
    """Therapists of a directory on a day, ready for pairing: their columns, positions in the bundle, ranking columns."""

    columns: Columns
    position: Ints
    ranking: Floats


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

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.records.ids)}

    @cached_property
    def weighing(self) -> Weighing:
        infos = [head.info for head in self.heads.values()]
        return Weighing(
            tuple(info.name for info in infos),
            np.array([info.weight for info in infos]),
            np.array([info.sd for info in infos]),
            np.array(self.manifest.correlation),
        )

    @property
    def servable(self) -> bool:
        """False if a head looks at measures taken after the match (a landmark): analysis only."""
        return not any(head.info.landmark for head in self.heads.values())

    def clients(self, table: Mapping[str, Sequence[Any]], size: int, day: dt.date | None) -> Columns:
        """Client rows from columns of `clients`, wishes (`prefer.gender`) and intake scores (`phq9.0`)."""
        kinds = CLIENT_KINDS | dict(self.manifest.kinds.get("clients", {}))
        return client_columns(table, size, _years(size, day), self.manifest.severity_of, kinds)

    def therapists(self, ids: Sequence[str], table: Mapping[str, Any], day: dt.date | None) -> Prepared:
        """Therapist rows of a directory joined by id with what the bundle knows of them."""
        kinds = THERAPIST_KINDS | dict(self.manifest.kinds.get("therapists", {}))
        position = np.array([self._place.get(name, -1) for name in ids], dtype=np.int64)
        cases = self.records.on(position, np.datetime64("NaT" if day is None else day, "D"))
        columns = therapist_columns(table, len(ids), _years(len(ids), day), cases, kinds)
        return Prepared(columns, position, self.design.therapist(self.features.build_rows("therapist", columns)))

    def ranking_columns(self, client: Columns, prepared: Prepared, rows: Ints) -> Floats:
        """Standardised border columns that rank, for one client with the therapists at `rows`."""
        pairs = Pairs(np.zeros(len(rows), dtype=np.int64), rows)
        block = self.features.build_pairs(client, prepared.columns, pairs)
        return np.column_stack([prepared.ranking[rows], self.design.pair(block)])

    def posteriors(self, client: Columns, prepared: Prepared, rows: Ints) -> dict[str, PairPosterior]:
        """Fits of one client with the therapists at `rows`, each head in its own unit (probability for binary heads)."""
        ranking = self.ranking_columns(client, prepared, rows)
        effects = self.design.effect_columns(client)
        found = {}
        for name, head in self.heads.items():
            mine = np.repeat(effects[:, used_effects(self.design, head.info.parts)], len(rows), axis=0)
            columns = ranking if head.info.parts.columns else ranking[:, :0]
            fit = head.posterior(columns, mine, prepared.position[rows])
            found[name] = fit if head.info.kind == "gaussian" else fit.scaled(self._slope(head, client, fit))
        return found

    def _slope(self, head: Head, client: Columns, fit: PairPosterior) -> float:
        """Probability gained per unit of the logit at this client's expectation."""
        chance = 1 / (1 + np.exp(-(self.expected(head, client) + fit.mean.mean())))
        return float(chance * (1 - chance))

    def expected(self, head: Head, client: Columns) -> float:
        """The prognosis of one client on the head's link scale."""
        return float(head.prognosis(head.client_part(self.design, self.features.build_rows("client", client)))[0])

    def contributions(self, client: Columns, prepared: Prepared, rows: Ints, which: int) -> dict[str, dict[str, float]]:
        """Exact parts of one gain, by head: name of a feature column or therapist effect -> share; they sum to the gain.

        `which` is a position in `rows`. Parts are on the link scale, times the head's slope for binary heads.
        """
        ranking = self.ranking_columns(client, prepared, rows)
        effects = self.design.effect_columns(client)[0]
        fits = self.posteriors(client, prepared, rows)
        found = {}
        for name, head in self.heads.items():
            used = used_effects(self.design, head.info.parts)
            columns = ranking if head.info.parts.columns else ranking[:, :0]
            mine, average = head.terms(columns, effects[used], prepared.position[rows], which)
            names = [*self.design.names[self.design.ranking], *(f"effect.{self.design.effects[i]}" for i in used)]
            names = names if head.info.parts.columns else names[-len(used) :]
            gain = float(fits[name].mean[which] - fits[name].mean.mean())
            parts = mine - average
            scale = gain / parts.sum() if abs(parts.sum()) > 1e-12 else 1.0
            found[name] = dict(zip(names, (parts * scale).tolist(), strict=True))
        return found

    def save(self, folder: Path | str, golden: Mapping[str, Any]) -> Path:
        """Writes the folder whole (into a neighbour, then renamed) and gives the bundle its id."""
        folder = Path(folder)
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        (part / "heads").mkdir(parents=True)
        (part / "features.json").write_text(json.dumps(self.features.as_json(), indent=1))
        (part / "design.json").write_text(json.dumps(self.design.as_json()))
        for name, head in self.heads.items():
            (part / "heads" / f"{name}.txt").write_text(head.trees)
            np.savez(part / "heads" / f"{name}.npz", **head.arrays())
            (part / "heads" / f"{name}.json").write_text(json.dumps(_info_json(head.info), indent=1))
        counts = {name: pa.array(values) for name, values in self.records.counts.items()}
        days = pa.array(self.records.last_case_on.astype("datetime64[D]"))
        table = pa.table({"therapist_id": pa.array(self.records.ids, pa.string()), "last_case_on": days, **counts})
        pq.write_table(table, part / "therapists.parquet")
        (part / "golden.json").write_text(json.dumps(golden))
        manifest = self.manifest.model_copy(update={"bundle_id": _digest(part)})
        (part / "manifest.json").write_text(manifest.model_dump_json(indent=1))
        if folder.exists():
            shutil.rmtree(folder)
        return part.rename(folder)

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """The bundle in a folder. Raises BundleError if it is unreadable, was altered, or no longer computes the same."""
        folder = Path(folder)
        try:
            bundle = cls._read(folder)
            golden = json.loads((folder / "golden.json").read_text())
        except (OSError, KeyError, ValueError, TypeError, ValidationError) as error:
            raise BundleError(f"{folder}: not a readable bundle ({error}) -> train or export it again") from None
        if bundle.manifest.bundle_id != _digest(folder):
            raise BundleError(f"{folder}: files were altered after training -> export the bundle again")
        differing = bundle.differences(golden)
        if differing:
            raise BundleError(
                f"{folder}: golden rows differ ({'; '.join(differing[:5])}): this program would not compute what the "
                "model learned -> serve with the version that trained it, or train again"
            )
        return bundle

    @classmethod
    def _read(cls, folder: Path) -> Self:
        manifest = Manifest.model_validate_json((folder / "manifest.json").read_text())
        if manifest.format != FORMAT:
            raise BundleError(f"{folder}: format {manifest.format}, this program reads {FORMAT} -> train again")
        heads = {}
        for path in sorted((folder / "heads").glob("*.json"), key=lambda p: _rank_of(p.stem, manifest)):
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as arrays:
                info = _info_of(json.loads(path.read_text()))
                heads[path.stem] = Head.from_arrays(info, path.with_suffix(".txt").read_text(), dict(arrays))
        table = pq.read_table(folder / "therapists.parquet")
        counts = {name: table[name].to_numpy() for name in table.column_names[2:]}
        days = table["last_case_on"].to_numpy().astype("datetime64[D]")
        records = Records(tuple(table["therapist_id"].to_pylist()), days, counts)
        features = FeatureSet.from_json(json.loads((folder / "features.json").read_text()))
        return cls(
            manifest, features, Design.from_json(json.loads((folder / "design.json").read_text())), heads, records
        )

    def golden(
        self, clients: Mapping[str, list[Any]], therapists: Mapping[str, list[Any]], ids: list[str]
    ) -> dict[str, Any]:
        """Rows with what the bundle computes of them now; `differences` compares with what it computes later."""
        given = {"clients": dict(clients), "therapists": dict(therapists), "ids": ids}
        return {**given, "computed": self._compute(given)}

    def differences(self, golden: Mapping[str, Any]) -> list[str]:
        """What the golden rows give today that they did not give in training; empty if nothing."""
        now, then = self._compute(golden), golden["computed"]
        found = [] if now["columns"] == then["columns"] else ["names of columns"]
        for name, values in then.items():
            if name != "columns" and not np.allclose(
                np.array(now.get(name, np.nan), dtype=float),
                np.array(values, dtype=float),
                rtol=TOLERANCE,
                atol=1e-12,
                equal_nan=True,
            ):
                found.append(name)
        return found

    def _compute(self, golden: Mapping[str, Any]) -> dict[str, Any]:
        day = None if self.manifest.undated else self.manifest.as_of
        size = len(next(iter(golden["clients"].values())))
        clients = self.clients(golden["clients"], size, day)
        prepared = self.therapists(golden["ids"], golden["therapists"], day)
        block = self.features.build(clients, prepared.columns, Pairs.all(size, len(golden["ids"])))
        computed: dict[str, Any] = {"columns": list(self.features.columns), "built": _json_floats(block)}
        for row in range(size):
            client = clients.take(np.array([row]))
            for name, fit in self.posteriors(client, prepared, np.arange(len(golden["ids"]))).items():
                computed[f"{name} fit of row {row}"] = _json_floats(fit.mean)
                computed[f"{name} variance of row {row}"] = _json_floats((fit.loading**2).sum(axis=1) + fit.own)
                computed[f"{name} prognosis of row {row}"] = [self.expected(self.heads[name], client)]
        return computed


def problem_words(bundle: Bundle) -> tuple[str, ...]:
    """Main problems whose past cases the bundle counts."""
    return tuple(n.removeprefix(CASES_WITH) for n in bundle.records.counts if n.startswith(CASES_WITH))


def _years(size: int, day: dt.date | None) -> Floats:
    return np.full(size, np.nan if day is None else float(day.year))


def _json_floats(values: Floats) -> list[Any]:
    kept: list[Any] = np.where(np.isnan(values), None, values.astype(object)).tolist()
    return kept


def _digest(folder: Path) -> str:
    """Sixteen hex digits over every file but the manifest."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in ("manifest.json", "audit.json"):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _info_json(info: HeadInfo) -> dict[str, Any]:
    return {**asdict(info), "parts": info.parts.model_dump()}


def _info_of(values: dict[str, Any]) -> HeadInfo:
    return HeadInfo(**{**values, "parts": FitConfig(**values["parts"]), "landmark": tuple(values["landmark"])})


def _rank_of(name: str, manifest: Manifest) -> int:
    names = [head["name"] for head in manifest.config["heads"]]
    return names.index(name)
