"""The servers that `experiment speed` asks, each a process of its own as anybody would start it, on one worker."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PROGRAM = Path(__file__).resolve().parent.parent / "therapist_fit.py"
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
PATIENCE = 600.0
"""Seconds within which a server must listen."""

SETTINGS = """
[next_step]
contact = "Nobody: this service is only measured."
place_kept = "The client keeps their place."
who_acts = "Whoever ran the experiment."
by_when = "At once."

[limits]
requests_per_minute = 100000000
at_once = 1000
seconds = 60
"""

PEER_ROUNDS = 300
SAVE_PEER = """
import sys
import lightgbm, numpy, mlflow.lightgbm
folder, columns, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = numpy.random.default_rng(0)
x = rng.normal(size=(20000, columns))
y = x[:, :8].sum(axis=1) * 0.1 + numpy.sin(x[:, 8] * x[:, 9]) + rng.normal(size=len(x))
settings = {"objective": "regression", "learning_rate": 0.05, "num_leaves": 31, "num_threads": 1, "verbose": -1}
model = lightgbm.train(settings, lightgbm.Dataset(x, y), num_boost_round=rounds)
assert model.num_trees() == rounds
mlflow.lightgbm.save_model(model, folder)
"""
"""What makes the model of MLflow's server: one head of so many trees over ready-made columns."""


@dataclass(frozen=True)
class Server:
    """A server that listens, its connection kept open, and the request it is asked."""

    connection: http.client.HTTPConnection
    path: str
    body: bytes
    headers: Mapping[str, str]
    pid: int

    def ask(self) -> bytes:
        """One request and its answer. Raises RuntimeError for any status but 200."""
        self.connection.request("POST", self.path, self.body, dict(self.headers))
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{self.path} answered {answer.status}: {content[:500]!r}")
        return content

    def warm(self) -> bytes:
        """The first answer, which waits until the directory has been read."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.ask()
            except RuntimeError as error:
                if "503" not in str(error) or time.monotonic() > until:
                    raise
            time.sleep(1)

    def again(self) -> "Server":
        """The same over another connection."""
        other = http.client.HTTPConnection(self.connection.host, self.connection.port, timeout=60)
        return Server(other, self.path, self.body, self.headers, self.pid)

    def memory_mb(self) -> float:
        """Memory of the process that answers, in MB: the largest of those that this one started, or itself."""
        return max(_resident(pid) for pid in _children(self.pid) or [self.pid])


@contextlib.contextmanager
def ours(folder: Path, bundle: Path, database: str, body: bytes) -> Iterator[Server]:
    """`therapist-fit serve` on a stored directory, with the journal on, asked with a platform's key."""
    settings = folder / "settings.toml"
    settings.write_text(SETTINGS)
    made = _run("keys", "create", "--name", "speed", "--scope", "platform", "--database", database, "--json")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {json.loads(made)['key']}"}
    named = ("--settings", str(settings), "--bundle", str(bundle), "--database", database)
    command = [sys.executable, str(PROGRAM), "serve", *named, "--port", "0", "--metrics-port", "0", "--json"]
    with _process(command, folder / "ours.log", {}) as process:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise RuntimeError((folder / "ours.log").read_text()[-2000:])
        address = urlsplit(json.loads(line)["url"])
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        yield Server(connection, "/v1/recommendations", body, headers, process.pid)


@contextlib.contextmanager
def mlflow_server(folder: Path, model: Path, bodies: Sequence[bytes]) -> Iterator[list[Server]]:
    """MLflow's own scoring server on a saved model, as `mlflow models serve` starts it, for each of the bodies."""
    port = _free_port()
    place = ("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning")
    command = [sys.executable, "-m", "uvicorn", *place, "mlflow.pyfunc.scoring_server.app:app"]
    with _process(command, folder / "mlflow.log", {"__pyfunc_model_path__": str(model)}) as process:
        _listening(port, process, folder / "mlflow.log")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Content-Type": "application/json"}
        yield [Server(connection, "/invocations", body, headers, process.pid) for body in bodies]


def save_peer(folder: Path, columns: int) -> Path:
    """A LightGBM head of 300 trees over so many columns, saved by MLflow."""
    model = folder / "peer"
    command = [sys.executable, "-c", SAVE_PEER, str(model), str(columns), str(PEER_ROUNDS)]
    subprocess.run(command, check=True, env={**os.environ, **ONE_THREAD}, capture_output=True)
    return model


def _run(*words: str) -> str:
    command = [sys.executable, str(PROGRAM), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def _process(command: list[str], log: Path, more: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as kept:
        env = {**os.environ, **ONE_THREAD, **more}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=kept, env=env)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)
        if process.stdout:
            process.stdout.close()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    raise RuntimeError(log.read_text()[-2000:])


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in map(int, listed) for one in (child, *_children(child))]


def _resident(pid: int) -> float:
    found = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(found[0].split()[1]) / 1024 if found else 0.0
