"""With THERAPIST_FIT_REQUIRE_ALL=1 nothing may be skipped: run on small test files of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SKIPPING = {
    "in_a_test": "import pytest\ndef test_a():\n    pytest.skip('the body says so')\n",
    "in_a_fixture": "from pytest import *\n@fixture\ndef f():\n    skip('its fixture says so')\ndef test(f): pass\n",
    "by_a_mark": "import pytest\n@pytest.mark.skipif(True, reason='the mark says so')\ndef test_a(): pass\n",
    "of_a_module": "import pytest\npytest.skip('the module says so', allow_module_level=True)\n",
    "for_an_import": "import pytest\npytest.importorskip('no_such_module_at_all')\n",
    "without_real_data": "def test_a(real_data): pass\n",
}


def run(folder: Path, tests: dict[str, str], **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    for name, text in tests.items():
        (folder / f"test_{name}.py").write_text(text)
    known = {k: v for k, v in os.environ.items() if not k.startswith(("THERAPIST_FIT_", "PYTEST_"))}
    known["THERAPIST_FIT_REAL_DATA"] = str(folder / "nowhere")
    flags = ["-q", "-rs", "-p", "no:cacheprovider", "-c", os.devnull, "--continue-on-collection-errors"]
    command = [sys.executable, "-m", "pytest", *flags, "."]
    return subprocess.run(command, cwd=folder, env=known | environment, capture_output=True, text=True, check=False)


def test_every_kind_of_skip_is_a_failure_that_names_its_reason_where_all_tests_are_required(tmp_path: Path):
    found = run(tmp_path, SKIPPING, THERAPIST_FIT_REQUIRE_ALL="1")
    assert found.returncode == 1
    assert found.stdout.count("THERAPIST_FIT_REQUIRE_ALL=1 turns a skip into a failure") >= len(SKIPPING)
    places = ("body", "fixture", "mark", "module")
    for reason in (*(f"{place} says so" for place in places), "no_such_module"):
        assert reason in found.stdout
    assert "skipped" not in found.stdout.splitlines()[-1]


def test_otherwise_a_test_without_its_real_data_is_skipped_and_says_why(tmp_path: Path):
    found = run(tmp_path, {"one": SKIPPING["without_real_data"]})
    assert found.returncode == 0
    assert "nowhere is missing: real data are not part of the repository" in found.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path):
    text = "import pytest\n@pytest.mark.xfail\ndef test_a():\n    assert False\n"
    assert run(tmp_path, {"one": text}, THERAPIST_FIT_REQUIRE_ALL="1").returncode == 0
