"""A bundle on disk: a folder of plain files that computes the same tomorrow as it did in training, or is refused.

manifest.json   what it is, what it learned from, how it was evaluated
features.json   the feature set;  design.json  the columns of the fit
heads/NAME.txt  LightGBM text;    heads/NAME.npz  the mixed fit;  heads/NAME.json  what the head is
therapists.npz  ids and track counts as known on `as_of`; in format 2, therapists.parquet
golden.json     made-up rows with the columns and scores they had in training
stability.json  how the numbers of the heads vary from refit to refit
tested/         the bundle that was learned before the test block, for the audit alone; not there if nothing was tested
audit.json      what the audit says of it (`training.audit`); may be written again
intervals.json  how sure each head is of an absolute prediction, and the predictions of the golden rows; older bundles
                have none
seal            a digest of all of these, the manifest included
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.errors import BundleError, ConfigError, Problem
from features.build import FeatureSet
from features.columns import Columns, Pairs
from training.bundle import FORMAT, WITH_PARQUET, Bundle, Manifest, Records
from training.config import FitConfig
from training.design import Design
from training.fits import Prepared
from training.head import Head, HeadInfo, PairPosterior
from training.predicted import Span, predicted
from training.remainder import Remainder

Floats = npt.NDArray[np.float64]
Fitting = Callable[[Columns, Prepared, npt.NDArray[np.int64]], Mapping[str, PairPosterior]]
"""The fits of one client with therapists of a directory."""

TOLERANCE = 1e-9
SEAL = "seal"
INTERVALS = "intervals.json"
STABILITY = "stability.json"
TESTED = "tested"
_COUNT = "count."
"""Before the names of counts in therapists.npz."""
UNSEALED = ("audit.json", SEAL)
"""Files that may change after training."""
BESIDE = ("manifest.json", f"{TESTED}/manifest.json", f"{TESTED}/{SEAL}", *UNSEALED)
"""Files that the bundle's id does not cover: it is the same whenever the same was learned."""


def writable(folder: Path | str, dataset: Path | None = None) -> None:
    """Raises ConfigError unless a bundle may be written there: nothing but an earlier bundle is ever replaced."""
    folder = Path(folder)
    where, step = f"bundle folder {folder}", "name another with --out"
    if dataset is not None and dataset.resolve().is_relative_to(folder.resolve()):
        raise ConfigError([Problem(where, "holds the dataset", "a bundle has a folder of its own", step)])
    if folder.exists() and not (
        folder.is_dir() and ((folder / "manifest.json").is_file() or not any(folder.iterdir()))
    ):
        raise ConfigError([Problem(where, "holds other files", "a bundle replaces only an earlier bundle", step)])
    try:
        beside(folder).rmdir()
    except OSError as error:
        raise ConfigError([Problem(where, str(error), "must be writable", step)]) from None


def beside(folder: Path) -> Path:
    """An empty folder beside the target, in which a bundle is put together before it takes the target's place."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part


@dataclass(frozen=True)
class Beside:
    """What a bundle carries beside the model itself."""

    spans: Mapping[str, Span] = field(default_factory=dict)
    """How sure each head is; without them nothing absolute can be said of a client."""
    stability: Mapping[str, Any] = field(default_factory=dict)
    tested: Bundle | None = None
    """What was learned before the test block."""


def save(bundle: Bundle, folder: Path | str, golden: Mapping[str, Any], also: Beside | None = None) -> Path:
    """Writes the folder whole (into a neighbour, then renamed) and gives the bundle its id.

    Raises ConfigError if the folder holds anything but an earlier bundle.
    `golden` holds `clients` and `therapists` (columns of made-up rows) and the therapists' `ids`.
    """
    folder, also = Path(folder), also or Beside()
    writable(folder)
    part = beside(folder)
    if also.tested is not None:
        save(also.tested, part / TESTED, golden)
    if also.stability:
        (part / STABILITY).write_text(json.dumps(also.stability, indent=1))
    _write(bundle, part, golden, also.spans)
    if folder.exists():
        shutil.rmtree(folder)
    return part.rename(folder)


def _write(bundle: Bundle, part: Path, golden: Mapping[str, Any], spans: Mapping[str, Span]) -> None:
    (part / "heads").mkdir()
    (part / "features.json").write_text(json.dumps(bundle.features.as_json(), indent=1))
    (part / "design.json").write_text(json.dumps(bundle.design.as_json()))
    for name, head in bundle.heads.items():
        (part / "heads" / f"{name}.txt").write_text(head.trees)
        if head.remainder.text:
            (part / "heads" / f"{name}.remainder.txt").write_text(head.remainder.text)
        arrays: dict[str, Any] = head.arrays()
        np.savez(part / "heads" / f"{name}.npz", **arrays)
        (part / "heads" / f"{name}.json").write_text(json.dumps(_info_json(head.info), indent=1))
    _write_records(bundle.records, part / "therapists.npz")
    (part / "golden.json").write_text(json.dumps({**golden, "computed": compute(bundle, golden)}))
    if spans:
        heads = {name: span.as_json() for name, span in spans.items()}
        said = {"heads": heads, "computed": _computed_spans(bundle, spans, golden)}
        (part / INTERVALS).write_text(json.dumps(said, indent=1))
    manifest = bundle.manifest.model_copy(update={"bundle_id": digest(part)})
    (part / "manifest.json").write_text(manifest.model_dump_json(indent=1))
    (part / SEAL).write_text(digest(part, UNSEALED))


def load(folder: Path | str) -> Bundle:
    """The bundle in a folder. Raises BundleError if it is unreadable, was altered, or no longer computes the same."""
    folder = Path(folder)
    try:
        whole = (folder / SEAL).read_text() == digest(folder, UNSEALED)
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{folder}: not a readable bundle ({error}) -> train or export it again") from None
    if not whole:
        raise BundleError(f"{folder}: files were altered after training -> export the bundle again")
    try:
        bundle = _read(folder)
        golden = json.loads((folder / "golden.json").read_text())
        spans = read_spans(folder)
        foretold = json.loads((folder / INTERVALS).read_text())["computed"] if spans else {}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise BundleError(f"{folder}: not a readable bundle ({error}) -> train or export it again") from None
    differing = differences(bundle, golden) + _differing(_computed_spans(bundle, spans, golden), foretold)
    if differing:
        raise BundleError(
            f"{folder}: golden rows differ ({'; '.join(differing[:5])}): this program would not compute what the "
            "model learned -> serve with the version that trained it, or train again"
        )
    return bundle


def read_spans(folder: Path | str) -> dict[str, Span]:
    """How sure each head of the bundle in a folder is, which `load` has checked; empty for an older bundle."""
    path = Path(folder) / INTERVALS
    if not path.is_file():
        return {}
    return {name: Span.from_json(values) for name, values in json.loads(path.read_text())["heads"].items()}


def read_tested(folder: Path | str) -> Bundle | None:
    """The bundle that was learned before the test block, checked; None where nothing was tested."""
    place = Path(folder) / TESTED
    return load(place) if place.is_dir() else None


def read_stability(folder: Path | str) -> dict[str, Any]:
    """How the numbers of the heads vary from refit to refit; empty for an older bundle."""
    path = Path(folder) / STABILITY
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found


def digest(folder: Path, beside: Collection[str] = BESIDE) -> str:
    """Sixteen hex digits over the names and bytes of every file but those `beside` the model."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in beside:
            content = path.read_bytes()
            found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:16]


def differences(bundle: Bundle, golden: Mapping[str, Any]) -> list[str]:
    """What the golden rows give today that they did not give in training; empty if nothing."""
    now, then = compute(bundle, golden), golden["computed"]
    names = [] if now["columns"] == then["columns"] else ["names of columns"]
    numbers = {name: values for name, values in then.items() if name != "columns"}
    served = compute(bundle, golden, lambda *asked: bundle.fits(*asked).heads)
    otherwise = [f"{name}, as it is served" for name in _differing(served, numbers)]
    return names + (_differing(now, numbers) or otherwise)


def _differing(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    return [name for name, values in then.items() if not _same(now.get(name), values)]


def compute(bundle: Bundle, golden: Mapping[str, Any], fits: Fitting | None = None) -> dict[str, Any]:
    """Columns of every golden pair; fit, variance and prognosis of every golden client, by `posteriors` or `fits`."""
    fitted = fits or bundle.posteriors
    clients, prepared = _golden_rows(bundle, golden)
    size, ids = clients.size, golden["ids"]
    built = bundle.features.build(clients, prepared.columns, Pairs.all(size, len(ids)))
    computed: dict[str, Any] = {"columns": list(bundle.features.columns), "built": _json_floats(built)}
    for row in range(size):
        client = clients.take(np.array([row]))
        for name, fit in fitted(client, prepared, np.arange(len(ids))).items():
            computed[f"{name} fit of row {row}"] = fit.mean.tolist()
            computed[f"{name} variance of row {row}"] = ((fit.loading**2).sum(axis=1) + fit.own).tolist()
            computed[f"{name} prognosis of row {row}"] = [bundle.expected(bundle.heads[name], client)]
    return computed


def _computed_spans(bundle: Bundle, spans: Mapping[str, Span], golden: Mapping[str, Any]) -> dict[str, Any]:
    """Mean, low and high of every golden pair, by head and golden client."""
    clients, prepared = _golden_rows(bundle, golden)
    everyone = np.arange(len(golden["ids"]))
    return {
        f"{name} predicted of row {row}": [one.mean.tolist(), one.low.tolist(), one.high.tolist()]
        for row in range(clients.size)
        for name, one in predicted(bundle, spans, clients.take(np.array([row])), prepared, everyone).items()
    }


def _golden_rows(bundle: Bundle, golden: Mapping[str, Any]) -> tuple[Columns, Prepared]:
    day = None if bundle.manifest.undated else bundle.manifest.as_of
    clients = bundle.clients(golden["clients"], len(next(iter(golden["clients"].values()))), day)
    return clients, bundle.therapists(golden["ids"], golden["therapists"], day)


def _read(folder: Path) -> Bundle:
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_text())
    if manifest.format not in (FORMAT, WITH_PARQUET):
        raise BundleError(f"{folder}: format {manifest.format}, this program reads {FORMAT} -> train again")
    learned = [head["name"] for head in manifest.config["heads"] if head["name"] not in manifest.left_out]
    return Bundle(
        manifest,
        FeatureSet.from_json(json.loads((folder / "features.json").read_text())),
        Design.from_json(json.loads((folder / "design.json").read_text())),
        {name: _read_head(folder / "heads", name) for name in learned},
        _read_records_in_parquet(folder) if manifest.format == WITH_PARQUET else _read_records(folder),
        read_spans(folder),
    )


def _read_head(folder: Path, name: str) -> Head:
    info = _info_of(json.loads((folder / f"{name}.json").read_text()))
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        kept = folder / f"{name}.remainder.txt"
        remainder = Remainder(kept.read_text() if kept.is_file() else "")
        return Head.from_arrays(info, (folder / f"{name}.txt").read_text(), remainder, dict(arrays))


def _write_records(records: Records, path: Path) -> None:
    counts: dict[str, Any] = {f"{_COUNT}{name}": values for name, values in records.counts.items()}
    days = records.last_case_on.astype("datetime64[D]")
    np.savez(path, therapist_id=np.array(records.ids, dtype=np.str_), last_case_on=days, **counts)


def _read_records(folder: Path) -> Records:
    with np.load(folder / "therapists.npz", allow_pickle=False) as arrays:
        counts = {name.removeprefix(_COUNT): arrays[name] for name in arrays if name.startswith(_COUNT)}
        return Records(tuple(arrays["therapist_id"].tolist()), arrays["last_case_on"], counts)


def _read_records_in_parquet(folder: Path) -> Records:
    import pyarrow.parquet as pq  # for bundles of format 2 alone: a worker does without it

    table = pq.read_table(folder / "therapists.parquet")
    counts = {name: table[name].to_numpy() for name in table.column_names[2:]}
    days = table["last_case_on"].to_numpy().astype("datetime64[D]")
    return Records(tuple(table["therapist_id"].to_pylist()), days, counts)


def _same(now: Any, then: Any) -> bool:
    a, b = np.array(now, dtype=np.float64), np.array(then, dtype=np.float64)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=TOLERANCE, atol=1e-12, equal_nan=True))


def _json_floats(values: Floats) -> list[Any]:
    cells = values.astype(object)
    cells[np.isnan(values)] = None
    kept: list[Any] = cells.tolist()
    return kept


def _info_json(info: HeadInfo) -> dict[str, Any]:
    return {**asdict(info), "parts": info.parts.model_dump()}


def _info_of(values: dict[str, Any]) -> HeadInfo:
    return HeadInfo(**{**values, "parts": FitConfig(**values["parts"]), "landmark": tuple(values["landmark"])})
