"""A dataset: a folder of tables, CSV or Parquet, with a `dataset.toml` that says what it is."""

import datetime as dt
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data.errors import ConfigError, DataError, NotFoundError, Problem
from data.parsing import empty, parse
from data.tables import TABLES, Column, Kind, Table

MANIFEST = "dataset.toml"
Rule = Literal[
    "conflict",
    "licence",
    "age_group",
    "care_level",
    "training",
    "payer",
    "language",
    "modality",
    "must",
    "capacity",
    "slot",
]
RULES: tuple[Rule, ...] = get_args(Rule)
"""The hard rules, in the order in which an exclusion is counted."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InstrumentDeclaration(_Frozen):
    """An instrument the program does not ship: enough to check its values and use it as a target."""

    low: float
    high: float
    direction: Literal["higher", "lower"]
    """Whether a higher or a lower score is better."""
    meaning: str
    items: int = 0
    known: Literal["before", "after"] = "after"


class ColumnDeclaration(_Frozen):
    """A column the contract does not list."""

    kind: Kind = "number"
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] = ()
    direction: Literal["higher", "lower", ""] = ""
    meaning: str
    known: Literal["before", "after"]


class Manifest(_Frozen):
    """What `dataset.toml` may say."""

    name: str
    as_of: dt.date | None = None
    notes: str = ""
    synthetic: bool = False
    rules: tuple[Rule, ...] = ()
    undated: bool = False
    instrument: Mapping[str, InstrumentDeclaration] = Field(default_factory=dict)
    column: Mapping[str, Mapping[str, ColumnDeclaration]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """Typed tables and what is declared about them. Frames are trusted: they were parsed on the way in."""

    manifest: Manifest
    frames: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def contract(self, name: str) -> Table:
        """The table's contract with the columns this dataset declares."""
        declared = self.manifest.column.get(name, {})
        return TABLES[name].with_columns(
            tuple(
                Column(column, d.kind, d.meaning, False, d.low, d.high, d.allowed, d.known, d.direction)
                for column, d in declared.items()
            )
        )

    def __getitem__(self, name: str) -> pd.DataFrame:
        """The table with every column of its contract; those the files lack are unknown throughout."""
        contract = self.contract(name)
        frame = self.frames.get(name, pd.DataFrame(index=pd.RangeIndex(0)))
        missing = {c.name: empty(c, len(frame)) for c in contract.columns if c.name not in frame}
        whole = frame.reset_index(drop=True).assign(**missing)[list(contract.names)]
        if name == "episodes":
            whole["matched_on"] = whole["matched_on"].fillna(whole["started_on"])
        return whole

    def fingerprint(self) -> str:
        """Sixteen hex digits that change when any known cell of any table changes."""
        digest = hashlib.sha256(self.manifest.model_dump_json().encode())
        for name in sorted(self.frames):
            frame = self.frames[name]
            for column in sorted(frame.columns):
                digest.update(f"{name}.{column}".encode())
                digest.update(pd.util.hash_pandas_object(frame[column], index=False).to_numpy().tobytes())
        return digest.hexdigest()[:16]


def read(folder: Path | str) -> Dataset:
    """The dataset in `folder`. Raises DataError with every cell that cannot be read, NotFoundError without a folder."""
    dataset, problems = read_leniently(folder)
    if problems:
        raise DataError(problems)
    return dataset


def read_leniently(folder: Path | str) -> tuple[Dataset, list[Problem]]:
    """The dataset as far as it can be read, and every problem met on the way."""
    folder = Path(folder)
    manifest = read_manifest(folder)
    shell = Dataset(manifest)
    frames: dict[str, pd.DataFrame] = {}
    problems = [*_strangers(folder), *_stray_declarations(manifest)]
    for name, table in TABLES.items():
        path = _file(folder, name)
        if path is None:
            if table.required:
                problems.append(
                    Problem(str(folder), f"no {name}.csv or {name}.parquet", "this table is required", "add it")
                )
            continue
        frames[name], found = parse(shell.contract(name), _raw(path))
        problems += found
    return Dataset(manifest, frames), problems


def read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFoundError(
            f"{path}: no such file: a dataset is a folder with {MANIFEST} -> name the folder of a dataset"
        )
    try:
        return Manifest.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem(str(path), str(error), "must be TOML", "mend the file")]) from None
    except ValidationError as error:
        raise ConfigError(validation_problems(str(path), error)) from None


def validation_problems(where: str, error: ValidationError) -> list[Problem]:
    """pydantic's findings in the words of this project, one per place."""
    return [
        Problem(
            f"{where} {'.'.join(map(str, e['loc']))}",
            repr(e["input"]) if not isinstance(e["input"], dict) else "the table",
            e["msg"],
            "take the key out, or spell it as documented" if e["type"] == "extra_forbidden" else "",
        )
        for e in error.errors()
    ]


def write(dataset: Dataset, folder: Path | str, form: Literal["csv", "parquet"] = "parquet") -> Path:
    """Writes the folder whole: into a neighbour first, then renamed, so that a half-written dataset is never found."""
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise DataError(
            [Problem(str(folder), "not empty", "a dataset is written into a new folder", "name another, or remove it")]
        )
    part = folder.with_name(folder.name + ".part")
    part.mkdir(parents=True, exist_ok=True)
    for old in part.iterdir():
        old.unlink()
    (part / MANIFEST).write_text(manifest_toml(dataset.manifest))
    for name, frame in dataset.frames.items():
        if form == "parquet":
            frame.to_parquet(part / f"{name}.parquet", index=False)
        else:
            _for_csv(frame).to_csv(part / f"{name}.csv", index=False)
    if folder.exists():
        folder.rmdir()
    return part.rename(folder)


def manifest_toml(manifest: Manifest) -> str:
    """`dataset.toml` for a manifest; `read_manifest` gives the same manifest back."""
    return "\n".join(_toml(manifest.model_dump(mode="json", exclude_defaults=True))) + "\n"


def _toml(values: Mapping[str, object], prefix: str = "") -> list[str]:
    plain = [f"{key} = {_toml_value(key, value)}" for key, value in values.items() if not isinstance(value, Mapping)]
    tables: list[str] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            inner = _toml(value, f"{prefix}{key}.")
            head = [f"\n[{prefix}{key}]"] if any(not isinstance(v, Mapping) for v in value.values()) else []
            tables += head + inner
    return plain + tables


def _toml_value(key: str, value: object) -> str:
    import json

    if key == "as_of" and isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _for_csv(frame: pd.DataFrame) -> pd.DataFrame:
    out = frame.copy()
    for name in out.columns:
        if isinstance(out[name].dtype, pd.DatetimeTZDtype):
            out[name] = out[name].map(lambda moment: moment.isoformat(), na_action="ignore")
        elif pd.api.types.is_datetime64_dtype(out[name].dtype):
            out[name] = out[name].dt.strftime("%Y-%m-%d")
    return out


def _file(folder: Path, name: str) -> Path | None:
    for suffix in ("parquet", "csv"):
        path = folder / f"{name}.{suffix}"
        if path.exists():
            return path
    return None


def _raw(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    try:
        return pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError([Problem(str(path), str(error), "must be a CSV table in UTF-8", "mend the file")]) from None


def _strangers(folder: Path) -> list[Problem]:
    return [
        Problem(
            str(path), "unknown table", f"tables are {', '.join(TABLES)}", "rename it, or take it out of the folder"
        )
        for path in sorted(folder.iterdir())
        if path.suffix in (".csv", ".parquet") and path.stem not in TABLES
    ]


def _stray_declarations(manifest: Manifest) -> list[Problem]:
    strays = [
        Problem(f"{MANIFEST} [column.{table}]", table, f"tables are {', '.join(TABLES)}", "mend the name")
        for table in manifest.column
        if table not in TABLES
    ]
    doubled = [
        Problem(
            f"{MANIFEST} [column.{table}.{name}]",
            name,
            "the contract already has this column",
            "take the declaration out",
        )
        for table, columns in manifest.column.items()
        if table in TABLES
        for name in columns
        if name in TABLES[table].names
    ]
    return strays + doubled
