"""Cells as people read them and as spreadsheets open them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.audit.document import Cell, Column, Estimate, Table
from training.report.cells import csv_of, minus, safe, shown

COLUMN = Column(name="gain", label="Gain", unit="SD", digits=2)


def table(*cells: Cell) -> Table:
    return Table(id="one", title="One", columns=(COLUMN,), rows=tuple((cell,) for cell in cells))


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (None, "–"),
        ("cbt", "cbt"),
        (1234, "1,234"),
        (0.126, "0.13"),
        (-0.126, "−0.13"),
        (-0.001, "0.00"),
        (float("nan"), "–"),
        (Estimate(value=0.12, low=-0.05, high=0.19), "0.12 (−0.05 to 0.19)"),
        (Estimate(value=0.12), "0.12"),
    ],
)
def test_a_cell_reads_as_people_write_it(cell: Cell, words: str):
    assert shown(cell, COLUMN) == words


def test_only_a_figure_below_zero_gets_a_minus_sign():
    assert (
        minus("-0.2 (-0.3 to -0.1) on 2026-09-30 by t-12, PHQ-9") == "−0.2 (−0.3 to −0.1) on 2026-09-30 by t-12, PHQ-9"
    )


@given(st.text(max_size=12))
def test_no_text_is_a_formula_to_a_spreadsheet(text: str):
    written = safe(text)
    assert written in (text, f"'{text}")
    if written == text and text:
        assert text[0] not in "=@\t\r\n"
        assert text[0] not in "+-" or float(text) is not None


def test_a_figure_below_zero_stays_a_figure():
    assert safe("-0.25") == "-0.25"
    assert safe("-1+1") == "'-1+1"


@given(st.lists(st.one_of(st.none(), st.text(max_size=8), st.integers(-9, 9)), min_size=1, max_size=6))
def test_the_csv_has_a_line_for_each_row_whatever_stands_in_it(cells: list[Cell]):
    rows = list(csv.reader(io.StringIO(csv_of(table(*cells)), newline="")))
    assert [row[0] for row in rows[1:]] == [
        "" if c is None else safe(c) if isinstance(c, str) else str(c) for c in cells
    ]


def test_an_estimate_takes_three_columns_and_its_neighbours_leave_two_empty():
    found = csv_of(table(Estimate(value=0.5, low=0.25, high=0.75), "few", None)).splitlines()
    assert found == ["gain,gain_low,gain_high", "0.5,0.25,0.75", "few,,", ",,"]
