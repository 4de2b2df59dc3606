"""`therapist-fit experiment NAME` for the experiments that stand on contests in synthetic clinics."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from experiments.console import EPISODES, JSON, QUICK, QUICK_SEEDS, SEEDS, THERAPISTS, TRACK, conduct

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)


@app.command("peers")
def peers(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 20,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """Does the model send clients better than what others would use? Same rows, same clients. Synthetic clinics.

    Example: therapist-fit experiment peers --quick
    """
    from experiments.peers import ARMS, QUICK_ARMS, picture, run, table

    clinics, arms = (QUICK_SEEDS, QUICK_ARMS) if quick else (seeds, ARMS)
    asked = partial(run, episodes, therapists, clinics, arms)
    conduct(context, asked, clinics * len(arms), table, picture, as_json, track)


@app.command("learning_curve")
def learning_curve(
    context: typer.Context, seeds: SEEDS = 20, quick: QUICK = False, track: TRACK = True, as_json: JSON = False
) -> None:
    """How much data does it take? Share of the ceiling's gain against episodes and therapists. Synthetic clinics.

    Example: therapist-fit experiment learning_curve --quick
    """
    from experiments.learning_curve import QUICK as FEWER
    from experiments.learning_curve import SIZES, picture, run, table

    clinics, sizes = (QUICK_SEEDS, FEWER) if quick else (seeds, SIZES)
    asked = partial(run, sizes, clinics, "base")
    conduct(context, asked, clinics * len(sizes), table, picture, as_json, track)


@app.command("ablation")
def ablation(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 20,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """What is each part of the model worth? Parts off one at a time, on the same clinics. Synthetic.

    Example: therapist-fit experiment ablation --quick
    """
    from experiments.ablation import ARMS, QUICK_ARMS, picture, run, table

    clinics, arms = (QUICK_SEEDS, QUICK_ARMS) if quick else (seeds, ARMS)
    asked = partial(run, episodes, therapists, clinics, arms)
    conduct(context, asked, clinics * len(arms), table, picture, as_json, track)


@app.command("confounding")
def confounding(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 20,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """How much bias of assignment does the ranking bear, with severity measured and with severity hidden? Synthetic.

    Example: therapist-fit experiment confounding --quick
    """
    from experiments.confounding import ARMS, STRENGTHS, picture, run, table
    from experiments.confounding import QUICK as FEWER

    clinics, strengths = (QUICK_SEEDS, FEWER) if quick else (seeds, STRENGTHS)
    asked = partial(run, episodes, therapists, clinics, strengths)
    conduct(context, asked, clinics * len(strengths) * len(ARMS), table, picture, as_json, track)


@app.command("new_therapists")
def new_therapists(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 20,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """What does a new therapist's profile say, and what 5, 15, 30, 60 cases? Expectations, no verdicts. Synthetic.

    Example: therapist-fit experiment new_therapists --quick
    """
    from experiments.new_therapists import picture, run, table

    clinics = QUICK_SEEDS if quick else seeds
    asked = partial(run, episodes, therapists, clinics, "base")
    conduct(context, asked, clinics, table, picture, as_json, track)


@app.command("coverage")
def coverage(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 20,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """Do intervals hold what they promise, also for the therapist put first? Synthetic clinics, known truth.

    Example: therapist-fit experiment coverage --quick
    """
    from experiments.coverage import ARMS, run, table

    clinics, arms = (QUICK_SEEDS, ARMS[:2]) if quick else (seeds, ARMS)
    asked = partial(run, episodes, therapists, clinics, arms)
    conduct(context, asked, clinics * len(arms), table, None, as_json, track)


@app.command("binary_heads")
def binary_heads(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 20,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """How far do therapists differ in retention and early dropout, and is it found? Synthetic clinics, known truth.

    Example: therapist-fit experiment binary_heads --quick
    """
    from experiments.binary_heads import picture, run, table

    clinics = QUICK_SEEDS if quick else seeds
    asked = partial(run, episodes, therapists, clinics, "base")
    conduct(context, asked, clinics, table, picture, as_json, track)


@app.command("informative_dropout")
def informative_dropout(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 20,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """Clients who left: learn from their last score, from what they could have come to, or weigh who stayed?

    Example: therapist-fit experiment informative_dropout --quick
    """
    from experiments.informative_dropout import ARMS, QUICK_ARMS, picture, run, table

    clinics, arms = (QUICK_SEEDS, QUICK_ARMS) if quick else (seeds, ARMS)
    asked = partial(run, episodes, therapists, clinics, arms)
    conduct(context, asked, clinics * len(arms), table, picture, as_json, track)


@app.command("results")
def results(
    out: Annotated[Path, typer.Option(help="Markdown file to write.")] = Path("experiments/RESULTS.md"),
    as_json: JSON = False,
) -> None:
    """Write the tables of all experiments kept under var/experiments into one text, the command above each.

    Example: therapist-fit experiment results
    """
    import json

    from experiments.results import write

    found = write(out)
    typer.echo(json.dumps(found) if as_json else "\n".join(f"{name}: {said}" for name, said in found.items()))
