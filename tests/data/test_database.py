"""The database keeps what was true: schema, append-only tables, times with their offset."""

import datetime as dt
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from data.database import SCHEMA, connect, database_url, new_id, require_schema
from data.decisions import Decision, append_decision, history
from data.errors import ConfigError, NotReadyError
from data.migrating import MIGRATIONS, migrate, open_database
from data.sql import DECISIONS, METADATA

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/room/service.db"


def a_decision(**changes: object) -> Decision:
    values = {"action": "promote", "bundle_id": "b1", "who": "Dr 1", "reason": "gate passed", "made_at": NOON}
    return Decision(**{**values, **changes})  # type: ignore[arg-type]


def test_migrations_make_exactly_the_tables_that_the_code_uses(database: str) -> None:
    engine = open_database(database)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()


def test_every_row_of_every_table_belongs_to_a_tenant() -> None:
    assert all(table.c.tenant.primary_key for table in METADATA.tables.values())


def test_a_new_file_that_another_program_is_writing_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE theirs (a)")
    later = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    later.start()
    engine = connect(f"sqlite:///{file}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()
    later.join()
    other.close()


def test_two_programs_that_migrate_at_once_take_turns(url: str) -> None:
    failed: list[BaseException] = []

    def start() -> None:
        engine = connect(url)
        try:
            migrate(engine)
        except BaseException as error:
            failed.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    engine = connect(url)
    require_schema(engine)
    engine.dispose()


def test_the_schema_that_is_required_is_that_of_the_newest_migration() -> None:
    steps = Config()
    steps.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(steps).get_heads() == [SCHEMA]


def test_a_database_without_the_schema_is_refused(url: str) -> None:
    engine = connect(url)
    with pytest.raises(NotReadyError, match="this program needs 0003"):
        require_schema(engine)
    engine.dispose()


def test_sqlite_writes_ahead_and_waits_for_the_disk(url: str) -> None:
    engine = open_database(url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    engine.dispose()


def test_decisions_come_back_as_they_were_made_oldest_first(database: str) -> None:
    engine = open_database(database)
    later = a_decision(action="rollback", made_at=NOON + dt.timedelta(days=1))
    append_decision(engine, later)
    append_decision(engine, a_decision())
    assert history(engine) == [a_decision(), later]
    assert history(engine, tenant="another") == []
    engine.dispose()


@pytest.mark.parametrize("change", [sa.update(DECISIONS).values(who="someone else"), sa.delete(DECISIONS)])
def test_a_decision_can_neither_be_changed_nor_removed(database: str, change: sa.UpdateBase) -> None:
    engine = open_database(database)
    append_decision(engine, a_decision())
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(change)
    assert history(engine) == [a_decision()]
    engine.dispose()


@pytest.mark.parametrize("field", ["who", "reason", "bundle_id"])
def test_a_decision_names_a_person_a_reason_and_a_bundle(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        a_decision(**{field: " "})


def test_times_come_back_in_utc_and_a_time_without_offset_is_refused(database: str) -> None:
    engine = open_database(database)
    in_kolkata = NOON.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))
    append_decision(engine, a_decision(made_at=in_kolkata))
    assert history(engine)[0].made_at.isoformat() == "2026-03-01T12:00:00+00:00"
    with pytest.raises(sa.exc.StatementError, match="offset"):
        append_decision(engine, a_decision(made_at=NOON.replace(tzinfo=None)))
    engine.dispose()


def test_ids_are_version_7_and_sort_by_time() -> None:
    ids = [new_id(NOON + dt.timedelta(milliseconds=k)) for k in range(50)]
    assert ids == sorted(ids)
    assert all(one[14] == "7" and one[19] in "89ab" for one in ids)


def test_the_environment_names_the_database_unless_a_url_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THERAPIST_FIT_DATABASE_URL", raising=False)
    assert database_url() == "sqlite:///var/therapist-fit.db"
    monkeypatch.setenv("THERAPIST_FIT_DATABASE_URL", "postgresql://db/one")
    assert database_url() == "postgresql://db/one"
    assert database_url("sqlite:///other.db") == "sqlite:///other.db"


def test_a_database_of_another_kind_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="mysql://: only SQLite and PostgreSQL"):
        connect("mysql://localhost/x")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_postgresql_takes_the_one_driver(scheme: str) -> None:
    assert connect(f"{scheme}://user@localhost/x").url.drivername == "postgresql+psycopg"
