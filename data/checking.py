"""Does a dataset keep the contract? Every problem, by table, row, column and rule, in one pass, stopping at none."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from data.checking_dates import date_problems
from data.checking_measures import measure_problems
from data.dataset import Dataset, read_leniently
from data.errors import Problem
from data.manifest import ANSWERED_BY, MANIFEST
from data.parsing import cell_problems
from data.tables import TABLES


def check(folder: Path | str) -> list[Problem]:
    """All problems of the dataset in `folder`; none means that it may be trained on and served.

    At most 20 cells are listed one by one for each rule of a column, the rest are counted in one line.
    Raises NotFoundError if there is no dataset at all.
    """
    dataset, unreadable = read_leniently(folder)
    return [*unreadable, *_less(check_dataset(dataset), unreadable)]


def check_dataset(dataset: Dataset) -> list[Problem]:
    """All problems of tables that could be read: columns, keys, references, dates, measures, rules."""
    from data.schemas import column_problems

    problems = [p for name, f in dataset.frames.items() for p in column_problems(dataset.contract(name), f)]
    problems += [p for name, frame in dataset.frames.items() for p in _repeated_keys(name, frame)]
    problems += _dangling(dataset)
    problems += _waiting_with_therapist(dataset)
    problems += date_problems(dataset)
    problems += measure_problems(dataset)
    problems += _rules_without_data(dataset)
    return problems


def _less(found: Iterable[Problem], unreadable: list[Problem]) -> list[Problem]:
    """Without what follows only from cells and rows that could not be read: those are reported already."""
    places = {p.where for p in unreadable}
    return [
        p
        for p in found
        if (p.where not in places or p.rule != "is required") and p.where.rpartition(" ")[0] not in places
    ]


def _repeated_keys(name: str, frame: pd.DataFrame) -> list[Problem]:
    table = TABLES[name]
    if any(table[column].required and column not in frame for column in table.key):
        return []
    key = [column for column in table.key if column in frame]
    whole = frame[[column for column in key if table[column].required]].notna().all(axis=1)
    repeated = (frame.duplicated(key) & whole).to_numpy(bool)
    shown = frame[key].astype("str").agg(" ".join, axis=1) if repeated.any() else frame[key[0]]
    rule = f"the key ({', '.join(table.key)}) must be unique"
    return cell_problems(name, key[0], shown, repeated, rule, "keep one of the rows that share it")


def _dangling(dataset: Dataset) -> list[Problem]:
    found: list[Problem] = []
    for name, frame in dataset.frames.items():
        for column, target in TABLES[name].references.items():
            if column in frame and target in dataset.frames and column in dataset.frames[target]:
                known = set(dataset.frames[target][column].dropna())
                bad = (frame[column].notna() & ~frame[column].isin(known)).to_numpy(bool)
                found += cell_problems(name, column, frame[column], bad, f"must be in {target}", f"add it to {target}")
    return found


def _waiting_with_therapist(dataset: Dataset) -> list[Problem]:
    episodes = dataset["episodes"]
    bad = ((episodes["ending"] == "waiting") & episodes["therapist_id"].notna()).fillna(False).to_numpy(bool)
    rule = "a waiting episode has no therapist yet"
    return cell_problems(
        "episodes", "therapist_id", episodes["therapist_id"], bad, rule, "empty it, or mend the ending"
    )


def _rules_without_data(dataset: Dataset) -> list[Problem]:
    return [
        Problem(
            f"{MANIFEST} rules",
            rule,
            "needs data: " + " or ".join(f"{table}.{column}" for table, column in ANSWERED_BY[rule]),
            "add the column, or take the rule out",
        )
        for rule in dataset.manifest.rules
        if not answered(dataset, rule)
    ]


def answered(dataset: Dataset, rule: str) -> bool:
    """Whether the data has anything by which this hard rule can be judged."""
    needed = [columns for name, columns in ANSWERED_BY.items() if name == rule]
    if not needed:
        return True
    return any(
        table in dataset.frames and column in dataset.frames[table] and dataset.frames[table][column].notna().any()
        for table, column in needed[0]
    )
