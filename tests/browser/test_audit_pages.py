"""`/audit` in a real Chromium: what whoever answers for the model reads, follows and signs."""

import datetime as dt
import os
import re
from collections.abc import Iterator
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
from tests.training.report.examples import rich
from training.audit.document import Audit
from training.deciding import Wish, decide, publish

HELD = [{"instrument": "phq9", "item": "9", "value": 2}]


@pytest.fixture(scope="module")
def audited(
    listed: DirectoryData, bundle: Path, new_database: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    """A service whose bundle was audited, and another audit beside it."""
    url = new_database("sqlite", tmp_path_factory.mktemp("audited"))  # type: ignore[operator]
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
