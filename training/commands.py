"""`therapist-fit train`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

app = typer.Typer(rich_markup_mode=None)


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Folder of the dataset.")],
    config: Annotated[Path | None, typer.Option(help="Configuration in TOML; the default learns all heads.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the bundle.")] = Path("var/bundle"),
    track: Annotated[bool, typer.Option(help="Log the run and register the bundle in MLflow.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Learn a bundle from a dataset, evaluate it, and track it in MLflow.

    Example: therapist-fit train var/clinic --config experiments/clinic.toml
    """
    from data.checking import check
    from data.dataset import read
    from data.errors import DataError
    from training.config import TrainConfig
    from training.run import steps
    from training.run import train as learn

    told = TrainConfig() if config is None else TrainConfig.read(config)
    problems = check(dataset)
    if problems:
        raise DataError(problems)
    quiet = not sys.stderr.isatty()
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=Console(stderr=True), disable=quiet
    ) as bar:
        task = bar.add_task("training", total=steps(told) + 1)
        trained = learn(
            read(dataset),
            told,
            out,
            lambda doing: bar.update(task, advance=1, description=doing),
            _champion() if track else None,
        )
        bar.update(task, advance=1, description="tracking in MLflow")
        where = _track(trained) if track else {}
        bar.update(task, completed=steps(told) + 1, description="done")
    summary = _summary(out) | where
    typer.echo(json.dumps(summary) if as_json else _words(summary))


def _champion() -> Any:
    """Bundle id and configuration of what is served now, if anything is."""
    from training.registry.models import champion

    return champion()


def _track(trained: Any) -> dict[str, str]:
    from training.registry.tracking import track

    tracked = track(trained)
    return {"run_id": tracked.run_id, "version": tracked.version}


def _summary(folder: Path) -> dict[str, Any]:
    said = json.loads((folder / "manifest.json").read_text())
    keys = ("bundle_id", "name", "dataset", "synthetic", "undated", "proven", "left_out", "evaluation")
    return {"bundle": str(folder), **{key: said[key] for key in keys}}


def _words(summary: dict[str, Any]) -> str:
    evaluation = summary["evaluation"]
    lines = [f"bundle {summary['bundle_id']} in {summary['bundle']} from {summary['dataset']}"]
    if summary["synthetic"]:
        lines.append("synthetic data: no figure says anything about real therapy")
    if "heads" not in evaluation:
        lines.append(evaluation["note"])
    elif not evaluation["forward"]:
        lines.append("not tested forward in time: the data have no dates; tested on clients held out")
    for name, head in evaluation.get("heads", {}).items():
        if "r2" in head:
            lines.append(
                f"{name}: R2 {head['r2']['model']:.3f}, over patient-only {_figure(head['r2_over_patient_only'])}"
            )
    gains = evaluation.get("utility", {}).get("over_next_available")
    if gains:
        lines.append(f"gain over next available {_figure(gains['model']['gain'])} SD; proven: {summary['proven']}")
    lines += [f"head {name} left out: {reason}" for name, reason in summary["left_out"].items()]
    if "version" in summary:
        lines.append(f"registered as version {summary['version']}, MLflow run {summary['run_id']}")
    return "\n".join(lines)


def _figure(figure: dict[str, float]) -> str:
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"
