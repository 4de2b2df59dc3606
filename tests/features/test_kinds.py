"""Which kinds of clients a model can be new to, and when it is."""

import numpy as np

from features.columns import Columns
from features.kinds import FEW, enough, kinds_of, new_to
from features.rows import CLIENT_KINDS


def clients(**columns: list[object]) -> Columns:
    size = len(next(iter(columns.values())))
    return Columns.of(columns, CLIENT_KINDS, size).with_numbers(year=np.full(size, 2026.0))


def test_a_kind_counts_as_seen_from_thirty_on() -> None:
    rows = clients(problems=["anxiety"] * FEW + ["gambling|anxiety"] * (FEW - 1))
    assert enough(rows)["problem"] == ("anxiety",)


def test_a_kind_that_is_on_record_of_nobody_says_nothing() -> None:
    seen = enough(clients(problems=["anxiety"] * FEW))
    assert set(seen) == {"problem"}
    assert new_to(seen, clients(problems=["anxiety"], languages=["so"])) == []


def test_a_client_of_none_of_the_kinds_seen_is_new() -> None:
    seen = {"language": ("en", "es"), "problem": ("anxiety",), "age_group": ("adult",), "care_level": ()}
    new = clients(languages=["so"], problems=["gambling"], birth_year=[2012.0], care_level=["inpatient"])
    assert new_to(seen, new) == ["age_group", "language", "problem", "care_level"]


def test_what_is_not_known_of_a_client_makes_nobody_new() -> None:
    assert new_to({"language": ("en",), "problem": ("anxiety",), "age_group": ("adult",)}, clients(payer=["x"])) == []


def test_one_language_that_was_seen_is_enough_and_regions_are_spoken_alike() -> None:
    assert new_to({"language": ("en",)}, clients(languages=["so|en-GB"])) == []


def test_whose_birthday_decides_is_in_both_groups() -> None:
    (groups,) = kinds_of(clients(birth_year=[2008.0]))["age_group"]
    assert set(groups) == {"adolescent", "adult"}
    assert new_to({"age_group": ("adult",)}, clients(birth_year=[2008.0])) == []


def test_the_main_language_stands_first() -> None:
    (words,) = kinds_of(clients(languages=["es|en"]))["language"]
    assert words[0] == "es"
