"""Whether each head's predictions and ranks came true: tables, and the picture of results by rank."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.audit.charts import chart, intervals
from training.audit.document import Cell, Chart, Column, Estimate, Finding, Table
from training.audit.evaluated.gains import estimate, plain, said
from training.gate import MOST_BIAS, SLOPES

HEAD = Column(name="head", label="Result")


def tested(evaluation: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The heads whose results could be compared, by name."""
    return {name: head for name, head in evaluation.get("heads", {}).items() if "r2" in head}


def explained_table(heads: Mapping[str, Mapping[str, Any]]) -> Table:
    """How much of the differences between results each head foretells, and how much more than what it has to beat."""
    named = {
        "r2_over_patient_only": "more than the prognosis alone",
        "r2_over_therapist_only": "more than a therapist mean alone",
        "r2_over_therapist_mean": "more than both together",
        "rank_validity": "Results, lowest to highest rank",
    }
    rows = [
        (plain(name), head["rows"], estimate(head["r2"]["model"]), *(estimate(head[key]) for key in named))
        for name, head in heads.items()
    ]
    columns = (
        HEAD,
        Column(name="rows", label="Results", digits=0),
        Column(name="r2", label="Share foretold", digits=3),
        *(Column(name=key, label=label, digits=3) for key, label in named.items()),
    )
    note = (
        "Share of the differences between results (R2) that predictions made before treatment explain; 0 is none, 1 "
        "all. The last column is the rise, in SD, of results beside the prognosis."
    )
    return Table(id="explained", title="How much is foretold", columns=columns, rows=tuple(rows), note=note)


def truth_table(heads: Mapping[str, Mapping[str, Any]]) -> Table:
    """Calibration and coverage of every head."""
    rows = [(plain(name), *_came_true(head)) for name, head in heads.items()]
    columns = (
        HEAD,
        Column(name="slope", label="Rise for every 1 predicted"),
        Column(name="bias", label="Observed less predicted", unit="SD"),
        Column(name="in80", label="Inside 80 % intervals", unit="%", digits=1),
        Column(name="in95", label="Inside 95 % intervals", unit="%", digits=1),
        Column(name="new", label="Rise for every 1 predicted, therapists never seen"),
    )
    note = (
        "1.00 and 0.00 are right in the first two. An empty cell is not known: intervals of probabilities cannot be "
        "counted out client by client, and results that do not rank are not tested on therapists held out."
    )
    return Table(id="came-true", title="Whether it came true", columns=columns, rows=tuple(rows), note=note)


def _came_true(head: Mapping[str, Any]) -> tuple[Cell, ...]:
    found, held = head.get("calibration", {}), head.get("therapists_held_out", {})
    slope = found.get("slope")
    inside = head.get("intervals", {}).get("coverage", {})
    shares = [inside.get(level, {}).get("covered") for level in ("80", "95")]
    return (
        estimate(slope) if slope else None,
        estimate(found["bias"]) if "bias" in found else None,
        *(None if share is None else 100 * share for share in shares),
        estimate(held["slope"]) if "slope" in held else None,
    )


def truth_words(heads: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Calibration, coverage and therapists held out, in a sentence each."""
    return tuple(line for name, head in heads.items() for line in _told(plain(name), head))


def _told(name: str, head: Mapping[str, Any]) -> list[str]:
    lines, found = [], head.get("calibration", {})
    if found.get("slope"):
        lines.append(
            f"For every 1 by which {name} was predicted to differ, it differed by "
            f"{said(found['slope'], sign=False)}, {_beside_one(found['slope'])}."
        )
    inside = head.get("intervals", {}).get("coverage", {})
    if "covered" in inside.get("80", {}):
        one = inside["80"]
        told = "within what chance brings of that" if one["holds"] else "not as promised"
        lines.append(
            f"Of intervals of {name} that should hold 80 % of results, {one['covered']:.1%} were held, "
            f"{told} ({one['n']:,} results)."
        )
    held = head.get("therapists_held_out", {})
    if "slope" in held:
        told = "their profile foretells something" if held["slope"]["low"] > 0 else "that is not told from nothing"
        who = f"With {held['therapists']} therapists held out altogether"
        if held["slope"]["low"] == held["slope"]["high"] == 0:
            lines.append(f"{who}, nothing of their profile could foretell {name}: it tells none of them apart.")
        else:
            lines.append(f"{who}, {name} rose by {said(held['slope'])} for every 1 that the profile foretold: {told}.")
    return lines


def _beside_one(slope: Mapping[str, float]) -> str:
    """What the interval says: an interval that holds both 1 and 0 bears nothing out."""
    if not slope["low"] <= 1 <= slope["high"]:
        return "which is not 1"
    return "as it should" if slope["low"] > 0 else "too uncertain to tell 1, as it should be, from nothing at all"


def _open(head: Mapping[str, Any]) -> bool:
    """Whether the test was too small to tell predictions that come true from such as foretell nothing."""
    slope = head.get("calibration", {}).get("slope")
    return not slope or slope["low"] <= 0 <= slope["high"]


def truth_findings(heads: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """What a person should look at before signing; the limits are those of the gate."""
    found = [one for name, head in heads.items() for one in _looked(plain(name), head)]
    if found:
        return found
    told = "Predictions came true within the limits of the gate"
    if unsure := [plain(name) for name, head in heads.items() if _open(head)]:
        words = f"{told}, but the test is too small to tell those of {', '.join(unsure)} from such as foretell nothing."
        return [Finding(level="note", words=words, page="section/evaluation")]
    return [Finding(level="fine", words=f"{told}.", page="section/evaluation")]


def _looked(name: str, head: Mapping[str, Any]) -> list[Finding]:
    words, found = [], head.get("calibration")
    if found is None:
        return [Finding(level="look", words=f"Whether predictions of {name} came true was not tested.")]
    slope, bias = found.get("slope"), found["bias"]
    if slope and not (slope["high"] >= SLOPES[0] and slope["low"] <= SLOPES[1]):
        words.append(f"Results of {name} rose by {said(slope, sign=False)} for every 1 predicted.")
    if not (bias["low"] <= MOST_BIAS and bias["high"] >= -MOST_BIAS):
        words.append(f"Results of {name} lay {said(bias)} SD from what was predicted, on average.")
    for level, one in head.get("intervals", {}).get("coverage", {}).items():
        if not one.get("holds", True):
            words.append(f"{level} % intervals of {name} held {one['covered']:.1%} of {one['n']:,} results.")
    return [Finding(level="look", words=one, page="section/evaluation") for one in words]


def doses_chart(rows: Sequence[Mapping[str, Any]], validity: Mapping[str, float]) -> Chart | None:
    """Results less prognosis by tenth of the rank of the therapist seen; None with fewer than three tenths."""
    if len(rows) < 3:
        return None
    labels = [f"{100 * row['from']:.0f} to {100 * row['to']:.0f} %" for row in rows]
    cells = [estimate(row["mean"]) for row in rows]
    rises = validity["low"] > 0
    title = (
        "The higher the therapist seen had been ranked, the better the results"
        if rises
        else "Whether results rise with the rank of the therapist seen is not shown"
    )
    first, last = rows[0], rows[-1]
    alt = (
        f"{title}. Where the therapist seen ranked lowest among those offered, results were {said(first['mean'])} SD "
        f"from the prognosis ({first['n']} clients); where highest, {said(last['mean'])} ({last['n']} clients). From "
        f"lowest to highest they rise by {said(validity)} SD."
    )
    canvas = _dots(labels, cells)
    columns = (
        Column(name="rank", label="Rank among those offered"),
        Column(name="n", label="Clients", digits=0),
        Column(name="result", label="Result less prognosis", unit="SD"),
    )
    data = [(label, row["n"], cell) for label, row, cell in zip(labels, rows, cells, strict=True)]
    return chart("dose-response", title, alt, canvas, columns, data)


def _dots(labels: Sequence[str], cells: Sequence[Estimate]) -> Any:
    value = np.array([cell.value for cell in cells])
    low = np.array([cell.value if cell.low is None else cell.low for cell in cells])
    high = np.array([cell.value if cell.high is None else cell.high for cell in cells])
    return intervals(labels, value, low, high, "Result less prognosis, SD")
