"""A bundle on disk computes the same tomorrow, or is refused."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import features.catalog
from data.dataset import Dataset
from data.errors import BundleError
from data.synthetic.truth import Truth
from features.columns import Columns, Floats
from features.feature import Feature
from tests.training.conftest import carried
from training.bundle import Bundle, Prepared
from training.run import Trained
from training.storage import (
    SEAL,
    compute,
    differences,
    digest,
    load,
    save,
)

DAY = np.arange(8)


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may spoil."""
    return Path(shutil.copytree(trained.folder, tmp_path / "bundle"))


def golden(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "golden.json").read_text())
    return found


def asked(bundle: Bundle, folder: Path, row: int = 0) -> tuple[Columns, Prepared]:
    """The golden client of that row, and the golden therapists."""
    rows = golden(folder)
    clients = bundle.clients(rows["clients"], 3, bundle.manifest.as_of)
    return clients.take(np.array([row])), bundle.therapists(rows["ids"], rows["therapists"], bundle.manifest.as_of)


# --- round trip -----------------------------------------------------------------------------------------------------


def test_a_bundle_read_back_gives_the_same_posteriors(trained: Trained):
    again = load(trained.folder)
    for row in range(3):
        before = trained.bundle.posteriors(*asked(trained.bundle, trained.folder, row), DAY)
        after = again.posteriors(*asked(again, trained.folder, row), DAY)
        assert before.keys() == after.keys()
        for name, fit in before.items():
            assert after[name].mean.tolist() == fit.mean.tolist()
            assert after[name].loading == pytest.approx(fit.loading)
            assert after[name].own.tolist() == fit.own.tolist()


def test_a_bundle_read_back_says_the_same_of_itself(trained: Trained):
    again = load(trained.folder)
    assert again.manifest == trained.bundle.manifest.model_copy(update={"bundle_id": again.manifest.bundle_id})
    assert again.features == trained.bundle.features
    assert again.design.names == trained.bundle.design.names
    assert {n: h.info for n, h in again.heads.items()} == {n: h.info for n, h in trained.bundle.heads.items()}
    assert again.records.ids == trained.bundle.records.ids
    assert (again.records.last_case_on == trained.bundle.records.last_case_on).all()


def test_a_bundle_written_again_has_the_same_id(trained: Trained, tmp_path: Path):
    again = load(trained.folder)
    rows = {k: v for k, v in golden(trained.folder).items() if k != "computed"}
    written = save(again, tmp_path / "again", rows, carried(trained.folder))
    assert load(written).manifest.bundle_id == again.manifest.bundle_id


def test_a_bundle_holds_no_pickle(trained: Trained):
    kinds = {path.suffix for path in trained.folder.rglob("*") if path.is_file()}
    assert kinds == {".json", ".txt", ".npz", ""}
    assert [path.name for path in trained.folder.rglob("*") if path.is_file() and not path.suffix] == [SEAL, SEAL]


# --- refusals -------------------------------------------------------------------------------------------------------


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_an_altered_byte_in_any_file_is_refused(folder: Path):
    rng = np.random.default_rng(0)
    for path in files(folder):
        whole = path.read_bytes()
        for place in {0, len(whole) - 1, int(rng.integers(len(whole)))}:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(BundleError, match="altered"):
                load(folder)
        path.write_bytes(whole)
    load(folder)


def test_a_missing_file_is_refused(folder: Path):
    for path in files(folder):
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(BundleError, match="export"):
            load(folder)
        path.write_bytes(whole)


def test_a_file_more_is_refused(folder: Path):
    (folder / "heads" / "other.npz").write_bytes(b"")
    with pytest.raises(BundleError, match="altered"):
        load(folder)


def test_the_audit_may_be_laid_beside_the_bundle(folder: Path):
    (folder / "audit.json").write_text("{}")
    assert load(folder).manifest.bundle_id == digest(folder)


@pytest.mark.parametrize("written", [1, 99])
def test_another_format_is_refused(folder: Path, written: int):
    said = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**said, "format": written}))
    seal(folder)
    with pytest.raises(BundleError, match=f"format {written}, this program reads 3 -> train again"):
        load(folder)


def test_a_bundle_that_kept_its_therapists_in_parquet_is_still_read(folder: Path):
    now = load(folder).records
    counts = {name: pa.array(values) for name, values in now.counts.items()}
    rows = pa.table({"therapist_id": pa.array(now.ids), "last_case_on": pa.array(now.last_case_on), **counts})
    pq.write_table(rows, folder / "therapists.parquet")
    (folder / "therapists.npz").unlink()
    said = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**said, "format": 2}))
    seal(folder)
    before = load(folder).records
    assert before.ids == now.ids
    np.testing.assert_array_equal(before.last_case_on, now.last_case_on)
    assert before.counts.keys() == now.counts.keys()
    for name, values in now.counts.items():
        np.testing.assert_array_equal(before.counts[name], values)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path):
    with pytest.raises(BundleError, match="not a readable bundle"):
        load(tmp_path)


def seal(folder: Path) -> None:
    (folder / SEAL).write_text(digest(folder, ("audit.json", SEAL)))


# --- golden rows ----------------------------------------------------------------------------------------------------


def test_a_feature_that_computes_otherwise_than_in_training_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    changed = tuple(_older(f) if f.name == "age" else f for f in features.catalog.ROW_FEATURES)
    monkeypatch.setattr("features.build.ROW_FEATURES", changed)
    with pytest.raises(BundleError, match="golden rows differ") as caught:
        load(folder)
    assert "built" in str(caught.value)
    assert "serve with the version that trained it, or train again" in str(caught.value)


def _older(age: Feature) -> Feature:
    def build(rows: Columns) -> Floats:
        return np.asarray(age.build(rows)) + 1

    return replace(age, build=build)


def test_a_fit_that_computes_otherwise_than_in_training_is_refused(folder: Path):
    place = folder / "heads" / "outcome.npz"
    with np.load(place) as stored:
        arrays = dict(stored)
    arrays["b"] = arrays["b"] * (1 + 1e-6)
    np.savez(place, **arrays)
    seal(folder)
    with pytest.raises(BundleError, match="outcome fit"):
        load(folder)


def test_differences_name_what_differs(trained: Trained):
    rows = golden(trained.folder)
    assert differences(trained.bundle, rows) == []
    then = {**rows["computed"], "alliance fit of row 1": [0.0] * 8}
    assert differences(trained.bundle, {**rows, "computed": then}) == ["alliance fit of row 1"]


def test_golden_rows_hold_a_known_and_an_unknown_therapist(trained: Trained):
    rows = golden(trained.folder)
    prepared = trained.bundle.therapists(rows["ids"], rows["therapists"], trained.bundle.manifest.as_of)
    assert (prepared.position >= 0).sum() == 7
    assert (prepared.position == -1).sum() == 1
    assert compute(trained.bundle, rows)["columns"] == list(trained.bundle.features.columns)


def test_golden_clients_are_nobody(trained: Trained, clinic: tuple[Dataset, Truth]):
    rows = golden(trained.folder)["clients"]
    clients = clinic[0]["clients"]
    shared = [name for name in rows if name in clients]
    real = {_cells(row) for row in clients[shared].to_dict("records")}
    made_up = [_cells({name: rows[name][i] for name in shared}) for i in range(3)]
    assert len(shared) > 15
    assert not real & set(made_up)


def test_golden_therapists_are_nobody(trained: Trained, clinic: tuple[Dataset, Truth]):
    rows = golden(trained.folder)["therapists"]
    therapists = clinic[0]["therapists"]
    real = {_cells(row) for row in therapists[list(rows)].to_dict("records")}
    made_up = [_cells({name: rows[name][i] for name in rows}) for i in range(8)]
    assert not real & set(made_up)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple("" if cell is None or pd.isna(cell) else str(cell) for cell in row.values())


def test_golden_rows_keep_what_is_for_audits_only_out(trained: Trained):
    assert not {"disability", "sexual_orientation", "client_id", "data_use"} & set(golden(trained.folder)["clients"])
    assert "npi" not in golden(trained.folder)["therapists"]


def test_golden_rows_are_also_computed_as_a_server_does(trained: Trained):
    rows = golden(trained.folder)
    bundle = load(trained.folder)
    vars(bundle)["stack"] = replace(bundle.stack, b=bundle.stack.b * 1.001)  # what only answers are worked out from
    assert all(name.endswith("as it is served") for name in differences(bundle, rows))
    assert "outcome fit of row 0, as it is served" in differences(bundle, rows)
