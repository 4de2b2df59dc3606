"""The data contract as pandera schemas: one per table, built from `data.tables`.

Importing this module imports pandera (slow): only checking does.
"""

from collections.abc import Callable, Iterator

import pandas as pd
import pandera.pandas as pa

from data.errors import Problem
from data.parsing import cell_problems
from data.tables import CODE_PATTERN, DTYPES, ID_PATTERN, TAG_PATTERN, Column, Table

_PATTERNS = {
    "id": (ID_PATTERN, "must be a pseudonym: 1 to 64 letters, digits, dots, dashes, colons, with at least one digit"),
    "code": (CODE_PATTERN, "must be a code of a-z, 0-9, '_', '.', '-'"),
    "tag": (rf"(?!.*@){TAG_PATTERN}", "must be a short tag of at most 64 characters, without '|', '@' or line breaks"),
    "text": (r"[^\r\n]*", "must be one line"),
    "codes": (rf"{CODE_PATTERN}(\|{CODE_PATTERN})*", "must be codes of a-z, 0-9, '_', '.', '-', joined by '|'"),
    "tags": (rf"(?!.*@){TAG_PATTERN}(\|{TAG_PATTERN})*", "must be short tags without '@', joined by '|'"),
}
_REQUIRED = "is required"
_STEPS = {
    _PATTERNS["id"][1]: "replace it by a pseudonym; names, addresses and free text are refused",
    _REQUIRED: "fill the cell, or take the row out",
}


def schema(table: Table) -> pa.DataFrameSchema:
    """The table's columns with their dtypes, which may be unknown, and the rules of their values.

    Validates frames in the dtypes of `data.tables`, as `data.dataset.read` gives them; columns the table does not
    have are refused, optional ones may be missing.
    """
    columns = {
        column.name: pa.Column(
            DTYPES[column.kind], list(_checks(column)), nullable=not column.required, required=column.required
        )
        for column in table.columns
    }
    return pa.DataFrameSchema(columns, strict=True, name=table.name)


def column_problems(table: Table, frame: pd.DataFrame) -> list[Problem]:
    """Every cell that breaks a rule of its column, by row. Missing columns are the parser's to report."""
    try:
        schema(table).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        failures = error.failure_cases[error.failure_cases["index"].notna()]
        return [
            problem
            for (column, check), rows in failures.groupby(["column", "check"], sort=False)["index"]
            for problem in _by_cell(table, frame, str(column), str(check), rows)
        ]
    return []


def _by_cell(table: Table, frame: pd.DataFrame, column: str, check: str, rows: pd.Series) -> list[Problem]:
    rule = _REQUIRED if check == "not_nullable" else check
    bad = frame.index.isin(rows.astype("int64"))
    return cell_problems(table.name, column, frame[column], bad, rule, _STEPS.get(rule, ""))


def _checks(column: Column) -> Iterator[pa.Check]:
    if column.kind in _PATTERNS:
        pattern, rule = _PATTERNS[column.kind]
        yield _rule(lambda values: values.str.fullmatch(pattern).fillna(True).astype(bool), rule)
    if column.allowed:
        yield _rule(lambda values: _all_in(values, column.allowed), f"must be one of {', '.join(column.allowed)}")
    low, high = column.low, column.high
    if low is not None or high is not None:
        yield _rule(
            lambda values: values.between(*_ends(low, high)).fillna(True).astype(bool), f"must be {_span(low, high)}"
        )


def _rule(holds: Callable[[pd.Series], pd.Series], rule: str) -> pa.Check:
    return pa.Check(holds, error=rule, ignore_na=True)


def _all_in(values: pd.Series, allowed: tuple[str, ...]) -> pd.Series:
    fine = {value: set(value.split("|")) <= set(allowed) for value in values.dropna().unique()}
    return values.map(fine).fillna(True).astype(bool)


def _ends(low: float | None, high: float | None) -> tuple[float, float]:
    return (float("-inf") if low is None else low), (float("inf") if high is None else high)


def _span(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
