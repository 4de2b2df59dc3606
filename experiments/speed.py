"""How fast one answer is: over HTTP with the journal on, beside MLflow's own scoring server, and beside NumPy's floor.

Everything is measured in one run, ten requests of each kind in turn, with one worker and one thread, so that a busy
machine slows all alike.
"""

import datetime as dt
import json
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from threadpoolctl import threadpool_limits

from data.directory import DirectoryData
from data.loading import from_dataset, load
from data.migrating import open_database
from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from experiments.speed_clinic import everyone_eligible
from experiments.speed_floor import commit_times, floor_of
from experiments.speed_servers import Server, mlflow_server, ours, save_peer
from serving.answering.matcher import Matcher, question, well_asked
from serving.answering.recommend import Ids, answer
from serving.answering.safety import assess
from serving.listing.directory import Directory
from serving.schemas import EXAMPLE_REQUEST, RecommendationRequest
from serving.settings import Settings
from training.config import PrognosisConfig, TrainConfig
from training.run import train
from training.storage import load as load_bundle

BODY = json.dumps(EXAMPLE_REQUEST).encode()
SMALL, LARGE = 1_000, 10_000
CLIENTS_AT_ONCE, SECONDS_AT_ONCE = 8, 4.0
IN_A_TURN = 10
"""Requests of one kind after each other: a server that is asked now and then starts each time with cold caches."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rounds: int = 12
    """Turns of each kind, one after the other."""
    journal_rows: int = 1_000_000
    therapists: int = 100_000
    """Of the largest directory, of which only the memory is measured."""
    episodes: int = 3_000
    known: int = 60
    """Therapists of the clinic that the bundle learned from."""

    @property
    def steps(self) -> int:
        """Steps of the progress bar."""
        return self.rounds + 3


QUICK = Sizes(rounds=5, journal_rows=100_000, therapists=20_000, episodes=1_500, known=40)


def run(sizes: Sizes, on_each: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Every measurement, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name, threadpool_limits(1):
        folder = Path(name)
        dataset, _ = simulate(Plan(episodes=sizes.episodes, therapists=sizes.known, seed=0))
        config = TrainConfig(bootstraps=50, prognosis=PrognosisConfig(folds=2))
        train(dataset, config, folder / "bundle")
        base = from_dataset(dataset)
        on_each()
        found = _turn_by_turn(folder, base, sizes, on_each)
        commits = commit_times(folder, sizes.journal_rows)
        on_each()
        memory = _memory(folder, base, sizes.therapists)
        on_each()
    return {
        "synthetic": True,
        **found,
        "commit_ms": commits,
        "memory_mb": {**found["memory_mb"], **memory},
        "ratio": _ratios(found),
    }


def _ratios(found: Mapping[str, Any]) -> dict[str, float]:
    ratios = {f"mlflow/http {n}": found["mlflow_ms"][n] / found["http_ms"][n] for n in found["http_ms"]}
    return {**ratios, f"in process/floor {LARGE}": found["in_process_ms"][str(LARGE)] / found["floor_ms"][str(LARGE)]}


# --- requests, turn by turn -----------------------------------------------------------------------------------------


def _turn_by_turn(folder: Path, base: DirectoryData, sizes: Sizes, on_each: Callable[[], None]) -> dict[str, Any]:
    with ExitStack() as running:
        own = {n: running.enter_context(_served(folder, base, n)) for n in (SMALL, LARGE)}
        matcher = _matcher(folder, base, LARGE)
        request = RecommendationRequest.model_validate_json(BODY)
        client = question(matcher, request, dt.datetime.now(dt.UTC)).client
        floor = floor_of(matcher.bundle, client, matcher.prepared(matcher.today(dt.datetime.now(dt.UTC))))
        width = len(matcher.bundle.design.names[matcher.bundle.design.ranking])
        peer = save_peer(folder, width)
        bodies = [ready_made(n, width) for n in (SMALL, LARGE)]
        mlflow = dict(zip((SMALL, LARGE), running.enter_context(mlflow_server(folder, peer, bodies)), strict=True))
        kinds: dict[tuple[str, int], Callable[[], object]] = {
            **{("http_ms", n): server.ask for n, server in own.items()},
            **{("mlflow_ms", n): server.ask for n, server in mlflow.items()},
            ("in_process_ms", LARGE): lambda: in_process(matcher),
            ("floor_ms", LARGE): floor,
        }
        for ask in kinds.values():
            ask()
        check(own[LARGE].ask(), LARGE)
        times = _times(kinds, sizes.rounds, on_each)
        rates = {str(n): requests_a_second(server) for n, server in own.items()}
        memory = {str(n): server.memory_mb() for n, server in own.items()}
        memory["mlflow"] = mlflow[SMALL].memory_mb()
    return {**times, "requests_a_second": rates, "memory_mb": memory}


def _times(
    kinds: Mapping[tuple[str, int], Callable[[], object]], rounds: int, on_each: Callable[[], None]
) -> dict[str, dict[str, float]]:
    """Median milliseconds of each kind, every round in the same order."""
    spent: dict[tuple[str, int], list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, ask in kinds.items():
            for _ in range(IN_A_TURN):
                since = time.perf_counter()
                ask()
                spent[kind].append(time.perf_counter() - since)
        on_each()
    found: dict[str, dict[str, float]] = {}
    for (name, n), seconds in spent.items():
        found.setdefault(name, {})[str(n)] = float(np.median(seconds)) * 1e3
    return found


def _served(folder: Path, base: DirectoryData, count: int) -> Any:
    home = folder / str(count)
    home.mkdir()
    database = f"sqlite:///{home}/service.db"
    engine, now = open_database(database), dt.datetime.now(dt.UTC)
    load(engine, everyone_eligible(base, count, _first(now)), now)
    engine.dispose()
    return ours(home, folder / "bundle", database, BODY)


def _first(now: dt.datetime) -> dt.datetime:
    return (now + dt.timedelta(days=2)).replace(minute=0, second=0, microsecond=0)


def _matcher(folder: Path, base: DirectoryData, count: int) -> Matcher:
    settings = Settings.read(folder / str(count) / "settings.toml")
    directory = Directory.of(everyone_eligible(base, count, _first(dt.datetime.now(dt.UTC))), settings)
    return Matcher(load_bundle(folder / "bundle"), "speed", directory, settings)


def in_process(matcher: Matcher) -> bytes:
    """The whole answer from the request's bytes to its own, without HTTP and journal."""
    request, now = RecommendationRequest.model_validate_json(BODY), dt.datetime.now(dt.UTC)
    asked = well_asked(matcher, request, now)
    assessment = assess(request.measures, matcher.settings.safety, matcher.today(now))
    return answer(matcher, asked, assessment, Ids("r"), "platform", None).answer.model_dump_json().encode()


def ready_made(count: int, columns: int) -> bytes:
    """Columns of so many candidates as MLflow's server takes them."""
    values = np.random.default_rng(0).normal(size=(count, columns)).round(4)
    names = [f"Column_{i}" for i in range(columns)]
    return json.dumps({"dataframe_split": {"columns": names, "data": values.tolist()}}).encode()


def check(body: bytes, eligible: int) -> None:
    """Raises RuntimeError unless everybody was eligible and somebody ranked: else the times say nothing."""
    told = json.loads(body)
    if told["counts"]["eligible"] != eligible or len(told["recommendations"]) != EXAMPLE_REQUEST["k"]:
        raise RuntimeError(f"of {eligible} therapists {told['counts']} were eligible; excluded: {told['excluded']}")


def requests_a_second(server: Server) -> float:
    """Answers of one worker to several clients at once."""
    counts, until = [0] * CLIENTS_AT_ONCE, time.perf_counter() + SECONDS_AT_ONCE

    def keep_asking(which: int) -> None:
        mine = server.again()
        while time.perf_counter() < until:
            mine.ask()
            counts[which] += 1

    threads = [threading.Thread(target=keep_asking, args=(which,)) for which in range(CLIENTS_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS_AT_ONCE


def _memory(folder: Path, base: DirectoryData, count: int) -> dict[str, float]:
    with _served(folder, base, count) as server:
        check(server.warm(), count)
        server.ask()
        return {str(count): server.memory_mb()}


# --- shown ----------------------------------------------------------------------------------------------------------


def table(result: dict[str, Any]) -> Group:
    """Times of one request, what they mean against the targets, and what a worker costs."""
    grid = Table("median milliseconds of one request", title="SYNTHETIC: everybody eligible, one worker, one thread")
    for n in (SMALL, LARGE):
        grid.add_column(f"{n:,} eligible", justify="right")
    for words, name in (
        ("our route over HTTP, journal on", "http_ms"),
        ("MLflow's scoring server, one LightGBM head", "mlflow_ms"),
        ("our answer in process", "in_process_ms"),
        ("floor in NumPy and LightGBM", "floor_ms"),
    ):
        grid.add_row(words, *(f"{result[name][str(n)]:.2f}" if str(n) in result[name] else "" for n in (SMALL, LARGE)))
    costs = Table("beside it", "", title="SYNTHETIC: ratios, and what a worker costs")
    for name, ratio in result["ratio"].items():
        costs.add_row(name, f"{ratio:.1f}")
    for name, rate in result["requests_a_second"].items():
        costs.add_row(f"requests a second, {int(name):,} eligible", f"{rate:.0f}")
    for name, size in result["memory_mb"].items():
        costs.add_row(f"memory of a worker, {name}", f"{size:.0f} MB")
    for rows, spent in result["commit_ms"].items():
        costs.add_row(f"commit of an answer at {int(rows):,} rows", f"{spent:.2f} ms")
    return Group(grid, costs)
