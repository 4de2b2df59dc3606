"""`therapist-fit models`: the registry's commands, and the comparison of two bundles on stored requests."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training import models

if TYPE_CHECKING:
    from training.comparing.sides import Side

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
        Path | None,
        typer.Option(help="Dataset whose test block is ranked; with --journal also the one a service served as it is."),
    ] = None,
    database: Annotated[str | None, typer.Option(help="Database URL; default: SQLite in var/.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose requests.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """What another model would change: data, features, importance, tests, and who would be ranked differently.

    Without --data and --journal nobody is ranked. --data ranks clients of the test block of a dataset; --journal the
    requests that the service has stored, each on its own day and directory. Clients who did not agree to learning are
    left out. Importance is told where both bundles were audited.

    Example: therapist-fit models compare champion 4 --data var/clinic
    """
    from training.comparing.whole import compared
    from training.comparing.words import lines

    folders = [_folder(name) for name in (first, second)]
    registered = folders != [Path(first), Path(second)]
    sides = _sides(folders, database, tenant) if registered or journal else [_side(folder) for folder in folders]
    told = {"first": sides[0].bundle_id, "second": sides[1].bundle_id, **compared(sides[0], sides[1])}
    if data is not None:
        told["ranked"] = _ranked(data, sides, journal)
    said = [f"bundle {told['first']} against {told['second']}", *lines(told)]
    if journal:
        asked = _journal(folders, database, tenant, limit, k, data)
        told |= asked
        said += _lines(asked)
    typer.echo(json.dumps(told) if as_json else "\n".join(said))


def _journal(
    folders: list[Path], database: str | None, tenant: str, limit: int, k: int, data: Path | None
) -> dict[str, Any]:
    from data.migrating import open_database
    from serving.again.journal_compare import compare_on_journal, gathered
    from serving.again.past import Past
    from serving.again.replay_commands import progress
    from serving.again.stored import latest, rows_of
    from serving.running.exports import bundle_id_of

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
    return {"k": k, **gathered(found).as_json()}


def _folder(name: str) -> Path:
    """The folder that was named, else the registry's bundle of that name."""
    if (Path(name) / "manifest.json").is_file():
        return Path(name)
    from serving.running.parent import fetch

    return fetch(name).folder


def _sides(folders: list[Path], database: str | None, tenant: str) -> "list[Side]":
    """The bundles with the audits that were put before people, where these are newer than those beside them."""
    from data.migrating import open_database
    from training.deciding import newest_published

    engine = open_database(database)
    try:
        beside = [_side(folder) for folder in folders]
        return [one.with_audit(newest_published(engine, one.bundle_id, tenant)) for one in beside]
    finally:
        engine.dispose()


def _side(folder: Path) -> "Side":
    """The bundle of a folder, with the audit that lies beside it."""
    from training.audit.document import FILE, read
    from training.comparing.sides import Side
    from training.storage import load

    return Side(load(folder), read(folder) if (folder / FILE).is_file() else None)


def _ranked(data: Path, sides: "list[Side]", journal: bool) -> dict[str, Any] | None:
    """None where the data are there for the journal's requests alone, and hold no choice of anybody."""
    from data.errors import ConfigError
    from training.commands import checked
    from training.comparing.ranks import ranked_differently

    try:
        return ranked_differently(checked(data), sides[0].bundle, sides[1].bundle)
    except ConfigError:
        if journal:
            return None
        raise


def _lines(told: dict[str, Any]) -> list[str]:
    counts = ", ".join(f"{what}: {count}" for what, count in told["counts"].items()) or "no stored requests"
    lines = ["Stored requests", f"  {counts}"]
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
