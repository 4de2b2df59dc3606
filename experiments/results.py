"""`RESULTS.md`: the tables of all experiments as they were last run, each below the command that made it.

Nothing in it is typed by hand: what an experiment says of itself is the first paragraph of its module, its table is
drawn from the JSON under `var/experiments`.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from experiments.tracking import FOLDER, kept

NAMES = (
    "ranking_quality",
    "ranking_quality_3000",
    "ranking_quality_30000",
    "falsification",
    "peers",
    "learning_curve",
    "ablation",
    "confounding",
    "new_therapists",
    "off_policy",
    "allocation",
    "coverage",
    "binary_heads",
    "informative_dropout",
    "audit_truth",
    "audit_cost",
    "learner_speed",
    "speed",
)
"""Sections in their order; those that have not been run are left out, by name."""
HEAD = """# Results

Written by `therapist-fit experiment results` from the last run of each experiment; nothing here is typed by hand.
All clinics are synthetic: the figures compare methods where the truth is known, and say nothing about real therapy.
"""


def write(out: Path, folder: Path = FOLDER) -> dict[str, str]:
    """Writes the text and returns, for every experiment, the command that its table came from, or that it was not run.

    Raises NotFoundError where no experiment has been run.
    """
    from data.errors import NotFoundError

    results = {name: found for name in NAMES if (found := kept(name, folder)) is not None}
    if not results:
        rule = "no results there -> run one first, such as: therapist-fit experiment peers --quick"
        raise NotFoundError(f"{folder}: {rule}")
    missing = [f"Not run yet: {', '.join(f'`{name}`' for name in NAMES if name not in results)}.\n"]
    parts = [HEAD, *(section(name, found) for name, found in results.items())]
    out.write_text("\n".join(parts + (missing if len(results) < len(NAMES) else [])), encoding="utf-8")
    return {name: results[name]["command"] if name in results else "not run" for name in NAMES}


def section(name: str, result: Mapping[str, Any]) -> str:
    """Heading, what is asked, command, table and what stands below it."""
    module = import_module(f"experiments.{name.rstrip('_0123456789')}")
    asked = str(module.__doc__).strip() if module.__name__.endswith(name) else ""
    shown = module.table(result)
    texts = [f"## {name}", asked, f"    {result['command']}"]
    for table in _tables(shown):
        texts += [plain(table.title), markdown(table), plain(table.caption)]
    return "\n\n".join(text for text in texts if text) + "\n"


def _tables(shown: Any) -> list[Table]:
    return [one for one in (shown.renderables if isinstance(shown, Group) else [shown]) if isinstance(one, Table)]


def markdown(table: Table) -> str:
    """A rich table as one of Markdown, numbers to the right."""
    columns = [[plain(column.header), *map(plain, column.cells)] for column in table.columns]
    rule = ["---:" if column.justify == "right" else "---" for column in table.columns]
    head, *rows = zip(*columns, strict=True)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))


def plain(said: Any) -> str:
    """What a cell, a title or a caption says, without markup, fit for a Markdown table."""
    if said is None:
        return ""
    text = said.plain if isinstance(said, Text) else Text.from_markup(str(said)).plain
    return text.replace("|", "\\|")
