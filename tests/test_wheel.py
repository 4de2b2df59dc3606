"""What an installed program carries: every package, the command, and the files that are not code."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data", "features", "training", "serving", "experiments")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_wheel_carries_every_module_and_the_command(wheel: set[str]):
    modules = {str(p.relative_to(ROOT)) for package in PACKAGES for p in (ROOT / package).rglob("*.py")}
    assert {"therapist_fit.py", *modules} <= wheel


def test_the_wheel_carries_what_the_program_reads_beside_its_code(wheel: set[str]):
    assert {"features/policy.toml", "data/migrations/script.py.mako"} <= wheel
    assert any(name.startswith("data/migrations/versions/m0001") for name in wheel)
    for package in PACKAGES:
        others = {
            str(p.relative_to(ROOT))
            for p in (ROOT / package).rglob("*.*")
            if p.suffix in (".toml", ".html", ".css", ".js", ".svg", ".typed")
        }
        assert others <= wheel


def test_the_wheel_carries_nothing_else(wheel: set[str]):
    tops = {name.split("/")[0] for name in wheel}
    assert {name for name in tops if not name.startswith("therapist_fit-")} == {*PACKAGES, "therapist_fit.py"}
    assert not {name for name in wheel if "__pycache__" in name}


def test_the_wheel_brings_the_command_and_the_licence(wheel: set[str]):
    assert any(name.endswith("entry_points.txt") for name in wheel)
    assert any(name.endswith("licenses/LICENSE") for name in wheel)
