"""`data check`: one test for each rule, each on a dataset with exactly that one fault."""

import json
import re
from pathlib import Path

import pandas as pd
import pandera.errors
import pytest
from typer.testing import CliRunner

from data.checking import check
from data.commands import app
from data.errors import DataError, NotFoundError
from data.schemas import schema
from data.tables import CLIENTS, TABLES

MANIFEST = """
name = "tiny"
as_of = 2024-06-30
[instrument.own]
low = 0
high = 10
direction = "lower"
meaning = "a scale of our own"
[column.clients.commute]
low = 0
meaning = "minutes to the clinic"
known = "before"
"""
CLEAN = {
    "therapists": "therapist_id,profile_updated_on,birth_year,practising_since,payers\n"
    "t1,2023-01-01,1980,2005,a\nt1,2024-01-01,1980,2005,a\nt2,2023-01-01,,,b",
    "licences": "therapist_id,jurisdiction,kind,valid_from,valid_until\nt1,GB,full,2020-01-01,2030-01-01",
    "slots": "therapist_id,starts_at,ends_at\nt1,2024-07-01T09:00+01:00,2024-07-01T10:00+01:00",
    "clients": "client_id,birth_year,data_use,problems,commute\nc1,1990,care_only,sleep|trauma,20\nc2,,,,",
    "preferences": "client_id,about,value,strength\nc1,gender,woman,prefer",
    "episodes": "episode_id,client_id,therapist_id,referred_on,matched_on,started_on,ended_on,ending\n"
    "e1,c1,t1,2024-01-05,2024-01-08,2024-01-10,2024-03-01,planned\ne2,c2,,2024-06-01,,,,waiting",
    "offers": "episode_id,therapist_id\ne1,t1\ne1,t2",
    "measures": "episode_id,session,instrument,item,rater,taken_on,value\n"
    "e1,0,phq9,0,client,2024-01-05,15\ne1,0,phq9,1,client,2024-01-05,3\ne1,3,wai_sr,bond,client,2024-02-01,4.25\n"
    "e1,0,own,,,2024-01-05,7",
    "sessions": "episode_id,session,held_on,status\ne1,1,2024-01-10,attended",
}


def dataset(folder: Path, manifest: str = MANIFEST, **tables: str) -> Path:
    (folder / "dataset.toml").write_text(manifest)
    for name, text in {**CLEAN, **tables}.items():
        (folder / f"{name}.csv").write_text(text + "\n")
    return folder


def with_row(table: str, row: str) -> dict[str, str]:
    return {table: f"{CLEAN[table]}\n{row}"}


def found(folder: Path) -> list[str]:
    return [str(problem) for problem in check(folder)]


def test_a_clean_dataset_has_no_problems(tmp_path: Path):
    assert found(dataset(tmp_path)) == []


ONE_FAULT = {
    "an unknown column": ({"sessions": "episode_id,session,mood\ne1,1,good"}, "sessions.mood: unknown column"),
    "a required column that is missing": ({"offers": "episode_id\ne1"}, "offers.therapist_id: no such column"),
    "a required cell that is empty": (with_row("offers", "e1,"), "offers row 3 therapist_id: '': is required"),
    "a cell that is no number": (
        with_row("sessions", "e1,two,,"),
        "sessions row 2 session: 'two': must be a whole number",
    ),
    "a cell that is no day": (with_row("sessions", "e1,2,1 Feb,"), "sessions row 2 held_on: '1 Feb': must be a day"),
    "a moment without offset": (with_row("slots", "t1,2024-07-02T09:00,"), "slots row 2 starts_at: .* with its offset"),
    "a key that is there twice": (with_row("clients", "c1,,,,"), "clients row 3 client_id: 'c1': the key .* unique"),
    "a default that makes a key double": (
        with_row("measures", "e1,0,own,0,client,,1"),
        "measures row 5 episode_id: 'e1 0 own 0 client': the key",
    ),
    "an episode of an unknown client": (
        with_row("episodes", "e3,c9,,,,,,"),
        "episodes row 3 client_id: 'c9': must be in",
    ),
    "a measure of an unknown episode": (with_row("measures", "e9,0,phq9,0,,,3"), "measures row 5 episode_id: 'e9'"),
    "an offer of an unknown therapist": (with_row("offers", "e1,t9"), "offers row 3 therapist_id: 't9': must be in"),
    "a name for an id": (
        with_row("clients", "Jane Doe,,,,"),
        "clients row 3 client_id: 'Jane Doe': must be a pseudonym",
    ),
    "an e-mail address for an id": (with_row("clients", "jane1@x.org,,,,"), "clients row 3 client_id: .* pseudonym"),
    "a word without digit for an id": (with_row("clients", "jane,,,,"), "clients row 3 client_id: .* pseudonym"),
    "free text for a code": (
        with_row("clients", "c3,,,my mother is ill,"),
        "clients row 3 problems: 'my mother is ill': must be codes",
    ),
    "an address for a tag": (
        with_row("preferences", "c1,time,jane@x.org,prefer"),
        "preferences row 2 value: 'jane@x.org': must be a short tag",
    ),
    "a value outside a closed list": (
        with_row("clients", "c3,,all,,"),
        "clients row 3 data_use: 'all': must be one of",
    ),
    "a number outside its range": (
        with_row("clients", "c3,1800,,,"),
        "clients row 3 birth_year: 1800: must be from 1900",
    ),
    "a declared column out of its range": (
        with_row("clients", "c3,,,,-5"),
        "clients row 3 commute: -5.0: must be at least 0",
    ),
    "a start before the referral": (
        with_row("episodes", "e3,c2,t1,2024-02-01,,2024-01-01,,"),
        "episodes row 3 started_on: '2024-01-01': must not come before",
    ),
    "an end before the match, with no start between": (
        with_row("episodes", "e3,c2,t1,2024-01-01,2024-02-01,,2024-01-15,dropout"),
        "episodes row 3 ended_on: '2024-01-15': must not come before",
    ),
    "a client born after the referral": (
        {
            "clients": "client_id,birth_year\nc1,1990\nc2,2024",
            "episodes": "episode_id,client_id,referred_on\ne1,c2,2023-01-01",
        },
        "clients row 2 birth_year: 2024: must not come after the first referral",
    ),
    "a practice begun in childhood": (
        with_row("therapists", "t3,,1990,1995,"),
        "therapists row 4 practising_since: 1995: practice cannot begin",
    ),
    "a licence that ends before it begins": (
        with_row("licences", "t2,GB,full,2024-01-01,2023-01-01"),
        "licences row 2 valid_until: '2023-01-01': must not come before valid_from",
    ),
    "a slot that ends as it starts": (
        with_row("slots", "t2,2024-07-01T09:00+01:00,2024-07-01T08:00+00:00"),
        "slots row 2 ends_at: .* must come after starts_at",
    ),
    "a measure before the referral": (
        with_row("measures", "e1,1,phq9,0,client,2024-01-04,9"),
        "measures row 5 taken_on: '2024-01-04': must not come before the episode's referred_on",
    ),
    "a session before the referral": (with_row("sessions", "e1,2,2023-12-31,attended"), "sessions row 2 held_on"),
    "a session before the start": (
        with_row("sessions", "e1,2,2024-01-09,attended"),
        "sessions row 2 held_on: '2024-01-09': must not come before the episode's started_on",
    ),
    "a measure of a session, before the start": (
        with_row("measures", "e1,1,phq9,0,client,2024-01-09,9"),
        "measures row 5 taken_on: '2024-01-09': must not come before the episode's started_on",
    ),
    "a missed session before the match": (
        with_row("sessions", "e1,2,2024-01-06,did_not_attend"),
        "sessions row 2 held_on: '2024-01-06': must not come before the episode's matched_on",
    ),
    "a session after the ending": (
        with_row("sessions", "e1,2,2024-03-02,attended"),
        "sessions row 2 held_on: '2024-03-02': must not come after the episode's ended_on",
    ),
    "a session before the one before it": (
        with_row("sessions", "e1,3,2024-01-24,attended\ne1,2,2024-01-31,attended\ne1,4,2024-02-07,"),
        "sessions row 2 held_on: '2024-01-24': must not come before the day of an earlier session",
    ),
    "a measure before the one before it": (
        with_row("measures", "e1,2,phq9,0,client,2024-01-31,9\ne1,3,phq9,0,client,2024-01-24,9"),
        "measures row 6 taken_on: '2024-01-24': must not come before the day of an earlier measure of the same instr",
    ),
    "a measure at intake that was taken after the next": (
        with_row("measures", "e1,0,gad7,0,client,2024-02-07,9\ne1,3,gad7,0,client,2024-01-24,9"),
        "measures row 6 taken_on: '2024-01-24': must not come before the day of an earlier measure",
    ),
    "a session held after as_of": (
        with_row("sessions", "e1,2,2024-07-01,attended"),
        "sessions row 2 held_on: '2024-07-01': says it has happened, but as_of is 2024-06-30",
    ),
    "a profile from after as_of": (with_row("therapists", "t2,2024-07-01,,,"), "therapists row 4 profile_updated_on"),
    "a match without a day": (
        with_row("episodes", "e3,c2,t1,2024-02-01,,,,"),
        "episodes row 3 matched_on: '': a matched episode needs matched_on or started_on",
    ),
    "a waiting episode with a therapist": (
        with_row("episodes", "e3,c2,t1,,2024-02-01,,,waiting"),
        "episodes row 3 therapist_id: 't1': a waiting episode has no therapist",
    ),
    "an instrument nobody knows": (
        with_row("measures", "e1,0,mood,0,,,3"),
        "measures row 5 instrument: 'mood': must be one",
    ),
    "an instrument without licence": (
        with_row("measures", "e1,1,ors,0,,,30"),
        "measures instrument: ors in 1 rows: is off",
    ),
    "a total beyond the range": (
        with_row("measures", "e1,1,phq9,0,,,28"),
        "measures row 5 value: 28.0: phq9 item 0 .* to 27",
    ),
    "an item beyond its range": (
        with_row("measures", "e1,1,phq9,2,,,4"),
        "measures row 5 value: 4.0: phq9 item 2 .* to 3",
    ),
    "an item that does not exist": (
        with_row("measures", "e1,1,phq9,10,,,1"),
        "measures row 5 item: '10': phq9 has items",
    ),
    "half a point": (
        with_row("measures", "e1,1,phq9,0,,,9.5"),
        "measures row 5 value: 9.5: phq9 item 0 .* whole number",
    ),
    "an alliance given as a sum": (
        with_row("measures", "e1,4,wai_sr,0,,,48"),
        "measures row 5 value: 48.0: wai_sr item 0 must be from 1 to 5 -> give the item mean",
    ),
    "an alliance before the first session": (
        with_row("measures", "e1,0,wai_sr,0,,,4"),
        "measures row 5 session: 0: wai_sr .* never at session 0",
    ),
    "a declared instrument beyond its range": (
        with_row("measures", "e1,1,own,0,,,11"),
        "measures row 5 value: 11.0: own item 0",
    ),
    "an ending without its day": (
        with_row("episodes", "e3,c2,t2,2024-01-05,2024-01-08,2024-01-10,,dropout"),
        "episodes row 3 ending: 'dropout': an ending without ended_on is never known",
    ),
    "an item of an instrument declared without items": (
        with_row("measures", "e1,1,own,1,,,1"),
        "measures row 5 item: '1': own is kept as its total only",
    ),
}


@pytest.mark.parametrize("fault", ONE_FAULT)
def test_one_fault_is_reported_once_with_table_row_column_and_rule(tmp_path: Path, fault: str):
    tables, expected = ONE_FAULT[fault]
    if "offers" not in tables and "episodes" in tables and "e1,c1" not in tables["episodes"]:
        tables = tables | {"offers": "episode_id,therapist_id", "measures": CLEAN["measures"].split("\n")[0]}
        tables |= {"sessions": "episode_id,session"}
    problems = found(dataset(tmp_path, **tables))
    assert len(problems) == 1
    assert re.search(expected, problems[0])


def test_what_did_not_take_place_and_what_another_rater_says_need_not_follow_the_course(tmp_path: Path):
    missed = "e1,2,2024-01-09,late_cancel\ne1,3,2024-03-02,cancelled_by_service"
    late = "e1,3,phq9,0,client,2024-01-24,9\ne1,2,phq9,0,observer,2024-01-31,9\ne1,4,phq9,0,client,2024-03-08,9"
    assert found(dataset(tmp_path, **with_row("sessions", missed) | with_row("measures", late))) == []


def test_a_day_that_is_told_of_does_not_accuse_the_days_after_it(tmp_path: Path):
    later = "e1,2,2042-01-17,attended\ne1,3,2024-01-24,attended\ne1,4,2024-01-31,attended"
    problems = found(dataset(tmp_path, **with_row("sessions", later)))
    assert [p.split(":")[0] for p in problems] == ["sessions row 2 held_on"]


MANIFEST_FAULTS = {
    "a key that is not known": ("typo = 1\n" + MANIFEST, "dataset.toml typo"),
    "no as_of in dated data": (MANIFEST.replace("as_of = 2024-06-30", ""), "dataset.toml: no as_of"),
    "a rule the data cannot answer": (
        'rules = ["payer", "slot", "language"]\n' + MANIFEST,
        "rules: language: needs data",
    ),
    "a declaration of a column that exists": (
        MANIFEST + '[column.clients.gender]\nmeaning = "m"\nknown = "before"\n',
        "already has this column",
    ),
    "a declaration of free text": (
        MANIFEST + '[column.clients.story]\nkind = "text"\nmeaning = "m"\nknown = "before"\n',
        "free text may not enter",
    ),
    "a declaration for an unknown table": (
        MANIFEST + '[column.patients.age]\nmeaning = "m"\nknown = "before"\n',
        "patients: tables are",
    ),
}


@pytest.mark.parametrize("fault", MANIFEST_FAULTS)
def test_a_fault_of_the_manifest_is_reported_and_the_tables_are_still_checked(tmp_path: Path, fault: str):
    text, expected = MANIFEST_FAULTS[fault]
    problems = found(dataset(tmp_path, text, **with_row("clients", "c3,,all,,")))
    assert len(problems) == 2
    assert expected in problems[0] + problems[1]


def test_a_manifest_that_is_no_toml_does_not_stop_the_check(tmp_path: Path):
    problems = found(dataset(tmp_path, "name = ", **with_row("clients", "c3,1800,,,")))
    assert any("must be TOML" in p for p in problems)
    assert any("clients row 3 birth_year" in p for p in problems)


def test_everything_is_reported_in_one_pass(tmp_path: Path):
    tables = (
        with_row("clients", "Jane,1800,all,,") | with_row("measures", "e9,0,mood,0,,,x") | with_row("offers", "e9,t9")
    )
    wrong = " ".join(found(dataset(tmp_path, **tables)))
    for part in (
        "'Jane'",
        "1800",
        "'all'",
        "measures row 5 episode_id",
        "'mood'",
        "'x'",
        "offers row 3 episode_id",
        "'t9'",
    ):
        assert part in wrong


def test_an_unknown_table_is_listed_beside_other_faults_of_the_manifest(tmp_path: Path):
    text = "typo = 1\n" + MANIFEST + '[column.patients.age]\nknown = "before"\n'
    problems = found(dataset(tmp_path, text))
    assert len(problems) == 3
    for part in ("dataset.toml typo", "column.patients.age.meaning", "[column.patients]: patients: tables are"):
        assert part in "\n".join(problems)


def test_a_faulty_declaration_does_not_make_its_column_or_its_neighbours_unknown(tmp_path: Path):
    text = MANIFEST + '[column.clients.noise]\nmeaning = "m"\n'
    rows = "client_id,commute,noise\nc1,-1,3\nc2,,"
    problems = found(dataset(tmp_path, text, clients=rows))
    assert len(problems) == 2
    assert "clients row 1 commute: -1.0: must be at least 0" in problems[1]


def test_a_faulty_declaration_does_not_make_its_instrument_unknown(tmp_path: Path):
    problems = found(
        dataset(tmp_path, MANIFEST.replace('"lower"', '"down"'), **with_row("measures", "e1,1,phq9,0,,,99"))
    )
    assert len(problems) == 2
    assert "instrument.own.direction" in problems[0]
    assert "phq9 item 0 must be from 0 to 27" in problems[1]


@pytest.mark.parametrize("said", ['undated = "yes"', "undated = 1", 'synthetic = "true"'])
def test_yes_and_no_in_the_manifest_are_true_and_false(tmp_path: Path, said: str):
    problems = found(dataset(tmp_path, f"{said}\n{MANIFEST}"))
    assert len(problems) == 1
    assert f"dataset.toml {said.split()[0]}" in problems[0]


def test_undated_data_whose_word_for_it_is_wrong_is_not_asked_for_days_as_well(tmp_path: Path):
    text = MANIFEST.replace("as_of = 2024-06-30", 'undated = "yes"')
    assert len(found(dataset(tmp_path, text, **with_row("episodes", "e3,c2,t1,,,,,")))) == 1


def test_what_an_unreadable_manifest_may_declare_is_not_called_unknown(tmp_path: Path):
    licensed = with_row("measures", "e1,1,ors,0,,,30")
    problems = found(dataset(tmp_path, MANIFEST + "oops\n", **licensed))
    assert len(problems) == 1
    assert "must be TOML" in problems[0]


RAGGED = {
    "a row with too many cells": ("c3,1800,care_only,sleep,5,6", r"clients row 3: '6 cells': .* the header: 5"),
    "a row with too few cells": ("c3,1800,care_only", r"clients row 3: '3 cells': must have as many cells"),
}


@pytest.mark.parametrize("fault", RAGGED)
def test_a_ragged_row_is_reported_and_the_others_are_still_checked(tmp_path: Path, fault: str):
    row, expected = RAGGED[fault]
    problems = found(dataset(tmp_path, **with_row("clients", f"{row}\n\nc4,1700,,,")))
    assert len(problems) == 2
    assert re.search(expected, problems[0])
    assert "clients row 4 birth_year: 1700" in problems[1]


def test_a_cell_that_is_not_utf8_is_reported_and_the_others_are_still_checked(tmp_path: Path):
    dataset(tmp_path)
    (tmp_path / "clients.csv").write_bytes(b"client_id,problems,birth_year\nc1,M\xfcde,1800\nc\xe9,,\nc2,,1700\n")
    problems = found(tmp_path)
    assert [p.split(": ")[:2] for p in problems] == [
        ["clients row 1 problems", r"b'M\xfcde'"],
        ["clients row 2 client_id", r"b'c\xe9'"],
        ["clients row 1 birth_year", "1800"],
        ["clients row 3 birth_year", "1700"],
    ]


def test_a_name_that_stands_twice_in_the_header_is_named(tmp_path: Path):
    problems = found(dataset(tmp_path, clients="client_id,gender,gender\nc1,woman,man\nc2,man,man"))
    assert len(problems) == 1
    assert "clients header: column gender stands twice" in problems[0]


@pytest.mark.parametrize(("separator", "shown"), [(";", ";"), ("\t", "tabs")])
def test_another_separator_is_named(tmp_path: Path, separator: str, shown: str):
    wrong = CLEAN["licences"].replace(",", separator)
    problems = found(dataset(tmp_path, licences=wrong))
    assert len(problems) == 1
    assert f"licences.csv: looks separated by {shown}" in problems[0]


def test_a_quote_that_is_never_closed_is_named_with_its_row(tmp_path: Path):
    problems = found(dataset(tmp_path, licences=CLEAN["licences"] + '\nt2,"GB,full,,\nt2,US,full,,'))
    assert len(problems) == 1
    assert "the quote that opens in row 2 is never closed" in problems[0]


@pytest.mark.parametrize("name", ["licences.csv", "licences.parquet"])
def test_a_folder_in_place_of_a_file_is_one_problem(tmp_path: Path, name: str):
    (dataset(tmp_path) / "licences.csv").unlink()
    (tmp_path / name).mkdir()
    problems = found(tmp_path)
    assert len(problems) == 1
    assert name in problems[0]


@pytest.mark.parametrize("name", ["licences.csv", "dataset.toml"])
def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path, name: str):
    (dataset(tmp_path) / name).unlink()
    (tmp_path / name).symlink_to("/proc/self/mem")  # may be opened, never read: for the superuser too
    problems = found(tmp_path)
    assert len(problems) == 1
    assert f"{name}: cannot be read: input/output error" in problems[0]


def test_undated_data_needs_no_days(tmp_path: Path):
    undated = MANIFEST.replace("as_of = 2024-06-30", "undated = true")
    assert found(dataset(tmp_path, undated, **with_row("episodes", "e3,c2,t1,,,,,"))) == []


def test_a_licence_that_is_named_turns_the_instrument_on(tmp_path: Path):
    licensed = MANIFEST + '[instrument.ors]\nlicence_held_by = "Clinic 1"\n'
    assert found(dataset(tmp_path, licensed, **with_row("measures", "e1,1,ors,0,,,30.5"))) == []


def test_a_table_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path):
    problems = found(dataset(tmp_path, sessions="a\n1,2\n3,4,5", **with_row("clients", "c3,,all,,")))
    assert any("sessions.csv" in p for p in problems)
    assert any("data_use" in p for p in problems)


def test_many_cells_with_one_fault_are_counted(tmp_path: Path):
    rows = "\n".join(f"c{i},1800,,," for i in range(100, 150))
    problems = found(dataset(tmp_path, **with_row("clients", rows)))
    assert len(problems) == 21
    assert "30 more rows" in problems[-1]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path):
    with pytest.raises(NotFoundError):
        check(tmp_path / "nowhere")


def test_a_folder_that_cannot_be_read_is_one_problem(tmp_path: Path):
    with pytest.raises(DataError, match="cannot be read: file name too long"):
        check(tmp_path / ("x" * 300))


def test_an_empty_folder_lacks_its_manifest_and_required_tables(tmp_path: Path):
    problems = found(tmp_path)
    assert [part in " ".join(problems) for part in ("dataset.toml", "therapists", "clients", "episodes")] == [True] * 4


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_the_schema_of_a_table_has_its_columns_and_no_others(table):
    assert list(schema(table).columns) == list(table.names)
    assert schema(table).strict is True


def test_a_schema_refuses_a_frame_and_names_each_failing_rule():
    frame = pd.DataFrame({"client_id": pd.Series(["c1", "Jane"], dtype="str"), "expectancy": [0.5, 2.0]})
    with pytest.raises(pandera.errors.SchemaErrors) as raised:
        schema(CLIENTS).validate(frame, lazy=True)
    assert set(raised.value.failure_cases["column"]) == {"client_id", "expectancy"}


def test_the_command_exits_1_with_problems_and_0_without(tmp_path: Path):
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    dataset(tmp_path / "good")
    dataset(tmp_path / "bad", **with_row("clients", "c3,1800,,,"))
    run = CliRunner().invoke
    assert run(app, ["check", str(tmp_path / "good")]).exit_code == 0
    bad = run(app, ["check", str(tmp_path / "bad"), "--json"])
    assert bad.exit_code == 1
    said = json.loads(bad.stdout)
    assert said["clean"] is False
    assert said["problems"][0] == {
        "where": "clients row 3 birth_year",
        "value": "1800",
        "rule": "must be from 1900 to 2100",
        "next_step": "",
    }
