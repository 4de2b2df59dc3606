"""Every SQL table of the program.

Each row belongs to a `tenant`. What was true stays on record: the directory is written as versions under one counter,
the journal keeps the bytes that were answered, and decisions are only ever appended.
"""

import datetime as dt

import sqlalchemy as sa

TENANT = "default"
"""The tenant of a database that has only one."""


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
    sa.Index("directory_entries_by_version", "tenant", "version"),
)
"""What one therapist's profile, licences, slots, caseload or price became at a version; empty: no longer listed."""

KEYS = _table(
    "keys",
    sa.Column("key_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("secret_hash", sa.String(64), nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=True),
    sa.Column("revoked_at", Moment, nullable=True),
    sa.Index("keys_by_id", "key_id", unique=True),
)
"""Who may ask what. The secret itself is shown once, when the key is made, and kept nowhere."""

SETTINGS = _table(
    "settings",
    sa.Column("settings_hash", sa.String(64), primary_key=True),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("first_used_at", Moment, nullable=False),
)
"""Settings that answers were given under, so that an answer can be derived again."""

RECOMMENDATIONS = _table(
    "recommendations",
    sa.Column("recommendation_id", sa.String(36), primary_key=True),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("key_id", sa.String(64), nullable=True),
    sa.Column("client_id", sa.String(64), nullable=True, index=True),
    sa.Column("request", sa.JSON, nullable=True),
    sa.Column("bundle_id", sa.String(64), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("directory_version", sa.Integer, nullable=False),
    sa.Column("directory_source", sa.String(200), nullable=False),
    sa.Column("settings_hash", sa.String(64), nullable=False),
    sa.Column("audience", sa.String(16), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=True),
    sa.Column("prices", sa.JSON, nullable=False),
    sa.Column("propensities", sa.JSON, nullable=True),
    sa.Column("released_from", sa.String(36), nullable=True),
    sa.Column("erased_at", Moment, nullable=True),
    sa.Column("answer", sa.LargeBinary, nullable=True),
)
"""The journal: what was asked, with what it was answered, and the bytes of the answer (gone once it is erased)."""

SAFETY_TASKS = _table(
    "safety_tasks",
    sa.Column("task_id", sa.String(36), primary_key=True),
    sa.Column("recommendation_id", sa.String(36), nullable=True, index=True),
    sa.Column("episode_id", sa.String(64), nullable=True),
    sa.Column("client_id", sa.String(64), nullable=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("raised_by", sa.JSON, nullable=False),
    sa.Column("opened_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False),
    sa.Column("closed_at", Moment, nullable=True),
    sa.Column("closed_by", sa.String(64), nullable=True),
    sa.Column("reason", sa.Text, nullable=True),
    sa.Index("safety_tasks_open", "tenant", "closed_at", "due_at"),
)
"""A person's answer that a clinician must look at; `status` is `flagged` (ranking shown) or `held` (not shown)."""

CHOICES = _table(
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
"""What came of an answer: a therapist was chosen, the proposals were declined, or somebody decided otherwise."""

EPISODES = _table(
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
"""Courses of treatment that began with a choice here; `holds_until` is when a place that nobody came for is free."""

MEASURES = _table(
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
"""Answers and scores of courses of treatment; `scored` marks a total that was computed here from the answers."""

CORRECTIONS = _table(
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
"""What a measure said before it was corrected: who had sent it when, and with which key it was corrected."""

ALLOCATIONS = _table(
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
"""Waiting lists that were placed at once, with the bytes that were answered."""

RECEIPTS = _table(
    "receipts",
    sa.Column("receipt_id", sa.String(36), primary_key=True),
    sa.Column("client_hash", sa.String(64), nullable=False, index=True),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("key_id", sa.String(64), nullable=True),
    sa.Column("removed", sa.JSON, nullable=False),
)
"""Erasures: how many rows of which table were removed, and a hash by which the client's id is known again."""

IDEMPOTENCY = _table(
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
"""Writes that may be sent again: the outcome of the first, to be given to the second."""

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
    sa.Column("features", sa.JSON, nullable=True),
)
"""Who signed, approved, rejected, promoted or rolled back what, when and why. A signature holds in `features` those
signed, each with the hash of its rule in the policy. Rows are never changed."""

EVIDENCE = _table(
    "evidence",
    sa.Column("evidence_hash", sa.String(64), primary_key=True),
    sa.Column("bundle_id", sa.String(64), nullable=False, index=True),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
)
"""Audits that were shown to people who decide: the bytes of `audit.json`, compressed, kept as they were seen."""
