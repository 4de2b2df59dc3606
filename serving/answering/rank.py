"""`therapist-fit rank`: one client's ranking by the chain of the service, without a server and without a journal."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def rank(
    data: Annotated[Path, typer.Option(help="Dataset whose therapists are ranked, on its own day.")],
    client: Annotated[Path, typer.Option(help="The request as JSON; the client's columns alone will do.")],
    bundle: Annotated[Path | None, typer.Option(help="Bundle to rank by; the champion if not given.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings of a service, as for `serve`.")] = None,
    k: Annotated[int | None, typer.Option("--k", "-k", help="How many therapists to show.", min=1, max=100)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object.")] = False,
) -> None:
    """Rank the therapists of one client, without a server; nothing is kept.

    Example: therapist-fit rank --bundle var/bundle --data var/clinic --client client.json --k 5
    """
    from serving.answering.once import WITHOUT_A_SERVICE, rank_once, read_request
    from serving.answering.text import lines
    from serving.running.parent import champion
    from serving.settings import Settings

    request = read_request(client, k)
    told = WITHOUT_A_SERVICE if settings is None else Settings.read(settings)
    folder, version = champion() if bundle is None else (bundle, "")
    answer = rank_once(told, folder, version, data, request)
    typer.echo(answer.model_dump_json() if as_json else "\n".join(lines(answer.model_dump(mode="json"))))
