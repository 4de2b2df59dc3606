"""Brings foreign tables in by a mapping file; leaves a dataset without problems, or nothing."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from data.checking import check
from data.dataset import Dataset, write
from data.errors import DataError, NotFoundError, Problem
from data.mapping import DropRows, Join, MappingFile, Part, read_mapping
from data.mapping_columns import ROW, build_column
from data.parsing import parse
from data.reading import read_raw
from data.tables import TABLES

Files = Mapping[str, pd.DataFrame]


def import_dataset(
    mapping: Path, source: Path, out: Path, form: Literal["csv", "parquet"] = "parquet"
) -> dict[str, Any]:
    """Reads the files of `source` as `mapping` says, writes the dataset `out`, and says what became of every row.

    Raises ConfigError for a mapping that is not one, DataError with everything that does not fit the files or the
    contract (then nothing is left behind), NotFoundError without the mapping or the folder.
    """
    plan = read_mapping(mapping)
    if not source.is_dir():
        raise NotFoundError(f"{source}: no such folder: the files to import are read from there -> name the folder")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise DataError([Problem(str(out), "not empty", "a dataset is written into a new folder", "name another")])
    _clear_leftovers(out)
    files, problems = _read(plan, source)
    problems += _misfits(plan, files)
    dataset, report, found = _build(plan, files)
    problems += found
    if problems:
        raise DataError(problems)
    _write_if_clean(dataset, out, form)
    return {"dataset": str(out), **report}


def _write_if_clean(dataset: Dataset, out: Path, form: Literal["csv", "parquet"]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as room:
        written = write(dataset, Path(room) / out.name, form)
        problems = check(written)
        if problems:
            raise DataError(problems)
        if out.exists():
            out.rmdir()
        written.rename(out)


def _clear_leftovers(out: Path) -> None:
    """Removes the rooms that imports of the same target left when they were killed."""
    room = re.compile(rf"\.{re.escape(out.name)}\.[a-z0-9_]{{8}}")  # as tempfile names them
    for path in out.parent.iterdir() if out.parent.is_dir() else ():
        own = room.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
        if own and {inner.name for inner in path.iterdir()} <= {out.name, f"{out.name}.part"}:
            shutil.rmtree(path, ignore_errors=True)


def _read(plan: MappingFile, source: Path) -> tuple[dict[str, pd.DataFrame], list[Problem]]:
    files: dict[str, pd.DataFrame] = {}
    problems: list[Problem] = []
    for name in plan.files():
        path = source / name
        if not path.is_file():
            problems.append(
                Problem(str(path), "no such file", "the mapping reads it", "add the file, or mend the name")
            )
            continue
        try:
            raw = read_raw(path, name)
            files[name] = _as_text(raw.frame) if path.suffix == ".parquet" else raw.frame
            problems += raw.problems
        except DataError as error:
            problems += error.problems
    return files, problems


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({str(name): frame[name].astype("str").where(frame[name].notna()) for name in frame.columns})


def _misfits(plan: MappingFile, files: Files) -> list[Problem]:
    """Whatever the mapping says that the files or the contract do not have, and columns it says nothing about."""
    shell = Dataset(plan.dataset)
    used: set[tuple[str, str]] = set()
    problems: list[Problem] = []
    for table, parts in plan.table.items():
        for number, part in enumerate(parts, 1):
            place = f"table.{table} part {number}"
            problems += _unknown_targets(part, place, shell.contract(table).names)
            needed = _needed(part)
            used |= needed
            problems += [
                _no_column(place, file, column) for file, column in sorted(needed) if _lacks(files, file, column)
            ]
    dropped = {(drop.file, column) for drop in plan.drop for column in drop.columns}
    problems += [_no_column("drop", file, column) for file, column in sorted(dropped) if _lacks(files, file, column)]
    problems += [
        Problem(f"{file} {column}", "dropped and used", "a column is one or the other", "take it out of [[drop]]")
        for file, column in sorted(dropped & used)
    ]
    return problems + [
        Problem(
            f"{name} {column}", "not mentioned", "every column is used, or dropped with a reason", "add it to [[drop]]"
        )
        for name, frame in files.items()
        for column in frame.columns
        if (name, str(column)) not in used | dropped
    ]


def _needed(part: Part) -> set[tuple[str, str]]:
    """The columns of files that a part reads."""
    brought = {name for join in part.join for name in join.columns.values()}
    made = {part.unpivot.name, part.unpivot.value} if part.unpivot else set()
    own = {column for spec in part.columns.values() for column in spec.columns()} - brought - made
    own |= {rule.column for rule in part.drop_rows} - brought
    own |= {column for join in part.join for column in join.on} - brought
    own |= set(part.unpivot.columns) - brought if part.unpivot else set()
    joined = {(join.file, column) for join in part.join for column in (*join.on.values(), *join.columns)}
    return {(file, column) for file in part.files for column in own} | joined


def _lacks(files: Files, file: str, column: str) -> bool:
    return file in files and column not in files[file].columns


def _no_column(place: str, file: str, column: str) -> Problem:
    return Problem(place, f"{column!r}", f"{file} has no such column", "mend the name")


def _unknown_targets(part: Part, place: str, known: tuple[str, ...]) -> list[Problem]:
    wanted = [*part.columns, *(part.deduplicate.by if part.deduplicate else ())]
    return [
        Problem(f"{place} columns", column, "no such column in the contract", "mend the name, or declare the column")
        for column in dict.fromkeys(wanted)
        if column not in known
    ]


def _build(plan: MappingFile, files: Files) -> tuple[Dataset, dict[str, Any], list[Problem]]:
    """The dataset as far as the files allow, what became of the rows, and every cell that could not be made."""
    shell = Dataset(plan.dataset)
    frames: dict[str, pd.DataFrame] = {}
    problems: list[Problem] = []
    left_out: list[dict[str, Any]] = []
    for table in (name for name in TABLES if name in plan.table):
        contract = shell.contract(table)
        fitting = [part for part in plan.table[table] if _can_be_read(part, files)]
        made = [_part(_fitting(part, files, contract.names), files, table) for part in fitting]
        problems += [problem for _, found, _ in made for problem in found]
        left_out += [line for _, _, lines in made for line in lines]
        if made:
            frames[table], found = parse(contract, pd.concat([m[0] for m in made], ignore_index=True))
            wanted = {f"{table}.{target}" for part in plan.table[table] for target in part.columns}
            problems += [p for p in found if p.where not in wanted]  # a wanted column that is not made is a misfit
    report = {
        "tables": {name: len(frame) for name, frame in frames.items()},
        "rows_left_out": left_out,
        "columns_left_out": [drop.model_dump(mode="json") for drop in plan.drop],
    }
    return Dataset(plan.dataset, frames), report, problems


def _can_be_read(part: Part, files: Files) -> bool:
    """Whether the files have all that decides which rows the part gives."""
    rows = _needed(part.model_copy(update={"columns": {}}))
    named = {*part.files, *(join.file for join in part.join)}
    return named <= files.keys() and not any(_lacks(files, file, column) for file, column in rows)


def _fitting(part: Part, files: Files, known: tuple[str, ...]) -> Part:
    """The part with the columns that the contract knows and the files can give; the others are misfits."""
    columns = {
        target: spec
        for target, spec in part.columns.items()
        if target in known
        and not any(_lacks(files, *c) for c in _needed(part.model_copy(update={"columns": {target: spec}})))
    }
    once = part.deduplicate if part.deduplicate and set(part.deduplicate.by) <= columns.keys() else None
    return part.model_copy(update={"columns": columns, "deduplicate": once})


def _part(part: Part, files: Files, table: str) -> tuple[pd.DataFrame, list[Problem], list[dict[str, Any]]]:
    place = " + ".join(part.files)
    frame = pd.concat([files[file] for file in part.files], ignore_index=True)
    frame[ROW] = range(1, len(frame) + 1)
    left_out: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for join in part.join:
        frame, found = _joined(frame, join, files[join.file], left_out, table)
        problems += found
    for rule in part.drop_rows:
        frame = _kept(frame, rule, left_out, table, place)
    if part.unpivot:
        frame = _long(frame, part, left_out, table, place)
    built = {target: build_column(spec, frame, place, target) for target, spec in part.columns.items()}
    problems += [problem for _, found in built.values() for problem in found]
    out = pd.DataFrame({target: values for target, (values, _) in built.items()}, index=frame.index)
    if part.deduplicate:
        repeated = out.duplicated(list(part.deduplicate.by), keep=part.deduplicate.keep)
        left_out += _note(table, place, int(repeated.sum()), part.deduplicate.reason)
        out = out[~repeated]
    return out, problems, left_out


def _joined(
    frame: pd.DataFrame, join: Join, other: pd.DataFrame, left_out: list[dict[str, Any]], table: str
) -> tuple[pd.DataFrame, list[Problem]]:
    keys = list(join.on.values())
    if other.duplicated(keys).any():
        row = int(other.duplicated(keys).to_numpy().argmax()) + 1
        return frame.assign(**dict.fromkeys(join.columns.values())), [
            Problem(
                f"{join.file} row {row}", ", ".join(keys), "a joined file has one row for each value", "join by more"
            )
        ]
    taken = other[[*keys, *join.columns]].set_index(keys)[list(join.columns)].rename(columns=dict(join.columns))
    mine = pd.MultiIndex.from_frame(frame[list(join.on)]) if len(keys) > 1 else pd.Index(frame[next(iter(join.on))])
    found = mine.isin(taken.index)
    frame = frame.assign(**{name: taken[name].reindex(mine).to_numpy() for name in taken.columns})
    if join.unmatched == "drop":
        left_out += _note(table, join.file, int((~found).sum()), "no partner in the joined file")
        frame = frame[found].reset_index(drop=True)
    return frame, []


def _kept(frame: pd.DataFrame, rule: DropRows, left_out: list[dict[str, Any]], table: str, place: str) -> pd.DataFrame:
    values = frame[rule.column]
    drop = values.isna() if rule.is_empty else values.isin(list(rule.is_in))
    left_out += _note(table, place, int(drop.sum()), rule.reason)
    return frame[~drop].reset_index(drop=True)


def _long(frame: pd.DataFrame, part: Part, left_out: list[dict[str, Any]], table: str, place: str) -> pd.DataFrame:
    assert part.unpivot is not None
    wide = part.unpivot
    others = [column for column in frame.columns if column not in wide.columns]
    long = frame.melt(others, list(wide.columns), var_name=wide.name, value_name=wide.value)
    long[wide.name] = long[wide.name].map(dict(wide.columns))
    empty = long[wide.value].isna()
    left_out += _note(table, place, int(empty.sum()), f"no {wide.value} to unpivot")
    return long[~empty].sort_values(ROW, kind="stable").reset_index(drop=True)


def _note(table: str, file: str, rows: int, reason: str) -> list[dict[str, Any]]:
    return [{"table": table, "file": file, "rows": rows, "reason": reason}] if rows else []
