"""`therapist-fit evaluate`: the test of a configuration, without a bundle."""

import json
from typing import Any

import typer

from training.commands import CONFIG, DATA, JSON, WHAT, checked, progress, words

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def evaluate(what: WHAT, config: CONFIG = None, data: DATA = None, as_json: JSON = False) -> None:
    """Learn from what was known before the test block and look at the block once; nothing is kept.

    Example: therapist-fit evaluate var/clinic
    """
    from training.config import told
    from training.run import evaluate_only, steps

    folder, settings = told(what, config, data)
    dataset = checked(folder)
    with progress(steps(settings)) as say:
        evaluation = evaluate_only(dataset, settings, say)
    summary: dict[str, Any] = {
        "dataset": dataset.manifest.name,
        "synthetic": dataset.manifest.synthetic,
        "undated": dataset.manifest.undated,
        "left_out": evaluation.get("left_out", {}),
        "evaluation": evaluation,
    }
    typer.echo(json.dumps(summary) if as_json else words(summary))
