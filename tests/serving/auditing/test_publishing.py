"""The audit beside the served bundle is put before the auditors by the service itself; without one it serves on."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from data.database import connect
from data.decisions import Evidence, evidence_of, published
from features.policy import Policy
from serving.running.exports import Served
from serving.running.publishing import publish_audit
from tests.training.report.examples import rich
from training.audit.document import FILE, evidence_hash

if TYPE_CHECKING:
    from conftest import Process

Serve = Callable[..., AbstractContextManager["Process"]]


@pytest.fixture
def with_audit(bundle: Path, tmp_path: Path) -> Path:
    """The bundle with an audit beside it."""
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    bundle_id = json.loads((folder / "manifest.json").read_text())["bundle_id"]
    rich(bundle_id=bundle_id, policy_hash=Policy.read().hash()).write(folder)
    return folder


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    made = connect(database)
    yield made
    made.dispose()


def test_it_is_kept_byte_for_byte_once_under_its_number(with_audit: Path, engine: sa.Engine) -> None:
    for _ in range(2):
        assert publish_audit(engine, Served(with_audit, "version 3"))
    text = (with_audit / FILE).read_bytes()
    (one,) = published(engine)
    assert isinstance(one, Evidence)
    assert (one.evidence_hash, one.version) == (evidence_hash(text), "3")
    assert evidence_of(engine, one.evidence_hash) == text


def test_a_bundle_without_an_audit_or_with_a_spoilt_one_is_passed_over(
    bundle: Path, with_audit: Path, engine: sa.Engine
) -> None:
    assert not publish_audit(engine, Served(bundle, "3"))
    (with_audit / FILE).write_text("{}")
    assert not publish_audit(engine, Served(with_audit, "3"))
    assert published(engine) == []


def test_a_started_service_shows_the_audit_of_what_it_serves_and_loads_no_frames(
    serve_process: Serve, stored: str, with_audit: Path, body: dict[str, Any], tmp_path: Path
) -> None:
    with serve_process(tmp_path, stored, "--bundle", str(with_audit)) as process:
        auditor = process.as_("auditor", "clinician")
        given = process.as_("platform").post("/v1/recommendations", json=body).json()["recommendation_id"]
        name = published(process.engine)[0].evidence_hash
        paths = ("", "/safety", "/decisions", f"/{name}/section/drives", f"/{name}/file", f"/recommendation/{given}")
        for path in paths:
            assert auditor.get(f"/audit{path}").status_code == 200, path
        new = next(one["therapist_id"] for one in auditor.get("/v1/therapists").json()["therapists"])
        assert auditor.get(f"/v1/therapists/{new}/report").status_code == 200
        assert auditor.get("/v1/model/importance").status_code == 200
        loaded = [
            Path(f"/proc/{one}/maps").read_text()
            for one in Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children").read_text().split()
        ]
        assert "audit_published" in {one["event"] for one in process.events()}
    worker = next(maps for maps in loaded if "lib_lightgbm" in maps)
    heavy = ("/pandas/", "/pyarrow/", "/sklearn/", "/matplotlib/", "/mlflow/")
    assert not [name for name in heavy if name in worker]
