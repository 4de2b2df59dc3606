"""What a clinical lead reads of a clinic whose truth is known, in a real Chromium with the network cut: it is true."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from data.synthetic.truth import Truth
from experiments.audit_truth import PLANTED, feature_of
from tests.browser.conftest import DESKTOP
from training.audit.document import Audit
from training.audit.run import audit
from training.config import DEFAULT_HEADS, TrainConfig
from training.report.file import file_of
from training.run import train

HARMED = "black"


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> tuple[Audit, Truth]:
    """A clinic in which one group is harmed, learned from and audited as any other."""
    dataset, truth = simulate(Plan(episodes=7000, therapists=110, seed=4, harm=f"ethnicity={HARMED}"))
    folder = tmp_path_factory.mktemp("truth") / "bundle"
    train(dataset, TrainConfig(bootstraps=100, heads=DEFAULT_HEADS[:3]), folder)
    return audit(folder, dataset), truth


@pytest.fixture
def page(browser: Browser, audited: tuple[Audit, Truth], tmp_path: Path) -> Iterator[Page]:
    file = tmp_path / "audit.html"
    file.write_text(file_of(audited[0]))
    context = browser.new_context(offline=True, viewport=DESKTOP)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert complaints == []


def words_of(page: Page, place: str) -> str:
    """What stands at a place of the file, folded or not."""
    said = page.evaluate("(id) => document.getElementById(id).textContent", place)
    return " ".join(str(said).split())


def test_the_harmed_group_is_named_among_what_to_look_at_first(page: Page) -> None:
    first = page.locator("#overview")
    expect(first).to_contain_text(HARMED)
    expect(first.locator("a[href='#group.ethnicity']").first).to_be_visible()


def test_what_was_planted_drives_the_order_with_its_sign(audited: tuple[Audit, Truth], page: Page) -> None:
    known = {one.name: one for one in audited[0].importance.features}
    opening = words_of(page, "section.importance")[:600]
    assert "wishes met" in opening
    assert "interpersonal skill" in opening
    for name, sign in PLANTED.items():
        assert known[name].learned in (sign, "0"), name
    assert [name for name in PLANTED if known[name].learned == PLANTED[name]] != []


def test_planted_noise_is_called_noise_on_its_own_page(audited: tuple[Audit, Truth], page: Page) -> None:
    known = {one.name: one for one in audited[0].importance.features}
    noise = [feature_of(column) for column in audited[1].describe()["noise"]]
    assert len(noise) >= 10
    assert [name for name in noise if known[name].verdict in ("drives", "matters")] == []
    called = [name for name in noise if "No sign that it matters" in words_of(page, f"feature.{name}")]
    assert len(called) >= 0.8 * len(noise)


def test_planted_stand_ins_for_a_protected_trait_are_flagged_and_nothing_else(
    audited: tuple[Audit, Truth], page: Page
) -> None:
    proxies = {feature_of(column) for column in audited[1].describe()["proxies"]}
    assert {one.name for one in audited[0].importance.features if "proxy" in one.flags} == proxies
    for name in proxies:
        assert "protected trait" in words_of(page, f"feature.{name}")
        expect(page.locator(f"#overview a[href='#feature.{name}']").first).to_be_visible()


def test_every_link_of_the_real_file_leads_somewhere(page: Page) -> None:
    lost = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map((one) => decodeURIComponent(one.hash.slice(1)))"
        ".filter((id) => document.getElementById(id) === null)"
    )
    assert lost == []
    assert page.evaluate("document.querySelectorAll('a[href^=\"http\"]').length") == 0
