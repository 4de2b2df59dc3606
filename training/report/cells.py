"""Cells of a table as people read them, and as CSV that a spreadsheet opens safely."""

import csv
import io
import math
import re
from collections.abc import Iterator, Sequence

from training.audit.document import Cell, Chart, Column, Estimate, Table

UNKNOWN = "–"
"""What is not known or not shown; the table's note says which."""
_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n")
_BELOW_ZERO = re.compile(r"(?<![\w.-])-(?=\d)")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def shown(cell: Cell, column: Column) -> str:
    """A cell in words: 0.12 (0.05 to 0.19) for an estimate with its interval."""
    if cell is None:
        return UNKNOWN
    if isinstance(cell, str):
        return minus(cell)
    if isinstance(cell, Estimate):
        ends = (cell.low, cell.high)
        known = [_number(end, column.digits) for end in ends if end is not None]
        value = _number(cell.value, column.digits)
        return f"{value} ({known[0]} to {known[1]})" if len(known) == len(ends) else value
    return _number(cell, column.digits)


def minus(words: str) -> str:
    """The words with minus signs before figures, at which a line does not break; days and names stay as they are."""
    return _BELOW_ZERO.sub("−", words)


def is_number(cell: Cell) -> bool:
    """Whether it stands to the right of its column, as figures do."""
    return isinstance(cell, Estimate | int | float)


def csv_of(part: Table | Chart) -> str:
    """The data of a table or a picture; an estimate takes three columns: value, low, high.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    wide = [any(isinstance(row[at], Estimate) for row in part.rows) for at in range(len(part.columns))]
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow([name for at, column in enumerate(part.columns) for name in _names(column, wide[at])])
    for row in part.rows:
        writer.writerow([value for at, cell in enumerate(row) for value in _values(cell, wide[at])])
    return written.getvalue()


def safe(text: str) -> str:
    """The text, never a formula."""
    return f"'{text}" if text.startswith(_RISKY) and not _NUMBER.fullmatch(text) else text


def _names(column: Column, wide: bool) -> Sequence[str]:
    name = safe(column.name)
    return (name, f"{name}_low", f"{name}_high") if wide else (name,)


def _values(cell: Cell, wide: bool) -> Iterator[str]:
    if isinstance(cell, Estimate):
        yield from (_exact(cell.value), _exact(cell.low), _exact(cell.high))
        return
    yield safe(cell) if isinstance(cell, str) else _exact(cell)
    if wide:
        yield from ("", "")


def _exact(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _number(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return UNKNOWN
    text = f"{value:,}" if isinstance(value, int) else f"{value + 0.0:,.{digits}f}"
    return text.replace("-", "−") if text.strip("-0.,") else text.lstrip("-")
