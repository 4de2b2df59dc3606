"""A real Chromium and a real server that holds the synthetic clinic's directory."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from data.database import connect
from data.loading import DirectoryData
from data.loading import load as load_directory
from serving.access.auth import COOKIE
from serving.app import create_app
from serving.sources import Sources
from tests.serving.conftest import NOW, SETTINGS, Live, _quiet, bundle, listed, live

__all__ = ["_quiet", "bundle", "listed"]

CHROMIUM = os.environ.get("THERAPIST_FIT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "no Chromium on this machine -> apt-get install chromium, or name one in THERAPIST_FIT_CHROMIUM"
DESKTOP, PHONE = {"width": 1200, "height": 850}, {"width": 360, "height": 740}


@pytest.fixture(scope="session")
def clinic_service(
    listed: DirectoryData,
    bundle: Path,
    new_database: Callable[[str, Path], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Live]:
    """A service on the stored directory, shared by all tests of the pages."""
    url = new_database("sqlite", tmp_path_factory.mktemp("pages"))
    engine = connect(url)
    load_directory(engine, listed, NOW)
    engine.dispose()
    with live(create_app(SETTINGS, Sources(bundle, database=url), lambda: NOW)) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module: its event loop is gone before the next begins."""
    if CHROMIUM is None:
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Visit:
    """A window of the browser that can reach nothing but the server, and what it complained about."""

    def __init__(self, context: BrowserContext, url: str):
        self.url = url
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.errors_expected = 0
        """Answers such as 422, which the browser writes to its console by itself."""
        context.route("**/*", self._only_ours)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _only_ours(self, route: Route) -> None:
        if route.request.url.startswith((self.url, "data:")):
            route.continue_()
        else:
            self.strangers.append(route.request.url)
            route.abort()

    def _heard(self, message: object) -> None:
        kind, text = message.type, message.text  # type: ignore[attr-defined]
        if kind in ("error", "warning"):
            if "the server responded with a status of 4" in text:
                self.errors_expected += 1
            else:
                self.complaints.append(text)

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def come_in(self, key: str) -> Page:
        """Signed in already."""
        self.page.context.add_cookies([{"name": COOKIE, "value": key, "url": self.url, "httpOnly": True}])
        return self.open("/match")

    def sign_in(self, key: str) -> Page:
        page = self.open("/login")
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/match")
        return page


@contextmanager
def visiting(browser: Browser, url: str, **window: Any) -> Iterator[Visit]:
    """Whatever a test did, the console stayed quiet and nothing was asked of anybody else."""
    context = browser.new_context(**window)
    visit = Visit(context, url)
    yield visit
    context.close()
    assert visit.complaints == []
    assert visit.strangers == []


@pytest.fixture
def visit(browser: Browser, clinic_service: Live) -> Iterator[Visit]:
    """A fresh window."""
    with visiting(browser, clinic_service.url, viewport=DESKTOP, locale="en-GB") as visit:
        yield visit


@pytest.fixture
def phone(browser: Browser, clinic_service: Live) -> Iterator[Visit]:
    """A narrow window that is touched."""
    window = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "reduced_motion": "reduce"}
    with visiting(browser, clinic_service.url, **window) as visit:
        yield visit


@pytest.fixture
def unscripted(browser: Browser, clinic_service: Live) -> Iterator[Visit]:
    """A window in which no script runs."""
    with visiting(browser, clinic_service.url, viewport=DESKTOP, java_script_enabled=False) as visit:
        yield visit
