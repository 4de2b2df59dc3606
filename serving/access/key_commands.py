"""`therapist-fit keys`: who may ask the service what."""

import datetime as dt
import json
from typing import Annotated, Any

import typer

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, add_completion=False)

_Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
_Database = Annotated[str | None, typer.Option("--database", help="Database URL; default: SQLite in var/.")]
_Tenant = Annotated[str, typer.Option("--tenant", help="Whose key; tenants see nothing of each other.")]


@app.callback()
def _describe() -> None:
    """Make, list and revoke the keys of a service."""


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is: a program or a person.")],
    scope: Annotated[list[str], typer.Option(help="platform, clinician, auditor or admin; may be given again.")],
    days: Annotated[int, typer.Option(help="Days until it expires.", min=1, max=3650)] = 365,
    tenant: _Tenant = "default",
    database: _Database = None,
    as_json: _Json = False,
) -> None:
    """Make a key. It is shown once: keep it where secrets are kept.

    Example: therapist-fit keys create --name "intake form" --scope platform
    """
    from data.migrating import open_database
    from serving.access import keys

    engine = open_database(database)
    info, token = keys.create(engine, tenant, name, scope, dt.datetime.now(dt.UTC), days)
    engine.dispose()
    if as_json:
        typer.echo(json.dumps({**_plain(info), "tenant": tenant, "key": token}))
        return
    typer.echo(f"{token}\nkey {info.key_id} for {name} ({', '.join(info.scopes)}), tenant {tenant}, shown this once")


@app.command("list")
def list_keys(tenant: _Tenant = "default", database: _Database = None, as_json: _Json = False) -> None:
    """List the keys of a tenant; the keys themselves are kept nowhere.

    Example: therapist-fit keys list
    """
    from data.migrating import open_database
    from serving.access import keys

    engine = open_database(database)
    found = keys.keys_of(engine, tenant)
    engine.dispose()
    if as_json:
        typer.echo(json.dumps({"tenant": tenant, "keys": [_plain(one) for one in found]}))
        return
    now = dt.datetime.now(dt.UTC)
    for one in found:
        expired = one.expires_at is not None and one.expires_at <= now
        state = "revoked" if one.revoked_at else "expired" if expired else f"good until {one.expires_at:%Y-%m-%d}"
        typer.echo(f"{one.key_id}  {state:<22}  {', '.join(one.scopes):<30}  {one.name}")
    if not found:
        typer.echo('no keys yet -> therapist-fit keys create --name "first admin" --scope admin')


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")],
    tenant: _Tenant = "default",
    database: _Database = None,
    as_json: _Json = False,
) -> None:
    """Close a key at once and for good.

    Example: therapist-fit keys revoke 3f9a1c77b2d0
    """
    from data.migrating import open_database
    from serving.access import keys

    engine = open_database(database)
    keys.revoke(engine, tenant, key_id, dt.datetime.now(dt.UTC))
    engine.dispose()
    typer.echo(json.dumps({"key_id": key_id, "revoked": True}) if as_json else f"key {key_id} opens nothing any more")


def _plain(info: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(info.__dict__, default=lambda moment: moment.isoformat()))
    return plain
