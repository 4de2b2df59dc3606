"""`therapist-fit allocate`: a whole waiting list at once by the chain of the service, without a server."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def allocate(
    data: Annotated[Path, typer.Option(help="Dataset whose waiting list is placed, on its own day.")],
    bundle: Annotated[Path | None, typer.Option(help="Bundle to predict by; the champion if not given.")] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings of a service, as for `serve`.")] = None,
    max_extra_days: Annotated[
        float, typer.Option(help="Most days that a client waits beyond the next available.", min=0)
    ] = 14,
    most_severe: Annotated[
        int | None, typer.Option(help="Most severe cases a therapist may carry, open ones included.", min=0)
    ] = None,
    most_risk: Annotated[int | None, typer.Option(help="The same for cases with thoughts of self-harm.", min=0)] = None,
    most_new: Annotated[int | None, typer.Option(help="Most clients of the list for one therapist.", min=0)] = None,
    fairness_floor: Annotated[
        float, typer.Option(help="SD that a group's mean gain may lie below the next available's.", min=0)
    ] = 0.02,
    groups: Annotated[
        list[str] | None, typer.Option(help="Client column whose groups the floor protects; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object.")] = False,
) -> None:
    """Place a whole waiting list at once: its order decides who is placed, the predicted gain only with whom.

    Nothing is booked and nothing is kept.

    Example: therapist-fit allocate --bundle var/bundle --data var/clinic --max-extra-days 7 --groups gender
    """
    from serving.answering.once import WITHOUT_A_SERVICE, allocate_once
    from serving.placing.allocation import Terms
    from serving.placing.allocation_text import lines
    from serving.running.parent import champion
    from serving.settings import Settings

    told = WITHOUT_A_SERVICE if settings is None else Settings.read(settings)
    folder, version = champion() if bundle is None else (bundle, "")
    terms = Terms(max_extra_days, most_severe, most_risk, most_new, fairness_floor, tuple(groups or ()))
    answer = allocate_once(told, folder, version, data, terms)
    typer.echo(answer.model_dump_json() if as_json else "\n".join(lines(answer)))
