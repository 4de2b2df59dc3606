"""The closed set of operations by which a mapping file makes a column of the contract from columns of a file."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from data.errors import Problem
from data.mapping import ColumnSource, Scalar
from data.parsing import SHOWN

ROW = "\0row"
"""The working frame's column with the row's number in its file; no file can have a column of this name."""


def build_column(spec: ColumnSource, frame: pd.DataFrame, place: str, target: str) -> tuple[pd.Series, list[Problem]]:
    """One column of the contract as text or numbers, and every cell that could not be made. `place` names the file."""
    raw, problems = _origin(spec, frame, place)
    if spec.separator:
        raw, found = _elements(spec, raw, frame, place, target)
    else:
        raw, found = _mapped(spec, raw, frame, place, target)
    problems += found
    if spec.is_number():
        raw, found = _numbers(raw, frame, place, target)
        raw = raw * spec.scale + spec.offset
        raw = raw.clip(*spec.clip) if spec.clip else raw
        problems += found
    if spec.date_format:
        raw, found = _days(spec, raw, frame, place, target)
        problems += found
    if spec.prefix:
        raw = spec.prefix + raw.astype("str").where(raw.notna())
    return raw, problems


def _origin(spec: ColumnSource, frame: pd.DataFrame, place: str) -> tuple[pd.Series, list[Problem]]:
    if spec.source is not None:
        return frame[spec.source], []
    if spec.row_id is not None:
        return spec.row_id + frame[ROW].astype("str").str.zfill(len(str(frame[ROW].max()))), []
    if spec.words_in is not None:
        return frame[spec.words_in].str.split().str.len().astype("float64"), []
    if spec.if_known is not None:
        known = frame[spec.if_known].notna()
        return _filled(frame, spec.then).where(known, _filled(frame, spec.otherwise)), []
    if spec.constant is not None:
        return _filled(frame, spec.constant), []
    return _computed(spec, frame, place)


def _filled(frame: pd.DataFrame, value: Scalar | None) -> pd.Series:
    return pd.Series(np.nan if value is None else str(value), index=frame.index, dtype="str")


def _computed(spec: ColumnSource, frame: pd.DataFrame, place: str) -> tuple[pd.Series, list[Problem]]:
    read = {name: _numbers(frame[name], frame, place, name) for name in spec.columns()}
    problems = [problem for _, found in read.values() for problem in found]
    if spec.difference:
        first, second = (read[name][0] for name in spec.difference)
        return first - second, problems
    return pd.concat([read[name][0] for name in spec.mean], axis=1).mean(axis=1, skipna=False), problems


def _mapped(
    spec: ColumnSource, raw: pd.Series, frame: pd.DataFrame, place: str, target: str
) -> tuple[pd.Series, list[Problem]]:
    if not spec.values and not spec.lower:
        return raw, []
    text = raw.astype("str").where(raw.notna())
    text = text.str.lower() if spec.lower else text
    if not spec.values:
        return text, []
    listed = text.isin(list(spec.values))
    mapped = text.map(dict(spec.values)).where(listed, text if spec.unmapped == "keep" else np.nan)
    mapped = mapped.where(mapped != "")
    bad = text.notna() & ~listed if spec.unmapped == "refuse" else text.isna() & False
    rule = f"no new value is given for it ({target})"
    return mapped, _cells(frame, place, raw, bad, rule, 'add it to values, or set unmapped = "keep" or "unknown"')


def _elements(
    spec: ColumnSource, raw: pd.Series, frame: pd.DataFrame, place: str, target: str
) -> tuple[pd.Series, list[Problem]]:
    parts = raw.str.split(spec.separator).explode().str.strip()
    parts = parts[parts.notna() & (parts != "")]
    rows = frame.loc[parts.index].reset_index(drop=True)
    mapped, problems = _mapped(spec, parts.reset_index(drop=True), rows, place, target)
    mapped.index = parts.index
    joined = mapped.dropna().groupby(level=0).agg(lambda found: "|".join(dict.fromkeys(found)))
    return joined.reindex(raw.index), problems


def _numbers(raw: pd.Series, frame: pd.DataFrame, place: str, target: str) -> tuple[pd.Series, list[Problem]]:
    values = pd.to_numeric(raw, errors="coerce").astype("float64")
    bad = raw.notna() & ~np.isfinite(values)
    return values, _cells(frame, place, raw, bad, f"must be a number ({target})", "map the value, or drop the row")


def _days(
    spec: ColumnSource, raw: pd.Series, frame: pd.DataFrame, place: str, target: str
) -> tuple[pd.Series, list[Problem]]:
    days = pd.to_datetime(raw, format=spec.date_format, errors="coerce")
    rule = f"must be a day written {spec.date_format} ({target})"
    return days.dt.strftime("%Y-%m-%d"), _cells(frame, place, raw, raw.notna() & days.isna(), rule, "mend date_format")


def _cells(frame: pd.DataFrame, place: str, values: pd.Series, bad: pd.Series, rule: str, step: str) -> list[Problem]:
    """One problem for each value that fails, with the first row that has it: a source repeats its mistakes."""
    wrong = values[bad].astype("str")
    first = wrong.drop_duplicates()
    counts = wrong.value_counts()
    found = [
        Problem(f"{place} row {row}", f"{value!r} ({counts[value]} rows)", rule, step)
        for value, row in _with_rows(first[:SHOWN], frame)
    ]
    more = len(first) - SHOWN
    return found + ([Problem(place, f"{more} more values", rule, step)] if more > 0 else [])


def _with_rows(values: pd.Series, frame: pd.DataFrame) -> Iterable[tuple[str, int]]:
    return zip(values, frame.loc[values.index, ROW], strict=True)
