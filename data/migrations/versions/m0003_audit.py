"""The audit: which features a signature covers, and the audits that people had before them."""

import sqlalchemy as sa
from alembic import op

from data.sql import Moment

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds signed features to decisions, and the table of evidence."""
    with op.batch_alter_table("decisions") as table:
        table.add_column(sa.Column("features", sa.JSON, nullable=True))
    op.create_table(
        "evidence",
        sa.Column("tenant", sa.String(64), primary_key=True),
        sa.Column("evidence_hash", sa.String(64), primary_key=True),
        sa.Column("bundle_id", sa.String(64), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_evidence_bundle_id", "evidence", ["bundle_id"])
    _refuse_changes()


def _refuse_changes() -> None:
    """What people saw when they decided stays as they saw it: the database itself refuses to change or remove it."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER evidence_refuse_{verb.lower()} BEFORE {verb} ON evidence "
                "BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION evidence_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'evidence is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER evidence_refuse BEFORE UPDATE OR DELETE ON evidence "
        "FOR EACH STATEMENT EXECUTE FUNCTION evidence_refuse()"
    )
