"""The command `therapist-fit serve` as a real process with its workers, asked over HTTP."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import sqlalchemy as sa

from data.database import connect, require_schema, writing
from data.dataset import Dataset, write
from data.directory import KINDS, DirectoryData, DirectoryMeta
from data.errors import NotReadyError
from data.loading import load
from data.sql import TENANT
from data.synthetic.truth import Truth
from data.tables import CLIENTS
from serving.service import Service, utc_now
from serving.settings import Settings
from serving.sources import Sources

EXAMPLE = Path(__file__).parents[3] / "serving" / "settings.example.toml"
CANARY = "canary-7f3a"
Serve = Callable[..., AbstractContextManager[Any]]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "import therapist_fit; therapist_fit.main()", *arguments]


@pytest.fixture
def empty(new_database: Callable[[str, Path], str], tmp_path: Path) -> str:
    """URL of a database without a directory."""
    return new_database("sqlite", tmp_path)


def test_a_live_worker_never_imports_mlflow_and_its_log_knows_no_people(
    serve_process: Serve, empty: str, bundle: Path, folder: Path, body: dict[str, Any], tmp_path: Path
) -> None:
    """PYTHONPROFILEIMPORTTIME makes every process write each module that it imports, the worker too."""
    given = ("--bundle", str(bundle), "--data", str(folder))
    with serve_process(tmp_path, empty, *given, PYTHONPROFILEIMPORTTIME="1") as process:
        client = process.as_("platform")
        assert client.base_url.host == "127.0.0.1"
        ranked = client.post("/v1/recommendations", json=body)
        assert len(ranked.json()["recommendations"]) == 5
        planted = client.post("/v1/recommendations", json=with_canaries(body), headers={"X-Request-ID": "request-1"})
        assert planted.status_code == 200
        assert client.post("/v1/recommendations", json={"client": {"gender": CANARY}, CANARY: 1}).status_code == 422
        assert client.get(f"/v1/model?{CANARY}=1").status_code == 200
    lines = process.log.read_text().splitlines()
    imported = {line.rsplit("|", 1)[1].strip() for line in lines if line.startswith("import time:")}
    assert {"serving.running.worker", "serving.answering.recommend", "lightgbm"} <= imported
    assert not {name for name in imported if name.split(".")[0] == "mlflow"}
    events = [json.loads(line) for line in lines if line.startswith("{")]
    mine = [event for event in events if event.get("request_id") == "request-1"]
    assert [event["status"] for event in mine if event["event"] == "request"] == [200]
    assert CANARY not in process.log.read_text()
    assert "71351" not in json.dumps(events)
    (recommended,) = [event for event in mine if event["event"] == "recommended"]
    assert recommended["location"] == planted.headers["Location"]
    assert set(recommended) == {"event", "level", "timestamp", "request_id", "location"}


def with_canaries(body: dict[str, Any]) -> dict[str, Any]:
    """A good request with a value that must not be seen again in every field that takes words."""
    words = {column.name: CANARY for column in CLIENTS.columns if column.kind in ("code", "tag", "codes", "tags")}
    ours = {"client_id": "c-71351", "birth_year": 1971, "jurisdiction": "US-CA", "data_use": "care_only"}
    excluded = [{"therapist_id": "t-71351", "reason": CANARY}]
    return {**body, "client": {**body["client"], **words, **ours}, "exclude_therapists": excluded}


def refusal(tmp_path: Path, *arguments: str) -> str:
    done = subprocess.run(
        command("serve", "--port", "0", "--metrics-port", "0", *arguments),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    return done.stderr


def test_without_words_for_what_happens_next_it_does_not_start(bundle: Path, folder: Path, tmp_path: Path) -> None:
    given = ("--bundle", str(bundle), "--data", str(folder))
    assert "settings" in refusal(tmp_path, *given)
    silent = tmp_path / "silent.toml"
    silent.write_text('time_zone = "UTC"\n')
    assert "next_step" in refusal(tmp_path, *given, "--settings", str(silent))


def test_a_bundle_whose_files_were_altered_is_refused_and_the_reason_given(
    bundle: Path, folder: Path, tmp_path: Path
) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(bundle, altered)
    golden = json.loads((altered / "golden.json").read_text())
    golden["computed"]["outcome fit of row 0"][0] += 0.01
    (altered / "golden.json").write_text(json.dumps(golden))
    said = refusal(tmp_path, "--settings", str(EXAMPLE), "--bundle", str(altered), "--data", str(folder))
    assert "error: " in said
    assert str(altered) in said


def test_a_dataset_that_breaks_the_contract_is_refused_without_a_cell_of_it(
    clinic: tuple[Dataset, Truth], bundle: Path, tmp_path: Path
) -> None:
    broken = write(clinic[0], tmp_path / "broken", "csv")
    clients = pd.read_csv(broken / "clients.csv", dtype="string")
    clients.loc[:2, "birth_year"] = CANARY
    clients.to_csv(broken / "clients.csv", index=False)
    said = refusal(tmp_path, "--settings", str(EXAMPLE), "--bundle", str(bundle), "--data", str(broken))
    assert f"error: {broken}: 3 problems in the dataset" in said
    assert "therapist-fit data check" in said
    assert CANARY not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("url", ["postgresql://someone:sesame@127.0.0.1:1/nothing", "no address"])
def test_a_database_that_does_not_answer_is_one_line(bundle: Path, folder: Path, tmp_path: Path, url: str) -> None:
    given = ("--settings", str(EXAMPLE), "--bundle", str(bundle), "--data", str(folder))
    (line,) = refusal(tmp_path, *given, "--database", url).splitlines()
    assert line.startswith("error: the database cannot be used")
    assert "sesame" not in line


def test_a_file_that_is_no_database_is_one_line(bundle: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_text("not a database, but long enough to be looked at" * 100)
    given = ("--settings", str(EXAMPLE), "--bundle", str(bundle), "--data", str(folder))
    said = refusal(tmp_path, *given, "--database", f"sqlite:///{tmp_path}/letter.db")
    assert len(said.splitlines()) == 1


def test_a_live_worker_without_a_dataset_imports_no_frames(
    serve_process: Serve, stored: str, bundle: Path, body: dict[str, Any], tmp_path: Path
) -> None:
    """What it does not need would take more memory than a directory of 100,000 therapists."""
    with serve_process(tmp_path, stored, "--bundle", str(bundle)) as process:
        (worker,) = workers_of(process)
        assert process.as_("platform").post("/v1/recommendations", json=body).status_code == 200
        loaded = Path(f"/proc/{worker}/maps").read_text()
    assert "lib_lightgbm" in loaded
    assert not [name for name in ("/pandas/", "/pyarrow/", "/sklearn/", "/matplotlib/") if name in loaded]


# -- workers ----------------------------------------------------------------------------------------------------------


def workers_of(process: Any) -> set[int]:
    """Process ids of those that have begun to serve and have not been told dead."""
    dead = {event["pid"] for event in process.events("worker_died")}
    begun = {e["event"] for e in process.events() if e["event"].startswith("Started server process")}
    return {int(words.split("[")[1].rstrip("]")) for words in begun} - dead


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits for something that comes soon unless something is stuck."""
    for _ in range(1200):
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


def test_workers_share_one_address_and_one_that_dies_is_started_again(
    serve_process: Serve, empty: str, bundle: Path, tmp_path: Path
) -> None:
    with serve_process(tmp_path, empty, "--bundle", str(bundle), "--workers", "2") as process:
        first = workers_of(process)
        assert len(first) == 2
        os.kill(min(first), signal.SIGKILL)
        again = until(lambda: len(workers_of(process) - first) == 1 and workers_of(process), "a new worker")
        assert process.client().get("/readyz").status_code == 200
    assert max(first) in again
    (told,) = process.events("worker_died")
    assert (told["pid"], told["code"]) == (min(first), -signal.SIGKILL)
    assert told["again_in_seconds"] > 0
    finished = [e["event"] for e in process.events() if e["event"].startswith("Finished server process")]
    assert {int(words.split("[")[1].rstrip("]")) for words in finished} == again


def begun_request(url: str, length: int = 2) -> socket.socket:
    """A connection on which the head of a request has been sent, but not its body."""
    address = httpx.URL(url)
    line = socket.create_connection((address.host, address.port or 80), timeout=60)
    head = f"POST /v1/recommendations HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\n"
    line.sendall(f"{head}Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n".encode())
    assert line.recv(100).startswith(b"HTTP/1.1 100")  # the route reads the body: the request is in hand
    return line


def test_a_stop_finishes_the_request_in_hand(serve_process: Serve, empty: str, bundle: Path, tmp_path: Path) -> None:
    with serve_process(tmp_path, empty, "--bundle", str(bundle), "--workers", "2") as process:
        line = begun_request(process.told["url"])
        process.popen.send_signal(signal.SIGTERM)
        until(lambda: len([e for e in process.events() if e["event"] == "Shutting down"]) == 2, "both are stopping")
        with pytest.raises(httpx.ConnectError):
            process.client().get("/healthz")
        line.sendall(b"{}")
        assert line.recv(100).startswith(b"HTTP/1.1 401")  # answered, though nobody sent a key
        assert process.popen.wait(timeout=60) == 0
        line.close()


def test_a_connection_may_stay_idle_for_longer_than_servers_are_used_to(
    serve_process: Serve, empty: str, bundle: Path, tmp_path: Path
) -> None:
    with serve_process(tmp_path, empty, "--bundle", str(bundle)) as process:
        host, _, port = process.told["url"].removeprefix("http://").partition(":")
        with closing(http.client.HTTPConnection(host, int(port), timeout=60)) as line:
            for idle in (7, 0):  # five seconds are usual
                line.request("GET", "/healthz")
                answer = line.getresponse()
                assert (answer.status, bool(answer.read())) == (200, True)
                time.sleep(idle)


def test_a_second_signal_ends_it_at_once(serve_process: Serve, empty: str, bundle: Path, tmp_path: Path) -> None:
    with serve_process(tmp_path, empty, "--bundle", str(bundle)) as process:
        line = begun_request(process.told["url"])
        process.popen.send_signal(signal.SIGTERM)
        until(lambda: process.events("Shutting down"), "it is stopping")
        process.popen.send_signal(signal.SIGTERM)
        assert process.popen.wait(timeout=60) == 0
        assert line.recv(100) == b""
        line.close()
    assert not [e for e in process.events() if e["event"].startswith("Finished server process")]


def test_workers_stop_when_their_parent_is_gone(serve_process: Serve, empty: str, bundle: Path, tmp_path: Path) -> None:
    with serve_process(tmp_path, empty, "--bundle", str(bundle)) as process:
        (worker,) = workers_of(process)
        process.popen.kill()
        until(lambda: not Path(f"/proc/{worker}").exists(), "the worker stops")


# -- schema -----------------------------------------------------------------------------------------------------------


def age_schema(engine: sa.Engine) -> None:
    """Makes the database look as an earlier program left it."""
    with writing(engine) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'm0001'"))


def test_a_worker_has_read_every_directory_before_it_is_ready(stored: str, bundle: Path, told: Settings) -> None:
    engine = connect(stored)
    version = load(
        engine, DirectoryData(0, "b", DirectoryMeta(name="b"), {kind: {} for kind in KINDS}), utc_now(), "other"
    )
    engine.dispose()
    service = Service.open(told, Sources(bundle, database=stored))
    try:
        known = service.loaded.all()
        assert known.keys() == {TENANT, "other"}
        assert known["other"].directory.version == version
        assert known[TENANT].directory.size > 0
    finally:
        service.close()


def test_a_worker_refuses_an_older_schema(stored: str, bundle: Path, told: Settings) -> None:
    engine = connect(stored)
    age_schema(engine)
    engine.dispose()
    with pytest.raises(NotReadyError, match="database schema m0001: this program needs"):
        Service.open(told, Sources(bundle, database=stored))


def test_a_service_whose_schema_or_database_is_gone_is_not_ready_and_still_alive(service: Any) -> None:
    client = service.client()
    assert client.get("/readyz").status_code == 200
    age_schema(service.service.engine)
    refused = client.get("/readyz")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert "m0001" in refused.json()["detail"]
    with writing(service.service.engine) as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


def test_the_parent_brings_an_older_database_up_to_date_first(
    serve_process: Serve, bundle: Path, tmp_path: Path
) -> None:
    with serve_process(tmp_path, f"sqlite:///{tmp_path}/new.db", "--bundle", str(bundle), "--workers", "3") as process:
        assert process.client().get("/readyz").status_code == 200
        require_schema(process.engine)
