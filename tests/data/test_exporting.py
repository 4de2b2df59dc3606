"""From the service back to a dataset: what is kept becomes rows, and consent decides which."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from data.checking import check
from data.database import connect, writing
from data.dataset import Dataset, read, write
from data.errors import DataError, NotFoundError
from data.exporting import export
from data.loading import from_dataset, load
from data.sql import CHOICES, EPISODES, MEASURES, RECOMMENDATIONS
from data.synthetic.truth import Truth

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(days=90)


@pytest.fixture
def engine(database: str, clinic: tuple[Dataset, Truth]) -> Iterator[sa.Engine]:
    """A service's database with the clinic's directory."""
    engine = connect(database)
    load(engine, from_dataset(clinic[0]), NOW)
    yield engine
    engine.dispose()


def asked(engine: sa.Engine, name: str, client: str | None, shown: list[str], **client_columns: Any) -> None:
    """A client was shown these therapists."""
    request = {
        "client": {"birth_year": 1990, "problems": ["anxiety", "sleep"], "interpreter": False, **client_columns},
        "preferences": [{"about": "gender", "value": "woman", "strength": "prefer"}],
        "measures": [{"instrument": "phq9", "item": "0", "value": 14}, {"instrument": "panss", "value": 60}],
    }
    row = {
        "tenant": "default", "recommendation_id": name, "made_at": NOW, "client_id": client, "request": request,
        "bundle_id": "b1", "version": "1", "directory_version": 1, "directory_source": "here", "settings_hash": "s1",
        "audience": "platform", "prices": {},
        "answer": json.dumps({"recommendations": [{"therapist_id": one} for one in shown]}).encode(),
    }  # fmt: skip
    insert(engine, RECOMMENDATIONS, row)


def saw(engine: sa.Engine, episode: str, client: str | None, therapist: str, answer: str | None, **more: Any) -> None:
    """A course of treatment."""
    row = {
        "tenant": "default", "episode_id": episode, "client_id": client, "therapist_id": therapist,
        "recommendation_id": answer, "matched_at": NOW, "assigned_by": "choice", "changed_at": NOW,
        "started_on": dt.date(2026, 10, 5), **more,
    }  # fmt: skip
    insert(engine, EPISODES, row)


def insert(engine: sa.Engine, table: sa.Table, row: dict[str, Any]) -> None:
    with writing(engine) as connection:
        connection.execute(sa.insert(table), row)


def exported(engine: sa.Engine, tmp_path: Path, **more: Any) -> Dataset:
    export(engine, tmp_path / "out", LATER, **more)
    assert check(tmp_path / "out") == []
    return read(tmp_path / "out")


def test_a_course_comes_back_with_what_was_asked_shown_and_measured(engine: sa.Engine, tmp_path: Path) -> None:
    asked(engine, "r-1", "c-1", ["t-00001", "t-00002"])
    saw(engine, "e-1", "c-1", "t-00002", "r-1", propensity=0.25, ended_on=dt.date(2026, 12, 1), ending="planned")
    measure = {
        "tenant": "default", "episode_id": "e-1", "session": 4, "instrument": "phq9", "item": "0", "rater": "client",
        "value": 6.0, "scored": True, "taken_on": dt.date(2026, 11, 2), "made_at": LATER,
    }  # fmt: skip
    insert(engine, MEASURES, measure)
    dataset = exported(engine, tmp_path)
    (episode,) = dataset["episodes"].to_dict("records")
    assert (episode["client_id"], episode["therapist_id"], episode["propensity"]) == ("c-1", "t-00002", 0.25)
    assert (str(episode["referred_on"])[:10], str(episode["ended_on"])[:10]) == ("2026-10-01", "2026-12-01")
    (client,) = dataset["clients"].to_dict("records")
    assert (client["birth_year"], client["problems"], client["interpreter"]) == (1990, "anxiety|sleep", False)
    assert sorted(dataset["offers"]["therapist_id"]) == ["t-00001", "t-00002"]
    assert dataset["measures"][["session", "instrument", "value"]].to_numpy().tolist() == [
        [0, "phq9", 14.0],
        [4, "phq9", 6.0],
    ]
    assert list(dataset["preferences"]["value"]) == ["woman"]
    assert len(dataset["therapists"]) == 40
    assert len(dataset["licences"]) > 0


def test_scores_of_instruments_nobody_declared_are_left_out_and_counted(engine: sa.Engine, tmp_path: Path) -> None:
    asked(engine, "r-1", "c-1", ["t-00001"])
    saw(engine, "e-1", "c-1", "t-00001", "r-1")
    done = export(engine, tmp_path / "out", LATER)
    assert done.left_out == {"scores of instruments that the dataset does not declare": 1}


def test_who_agreed_to_care_only_is_not_in_it(engine: sa.Engine, tmp_path: Path) -> None:
    for i, use in enumerate(["care_only", "care_and_learning", None]):
        asked(engine, f"r-{i}", f"c-{i}", ["t-00001"], **({"data_use": use} if use else {}))
        saw(engine, f"e-{i}", f"c-{i}", "t-00001", f"r-{i}")
    dataset = exported(engine, tmp_path)
    assert sorted(dataset["episodes"]["episode_id"]) == ["e-1", "e-2"]
    assert sorted(dataset["clients"]["client_id"]) == ["c-1", "c-2"]
    assert "e-0" not in set(dataset["measures"]["episode_id"]) | set(dataset["offers"]["episode_id"])


def test_care_only_said_of_a_course_holds(engine: sa.Engine, tmp_path: Path) -> None:
    asked(engine, "r-1", "c-1", ["t-00001"], data_use="care_and_learning")
    saw(engine, "e-1", "c-1", "t-00001", "r-1", data_use="care_only")
    saw(engine, "e-2", "c-2", "t-00001", None, data_use="care_only")
    saw(engine, "e-3", "c-3", "t-00001", None, data_use="care_and_learning")
    assert list(exported(engine, tmp_path)["episodes"]["client_id"]) == ["c-3"]


def test_a_later_request_that_says_nothing_takes_no_refusal_back(engine: sa.Engine, tmp_path: Path) -> None:
    for i, uses in enumerate([["care_only", None], ["care_only", "care_and_learning"]]):
        for j, use in enumerate(uses):
            asked(engine, f"r-{i}{j}", f"c-{i}", ["t-00001"], **({"data_use": use} if use else {}))
    assert list(exported(engine, tmp_path)["clients"]["client_id"]) == ["c-1"]


def test_laid_on_a_dataset_that_knows_of_a_refusal_silence_takes_nothing_back(
    engine: sa.Engine, clinic: tuple[Dataset, Truth], tmp_path: Path
) -> None:
    clients = clinic[0]["clients"]
    refused = str(clients.loc[clients["data_use"] == "care_only", "client_id"].iloc[0])
    asked(engine, "r-1", refused, ["t-00001"])
    saw(engine, "e-1", refused, "t-00001", "r-1")
    out = exported(engine, tmp_path, onto=write(clinic[0], tmp_path / "base"))
    assert refused not in set(out["clients"]["client_id"])
    assert refused not in set(out["episodes"]["client_id"])


def test_a_course_with_somebody_who_was_never_listed_is_left_out_and_counted(engine: sa.Engine, tmp_path: Path) -> None:
    saw(engine, "e-1", "c-1", "t-00001", None)
    saw(engine, "e-2", "c-2", "t-99999", None)
    done = export(engine, tmp_path / "out", LATER)
    assert list(read(tmp_path / "out")["episodes"]["episode_id"]) == ["e-1"]
    assert done.left_out["courses with therapists who were never listed"] == 1


def test_who_was_erased_is_not_in_it(engine: sa.Engine, tmp_path: Path) -> None:
    asked(engine, "r-1", "c-1", ["t-00001"])
    asked(engine, "r-2", "c-2", ["t-00001"])
    with writing(engine) as connection:
        gone = sa.update(RECOMMENDATIONS).where(RECOMMENDATIONS.c.recommendation_id == "r-1")
        connection.execute(gone.values(request=None, answer=None, client_id=None, erased_at=NOW))
    assert list(exported(engine, tmp_path)["clients"]["client_id"]) == ["c-2"]


def test_a_client_who_was_only_shown_therapists_waits_and_one_who_declined_does_not(
    engine: sa.Engine, tmp_path: Path
) -> None:
    asked(engine, "r-1", "c-1", ["t-00001"])
    asked(engine, "r-2", "c-2", ["t-00001"])
    declined = {"choice_id": "h-1", "recommendation_id": "r-2", "kind": "declined", "made_at": NOW}
    insert(engine, CHOICES, {**declined, "tenant": "default"})
    (episode,) = exported(engine, tmp_path)["episodes"].to_dict("records")
    assert (episode["client_id"], episode["ending"]) == ("c-1", "waiting")
    assert episode["therapist_id"] != episode["therapist_id"]  # unknown


def test_a_place_that_nobody_came_for_is_no_course(engine: sa.Engine, tmp_path: Path) -> None:
    asked(engine, "r-1", "c-1", ["t-00001"])
    asked(engine, "r-2", "c-2", ["t-00001"])
    saw(engine, "e-1", "c-1", "t-00001", "r-1", started_on=None, holds_until=NOW + dt.timedelta(days=14))
    saw(engine, "e-2", "c-2", "t-00001", "r-2", started_on=None, holds_until=LATER + dt.timedelta(days=14))
    done = export(engine, tmp_path / "out", LATER)
    assert done.left_out["places that nobody came for"] == 1
    assert list(read(tmp_path / "out")["episodes"]["episode_id"]) == ["e-2"]


def test_it_is_laid_on_an_earlier_dataset(engine: sa.Engine, clinic: tuple[Dataset, Truth], tmp_path: Path) -> None:
    write(clinic[0], tmp_path / "before")
    asked(engine, "r-1", "c-new-1", ["t-00001"])
    saw(engine, "e-new-1", "c-new-1", "t-00001", "r-1")
    dataset = exported(engine, tmp_path, onto=tmp_path / "before")
    assert len(dataset["episodes"]) == len(for_learning_episodes(clinic[0])) + 1
    assert str(dataset.manifest.as_of) == "2026-12-30"


def for_learning_episodes(dataset: Dataset) -> Any:
    from data.consent import for_learning

    return for_learning(dataset)["episodes"]


def test_another_tenants_rows_are_not_in_it(engine: sa.Engine, tmp_path: Path) -> None:
    asked(engine, "r-1", "c-1", ["t-00001"])
    with pytest.raises(NotFoundError, match="south"):
        export(engine, tmp_path / "out", LATER, "south")


def test_a_folder_in_use_is_left_as_it_is(engine: sa.Engine, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    asked(engine, "r-1", "c-1", ["t-00001"])
    with pytest.raises(DataError, match="new folder"):
        export(engine, tmp_path / "out", LATER)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
