"""`therapist-fit experiment NAME`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
_DATA = Annotated[Path, typer.Option(help="Folder of the real data.")]
REAL_DATA = Path("../shared/data")


@app.callback()
def _describe() -> None:
    """Questions, not products: each prints a table, or JSON."""


def _show(result: dict[str, Any], table: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result))
    else:
        Console().print(table(result))


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
