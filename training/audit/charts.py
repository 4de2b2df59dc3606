"""Pictures as SVG: quiet, readable in print and at phone width, never the only way to learn something."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from training.audit.document import Cell, Chart, Column

Floats = npt.NDArray[np.float64]

INK, SOFT, WARM = "#1f4e5f", "#7d968d", "#a3541a"
"""All three stand out from white by 4.5 to 1 or more, INK and SOFT also for who sees no colour."""
WIDTH = 7.0
ROW = 0.28
STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "therapist-fit", "font.size": 10, "font.family": "sans-serif"}


def chart(
    name: str,
    title: str,
    alt: str,
    canvas: Canvas,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    note: str = "",
) -> Chart:
    """The document's chart from a drawing and the data that it shows."""
    kept = tuple(tuple(row) for row in rows)
    return Chart(id=name, title=title, alt=alt, svg=svg_of(canvas), columns=tuple(columns), rows=kept, note=note)


def svg_of(canvas: Canvas) -> str:
    """The drawing as text: same drawing, same text."""
    with mpl.rc_context(STYLE):
        held = io.StringIO()
        canvas.savefig(held, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    text = held.getvalue()
    return text[text.index("<svg") :]


def plain_axes(height: float = 3.2) -> tuple[Canvas, Axes]:
    """A drawing with one pair of axes, without a frame."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        axes = canvas.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return canvas, axes


def intervals(
    labels: Sequence[str], values: Floats, low: Floats, high: Floats, xlabel: str, zero: bool = True
) -> Canvas:
    """A dot with its interval for each label, one below the other, the first on top."""
    canvas, axes = plain_axes(0.9 + ROW * len(labels))
    at = np.arange(len(labels))[::-1]
    axes.hlines(at, low, high, color=SOFT, linewidth=2)
    axes.plot(values, at, "o", color=INK, markersize=4)
    axes.set_yticks(at, labels)
    axes.set_xlabel(xlabel)
    if zero:
        axes.axvline(0, color="black", linewidth=0.8)
    return canvas


def bars(labels: Sequence[str], values: Floats, xlabel: str) -> Canvas:
    """A bar for each label, one below the other, the first on top."""
    canvas, axes = plain_axes(0.9 + ROW * len(labels))
    at = np.arange(len(labels))[::-1]
    axes.barh(at, values, color=INK, height=0.7)
    axes.set_yticks(at, labels)
    axes.set_xlabel(xlabel)
    return canvas


def curve(x: Floats, value: Floats, low: Floats, high: Floats, seen: Floats, xlabel: str, ylabel: str) -> Canvas:
    """A line with its band over x; `seen` (any length) are the values that occur, drawn as a rug of density below."""
    canvas, axes = plain_axes()
    axes.fill_between(x, low, high, color=SOFT, alpha=0.35, linewidth=0)
    axes.plot(x, value, color=INK, linewidth=2)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    below = axes.inset_axes((0, -0.34, 1, 0.12), sharex=axes)
    below.hist(seen, bins=40, color=SOFT)
    below.set_axis_off()
    return canvas
