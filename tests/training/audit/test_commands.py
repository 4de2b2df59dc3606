"""`train` audits what it learned, the registry keeps the audit, `audit` writes the file, `audit sign` signs."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from data.dataset import write
from data.decisions import history, published
from data.errors import BundleError, ConfigError, GateError, NotFoundError
from data.migrating import open_database
from training import commands as training
from training import models
from training.audit import commands as auditing
from training.audit.document import read

RUNNER = CliRunner()
CONFIG = 'bootstraps = 50\n[[heads]]\nname = "outcome"\nsource = "outcome"\nweight = 1\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with a small clinic and a configuration."""
    from data.synthetic.clinic import simulate
    from data.synthetic.plan import Plan

    folder = tmp_path_factory.mktemp("audits")
    write(simulate(Plan(episodes=700, therapists=14, seed=5))[0], folder / "clinic")
    write(simulate(Plan(episodes=300, therapists=10, seed=6))[0], folder / "another")
    (folder / "train.toml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("THERAPIST_FIT_DATABASE_URL", raising=False)
        yield folder


@pytest.fixture(scope="module")
def trained(place: Path) -> dict[str, Any]:
    """What `train --json` says of a registered, audited bundle."""
    del place
    found: dict[str, Any] = told(training.app, "clinic", "--config", "train.toml", "--out", "var/bundle", "--json")
    return found


def told(app: Any, *words: str) -> Any:
    """What a command says as JSON."""
    done = RUNNER.invoke(app, list(words))
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def test_train_audits_what_it_learned(trained: dict[str, Any], place: Path) -> None:
    audit = read(place / "var" / "bundle")
    assert audit.bundle_id == trained["bundle_id"]
    assert [one.model_dump() for one in audit.findings] == trained["audit"]


def test_the_registry_keeps_the_audit_and_hands_it_over(trained: dict[str, Any], place: Path) -> None:
    done = RUNNER.invoke(models.app, ["export", trained["version"], "var/handed"])
    assert done.exit_code == 0, done.exception
    kept, made = (place / "var" / name / "audit.json" for name in ("handed", "bundle"))
    assert kept.read_bytes() == made.read_bytes()


def test_an_audit_is_written_and_put_before_the_auditors(trained: dict[str, Any], place: Path) -> None:
    found = told(auditing.app, trained["version"], "--json")
    assert (found["file"], found["version"], found["published"]) == ("audit.html", "1", True)
    assert "What drives the ranking" in (place / "audit.html").read_text()
    kept = {one.evidence_hash: (one.bundle_id, one.version) for one in published(open_database())}
    assert kept[found["evidence_hash"]] == (trained["bundle_id"], "1")


def test_make_may_be_left_out(trained: dict[str, Any]) -> None:
    both = [told(auditing.app, *start, trained["bundle_id"], "--json") for start in ((), ("make",))]
    assert both[0] == both[1]


@pytest.fixture
def folder(trained: dict[str, Any], place: Path, tmp_path: Path) -> Path:
    """A bundle's folder that may be audited again."""
    assert trained["bundle_id"]
    return shutil.copytree(place / "var" / "bundle", tmp_path / "bundle")


def test_a_folder_is_audited_again_with_its_data(trained: dict[str, Any], place: Path, folder: Path) -> None:
    before = (folder / "audit.json").read_bytes()
    done = RUNNER.invoke(auditing.app, ["--data", "clinic", "-o", "again.html", str(folder)])
    assert done.exit_code == 0, done.exception
    assert f"audit of bundle {trained['bundle_id']} (version 1) in again.html" in done.stdout
    assert "synthetic data" in done.stdout
    assert (folder / "audit.json").read_bytes() != before
    assert (place / "again.html").stat().st_size > 100_000


def test_the_card_says_what_has_changed_since_an_earlier_bundle(trained: dict[str, Any], folder: Path) -> None:
    told(auditing.app, str(folder), "--data", "clinic", "--against", trained["version"], "-o", "since.html", "--json")
    assert f"What changed since bundle {trained['bundle_id']}" in Path("since.html").read_text()
    assert told(models.app, "show", trained["version"], "--against", str(folder), "--json") == {"changed": []}


def test_a_file_that_nobody_computed_is_not_put_before_the_auditors(trained: dict[str, Any], place: Path) -> None:
    del trained
    folder = shutil.copytree(place / "var" / "bundle", place / "tampered")
    found = read(folder)
    quiet = tuple(one.model_copy(update={"findings": ()}) for one in found.sections)
    found.model_copy(update={"sections": quiet}).write(folder)
    before = published(open_database())
    refused = RUNNER.invoke(auditing.app, ["tampered", "-o", "tampered.html"])
    assert isinstance(refused.exception, BundleError)
    assert "neither the audit that was registered with version 1" in str(refused.exception)
    assert published(open_database()) == before


def test_what_happened_in_service_is_in_the_file_where_a_database_is_named(
    trained: dict[str, Any], place: Path
) -> None:
    told(
        auditing.app, trained["version"], "-o", "served.html", "--database", "sqlite:///var/therapist-fit.db", "--json"
    )
    text = (place / "served.html").read_text()
    assert 'id="section.safety"' in text
    assert "Who agreed" in text


def test_a_person_signs_on_the_newest_audit(trained: dict[str, Any]) -> None:
    flagged = sorted(name for name in read("var/bundle").features)
    words = ["sign", trained["version"], "--who", "A. Lead", "--reason", "read; sensible"]
    signed = told(auditing.app, *words, *(word for name in flagged for word in ("--feature", name)), "--json")
    assert signed["unsigned"] == []
    made = history(open_database())[-1]
    assert (made.action, made.who, made.bundle_id) == ("sign", "A. Lead", trained["bundle_id"])
    assert told(auditing.app, trained["version"], "-o", "signed.html", "--json")["published"]
    assert "A. Lead" in Path("signed.html").read_text()


def test_a_signature_without_a_name_is_refused(trained: dict[str, Any]) -> None:
    refused = RUNNER.invoke(auditing.app, ["sign", trained["version"], "--who", " ", "--reason", ""])
    assert isinstance(refused.exception, GateError)
    assert {one.where for one in refused.exception.problems} >= {"who", "reason"}


def test_what_is_not_there_and_what_does_not_go_together_is_said(trained: dict[str, Any], place: Path) -> None:
    assert isinstance(RUNNER.invoke(auditing.app, ["of-nobody"]).exception, NotFoundError)
    other = RUNNER.invoke(auditing.app, ["var/bundle", "--data", "another"]).exception
    assert isinstance(other, ConfigError)
    assert trained["bundle_id"]
    assert not (place / "of-nobody").exists()


def test_a_bundle_that_was_not_audited_says_what_to_run(trained: dict[str, Any], place: Path) -> None:
    del trained
    words = ["clinic", "--config", "train.toml", "--no-track", "--no-audit", "--out", "var/plain", "--json"]
    assert told(training.app, *words)["audit"] is None
    assert not (place / "var" / "plain" / "audit.json").exists()
    missing = RUNNER.invoke(auditing.app, ["var/plain"]).exception
    assert isinstance(missing, BundleError)
    assert "therapist-fit audit var/plain --data DATASET" in str(missing)


def test_without_a_name_it_is_bad_use() -> None:
    assert RUNNER.invoke(auditing.app, []).exit_code == 2
    assert RUNNER.invoke(auditing.app, ["--json"]).exit_code == 2
