"""The first tables: directory, journal, safety tasks, decisions."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from data.sql import Moment

revision = "0001"
down_revision = None

APPEND_ONLY = ("decisions", "directory_versions")


def upgrade() -> None:
    """Makes every table, and has the database refuse changes to those that are only ever added to."""
    _directory()
    _journal()
    _decisions()
    for table in APPEND_ONLY:
        _refuse_changes(table)


def _create(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(name, sa.Column("tenant", sa.String(64), primary_key=True), *columns)


def _directory() -> None:
    _create(
        "directory_versions",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("meta", sa.JSON, nullable=False),
    )
    _create(
        "directory_entries",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("therapist_id", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("payload", sa.JSON, nullable=True),
    )


def _journal() -> None:
    _create(
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
    _create(
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


def _decisions() -> None:
    _create(
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


def _refuse_changes(table: str) -> None:
    """The database itself refuses to change or remove a row that is meant to stay."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuse_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )
