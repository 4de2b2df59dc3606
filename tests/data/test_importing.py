"""`data import`: foreign tables by a mapping file, and nothing left behind when they do not fit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from data.checking import check
from data.commands import app
from data.dataset import read
from data.errors import ConfigError, DataError, NotFoundError
from data.importing import import_dataset
from data.mapping import read_mapping

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("THERAPIST_FIT_REAL_DATA", ROOT / ".." / "shared" / "data"))

HEAD = """
[dataset]
name = "tiny"
undated = true
[[table.therapists]]
file = "staff.csv"
columns = { therapist_id = "staff" }
[[table.clients]]
file = "people.csv"
[table.clients.columns]
client_id = { from = "no", prefix = "c" }
"""
EPISODES = """
[[table.episodes]]
file = "people.csv"
[table.episodes.columns]
episode_id = { row_id = "e" }
client_id = { from = "no", prefix = "c" }
therapist_id = "staff"
"""
STAFF = "staff\nt1\nt2\n"
PEOPLE = "no,staff\n11,t1\n12,t2\n"


def imported(tmp_path: Path, mapping: str, files: dict[str, str]) -> dict[str, object]:
    source = tmp_path / "source"
    source.mkdir(exist_ok=True)
    for name, text in {"staff.csv": STAFF, **files}.items():
        (source / name).write_text(text)
    (tmp_path / "mapping.toml").write_text(mapping)
    return import_dataset(tmp_path / "mapping.toml", source, tmp_path / "out", "csv")


def clients(tmp_path: Path, columns: str, people: str, more: str = "") -> pd.DataFrame:
    imported(tmp_path, HEAD + columns + EPISODES + more, {"people.csv": people})
    return read(tmp_path / "out")["clients"]


def refused(tmp_path: Path, mapping: str, files: dict[str, str]) -> str:
    with pytest.raises(DataError) as raised:
        imported(tmp_path, mapping, files)
    assert not (tmp_path / "out").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".out")]
    return "\n".join(map(str, raised.value.problems))


def test_columns_are_renamed_and_ids_made_of_numbers(tmp_path: Path):
    assert clients(tmp_path, "", PEOPLE)["client_id"].tolist() == ["c11", "c12"]


def test_row_ids_are_the_same_in_every_part_that_reads_the_file(tmp_path: Path):
    measures = """
    [[table.measures]]
    file = "people.csv"
    drop_rows = [{ column = "no", is_in = ["11"], reason = "to shift the rows" }]
    [table.measures.columns]
    episode_id = { row_id = "e" }
    session = { constant = 0 }
    instrument = { constant = "phq9" }
    value = { constant = 9 }
    """
    imported(tmp_path, HEAD + EPISODES + measures, {"people.csv": PEOPLE})
    dataset = read(tmp_path / "out")
    assert dataset["episodes"]["episode_id"].tolist() == ["e1", "e2"]
    assert dataset["measures"]["episode_id"].tolist() == ["e2"]


def test_values_are_mapped_and_the_empty_text_makes_them_unknown(tmp_path: Path):
    columns = 'gender = { from = "sex", values = { F = "woman", M = "man", "?" = "" } }\n'
    got = clients(tmp_path, columns, "no,staff,sex\n1,t1,F\n2,t1,M\n3,t1,?\n4,t1,\n")["gender"]
    assert got.dropna().tolist() == ["woman", "man"]
    assert got.isna().tolist() == [False, False, True, True]


def test_a_value_without_a_new_one_is_refused_unless_told_otherwise(tmp_path: Path):
    people = "no,staff,sex\n1,t1,F\n2,t1,X\n3,t1,X\n"
    column = 'gender = {{ from = "sex", values = {{ F = "woman" }}{} }}\n'
    assert "people.csv row 2: 'X' (2 rows): no new value" in refused(
        tmp_path, HEAD + column.format("") + EPISODES, {"people.csv": people}
    )
    keep = clients(tmp_path, column.format(', lower = false, unmapped = "unknown"'), people)["gender"]
    assert keep.isna().tolist() == [False, True, True]


def test_lists_are_split_mapped_and_joined(tmp_path: Path):
    columns = 'problems = { from = "needs", separator = ";", lower = true }\n'
    got = clients(tmp_path, columns, "no,staff,needs\n1,t1,Sleep; Trauma;Sleep\n2,t1,\n")["problems"]
    assert got.iloc[0] == "sleep|trauma"
    assert got.isna().iloc[1]


def test_an_element_mapped_to_the_empty_text_leaves_the_list(tmp_path: Path):
    columns = 'problems = { from = "needs", separator = ";", values = { a = "sleep", b = "", c = "trauma" } }\n'
    got = clients(tmp_path, columns, "no,staff,needs\n1,t1,a;b;c\n2,t1,b\n")["problems"]
    assert got.iloc[0] == "sleep|trauma"
    assert got.isna().iloc[1]


def test_units_are_converted_and_values_clipped(tmp_path: Path):
    columns = 'expectancy = { from = "percent", scale = 0.01, clip = [0, 1] }\n'
    got = clients(tmp_path, columns, "no,staff,percent\n1,t1,25\n2,t1,140\n3,t1,\n")["expectancy"]
    assert got.dropna().tolist() == [0.25, 1.0]
    assert got.isna().iloc[2]


def test_a_cell_that_cannot_be_converted_is_named(tmp_path: Path):
    columns = 'expectancy = { from = "percent", scale = 0.01 }\n'
    said = refused(tmp_path, HEAD + columns + EPISODES, {"people.csv": "no,staff,percent\n1,t1,25\n2,t1,much\n"})
    assert "people.csv row 2: 'much' (1 rows): must be a number (expectancy)" in said


def test_text_stays_outside_and_only_its_number_of_words_enters(tmp_path: Path):
    declared = '[dataset.column.clients.words]\nmeaning = "words of the letter"\nknown = "before"\n'
    columns = 'words = { words_in = "letter" }\n'
    got = clients(tmp_path, columns, "no,staff,letter\n1,t1,I cannot sleep\n2,t1,\n", declared)
    assert got["words"].dropna().tolist() == [3]
    assert "cannot" not in (tmp_path / "out" / "clients.csv").read_text()


def test_a_difference_and_a_mean_of_columns_are_unknown_where_one_is(tmp_path: Path):
    measures = """
    [[table.measures]]
    file = "people.csv"
    [table.measures.columns]
    episode_id = { row_id = "e" }
    session = { constant = 1 }
    instrument = { constant = "own" }
    value = { difference = ["after", "before"] }
    [[table.measures]]
    file = "people.csv"
    drop_rows = [{ column = "after", is_empty = true, reason = "no second score" }]
    [table.measures.columns]
    episode_id = { row_id = "e" }
    session = { constant = 2 }
    instrument = { constant = "own" }
    value = { mean = ["after", "before"] }
    [dataset.instrument.own]
    low = -10
    high = 10
    direction = "lower"
    meaning = "change"
    """
    people = "no,staff,before,after\n1,t1,8,2\n2,t1,5,\n"
    said = refused(tmp_path, HEAD + EPISODES + measures, {"people.csv": people})
    assert "measures row 2 value: '': is required" in said
    fixed = measures.replace("file", 'drop_rows = [{ column = "after", is_empty = true, reason = "r" }]\n    file', 1)
    imported(tmp_path, HEAD + EPISODES + fixed, {"people.csv": people})
    assert read(tmp_path / "out")["measures"]["value"].tolist() == [-6, 5]


def test_wide_weeks_become_long_measures_and_empty_cells_no_rows(tmp_path: Path):
    measures = """
    [[table.measures]]
    file = "people.csv"
    unpivot = { columns = { w0 = "0", w4 = "4" }, name = "week", value = "score" }
    columns = { episode_id = { row_id = "e" }, session = "week", instrument = { constant = "phq9" }, value = "score" }
    """
    report = imported(tmp_path, HEAD + EPISODES + measures, {"people.csv": "no,staff,w0,w4\n1,t1,20,12\n2,t1,9,\n"})
    got = read(tmp_path / "out")["measures"][["episode_id", "session", "value"]]
    assert got.values.tolist() == [["e1", 0, 20], ["e1", 4, 12], ["e2", 0, 9]]
    assert report["rows_left_out"] == [
        {"table": "measures", "file": "people.csv", "rows": 1, "reason": "no score to unpivot"}
    ]


def test_files_are_put_below_each_other_and_row_ids_go_on(tmp_path: Path):
    mapping = (HEAD + EPISODES).replace('file = "people.csv"', 'files = ["people.csv", "more.csv"]')
    imported(tmp_path, mapping, {"people.csv": PEOPLE, "more.csv": "staff,no\nt1,13\n"})
    episodes = read(tmp_path / "out")["episodes"]
    assert episodes[["episode_id", "client_id"]].values.tolist() == [["e1", "c11"], ["e2", "c12"], ["e3", "c13"]]


JOIN = 'join = [{{ file = "years.csv", on = {{ no = "id" }}, columns = {{ born = "year" }}, unmatched = "{}" }}]\n'


@pytest.mark.parametrize(("unmatched", "kept"), [("keep", ["c11", "c12"]), ("drop", ["c12"])])
def test_columns_of_another_file_are_joined_by_value(tmp_path: Path, unmatched: str, kept: list[str]):
    parts = [JOIN.format(unmatched), "[table.clients.columns]", 'birth_year = "year"']
    mapping = HEAD.replace("[table.clients.columns]", "\n".join(parts)) + EPISODES.replace(
        '"people.csv"', '"people.csv"\ndrop_rows = [{ column = "no", is_in = ["11"], reason = "r" }]'
    )
    imported(tmp_path, mapping, {"people.csv": PEOPLE, "years.csv": "born,id\n1990,12\n1950,99\n"})
    got = read(tmp_path / "out")["clients"]
    assert got["client_id"].tolist() == kept
    assert got["birth_year"].dropna().tolist() == [1990]


def test_a_join_that_would_multiply_rows_is_refused(tmp_path: Path):
    parts = [JOIN.format("keep"), "[table.clients.columns]", 'birth_year = "year"']
    mapping = HEAD.replace("[table.clients.columns]", "\n".join(parts)) + EPISODES
    said = refused(tmp_path, mapping, {"people.csv": PEOPLE, "years.csv": "born,id\n1990,12\n1991,12\n"})
    assert "years.csv row 2: id: a joined file has one row for each value" in said


def test_a_known_cell_can_decide_between_two_values(tmp_path: Path):
    columns = 'employment = { if_known = "job", then = "employed", otherwise = "unemployed" }\n'
    got = clients(tmp_path, columns, "no,staff,job\n1,t1,baker\n2,t1,\n")["employment"]
    assert got.tolist() == ["employed", "unemployed"]


def test_days_written_otherwise_are_read_by_their_format(tmp_path: Path):
    dated = EPISODES + 'started_on = { from = "day", date_format = "%d/%m/%Y" }\n'
    imported(tmp_path, HEAD + dated, {"people.csv": "no,staff,day\n1,t1,31/01/2024\n"})
    assert read(tmp_path / "out")["episodes"]["started_on"].iloc[0] == pd.Timestamp("2024-01-31")


def test_rows_that_agree_are_one_only_where_the_mapping_says_so(tmp_path: Path):
    twice = {"people.csv": "no,staff\n1,t1\n1,t1\n"}
    assert "the key (client_id) must be unique" in refused(tmp_path, HEAD + EPISODES, twice)
    once = HEAD.replace(
        "[[table.clients]]", '[[table.clients]]\ndeduplicate = { by = ["client_id"], reason = "one row a person" }'
    )
    report = imported(tmp_path, once + EPISODES, twice)
    assert report["tables"] == {"therapists": 2, "clients": 1, "episodes": 2}
    assert report["rows_left_out"][0]["reason"] == "one row a person"


def test_every_column_of_every_file_is_used_or_dropped_with_a_reason(tmp_path: Path):
    people = {"people.csv": "no,staff,note\n1,t1,x\n"}
    assert "people.csv note: not mentioned" in refused(tmp_path, HEAD + EPISODES, people)
    drop = '[[drop]]\nfile = "people.csv"\ncolumns = ["note"]\nreason = "free text"\n'
    report = imported(tmp_path, HEAD + EPISODES + drop, people)
    assert report["columns_left_out"] == [{"file": "people.csv", "columns": ["note"], "reason": "free text"}]


def test_all_that_does_not_fit_the_files_is_said_at_once(tmp_path: Path):
    columns = 'age = "no"\ngender = "sex"\n'
    other = '[[table.slots]]\nfile = "gone.csv"\ncolumns = { therapist_id = "x" }\n'
    drop = '[[drop]]\nfile = "people.csv"\ncolumns = ["staff"]\nreason = "r"\n'
    said = refused(tmp_path, HEAD + columns + EPISODES + other + drop, {"people.csv": PEOPLE})
    for part in (
        "age: no such column in the contract",
        "'sex': people.csv has no",
        "gone.csv: no such",
        "dropped and used",
    ):
        assert part in said


def test_misfits_and_cells_that_cannot_be_made_are_said_together(tmp_path: Path):
    columns = 'gender = { from = "sex", values = { F = "woman" } }\nbirth_year = "born"\nage = "no"\n'
    dated = EPISODES + 'started_on = { from = "day", date_format = "%d/%m/%Y" }\n'
    drop = '[[drop]]\nfile = "people.csv"\ncolumns = ["nots"]\nreason = "r"\n'
    people = "no,staff,sex,day,note,year\n1,t1,X,2024-01-31,hm,1990\n2,t1,F,31/01/2024,hm,1991,9\n"
    said = refused(tmp_path, HEAD + columns + dated + drop, {"people.csv": people})
    for part in (
        "people.csv row 2: '7 cells': must have as many cells as the header: 6",
        "'born': people.csv has no such column",
        "age: no such column in the contract",
        "drop: 'nots': people.csv has no such column",
        "people.csv note: not mentioned",
        "people.csv row 1: 'X' (1 rows): no new value is given for it (gender)",
        "people.csv row 1: '2024-01-31' (1 rows): must be a day written %d/%m/%Y (started_on)",
    ):
        assert part in said
    assert len(said.splitlines()) == 8  # and "year", not mentioned either


def test_a_cell_of_the_wrong_kind_is_said_beside_a_value_without_a_new_one(tmp_path: Path):
    columns = 'gender = { from = "sex", values = { F = "woman" } }\nbirth_year = "born"\n'
    said = refused(tmp_path, HEAD + columns + EPISODES, {"people.csv": "no,staff,sex,born\n1,t1,X,1990\n2,t1,F,old\n"})
    assert "'X' (1 rows): no new value" in said
    assert "clients row 2 birth_year: 'old': must be a whole number" in said


def test_a_required_column_that_the_mapping_forgets_is_said_beside_a_misspelt_one(tmp_path: Path):
    said = refused(
        tmp_path, HEAD.replace("client_id =", "gender =") + EPISODES + 'site = "st"\n', {"people.csv": PEOPLE}
    )
    assert "clients.client_id: no such column: is required" in said
    assert "'st': people.csv has no such column" in said


KILLED = """
import os, sys
from pathlib import Path
import data.importing
data.importing.check = lambda written: os._exit(9)
data.importing.import_dataset(*map(Path, sys.argv[1:]), "csv")
"""


def test_what_a_killed_import_left_is_removed_by_the_next_and_nothing_else(tmp_path: Path):
    mine = [tmp_path / ".out.mine0123", tmp_path / ".out.mine", tmp_path / ".out2.abcd1234"]
    for folder in mine:
        (folder / "notes").mkdir(parents=True)
    (tmp_path / "people.csv").write_text(PEOPLE)
    (tmp_path / "staff.csv").write_text(STAFF)
    (tmp_path / "mapping.toml").write_text(HEAD + EPISODES)
    where = [str(tmp_path / "mapping.toml"), str(tmp_path), str(tmp_path / "out")]
    assert subprocess.run([sys.executable, "-c", KILLED, *where], cwd=ROOT).returncode == 9
    assert len(list(tmp_path.glob(".out.*"))) == 3
    import_dataset(*map(Path, where))
    assert sorted(tmp_path.glob(".out*")) == sorted(mine)


def test_what_breaks_the_contract_leaves_nothing_behind(tmp_path: Path):
    said = refused(tmp_path, HEAD + EPISODES, {"people.csv": "no,staff\nJane,t1\n,t9\n"})
    assert "clients row 1 client_id: 'cJane': must be a pseudonym" in said
    assert "episodes row 2 therapist_id: 't9': must be in therapists" in said


def test_an_import_never_writes_over_what_is_there(tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        imported(tmp_path, HEAD + EPISODES, {"people.csv": PEOPLE})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


MISTAKES = {
    "an unknown key": (HEAD + "frm = 1\n", "frm"),
    "a column from two places": (HEAD + 'gender = { from = "a", constant = "b" }\n', "needs exactly one of"),
    "a column from nowhere": (HEAD + "gender = { scale = 2 }\n", "needs exactly one of"),
    "an unknown table": (HEAD + '[[table.patients]]\nfile = "x.csv"\ncolumns = { a = "b" }\n', "no such table"),
    "an operation outside the closed set": (HEAD + 'gender = { from = "a", eval = "1+1" }\n', "eval"),
    "a drop without reason": (HEAD + '[[drop]]\nfile = "a"\ncolumns = ["b"]\nreason = ""\n', "drop.0.reason"),
    "no toml": ("[dataset", "must be TOML"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_mapping_is_refused_by_place(tmp_path: Path, mistake: str):
    text, expected = MISTAKES[mistake]
    (tmp_path / "mapping.toml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_mapping(tmp_path / "mapping.toml")
    assert expected in str(raised.value)


def test_all_mistakes_in_the_mapping_are_said_at_once(tmp_path: Path):
    (tmp_path / "mapping.toml").write_text(HEAD + 'gender = { scale = 2 }\nfaith = { from = "a", eval = "b" }\n')
    with pytest.raises(ConfigError) as raised:
        read_mapping(tmp_path / "mapping.toml")
    assert len(raised.value.problems) == 2


def test_a_mapping_or_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"nowhere\.toml"):
        import_dataset(tmp_path / "nowhere.toml", tmp_path, tmp_path / "out")
    (tmp_path / "mapping.toml").write_text(HEAD + EPISODES)
    with pytest.raises(NotFoundError, match="no such folder"):
        import_dataset(tmp_path / "mapping.toml", tmp_path / "nowhere", tmp_path / "out")


def test_the_command_reports_in_json(tmp_path: Path):
    (tmp_path / "mapping.toml").write_text(HEAD + EPISODES)
    (tmp_path / "people.csv").write_text(PEOPLE)
    (tmp_path / "staff.csv").write_text(STAFF)
    where = [str(tmp_path / "mapping.toml"), "--source", str(tmp_path), "--out", str(tmp_path / "out"), "--json"]
    said = json.loads(CliRunner().invoke(app, ["import", *where]).stdout)
    assert said["tables"] == {"therapists": 2, "clients": 2, "episodes": 2}


def real(name: str, tmp_path: Path) -> Path:
    source = REAL / name
    if not source.is_dir():
        pytest.skip(f"{source} is missing: real data are not part of the repository")
    import_dataset(ROOT / "experiments" / f"{name}.mapping.toml", source, tmp_path / "out")
    return tmp_path / "out"


def test_counsel_chat_comes_in_without_code_and_without_a_word_of_its_text(tmp_path: Path):
    folder = real("counsel_chat", tmp_path)
    assert check(folder) == []
    dataset = read(folder)
    assert {name: len(frame) for name, frame in dataset.frames.items()} == {
        "therapists": 307, "clients": 815, "episodes": 2129, "measures": 2 * 2129,
    }  # fmt: skip
    assert dataset["episodes"]["episode_id"].is_unique
    assert dataset["episodes"].duplicated(["client_id", "therapist_id"]).sum() == 16
    assert dataset["clients"]["problems"].nunique() == 29
    scores = dataset["measures"].pivot(index="episode_id", columns="instrument", values="value")
    assert (scores["upvotes"].clip(upper=4) == scores["upvotes_clipped"]).all()
    assert scores["upvotes"].max() == 9
    assert dataset["therapists"]["qualifications"].isna().sum() == 258
    assert {dataset.contract("episodes")["answer_words"].known, dataset.contract("clients")["views"].known} == {"after"}
    assert not {"title", "text", "split"} & set(dataset["clients"].columns)


def test_the_schizophrenia_trials_come_in_without_code(tmp_path: Path):
    folder = real("schizophrenia_trials", tmp_path)
    assert check(folder) == []
    dataset = read(folder)
    assert {name: len(frame) for name, frame in dataset.frames.items()} == {
        "therapists": 198, "clients": 2151, "episodes": 2151, "measures": 8756 + 2123,
    }  # fmt: skip
    counts = dataset["measures"].groupby(["instrument", "session"]).size().to_dict()
    assert counts[("panss_endpoint", 8)] == 2123
    assert [counts[("panss_change", week)] for week in (1, 2, 4, 6, 8)] == [2106, 1948, 1786, 1554, 1362]
    assert dataset.manifest.undated
    assert dataset.manifest.instrument["panss_change"].direction == "lower"
    assert set(dataset["clients"]["treat"]) == {-1, 1}
    assert (dataset["episodes"]["ending"] == "dropout").mean() == pytest.approx(0.367, abs=0.0005)
