"""What is in a dataset, as numbers: enough to see what can be learned from it, never enough to find a person."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from data.checking import answered
from data.checking_dates import HAPPENED
from data.dataset import Dataset
from data.instruments import TOTAL
from data.manifest import RULES
from data.totals import totals

SMALLEST_GROUP = 5
"""Groups below this size are not broken down."""
UNDATED = "no dates: split by client and by therapist only; not tested forward in time"


def describe(dataset: Dataset) -> dict[str, Any]:
    """The dataset in numbers, ready for JSON.

    tables: rows, and the share of unknown cells in each column that the file has. span: first and last day.
    endings: episodes by ending. measures: totals by instrument and session; pairs: episodes with a total at intake
    and a later one. care_only, learning_opt_out: clients and therapists whose data learning must leave out.
    rules: the hard rules declared, and of all those that the columns could answer. Groups of fewer than five are
    put together as "fewer than 5 each".
    """
    manifest, measures = dataset.manifest, totals(dataset["measures"])
    measures = measures[measures["item"] == TOTAL]
    return {
        "name": manifest.name,
        "as_of": manifest.as_of.isoformat() if manifest.as_of else None,
        "synthetic": manifest.synthetic,
        "note": UNDATED if manifest.undated else "",
        "fingerprint": dataset.fingerprint(),
        "tables": {name: _table(frame) for name, frame in dataset.frames.items()},
        "span": _span(dataset),
        "endings": _counts(dataset["episodes"]["ending"].fillna("unknown")),
        "measures": {
            str(name): _counts(rows["session"].sort_values(), in_order=True)
            for name, rows in measures.groupby("instrument")
        },
        "pairs": _pairs(measures),
        "care_only": int((dataset["clients"]["data_use"] == "care_only").sum()),
        "learning_opt_out": _opted_out(dataset["therapists"]),
        "rules": list(manifest.rules),
        "rules_answerable": [rule for rule in RULES if answered(dataset, rule)],
    }


def _table(frame: pd.DataFrame) -> dict[str, Any]:
    unknown = frame.isna().mean().round(4)
    return {"rows": len(frame), "unknown": {str(column): float(share) for column, share in unknown.items()}}


def _span(dataset: Dataset) -> dict[str, list[str]]:
    return {
        f"{name}.{column}": [f"{days.min():%Y-%m-%d}", f"{days.max():%Y-%m-%d}"]
        for name, columns in HAPPENED.items()
        for column in columns
        if name in dataset.frames and column in dataset.frames[name]
        if len(days := dataset.frames[name][column].dropna())
    }


def _counts(values: pd.Series, in_order: bool = False) -> dict[str, int]:
    counts = values.value_counts(sort=not in_order)
    large = counts[counts >= SMALLEST_GROUP]
    small = int(counts.sum() - large.sum())
    shown = {str(value): int(n) for value, n in large.items()}
    return shown | ({f"fewer than {SMALLEST_GROUP} each": small} if small else {})


def _pairs(measures: pd.DataFrame) -> dict[str, int]:
    by_rater = measures.dropna(subset="value").groupby(["instrument", "episode_id", "rater"])["session"]
    ends = by_rater.agg(["min", "max"])
    both = ends[(ends["min"] == 0) & (ends["max"] > 0)].reset_index().drop_duplicates(["instrument", "episode_id"])
    every = dict.fromkeys(sorted(measures["instrument"].dropna().unique()), 0)
    return every | {str(name): int(n) for name, n in both["instrument"].value_counts().items()}


def _opted_out(therapists: pd.DataFrame) -> int:
    opted = therapists.loc[therapists["learning_opt_out"].fillna(False).astype(bool), "therapist_id"]
    return int(opted.nunique())


def lines(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts as (what, value) lines for people to read; unknown shares only where something is unknown."""
    out = [("dataset", str(facts["name"])), ("as of", str(facts["as_of"] or "-")), ("note", str(facts["note"] or "-"))]
    if facts["synthetic"]:
        out.append(("synthetic", "yes: invented people"))
    for name, table in facts["tables"].items():
        unknown = ", ".join(f"{column} {share:.0%}" for column, share in table["unknown"].items() if share)
        out.append((name, f"{table['rows']} rows" + (f"; unknown: {unknown}" if unknown else "")))
    out += [(column, " to ".join(days)) for column, days in facts["span"].items()]
    out.append(("endings", _listed(facts["endings"])))
    out += [(f"{name} by session", _listed(sessions)) for name, sessions in facts["measures"].items()]
    out += [(f"{name} at intake and later", f"{n} episodes") for name, n in facts["pairs"].items()]
    out.append(("care only", f"{facts['care_only']} clients, left out of learning"))
    out.append(("learning opt-out", f"{facts['learning_opt_out']} therapists, predicted from their profile only"))
    out.append(("hard rules declared", ", ".join(facts["rules"]) or "none"))
    out.append(("hard rules the data can answer", ", ".join(facts["rules_answerable"])))
    return out


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items()) or "none"
