"""The house: where things stand, who may import whom, and what each module owes its reader."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("data", "features", "training", "serving", "experiments")
TOP = {*PACKAGES, "tests", "pyproject.toml", "README.md", "Makefile", "CHANGELOG.md", "LICENSE", "therapist_fit.py"}
TOP |= {"requirements.lock", "requirements-dev.lock"}
LONGEST = 300
DEFINITIONS = {
    "data/instruments.py": "one frozen definition for each instrument, with its sources",
    "data/tables.py": "one definition for each table and column of the contract",
}
"""Modules that may be longer, and why."""


def listed() -> list[Path]:
    """Files of the repository, those not yet committed included; what git ignores is not part of it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("git is missing or this is no checkout: what belongs to the repository cannot be told")
    return [Path(name) for name in found if name and (ROOT / name).is_file()]


def modules() -> list[Path]:
    """Modules of the packages and the command, as paths below the root."""
    paths = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return [path.relative_to(ROOT) for path in sorted(paths)] + [Path("therapist_fit.py")]


def tree(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text())


def imported(module: Path) -> set[str]:
    """Every module that it imports anywhere, at the top or inside a function; `from a import b` gives a and a.b."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def within(names: set[str], package: str) -> bool:
    return any(name == package or name.startswith(package + ".") for name in names)


def spoken(module: Path) -> str:
    """Text of the module's strings: what `importlib.import_module` could be asked for."""
    return "\n".join(
        n.value for n in ast.walk(tree(module)) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    )


# -- layers -------------------------------------------------------------------------------------------------------


def test_imports_run_one_way(tmp_path: Path):
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    command += ["--cache-dir", str(tmp_path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "1 kept, 0 broken" in found.stdout


def test_only_the_registry_imports_mlflow():
    strangers = [str(m) for m in modules() if within(imported(m), "mlflow") and m.parts[:2] != ("training", "registry")]
    assert strangers == []


def test_of_serving_only_the_parent_and_the_commands_import_the_registry():
    doors = {Path("serving/running/parent.py"), Path("serving/commands.py")}
    serving = [m for m in modules() if m.parts[0] == "serving"]
    strangers = [
        str(m)
        for m in serving
        if m not in doors and (within(imported(m), "training.registry") or "training.registry" in spoken(m))
    ]
    assert strangers == []


def test_a_worker_loads_no_mlflow():
    doors = (Path("serving/running/parent.py"), Path("serving/commands.py"))
    names = [".".join(m.with_suffix("").parts) for m in modules() if m.parts[0] == "serving" and m not in doors]
    probe = f"import importlib, sys; [importlib.import_module(n) for n in {names}]; print('mlflow' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout.strip() == "False", found.stderr


def test_nobody_imports_the_experiments_or_the_tests():
    strangers = [
        str(m)
        for m in modules()
        if m.parts[0] != "experiments" and (within(imported(m), "experiments") or within(imported(m), "tests"))
    ]
    assert strangers == []


# -- places -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_ours_wherever_one_stands(package: str, tmp_path: Path):
    known = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", f"import {package}; print({package}.__file__)"]
    found = subprocess.run(command, cwd=tmp_path, env=known, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert Path(found.stdout.strip()) == ROOT / package / "__init__.py"


def test_nothing_stands_at_the_top_but_what_belongs_there():
    top = {path.parts[0] for path in listed()}
    assert {name for name in top if not name.startswith(".")} <= TOP


def test_files_made_at_run_time_are_ignored_and_so_is_no_code():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert "/var/" in ignored
    assert not {f"{slash}{package}{end}" for package in PACKAGES for slash in ("", "/") for end in ("", "/")} & set(
        ignored
    )


def test_no_package_stands_below_tests():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_tests_folders_mirror_the_packages():
    folders = {
        p.relative_to(ROOT / "tests").parts[0] for p in (ROOT / "tests").rglob("test_*.py") if p.parent.name != "tests"
    }
    assert folders <= {*PACKAGES, "layout", "skew", "docs", "server", "browser"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_typed_and_its_init_is_one_docstring(package: str):
    assert (ROOT / package / "py.typed").is_file()
    body = tree(Path(package, "__init__.py")).body
    assert len(body) == 1
    assert ast.get_docstring(tree(Path(package, "__init__.py")))


# -- what a module owes its reader --------------------------------------------------------------------------------


def test_no_module_is_longer_than_300_lines_but_pure_definitions():
    lengths = {str(m): len((ROOT / m).read_text().splitlines()) for m in modules()}
    assert {name: n for name, n in lengths.items() if n > LONGEST and name not in DEFINITIONS} == {}


def test_every_module_says_what_it_is_for():
    written = [m for m in modules() if (ROOT / m).read_text().strip()]
    assert [str(m) for m in written if not ast.get_docstring(tree(m))] == []


def public(
    node: ast.AST, inside: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            yield inside + child.name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{inside}{child.name}.")


def test_every_public_class_and_function_says_what_it_is_for():
    silent = [
        f"{module}: {name}"
        for module in modules()
        for name, node in public(tree(module))
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_work_is_done_at_import():
    """A bare call at the top of a module is work; definitions, and `main()` of a script, are not."""
    working = [
        f"{module}:{node.lineno}"
        for module in modules()
        for node in tree(module).body
        if isinstance(node, ast.For | ast.While | ast.With)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))
        if module.parts[:2] != ("data", "migrations") and not within(imported(module), "mlflow.models")
    ]
    assert working == []


# -- locks --------------------------------------------------------------------------------------------------------


def pinned(lock: str) -> dict[str, str]:
    """Name -> version."""
    found = re.findall(
        r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,_-]+\])?==([^\s;\\]+)", (ROOT / lock).read_text(), re.MULTILINE
    )
    return {normal(name): version for name, version in found}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


RUNNING = PROJECT["project"]["dependencies"]


def group(name: str) -> list[str]:
    """Requirements of a dependency group, those of the groups it includes too."""
    own = PROJECT["dependency-groups"][name]
    return [line for one in own for line in (group(one["include-group"]) if isinstance(one, dict) else [one])]


WANTED = {"requirements.lock": RUNNING, "requirements-dev.lock": RUNNING + group("dev")}


@pytest.mark.parametrize(("lock", "line"), [(lock, line) for lock, lines in WANTED.items() for line in lines])
def test_a_lock_pins_every_dependency_to_a_version_the_project_allows(lock: str, line: str):
    wanted = Requirement(line)
    version = pinned(lock).get(normal(wanted.name))
    assert version is not None, f"{wanted.name} is not in {lock}: regenerate it"
    assert wanted.specifier.contains(version, prereleases=True)


@pytest.mark.parametrize("lock", WANTED)
def test_a_lock_has_a_hash_for_every_package_and_no_address(lock: str):
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index" not in text
    blocks = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_both_locks_agree_where_they_meet():
    running, developing = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert running.items() <= developing.items()
