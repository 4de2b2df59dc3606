"""What the commands of experiments share: options, a progress bar, and what is done with a result."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

JSON = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
TRACK = Annotated[bool, typer.Option(help="Log table and picture to MLflow.")]
QUICK = Annotated[bool, typer.Option("--quick", help="10,000 episodes, 150 therapists, five clinics: under 3 minutes.")]
EPISODES = Annotated[int, typer.Option(help="Episodes of each clinic.", min=1000)]
THERAPISTS = Annotated[int, typer.Option(help="Therapists of each clinic.", min=30)]
SEEDS = Annotated[int, typer.Option(help="Clinics of each kind.", min=2)]
DATA = Annotated[Path, typer.Option(help="Folder of the real data.")]
REAL_DATA = Path("../shared/data")
QUICK_SEEDS = 5


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error, quiet where nobody watches; call what it yields once a step."""
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda *_: progress.update(task, advance=1)


def show(result: dict[str, Any], table: Callable[[dict[str, Any]], Any], as_json: bool) -> None:
    """Prints the result as one JSON object or as a table."""
    if as_json:
        typer.echo(json.dumps(result))
    else:
        Console(width=None if sys.stdout.isatty() else 150).print(table(result))


def conduct(
    context: typer.Context,
    run: Callable[[Callable[..., None]], dict[str, Any]],
    steps: int,
    table: Callable[[dict[str, Any]], Any],
    picture: Callable[[dict[str, Any], Path], Path] | None,
    as_json: bool,
    track: bool,
    name: str | None = None,
    what: str = "clinics",
) -> None:
    """Runs an experiment, keeps its result under `var/experiments` with the command, prints it, logs it to MLflow.

    `run` lacks only what it is to call after each of so many steps. The result is kept under the command's name, or
    another `name`. What was worked out is on disk and on the screen before a tracking server can fail.
    """
    from experiments import tracking

    with bar(what, steps) as advance:
        result = run(advance)
    name = name or str(context.info_name)
    result = {"experiment": name, **result, "command": command_given(context)}
    files = tracking.keep(name, result, picture)
    show(result, table, as_json)
    tracked = f", MLflow run {tracking.track(name, result, files)}" if track else ""
    typer.echo(f"kept in {', '.join(map(str, files))}{tracked}", err=True)


def command_given(context: typer.Context) -> str:
    """The command that is running, with the options that change its result, as it can be typed again."""
    words = ["therapist-fit", "experiment", str(context.info_name)]
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and name not in ("as_json", "track"):
            option = f"--{name.replace('_', '-')}"
            words += [option] if isinstance(value, bool) else [option, str(value)]
    return " ".join(words)
