"""A file as text cells: what can be read of it, and every row, cell and name that cannot."""

import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from data.errors import DataError, Problem, unreadable
from data.parsing import cell_problems

_TABLE = "must be a CSV table in UTF-8"
_WHOLE_CELLS = "put a cell with a comma in quotes; leave nothing between two commas where a cell is unknown"


@dataclass(frozen=True)
class Raw:
    """Cells as they stand in a file; `problems` has what could not be taken over, by row (1 is below the header)."""

    frame: pd.DataFrame
    problems: list[Problem] = field(default_factory=list)
    ragged: frozenset[int] = frozenset()
    """Rows (1, 2, ...) with fewer or more cells than the header, whose cells may thus stand in a wrong column."""


def read_raw(path: Path, name: str) -> Raw:
    """The table in a CSV or Parquet file, called `name` in problems. Raises DataError if it is no table at all."""
    try:
        if path.suffix == ".parquet":
            with path.open("rb") as file:  # pandas would take a folder for a table in parts
                return Raw(pd.read_parquet(file))
        return _csv(path, name, path.read_bytes())
    except (pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        raise _no_table(path, str(error).strip()) from None
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError([unreadable(path, error)]) from None
        raise DataError([Problem(str(path), str(error), "must be a Parquet table", "write it anew")]) from None


def _csv(path: Path, name: str, content: bytes) -> Raw:
    """Empty cells are unknown, and so are cells that are not UTF-8 and those that a short row lacks."""
    text = content.decode("utf-8-sig", errors="surrogateescape")
    header, widths = _shape(text)
    _refuse(path, text, header, widths)
    ragged = np.flatnonzero(widths != len(header))
    foreign: dict[tuple[int, int], bytes] = {}
    if len(ragged) or not _is_utf8(text):
        text, foreign = _mended(text, len(header))
    frame = pd.read_csv(io.StringIO(text), dtype="str", keep_default_na=False, na_values=[""], index_col=False)
    problems = [
        *_doubled(name, header),
        *_ragged(name, ragged, widths, len(header)),
        *_foreign(name, header, foreign, len(widths)),
    ]
    first = [i for i, column in enumerate(header) if column not in header[:i]]
    return Raw(frame.iloc[:, first], problems, frozenset((ragged + 1).tolist()))


def _rows(text: str) -> Iterator[list[str]]:
    """The header and the rows; lines with nothing in them are no rows."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield from (row for row in csv.reader(io.StringIO(text, newline=None)) if len(row) > 1 or "".join(row).strip())
    finally:
        csv.field_size_limit(limit)


def _shape(text: str) -> tuple[list[str], np.ndarray]:
    rows = _rows(text)
    header = next(rows, [])
    return header, np.fromiter((len(row) for row in rows), dtype=np.int64)


def _refuse(path: Path, text: str, header: list[str], widths: np.ndarray) -> None:
    """Raises DataError where no single row is to blame."""
    if "\0" in text or not _is_utf8("".join(header)):
        raise _no_table(path, "is in another encoding")
    for separator in (";", "\t", "|"):
        if len(header) == 1 and separator in header[0]:
            shown = "tabs" if separator == "\t" else separator
            raise _no_table(path, f"looks separated by {shown}", "separate the cells by commas")
    if len(widths) and (widths > len(header)).all():
        raise _no_table(path, "rows have more cells than the header")
    if len(widths) and widths[-1] < len(header) and text.count('"') % 2:
        raise _no_table(path, f"the quote that opens in row {len(widths)} is never closed")


def _mended(text: str, width: int) -> tuple[str, dict[tuple[int, int], bytes]]:
    """The text with rows as wide as the header, and the cells that are not UTF-8 (row and column from 0) taken out."""
    foreign: dict[tuple[int, int], bytes] = {}
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    for number, row in enumerate(_rows(text), -1):
        cells = (row + [""] * width)[:width]
        for place, cell in enumerate(cells):
            if not _is_utf8(cell):
                foreign[number, place] = cell.encode("utf-8", errors="surrogateescape")
                cells[place] = ""
        writer.writerow(cells)
    return out.getvalue(), foreign


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _doubled(name: str, header: list[str]) -> list[Problem]:
    twice = dict.fromkeys(column for i, column in enumerate(header) if column and column in header[:i])
    rule = "a column has a name of its own"
    return [Problem(f"{name} header", f"column {c} stands twice", rule, "rename or remove one") for c in twice]


def _ragged(name: str, ragged: np.ndarray, widths: np.ndarray, width: int) -> list[Problem]:
    bad = np.zeros(len(widths), bool)
    bad[ragged] = True
    cells = pd.Series([f"{n} cells" for n in widths[ragged]], index=ragged, dtype="object").reindex(range(len(widths)))
    return cell_problems(name, "", cells, bad, f"must have as many cells as the header: {width}", _WHOLE_CELLS)


def _foreign(name: str, header: list[str], foreign: dict[tuple[int, int], bytes], rows: int) -> list[Problem]:
    found: list[Problem] = []
    for place in dict.fromkeys(place for _, place in foreign):
        cells = pd.Series({row: cell for (row, at), cell in foreign.items() if at == place}, dtype="object")
        bad = np.zeros(rows, bool)
        bad[cells.index] = True
        found += cell_problems(
            name, header[place], cells.reindex(range(rows)), bad, "must be in UTF-8", "mend the cell"
        )
    return found


def _no_table(path: Path, reason: str, step: str = "mend the file") -> DataError:
    return DataError([Problem(str(path), reason, _TABLE, step)])
