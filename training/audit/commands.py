"""`therapist-fit audit`: audits a bundle, writes the file, and puts a person's signature on record."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from training.bundle import Bundle

SAID_FIRST = 20
"""Findings printed; the file has all."""


class _Audit(TyperGroup):
    """`audit NAME` is short for `audit make NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = (*self.commands, *ctx.help_option_names)
        return super().parse_args(ctx, ["make", *args] if args and args[0] not in known else args)


app = typer.Typer(cls=_Audit, rich_markup_mode=None, no_args_is_help=True, add_completion=False)
_JSON = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
_DATABASE = Annotated[str | None, typer.Option(help="Database URL; default: SQLite in var/.")]


@app.callback()
def _describe() -> None:
    """Audit a bundle: `therapist-fit audit NAME` (short for `audit make NAME`), and sign what it uses.

    Example: therapist-fit audit champion -o audit.html
    """


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="Version number, alias (champion), bundle id, or a bundle's folder.")],
    data: Annotated[
        Path | None, typer.Option(help="The dataset it was learned from: audit it (again). Else its audit is read.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="With --data: an earlier version or folder; the card says what has changed.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("audit.html"),
    database: Annotated[
        str | None, typer.Option(help="Database URL: adds decisions and what happened in service; default: var/.")
    ] = None,
    as_json: _JSON = False,
) -> None:
    """Write the audit of a bundle as one file that stands alone, and put it before the auditors if it is registered.

    Example: therapist-fit audit make champion --data var/clinic -o audit.html
    """
    from training.audit.document import FILE, Audit
    from training.audit.publishing import found_by, put_before_auditors, write_file

    found = found_by(name, database, with_data=data is not None)
    if data is not None:
        found = found.with_text(_audited(found.folder, data, against))
    audit = Audit.parse(found.text, f"{name}: {FILE}")
    evidence = put_before_auditors(found, database)
    written = write_file(out, audit, found, database)
    told = {
        "file": str(written),
        "bytes": written.stat().st_size,
        "bundle_id": audit.bundle_id,
        "version": found.version,
        "evidence_hash": evidence,
        "published": found.version is not None,
        "synthetic": audit.synthetic,
        "findings": [one.model_dump() for one in audit.findings],
    }
    typer.echo(json.dumps(told) if as_json else "\n".join(_lines(told)))


@app.command()
def sign(
    name: Annotated[str, typer.Argument(help="Version number, alias (champion) or bundle id.")],
    who: Annotated[str, typer.Option(help="The person who signs.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    feature: Annotated[
        list[str] | None, typer.Option(help="A flagged feature that you sign all the same; may be given again.")
    ] = None,
    database: _DATABASE = None,
    as_json: _JSON = False,
) -> None:
    """Sign the features of a bundle on its newest audit; flagged ones only if they are named. It goes on record.

    Example: therapist-fit audit sign 3 --who "A. Lead" --reason "audit read; sensible" --feature wishes_met
    """
    from training.registry.verdicts import conclude

    done = conclude(name, "sign", who, reason, tuple(feature or ()), database)
    typer.echo(json.dumps(done.as_json()) if as_json else "\n".join(done.lines()))


def _audited(folder: Path, data: Path, against: str | None) -> bytes:
    """Audits the bundle in a folder against its data: the bytes of the new `audit.json`."""
    from training.audit.document import FILE
    from training.audit.run import STEPS, audit
    from training.commands import checked, progress

    bar: AbstractContextManager[Callable[[str], None]] = progress(STEPS)
    with bar as say:
        audit(folder, checked(data), say, None if against is None else _earlier(against))
    return (folder / FILE).read_bytes()


def _earlier(name: str) -> "Bundle":
    from training.registry.models import bundle_of

    return bundle_of(name)


def _lines(told: dict[str, Any]) -> list[str]:
    """What was found, in words."""
    from training.report.rendering import LEVELS

    version = "" if told["version"] is None else f" (version {told['version']})"
    lines = [f"audit of bundle {told['bundle_id']}{version} in {told['file']}, {told['bytes'] / 1e6:.1f} MB"]
    if told["synthetic"]:
        lines.append("synthetic data: no figure says anything about real therapy")
    urgent = [one for one in told["findings"] if one["level"] in ("stop", "look")]
    lines += [f"{LEVELS[one['level']].lower()}: {one['words']}" for one in urgent[:SAID_FIRST]]
    if len(urgent) > SAID_FIRST:
        lines.append(f"and {len(urgent) - SAID_FIRST} more: see the file")
    if not urgent:
        lines.append("nothing stands out that a person must look at before signing")
    rest = [f"{LEVELS[level].lower()}: {_count(told, level)}" for level in ("note", "fine")]
    lines.append("; ".join(rest))
    if told["published"]:
        lines.append(f"put before the auditors as evidence {told['evidence_hash']}: see /audit/{told['evidence_hash']}")
    return lines


def _count(told: dict[str, Any], level: str) -> int:
    return sum(one["level"] == level for one in told["findings"])
