"""What ranking by the model brings, beside the ways to choose that it has to beat: pictures, tables, units."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data.instruments import INSTRUMENTS
from training.audit.charts import chart, intervals
from training.audit.document import Chart, Column, Estimate, Table
from training.audit.examined import Examined
from training.audit.ranked import Ranked
from training.config import HeadConfig
from training.evaluate import Figure, slope
from training.telling import NAMES, REGIMES

PATIENT_ONLY = "the prognosis alone"
NEXT = "next available"
COUNTED = {"retention": "more planned endings", "early_dropout": "fewer early dropouts"}
SHORT = {"phq9": "PHQ-9", "gad7": "GAD-7", "wai_sr": "WAI-SR", "core10": "CORE-10"}
SD = Column(name="gain", label="Gain over next available", unit="SD", digits=2)


def estimate(figure: Mapping[str, float]) -> Estimate:
    """A figure of the manifest as a cell; an end that is not a number is not known."""
    low, high = (figure[end] if np.isfinite(figure[end]) else None for end in ("low", "high"))
    return Estimate(value=figure["value"], low=low, high=high)


def said(figure: Mapping[str, float] | Estimate, digits: int = 2, sign: bool = True) -> str:
    """0.23 (0.16 to 0.30), with the sign where wanted."""
    told = figure if isinstance(figure, Estimate) else estimate(figure)
    form = f"{'+' if sign else ''}z.{digits}f"
    if told.low is None or told.high is None:
        return f"{told.value:{form}} (interval not known)"
    return f"{told.value:{form}} ({told.low:{form}} to {told.high:{form}})"


def of_regime(utility: Mapping[str, Any], regime: str) -> dict[str, Mapping[str, float]]:
    """Way to choose -> gain with all who were offered, under one regime."""
    rows = [row for row in utility.get("regimes", []) if row["eligible"] == "all" and row["regime"] == regime]
    return {row["policy"]: row["gain"] for row in rows}


def gains_chart(utility: Mapping[str, Any]) -> Chart:
    """Every way to choose under free choice, with next available and the prognosis alone at 0."""
    gains = {name: row["gain"] for name, row in utility["over_next_available"].items()}
    names = [name for name in NAMES if name in gains]
    labels = [NAMES[name] for name in names] + [PATIENT_ONLY, NEXT]
    cells = [estimate(gains[name]) for name in names] + [Estimate(value=0.0)] * 2
    title = _compared(utility)
    return _drawn("gains", title, labels, cells, "Gain, SD of the combined result", _alt(title, labels, cells))


def _compared(utility: Mapping[str, Any]) -> str:
    if utility["over_next_available"]["model"]["gain"]["low"] <= 0:
        return "A gain over the next available therapist is not shown"
    beside = utility["model_over_therapist_mean"]["low"] > 0
    return "The ranking brings more than the next available therapist" + (
        ", and more than a therapist mean" if beside else "; whether more than a therapist mean is not shown"
    )


def regimes_chart(utility: Mapping[str, Any]) -> Chart | None:
    """The model beside a therapist mean, under each regime; None where they were not tested apart."""
    labels, cells = [], []
    for regime in REGIMES:
        gains = of_regime(utility, regime)
        for name in ("model", "therapist_mean"):
            if name in gains:
                labels.append(f"{regime}: {NAMES[name]}")
                cells.append(estimate(gains[name]))
    if not cells:
        return None
    full = of_regime(utility, "full caseloads").get("model")
    if full is None:
        title = "What the ranking brings depends on who has a place"
    elif full["low"] > 0:
        title = "Also where every caseload is full the ranking brings a gain"
    else:
        title = "Where every caseload is full no gain is shown"
    return _drawn("regimes", title, labels, cells, "Gain, SD of the combined result", _alt(title, labels, cells))


def _drawn(name: str, title: str, labels: Sequence[str], cells: Sequence[Estimate], xlabel: str, alt: str) -> Chart:
    value = np.array([cell.value for cell in cells])
    low = np.array([cell.value if cell.low is None else cell.low for cell in cells])
    high = np.array([cell.value if cell.high is None else cell.high for cell in cells])
    columns = (Column(name="way", label="Way to choose"), SD)
    canvas = intervals(labels, value, low, high, xlabel)
    return chart(name, title, alt, canvas, columns, list(zip(labels, cells, strict=True)))


def _alt(title: str, labels: Sequence[str], cells: Sequence[Estimate]) -> str:
    rows = "; ".join(
        f"{label} {said(cell)}" if cell.low is not None else f"{label} {cell.value:.0f}"
        for label, cell in zip(labels, cells, strict=True)
    )
    return f"{title}. {rows}."


def gains_table(utility: Mapping[str, Any]) -> Table:
    """Every way to choose under every regime, with what it claimed under free choice."""
    by = {regime: of_regime(utility, regime) for regime in REGIMES}
    shown = [regime for regime in REGIMES if by[regime]]
    gains = utility["over_next_available"]
    names = [name for name in NAMES if name in gains]
    rows = [
        (
            NAMES[name],
            gains[name]["claimed"],
            *(estimate(by[regime][name]) if name in by[regime] else None for regime in shown),
        )
        for name in names
    ]
    rows.append((f"{PATIENT_ONLY}: the same of every therapist", 0.0, *(Estimate(value=0.0) for _ in shown)))
    columns = (
        Column(name="way", label="Way to choose"),
        Column(name="claimed", label="Claimed, free choice", unit="SD"),
        *(Column(name=regime.replace(" ", "_"), label=f"Came true: {regime}", unit="SD") for regime in shown),
    )
    note = (
        "Free choice: anyone offered may be chosen. Available slots: only who has a time within two weeks. Full "
        "caseloads: places are exactly those taken, so a therapist who is better for everyone is worth nothing."
    )
    return Table(id="gains-by-regime", title="Gain over next available", columns=columns, rows=tuple(rows), note=note)


def gain_of_first(ranked: Ranked, name: str) -> Figure:
    """What one head gains by the therapist whom the utility puts first, in SD of the head.

    The mean advantage that the head's own score claims for that therapist, times the slope with which its claims came
    true for the therapists clients really saw: see `training.evaluate`.
    """
    offered, response, score = ranked.offered, ranked.response[name], ranked.score[name]
    mean = offered.means(score)
    claimed = float((score[offered.first(ranked.utility)] - mean).mean())
    weight = np.where(np.isnan(response), 0.0, ranked.weight[name])
    own = offered.of_assigned(score) - mean
    figure, draws = slope(np.nan_to_num(response), own, mean, weight, ranked.resamples)
    return ranked.resamples.figure(figure.value * claimed, draws * claimed)


def units(looked_at: Examined, head: HeadConfig) -> dict[str, float]:
    """What one SD of the head is in units that people know: `points of PHQ-9` and the like."""
    sd = looked_at.asked.heads[head.name].info.sd
    if head.kind == "binary":
        return {f"{COUNTED.get(head.source, 'more')} in 100 clients": 100 * sd}
    if head.source == "outcome":
        sds = looked_at.asked.manifest.intake_sds
        return {
            f"points of {_title(name)}": sd * sds[name] for name in looked_at.config.outcome.instruments if name in sds
        }
    name = looked_at.config.outcome.alliance_instrument if head.source == "alliance" else _measure(head.source)
    return {f"points of {_title(name)}": sd}


def _measure(source: str) -> str:
    return source.removeprefix("measure:").split("@")[0]


def _title(name: str) -> str:
    return SHORT.get(name) or (INSTRUMENTS[name].name if name in INSTRUMENTS else name)


def plain(name: str) -> str:
    """The name of a head as one says it."""
    return name.replace("_", " ")


def units_table(looked_at: Examined, ranked: Ranked) -> Table:
    """The gain of each head when the utility decides, in SD and in units that people know."""
    rows = []
    for head in ranked.heads:
        gain = gain_of_first(ranked, head.name)
        for unit, size in units(looked_at, head).items():
            sds, points = (estimate({k: v * f for k, v in gain.as_json().items()}) for f in (1.0, size))
            rows.append((plain(head.name), sds, points, unit))
    columns = (
        Column(name="head", label="Result"),
        SD,
        Column(name="points", label="In its own units", digits=2),
        Column(name="unit", label="Unit"),
    )
    note = (
        "Mean over clients, with the therapist whom the model ranks first in the place of the next available one. "
        "Upwards is better: fewer points of symptoms count as a gain."
    )
    return Table(id="gains-in-units", title="What the gain means", columns=columns, rows=tuple(rows), note=note)
