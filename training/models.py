"""`therapist-fit models`: registered bundles, and the decision to serve one."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)
_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
_NAME = Annotated[str, typer.Argument(help="Version number, alias (champion) or bundle id.")]


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
def show(name: _NAME = "champion", as_json: _JSON = False) -> None:
    """Show one bundle: its model card, or its manifest as JSON.

    Example: therapist-fit models show champion
    """
    from training.card import model_card
    from training.registry.models import read

    bundle = read(name)
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
def promote(
    name: _NAME,
    who: Annotated[str, typer.Option(help="The person who approves.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    as_json: _JSON = False,
) -> None:
    """Make a bundle the champion, if it passes the gate; the decision is put on record.

    Example: therapist-fit models promote 3 --who "A. Lead" --reason "passed the gate, policy read"
    """
    from training.registry import models

    done = models.promote(name, who, reason)
    waived = [str(problem) for problem in done.waived]
    if as_json:
        typer.echo(json.dumps({**asdict(done), "waived": waived}))
        return
    typer.echo(f"version {done.version} (bundle {done.bundle_id}) is the champion, approved by {who}")
    for line in waived:
        typer.echo(f"demonstration only, not met: {line}")


@app.command()
def rollback(
    who: Annotated[str, typer.Option(help="The person who decides.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    to: Annotated[
        str | None, typer.Option(help="Version or bundle id of an earlier champion; the last one if not given.")
    ] = None,
    as_json: _JSON = False,
) -> None:
    """Serve an earlier champion again; the decision is put on record, and running services follow within seconds.

    Example: therapist-fit models rollback --who "A. Lead" --reason "more clients leave early since Monday"
    """
    from training.registry import models

    done = models.rollback(who, reason, to)
    if as_json:
        typer.echo(json.dumps({**asdict(done), "waived": []}))
        return
    typer.echo(f"version {done.version} (bundle {done.bundle_id}) is the champion again, decided by {who}")
