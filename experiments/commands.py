"""`therapist-fit experiment NAME`."""

from functools import partial
from pathlib import Path
from typing import Annotated, get_args

import typer

from experiments.clinic_commands import app
from experiments.console import (
    DATA,
    EPISODES,
    JSON,
    QUICK,
    QUICK_SEEDS,
    REAL_DATA,
    SEEDS,
    THERAPISTS,
    TRACK,
    bar,
    conduct,
    show,
)


@app.callback()
def _describe() -> None:
    """Questions, not products: each prints a table, or JSON."""


@app.command("literature")
def literature(
    episodes: Annotated[int, typer.Option(help="Episodes of each clinic.", min=2000)] = 10_000,
    therapists: Annotated[int, typer.Option(help="Therapists of each clinic.", min=30)] = 150,
    seeds: Annotated[int, typer.Option(help="Clinics.", min=2)] = 10,
    picture: Annotated[Path, typer.Option(help="PNG to write.")] = Path("var/literature.png"),
    as_json: JSON = False,
) -> None:
    """Does the synthetic clinic look like the field? Target, simulated value and interval of each calibrated figure.

    Example: therapist-fit experiment literature
    """
    from experiments.literature import figure, run, table

    with bar("clinics", seeds) as advance:
        result = run(episodes, therapists, seeds, advance)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure(result, picture)
    show({**result, "picture": str(picture)}, table, as_json)


@app.command("ranking_quality")
def ranking_quality(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 20,
    arm: Annotated[list[str] | None, typer.Option(help="Only these arms; may be given more than once.")] = None,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """Does the ranking send clients to therapists with whom they do better? Synthetic clinics, known truth.

    Example: therapist-fit experiment ranking_quality --quick
    """
    import os

    from data.synthetic.plan import Arm
    from experiments.ranking_quality import ARMS, picture, run, table

    clinics, arms = QUICK_SEEDS if quick else seeds, arm or list(ARMS)
    if not set(arms) <= set(get_args(Arm)):
        raise typer.BadParameter(f"must be among {', '.join(get_args(Arm))}", param_hint="--arm")
    size = "" if episodes == 10_000 else f"_{episodes}"
    asked = partial(run, episodes, therapists, clinics, arms, jobs=os.cpu_count() or 1)
    conduct(context, asked, clinics * len(arms), table, picture, as_json, track, f"ranking_quality{size}")


@app.command("falsification")
def falsification(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 20,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """Does the model claim nothing where there is nothing? Shuffled therapists, and intake as outcome. Synthetic.

    Example: therapist-fit experiment falsification --quick
    """
    import os

    from experiments.falsification import ARMS, KINDS, QUICK_ARMS, picture, run, table

    clinics, arms = (QUICK_SEEDS, QUICK_ARMS) if quick else (seeds, ARMS)
    asked = partial(run, episodes, therapists, clinics, arms, jobs=os.cpu_count() or 1)
    conduct(context, asked, clinics * len(arms) * len(KINDS), table, picture, as_json, track)


@app.command("counsel_chat")
def counsel_chat(data: DATA = REAL_DATA, as_json: JSON = False) -> None:
    """Whose answers do readers find more helpful? Real data, whole questions held out.

    Example: therapist-fit experiment counsel_chat --json
    """
    from experiments.counsel_chat import run, table

    show(run(data), table, as_json)


@app.command("schizophrenia_trials")
def schizophrenia_trials(data: DATA = REAL_DATA, as_json: JSON = False) -> None:
    """Do psychiatrists differ, and does knowing who treats help to predict? Real data.

    Example: therapist-fit experiment schizophrenia_trials --json
    """
    from experiments.schizophrenia_trials import run, table

    show(run(data), table, as_json)


@app.command("nhanes_phq9")
def nhanes_phq9(data: DATA = REAL_DATA, as_json: JSON = False) -> None:
    """Does the scoring give the published figures of 5,093 adults? Real data.

    Example: therapist-fit experiment nhanes_phq9 --json
    """
    from experiments.nhanes_phq9 import run, table

    show(run(data), table, as_json)


@app.command("obd_small")
def obd_small(data: DATA = REAL_DATA, as_json: JSON = False) -> None:
    """Do the off-policy estimators give a published figure? Real data, true propensities.

    Example: therapist-fit experiment obd_small --json
    """
    from experiments.obd_small import run, table

    show(run(data), table, as_json)


@app.command("off_policy")
def off_policy(
    context: typer.Context,
    seeds: SEEDS = 200,
    test: Annotated[int, typer.Option(help="Episodes of each test block.", min=500)] = 2000,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """Do intervals of a policy's value, read from past choices, hold the true one? Synthetic clinics, known truth.

    Example: therapist-fit experiment off_policy --quick
    """
    from experiments.off_policy import ARMS, figure, run, table

    clinics = QUICK_SEEDS if quick else seeds
    asked = partial(run, clinics, ARMS, test)
    conduct(context, asked, clinics * len(ARMS), table, figure, as_json, track)


@app.command("allocation")
def allocation(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 20,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """What do prices bring when clients come one by one and caseloads are full, and a whole list decided at once?

    Example: therapist-fit experiment allocation --quick
    """
    from experiments.allocation import ELIGIBLE, QUICK_ELIGIBLE, figure, run, table

    clinics, eligible = (QUICK_SEEDS, QUICK_ELIGIBLE) if quick else (seeds, ELIGIBLE)
    asked = partial(run, episodes, therapists, clinics, "base", eligible)
    conduct(context, asked, clinics, table, figure, as_json, track)


@app.command("learner_speed")
def learner_speed(context: typer.Context, quick: QUICK = False, track: TRACK = True, as_json: JSON = False) -> None:
    """How does the time of learning grow, and what is it beside LightGBM and MixedLM? Synthetic rows and clinic.

    Example: therapist-fit experiment learner_speed --quick
    """
    from experiments.learner_speed import QUICK as FEWER
    from experiments.learner_speed import Sizes, picture, run, table

    sizes = FEWER if quick else Sizes()
    asked = partial(run, sizes)
    conduct(context, asked, sizes.count, table, picture, as_json, track, what="measurements")


@app.command("speed")
def speed(context: typer.Context, quick: QUICK = False, track: TRACK = True, as_json: JSON = False) -> None:
    """How fast is one answer, beside MLflow's own scoring server and beside what NumPy cannot undercut? Synthetic.

    Example: therapist-fit experiment speed --quick
    """
    from experiments.speed import QUICK as FEWER
    from experiments.speed import Sizes, run, table

    sizes = FEWER if quick else Sizes()
    conduct(context, partial(run, sizes), sizes.steps, table, None, as_json, track, what="rounds")


@app.command("audit_cost")
def audit_cost(context: typer.Context, quick: QUICK = False, track: TRACK = True, as_json: JSON = False) -> None:
    """What does an audit of 100,000 episodes and 2,000 therapists take, beside training? Synthetic.

    Example: therapist-fit experiment audit_cost --quick
    """
    from experiments.audit_cost import QUICK as FEWER
    from experiments.audit_cost import STEPS, Size, run, table

    asked = partial(run, FEWER if quick else Size())
    conduct(context, asked, STEPS, table, None, as_json, track, what="steps")


@app.command("audit_truth")
def audit_truth(
    context: typer.Context,
    episodes: EPISODES = 10_000,
    therapists: THERAPISTS = 150,
    seeds: SEEDS = 10,
    quick: QUICK = False,
    track: TRACK = True,
    as_json: JSON = False,
) -> None:
    """Are the statements of an audit true where the truth is known? Synthetic clinics, some with a harmed group.

    Example: therapist-fit experiment audit_truth --quick
    """
    import os

    from experiments.audit_truth import ARMS, run, table

    clinics = QUICK_SEEDS if quick else seeds
    asked = partial(run, episodes, therapists, clinics, jobs=os.cpu_count() or 1)
    conduct(context, asked, clinics * (len(ARMS) + 1), table, None, as_json, track)
