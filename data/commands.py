"""`therapist-fit data`: simulate, import, check, describe, load."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Bring in, check and describe datasets."
)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
_Dataset = Annotated[Path, typer.Argument(metavar="DATASET", help="Folder with dataset.toml and tables.")]


@app.command("check")
def check_command(dataset: _Dataset, as_json: _Json = False) -> None:
    """Report every problem of a dataset by table, row, column and rule; exit 1 if there are any.

    Example: therapist-fit data check var/clinic
    """
    from data.checking import check

    with _busy(f"checking {dataset}"):
        problems = check(dataset)
    if as_json:
        found = [vars(problem) for problem in problems]
        typer.echo(json.dumps({"dataset": str(dataset), "clean": not problems, "problems": found}))
    else:
        for problem in problems:
            typer.echo(str(problem))
        typer.echo(f"{dataset}: {len(problems)} problems" if problems else f"{dataset}: no problems")
    raise typer.Exit(1 if problems else 0)


@app.command("describe")
def describe_command(dataset: _Dataset, as_json: _Json = False) -> None:
    """Say what is in a dataset: rows, unknown cells, days, endings, measures, pairs, rules it can answer.

    Example: therapist-fit data describe var/clinic
    """
    from data.dataset import read
    from data.describing import describe, lines

    with _busy(f"reading {dataset}"):
        facts = describe(read(dataset))
    if as_json:
        typer.echo(json.dumps(facts))
        return
    width = max(len(what) for what, _ in lines(facts))
    for what, value in lines(facts):
        typer.echo(f"{what:<{width}}  {value}")


@app.command("import")
def import_command(
    mapping: Annotated[Path, typer.Argument(metavar="MAPPING.toml", help="How the files become a dataset.")],
    source: Annotated[Path, typer.Option("--source", help="Folder with the files that the mapping names.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the dataset to; must not hold anything yet.")],
    form: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="How to write tables.")] = "parquet",
    as_json: _Json = False,
) -> None:
    """Bring foreign tables in by a mapping file; what is left is a dataset without problems, or nothing.

    Example: therapist-fit data import experiments/counsel_chat.mapping.toml --source counsel_chat --out var/counsel
    """
    from data.importing import import_dataset

    with _busy(f"importing {source}"):
        report = import_dataset(mapping, source, out, form)
    if as_json:
        typer.echo(json.dumps(report))
        return
    for table, rows in report["tables"].items():
        typer.echo(f"{table}: {rows} rows")
    for left in report["rows_left_out"]:
        typer.echo(f"{left['table']}: {left['rows']} rows of {left['file']} left out: {left['reason']}")
    for dropped in report["columns_left_out"]:
        typer.echo(f"{dropped['file']}: left out {', '.join(dropped['columns'])}: {dropped['reason']}")
    typer.echo(f"{out}: no problems")


@app.command("load")
def load_command(
    dataset: _Dataset,
    tenant: Annotated[str, typer.Option(help="Whose directory; tenants see nothing of each other.")] = "default",
    database: Annotated[str | None, typer.Option("--database", help="Database URL; default: SQLite in var/.")] = None,
    as_json: _Json = False,
) -> None:
    """Fill the service's directory from a dataset: one new version, whole or not at all.

    Places and slots that were taken through the service stay taken, unless the dataset holds their episodes.

    Example: therapist-fit data load var/clinic --tenant north
    """
    import datetime as dt

    from data.checking import check
    from data.dataset import read
    from data.errors import DataError
    from data.loading import from_dataset, load
    from data.migrating import open_database

    with _busy(f"loading {dataset}"):
        problems = check(dataset)
        if problems:
            raise DataError(problems)
        directory = from_dataset(read(dataset))
        version = load(open_database(database), directory, dt.datetime.now(dt.UTC), tenant)
    therapists = len(directory.entries["profile"])
    if as_json:
        facts = {"tenant": tenant, "version": version, "therapists": therapists, "rules": list(directory.meta.rules)}
        typer.echo(json.dumps(facts | {"source": directory.source}))
        return
    rules = ", ".join(directory.meta.rules) or "none"
    typer.echo(
        f"directory version {version} of tenant {tenant}: {therapists} therapists; hard rules it can answer: {rules}"
    )


@app.command("export")
def export_command(
    out: Annotated[Path, typer.Option("--out", help="Folder to write the dataset to; must not hold anything yet.")],
    onto: Annotated[
        Path | None, typer.Option(help="Earlier dataset to lay it on, such as the one `data load` was given.")
    ] = None,
    form: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="How to write tables.")] = "parquet",
    tenant: Annotated[str, typer.Option(help="Whose data.")] = "default",
    database: Annotated[str | None, typer.Option("--database", help="Database URL; default: SQLite in var/.")] = None,
    as_json: _Json = False,
) -> None:
    """Turn what the service keeps into a dataset to learn from: requests, choices, courses, measures.

    Consent is kept: clients who agreed to care only, and cases of therapists who opted out, are not in it.

    Example: therapist-fit data export --onto var/clinic --out var/clinic-2
    """
    import datetime as dt

    from data.exporting import export
    from data.migrating import open_database

    with _busy(f"exporting {out}"):
        engine = open_database(database)
        done = export(engine, out, dt.datetime.now(dt.UTC), tenant, onto, form)
        engine.dispose()
    if as_json:
        typer.echo(json.dumps({"dataset": str(out), "tables": dict(done.tables), "left_out": dict(done.left_out)}))
        return
    for table, rows in done.tables.items():
        typer.echo(f"{table}: {rows} rows")
    for reason, count in done.left_out.items():
        typer.echo(f"left out: {count} {reason}")
    typer.echo(f"{out}: no problems -> therapist-fit train {out}")


@contextmanager
def _busy(what: str) -> Iterator[None]:
    """A moving line on stderr while long work runs; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


if find_spec("data.synthetic.commands"):  # the room of the synthetic clinic brings its own command
    app.command("simulate")(import_module("data.synthetic.commands").simulate_command)
