"""`therapist-fit serve`."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False)

SETTINGS_VARIABLE = "THERAPIST_FIT_SETTINGS"


@app.command()
def serve(
    settings: Annotated[
        Path,
        typer.Option(
            envvar=SETTINGS_VARIABLE, help="What the service says when it has no ranking to show, and more (TOML)."
        ),
    ] = Path("var/settings.toml"),
    bundle: Annotated[Path | None, typer.Option(help="Bundle to serve; the registry's champion if not given.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Dataset to serve as it stands, on its own day; else what `data load` stored.")
    ] = None,
    database: Annotated[str | None, typer.Option(help="Database URL; default: SQLite in var/.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    workers: Annotated[
        int, typer.Option(help="Processes that answer; one for each core is a good start.", min=1, max=64)
    ] = 1,
    metrics_host: Annotated[str, typer.Option(help="Address of /metrics.")] = "127.0.0.1",
    metrics_port: Annotated[
        int, typer.Option(help="Port of /metrics (Prometheus); 0 takes a free one.", min=0, max=65535)
    ] = 9464,
    as_json: Annotated[bool, typer.Option("--json", help="Say where it listens as one JSON object.")] = False,
) -> None:
    """Serve ranked, explained recommendations over HTTP, until stopped.

    Without --bundle it follows the registry's champion: a promotion or a rollback is served within seconds.

    Example: therapist-fit serve --settings serving/settings.example.toml --data var/clinic
    """
    from serving.settings import Settings

    told = Settings.read(settings)  # first, because the rest takes seconds to import
    from serving.running.parent import Address, Place, to_serve
    from serving.running.parent import serve as run
    from serving.sources import Sources

    folder, version = (bundle, "") if bundle is not None else to_serve()

    def ready(at: Address) -> None:
        facts = {
            "url": at.url,
            "docs": f"{at.url}/docs",
            "bundle": str(folder),
            "workers": workers,
            "metrics": at.metrics,
        }
        words = f"serving {folder} at {at.url}; the API is described at {at.url}/docs"
        typer.echo(json.dumps(facts) if as_json else words)

    run(
        told,
        Sources(folder, version, data, database),
        Place(host, port, workers, metrics_host, metrics_port),
        ready,
        watched=bundle is None,
    )
