"""Folders of tables: what is read, what is written, what is refused."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError, field_validator

from data.dataset import (
    Dataset,
    Manifest,
    manifest_toml,
    read,
    read_leniently,
    read_manifest,
    write,
)
from data.errors import ConfigError, DataError, NotFoundError
from data.manifest import validation_problems

TABLES = {
    "therapists.csv": "therapist_id,accepts_new,languages\nt1,TRUE,en|cy\nt2,false,\n",
    "clients.csv": "client_id,birth_year\nc1,1990\nc2,\n",
    "episodes.csv": "episode_id,client_id,therapist_id,started_on\ne1,c1,t1,2024-01-31\ne2,c2,,\n",
}


def folder(tmp_path: Path, manifest: str = 'name = "tiny"\nundated = true\n', **tables: str) -> Path:
    for name, text in {**TABLES, **{f"{table}.csv": text for table, text in tables.items()}}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "dataset.toml").write_text(manifest)
    return tmp_path


def test_an_empty_cell_is_unknown_and_a_missing_optional_column_is_unknown_throughout(tmp_path: Path):
    dataset = read(folder(tmp_path))
    assert dataset["clients"]["birth_year"].isna().tolist() == [False, True]
    assert dataset["clients"]["gender"].isna().all()


def test_booleans_are_read_in_any_case(tmp_path: Path):
    assert read(folder(tmp_path))["therapists"]["accepts_new"].tolist() == [True, False]


def test_the_match_is_the_start_where_nothing_else_is_said(tmp_path: Path):
    assert read(folder(tmp_path))["episodes"]["matched_on"].iloc[0] == pd.Timestamp("2024-01-31")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_what_is_written_is_read_back_the_same(tmp_path: Path, form: str):
    (tmp_path / "in").mkdir()
    first = read(folder(tmp_path / "in", slots="therapist_id,starts_at\nt1,2024-02-01T09:00+01:00\n"))
    second = read(write(first, tmp_path / "out", form))
    assert second.manifest == first.manifest
    for name in first.frames:
        pd.testing.assert_frame_equal(first[name], second[name])
    assert second.fingerprint() == first.fingerprint()


def test_the_fingerprint_changes_with_any_cell(tmp_path: Path):
    before = read(folder(tmp_path)).fingerprint()
    after = read(folder(tmp_path, clients="client_id,birth_year\nc1,1990\nc2,1991\n")).fingerprint()
    assert before != after


def test_a_dataset_is_never_written_over_another(tmp_path: Path):
    dataset = read(folder(tmp_path))
    with pytest.raises(DataError, match="not empty"):
        write(dataset, tmp_path)


def test_reading_reports_every_unreadable_cell_of_every_table(tmp_path: Path):
    with pytest.raises(DataError) as raised:
        read(folder(tmp_path, clients="client_id,birth_year\nc1,late\n", licences="a,b\n1,2,3\n"))
    found = "\n".join(map(str, raised.value.problems))
    assert "clients row 1 birth_year: 'late'" in found
    assert "licences.csv: rows have more cells than the header" in found


def test_a_parquet_file_that_is_none_is_reported_and_the_rest_is_read(tmp_path: Path):
    (folder(tmp_path) / "measures.parquet").write_text("not parquet")
    dataset, problems = read_leniently(tmp_path)
    assert [p.rule for p in problems] == ["must be a Parquet table"]
    assert len(dataset["episodes"]) == 2


def test_a_table_in_two_forms_is_refused(tmp_path: Path):
    read(folder(tmp_path)).frames["clients"].to_parquet(tmp_path / "clients.parquet")
    with pytest.raises(DataError, match="clients twice"):
        read(tmp_path)


def test_a_required_table_that_is_missing_is_named(tmp_path: Path):
    (folder(tmp_path) / "episodes.csv").unlink()
    with pytest.raises(DataError, match=r"no episodes\.csv"):
        read(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(NotFoundError, match="nowhere"):
        read(tmp_path / "nowhere")


def test_parquet_values_of_other_types_are_taken_for_what_they_say(tmp_path: Path):
    (folder(tmp_path) / "clients.csv").unlink()
    days = pd.to_datetime(["2024-01-01T10:00+02:00"], utc=True)
    pd.DataFrame({"client_id": ["c1"], "birth_year": [1990.0], "problems": [["sleep", "trauma"]]}).to_parquet(
        tmp_path / "clients.parquet"
    )
    (tmp_path / "episodes.csv").unlink()
    pd.DataFrame({"episode_id": ["e1"], "client_id": ["c1"], "started_on": days}).to_parquet(
        tmp_path / "episodes.parquet"
    )
    dataset = read(tmp_path)
    assert dataset["clients"]["problems"].tolist() == ["sleep|trauma"]
    assert dataset["clients"]["birth_year"].tolist() == [1990]
    assert dataset["episodes"]["started_on"].tolist() == [pd.Timestamp("2024-01-01")]


def test_a_number_too_large_to_be_whole_is_no_whole_number(tmp_path: Path):
    with pytest.raises(DataError, match="must be a whole number"):
        read(folder(tmp_path, clients="client_id,birth_year\nc1,1e300\n"))


def test_a_typing_error_in_the_manifest_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ConfigError, match="undatd"):
        read_manifest(folder(tmp_path, 'name = "x"\nundatd = true\n'))


def test_what_is_wrong_in_the_manifest_is_said_with_value_rule_and_next_step(tmp_path: Path):
    text = """
    as_of = "soon"
    undated = "yes"
    notes = 3
    colour = "red"
    rules = ["horoscope"]
    instrument = { own = { low = "x", high = 1, direction = "up", meaning = "m", items = 1.5 }, other = 3 }
    """
    with pytest.raises(ConfigError) as raised:
        read_manifest(folder(tmp_path, text))
    said = [str(problem).split("dataset.toml ")[1] for problem in raised.value.problems]
    assert said[0] == "name: not given: is required -> add it"
    assert said[1] == "as_of: 'soon': must be a day -> write YYYY-MM-DD, without quotes"
    assert said[2] == "notes: 3: must be text -> put it in quotes"
    assert said[3].startswith("rules.0: 'horoscope': must be 'conflict', 'licence'")
    assert said[4] == "undated: 'yes': must be true or false, without quotes -> write true or false"
    assert said[5] == "instrument.own.low: 'x': must be a number, without quotes -> mend the value"
    assert said[6] == "instrument.own.direction: 'up': must be 'higher' or 'lower' -> take one of them"
    assert said[7] == "instrument.own.items: 1.5: must be a whole number, without quotes -> mend the value"
    assert said[8] == "instrument.other: 3: must be a table -> give its keys, as documented"
    assert said[9] == "colour: 'red': no such key -> take it out, or spell it as documented"


def test_limits_and_own_rules_are_said_in_plain_words():
    class Limits(BaseModel):
        a: int = Field(1, ge=2)
        b: float = Field(1, lt=0.5)
        c: tuple[str, ...] = Field((), min_length=1)

        @field_validator("b")
        @classmethod
        def _own(cls, value: float) -> float:
            raise ValueError(f"must suit us, unlike {value}")

    with pytest.raises(ValidationError) as raised:
        Limits.model_validate({"a": 1, "b": 0.7, "c": []})
    said = [str(problem) for problem in validation_problems("limits", raised.value)]
    assert said == [
        "limits a: 1: must be greater than or equal to 2 -> mend the value",
        "limits b: 0.7: must be less than 0.5 -> mend the value",
        "limits c: []: must be at least 1 long -> name what belongs here",
    ]
    with pytest.raises(ValidationError) as raised:
        Limits.model_validate({"b": 0.1})
    assert (
        str(validation_problems("limits", raised.value)[0])
        == "limits b: 0.1: must suit us, unlike 0.1 -> mend it, as documented"
    )


def test_a_shipped_instrument_cannot_be_redefined_but_its_licence_can_be_named(tmp_path: Path):
    held = read_manifest(folder(tmp_path, 'name = "x"\n[instrument.ors]\nlicence_held_by = "Clinic 1"\n'))
    assert held.licence("ors") == "Clinic 1"
    assert "ors" in held.instruments()
    assert "ors" not in Manifest(name="x").instruments()
    with pytest.raises(ConfigError, match="phq9 ships with the program"):
        read_manifest(folder(tmp_path, 'name = "x"\n[instrument.phq9]\nhigh = 30\n'))


def test_declared_instruments_stand_beside_those_that_ship(tmp_path: Path):
    text = 'name = "x"\n[instrument.own]\nlow = 0\nhigh = 4\ndirection = "lower"\nmeaning = "m"\n'
    usable = read_manifest(folder(tmp_path, text)).instruments()
    assert usable["own"].high == 4
    assert usable["phq9"].items == 9


declarations = st.fixed_dictionaries(
    {
        "low": st.just(0.0),
        "high": st.floats(1, 100),
        "direction": st.sampled_from(["higher", "lower"]),
        "meaning": st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=20),
    }
)


@given(
    st.fixed_dictionaries(
        {"name": st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=20)},
        optional={
            "as_of": st.dates().map(str),
            "undated": st.booleans(),
            "rules": st.lists(st.sampled_from(["payer", "slot"])),
            "instrument": st.dictionaries(
                st.from_regex(r"own[a-z0-9_.-]{1,8}", fullmatch=True), declarations, min_size=1
            ),
            "column": st.just({"clients": {"views": {"meaning": "m", "known": "after"}}}),
        },
    )
)
def test_a_manifest_survives_being_written_and_read(said: dict[str, object]):
    import tomllib

    manifest = Manifest.model_validate(said)
    assert Manifest.model_validate(tomllib.loads(manifest_toml(manifest))) == manifest


def test_declared_columns_join_the_contract():
    manifest = Manifest.model_validate(
        {"name": "x", "column": {"clients": {"views": {"meaning": "m", "known": "after"}}}}
    )
    assert Dataset(manifest).contract("clients")["views"].known == "after"
