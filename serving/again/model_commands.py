"""`therapist-fit models`: the registry's commands, and the comparison of two bundles on stored requests."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from training import models

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)
app.registered_commands = list(models.app.registered_commands)

_NAME = "Version number, alias (champion), bundle id, or a bundle's folder."


@app.callback()
def _describe() -> None:
    """Registered bundles, the decision to serve one, and what another would change."""


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help=_NAME)],
    second: Annotated[str, typer.Argument(metavar="B", help=_NAME)],
    journal: Annotated[bool, typer.Option("--journal", help="Rank the requests that the service has stored.")] = False,
    limit: Annotated[int, typer.Option(help="The latest so many requests.", min=1)] = 1000,
    k: Annotated[int, typer.Option("--k", "-k", help="How many of the first are compared.", min=1, max=100)] = 5,
    data: Annotated[
        Path | None, typer.Option(help="The dataset, for requests to a service that served one as it stands.")
    ] = None,
    database: Annotated[str | None, typer.Option(help="Database URL; default: SQLite in var/.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose requests.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Rank stored requests by two bundles, offline: how much would another model change what clients are shown?

    Each request is judged on its own day and directory. Clients who did not agree to learning are left out.

    Example: therapist-fit models compare champion 4 --journal --limit 500
    """
    if not journal:
        raise typer.BadParameter("say what to compare them on: --journal")
    from data.migrating import open_database
    from serving.again.journal_compare import compare_on_journal, gathered
    from serving.again.past import Past
    from serving.again.replay_commands import progress
    from serving.again.stored import latest, rows_of
    from serving.running.exports import bundle_id_of

    folders = [_folder(name) for name in (first, second)]
    ids = (bundle_id_of(folders[0]), bundle_id_of(folders[1]))
    engine = open_database(database)
    try:
        rows = latest(engine, tenant, limit=limit, first_only=True)
        found = []
        with progress("ranking", len(rows)) as step:
            past = Past(engine, folders, data)
            for one in compare_on_journal(past, tenant, rows_of(engine, tenant, rows), ids, k):
                found.append(one)
                step()
    finally:
        engine.dispose()
    told = {"first": ids[0], "second": ids[1], "k": k, **gathered(found).as_json()}
    typer.echo(json.dumps(told) if as_json else "\n".join(_lines(told)))


def _folder(name: str) -> Path:
    """The folder that was named, else the registry's bundle of that name."""
    if (Path(name) / "manifest.json").is_file():
        return Path(name)
    from serving.running.parent import fetch

    return fetch(name).folder


def _lines(told: dict[str, Any]) -> list[str]:
    counts = ", ".join(f"{what}: {count}" for what, count in told["counts"].items()) or "no stored requests"
    lines = [f"bundle {told['first']} against {told['second']}; {counts}"]
    if told["another_first"] is None:
        return lines
    meaningful = told["meaningful_difference"]
    return [
        *lines,
        f"another therapist stands first in {told['another_first']:.0%} of the requests",
        f"of the first {told['k']}, both show    {_spread(told['top_k_overlap'], '.0%')}",
        f"rank correlation          {_spread(told['rank_correlation'], '.2f')}",
        f"given up by the change    {_spread(told['given_up'], '.3f')} SD, as the first bundle expects it",
        "a meaningful difference   "
        f"both {meaningful['both']}, only the first {meaningful['first_only']}, "
        f"only the second {meaningful['second_only']}, neither {meaningful['neither']}",
    ]


def _spread(spread: dict[str, float] | None, form: str) -> str:
    if spread is None:
        return "unknown"
    low, middle, high = (format(spread[name], form) for name in ("q10", "q50", "q90"))
    return f"mean {spread['mean']:{form}}; lowest tenth {low}, middle {middle}, highest tenth {high}"
