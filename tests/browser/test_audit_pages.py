"""`/audit` in a real Chromium: what whoever answers for the model reads, follows and signs."""

import datetime as dt
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from data.database import connect
from data.decisions import history
from data.loading import DirectoryData
from data.loading import load as load_directory
from features.policy import Policy
from serving.app import create_app
from serving.sources import Sources
from tests.browser.conftest import DESKTOP, PHONE, Visit, visiting
from tests.browser.test_match import BODY, serious, wide
from tests.serving.conftest import NOW, SETTINGS, Live, live
from tests.training.report.examples import NAMES, rich
from training.audit.document import Audit
from training.deciding import Wish, decide, publish

HELD = [{"instrument": "phq9", "item": "9", "value": 2}]


@pytest.fixture(scope="module")
def audited(
    listed: DirectoryData,
    bundle: Path,
    new_database: Callable[[str, Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Live]:
    """A service whose bundle was audited, and another audit beside it."""
    url = new_database("sqlite", tmp_path_factory.mktemp("audited"))
    engine = connect(url)
    load_directory(engine, listed, NOW)
    engine.dispose()
    with live(create_app(SETTINGS, Sources(bundle, database=url), lambda: NOW)) as running:
        bundle_id = running.service.model.bundle.manifest.bundle_id
        publish(running.service.engine, document(bundle_id).model_dump_json().encode(), "3")
        earlier = document("fedcba9876543210", made_at=NOW - dt.timedelta(days=9))
        publish(running.service.engine, earlier.model_dump_json().encode(), "2")
        yield running


def document(bundle_id: str, **changes: object) -> Audit:
    """An audit of a bundle under today's policy."""
    return rich(bundle_id=bundle_id, policy_hash=Policy.read().hash(), **changes)


@pytest.fixture
def auditor(browser: Browser, audited: Live) -> Iterator[Visit]:
    with visiting(browser, audited.url, viewport=DESKTOP, locale="en-GB") as visit:
        yield visit


def come_in(visit: Visit, audited: Live, path: str = "/audit", scope: str = "auditor") -> Page:
    visit.come_in(audited.key(scope))
    return visit.open(path)


def photographed(page: Page, name: str) -> None:
    """Keeps a picture of the page where somebody asked for it."""
    folder = os.environ.get("THERAPIST_FIT_SCREENSHOTS")
    if folder:
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_every_link_leads_somewhere(auditor: Visit, audited: Live) -> None:
    held = audited.as_("clinician").post("/v1/recommendations", json={**BODY, "measures": HELD}).json()
    given = audited.as_("platform").post("/v1/recommendations", json=BODY).json()
    page = come_in(auditor, audited)
    waiting = ["/audit", *(f"/audit/recommendation/{one['recommendation_id']}" for one in (held, given))]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if path.endswith((".csv", "/file")):
            answer = page.request.get(audited.url + path)
            assert answer.ok, path
            assert "attachment" in answer.headers["content-disposition"]
            continue
        answered = page.goto(audited.url + path)
        assert answered is not None
        assert answered.ok, path
        assert page.locator("h1").count() == 1, path
        broken = page.evaluate("[...document.images].filter((one) => !one.naturalWidth).map((one) => one.src)")
        assert broken == []
        for href in page.evaluate("[...document.querySelectorAll('a[href]')].map((one) => one.getAttribute('href'))"):
            to = urlsplit(urljoin(audited.url + path, href))
            if not to.fragment and to.path.startswith("/audit"):
                waiting.append(to.path + (f"?{to.query}" if to.query else ""))
    assert len(seen) > 60
    assert any("/feature/" in path for path in seen)
    assert any("/therapist/t-" in path for path in seen)


def test_axe_finds_nothing_and_a_phone_scrolls_only_tables(browser: Browser, audited: Live) -> None:
    name = audited.service.audits.listed()[0].evidence_hash
    given = audited.as_("platform").post("/v1/recommendations", json=BODY).json()["recommendation_id"]
    paths = {
        "overview": "/audit",
        "section": f"/audit/{name}/section/drives",
        "feature": f"/audit/{name}/feature/{NAMES[1]}",
        "therapists": f"/audit/{name}/therapists",
        "therapist": f"/audit/{name}/therapist/t-1",
        "safety": "/audit/safety",
        "decisions": "/audit/decisions",
        "answer": f"/audit/recommendation/{given}",
    }
    key = audited.key("auditor")
    for size, window in (("desktop", DESKTOP), ("phone", PHONE)):
        with visiting(browser, audited.url, viewport=window) as visit:
            visit.come_in(key)
            for called, path in paths.items():
                page = visit.open(path)
                page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
                content, width = wide(page)
                assert content <= width, (called, size)
                assert serious(page) == [], (called, size)
                photographed(page, f"page-{called}-{size}")


def test_an_auditor_signs_in_reads_and_signs_with_the_keyboard_alone(auditor: Visit, audited: Live) -> None:
    before = len(history(audited.service.engine))
    page = auditor.open("/login")
    page.keyboard.insert_text(audited.key("auditor"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/audit")

    def to(words: str) -> None:
        """Tab until the focus is there."""
        said = "(one => one.value + '|' + one.id + '|' + one.innerText)(document.activeElement)"
        for _ in range(150):
            page.keyboard.press("Tab")
            if words in page.evaluate(said).split("|"):
                return
        raise AssertionError(f"{words} cannot be reached with the keyboard")

    to("Sign, approve or reject")
    page.keyboard.press("Enter")
    page.wait_for_url("**/audit/decisions**")
    to("sign")
    page.keyboard.press("Space")
    to(NAMES[1])
    page.keyboard.press("Space")
    to("who")
    page.keyboard.type("A. Lead")
    to("reason")
    page.keyboard.type("read on the page")
    to("Put on record")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("On record: sign the features")
    made = history(audited.service.engine)
    assert len(made) == before + 1
    assert (made[-1].who, made[-1].reason, made[-1].action) == ("A. Lead", "read on the page", "sign")
    assert set(made[-1].features or {}) == set(NAMES) - {NAMES[2]}


def test_a_double_click_decides_once_and_as_the_command_line_does(auditor: Visit, audited: Live) -> None:
    before = len(history(audited.service.engine))
    page = come_in(auditor, audited, "/audit/decisions")
    page.get_by_label("Reject this bundle").check()
    page.get_by_label("Who decides").fill("B. Lead")
    page.get_by_label("Reason").fill("older adults lose by it")
    page.get_by_role("button", name="Put on record").dblclick()
    expect(page.get_by_role("alert")).to_contain_text("On record: reject this bundle")
    made = history(audited.service.engine)
    assert len(made) == before + 1
    shown = audited.service.audits.of(made[-1].bundle_id)
    wish = Wish("reject", "B. Lead", "older adults lose by it", (), made[-1].bundle_id)
    decide(audited.service.engine, wish, shown.audit, shown.text, shown.evidence.version)
    assert replace(history(audited.service.engine)[-1], made_at=made[-1].made_at) == made[-1]


def test_what_is_missing_is_told_beside_each_field(auditor: Visit, audited: Live) -> None:
    page = come_in(auditor, audited, "/audit/decisions")
    page.get_by_label("Reason").fill("kept as typed")
    page.get_by_role("button", name="Put on record").click()
    expect(page.get_by_role("heading", name="Please look at these fields again")).to_be_visible()
    expect(page.get_by_label("Reason")).to_have_value("kept as typed")
    page.get_by_role("link", name="Who decides").click()
    expect(page.get_by_label("Who decides")).to_be_focused()
    assert serious(page) == []
    photographed(page, "page-problems")


def test_pages_read_without_scripts(browser: Browser, audited: Live) -> None:
    with visiting(browser, audited.url, viewport=DESKTOP, java_script_enabled=False) as visit:
        page = come_in(visit, audited)
        page.get_by_role("link", name="What drives the ranking?").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("What drives the ranking?")
