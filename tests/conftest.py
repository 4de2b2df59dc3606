"""What several folders' tests share: the real data, a small synthetic clinic, and when a skip is a failure."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from data.dataset import Dataset
    from data.synthetic.truth import Truth

ROOT = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("THERAPIST_FIT_REAL_DATA", ROOT.parent / "shared" / "data"))
REQUIRE_ALL = os.environ.get("THERAPIST_FIT_REQUIRE_ALL") == "1"
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
RULE = "THERAPIST_FIT_REQUIRE_ALL=1 turns a skip into a failure"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data beside the project, or the one THERAPIST_FIT_REAL_DATA names."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"{REAL_DATA} is missing: real data are not part of the repository -> set THERAPIST_FIT_REAL_DATA")
    return REAL_DATA


@pytest.fixture(scope="session")
def clinic() -> "tuple[Dataset, Truth]":
    """A small synthetic clinic and its truth. Shared by all tests of a session: read it, never change it."""
    from data.synthetic.clinic import simulate
    from data.synthetic.plan import Plan

    return simulate(Plan(episodes=1500, therapists=40, seed=7))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _insist(report) if not hasattr(report, "wasxfail") else report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _insist(report)


def _insist(report: Report) -> Report:
    if REQUIRE_ALL and report.outcome == "skipped":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome, report.longrepr = "failed", f"{reason}\n{RULE}"
    return report
