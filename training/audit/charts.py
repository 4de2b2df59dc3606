"""Pictures as SVG: quiet, readable in print and at phone width, never the only way to learn something.

What is drawn differs in shape, dash or place as well as in colour. Nothing in a picture needs a style sheet, a script
or another file, so that it shows under any content policy, offline, and in print.
"""

import io
import re
import textwrap
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from training.audit.document import Cell, Chart, Column

Floats = npt.NDArray[np.float64]

INK, SOFT, WARM = "#1f4e5f", "#5b7469", "#a3541a"
"""All three stand out from white by 4.5 to 1 or more, and can be told apart by who sees few colours."""
PALE = "#dce6e2"
"""For areas alone: the band of an interval, with a line of SOFT around it."""
WIDTH = 5.0
"""Inches, which are 360 units of the drawing: as wide as a phone, so that text keeps its size there."""
ROW = 0.2
"""Inches a line of a label."""
LABEL = 26
"""Characters after which a label goes on in the next line."""
BINS = 30
DENSITY = -0.2
"""Where the density below axes ends, in heights of the axes."""
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "therapist-fit",
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.unicode_minus": True,
    "axes.formatter.useoffset": False,
    "path.simplify": True,
}
NAMELESS = {"Date": None, "Creator": None, "Format": None, "Type": None}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def chart(
    name: str,
    title: str,
    alt: str,
    canvas: Canvas,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    note: str = "",
) -> Chart:
    """The document's chart from a drawing and the data that it shows; the drawing bears `alt` for who cannot see it."""
    kept = tuple(tuple(row) for row in rows)
    drawn = _own_ids(svg_of(canvas), name)
    svg = drawn.replace("<svg ", f'<svg role="img" aria-label={quoteattr(alt)} ', 1)
    return Chart(id=name, title=title, alt=alt, svg=svg, columns=tuple(columns), rows=kept, note=note)


def svg_of(canvas: Canvas) -> str:
    """The drawing as text: same drawing, same text; as wide as the page lets it be, without styles and metadata."""
    with mpl.rc_context(STYLE):
        held = io.StringIO()
        canvas.savefig(held, format="svg", metadata=NAMELESS)
    text = held.getvalue()
    return _plain(text[text.index("<svg") :])


def _plain(text: str) -> str:
    """Without sizes on paper, comments, style sheets, and ids that nothing refers to; styles as attributes."""
    text = re.sub(r"<(metadata|style)\b.*?</\1>|<!--.*?-->", "", text, flags=re.DOTALL)
    used = set(re.findall(r"#([^\")]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r' style="([^"]*)"', lambda found: _attributes(found[1]), text)
    text = re.sub(r"<svg\b[^>]*>", _root, text, count=1)
    text = re.sub(r"<defs>\s*</defs>", "", text)
    text = re.sub(r"<[^>]+>", lambda found: re.sub(r"(\d\.\d\d)\d+", r"\1", found[0]), text)
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def _root(found: re.Match[str]) -> str:
    """The first tag: no size on paper, and what a style sheet would have said."""
    sized = re.sub(r' (?:width|height)="[^"]*"', "", found[0])
    return sized.replace("<svg", f'<svg font-family="{FONT}" stroke-linejoin="round" stroke-linecap="butt"', 1)


def _attributes(style: str) -> str:
    """A style as attributes of the element; of the font only size and weight are kept."""
    found = ""
    for one in filter(None, (part.strip() for part in style.split(";"))):
        name, value = (part.strip() for part in one.split(":", 1))
        if name == "font":
            weight, value = re.findall(r"(?:(bold|[1-9]00) )?([\d.]+)px", value)[0]
            name, found = "font-size", found + (f' font-weight="{weight}"' if weight else "")
        if name == "font-size":
            value = value.removesuffix("px")
        if name not in ("stroke-linejoin", "font-family"):
            found += f" {name}={quoteattr(value)}"
    return found


def _own_ids(text: str, name: str) -> str:
    """Ids that no other picture on the page has."""
    own = re.sub(r"[^A-Za-z0-9]", "-", name)
    return re.sub(r'(<[^>]*? id="|url\(#|href="#)', rf"\g<1>{own}-", text)


def plain_axes(height: float = 3.2) -> tuple[Canvas, Axes]:
    """A drawing with one pair of axes, without a frame; it makes room for whatever is written around them."""
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        axes = canvas.subplots()
    return canvas, _quiet(axes)


def panels(
    count: int, height: float = 3.2, across: int = 1, share_y: bool = False, xlabel: str = ""
) -> tuple[Canvas, list[Axes]]:
    """A drawing with so many pairs of axes, `across` in a line, with room for two lines of title and for a density.

    `height` is that of all, in inches; `xlabel` stands below all. Places are fixed: to measure text takes far longer
    than to draw it.
    """
    foot, down = 0.18 * (1 + wrapped(xlabel, 56).count("\n")) if xlabel else 0.0, -(-count // across)
    left, right, between, top, ticks = 0.72, 0.1, 0.32 if share_y else 0.55, 0.38, 0.26
    wide = (WIDTH - left - right - between * (across - 1)) / across
    cell = (height - foot) / down
    tall = (cell - top - ticks) / (1 - DENSITY)
    every: list[Axes] = []
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, height))
        for i in range(count):
            row, column = divmod(i, across)
            x, y = left + column * (wide + between), height - row * cell - top - tall
            place = (x / WIDTH, y / height, wide / WIDTH, tall / height)
            every.append(_quiet(canvas.add_axes(place, sharey=every[0] if share_y and every else None)))
            every[-1].tick_params(labelleft=not share_y or column == 0)
        canvas.text(0.5, 0.02 / height, wrapped(xlabel, 56), ha="center", va="bottom", color="#222222")
    return canvas, every


def _quiet(axes: Axes) -> Axes:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, length=3)
    return axes


def wrapped(label: str, at: int = LABEL) -> str:
    """A label in lines of at most so many characters; a longer word stands alone."""
    return "\n".join(textwrap.wrap(label, at, break_long_words=False)) or label


def intervals(
    labels: Sequence[str], values: Floats, low: Floats, high: Floats, xlabel: str, zero: bool = True
) -> Canvas:
    """A dot with its interval for each label, one below the other, the first on top."""
    canvas, axes, at = rows_of(labels, xlabel)
    axes.hlines(at, low, high, color=SOFT, linewidth=2)
    axes.plot(values, at, "o", color=INK, markersize=4.5)
    if zero:
        axes.axvline(0, color="black", linewidth=0.8)
    return canvas


def bars(labels: Sequence[str], values: Floats, xlabel: str) -> Canvas:
    """A bar for each label, one below the other, the first on top."""
    canvas, axes, at = rows_of(labels, xlabel)
    axes.barh(at, values, color=INK, height=1.2 * 0.7)
    return canvas


def rows_of(labels: Sequence[str], xlabel: str) -> tuple[Canvas, Axes, Floats]:
    """Axes with a line for each label, as high as its text; where each line is."""
    names = [wrapped(label) for label in labels]
    tall = np.array([0.5 + 0.9 * (1 + name.count("\n")) for name in names])
    left = min(0.2 + 0.072 * max((len(part) for name in names for part in name.split("\n")), default=0), WIDTH / 2)
    told, height = wrapped(xlabel, int((WIDTH - left) / 0.08)), 0.05 + ROW * float(tall.sum())
    under = 0.42 + 0.17 * told.count("\n")
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(WIDTH, height + under))
        whole = height + under
        axes = _quiet(
            canvas.add_axes((left / WIDTH, under / whole, 1 - (left + 0.18) / WIDTH, (height - 0.05) / whole))
        )
    at: Floats = float(tall.sum()) - np.cumsum(tall) + tall / 2
    axes.set_yticks(at, names)
    axes.set_ylim(0, max(float(tall.sum()), 1.0))
    axes.set_xlabel(told)
    axes.locator_params(axis="x", nbins=6)
    axes.grid(axis="x", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    return canvas, axes, at


def curve(x: Floats, value: Floats, low: Floats, high: Floats, seen: Floats, xlabel: str, ylabel: str) -> Canvas:
    """A line with its band over x; `seen` (any length) are the values that occur, drawn as their density below."""
    canvas, (axes,) = panels(1, xlabel=xlabel)
    line(axes, x, value, low, high)
    axes.set_ylabel(wrapped(ylabel, 34))
    density(axes, seen)
    return canvas


def line(axes: Axes, x: Floats, value: Floats, low: Floats, high: Floats, zero: bool = True) -> None:
    """A line with its band; where `low` and `high` are unknown (NaN) there is no band."""
    if zero:
        axes.axhline(0, color="black", linewidth=0.8)
    if np.isfinite(low).any():
        axes.fill_between(x, low, high, facecolor=PALE, edgecolor=SOFT, linewidth=0.6)
    axes.plot(x, value, color=INK, linewidth=2)


def points(axes: Axes, at: Floats, value: Floats, low: Floats, high: Floats, across: bool = False) -> None:
    """Hollow squares with intervals, to be told from a line and from dots; `across` where values lie along x."""
    (axes.hlines if across else axes.vlines)(at, low, high, color=WARM, linewidth=1.2)
    axes.plot(*((value, at) if across else (at, value)), "s", color=WARM, markerfacecolor="white", markersize=4.5)


def density(axes: Axes, seen: Floats, bins: int = BINS) -> None:
    """How many people have each value, below axes and on their scale; what lies beyond the ends counts there."""
    axes.margins(x=0.03)
    left, right = axes.get_xlim()
    known = np.clip(seen[np.isfinite(seen)], left, right)
    counts, edges = np.histogram(known, bins=bins, range=(left, right))
    below = axes.inset_axes((0, DENSITY, 1, 0.15))
    below.stairs(counts, edges, fill=True, facecolor=SOFT)
    below.set_xlim(left, right)
    below.set_ylim(0, max(int(counts.max(initial=0)), 1))
    below.spines[["top", "right", "left"]].set_visible(False)
    below.set_yticks([])
    below.tick_params(labelsize=9, length=3)
    below.locator_params(axis="x", nbins=5)
    axes.tick_params(labelbottom=False, bottom=False)
    axes.spines["bottom"].set_visible(False)


def contrast(colour: str, on: str = "#ffffff") -> float:
    """How far two colours stand apart, 1 to 21 (WCAG 2.2, "contrast ratio"); text needs 4.5, and lines 3."""
    one, other = sorted((_luminance(colour), _luminance(on)))
    return (other + 0.05) / (one + 0.05)


def _luminance(colour: str) -> float:
    """WCAG 2.2, "relative luminance"."""
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
