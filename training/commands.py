"""`therapist-fit train`."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from training.telling import head_lines, regime_lines

if TYPE_CHECKING:
    from training.bundle import Bundle
    from training.config import TrainConfig

app = typer.Typer(rich_markup_mode=None, add_completion=False)


WHAT = Annotated[Path, typer.Argument(help="Configuration in TOML that names its dataset, or the folder of a dataset.")]
CONFIG = Annotated[Path | None, typer.Option(help="Configuration in TOML; the default learns all heads.")]
DATA = Annotated[Path | None, typer.Option(help="Folder of the dataset, instead of the one the configuration names.")]
JSON = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


@app.command()
def train(
    what: WHAT,
    config: CONFIG = None,
    data: DATA = None,
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")] = Path("var/bundle"),
    track: Annotated[bool, typer.Option(help="Log the run and register the bundle in MLflow.")] = True,
    audit: Annotated[bool, typer.Option(help="Audit the bundle, so that people can question and sign it.")] = True,
    as_json: JSON = False,
) -> None:
    """Learn a bundle from a dataset, evaluate it, audit it, and track it in MLflow.

    Example: therapist-fit train var/clinic
    """
    from training.audit import run as auditing
    from training.config import told
    from training.run import steps
    from training.run import train as learn
    from training.storage import writable

    folder, settings = told(what, config, data)
    writable(out, folder)
    with progress(steps(settings) + auditing.STEPS + 1) as say:
        dataset = checked(folder)
        served = _champion() if track else None
        trained = learn(dataset, settings, out, say, _challenged(served))
        found = None
        if audit:
            found = auditing.audit(out, dataset, lambda doing: say(f"audit: {doing}"), served).findings
        say("tracking in MLflow")
        where = _track(trained) if track else {}
    summary = _summary(out) | where | {"audit": None if found is None else [one.model_dump() for one in found]}
    typer.echo(json.dumps(summary) if as_json else words(summary))


def checked(folder: Path) -> Any:
    """The dataset in a folder, after the whole check. Raises DataError with every problem."""
    from data.checking import check
    from data.dataset import read
    from data.errors import DataError

    problems = check(folder)
    if problems:
        raise DataError(problems)
    return read(folder)


@contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on standard error, quiet where nobody watches; tell it what is being done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("training", total=total)
        yield lambda doing: bar.update(task, advance=1, description=doing)


def _champion() -> "Bundle | None":
    """What is served now, if anything is."""
    from training.registry.models import champion

    return champion()


def _challenged(served: "Bundle | None") -> "tuple[str, TrainConfig] | None":
    """Id and configuration of the bundle that is to be fitted again beside the new one."""
    from training.config import TrainConfig

    return None if served is None else (served.manifest.bundle_id, TrainConfig.model_validate(served.manifest.config))


def _track(trained: Any) -> dict[str, str]:
    from training.registry.tracking import track

    tracked = track(trained)
    return {"run_id": tracked.run_id, "version": tracked.version}


def _summary(folder: Path) -> dict[str, Any]:
    said = json.loads((folder / "manifest.json").read_text())
    keys = ("bundle_id", "name", "dataset", "synthetic", "undated", "proven", "left_out", "flags", "evaluation")
    return {"bundle": str(folder), **{key: said[key] for key in keys}}


def words(summary: dict[str, Any]) -> str:
    """What a run found, a line each."""
    evaluation = summary["evaluation"]
    lines = (
        [f"bundle {summary['bundle_id']} in {summary['bundle']} from {summary['dataset']}"]
        if "bundle" in summary
        else []
    )
    if summary["synthetic"]:
        lines.append("synthetic data: no figure says anything about real therapy")
    if "heads" not in evaluation:
        lines.append(evaluation["note"])
    elif not evaluation["forward"]:
        lines.append("not tested forward in time: the data have no dates; tested on clients held out")
    if evaluation.get("offers_recorded") is False:
        lines.append(
            "who was available was not recorded: choices are guessed from who was seeing clients around the day"
        )
    lines += [f"{what}: {share:.0%} of the rows learned from" for what, share in summary.get("flags", {}).items()]
    for name, head in evaluation.get("heads", {}).items():
        if "r2" in head:
            lines.append(
                f"{name}: R2 {_figure(head['r2']['model'])}, over patient-only {_figure(head['r2_over_patient_only'])}"
            )
            lines += head_lines(name, head)
    gains = evaluation.get("utility", {}).get("over_next_available")
    if gains:
        shown = f"; proven: {summary['proven']}" if "proven" in summary else ""
        lines.append(f"gain over next available {_figure(gains['model']['gain'])} SD{shown}")
        lines += regime_lines(evaluation["utility"])
    lines += [f"head {name} left out: {reason}" for name, reason in summary["left_out"].items()]
    if summary.get("audit") is not None:
        urgent = sum(one["level"] in ("stop", "look") for one in summary["audit"])
        lines.append(f"audited: {urgent} findings to look at -> therapist-fit audit {summary['bundle']} -o audit.html")
    if "version" in summary:
        lines.append(f"registered as version {summary['version']}, MLflow run {summary['run_id']}")
    return "\n".join(lines)


def _figure(figure: dict[str, float]) -> str:
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"
