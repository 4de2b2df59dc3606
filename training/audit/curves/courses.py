"""Charts of the client's features: what the model expects along each, and what results of people not seen show."""

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Canvas

from training.audit.charts import INK, chart, density, line, panels, points, rows_of
from training.audit.curves.drawn import words_of
from training.audit.curves.prognosis import Along, Course, Prognoses, unit_of
from training.audit.curves.shapes import apart, ends, estimate, number, rounded, said, size
from training.audit.document import Cell, Chart, Column, Finding
from training.audit.words import capital, id_of
from training.bundle import Bundle
from training.ranking import WORTH

Floats = npt.NDArray[np.float64]

COURSE_NOTE = (
    "Line or dot: what the model expects, as a difference from the average client. Squares with 95 % intervals "
    "(therapists resampled): results of {who}, all else taken off as the model has it; cells of "
    "fewer than ten are not shown. Below: how many clients have each value. The trees of the prognosis have no "
    "interval of their own."
)


def prognosis_chart(prognoses: Prognoses, feature: str, found: Along) -> Chart:
    """What the model expects along the feature, head by head, and what results of people not seen show."""
    meaning, bundle = words_of(prognoses.bundle, feature), prognoses.bundle
    main = next(iter(found.courses))
    unit = unit_words(bundle, main)
    is_words = isinstance(found.x, tuple)
    canvas = _drawn_words(bundle, found, main) if is_words else _drawn_number(prognoses, feature, found, meaning)
    who, title = prognoses.who, course_title(meaning, found.courses[main], unit, is_words, prognoses.who)
    alt = f"Expected result along {meaning}: " + "; ".join(
        f"{name} changes by {_course_words(one, unit_words(bundle, name), who)}" for name, one in found.courses.items()
    )
    columns, rows = _course_table(bundle, found, meaning, who)
    return chart(f"curve.{id_of(feature)}", title, f"{alt}.", canvas, columns, rows, COURSE_NOTE.format(who=who))


def course_title(meaning: str, course: Course, unit: str, is_words: bool, who: str) -> str:
    """The finding: where results go along the feature; of that how much results show beyond chance."""
    name = capital(meaning)
    change, borne = course.change, course.borne_out
    if is_words:
        told = f"expected results differ by up to {abs(change):.2f} {unit}"
        shown = f"in {who} {size(borne, unit)}" if borne else "not tested"
        return f"{name}: {told}, {shown}{'' if borne is None or apart(borne) else ': no more than chance'}"
    way = "higher" if change > 0 else "lower"
    if borne is None:
        return f"{name}: where it is high, results are expected {abs(change):.2f} {unit} {way}; too few to test it"
    if apart(borne) == 0:
        return f"{name}: results of {who} show no clear change, {said(borne, unit)}"
    return f"{name}: where it is high, results are {'higher' if borne.value > 0 else 'lower'} by {size(borne, unit)}"


def against(bundle: Bundle, feature: str, found: Along) -> list[Finding]:
    """Heads whose results, of people not seen, went clearly the other way than the model expects."""
    name = capital(words_of(bundle, feature))
    return [
        Finding(
            level="look",
            words=f"{name}: the model expects {head} to change by {number(one.change, sign=True)} "
            f"{unit_words(bundle, head)}, but results of people not seen went the other way, by "
            f"{said(one.borne_out, unit_words(bundle, head))}",
            page=f"feature/{feature}",
        )
        for head, one in found.courses.items()
        if one.borne_out is not None
        and apart(one.borne_out) * one.change < 0
        and abs(one.change) > WORTH * bundle.heads[head].info.sd * unit_of(bundle.heads[head])
    ]


def _course_words(course: Course, unit: str, who: str) -> str:
    shown = f", in {who} by {said(course.borne_out, unit)}" if course.borne_out else ""
    return f"{number(course.change, sign=True)} {unit} as expected{shown}"


def unit_words(bundle: Bundle, name: str) -> str:
    """The unit of a head's results, in words."""
    info = bundle.heads[name].info
    if info.kind == "binary":
        return "percentage points"
    return "intake SD" if info.source == "outcome" else "points"


def _drawn_number(prognoses: Prognoses, feature: str, found: Along, meaning: str) -> Canvas:
    shown = list(found.courses)[:4]
    across = min(2, len(shown))
    canvas, every = panels(len(shown), 2.2 * -(-len(shown) // across) + 0.3, across, xlabel=meaning)
    x = np.asarray(found.x, dtype=np.float64)
    raw = prognoses.block[:, prognoses.columns(prognoses.bundle, feature)[0]]
    for axes, name in zip(every, shown, strict=True):
        course, none = found.courses[name], np.full(len(x), np.nan)
        line(axes, x, course.value, none, none)
        if course.seen:
            points(axes, course.x, *ends(course.seen))
        axes.set_title(f"{name}\n({unit_words(prognoses.bundle, name)})", fontsize=9, loc="left")
        density(axes, raw)
    return canvas


def _drawn_words(bundle: Bundle, found: Along, main: str) -> Canvas:
    course, order = found.courses[main], np.argsort(found.courses[main].value)[::-1]
    labels = [f"{found.x[i]} (n = {found.counts[i]:,})" for i in order]
    canvas, axes, at = rows_of(labels, f"{main}, beside the average ({unit_words(bundle, main)})")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.plot(course.value[order], at, "o", color=INK, markersize=4.5)
    if course.seen:
        where = {word: at[i] for i, word in enumerate(order)}
        points(axes, np.array([where[one] for one in course.place]) - 0.25, *ends(course.seen), across=True)
    return canvas


def _course_table(bundle: Bundle, found: Along, meaning: str, who: str) -> tuple[list[Column], list[list[Cell]]]:
    """A row for every point of the model's curve, and one for every cell of people."""
    columns = [
        Column(name="head", label="Result"),
        Column(name="unit", label="Unit"),
        Column(name="value", label=capital(meaning), digits=3),
        Column(name="expected", label="Expected", digits=3),
        Column(name="seen", label=f"Shown by {who}", digits=3),
        Column(name="clients", label="Clients", digits=0),
    ]
    rows: list[list[Cell]] = []
    for name, one in found.courses.items():
        unit = unit_words(bundle, name)
        values = [x if isinstance(x, str) else rounded(x) for x in found.x]
        cells = {int(place): i for i, place in enumerate(one.place)} if isinstance(found.x, tuple) else {}
        for i, value in enumerate(values):
            cell = cells.get(i)
            shown = (None, None) if cell is None else (estimate(one.seen[cell]), int(one.n[cell]))
            rows.append([name, unit, value, rounded(one.value[i]), *shown])
        if not cells:
            rows += [
                [name, unit, rounded(x), None, estimate(figure), int(n)]
                for x, figure, n in zip(one.x, one.seen, one.n, strict=True)
                if np.isfinite(x)
            ]
    return columns, rows
