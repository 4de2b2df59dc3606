"""Every SQL table of the program, and the engine that reaches them: SQLite embedded in `var/`, PostgreSQL by URL.

Each row belongs to a `tenant`. What was true stays on record: the directory is written as versions under one counter,
the journal keeps the bytes that were answered, and decisions are only ever appended.
"""

import datetime as dt
import os
import secrets
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

from data.errors import ConfigError, NotReadyError, Problem

URL_VARIABLE = "THERAPIST_FIT_DATABASE_URL"
DEFAULT_URL = "sqlite:///var/therapist-fit.db"
TENANT = "default"
"""The tenant of rows written before keys name one."""

MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_SECONDS = 5
_CONNECT_SECONDS = 10
_LOCK = 7_423_518_846


class Moment(sa.types.TypeDecorator[dt.datetime]):
    """A time with its offset, kept as UTC; SQLite, which has no such type, holds the UTC wall clock."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """UTC on the way in. Raises ValueError for a time without an offset."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no offset -> give the time with its offset")
        utc = value.astimezone(dt.UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: dt.datetime | None, _dialect: sa.Dialect) -> dt.datetime | None:
        """UTC on the way out, whatever the database keeps."""
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


METADATA = sa.MetaData()


def _table(name: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    return sa.Table(name, METADATA, sa.Column("tenant", sa.String(64), primary_key=True), *columns)


DIRECTORY_VERSIONS = _table(
    "directory_versions",
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("source", sa.String(200), nullable=False),
    sa.Column("meta", sa.JSON, nullable=False),
)
"""One row a change of the directory; `meta` says which rules the directory can answer and how old it is."""

DIRECTORY_ENTRIES = _table(
    "directory_entries",
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("therapist_id", sa.String(64), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("payload", sa.JSON, nullable=True),
)
"""What one therapist's profile, licences, slots or caseload became at a version; empty: no longer listed."""

RECOMMENDATIONS = _table(
    "recommendations",
    sa.Column("recommendation_id", sa.String(36), primary_key=True),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("key_id", sa.String(64), nullable=True),
    sa.Column("client_id", sa.String(64), nullable=True, index=True),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("bundle_id", sa.String(64), nullable=False),
    sa.Column("directory_version", sa.Integer, nullable=False),
    sa.Column("directory_source", sa.String(200), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=True),
    sa.Column("prices", sa.JSON, nullable=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
)
"""The journal: what was asked, with what it was answered, and the bytes of the answer."""

SAFETY_TASKS = _table(
    "safety_tasks",
    sa.Column("task_id", sa.String(36), primary_key=True),
    sa.Column("recommendation_id", sa.String(36), nullable=False, index=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("raised_by", sa.JSON, nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("closed_at", Moment, nullable=True),
    sa.Column("closed_by", sa.String(64), nullable=True),
    sa.Column("reason", sa.Text, nullable=True),
)
"""A person's answer that a clinician must look at; `status` is `flagged` (ranking shown) or `held` (not shown)."""

DECISIONS = _table(
    "decisions",
    sa.Column("decision_id", sa.String(36), primary_key=True),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("bundle_id", sa.String(64), nullable=False),
    sa.Column("policy_hash", sa.String(64), nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("evidence_hash", sa.String(64), nullable=False),
)
"""Who signed, approved, rejected, promoted or rolled back what, when and why. Rows are never changed."""


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


def take_turns(connection: sa.Connection, number: int = _LOCK) -> None:
    """Makes writers of one thing wait for each other until the transaction ends (on SQLite all writers do)."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def migrate(engine: sa.Engine) -> None:
    """Brings the schema to the newest migration; two programs that start at once take turns."""
    with writing(engine) as connection:
        take_turns(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def open_database(url: str | None = None) -> sa.Engine:
    """An engine whose schema is the newest."""
    engine = connect(url)
    migrate(engine)
    return engine


def require_schema(engine: sa.Engine) -> None:
    """Raises NotReadyError unless the database has the schema of this program."""
    with engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if found != head:
        raise NotReadyError(
            f"database schema {found or 'none'}: this program needs {head} "
            "-> start the server's parent, or run `therapist-fit data load`, which bring it up to date"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
