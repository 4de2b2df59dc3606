"""The record of decisions and the audits kept with it: appended to, never changed, read in one order."""

import datetime as dt
from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from data.decisions import (
    Decision,
    Evidence,
    append_decision,
    append_in,
    deciding,
    evidence_of,
    history,
    keep_evidence,
    now_in,
    published,
)
from data.errors import NotFoundError
from data.migrating import open_database
from data.sql import DECISIONS, EVIDENCE

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
SEEN = Evidence("e" * 16, "b1", "3", NOON)


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    found = open_database(database)
    yield found
    found.dispose()


def keep(engine: sa.Engine, evidence: Evidence, document: bytes, tenant: str = "default") -> None:
    with deciding(engine) as connection:
        keep_evidence(connection, evidence, document, tenant)


def test_a_signature_keeps_its_features_with_their_rules(engine: sa.Engine):
    signed = Decision("sign", "b1", "A. Lead", "read it", "p", "e", NOON, {"severity": "1a", "wishes_met": "2b"})
    other = Decision("approve", "b1", "A. Lead", "read it", "p", "e", NOON + dt.timedelta(seconds=1))
    for one in (signed, other):
        append_decision(engine, one)
    assert history(engine) == [signed, other]


def test_decisions_of_one_moment_are_always_read_in_the_same_order(engine: sa.Engine):
    for number in range(8):
        append_decision(engine, Decision("reject", "b1", "A. Lead", str(number), made_at=NOON))
    assert len({tuple(one.reason for one in history(engine)) for _ in range(3)}) == 1


def test_a_decision_in_a_transaction_that_fails_is_not_on_record(engine: sa.Engine):
    def stop_halfway() -> None:
        with deciding(engine) as connection:
            append_in(connection, Decision("reject", "b1", "A. Lead", "read it"))
            keep_evidence(connection, SEEN, b"{}")
            raise RuntimeError("stopped halfway")

    with pytest.raises(RuntimeError):
        stop_halfway()
    assert (history(engine), published(engine)) == ([], [])


def test_now_is_never_before_the_last_decision(engine: sa.Engine):
    ahead = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    append_decision(engine, Decision("reject", "b1", "A. Lead", "read it", made_at=ahead))
    with deciding(engine) as connection:
        made = now_in(connection, Decision("approve", "b1", "A. Lead", "read it"))
        elsewhere = now_in(connection, Decision("approve", "b1", "A. Lead", "read it"), "another")
    assert made.made_at == ahead + dt.timedelta(microseconds=1)
    assert elsewhere.made_at < ahead


def test_an_audit_comes_back_byte_for_byte_and_is_kept_small(engine: sa.Engine):
    document = b'{"says": "' + b"the same again " * 1000 + b'"}'
    keep(engine, SEEN, document)
    assert evidence_of(engine, SEEN.evidence_hash) == document
    with engine.connect() as connection:
        assert len(connection.scalar(sa.select(EVIDENCE.c.document)) or b"") < len(document) / 10


def test_audits_are_listed_newest_first_once_each_and_by_tenant(engine: sa.Engine):
    later = Evidence("f" * 16, "b2", "4", NOON + dt.timedelta(days=1))
    for one in (SEEN, later, SEEN):
        keep(engine, one, b"{}")
    keep(engine, Evidence("a" * 16, "b3", "5", NOON), b"{}", "another")
    assert published(engine) == [later, SEEN]
    assert [one.bundle_id for one in published(engine, "another")] == ["b3"]


def test_an_audit_that_was_never_kept_is_not_found(engine: sa.Engine):
    keep(engine, SEEN, b"{}")
    with pytest.raises(NotFoundError, match="'0000'"):
        evidence_of(engine, "0000")
    with pytest.raises(NotFoundError):
        evidence_of(engine, SEEN.evidence_hash, "another")


@pytest.mark.parametrize("change", [
    sa.update(EVIDENCE).values(document=b"other"), sa.delete(EVIDENCE),
    sa.update(DECISIONS).values(features={}), sa.delete(DECISIONS),
])  # fmt: skip
def test_neither_decisions_nor_evidence_can_be_changed_or_removed(engine: sa.Engine, change: sa.UpdateBase):
    keep(engine, SEEN, b"{}")
    append_decision(engine, Decision("sign", "b1", "A. Lead", "read it", features={"severity": "1a"}))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(change)
    assert evidence_of(engine, SEEN.evidence_hash) == b"{}"
    assert history(engine)[0].features == {"severity": "1a"}
