"""`therapist-fit tune`: searches for a better configuration on the tune block."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from training.commands import CONFIG, DATA, JSON, WHAT, checked

if TYPE_CHECKING:
    from data.dataset import Dataset
    from training.config import TrainConfig
    from training.registry.tuning import StudyRuns
    from training.study import Attempt, Tuned

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def tune(
    what: WHAT,
    config: CONFIG = None,
    data: DATA = None,
    trials: Annotated[int, typer.Option(help="Trials of the study, those of earlier calls included.", min=1)] = 50,
    minutes: Annotated[float | None, typer.Option(help="Start no trial after so many minutes.", min=0)] = None,
    out: Annotated[Path, typer.Option(help="File for the best configuration.")] = Path("var/tuned.toml"),
    storage: Annotated[Path, typer.Option(help="SQLite file of the studies.")] = Path("var/tuning.db"),
    track: Annotated[bool, typer.Option(help="Log the study and its trials in MLflow.")] = True,
    as_json: JSON = False,
) -> None:
    """Search for a better configuration: learn from what came before the tune block, score on it.

    The test block is not read. Run it again to go on where it ended or was killed.

    Example: therapist-fit tune var/clinic --trials 30
    """
    from training.config import told
    from training.study import tune as search

    folder, settings = told(what, config, data)
    dataset = checked(folder)
    runs = _runs(dataset, settings) if track else None
    with _progress(trials) as advance:

        def on_trial(attempt: "Attempt") -> None:
            if runs is not None:
                runs.log(attempt)
            advance(attempt)

        found = search(dataset, settings, storage, trials, minutes, on_trial)
    summary = {**_summary(found, dataset), "config": str(_write(found.config, folder, out))}
    if runs is not None:
        runs.close(found, [out])
        summary["run_id"] = runs.parent
    typer.echo(json.dumps(summary) if as_json else words(summary))


def _runs(dataset: "Dataset", settings: "TrainConfig") -> "StudyRuns":
    from training.registry.tuning import StudyRuns
    from training.study import name_of

    manifest = dataset.manifest
    tags = {"dataset": manifest.name, "synthetic": str(manifest.synthetic).lower()}
    return StudyRuns(name_of(dataset, settings), tags)


@contextmanager
def _progress(total: int) -> "Iterator[Callable[[Attempt], None]]":
    """Trials finished, and the least loss so far, on standard error; quiet where nobody watches."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("tuning", total=total)
        losses: list[float] = []

        def advance(attempt: "Attempt") -> None:
            losses.extend([] if attempt.loss is None else [attempt.loss])
            best = f"tuning: least loss {min(losses):.4f}" if losses else "tuning"
            bar.update(task, advance=1, description=best)

        yield advance


def _write(config: "TrainConfig", folder: Path, out: Path) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    named = config if config.dataset else config.model_copy(update={"dataset": str(folder)})
    out.write_text(toml(named.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
    return out


def toml(values: Mapping[str, Any]) -> str:
    """A configuration as TOML: plain keys first, then tables, then lists of tables. `TrainConfig.read` reads it."""
    tables = {name: value for name, value in values.items() if isinstance(value, Mapping)}
    lists = {name: value for name, value in values.items() if isinstance(value, list) and _tables(value)}
    lines = [_line(name, value) for name, value in values.items() if name not in tables and name not in lists]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(_line(key, value) for key, value in table.items())]
    for name, entries in lists.items():
        for entry in entries:
            lines += ["", f"[[{name}]]", *(_line(key, value) for key, value in entry.items())]
    return "\n".join(lines) + "\n"


def _tables(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _line(key: str, value: Any) -> str:
    """JSON writes the strings, numbers, booleans and plain lists of a configuration as TOML has them."""
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"


def _summary(found: "Tuned", dataset: "Dataset") -> dict[str, Any]:
    said = found.as_json()
    attempts = said.pop("attempts")
    states = [one["state"] for one in attempts]
    return {
        **said,
        "dataset": dataset.manifest.name,
        "synthetic": dataset.manifest.synthetic,
        "trials": len(attempts),
        "pruned": states.count("pruned"),
    }


def words(summary: Mapping[str, Any]) -> str:
    """What a study found, a line each."""
    best, given, gap = summary["best"], summary["given"], summary["improvement"]
    lines = [
        f"study {summary['study']}: {summary['trials']} trials, {summary['pruned']} of them pruned, "
        f"{summary['resumed']} done before; learned from {summary['learned_from']} episodes before the tune block, "
        f"scored on the {summary['scored_on']} of the tune block; the test block was not read"
    ]
    if summary["synthetic"]:
        lines.append("synthetic data: no figure says anything about real therapy")
    lines.append("error of prognosis and fit within therapists, in SD of each head (given -> best):")
    lines += [f"  {name}: {given['heads'][name]:.4f} -> {best['heads'][name]:.4f}" for name in given["heads"]]
    lines.append(
        f"loss {given['loss']:.5f} -> {best['loss']:.5f}, lower by {gap['value']:.5f} "
        f"({gap['low']:.5f} to {gap['high']:.5f}); the best of many looks better than it is: "
        "the test block will say"
    )
    if gap["low"] <= 0:
        lines.append("the interval includes 0: the configuration given may serve as well")
    lines += [f"  {name} = {json.dumps(value)}" for name, value in best["params"].items()]
    return "\n".join([*lines, f"best configuration in {summary['config']}: therapist-fit train {summary['config']}"])
