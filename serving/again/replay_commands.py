"""`therapist-fit replay`: derives stored answers again and says what differs."""

import datetime as dt
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from serving.again.past import Past
    from serving.again.replay import Replayed, Report

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def replay(
    recommendation_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[RECOMMENDATION_ID]...", help="Answers to derive again.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that were not erased.")] = False,
    since: Annotated[
        dt.datetime | None,
        typer.Option(help="With --all: those made on that day (UTC) or later.", formats=["%Y-%m-%d"]),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="With --all: the latest so many.", min=1)] = None,
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            help="A bundle's folder, or a folder of such; may be given again. Else var/served and the registry."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="The dataset, for answers of a service that served one as it stands.")
    ] = None,
    database: Annotated[str | None, typer.Option(help="Database URL; default: SQLite in var/.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose answers.")] = "default",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Derive stored answers again, from the bundle, directory and settings of their time, and say what differs.

    Exit code 1 where ranks differ, a utility differs by more than 1e-9 SD, or an answer cannot be derived again.

    Example: therapist-fit replay --all --limit 100
    """
    if bool(recommendation_ids) == every:
        raise typer.BadParameter("name answers, or ask for --all")
    if not every and (since or limit):
        raise typer.BadParameter("--since and --limit go with --all")
    from data.migrating import open_database
    from serving.again.replay import Report, replay
    from serving.again.stored import latest, rows_of

    engine = open_database(database)
    try:
        start = since.replace(tzinfo=dt.UTC) if since else None
        ids = latest(engine, tenant, start, limit) if every else list(recommendation_ids or [])
        with progress("replaying", len(ids)) as step:
            answers = []
            for one in replay(past_of(engine, bundle or [], data), tenant, rows_of(engine, tenant, ids)):
                answers.append(one)
                step()
    finally:
        engine.dispose()
    report = Report(answers)
    typer.echo(json.dumps(_plain(report)) if as_json else "\n".join(_lines(report)))
    if not report.stands:
        raise typer.Exit(1)


def past_of(engine: Any, bundles: list[Path], data: Path | None) -> "Past":
    """The past with the folders that were named, those that were served here, and the registry behind them."""
    from serving.again.past import Past
    from serving.running.exports import SERVED

    return Past(engine, [*bundles, SERVED], data, fetch=_fetched)


def _fetched(bundle_id: str) -> Path:
    from data.errors import NotFoundError, TherapistFitError
    from serving.running.parent import fetch

    try:
        return fetch(bundle_id).folder
    except TherapistFitError:
        raise
    except Exception as error:
        raise NotFoundError(
            f"bundle {bundle_id} is in no folder here, and the model registry does not answer "
            f"({type(error).__name__}) -> name the bundle's folder with --bundle"
        ) from error


@contextmanager
def progress(doing: str, total: int) -> "Iterator[Any]":
    """A progress bar on standard error, quiet where nobody watches; call what it gives after each step."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda: bar.update(task, advance=1)


def _plain(report: "Report") -> dict[str, Any]:
    answers = [{**asdict(one), "stands": one.stands} for one in report.answers]
    return {"stands": report.stands, "skew": report.skew, "counts": report.counts(), "answers": answers}


def _lines(report: "Report") -> list[str]:
    counts = report.counts()
    differing = [one for one in report.answers if one.problem or not one.bytes_equal]
    return [
        *(f"{one.recommendation_id}  {_words(one)}" for one in differing),
        f"{counts['derived']} of {counts['asked']} derived again; the same bytes: {counts['bytes_equal']}, "
        f"the same ranks: {counts['ranks_equal']}, largest difference of a utility: {report.skew:.3g} SD",
    ]


def _words(one: "Replayed") -> str:
    if one.problem:
        return f"not derived: {one.problem}"
    ranks = "same ranks" if one.ranks_equal else "OTHER RANKS"
    return (
        f"{ranks}, utility differs by {one.skew:.3g} SD; fields: {', '.join(one.fields) or 'none, only their spelling'}"
    )
