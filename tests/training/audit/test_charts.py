"""Pictures: small, alone, readable by everybody, and the same from run to run."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure as Canvas

from training.audit import charts
from training.audit.charts import WIDTH, bars, chart, contrast, curve, intervals, plain_axes, svg_of, wrapped
from training.audit.document import Chart, Column

LONG = "share of what the client would rather avoid that the therapist has, in so many words"


def a_curve() -> Canvas:
    x = np.linspace(0, 1, 25)
    seen = np.random.default_rng(0).beta(2, 3, 3000)
    return curve(x, 1 - x, 0.9 - x, 1.1 - x, seen, "distance", "overall fit (SD)")


def some_intervals(labels: int = 3) -> Canvas:
    value = np.linspace(-1, 1, labels)
    return intervals([f"{LONG} {i}" for i in range(labels)], value, value - 0.1, value + 0.1, "gain (SD)")


def some_bars() -> Canvas:
    return bars(["one", "two"], np.array([0.2, 0.4]), "share")


def plain() -> Canvas:
    canvas, axes = plain_axes()
    axes.plot([0, 1], [1, 0])
    return canvas


DRAWINGS = [a_curve, some_intervals, some_bars, plain]
Drawing = Callable[[], Canvas]


def charted(canvas: Canvas, alt: str = "A line falls.", name: str = "a.chart") -> Chart:
    return chart(name, "It falls", alt, canvas, [Column(name="x", label="X")], [[1.0]])


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_a_drawing_is_well_formed_and_small(drawing: Drawing):
    svg = svg_of(drawing())
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert len(svg) < 40_000


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_the_same_drawing_gives_the_same_text(drawing: Drawing):
    assert svg_of(drawing()) == svg_of(drawing())


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_a_drawing_asks_for_nothing_from_elsewhere(drawing: Drawing):
    root = ElementTree.fromstring(charted(drawing()).svg)
    for element in root.iter():
        for name, value in element.attrib.items():
            if name.endswith("href"):
                assert value.startswith("#")
            assert "//" not in value
            assert all(one.startswith("#") for one in re.findall(r"url\((.*?)\)", value))
    assert not {"script", "image", "foreignObject", "style", "metadata"} & {e.tag.rsplit("}")[-1] for e in root.iter()}


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_a_drawing_needs_no_inline_style_so_that_a_strict_content_policy_shows_it(drawing: Drawing):
    assert not [e for e in ElementTree.fromstring(svg_of(drawing())).iter() if "style" in e.attrib]


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_a_drawing_is_as_wide_as_the_page_lets_it_be_and_its_units_are_those_of_a_phone(drawing: Drawing):
    root = ElementTree.fromstring(svg_of(drawing()))
    assert "width" not in root.attrib
    assert "height" not in root.attrib
    assert float(root.attrib["viewBox"].split()[2]) == 72 * WIDTH == 360


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_words_stay_words_and_are_never_tiny(drawing: Drawing):
    texts = [e for e in ElementTree.fromstring(svg_of(drawing())).iter() if e.tag.endswith("text")]
    assert texts
    assert min(float(e.attrib["font-size"]) for e in texts) >= 8.5


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_references_within_a_drawing_find_what_they_name_and_no_two_charts_share_an_id(drawing: Drawing):
    first, second = (charted(drawing(), name=name).svg for name in ("first", "second"))
    used = {one or other for one, other in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', first)}
    assert used
    assert used == set(re.findall(r' id="([^"]+)"', first))
    assert not set(re.findall(r' id="([^"]+)"', first)) & set(re.findall(r' id="([^"]+)"', second))


@settings(max_examples=20)
@given(st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=40))
def test_a_chart_bears_its_text_alternative_whatever_is_in_it(alt: str):
    canvas, _ = plain_axes(1.0)
    root = ElementTree.fromstring(charted(canvas, alt).svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == alt


@pytest.mark.parametrize("colour", ["INK", "SOFT", "WARM"])
def test_colours_of_what_is_drawn_stand_out_from_white(colour: str):
    assert contrast(getattr(charts, colour)) >= 4.5


def test_a_line_stands_out_from_its_band():
    assert contrast(charts.INK, charts.PALE) >= 4.5


def test_contrast_is_that_of_the_guideline():
    assert contrast("#000000") == pytest.approx(21)
    assert contrast("#ffffff") == 1
    assert contrast("#767676") == pytest.approx(4.54, abs=0.01)


def test_dots_lines_and_points_differ_in_shape_and_not_in_colour_alone():
    canvas, axes = plain_axes()
    x = np.array([0.0, 1.0])
    charts.line(axes, x, x, x - 1, x + 1)
    charts.points(axes, x, x, x - 1, x + 1)
    drawn = [one for one in axes.get_lines() if one.get_marker() == "s"]
    assert len(drawn) == 1
    assert drawn[0].get_markerfacecolor() == "white"
    assert len(canvas.axes) == 1


def test_numbers_that_are_read_keep_their_digits():
    canvas, axes = plain_axes()
    axes.plot([0, 1], [0, 1])
    axes.set_xticks([0.00125], ["0.00125"])
    assert ">0.00125<" in svg_of(canvas)


def test_bold_words_stay_bold():
    canvas, axes = plain_axes()
    axes.set_title("bold", fontweight="bold")
    (title,) = [e for e in ElementTree.fromstring(svg_of(canvas)).iter() if e.text == "bold"]
    assert title.attrib["font-weight"] in ("bold", "700")


@given(st.lists(st.text(alphabet="abcdefgh", min_size=1, max_size=20), min_size=1, max_size=12))
def test_a_wrapped_label_keeps_its_words_in_lines_that_are_not_too_long(words: list[str]):
    label = " ".join(words)
    assert wrapped(label).split() == words
    assert all(len(one) <= charts.LABEL or " " not in one for one in wrapped(label).split("\n"))


def test_a_density_counts_what_lies_beyond_the_ends_at_the_ends():
    _, axes = plain_axes()
    charts.line(axes, np.array([0.0, 1.0]), np.zeros(2), np.zeros(2), np.zeros(2))
    charts.density(axes, np.array([-50.0, 0.5, 0.5, np.nan, 50.0]))
    (below,) = axes.child_axes
    assert sum(one.get_data().values.sum() for one in below.patches) == 4


def test_many_labels_make_a_taller_drawing_and_keep_their_size():
    few, many = (svg_of(some_intervals(count)) for count in (3, 30))
    heights = [float(ElementTree.fromstring(one).attrib["viewBox"].split()[3]) for one in (few, many)]
    assert heights[1] > 5 * heights[0]
    assert len(many) < 40_000
