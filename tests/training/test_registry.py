"""Runs in MLflow, bundles in its registry, and the promotion of one through the gate. One real store for all tests."""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

from data.decisions import Decision, history, published
from data.errors import GateError, NotFoundError
from data.migrating import open_database
from features.policy import Policy
from tests.training.conftest import carried
from training.audit.document import Audit, Finding
from training.bundle import Bundle
from training.deciding import Wish, decide, publish
from training.gate import undecided, unmet
from training.models import app as models_app
from training.run import Trained
from training.signing import Record
from training.storage import load, save

if TYPE_CHECKING:
    from training.registry.tracking import Tracked
    from training.registry.verdicts import Verdict

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
    assert "without an id" not in Path(card).read_text()


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


@pytest.fixture
def fresh(new_database: Callable[[str, Path], str], tmp_path: Path) -> str:
    """A record of decisions on which nothing stands yet."""
    return new_database("sqlite", tmp_path)


def decided(database: str) -> dict[str, Decision]:
    return {one.bundle_id: one for one in history(open_database(database))}


FLAGS = {"wishes_met": "learned the other way than expected"}


def conclude(*asked: Any, **more: Any) -> "Verdict":
    from training.registry.verdicts import conclude as conclude_on

    return conclude_on(*asked, **more)


def put_before_people(audit: Audit, version: str, database: str) -> None:
    publish(open_database(database), audit.model_dump_json().encode(), version)


@pytest.fixture
def audit(trained: Trained, an_audit: Callable[..., Audit]) -> Audit:
    """An audit of the bundle, said to be of real people, that flags one of its features."""
    bundle = load(trained.folder)
    return an_audit(bundle.manifest, bundle.features.words, FLAGS, synthetic=False)


def refusal(version: str, who: str, database: str, policy: Policy | None = None) -> list[str]:
    from training.registry.models import promote

    before = history(open_database(database))
    with pytest.raises(GateError) as caught:
        promote(version, who, "looked at it", database, policy)
    assert history(open_database(database)) == before
    return [str(problem) for problem in caught.value.problems]


def forbidding(name: str) -> Policy:
    policy = Policy.read()
    rule = policy.feature[name].model_copy(update={"status": "forbidden", "reason": "it harms"})
    return policy.model_copy(update={"feature": {**policy.feature, name: rule}})


def test_the_gate_refuses_with_every_condition_that_is_missed(
    tracked: "list[Tracked]", database: str, trained: Trained
):
    from training.registry.models import find

    bundle = load(trained.folder)
    expected = [str(problem) for problem in unmet(bundle, Policy.read())]
    assert len(expected) > 1  # a small clinic proves little
    before = find(tracked[0].version)
    lines = refusal(tracked[0].version, "A. Lead", database)
    assert lines[: len(expected)] == expected
    unsigned, unapproved = lines[len(expected) :]
    assert unsigned.startswith(f"{', '.join(sorted(bundle.features.words))}: unsigned: nobody has signed")
    assert unapproved.startswith(f"bundle {bundle.manifest.bundle_id}: not approved")
    assert find(tracked[0].version) == before


def test_a_demonstration_may_pass_on_synthetic_data_and_the_record_says_so(
    tracked: "list[Tracked]", database: str, trained: Trained
):
    from training.registry.models import find, promote

    done = promote(tracked[0].version, "demo", "a demonstration", database)
    assert done.waived[: len(unmet(load(trained.folder), Policy.read()))] == unmet(load(trained.folder), Policy.read())
    assert find("champion").version == tracked[0].version
    kept = decided(database)[done.bundle_id]
    assert (kept.action, kept.who) == ("promote", "demo")
    assert kept.reason == f"a demonstration [gate waived: {len(done.waived)} conditions]"


def test_nobody_demonstrates_on_real_people(tracked: "list[Tracked]", database: str):
    for version in (tracked[1].version, tracked[2].version):  # whether it passes the gate or not
        assert any("the name demo is for synthetic data" in line for line in refusal(version, "demo", database))


def test_a_demonstration_never_serves_a_forbidden_feature_or_what_a_person_rejected(
    tracked: "list[Tracked]", fresh: str, audit: Audit
):
    version = tracked[0].version
    lines = refusal(version, "demo", fresh, forbidding("wishes_met"))
    assert any(line.startswith("wishes_met: forbidden: it harms") for line in lines)
    put_before_people(audit, version, fresh)
    conclude(version, "reject", "A. Lead", "older adults lose", database=fresh)
    assert any(
        "rejected by A. Lead" in line and "older adults lose" in line for line in refusal(version, "demo", fresh)
    )


def test_a_bundle_is_decided_on_by_its_audit_alone(tracked: "list[Tracked]", fresh: str):
    with pytest.raises(GateError, match=f"version {tracked[2].version}: not audited"):
        conclude(tracked[2].version, "approve", "A. Lead", "liked it", database=fresh)


def test_a_bundle_that_passes_is_promoted_by_a_named_person_on_the_record(
    tracked: "list[Tracked]", fresh: str, audit: Audit
):
    from training.registry.models import find, promote

    version, features = tracked[2].version, set(audit.features)
    put_before_people(audit, version, fresh)
    signed = conclude(version, "sign", "A. Lead", "read it", database=fresh)
    assert signed.as_json()["unsigned"] == ["wishes_met"]
    assert set(signed.decision.features or ()) == features - {"wishes_met"}
    with pytest.raises(GateError, match="wishes_met: unsigned: flagged"):
        conclude(version, "approve", "A. Lead", "read it", database=fresh)
    conclude(version, "sign", "A. Lead", "read it", ("wishes_met",), fresh)
    assert [line.split(":")[1] for line in refusal(version, "A. Lead", fresh)] == [" not approved"]
    assert conclude(version, "approve", "A. Lead", "read it", database=fresh).left == []
    done = promote(version, "A. Lead", "read the card", fresh)
    assert done.waived == []
    assert find("champion").version == version
    kept = decided(fresh)[done.bundle_id]
    assert (kept.action, kept.who, kept.reason) == ("promote", "A. Lead", "read the card")
    assert kept.policy_hash == Policy.read().hash()
    assert kept.evidence_hash == published(open_database(fresh))[0].evidence_hash


def test_a_rejection_after_the_approval_stops_promotion_and_return(tracked: "list[Tracked]", fresh: str, audit: Audit):
    from training.registry.models import promote, rollback

    version = tracked[2].version
    put_before_people(audit, version, fresh)
    conclude(version, "sign", "A. Lead", "read it", ("wishes_met",), fresh)
    conclude(version, "approve", "A. Lead", "read it", database=fresh)
    promote(version, "A. Lead", "read the card", fresh)
    (line,) = refusal(version, "A. Lead", fresh, forbidding("wishes_met"))[:1]
    assert line.startswith("wishes_met: forbidden")
    with pytest.raises(GateError, match="wishes_met: forbidden: it harms"):
        rollback("A. Lead", "as before", version, fresh, forbidding("wishes_met"))
    rejected = conclude(version, "reject", "B. Lead", "more clients leave early", database=fresh)
    assert "is served until another is" in rejected.lines()[-1]
    assert [line for line in refusal(version, "A. Lead", fresh) if "rejected by B. Lead" in line]
    with pytest.raises(GateError, match=r"rejected by B\. Lead on .*: more clients leave early"):
        rollback("A. Lead", "as before", version, fresh)
    conclude(version, "approve", "B. Lead", "it was another cause", database=fresh)
    assert rollback("A. Lead", "as before", version, fresh).version == version


def test_no_return_leads_from_real_people_to_a_model_of_invented_ones(
    tracked: "list[Tracked]", fresh: str, audit: Audit
):
    from training.registry.models import find, promote, rollback

    invented, version = tracked[0].version, tracked[2].version
    promote(invented, "demo", "a demonstration", fresh)
    put_before_people(audit, version, fresh)
    conclude(version, "sign", "A. Lead", "read it", ("wishes_met",), fresh)
    conclude(version, "approve", "A. Lead", "read it", database=fresh)
    promote(version, "A. Lead", "read the card", fresh)
    before = history(open_database(fresh))
    with pytest.raises(GateError, match="learned from invented people"):
        rollback("A. Lead", "as before", invented, fresh)
    assert history(open_database(fresh)) == before
    assert find("champion").version == version


def test_a_changed_rule_and_a_newer_audit_that_flags_more_stop_the_promotion_by_name(
    tracked: "list[Tracked]", fresh: str, audit: Audit, trained: Trained, an_audit: Callable[..., Audit]
):
    version, bundle = tracked[2].version, load(trained.folder)
    put_before_people(audit, version, fresh)
    conclude(version, "sign", "A. Lead", "read it", ("wishes_met",), fresh)
    conclude(version, "approve", "A. Lead", "read it", database=fresh)
    policy = Policy.read()
    rule = policy.feature["recency"].model_copy(update={"expected": "-"})
    changed = policy.model_copy(update={"feature": {**policy.feature, "recency": rule}})
    lines = refusal(version, "A. Lead", fresh, changed)
    assert [line.split(":")[0] for line in lines if "unsigned" in line] == ["recency"]
    flags = {**FLAGS, "severity": "unstable"}
    later = dt.datetime(2026, 2, 2, tzinfo=dt.UTC)
    newer = an_audit(bundle.manifest, bundle.features.words, flags, synthetic=False, made_at=later)
    put_before_people(newer, version, fresh)
    assert [line.split(":")[0] for line in refusal(version, "A. Lead", fresh)] == ["severity"]


def test_a_reason_to_stop_that_came_after_the_approval_stops_the_promotion_until_it_was_read(
    tracked: "list[Tracked]", fresh: str, audit: Audit
):
    version = tracked[2].version
    put_before_people(audit, version, fresh)
    conclude(version, "sign", "A. Lead", "read it", ("wishes_met",), fresh)
    conclude(version, "approve", "A. Lead", "read it", database=fresh)
    again = audit.model_copy(update={"made_at": dt.datetime(2026, 2, 2, tzinfo=dt.UTC)})
    put_before_people(again, version, fresh)
    assert undecided_of(version, fresh) == []  # nothing new was found
    harmed = Finding(level="stop", words="Older adults get worse more often", page="section/harm")
    (section,) = again.sections
    worse = again.model_copy(
        update={
            "made_at": dt.datetime(2026, 2, 3, tzinfo=dt.UTC),
            "sections": (section.model_copy(update={"findings": (*section.findings, harmed)}),),
        }
    )
    put_before_people(worse, version, fresh)
    (line,) = refusal(version, "A. Lead", fresh)
    assert "approved by A. Lead" in line
    assert "a later audit gives a reason to stop: Older adults get worse more often" in line
    conclude(version, "approve", "A. Lead", "read it too", database=fresh)
    assert undecided_of(version, fresh) == []


def undecided_of(version: str, database: str) -> list[str]:
    from training.registry.models import read

    with open_database(database).connect() as connection:
        record = Record(connection, Policy.read(), "default")
        return [str(problem) for problem in undecided(read(version), record, "A. Lead")]


def test_the_command_line_and_the_function_write_the_same_row(
    tracked: "list[Tracked]", new_database: Callable[[str, Path], str], tmp_path: Path, audit: Audit
):
    version, rows = tracked[2].version, []
    for through in ("command", "function"):
        url = new_database("sqlite", tmp_path)
        put_before_people(audit, version, url)
        conclude(version, "sign", "A. Lead", "read it", ("wishes_met",), url)
        if through == "command":
            said = ["approve", version, "--who", "A. Lead", "--reason", "read it", "--database", url, "--json"]
            done = CliRunner().invoke(models_app, said)
            assert done.exit_code == 0, done.output
            assert json.loads(done.stdout)["action"] == "approve"
        else:
            wish = Wish("approve", "A. Lead", "read it", bundle_id=audit.bundle_id)
            decide(open_database(url), wish, audit, audit.model_dump_json().encode(), version)
        rows.append(replace(history(open_database(url))[-1], made_at=audit.made_at))
    assert rows[0] == rows[1]


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
