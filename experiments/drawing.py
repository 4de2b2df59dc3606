"""Pictures of experiments: points with their intervals, and curves. Titles say SYNTHETIC where it is."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

COLOURS = ("#1f4e5f", "#b3402e", "#1b6e53", "#8a6d1d", "#6b4c86", "#7a7a7a")
Interval = Mapping[str, float] | None


def points(series: Mapping[str, Mapping[str, Interval]], title: str, label: str, path: Path) -> Path:
    """Names from top to bottom, for each a point with its interval in every series; `label` is the axis below."""
    names = list(dict.fromkeys(name for values in series.values() for name in values))
    canvas = Canvas(figsize=(9, 1.4 + 0.4 * len(names)), layout="constrained")
    axes = canvas.subplots()
    for i, (called, values) in enumerate(series.items()):
        known = {name: one for name, one in values.items() if one is not None}
        place = [len(names) - 1 - names.index(name) - 0.14 * i for name in known]
        middle, low, high = _columns(known.values())
        axes.errorbar(middle, place, xerr=[middle - low, high - middle], fmt="o", color=COLOURS[i], label=called)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(names)), names[::-1])
    return _finished(canvas, axes, title, (label, ""), path)


def curves(
    panels: Mapping[str, Mapping[str, Mapping[float, Interval]]],
    title: str,
    labels: tuple[str, str],
    path: Path,
    scale: str = "linear",
) -> Path:
    """A panel each, in it a line for every series with its band; `labels` are those of the two axes."""
    canvas = Canvas(figsize=(5 * len(panels), 4.2), layout="constrained")
    for axes, (panel, series) in zip(np.atleast_1d(canvas.subplots(1, len(panels))), panels.items(), strict=True):
        for i, (called, values) in enumerate(series.items()):
            known = {at: one for at, one in values.items() if one is not None}
            middle, low, high = _columns(known.values())
            axes.plot(list(known), middle, "o-", color=COLOURS[i], label=called)
            axes.fill_between(list(known), low, high, color=COLOURS[i], alpha=0.15)
        axes.set_title(panel, fontsize=9)
        axes.set_xscale(scale)
        _finished(canvas, axes, title, labels, path)
    return path


def _columns(found: Iterable[Mapping[str, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = list(found)
    value, low, high = (np.array([row[end] for row in rows]) for end in ("value", "low", "high"))
    return value, low, high


def _finished(canvas: Canvas, axes: Axes, title: str, labels: tuple[str, str], path: Path) -> Path:
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    canvas.suptitle(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=120)
    return path
