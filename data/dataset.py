"""A dataset: a folder of tables, CSV or Parquet, with a `dataset.toml` that says what it is."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pandas as pd

from data.errors import DataError, Problem, unreadable
from data.manifest import (
    MANIFEST,
    RULES,
    Claims,
    ColumnDeclaration,
    InstrumentDeclaration,
    Manifest,
    Rule,
    manifest_toml,
    read_manifest,
    read_manifest_leniently,
    with_unread,
)
from data.parsing import empty, parse
from data.reading import read_raw
from data.tables import TABLES, Column, Table

__all__ = [
    "MANIFEST",
    "RULES",
    "ColumnDeclaration",
    "Dataset",
    "InstrumentDeclaration",
    "Manifest",
    "Rule",
    "manifest_toml",
    "read",
    "read_csv",
    "read_leniently",
    "read_manifest",
    "write",
]


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
    """The dataset as far as it can be read, and every problem met on the way. Raises NotFoundError without a folder."""
    folder = Path(folder)
    try:
        manifest, problems, claims = read_manifest_leniently(folder)
        problems += [*_strangers(folder), *_stray_declarations(claims)]
    except OSError as error:
        raise DataError([unreadable(folder, error)]) from None
    shell = Dataset(manifest)
    frames: dict[str, pd.DataFrame] = {}
    for name, table in TABLES.items():
        paths = _files(folder, name)
        if len(paths) > 1:
            problems.append(Problem(str(folder), f"{name} twice", "one file a table", f"remove {paths[1].name}"))
        if not paths and table.required:
            missing = f"no {name}.csv or {name}.parquet"
            problems.append(Problem(str(folder), missing, "this table is required", "add it"))
        for path in paths[:1]:
            try:
                frames[name], found = _parsed(shell, path, claims)
                problems += found
            except DataError as error:
                problems += error.problems
    if claims is None and "instrument" in frames.get("measures", ()):
        manifest = with_unread(manifest, frames["measures"]["instrument"].dropna().unique())
    return Dataset(manifest, frames), problems


def _parsed(shell: Dataset, path: Path, claims: Claims) -> tuple[pd.DataFrame, list[Problem]]:
    """The table of a file. Columns that a faulty manifest may mean to declare are left out without a word."""
    contract, raw = shell.contract(path.stem), read_raw(path, path.stem)
    names = [str(column) for column in raw.frame.columns]
    meant = names if claims is None else list(claims.get(path.stem, ()))
    kept = raw.frame[
        [c for c, n in zip(raw.frame.columns, names, strict=True) if n in contract.names or n not in meant]
    ]
    frame, found = parse(contract, kept)
    told = tuple(f"{path.stem} row {row} " for row in raw.ragged)
    return frame, [*raw.problems, *(p for p in found if not p.where.startswith(told))]


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


def _for_csv(frame: pd.DataFrame) -> pd.DataFrame:
    out = frame.copy()
    for name in out.columns:
        if isinstance(out[name].dtype, pd.DatetimeTZDtype):
            out[name] = out[name].map(lambda moment: moment.isoformat(), na_action="ignore")
        elif pd.api.types.is_datetime64_dtype(out[name].dtype):
            out[name] = out[name].dt.strftime("%Y-%m-%d")
    return out


def _files(folder: Path, name: str) -> list[Path]:
    return [path for suffix in ("parquet", "csv") if (path := folder / f"{name}.{suffix}").exists()]


def read_csv(path: Path) -> pd.DataFrame:
    """Every cell as text, empty cells unknown. Raises DataError with every row and cell that cannot be read."""
    raw = read_raw(path, path.name)
    if raw.problems:
        raise DataError(raw.problems)
    return raw.frame


def _strangers(folder: Path) -> list[Problem]:
    return [
        Problem(
            str(path), "unknown table", f"tables are {', '.join(TABLES)}", "rename it, or take it out of the folder"
        )
        for path in sorted(folder.iterdir())
        if path.suffix in (".csv", ".parquet") and path.stem not in TABLES
    ]


def _stray_declarations(claims: Claims) -> list[Problem]:
    """What is declared for a table that is unknown, for a column that exists, or as free text."""
    found: list[Problem] = []
    for table, columns in (claims or {}).items():
        if table not in TABLES:
            rule = f"tables are {', '.join(TABLES)}"
            found.append(Problem(f"{MANIFEST} [column.{table}]", table, rule, "mend the name"))
        for name, kind in columns.items():
            place = f"{MANIFEST} [column.{table}.{name}]"
            if table in TABLES and name in TABLES[table].names:
                rule = "the contract already has this column"
                found.append(Problem(place, name, rule, "take the declaration out"))
            if kind == "text":
                found.append(Problem(place, kind, "free text may not enter", "give a count or a code"))
    return found
