"""The audit as one file in a real Chromium with the network cut: it is all there, readable, reachable and printable."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Page, expect

from data.decisions import Decision
from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.test_audit_pages import photographed
from tests.browser.test_match import serious, wide
from tests.training.report.examples import NAMES, rich, table
from training.audit.document import Section
from training.report.file import file_of

PAGES_OF_A_PRINT = range(12, 40)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole audit as a file, with more therapists than fit on a screen."""
    path = tmp_path_factory.mktemp("file") / "audit.html"
    signed = Decision("sign", "0123456789abcdef", "A. Lead", "read it", features={"feature_3": "aa"})
    broad = Section(id="broad", title="Which table is broad?", says=("This one.",), parts=(table("broad", NAMES),))
    path.write_text(file_of(rich(therapists=60), [broad], [signed], "00ff"))
    return path


def opened(browser: Browser, written: Path, **window: object) -> Iterator[Page]:
    context = browser.new_context(offline=True, **window)  # type: ignore[arg-type]
    complaints: list[str] = []
    asked: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(written.as_uri())
    yield page
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.fixture
def page(browser: Browser, written: Path) -> Iterator[Page]:
    """On a desk, where scripts do not run."""
    yield from opened(browser, written, viewport=DESKTOP)


@pytest.fixture
def phone(browser: Browser, written: Path) -> Iterator[Page]:
    yield from opened(browser, written, viewport=PHONE, has_touch=True, is_mobile=True)


def test_every_link_leads_to_what_it_names(page: Page) -> None:
    links = page.locator("a[href^='#']")
    targets = set(links.evaluate_all("all => all.map((one) => one.getAttribute('href'))"))
    assert len(targets) > 20
    for target in sorted(targets):
        page.evaluate("(to) => { location.hash = to }", target)
        assert page.evaluate("(id) => document.getElementById(id) !== null", unquote(target[1:])), target
        top = page.evaluate("(id) => document.getElementById(id).getBoundingClientRect().top", unquote(target[1:]))
        assert top < DESKTOP["height"], target


def test_every_picture_is_drawn_and_has_words(page: Page) -> None:
    found = page.evaluate("[...document.images].map((one) => [one.naturalWidth > 0, one.alt])")
    assert len(found) > 10
    assert all(drawn and words for drawn, words in found)


def test_data_are_downloaded_as_csv(page: Page) -> None:
    with page.expect_download() as waiting:
        page.locator("#section\\.drives a.csv").first.click()
    assert waiting.value.suggested_filename == "importance.csv"
    text = Path(waiting.value.path()).read_text()
    assert text.startswith("feature,share,share_low,share_high,people,remark,unknown")
    assert "'=HYPERLINK" in text


def test_axe_finds_nothing(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert serious(page) == []
    photographed(page, "file-desktop")


def test_on_a_phone_only_tables_scroll(phone: Page) -> None:
    phone.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    content, window = wide(phone)
    assert content <= window
    assert phone.evaluate("[...document.querySelectorAll('.scroll')].some((one) => one.scrollWidth > one.clientWidth)")
    assert serious(phone) == []
    photographed(phone, "file-phone")


def test_the_keyboard_reaches_the_content_a_table_and_its_details(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#main"
    reached: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.tagName + ' ' + (document.activeElement.className || '')"))
    assert "DIV scroll" in reached
    assert "SUMMARY " in reached
    assert "A csv" in reached


def test_it_reads_without_scripts(browser: Browser, written: Path) -> None:
    for page in opened(browser, written, viewport=DESKTOP, java_script_enabled=False):
        page.locator("summary", has_text="Good to know").first.click()
        expect(page.get_by_text("Few people are older.").first).to_be_visible()


def test_it_prints_whole(page: Page) -> None:
    printed = page.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page[^s]", printed)) in PAGES_OF_A_PRINT
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 680, "height": 960})
    edges = "[...document.querySelectorAll('table, img')].map((one) => one.getBoundingClientRect().right)"
    assert max(page.evaluate(edges)) <= 681
    hidden = (
        "[...document.querySelectorAll('details *')].filter((one) => !one.closest('.csv') && !one.checkVisibility())"
    )
    assert page.evaluate(f"{hidden}.length") == 0
    for scroll in page.locator(".scroll").all()[:5]:
        assert scroll.evaluate("(one) => getComputedStyle(one).overflowX") == "visible"
    photographed(page, "file-print")


def test_the_colours_of_findings_are_not_all_that_tells_them_apart(page: Page) -> None:
    words = page.locator("#overview .level").all_inner_texts()
    assert words[:2] == ["Mend first", "Please look"]
