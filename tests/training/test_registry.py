"""Runs in MLflow, bundles in its registry, and the promotion of one through the gate. One real store for all tests."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from data.decisions import Decision, history
from data.errors import GateError, NotFoundError
from data.migrating import open_database
from features.policy import Policy
from training.bundle import Bundle
from training.gate import unmet
from training.run import Trained
from training.storage import Beside, load, read_spans, read_stability, read_tested, save

if TYPE_CHECKING:
    from training.registry.tracking import Tracked

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder of its own, so that the default store under `var/` is made there."""
    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder


@pytest.fixture(scope="module")
def tracked(place: Path, trained: Trained) -> "list[Tracked]":
    """Three versions: the run, the same said to be of real people, and one that passes the gate."""
    from training.registry.tracking import track

    real = said(trained, place / "real", synthetic=False)
    good = said(trained, place / "good", synthetic=False, evaluation=passing(trained.bundle))
    return [track(trained), track(real), track(good)]


def carried(folder: Path) -> Beside:
    """What the bundle of a folder carries beside the model."""
    return Beside(read_spans(folder), read_stability(folder), read_tested(folder))


def said(trained: Trained, folder: Path, **words: object) -> Trained:
    """The run with other words in its manifest, written anew."""
    bundle = replace(trained.bundle, manifest=trained.bundle.manifest.model_copy(update=words))
    golden = json.loads((trained.folder / "golden.json").read_text())
    golden.pop("computed")
    return replace(trained, bundle=bundle, folder=save(bundle, folder, golden, carried(trained.folder)))


def passing(bundle: Bundle) -> dict[str, object]:
    heads = {}
    for name, head in bundle.manifest.evaluation["heads"].items():
        keys = ("r2_over_patient_only", "r2_over_therapist_only", "rank_validity")
        heads[name] = {**head, **{key: {"value": 0.1, "low": 0.05, "high": 0.2} for key in keys}}
    return {**bundle.manifest.evaluation, "forward": True, "heads": heads}


# --- tracking -------------------------------------------------------------------------------------------------------


def test_a_run_keeps_its_configuration_data_hash_and_metrics(tracked: "list[Tracked]", trained: Trained):
    from training.registry.store import connect

    run = connect().get_run(tracked[0].run_id)
    manifest = trained.bundle.manifest
    assert run.data.tags["data_hash"] == manifest.data_hash
    assert run.data.tags["bundle_id"] == load(trained.folder).manifest.bundle_id
    assert run.data.tags["synthetic"] == "true"
    assert run.data.tags["tested_forward_in_time"] == "true"
    assert run.data.params["prognosis.folds"] == "5"
    assert run.data.params["head.outcome.weight"] == "1.0"
    validity = manifest.evaluation["heads"]["outcome"]["rank_validity"]
    for end in ("value", "low", "high"):
        assert run.data.metrics[f"heads.outcome.rank_validity.{end}"] == pytest.approx(validity[end])


def test_a_run_keeps_pictures_card_and_manifest(tracked: "list[Tracked]", place: Path):
    from training.registry.store import connect

    client = connect()
    names = {one.path for one in client.list_artifacts(tracked[0].run_id)}
    pictures = {one.path for one in client.list_artifacts(tracked[0].run_id, "pictures")}
    assert {"model_card.md", "manifest.json", "pictures"} <= names
    drawn = ("therapists", "evaluation", "calibration", "dose_response")
    assert pictures == {f"pictures/{name}.png" for name in drawn}
    card = client.download_artifacts(tracked[0].run_id, "model_card.md", str(place))
    assert "Learned from synthetic data" in Path(card).read_text()


def test_everything_is_kept_under_var(tracked: "list[Tracked]", place: Path):
    assert len(tracked) == 3
    assert (place / "var" / "mlflow.db").is_file()
    assert not (place / "mlflow.db").exists()
    assert not (place / "mlruns").exists()
    assert any((place / "var" / "mlartifacts").iterdir())


@pytest.mark.usefixtures("tracked")
def test_tracking_says_nothing(trained: Trained, capfd: pytest.CaptureFixture[str]):
    from training.registry.models import versions
    from training.registry.tracking import track

    before = len(versions())
    capfd.readouterr()
    track(trained)
    assert capfd.readouterr() == ("", "")
    assert len(versions()) == before + 1


# --- versions -------------------------------------------------------------------------------------------------------


def test_versions_are_listed_newest_first(tracked: "list[Tracked]", trained: Trained):
    from training.registry.models import versions

    found = versions()
    numbers = [int(one.version) for one in found]
    assert numbers == sorted(numbers, reverse=True)
    assert {one.version for one in tracked} <= {one.version for one in found}
    assert all(one.dataset == trained.bundle.manifest.dataset for one in found)


def test_a_version_is_found_by_number_and_by_bundle_id(tracked: "list[Tracked]", trained: Trained):
    from training.registry.models import find

    assert find("1").run_id == tracked[0].run_id
    assert find(load(trained.folder).manifest.bundle_id).bundle_id == load(trained.folder).manifest.bundle_id


def test_a_version_that_is_not_there_is_named_beside_those_that_are(tracked: "list[Tracked]"):
    from training.registry.models import find

    with pytest.raises(NotFoundError, match=r"'99'.*versions: .*1") as caught:
        find("99")
    assert tracked[0].version in str(caught.value)


def test_an_export_is_the_bundle_file_by_file(tracked: "list[Tracked]", trained: Trained, tmp_path: Path):
    from training.registry.models import export

    folder = export(tracked[0].version, tmp_path / "served")
    for path in trained.folder.rglob("*"):
        if path.is_file():
            assert (folder / path.relative_to(trained.folder)).read_bytes() == path.read_bytes()
    assert export(tracked[0].version, tmp_path / "served") == folder  # again, over the old one


def test_a_registered_bundle_can_be_read(tracked: "list[Tracked]", trained: Trained):
    from training.registry.models import read

    assert read(tracked[0].version).manifest == load(trained.folder).manifest


# --- promotion ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(place: Path) -> str:
    return f"sqlite:///{place / 'decisions.db'}"


def decided(database: str) -> dict[str, Decision]:
    return {one.bundle_id: one for one in history(open_database(database))}


def test_the_gate_refuses_with_every_condition_that_is_missed(
    tracked: "list[Tracked]", database: str, trained: Trained
):
    from training.registry.models import find, promote

    expected = unmet(load(trained.folder), Policy.read())
    assert len(expected) > 1  # a small clinic proves little
    with pytest.raises(GateError) as caught:
        promote(tracked[0].version, "A. Lead", "looked at it", database)
    assert caught.value.problems == expected
    assert "champion" not in find(tracked[0].version).aliases


def test_a_demonstration_may_pass_on_synthetic_data_and_the_record_says_so(
    tracked: "list[Tracked]", database: str, trained: Trained
):
    from training.registry.models import find, promote

    done = promote(tracked[0].version, "demo", "a demonstration", database)
    assert done.waived == unmet(load(trained.folder), Policy.read())
    assert find("champion").version == tracked[0].version
    kept = decided(database)[done.bundle_id]
    assert (kept.action, kept.who) == ("promote", "demo")
    assert kept.reason == f"a demonstration [gate waived: {len(done.waived)} conditions]"


def test_nobody_demonstrates_on_real_people(tracked: "list[Tracked]", database: str):
    from training.registry.models import promote

    for version in (tracked[1].version, tracked[2].version):  # whether it passes the gate or not
        with pytest.raises(GateError, match="the name demo is for synthetic data"):
            promote(version, "demo", "a demonstration", database)


def test_a_bundle_that_passes_is_promoted_by_a_named_person_on_the_record(tracked: "list[Tracked]", database: str):
    from training.registry.models import find, promote

    done = promote(tracked[2].version, "A. Lead", "read the card", database)
    assert done.waived == []
    assert find("champion").version == tracked[2].version
    kept = decided(database)[done.bundle_id]
    assert (kept.action, kept.who, kept.reason) == ("promote", "A. Lead", "read the card")
    assert kept.policy_hash == Policy.read().hash()
    assert kept.evidence_hash


# --- scoring --------------------------------------------------------------------------------------------------------


def test_mlflow_itself_scores_a_registered_model(tracked: "list[Tracked]", place: Path, trained: Trained):
    from training.registry.tracking import _example

    asked = json.loads(_example(trained.folder).to_json(orient="split", index=False))
    (place / "asked.json").write_text(json.dumps({"dataframe_split": asked}))
    told = ["-m", f"models:/therapist-fit/{tracked[0].version}", "-i", "asked.json", "-o", "answer.json"]
    where = {"MLFLOW_TRACKING_URI": "sqlite:///var/mlflow.db", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "models", "predict", *told, "-t", "json", "--env-manager", "local"],
        cwd=place,
        env=os.environ | where,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((place / "answer.json").read_text())["predictions"]
    golden = json.loads((trained.folder / "golden.json").read_text())
    assert [row["therapist_id"] for row in rows] == golden["ids"]
    assert sorted(row["rank"] for row in rows) == list(range(1, 9))
    fits = np.array(golden["computed"]["outcome fit of row 0"])
    assert [row["gain_outcome"] for row in rows] == pytest.approx(fits - fits.mean())


def test_a_bundle_spoilt_in_the_store_is_not_handed_over(tracked: "list[Tracked]", place: Path, tmp_path: Path):
    from data.errors import BundleError
    from training.registry.models import export

    (one, *_) = [path for path in (place / "var" / "mlartifacts").rglob("golden.json") if "real" in str(path)]
    kept = one.read_text()
    one.write_text(kept.replace("null", "0.5", 1) + " ")
    with pytest.raises(BundleError, match="altered"):
        export(tracked[1].version, tmp_path / "served")
    assert not (tmp_path / "served").exists()
    one.write_text(kept)
    shutil.rmtree(tmp_path / ".served.part")
