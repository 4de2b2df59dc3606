"""What an audit costs: seconds of each step, memory at the most, and size of what it writes, beside training.

Clinic and bundle are made once and kept under `var/`; training and audit each have a process of their own with one
thread, so that the peak of memory is their own too. The ratio is of two times measured on one machine.
"""

import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from rich.table import Table

from experiments.learner_speed import peak

Found = TypeVar("Found")

FOLDER = Path("var/audit_cost")
TIME = "trained.json"


@dataclass(frozen=True)
class Size:
    """How large the clinic is; three heads are learned from it."""

    episodes: int = 100_000
    therapists: int = 2_000

    @property
    def folder(self) -> Path:
        """Where clinic and bundle are kept."""
        return FOLDER / f"{self.episodes}-{self.therapists}"


QUICK = Size(10_000, 150)
STEPS = 3


def run(size: Size, on_each: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Makes what is missing, then audits."""
    _alone(simulated, size, on_each)
    training, audit = _alone(trained, size, on_each), _alone(audited, size, on_each)
    return {
        "synthetic": True,
        "episodes": size.episodes,
        "therapists": size.therapists,
        "train": training,
        "audit": audit,
        "audit_over_train": audit["seconds"] / training["seconds"],
    }


def _alone(step: Callable[[Size], Found], size: Size, on_each: Callable[[], None]) -> Found:
    """What the step gives, from a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(step, size).result()
    on_each()
    return found


def simulated(size: Size) -> None:
    """Invents the clinic unless it is there."""
    from data.dataset import write
    from data.synthetic.clinic import simulate
    from data.synthetic.plan import Plan

    if (size.folder / "clinic" / "dataset.toml").is_file():
        return
    dataset, _ = simulate(Plan(arm="load", episodes=size.episodes, therapists=size.therapists))
    write(dataset, size.folder / "clinic")


def trained(size: Size) -> dict[str, float]:
    """Learns the bundle unless it is there; seconds and MB of when it was learned."""
    from data.dataset import read
    from training.config import TrainConfig
    from training.run import train

    kept = size.folder / TIME
    if not kept.is_file():
        usual = TrainConfig()
        heads = tuple(head for head in usual.heads if head.weight > 0)
        started = time.perf_counter()
        train(read(size.folder / "clinic"), usual.model_copy(update={"heads": heads}), size.folder / "bundle")
        kept.write_text(json.dumps({"seconds": time.perf_counter() - started, "mb": peak()}))
    found: dict[str, float] = json.loads(kept.read_text())
    return found


def audited(size: Size) -> dict[str, Any]:
    """Audits and writes the file: seconds by step, MB at the most, MB of what was written."""
    from data.dataset import read
    from training.audit.run import audit
    from training.report.file import file_of

    started = time.perf_counter()
    marks: list[tuple[str, float]] = []

    def mark(step: str) -> None:
        marks.append((step, time.perf_counter()))

    found = audit(size.folder / "bundle", read(size.folder / "clinic"), mark)
    mark("file")
    text = file_of(found)
    ends = [*(at for _, at in marks[1:]), time.perf_counter()]
    return {
        "seconds": ends[-1] - started,
        "mb": peak(),
        "steps": {step: end - at for (step, at), end in zip(marks, ends, strict=True)},
        "json_mb": (size.folder / "bundle" / "audit.json").stat().st_size / 1e6,
        "html_mb": len(text.encode()) / 1e6,
    }


def table(result: dict[str, Any]) -> Table:
    """Steps and what they take."""
    audit, train = result["audit"], result["train"]
    shown = Table(title=f"{result['episodes']:,} episodes, {result['therapists']:,} therapists; one thread; SYNTHETIC")
    for name in ("step", "seconds", "memory, MB", "written, MB"):
        shown.add_column(name, justify="left" if name == "step" else "right")
    for step, seconds in audit["steps"].items():
        shown.add_row(step, f"{seconds:.1f}", "", "")
    written = f"{audit['json_mb']:.1f} + {audit['html_mb']:.1f}"
    shown.add_row("audit in all", f"{audit['seconds']:.1f}", f"{audit['mb']:.0f}", written)
    shown.add_row("training, for comparison", f"{train['seconds']:.1f}", f"{train['mb']:.0f}", "")
    shown.add_row("audit over training", f"{result['audit_over_train']:.2f}", "", "")
    return shown
