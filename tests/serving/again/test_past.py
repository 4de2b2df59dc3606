"""Answers of the past stand: the same bytes, and the same when derived again, whatever has changed since."""

import datetime as dt
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from data.dataset import Dataset
from data.errors import GoneError, NotFoundError
from data.loading import DirectoryData, load
from data.sql import RECOMMENDATIONS
from data.synthetic.truth import Truth
from serving.again.model_commands import app as models
from serving.again.replay import against
from serving.again.replay_commands import app as commands
from serving.app import create_app
from serving.running.loaded import Model
from serving.settings import Exploration, Settings
from serving.sources import Sources
from training.config import HeadConfig, PrognosisConfig, TrainConfig
from training.run import train

if TYPE_CHECKING:
    from conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
HELD = [{"instrument": "phq9", "item": "9", "value": 2}]
Serve = Callable[[FastAPI], AbstractContextManager["Live"]]


@pytest.fixture(scope="session")
def another(clinic: tuple[Dataset, Truth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that learned otherwise from the same clinic."""
    made = tmp_path_factory.mktemp("another") / "bundle"
    named = [{"name": name, "source": name, "weight": 1} for name in ("retention", "alliance")]
    heads = tuple(HeadConfig.model_validate(one) for one in named)
    config = TrainConfig(bootstraps=50, prognosis=PrognosisConfig(rounds=3, folds=2), heads=heads)
    train(clinic[0], config, made)
    return made


@pytest.fixture
def served(bundle: Path, another: Path, tmp_path: Path) -> Path:
    """A folder of the bundles that were served: version 1 and version 2."""
    for version, folder in (("1", bundle), ("2", another)):
        shutil.copytree(folder, tmp_path / "served" / version)
    return tmp_path / "served"


@pytest.fixture
def running(stored: str, served: Path, told: Settings, serve_live: Serve) -> Iterator["Live"]:
    """A service that answers from version 1."""
    with serve_live(create_app(told, Sources(served / "1", "version 1", database=stored), lambda: NOW)) as live:
        yield live


def swap(live: "Live", folder: Path, version: str) -> None:
    loaded = live.service.loaded
    loaded.swap(loaded.readied(Model.of(folder, version)))


def without(listed: DirectoryData, gone: str) -> DirectoryData:
    entries = {kind: {name: one for name, one in rows.items() if name != gone} for kind, rows in listed.entries.items()}
    return replace(listed, entries=entries)


def replay(*words: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(commands, [*words, "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.stdout)


# -- over HTTP -------------------------------------------------------------------------------------------------------


def test_an_answer_stays_what_it_was_when_model_and_directory_change(
    running: "Live", served: Path, listed: DirectoryData, body: dict[str, Any]
) -> None:
    client = running.as_("platform")
    first = client.post("/v1/recommendations", json={**body, "k": 50})
    top, second = (one["therapist_id"] for one in first.json()["recommendations"][:2])
    path = f"/v1/recommendations/{first.json()['recommendation_id']}"
    parts = ("", "/exclusions", f"/compare?a={top}&b={second}")
    before = [client.get(path + part).content for part in parts]
    swap(running, served / "2", "version 2")
    load(running.service.engine, without(listed, top), NOW)
    later = client.post("/v1/recommendations", json={**body, "k": 50})
    assert later.json()["model"]["bundle_id"] != first.json()["model"]["bundle_id"]
    assert later.json()["counts"]["considered"] == first.json()["counts"]["considered"] - 1
    assert first.content == before[0]
    assert [client.get(path + part).content for part in parts] == before


def test_a_bundle_that_is_gone_is_named_with_the_next_step(running: "Live", served: Path, body: dict[str, Any]) -> None:
    client = running.as_("platform")
    first = client.post("/v1/recommendations", json=body).json()
    swap(running, served / "2", "version 2")
    shutil.rmtree(served / "1")
    path = f"/v1/recommendations/{first['recommendation_id']}"
    gone = client.get(f"{path}/exclusions")
    assert gone.status_code == 404
    assert first["model"]["bundle_id"] in gone.json()["detail"]
    assert "-> " in gone.json()["detail"]
    assert client.get(path).json() == first


def test_tenants_see_nothing_of_each_other(running: "Live", listed: DirectoryData, body: dict[str, Any]) -> None:
    load(running.service.engine, listed, NOW, "north")
    mine = running.as_("platform").post("/v1/recommendations", json={**body, "measures": HELD}).json()
    path = f"/v1/recommendations/{mine['recommendation_id']}"
    stranger = running.as_("platform", "clinician", "auditor", tenant="north")
    reason = {"who": "clinician-7", "reason": "talked today"}
    assert stranger.get(f"{path}/exclusions").status_code == 404
    assert stranger.get(f"{path}/compare", params={"a": "t-00001", "b": "t-00002"}).status_code == 404
    assert stranger.post(f"{path}/release", json=reason).status_code == 404


def test_an_answer_for_clinicians_is_shown_to_clinicians_and_auditors_only(
    service: "Live", body: dict[str, Any]
) -> None:
    given = service.as_("clinician").post("/v1/recommendations", json=body).json()
    a, b = (one["therapist_id"] for one in given["recommendations"][:2])
    for part in ("exclusions", f"compare?a={a}&b={b}"):
        path = f"/v1/recommendations/{given['recommendation_id']}/{part}"
        statuses = [service.as_(scope).get(path).status_code for scope in ("platform", "clinician", "auditor", "admin")]
        assert statuses == [403, 200, 200, 403]
        assert service.client().get(path).status_code == 401


def test_an_erased_answer_is_gone(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_("clinician")
    given = client.post("/v1/recommendations", json=body).json()
    erase(service.service.engine, given["recommendation_id"])
    path = f"/v1/recommendations/{given['recommendation_id']}"
    assert client.get(f"{path}/exclusions").status_code == 410
    assert client.get(f"{path}/compare?a=t-00001&b=t-00002").status_code == 410
    assert client.post(f"{path}/release", json={"who": "c-7", "reason": "talked"}).status_code == 410


def erase(engine: sa.Engine, recommendation_id: str) -> None:
    mine = RECOMMENDATIONS.c.recommendation_id == recommendation_id
    with engine.begin() as connection:
        gone = {"request": sa.null(), "answer": None, "erased_at": NOW}
        connection.execute(sa.update(RECOMMENDATIONS).where(mine).values(gone))


# -- a dataset that is served as it stands ---------------------------------------------------------------------------


def test_a_dataset_served_as_it_stands_answers_for_itself(
    folder: Path, bundle: Path, database: str, told: Settings, serve_live: Serve, body: dict[str, Any], tmp_path: Path
) -> None:
    with serve_live(create_app(told, Sources(bundle, data=folder, database=database), lambda: NOW)) as live:
        client = live.as_("platform")
        given = client.post("/v1/recommendations", json=body).json()
        exclusions = client.get(f"/v1/recommendations/{given['recommendation_id']}/exclusions").json()
    assert exclusions["excluded"] == given["excluded"]
    named = [given["recommendation_id"], "--bundle", str(bundle), "--database", database]
    assert replay(*named, "--data", str(folder))[0] == 0
    code, report = replay(*named)
    assert code == 1
    assert "--data" in report["answers"][0]["problem"]
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "slots.csv").unlink(missing_ok=True)
    (other / "slots.parquet").unlink(missing_ok=True)
    code, report = replay(*named, "--data", str(other))
    assert code == 1
    assert "not from" in report["answers"][0]["problem"]


# -- replay ----------------------------------------------------------------------------------------------------------


def test_every_kind_of_answer_is_derived_again_to_the_byte(
    stored: str, served: Path, told: Settings, serve_live: Serve, listed: DirectoryData, body: dict[str, Any]
) -> None:
    signed = Exploration(signed_by="A. Lead", signed_on=NOW.date(), reason="to keep learning", share=0.1)
    exploring = told.model_copy(update={"exploration": signed})
    with serve_live(create_app(told, Sources(served / "1", "version 1", database=stored), lambda: NOW)) as live:
        platform, clinician = live.as_("platform"), live.as_("clinician")
        for client in (platform, clinician):
            answers = [client.post("/v1/recommendations", json={**body, "k": 30})]
        flagged = [{"instrument": "phq9", "item": "9", "value": 1}]
        answers.append(platform.post("/v1/recommendations", json={**body, "measures": flagged}))
        nobody = {**body["client"], "jurisdiction": "US-AK"}
        answers.append(platform.post("/v1/recommendations", json={**body, "client": nobody}))
        held = platform.post("/v1/recommendations", json={**body, "measures": HELD})
        path = f"/v1/recommendations/{held.json()['recommendation_id']}/release"
        answers += [held, clinician.post(path, json={"who": "clinician-7", "reason": "talked today"})]
        swap(live, served / "2", "version 2")
        load(live.service.engine, without(listed, "t-00003"), NOW)
        answers.append(platform.post("/v1/recommendations", json=body))
    with serve_live(create_app(exploring, Sources(served / "2", "version 2", database=stored), lambda: NOW)) as live:
        explored = [live.as_("platform").post("/v1/recommendations", json={**body, "k": 30}) for _ in range(12)]
    assert all(answer.status_code == 200 for answer in answers + explored)
    code, report = replay("--all", "--bundle", str(served), "--database", stored)
    assert [one["problem"] for one in report["answers"] if one["problem"]] == []
    assert [one["fields"] for one in report["answers"] if one["fields"]] == []
    assert report["counts"] == dict.fromkeys(("asked", "derived", "bytes_equal", "ranks_equal", "stand"), 19)
    assert report["skew"] == 0
    assert code == 0
    assert replay("--all", "--limit", "3", "--bundle", str(served), "--database", stored)[1]["counts"]["asked"] == 3
    tomorrow = ("--since", "2026-10-02", "--bundle", str(served), "--database", stored)
    assert replay("--all", *tomorrow)[1]["counts"]["asked"] == 0
    assert replay("--all", "--tenant", "north", "--database", stored)[1]["counts"]["asked"] == 0


def test_what_differs_is_said_and_fails(running: "Live", stored: str, served: Path, body: dict[str, Any]) -> None:
    client = running.as_("platform")
    given = [client.post("/v1/recommendations", json=body).json() for _ in range(3)]
    given[0]["recommendations"][0]["utility"]["mean"] += 1e-6
    given[1]["recommendations"][:2] = given[1]["recommendations"][1::-1]
    given[2]["next_step"] = given[2].pop("next_step")  # the same, in another order
    for answer in given:
        mine = RECOMMENDATIONS.c.recommendation_id == answer["recommendation_id"]
        with running.service.engine.begin() as connection:
            connection.execute(sa.update(RECOMMENDATIONS).where(mine).values(answer=json.dumps(answer).encode()))
    code, report = replay("--all", "--bundle", str(served), "--database", stored)
    found = {one["recommendation_id"]: one for one in report["answers"]}
    skewed, turned, respelled = (found[answer["recommendation_id"]] for answer in given)
    assert code == 1
    assert skewed["ranks_equal"]
    assert skewed["skew"] == pytest.approx(1e-6)
    assert skewed["fields"] == ["recommendations.utility.mean"]
    assert not turned["ranks_equal"]
    assert turned["skew"] == 0
    assert respelled["stands"]
    assert not respelled["bytes_equal"]
    assert report["counts"] == {"asked": 3, "derived": 3, "bytes_equal": 0, "ranks_equal": 2, "stand": 1}
    assert report["skew"] == skewed["skew"]
    shown = CliRunner().invoke(commands, ["--all", "--bundle", str(served), "--database", stored])
    assert "OTHER RANKS" in shown.stdout
    assert "recommendations.utility.mean" in shown.stdout


def test_a_difference_of_rounding_stands() -> None:
    before = {"recommendations": [{"therapist_id": "t-1", "utility": {"mean": 0.1, "low": 0.0, "high": 0.2}}]}
    again = json.loads(json.dumps(before))
    again["recommendations"][0]["utility"]["mean"] += 1e-12
    assert against("r-1", before, again, bytes_equal=False).stands


def test_who_names_nothing_or_somebody_elses_is_told(running: "Live", stored: str, body: dict[str, Any]) -> None:
    given = running.as_("platform").post("/v1/recommendations", json=body).json()["recommendation_id"]

    def run(*words: str) -> Result:
        return CliRunner().invoke(commands, [*words, "--database", stored])

    assert run().exit_code == 2
    assert run(given, "--all").exit_code == 2
    assert run(given, "--limit", "3").exit_code == 2
    assert isinstance(run(given, "--tenant", "north").exception, NotFoundError)
    erase(running.service.engine, given)
    assert isinstance(run(given).exception, GoneError)
    assert json.loads(run("--all", "--json").stdout)["counts"]["asked"] == 0


# -- another model on the same requests ------------------------------------------------------------------------------


def compared(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(models, ["compare", *words, "--journal", "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_stored_requests_are_ranked_by_another_bundle(
    running: "Live", stored: str, served: Path, body: dict[str, Any]
) -> None:
    client = running.as_("platform")
    born = (1950, 1965, 1980, 1995)
    asked = [{**body, "client": {**body["client"], "birth_year": year}} for year in born]
    asked.append({**body, "client": {**body["client"], "data_use": "care_only"}})
    asked.append({**body, "client": {**body["client"], "jurisdiction": "US-AK"}})
    assert {client.post("/v1/recommendations", json=one).status_code for one in asked} == {200}
    held = client.post("/v1/recommendations", json={**body, "measures": HELD}).json()["recommendation_id"]
    release = {"who": "clinician-7", "reason": "talked today"}
    assert running.as_("clinician").post(f"/v1/recommendations/{held}/release", json=release).status_code == 200
    one, two = str(served / "1"), str(served / "2")
    same = compared(one, one, "--database", stored)
    assert same["counts"] == {"compared": 5, "care only": 1, "nobody eligible": 1}
    assert same["top_k_overlap"]["mean"] == 1
    assert same["rank_correlation"]["mean"] == pytest.approx(1)
    assert same["another_first"] == 0
    assert same["given_up"]["mean"] == 0
    other = compared(one, two, "--database", stored)
    assert (other["first"], other["second"]) != (same["first"], same["second"])
    assert other["rank_correlation"]["mean"] < 1
    assert other["given_up"]["q90"] >= other["given_up"]["q10"] >= 0
    assert sum(other["meaningful_difference"].values()) == 5
    back = compared(two, one, "--database", stored)
    assert back["top_k_overlap"] == other["top_k_overlap"]
    assert back["another_first"] == other["another_first"]
    turned = other["meaningful_difference"]
    assert back["meaningful_difference"]["first_only"] == turned["second_only"]
    assert sum(compared(one, two, "--limit", "2", "--database", stored)["counts"].values()) == 2
    shown = CliRunner().invoke(models, ["compare", one, two, "--journal", "--database", stored])
    assert "another therapist stands first in" in shown.stdout


def test_folders_are_compared_without_any_record_of_decisions(
    served: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = str(served / "1"), str(served / "2")
    result = CliRunner().invoke(models, ["compare", one, two, "--data", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["data"]["same"]
    assert found["importance"]["order"] is None
    assert 0 < found["ranked"]["all"]["another_first"]["value"] <= 1
    assert found["ranked"]["all"]["correlation"]["value"] < 1
    assert "counts" not in found
    assert not (tmp_path / "var").exists()
    shown = CliRunner().invoke(models, ["compare", one, two])
    assert "not compared: no audit that tells the importance" in shown.stdout
    assert "Who is ranked differently" not in shown.stdout
