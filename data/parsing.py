"""Turns raw cells (CSV text, Parquet values) into the dtypes of `tables`, and reports every cell that cannot be."""

import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from data.errors import Problem
from data.tables import DEFAULTS, DTYPES, Column, Table

SHOWN = 20  # problems of one rule in one column that are listed one by one; the rest are counted
WIDEST = 60  # characters of a cell that a message repeats
_EXACT = 2.0**53  # beyond it, floats skip whole numbers
_TRUE_FALSE = {"true": True, "false": False}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_OFFSET = re.compile(r"(?:Z|[+-]\d{2}:?\d{2})$")


def parse(table: Table, raw: pd.DataFrame) -> tuple[pd.DataFrame, list[Problem]]:
    """The frame with the table's dtypes, and one problem per cell that cannot be read.

    Rows keep the order and number of the file (row 1 is the first below the header). Unreadable cells become
    unknown, so that later rules can still be checked. Columns the table does not know are left out and reported.
    """
    problems = [_unknown(table, name) for name in raw.columns if name not in table.names]
    parsed: dict[str, pd.Series] = {}
    for column in table.columns:
        if column.name in raw.columns:
            values, bad, rule = _PARSERS[column.kind](raw[column.name])
            parsed[column.name] = values
            problems += cell_problems(table.name, column.name, raw[column.name], bad, rule)
        elif column.required:
            problems.append(
                Problem(
                    f"{table.name}.{column.name}", "no such column", "is required", f"add the column: {column.meaning}"
                )
            )
    frame = pd.DataFrame(parsed, index=pd.RangeIndex(len(raw)))
    for name, default in DEFAULTS.get(table.name, {}).items():
        frame[name] = (
            frame[name].fillna(default) if name in frame else pd.Series(default, index=frame.index, dtype="str")
        )
    return frame, problems


def cell_problems(
    table: str, column: str, values: pd.Series, bad: np.ndarray, rule: str, step: str = ""
) -> list[Problem]:
    """One problem per bad cell, the first `SHOWN` by row, the rest as one count."""
    rows = np.flatnonzero(bad)
    name = f" {column}" if column else ""
    found = [Problem(f"{table} row {row + 1}{name}", _shown(values.iloc[row]), rule, step) for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        found.append(Problem(f"{table}{name}", f"{len(rows) - SHOWN} more rows", rule, step))
    return found


def _shown(value: object) -> str:
    text = repr(_plain(value))
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}... ({len(text) - 2} characters)"


def _plain(value: object) -> object:
    return "" if value is None or value is pd.NA or value != value else getattr(value, "item", lambda: value)()


def _unknown(table: Table, name: str) -> Problem:
    return Problem(
        f"{table.name}.{name}",
        "unknown column",
        "only columns of the data contract, or declared in dataset.toml, are read",
        f"declare [column.{table.name}.{name}], or leave it out",
    )


_Parsed = tuple[pd.Series, np.ndarray, str]


def _text(raw: pd.Series) -> pd.Series:
    text = raw.astype("str").str.strip()
    return text.where(raw.notna() & (text != ""), np.nan).astype("str")


def _as_text(raw: pd.Series) -> _Parsed:
    return _text(raw), np.zeros(len(raw), bool), ""


def _as_list(raw: pd.Series) -> _Parsed:
    if raw.map(lambda cell: isinstance(cell, list | tuple | np.ndarray)).any():
        raw = raw.map(lambda cell: "|".join(map(str, cell)) if isinstance(cell, list | tuple | np.ndarray) else cell)
    return _text(raw), np.zeros(len(raw), bool), ""


def _as_number(raw: pd.Series) -> _Parsed:
    if pd.api.types.is_numeric_dtype(raw.dtype) and not pd.api.types.is_bool_dtype(raw.dtype):
        values = raw.astype("float64")
    else:
        values = pd.to_numeric(_text(raw), errors="coerce").astype("float64")
    infinite = np.isinf(values.to_numpy())
    bad = (_text(raw).notna() & values.isna()).to_numpy() | infinite
    return values.mask(infinite), bad, "must be a number"


def _as_integer(raw: pd.Series) -> _Parsed:
    values, bad, _ = _as_number(raw)
    broken = (values.notna() & ((values != values.round()) | (values.abs() > _EXACT))).to_numpy()
    return values.mask(broken).astype("Int64"), bad | broken, "must be a whole number"


def _as_boolean(raw: pd.Series) -> _Parsed:
    if pd.api.types.is_bool_dtype(raw.dtype):
        return raw.astype("boolean"), np.zeros(len(raw), bool), ""
    text = _text(raw)
    values = text.str.lower().map(_TRUE_FALSE).astype("boolean")
    return values, (text.notna() & values.isna()).to_numpy(), "must be true or false"


def _as_date(raw: pd.Series) -> _Parsed:
    if isinstance(raw.dtype, pd.DatetimeTZDtype):
        raw = raw.dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(raw.dtype):
        return raw.astype("datetime64[us]").dt.normalize(), np.zeros(len(raw), bool), ""
    text = _text(raw)
    well_formed = text.str.fullmatch(_DATE).fillna(False).astype(bool)
    values = pd.to_datetime(text.where(well_formed), format="%Y-%m-%d", errors="coerce").astype("datetime64[us]")
    return values, (text.notna() & values.isna()).to_numpy(), "must be a day written YYYY-MM-DD"


def _as_moment(raw: pd.Series) -> _Parsed:
    if isinstance(raw.dtype, pd.DatetimeTZDtype):
        return raw.astype(DTYPES["moment"]), np.zeros(len(raw), bool), ""
    text = _text(raw)
    zoned = text.str.contains(_OFFSET).fillna(False).astype(bool)
    values = pd.to_datetime(text.where(zoned), format="ISO8601", utc=True, errors="coerce").astype(DTYPES["moment"])
    return (
        values,
        (text.notna() & values.isna()).to_numpy(),
        "must be a time with its offset, such as 2026-01-31T09:00+00:00",
    )


_PARSERS: dict[str, Callable[[pd.Series], _Parsed]] = {
    "id": _as_text, "code": _as_text, "tag": _as_text, "text": _as_text,
    "codes": _as_list, "tags": _as_list,
    "integer": _as_integer, "number": _as_number, "boolean": _as_boolean,
    "date": _as_date, "moment": _as_moment,
}  # fmt: skip


def empty(column: Column, rows: int) -> pd.Series:
    """A column of unknowns with the column's dtype."""
    return pd.Series(index=pd.RangeIndex(rows), dtype=DTYPES[column.kind])
