"""`therapist-fit models`: registered bundles, and the decision to serve one."""

import datetime as dt
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)
_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
_NAME = Annotated[str, typer.Argument(help="Version number, alias (champion) or bundle id.")]
_WHO = Annotated[str, typer.Option(help="The person who decides.")]
_REASON = Annotated[str, typer.Option(help="Why.")]
_DATABASE = Annotated[str | None, typer.Option(help="Database URL; default: SQLite in var/.")]


@app.callback()
def _describe() -> None:
    """Registered bundles, and the decision to serve one."""


@app.command("list")
def list_models(as_json: _JSON = False) -> None:
    """List the registered bundles, newest first.

    Example: therapist-fit models list
    """
    from training.registry.models import versions

    found = versions()
    if as_json:
        typer.echo(json.dumps({"models": [asdict(one) for one in found]}))
        return
    for one in found:
        typer.echo(f"{one.version:>4}  {one.bundle_id}  {one.dataset}  {' '.join(one.aliases)}")
    if not found:
        typer.echo("no models yet -> therapist-fit train DATASET")


@app.command()
def show(
    name: _NAME = "champion",
    against: Annotated[
        str | None, typer.Option(help="An earlier version or folder: only what has changed in the card since.")
    ] = None,
    as_json: _JSON = False,
) -> None:
    """Show one bundle: its model card, or its manifest as JSON; or what is new beside an earlier one.

    Example: therapist-fit models show 4 --against champion
    """
    from training.card import differences
    from training.card.model_card import model_card
    from training.registry.models import bundle_of, read

    bundle = read(name)
    if against is not None:
        changed = differences.against(bundle, bundle_of(against))
        typer.echo(json.dumps({"changed": changed}) if as_json else "\n".join(changed or ["nothing has changed"]))
        return
    typer.echo(bundle.manifest.model_dump_json() if as_json else model_card(bundle.manifest, bundle))


@app.command()
def export(
    name: _NAME, folder: Annotated[Path, typer.Argument(help="Folder to write.")], as_json: _JSON = False
) -> None:
    """Copy a registered bundle into a folder, checked.

    Example: therapist-fit models export champion var/served
    """
    from training.registry import models

    path = models.export(name, folder)
    typer.echo(json.dumps({"bundle": str(path)}) if as_json else f"exported to {path}")


@app.command()
def approve(name: _NAME, who: _WHO, reason: _REASON, database: _DATABASE = None, as_json: _JSON = False) -> None:
    """Say that a bundle may be served, on its newest audit. Its features are signed first: `audit sign`.

    Example: therapist-fit models approve 3 --who "A. Lead" --reason "audit read, nobody loses"
    """
    _conclude(name, "approve", who, reason, database, as_json)


@app.command()
def reject(name: _NAME, who: _WHO, reason: _REASON, database: _DATABASE = None, as_json: _JSON = False) -> None:
    """Say that a bundle must not be served, nor served again, until a person approves it.

    Example: therapist-fit models reject 3 --who "A. Lead" --reason "older adults lose by it"
    """
    _conclude(name, "reject", who, reason, database, as_json)


def _conclude(
    name: str, action: Literal["approve", "reject"], who: str, reason: str, database: str | None, as_json: bool
) -> None:
    from training.registry.verdicts import conclude

    done = conclude(name, action, who, reason, database=database)
    typer.echo(json.dumps(done.as_json()) if as_json else "\n".join(done.lines()))


@app.command()
def history(
    on: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day in UTC: what was served then, and changes.")
    ] = None,
    database: _DATABASE = None,
    as_json: _JSON = False,
) -> None:
    """Everything that was decided about models: who, when, why, on what evidence; or what was served on a day.

    Example: therapist-fit models history --on 2026-03-01
    """
    from data.decisions import history as decided
    from data.migrating import open_database
    from training import served
    from training.registry.verdicts import version_names

    if on is not None and on.date() > dt.datetime.now(dt.UTC).date():
        raise typer.BadParameter(f"{on:%Y-%m-%d} is still to come (days are in UTC)")
    engine = open_database(database)
    try:
        rows, names = decided(engine), version_names(engine)
    finally:
        engine.dispose()
    day = None if on is None else served.on(rows, on.date())
    told = {"decisions": [served.row(one, names) for one in rows]} if day is None else day.as_json(names)
    lines = [served.line(one, names) for one in rows] if day is None else day.lines(names)
    typer.echo(json.dumps(told) if as_json else "\n".join(lines or ["nothing was decided yet"]))


@app.command()
def promote(
    name: _NAME,
    who: Annotated[str, typer.Option(help="The person who makes it the champion.")],
    reason: _REASON,
    database: _DATABASE = None,
    as_json: _JSON = False,
) -> None:
    """Make a bundle the champion, if it is signed and approved and passes the gate; the decision is put on record.

    Example: therapist-fit models promote 3 --who "A. Lead" --reason "signed, approved, gate passed"
    """
    from training.registry import models

    done = models.promote(name, who, reason, database)
    waived = [str(problem) for problem in done.waived]
    if as_json:
        typer.echo(json.dumps({**asdict(done), "waived": waived}))
        return
    typer.echo(f"version {done.version} (bundle {done.bundle_id}) is the champion, promoted by {who}")
    for line in waived:
        typer.echo(f"demonstration only, not met: {line}")


@app.command()
def rollback(
    who: _WHO,
    reason: _REASON,
    to: Annotated[
        str | None, typer.Option(help="Version or bundle id of an earlier champion; the last one if not given.")
    ] = None,
    database: _DATABASE = None,
    as_json: _JSON = False,
) -> None:
    """Serve an earlier champion again; the decision is put on record, and running services follow within seconds.

    Example: therapist-fit models rollback --who "A. Lead" --reason "more clients leave early since Monday"
    """
    from training.registry import models

    done = models.rollback(who, reason, to, database)
    if as_json:
        typer.echo(json.dumps({**asdict(done), "waived": []}))
        return
    typer.echo(f"version {done.version} (bundle {done.bundle_id}) is the champion again, decided by {who}")
