"""`therapist-fit data simulate`: writes a synthetic clinic, and its truth beside it."""

import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def simulate_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; must not hold anything yet.")],
    arm: Annotated[
        str, typer.Option(help="Which effects are planted: base, weak, strong, main-only, null, ...")
    ] = "base",
    episodes: Annotated[int, typer.Option(min=50, help="Courses of treatment.")] = 10_000,
    therapists: Annotated[int, typer.Option(min=5, help="Therapists.")] = 150,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same clinic.")] = 0,
    as_of: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Last day known; slots follow it.")] = None,
    harm: Annotated[str | None, typer.Option(metavar="COLUMN=VALUE", help="Clients who are harmed.")] = None,
    form: Annotated[Literal["csv", "parquet"], typer.Option("--format", help="How to write tables.")] = "parquet",
    truth: Annotated[Path | None, typer.Option(help="Folder for the truth; OUT-truth without it.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Invent a clinic: a dataset, and in a folder apart what is true of it, which training never reads.

    Example: therapist-fit data simulate var/clinic --episodes 10000 --therapists 150 --seed 0
    """
    plan = _plan({"arm": arm, "episodes": episodes, "therapists": therapists, "seed": seed, "harm": harm}, as_of)
    truth = truth or out.with_name(out.name + "-truth")
    if plan.arm == "load":
        if form != "parquet":
            raise typer.BadParameter("the arm load is written as Parquet only", param_hint="--format")
        from data.synthetic.parts import simulate_in_parts

        with _bar("simulating") as advance:
            simulate_in_parts(plan, out, truth, advance)
        rows: dict[str, int] = _rows_on_disk(out)
    else:
        rows = _whole(plan, out, truth, form)
    facts = {"dataset": str(out), "truth": str(truth), "synthetic": True, **plan.model_dump(mode="json"), "rows": rows}
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{out}: SYNTHETIC clinic, arm {plan.arm}, {plan.episodes} episodes, {plan.therapists} therapists")
    for name, count in rows.items():
        typer.echo(f"  {name}: {count} rows")
    typer.echo(f"{truth}: what is true of it (for evaluation only)")


def _plan(values: dict[str, Any], as_of: str | None) -> Any:
    from pydantic import ValidationError

    from data.errors import ConfigError
    from data.manifest import validation_problems
    from data.synthetic.plan import Plan

    try:
        return Plan.model_validate(values | ({"as_of": dt.date.fromisoformat(as_of)} if as_of else {}))
    except ValidationError as error:
        raise ConfigError(validation_problems("simulate", error)) from None
    except ValueError:
        raise typer.BadParameter(f"{as_of}: must be a day written YYYY-MM-DD", param_hint="--as-of") from None


def _whole(plan: Any, out: Path, truth: Path, form: Literal["csv", "parquet"]) -> dict[str, int]:
    from data.dataset import write
    from data.synthetic.clinic import simulate

    with _bar("simulating") as advance:
        dataset, planted = simulate(plan)
        advance(1, 3)
        write(dataset, out, form)
        advance(2, 3)
        planted.write(truth)
        advance(3, 3)
    return {name: len(frame) for name, frame in dataset.frames.items()}


def _rows_on_disk(out: Path) -> dict[str, int]:
    from pyarrow.parquet import read_metadata

    return {path.stem: read_metadata(path).num_rows for path in sorted(out.glob("*.parquet"))}


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; nothing where nobody watches."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
