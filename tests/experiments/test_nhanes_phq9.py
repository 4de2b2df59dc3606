"""The scoring gives the figures published for a public survey."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from data.errors import NotFoundError
from experiments.nhanes_phq9 import FILE, cronbach_alpha, major_depression_algorithm, run, table

REAL = Path(os.environ.get("THERAPIST_FIT_REAL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


@pytest.fixture(scope="module")
def result():
    if not (REAL / FILE).is_file():
        pytest.skip(f"{REAL / FILE} is missing: real data are not part of the repository")
    return run(REAL)


def test_every_published_figure_comes_out(result):
    expected = json.loads((REAL / "expected.json").read_text())["nhanes_phq9"]
    assert {name: result[name] for name in expected} == expected


def test_of_the_incomplete_rows_fifteen_prorate(result):
    assert (result["partial"], result["partial_prorated"]) == (25, 15)


def test_the_table_shows_every_figure(result):
    console = Console(width=200)
    with console.capture() as shown:
        console.print(table(result))
    for part in ("diagnostic_algorithm_major", "213", "20-27: 43", "DPQ100"):
        assert part in shown.get()


def test_a_folder_without_the_survey_is_named(tmp_path: Path):
    with pytest.raises(NotFoundError, match="nhanes_2017_2018_dpq"):
        run(tmp_path)


def test_alpha_is_one_for_items_that_agree():
    assert cronbach_alpha(np.array([[0.0] * 9, [1.0] * 9, [3.0] * 9])) == pytest.approx(1)


def test_the_count_of_criteria_needs_five_and_one_of_the_first_two():
    def met(*items: int) -> bool:
        answers = np.zeros((1, 9))
        answers[0, [i - 1 for i in items]] = 2
        return bool(major_depression_algorithm(answers)[0])

    assert met(1, 3, 4, 5, 6)
    assert not met(1, 3, 4, 5)
    assert not met(3, 4, 5, 6, 7)


def test_the_ninth_item_counts_from_one():
    answers = np.array([[2, 2, 2, 2, 0, 0, 0, 0, 1.0]])
    assert major_depression_algorithm(answers).all()
    assert not major_depression_algorithm(np.array([[2, 2, 2, 2, 0, 0, 0, 1, 0.0]])).any()
