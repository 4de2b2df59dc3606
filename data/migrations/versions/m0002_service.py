"""The service: keys, settings, choices, courses of treatment, measures, allocations, erasures, repeated writes."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from data.sql import Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the tables of the service, and to the journal what an answer is derived again from."""
    op.create_index("directory_entries_by_version", "directory_entries", ["tenant", "version"])
    _journal()
    _safety()
    _access()
    _treatment()
    _records()


def _create(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(name, sa.Column("tenant", sa.String(64), primary_key=True), *columns)


def _journal() -> None:
    added = (
        sa.Column("version", sa.String(64), nullable=False, server_default=""),
        sa.Column("settings_hash", sa.String(64), nullable=False, server_default=""),
        sa.Column("audience", sa.String(16), nullable=False, server_default="platform"),
        sa.Column("propensities", sa.JSON, nullable=True),
        sa.Column("released_from", sa.String(36), nullable=True),
        sa.Column("erased_at", Moment, nullable=True),
    )
    with op.batch_alter_table("recommendations") as table:
        for column in added:
            table.add_column(column)
        table.alter_column("request", existing_type=sa.JSON, nullable=True)
        table.alter_column("answer", existing_type=sa.LargeBinary, nullable=True)


def _safety() -> None:
    with op.batch_alter_table("safety_tasks") as table:
        table.add_column(sa.Column("episode_id", sa.String(64), nullable=True))
        table.add_column(sa.Column("client_id", sa.String(64), nullable=True))
        table.alter_column("recommendation_id", existing_type=sa.String(36), nullable=True)
    op.create_index("safety_tasks_open", "safety_tasks", ["tenant", "closed_at", "due_at"])


def _access() -> None:
    _create(
        "keys",
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=True),
        sa.Column("revoked_at", Moment, nullable=True),
    )
    op.create_index("keys_by_id", "keys", ["key_id"], unique=True)
    _create(
        "settings",
        sa.Column("settings_hash", sa.String(64), primary_key=True),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("first_used_at", Moment, nullable=False),
    )


def _treatment() -> None:
    _create(
        "choices",
        sa.Column("choice_id", sa.String(36), primary_key=True),
        sa.Column("recommendation_id", sa.String(36), nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("therapist_id", sa.String(64), nullable=True),
        sa.Column("rank", sa.Integer, nullable=True),
        sa.Column("starts_at", Moment, nullable=True),
        sa.Column("episode_id", sa.String(64), nullable=True),
        sa.Column("reason", sa.Text, nullable=True),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("made_at", Moment, nullable=False),
    )
    _create(
        "episodes",
        sa.Column("episode_id", sa.String(64), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=True, index=True),
        sa.Column("therapist_id", sa.String(64), nullable=False),
        sa.Column("recommendation_id", sa.String(36), nullable=True),
        sa.Column("matched_at", Moment, nullable=False),
        sa.Column("starts_at", Moment, nullable=True),
        sa.Column("holds_until", Moment, nullable=True),
        sa.Column("referred_on", sa.Date, nullable=True),
        sa.Column("started_on", sa.Date, nullable=True),
        sa.Column("ended_on", sa.Date, nullable=True),
        sa.Column("ending", sa.String(16), nullable=True),
        sa.Column("sessions_attended", sa.Integer, nullable=True),
        sa.Column("assigned_by", sa.String(16), nullable=False),
        sa.Column("propensity", sa.Float, nullable=True),
        sa.Column("data_use", sa.String(32), nullable=True),
        sa.Column("changed_at", Moment, nullable=False),
    )
    _create(
        "measures",
        sa.Column("episode_id", sa.String(64), primary_key=True),
        sa.Column("session", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("instrument", sa.String(64), primary_key=True),
        sa.Column("item", sa.String(32), primary_key=True),
        sa.Column("rater", sa.String(16), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=True, index=True),
        sa.Column("taken_on", sa.Date, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("scored", sa.Boolean, nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("made_at", Moment, nullable=False),
    )
    _create(
        "corrections",
        sa.Column("correction_id", sa.String(36), primary_key=True),
        sa.Column("episode_id", sa.String(64), nullable=False, index=True),
        sa.Column("session", sa.Integer, nullable=False),
        sa.Column("instrument", sa.String(64), nullable=False),
        sa.Column("item", sa.String(32), nullable=False),
        sa.Column("rater", sa.String(16), nullable=False),
        sa.Column("taken_on", sa.Date, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("corrected_by", sa.String(64), nullable=True),
        sa.Column("corrected_at", Moment, nullable=False),
    )


def _records() -> None:
    _create(
        "allocations",
        sa.Column("allocation_id", sa.String(36), primary_key=True),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("request", sa.JSON, nullable=True),
        sa.Column("bundle_id", sa.String(64), nullable=False),
        sa.Column("directory_version", sa.Integer, nullable=False),
        sa.Column("settings_hash", sa.String(64), nullable=False),
        sa.Column("erased_at", Moment, nullable=True),
        sa.Column("answer", sa.LargeBinary, nullable=True),
    )
    _create(
        "receipts",
        sa.Column("receipt_id", sa.String(36), primary_key=True),
        sa.Column("client_hash", sa.String(64), nullable=False, index=True),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("key_id", sa.String(64), nullable=True),
        sa.Column("removed", sa.JSON, nullable=False),
    )
    _create(
        "idempotency",
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("idempotency_key", sa.String(128), primary_key=True),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("status", sa.Integer, nullable=True),
        sa.Column("headers", sa.JSON, nullable=True),
        sa.Column("client_id", sa.String(64), nullable=True, index=True),
        sa.Column("body", sa.LargeBinary, nullable=True),
    )
