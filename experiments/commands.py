"""`therapist-fit experiment NAME`."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)
_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
_DATA = Annotated[Path, typer.Option(help="Folder of the real data.")]
REAL_DATA = Path("../shared/data")


@app.callback()
def _describe() -> None:
    """Questions, not products: each prints a table, or JSON."""


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[..., None]]:
    """A progress bar on standard error, quiet where nobody watches; call what it yields once a step."""
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(what, total=total)
        yield lambda *_: progress.update(task, advance=1)


def _show(result: dict[str, Any], table: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
    else:
        Console(width=None if sys.stdout.isatty() else 150).print(table(result))


@app.command("literature")
def literature(
    episodes: Annotated[int, typer.Option(help="Episodes of each clinic.", min=2000)] = 10_000,
    therapists: Annotated[int, typer.Option(help="Therapists of each clinic.", min=30)] = 150,
    seeds: Annotated[int, typer.Option(help="Clinics.", min=2)] = 10,
    picture: Annotated[Path, typer.Option(help="PNG to write.")] = Path("var/literature.png"),
    as_json: _JSON = False,
) -> None:
    """Does the synthetic clinic look like the field? Target, simulated value and interval of each calibrated figure.

    Example: therapist-fit experiment literature
    """
    from experiments.literature import figure, run, table

    with _bar("clinics", seeds) as advance:
        result = run(episodes, therapists, seeds, advance)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure(result, picture)
    _show({**result, "picture": str(picture)}, table, as_json)


@app.command("ranking_quality")
def ranking_quality(
    episodes: Annotated[int, typer.Option(help="Episodes of each clinic.", min=1000)] = 10_000,
    therapists: Annotated[int, typer.Option(help="Therapists of each clinic.", min=30)] = 150,
    seeds: Annotated[int, typer.Option(help="Clinics of each arm.", min=2)] = 20,
    quick: Annotated[bool, typer.Option("--quick", help="Five clinics of each arm.")] = False,
    as_json: _JSON = False,
) -> None:
    """Does the ranking send clients to therapists with whom they do better? Synthetic clinics, known truth.

    Example: therapist-fit experiment ranking_quality --quick
    """
    from experiments.ranking_quality import ARMS, run, table

    clinics = 5 if quick else seeds
    with _bar("clinics", clinics * len(ARMS)) as advance:
        result = run(episodes, therapists, clinics, ARMS, advance)
    _show(result, table, as_json)


@app.command("counsel_chat")
def counsel_chat(data: _DATA = REAL_DATA, as_json: _JSON = False) -> None:
    """Whose answers do readers find more helpful? Real data, whole questions held out.

    Example: therapist-fit experiment counsel_chat --json
    """
    from experiments.counsel_chat import run, table

    _show(run(data), table, as_json)


@app.command("schizophrenia_trials")
def schizophrenia_trials(data: _DATA = REAL_DATA, as_json: _JSON = False) -> None:
    """Do psychiatrists differ, and does knowing who treats help to predict? Real data.

    Example: therapist-fit experiment schizophrenia_trials --json
    """
    from experiments.schizophrenia_trials import run, table

    _show(run(data), table, as_json)


@app.command("nhanes_phq9")
def nhanes_phq9(data: _DATA = REAL_DATA, as_json: _JSON = False) -> None:
    """Does the scoring give the published figures of 5,093 adults? Real data.

    Example: therapist-fit experiment nhanes_phq9 --json
    """
    from experiments.nhanes_phq9 import run, table

    _show(run(data), table, as_json)


@app.command("obd_small")
def obd_small(data: _DATA = REAL_DATA, as_json: _JSON = False) -> None:
    """Do the off-policy estimators give a published figure? Real data, true propensities.

    Example: therapist-fit experiment obd_small --json
    """
    from experiments.obd_small import run, table

    _show(run(data), table, as_json)
