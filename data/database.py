"""The engine that reaches the database: SQLite embedded in `var/`, PostgreSQL by URL; transactions.

`data.migrating` brings its schema up to date, which a worker of the service never does.
"""

import datetime as dt
import os
import re
import secrets
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite

from data.errors import ConfigError, NotReadyError, Problem

URL_VARIABLE = "THERAPIST_FIT_DATABASE_URL"
DEFAULT_URL = "sqlite:///var/therapist-fit.db"

SCHEMA = "0003"
"""The newest migration."""
_REVISION = sa.text("SELECT version_num FROM alembic_version")
_BUSY_SECONDS = 5
_CONNECT_SECONDS = 10
_LOCK = 7_423_518_846


def new_id(moment: dt.datetime) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then chance, so that ids sort by time."""
    milliseconds = int(moment.timestamp() * 1000)
    bits = milliseconds << 80 | 7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=bits))


def database_url(url: str | None = None) -> str:
    """The URL given, else the environment's, else the SQLite file under `var/`."""
    return url or os.environ.get(URL_VARIABLE) or DEFAULT_URL


def connect(url: str | None = None) -> sa.Engine:
    """An engine for the URL (see `database_url`); nothing is read or written yet.

    Raises ConfigError for a database that is neither SQLite nor PostgreSQL.
    """
    parsed = sa.make_url(database_url(url))
    if parsed.drivername.split("+")[0] not in ("sqlite", "postgresql", "postgres"):
        rule = "only SQLite and PostgreSQL are known"
        raise ConfigError([Problem("database URL", f"{parsed.drivername}://", rule, "start it with postgresql://")])
    if not parsed.drivername.startswith("sqlite"):
        reachable = {"connect_timeout": _CONNECT_SECONDS}
        url_of_driver = parsed.set(drivername="postgresql+psycopg")
        return sa.create_engine(url_of_driver, pool_pre_ping=True, connect_args=reachable)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    _write_ahead(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _write_ahead(connection: Any) -> None:
    """Sets WAL, which SQLite refuses at once, without waiting, while another connection is at work on a new file."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: sa.Connection) -> None:
    """A writer takes its lock at the start: one that asked later could fail halfway."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that writes: committed whole at the end of the block, or not at all."""
    with engine.execution_options(writes=True).begin() as connection:
        yield connection


def tenant_named(name: str) -> str:
    """The name of a tenant as it was given. Raises ConfigError for one that no row could carry."""
    if not re.fullmatch(r"[A-Za-z0-9._:-]{1,64}", name):
        rule = "a tenant's name has 1 to 64 letters, digits and . _ : -"
        raise ConfigError([Problem("--tenant", repr(name[:20]), rule, "name another")])
    return name


def insert_new(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Adds the row unless one with its key is there already."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).values(**row).on_conflict_do_nothing())


def take_turns(connection: sa.Connection, number: int = _LOCK) -> None:
    """Makes writers of one thing wait for each other until the transaction ends (on SQLite all writers do)."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def require_schema(engine: sa.Engine) -> None:
    """Raises NotReadyError unless the database has the schema of this program."""
    with engine.connect() as connection:
        found = connection.scalar(_REVISION) if sa.inspect(connection).has_table("alembic_version") else None
    if found != SCHEMA:
        raise NotReadyError(
            f"database schema {found or 'none'}: this program needs {SCHEMA} "
            "-> start the server's parent, or run `therapist-fit data load`, which bring it up to date"
        )
