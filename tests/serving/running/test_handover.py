"""From one champion to another under load, with a real registry, real workers and bundles that must be refused."""

import datetime as dt
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from data.dataset import Dataset
from data.errors import BundleError, GateError
from data.synthetic.truth import Truth
from serving.running.exports import Served, last_served, place_for, remember
from serving.running.handover import watch
from serving.running.loaded import Refusal
from training.config import PrognosisConfig, TrainConfig
from training.run import Trained, train
from training.storage import load

Serve = Callable[..., AbstractContextManager[Any]]


@dataclass(frozen=True)
class Registry:
    """A working folder with a model registry in it, and the versions there: number -> bundle id."""

    folder: Path
    bundles: list[Trained]
    versions: list[str]
    database: str

    def id_of(self, version: str) -> str:
        return load(self.bundles[self.versions.index(version)].folder).manifest.bundle_id


@pytest.fixture(scope="module")
def registry(
    clinic: tuple[Dataset, Truth],
    tmp_path_factory: pytest.TempPathFactory,
    new_database: Callable[[str, Path], str],
) -> Iterator[Registry]:
    """Three versions that differ, the first of them promoted."""
    from training.registry.models import promote
    from training.registry.tracking import track

    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        made = [
            train(
                clinic[0],
                TrainConfig(bootstraps=50, prognosis=PrognosisConfig(rounds=rounds, folds=2)),
                folder / f"b{rounds}",
            )
            for rounds in (10, 12, 14)
        ]
        found = Registry(folder, made, [track(one).version for one in made], new_database("sqlite", folder))
        promote(found.versions[0], "demo", "a test", found.database)
        yield found


@dataclass
class Load:
    """What came of requests that are sent without a pause."""

    statuses: Counter[int] = field(default_factory=Counter)
    models: list[tuple[str, str]] = field(default_factory=list)
    """Version and bundle id, in order of the answers."""
    failures: list[str] = field(default_factory=list)


@contextmanager
def constant_load(clients: list[httpx.Client], body: dict[str, Any]) -> Iterator[Load]:
    """One thread a client, each asking again as soon as it is answered, until the end of the block."""
    seen, stopped, writing = Load(), threading.Event(), threading.Lock()

    def ask(client: httpx.Client) -> None:
        while not stopped.is_set():
            try:
                answer = client.post("/v1/recommendations", json=body)
            except httpx.HTTPError as error:
                seen.failures.append(repr(error))
                continue
            with writing:
                seen.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    model = answer.json()["model"]
                    seen.models.append((model["version"], model["bundle_id"]))

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits for something that comes soon unless something is stuck."""
    wait = threading.Event()
    for _ in range(1200):
        if found := condition():
            return found
        wait.wait(0.05)
    raise AssertionError(f"never: {what}")


def all_from(seen: Load, version: str, count: int = 40) -> bool:
    """Whether the latest answers are all from one version."""
    return len(seen.models) >= count and {name for name, _ in seen.models[-count:]} == {f"version {version}"}


@pytest.fixture(scope="module")
def serving(serve_process: Serve, registry: Registry, folder: Path) -> Iterator[Any]:
    """Two workers that follow the champion."""
    with serve_process(registry.folder, registry.database, "--data", str(folder), "--workers", "2") as process:
        yield process


def test_under_constant_load_a_promotion_and_a_rollback_fail_no_request(
    serving: Any, registry: Registry, body: dict[str, Any]
) -> None:
    from training.registry.models import promote, rollback

    first, second = registry.versions[:2]
    clients = [serving.as_("platform") for _ in range(4)]
    with constant_load(clients, body) as seen:
        until(lambda: all_from(seen, first), "answers from the first")
        promote(second, "demo", "a test", registry.database)
        promoted = dt.datetime.now(dt.UTC)
        until(lambda: all_from(seen, second), "answers from the second")
        rollback("A. Lead", "a test", database=registry.database)
        rolled_back = dt.datetime.now(dt.UTC)
        until(lambda: all_from(seen, first), "answers from the first again")
    assert seen.failures == []
    assert set(seen.statuses) == {200}
    assert set(seen.models) == {(f"version {one}", registry.id_of(one)) for one in (first, second)}
    swaps = serving.events("bundle_swapped")
    assert [swap["version"] for swap in swaps] == [f"version {second}", f"version {first}"]
    decided = (promoted, rolled_back)
    waited = [seconds_until(swap, moment) for swap, moment in zip(swaps, decided, strict=True)]
    assert all(-1 < seconds < 60 for seconds in waited)  # about one second on a busy machine
    assert load(registry.folder / "var" / "served" / second).manifest.bundle_id == registry.id_of(second)
    assert last_served(registry.folder / "var" / "served") == Served(
        registry.folder / "var" / "served" / first, f"version {first}"
    )


def seconds_until(event: dict[str, Any], since: dt.datetime) -> float:
    """From a moment to a line of the log."""
    return (dt.datetime.fromisoformat(event["timestamp"]) - since).total_seconds()


def ready(process: Any) -> dict[str, Any]:
    """What `/readyz` says."""
    answer = process.client().get("/readyz")
    assert answer.status_code == 200
    return dict(answer.json())


def test_a_bundle_spoilt_in_the_registry_is_refused_and_the_old_one_serves_on(
    serving: Any, registry: Registry, body: dict[str, Any]
) -> None:
    from training.registry.models import CHAMPION, MODEL, connect

    first, third = registry.versions[0], registry.versions[2]
    store = registry.folder / "var" / "mlartifacts"
    with spoilt(store, registry.id_of(third)), constant_load([serving.as_("platform")], body) as seen:
        connect().set_registered_model_alias(MODEL, CHAMPION, third)
        refused = until(lambda: ready(serving)["refused"], "the refusal is told")
        connect().set_registered_model_alias(MODEL, CHAMPION, first)
        until(lambda: ready(serving)["refused"] is None, "nothing is refused any more")
    assert refused["version"] == f"version {third}"
    assert "altered" in refused["reason"]
    assert set(seen.statuses) == {200}
    assert set(seen.models) == {(f"version {first}", registry.id_of(first))}
    assert serving.events("bundle_refused")[-1]["version"] == f"version {third}"
    assert not (registry.folder / "var" / "served" / third).exists()


@contextmanager
def spoilt(place: Path, bundle_id: str) -> Iterator[None]:
    """For the length of a block, a file of the bundle is longer by a blank wherever it is kept below a folder."""
    kept = [path.with_name("golden.json") for path in place.rglob("manifest.json") if bundle_id in path.read_text()]
    golden = [path for path in kept if path.is_file()]
    texts = [path.read_text() for path in golden]
    assert golden
    for path, text in zip(golden, texts, strict=True):
        path.write_text(text + " ")
    yield
    for path, text in zip(golden, texts, strict=True):
        path.write_text(text)


def test_an_export_that_workers_cannot_check_is_refused_by_them(serving: Any, registry: Registry) -> None:
    from training.registry.models import CHAMPION, MODEL, connect

    first, third = registry.versions[0], registry.versions[2]
    export = registry.folder / "var" / "served" / third
    shutil.copytree(registry.bundles[2].folder, export)
    (export / "golden.json").write_text((export / "golden.json").read_text() + " ")
    connect().set_registered_model_alias(MODEL, CHAMPION, third)
    refused = until(lambda: ready(serving)["refused"], "the refusal is told")
    assert refused["version"] == f"version {third}"
    assert ready(serving)["version"] == f"version {first}"
    (worker, *_) = workers = workers_of(serving)
    assert len(workers) == 2
    connect().set_registered_model_alias(MODEL, CHAMPION, first)
    until(lambda: ready(serving)["refused"] is None, "nothing is refused any more")
    assert worker in workers_of(serving)  # a refusal costs no worker
    shutil.rmtree(export)


def workers_of(process: Any) -> set[str]:
    return {e["event"] for e in process.events() if e["event"].startswith("Started server process")}


def test_without_a_registry_the_last_export_serves_on(
    serve_process: Serve, registry: Registry, folder: Path, tmp_path: Path
) -> None:
    served = tmp_path / "var" / "served"
    shutil.copytree(registry.bundles[1].folder, served / "2")
    remember(Served(served / "2", "version 2"), served)
    nowhere = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    with serve_process(tmp_path, registry.database, "--data", str(folder), **nowhere) as process:
        until(lambda: process.events("registry_does_not_answer"), "the log says so")
        assert ready(process)["version"] == "version 2"
        assert ready(process)["refused"] is None


# -- the watch --------------------------------------------------------------------------------------------------------


def test_a_registry_that_does_not_answer_is_logged_once_each_time() -> None:
    """It fails thrice, answers, fails twice, and then stops."""
    answers = iter(["down", "down", "down", "1", "down", "down", "2"])
    stopped, told = threading.Event(), []

    def find() -> str:
        answer = next(answers)
        if answer == "down":
            raise OSError("no registry")
        return answer

    def tell(found: Served | Refusal) -> None:
        told.append(found)
        if len(told) == 2:
            stopped.set()

    with structlog.testing.capture_logs() as logs:
        watch(find, lambda version: Served(Path(version), version), tell, stopped)
    assert [log["event"] for log in logs] == ["registry_does_not_answer", "registry_answers_again"] * 2
    assert [one.version for one in told] == ["1", "2"]


def test_a_version_that_cannot_be_fetched_is_refused_with_the_reason() -> None:
    stopped, told = threading.Event(), []

    def fetch(_version: str) -> Served:
        stopped.set()
        raise BundleError("files were altered")

    watch(lambda: "7", fetch, told.append, stopped)
    assert told == [Refusal("version 7", "files were altered")]


def test_an_export_is_never_written_over_by_another_bundle_of_the_same_number(
    registry: Registry, tmp_path: Path
) -> None:
    assert place_for(tmp_path, "1", "aa") == tmp_path / "1"
    shutil.copytree(registry.bundles[0].folder, tmp_path / "1")
    mine = registry.id_of(registry.versions[0])
    assert place_for(tmp_path, "1", mine) == tmp_path / "1"
    assert place_for(tmp_path, "1", "aa") == tmp_path / "1-aa"


# -- rollback ---------------------------------------------------------------------------------------------------------


def test_a_rollback_goes_only_to_who_was_the_champion(registry: Registry) -> None:
    from training.registry.models import find, rollback

    with pytest.raises(GateError, match="was never the champion"):
        rollback("A. Lead", "a test", registry.versions[2], registry.database)
    with pytest.raises(GateError, match="--who"):
        rollback(" ", "a test", None, registry.database)
    assert find("champion").version == registry.versions[0]
