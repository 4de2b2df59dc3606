"""`data describe`: numbers about a dataset that point at nobody."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data.commands import app
from data.dataset import Dataset, read
from data.describing import describe, lines


def dataset(folder: Path, manifest: str = "as_of = 2024-12-31") -> Dataset:
    endings = ["planned"] * 6 + ["dropout"] * 5 + ["died", "transferred"]
    clients = [f"c{i},{'care_only' if i < 2 else ''}" for i in range(13)]
    episodes = [f"e{i},c{i},t1,2024-01-{i + 1:02},{ending}" for i, ending in enumerate(endings)]
    items = [f"e0,0,gad7,{item},2" for item in range(1, 8)]
    totals = [f"e{i},{session},phq9,0,{9 - session}" for i in range(7) for session in (0, 5)]
    tables = {
        "therapists": ["therapist_id,learning_opt_out,payers", "t1,true,a", "t2,false,"],
        "clients": ["client_id,data_use", *clients],
        "episodes": ["episode_id,client_id,therapist_id,started_on,ending", *episodes],
        "measures": ["episode_id,session,instrument,item,value", *items, *totals, "e0,1,gad7,0,8", "e9,0,phq9,0,3"],
    }
    folder.mkdir(exist_ok=True)
    (folder / "dataset.toml").write_text(f'name = "tiny"\nrules = ["payer"]\n{manifest}\n')
    for name, rows in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return read(folder)


@pytest.fixture
def facts(tmp_path: Path):
    return describe(dataset(tmp_path))


def test_rows_and_unknown_shares_are_given_for_each_table(facts):
    assert facts["tables"]["therapists"] == {
        "rows": 2,
        "unknown": {"therapist_id": 0, "learning_opt_out": 0, "payers": 0.5},
    }
    assert facts["tables"]["clients"]["unknown"]["data_use"] == round(11 / 13, 4)


def test_the_span_is_the_first_and_last_day(facts):
    assert facts["span"] == {"episodes.started_on": ["2024-01-01", "2024-01-13"]}


def test_endings_of_fewer_than_five_are_not_broken_down(facts):
    assert facts["endings"] == {"planned": 6, "dropout": 5, "fewer than 5 each": 2}


def test_measures_are_counted_by_instrument_and_session_with_totals_made_from_items(facts):
    assert facts["measures"] == {"gad7": {"fewer than 5 each": 2}, "phq9": {"0": 8, "5": 7}}


def test_pairs_have_an_intake_and_a_later_total(facts):
    assert facts["pairs"] == {"gad7": 1, "phq9": 7}


def test_those_whom_learning_must_leave_out_are_counted(facts):
    assert (facts["care_only"], facts["learning_opt_out"]) == (2, 1)


def test_rules_declared_and_rules_the_data_could_answer_are_told_apart(facts):
    assert facts["rules"] == ["payer"]
    assert facts["rules_answerable"] == ["conflict", "payer", "must"]


def test_undated_data_says_that_it_was_not_tested_forward_in_time(tmp_path: Path):
    assert "not tested forward in time" in describe(dataset(tmp_path, "undated = true"))["note"]
    assert describe(dataset(tmp_path, "as_of = 2024-12-31"))["note"] == ""


def test_no_id_is_ever_shown(facts):
    said = json.dumps(facts) + str(lines(facts))
    assert not any(f'"{who}"' in said for who in ("c0", "e0", "t1"))


def test_the_command_prints_one_json_object_or_lines(tmp_path: Path):
    dataset(tmp_path)
    as_json = CliRunner().invoke(app, ["describe", str(tmp_path), "--json"])
    assert json.loads(as_json.stdout)["endings"]["planned"] == 6
    plain = CliRunner().invoke(app, ["describe", str(tmp_path)])
    assert "care only" in plain.stdout
    assert "2 clients, left out of learning" in plain.stdout
