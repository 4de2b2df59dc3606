"""Drawings small enough to carry a hundred of them."""

from urllib.parse import unquote
from xml.etree import ElementTree

from tests.training.report.examples import chart
from training.report.drawings import data_uri, slim

WRITTEN = """<svg viewBox="0 0 10.12345 5">
  <!-- a remark -->
  <metadata><x/></metadata>
  <path d="M 1.23456 2
  L -3.98765 4"/>
  <text x="1.55555">effect 0.12345 of 50% &amp; more</text>
</svg>"""


def test_places_are_rounded_and_words_stay():
    found = slim(WRITTEN)
    assert 'd="M 1.23 2 L -3.98 4"' in found
    assert "effect 0.12345 of 50% &amp; more" in found
    assert "remark" not in found
    assert "metadata" not in found


def test_a_drawing_survives_the_way_into_an_address():
    address = data_uri(chart().svg)
    assert not set(address) & {'"', "\n", "#"}
    start, _, sent = address.partition(",")
    assert start == "data:image/svg+xml;charset=utf-8"
    drawn = ElementTree.fromstring(unquote(sent.replace("&amp;", "&")))
    assert drawn.tag.endswith("svg")
    assert "wishes met & more" in "".join(drawn.itertext())
