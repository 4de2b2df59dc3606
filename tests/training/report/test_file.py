"""The audit as one file: whole, alone, and small enough to send."""

import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import pytest

from data.decisions import Decision
from tests.training.report.examples import NAMES, chart, feature, report, rich
from training.audit.document import Section
from training.report.file import file_of
from training.report.people import people_table, person

LARGEST = 8_000_000
VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """Ids, links, headings and sources of a document; every element closed in its place."""

    def __init__(self, text: str):
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.headings: list[int] = []
        self.tags: Counter[str] = Counter()
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if tag == "a" else []
        self.sources += [
            value or "" for name, value in attrs if name in ("src", "srcset") or (tag == "link" and name == "href")
        ]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text() -> str:
    signed = Decision("sign", "0123456789abcdef", "A. <Lead>", "read it", features={"feature_3": "aa"})
    return file_of(rich(), [Section(id="safety", title="Safety now", says=("Nothing is open.",))], [signed], "00ff")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_every_link_leads_to_something_in_the_file(page: Page):
    inner = [link for link in page.links if not link.startswith("data:text/csv")]
    assert len(inner) > 50
    assert {link.removeprefix("#") for link in inner} <= set(page.ids)


def test_no_id_is_given_twice(page: Page):
    assert [one for one, count in Counter(page.ids).items() if count > 1] == []


def test_nothing_is_loaded_and_nothing_runs(page: Page, text: str):
    assert all(one.startswith("data:") for one in page.sources)
    assert page.tags["script"] == page.tags["iframe"] == 0
    assert not re.search(r"url\((?!%23)", text)
    assert "@import" not in text
    assert not re.search(r"\son[a-z]+=", text)


def test_there_is_one_first_heading_and_no_level_is_left_out(page: Page):
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in zip(page.headings, page.headings[1:], strict=False))


def test_everything_of_the_audit_is_in_it(text: str):
    for words in (
        "Synthetic data.", "What drives the ranking?", "Nothing else comes near &lt;them&gt; &amp; that is sensible.",
        "A line that rises from 0 to 2 and falls again.", "Safety now", "A. &lt;Lead&gt;",
        "signed 1 feature: feature_3", "−0.123 (−0.200 to 0.100)", "this is no ranking", "00ff",
    ):  # fmt: skip
        assert words in text, words
    for name in NAMES:
        assert f'id="feature.{name}"' in text


def test_the_most_urgent_stands_first(text: str):
    start = text.index("To look at first")
    assert (
        start < text.index("Mend first", start) < text.index("Please look", start) < text.index("Good to know", start)
    )


def test_a_finding_about_a_page_that_is_not_there_has_no_link(text: str):
    assert "Nobody has such a page." in text
    assert "of nobody" not in text


def test_without_a_database_nothing_is_said_of_decisions():
    assert "Who agreed" not in file_of(rich(NAMES[:3], 1))
    assert "Nobody has decided anything" in file_of(rich(NAMES[:3], 1), decisions=[])


def test_real_data_have_no_banner():
    assert "Synthetic data." not in file_of(rich(NAMES[:3], 1, synthetic=False))


def test_2000_therapists_and_70_features_fit_into_a_mail():
    names = [f"feature_{at}" for at in range(70)]
    large = feature("large", points=60)
    drawn = chart(points=60)
    audit = rich(names, therapists=2000)
    padded = drawn.model_copy(update={"svg": drawn.svg.replace("</svg>", f"<!----><g>{'<g/>' * 8000}</g></svg>")})
    features = dict.fromkeys(names, large.model_copy(update={"parts": (padded, *large.parts)}))
    assert len(padded.svg) > 35_000
    assert len(file_of(audit.model_copy(update={"features": features})).encode()) < LARGEST


def test_nobody_is_ranked_in_the_table_of_therapists():
    found = people_table({name: report(name) for name in ("t-9", "t-10", "t-2")})
    assert found is not None
    assert [row[0] for row in found.rows] == ["t-10", "t-2", "t-9"]
    assert people_table({}) is None


def test_a_report_says_what_a_therapist_may_do_about_it():
    section = person(report("t-1"))
    assert section.parts[-1].title == "Your rights"
    assert {part.id for part in section.parts if part.kind == "table"} == {"expected", "caseload", "profile"}


def test_rendering_loads_neither_pandas_nor_matplotlib():
    heavy = {"pandas", "matplotlib", "scipy", "sklearn", "mlflow", "lightgbm"}
    probe = f"import sys, training.report.file, training.report.people; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
