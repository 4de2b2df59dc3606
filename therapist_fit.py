"""The command `therapist-fit`: maps each name to the room that does the work, and imports that room only then."""

import importlib
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

ROOMS: dict[str, tuple[str, str]] = {
    "demo": ("serving.demo", "Everything once: synthetic clinic, train, approve, serve, rank, stop."),
    "data": ("data.commands", "Simulate, import, check, describe, load and export datasets."),
    "train": ("training.commands", "Learn a bundle from a dataset and track it in MLflow."),
    "evaluate": ("training.evaluating", "Test a configuration on a dataset; nothing is kept."),
    "tune": ("training.tuning", "Search for a better configuration; the test block stays unread."),
    "models": ("serving.again.model_commands", "List, show, compare and promote registered models."),
    "audit": ("training.audit.commands", "Audit a bundle: one file to read, question and e-mail; sign what it uses."),
    "serve": ("serving.commands", "Serve ranked, explained recommendations over HTTP."),
    "keys": ("serving.access.key_commands", "Make, list and revoke the keys of a service."),
    "rank": ("serving.answering.rank", "Rank the therapists of one client, without a server."),
    "replay": ("serving.again.replay_commands", "Derive stored answers again and say what differs."),
    "allocate": ("serving.placing.allocate", "Place a whole waiting list at once, under capacity and limits."),
    "experiment": ("experiments.commands", "Questions, not products: each prints a table, JSON and a picture."),
}
"""Command name -> (module whose `app` is the Typer application, the line shown in `--help`)."""


class _Rooms(TyperGroup):
    """A command group that knows its members by name and imports one when it is called."""

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(ROOMS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in ROOMS:
            return None
        module, line = ROOMS[name]
        if ctx.resilient_parsing or name not in sys.argv[1:3]:
            return typer.core.TyperCommand(name, help=line)
        command = typer.main.get_command(importlib.import_module(module).app)
        command.name = name
        return command


app = typer.Typer(
    cls=_Rooms, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback()
def _describe() -> None:
    """Help a client and a therapist find each other: learn, track, serve.

    Example: therapist-fit demo
    """


def main() -> None:
    """Runs one command. Exit code 0: done; 1: the work failed, for reasons printed one a line; 2: bad use."""
    # More threads than idle cores make BLAS and LightGBM wait for each other: 25 times slower, measured on two cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from data.errors import TherapistFitError

    try:
        app()
    except TherapistFitError as error:
        for line in str(error).splitlines():
            typer.echo(f"error: {line}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
