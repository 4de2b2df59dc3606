"""From a dataset to the directory that the service serves from, and its versions."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from data.commands import app
from data.dataset import Dataset, read
from data.loading import DirectoryData, from_dataset, load
from data.migrating import open_database
from data.sql import DIRECTORY_ENTRIES
from data.versions import latest_version, read_directory

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
TABLES = {
    "dataset.toml": """
        name = "tiny"
        as_of = 2026-03-01
        rules = ["licence", "capacity", "slot"]
        [column.clients.travel_minutes]
        meaning = "minutes to the clinic"
        known = "before"
        [column.clients.thanks]
        meaning = "thank-you letters"
        known = "after"
    """,
    "therapists.csv": """
        therapist_id,profile_updated_on,languages,caseload,caseload_capacity,accepts_new
        t1,2025-01-01,en,,4,true
        t1,2026-01-01,en|tr,,5,true
        t2,2025-06-01,de,7,8,false
        t3,,en,,,
    """,
    "licences.csv": """
        therapist_id,jurisdiction,kind,valid_from
        t1,GB,full,2020-01-01
    """,
    "slots.csv": """
        therapist_id,starts_at,modality
        t1,2026-03-05T10:00+01:00,video
    """,
    "clients.csv": """
        client_id
        c1
        c2
        c3
        c4
    """,
    "episodes.csv": """
        episode_id,client_id,therapist_id,matched_on,ended_on,ending
        e1,c1,t1,2026-01-05,,ongoing
        e2,c2,t1,2026-01-06,2026-02-01,planned
        e3,c3,t2,2026-01-07,,
        e4,c4,t1,2026-01-08,,
    """,
}


def written(folder: Path, **replaced: str) -> Path:
    folder.mkdir()
    for name, text in TABLES.items():
        lines = replaced.get(name.split(".")[0], text).strip().splitlines()
        (folder / name).write_text("\n".join(line.strip() for line in lines) + "\n")
    return folder


@pytest.fixture
def tiny(tmp_path: Path) -> Dataset:
    return read(written(tmp_path / "tiny"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(f"sqlite:///{tmp_path}/service.db")
    yield engine
    engine.dispose()


def test_the_latest_profile_counts_and_what_is_unknown_is_left_out(tiny: Dataset) -> None:
    profiles = from_dataset(tiny).entries["profile"]
    assert profiles["t1"] == {
        "profile_updated_on": "2026-01-01",
        "languages": "en|tr",
        "caseload_capacity": 5,
        "accepts_new": True,
    }
    assert profiles["t3"] == {"languages": "en"}


def test_open_cases_are_counted_from_episodes_unless_the_profile_reports_them(tiny: Dataset) -> None:
    caseload = from_dataset(tiny).entries["caseload"]
    assert caseload == {
        "t1": {"open_cases": 2, "counted_on": "2026-03-01"},
        "t2": {"open_cases": 7},
        "t3": {"open_cases": 0, "counted_on": "2026-03-01"},
    }


def test_slot_times_are_kept_in_utc(tiny: Dataset) -> None:
    slots = from_dataset(tiny).entries["slots"]["t1"]
    (slot,) = slots["rows"]
    assert slots["updated_at"] == "2026-03-01"
    assert slot == {"starts_at": "2026-03-05T09:00:00Z", "modality": "video", "status": "free"}


def test_only_declared_columns_known_before_a_match_may_be_sent(tiny: Dataset) -> None:
    assert from_dataset(tiny).meta.client_kinds == {"travel_minutes": "number"}


def test_what_was_loaded_is_read_back_as_it_was(tiny: Dataset, engine: sa.Engine) -> None:
    directory = from_dataset(tiny)
    assert read_directory(engine) is None
    assert load(engine, directory, NOW) == 1
    found = read_directory(engine)
    assert found == DirectoryData(1, directory.source, directory.meta, {**directory.entries, "price": {}})


def test_loading_again_makes_a_new_version_and_writes_only_what_changed(
    tmp_path: Path, tiny: Dataset, engine: sa.Engine
) -> None:
    load(engine, from_dataset(tiny), NOW)
    therapists = TABLES["therapists.csv"].replace("t3,,en,,,", "").replace("2025-06-01,de", "2025-06-01,de|tr")
    changed = read(written(tmp_path / "changed", therapists=therapists))
    assert load(engine, from_dataset(changed), NOW) == 2
    found = read_directory(engine)
    assert found is not None
    assert found.entries == {**from_dataset(changed).entries, "price": {}}
    rows = sa.select(DIRECTORY_ENTRIES.c.kind, DIRECTORY_ENTRIES.c.therapist_id).where(DIRECTORY_ENTRIES.c.version == 2)
    with engine.connect() as connection:
        new = {tuple(row) for row in connection.execute(rows)}
    gone = {(kind, "t3") for kind in ("profile", "licences", "slots", "caseload")}
    assert new == {("profile", "t2"), *gone}


def test_a_load_that_fails_leaves_the_directory_as_it_was(tiny: Dataset, engine: sa.Engine) -> None:
    directory = from_dataset(tiny)
    load(engine, directory, NOW)
    broken = {**directory.entries, "slots": {"t9": [{"starts_at": object()}]}}
    with pytest.raises(sa.exc.StatementError):
        load(engine, DirectoryData(0, "broken", directory.meta, broken), NOW)
    assert latest_version(engine) == 1
    found = read_directory(engine)
    assert found is not None
    assert found.entries == {**directory.entries, "price": {}}


def test_tenants_have_directories_of_their_own(tiny: Dataset, engine: sa.Engine) -> None:
    load(engine, from_dataset(tiny), NOW, tenant="one")
    assert read_directory(engine, tenant="two") is None
    assert latest_version(engine, tenant="two") is None


def test_the_command_loads_and_says_so_in_json(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/db/service.db"
    result = CliRunner().invoke(app, ["load", str(written(tmp_path / "tiny")), "--database", database, "--json"])
    assert result.exit_code == 0
    assert '"version": 1, "therapists": 3' in result.stdout


def test_the_command_refuses_a_dataset_with_problems(tmp_path: Path) -> None:
    twice = TABLES["licences.csv"] + "        t9,GB,full,2020-01-01\n"
    folder = written(tmp_path / "tiny", licences=twice)
    database = f"sqlite:///{tmp_path}/service.db"
    result = CliRunner().invoke(app, ["load", str(folder), "--database", database])
    assert result.exit_code == 1
    assert "t9" in str(result.exception)
    engine = open_database(database)
    assert latest_version(engine) is None
    engine.dispose()


def test_the_command_fills_the_directory_of_the_tenant_it_names(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/service.db"
    command = ["load", str(written(tmp_path / "tiny")), "--database", database, "--tenant", "north"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0
    assert "tenant north" in result.stdout
    engine = open_database(database)
    assert latest_version(engine, "north") == 1
    assert latest_version(engine) is None
    engine.dispose()
