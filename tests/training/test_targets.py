"""What the heads learn: tiny tables with obvious answers."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from data.dataset import Dataset
from data.history import History, Snapshot
from training.config import HeadConfig, OutcomeConfig
from training.targets import Target, courses, intake_sds, learnable, target

AS_OF = dt.date(2026, 1, 1)
SDS = {"phq9": 5.0, "gad7": 4.0}
EPISODES = "episode_id,client_id,therapist_id,matched_on,started_on,ended_on,ending,sessions_attended\n"
MEASURES = "episode_id,session,instrument,item,rater,taken_on,value\n"


def dataset(tables, measures: str = "", episodes: str = "e1,c1,t1,2025-01-01,2025-01-08,,,\n", manifest="") -> Dataset:
    rows = [row.split(",") for row in episodes.splitlines()]
    return tables(
        manifest or "as_of = 2026-01-01\n",
        therapists="therapist_id\n" + "".join(f"{name}\n" for name in sorted({row[2] for row in rows if row[2]})),
        clients="client_id\n" + "".join(f"{name}\n" for name in sorted({row[1] for row in rows})),
        episodes=EPISODES + episodes,
        measures=MEASURES + measures,
    )


def known(data: Dataset) -> Snapshot:
    return History(data).as_of(None if data.manifest.undated else AS_OF)


def learned(data: Dataset, source: str, **more) -> Target:
    snapshot = known(data)
    head = HeadConfig.model_validate({"name": "head", "source": source, **more})
    return target(head, snapshot, snapshot.episodes(), OutcomeConfig(), SDS)


def value(data: Dataset, source: str, **more) -> float:
    return float(learned(data, source, **more).value[0])


def phq9(session: int, score: float, on: str = "2025-02-01") -> str:
    return f"e1,{session},phq9,0,client,{on},{score}\n"


def wai(session: int, score: float, rater: str = "client") -> str:
    return f"e1,{session},wai_sr,0,{rater},2025-02-01,{score}\n"


# --- outcome --------------------------------------------------------------------------------------------------------


def test_the_outcome_is_intake_less_last_score_in_intake_sds(tables):
    data = dataset(tables, phq9(0, 15, "2025-01-01") + phq9(3, 12) + phq9(6, 10, "2025-03-01"))
    assert value(data, "outcome") == pytest.approx((15 - 10) / 5)


def test_the_outcome_is_the_mean_over_both_instruments(tables):
    gad7 = "e1,0,gad7,0,client,2025-01-01,12\ne1,6,gad7,0,client,2025-03-01,4\n"
    data = dataset(tables, phq9(0, 15, "2025-01-01") + phq9(6, 10) + gad7)
    assert value(data, "outcome") == pytest.approx((5 / 5 + 8 / 4) / 2)


def test_an_instrument_without_a_later_score_is_left_out_of_the_mean(tables):
    data = dataset(tables, phq9(0, 15, "2025-01-01") + phq9(6, 10) + "e1,0,gad7,0,client,2025-01-01,12\n")
    assert value(data, "outcome") == pytest.approx(1.0)


def test_a_score_within_26_weeks_of_the_match_counts_and_one_after_does_not(tables):
    first = phq9(0, 15, "2025-01-01") + phq9(3, 12)
    assert value(dataset(tables, first + phq9(9, 5, "2025-07-02")), "outcome") == pytest.approx(2.0)
    assert value(dataset(tables, first + phq9(9, 5, "2025-07-03")), "outcome") == pytest.approx(0.6)


def test_a_client_without_a_score_after_intake_has_no_outcome_but_belongs_to_the_population(tables):
    found = learned(dataset(tables, phq9(0, 15, "2025-01-01")), "outcome")
    assert np.isnan(found.value[0])
    assert found.possible[0]


def test_a_dropout_has_an_outcome_too(tables):
    episode = "e1,c1,t1,2025-01-01,2025-01-08,2025-02-08,dropout,2\n"
    assert value(dataset(tables, phq9(0, 15, "2025-01-01") + phq9(2, 15), episode), "outcome") == 0.0


def test_a_client_who_never_started_has_no_outcome_and_is_not_missed(tables):
    episodes = "e1,c1,t1,2025-01-01,,2025-02-01,declined,0\ne2,c2,t1,2025-01-01,2025-01-08,,,\n"
    found = learned(dataset(tables, phq9(0, 15, "2025-01-01"), episodes), "outcome")
    assert found.possible.tolist() == [False, True]


def test_whoever_has_a_score_after_intake_has_started(tables):
    episodes = "e1,c1,t1,2025-01-01,,,,\ne2,c2,t1,2025-01-01,2025-01-08,,,\n"
    found = learned(dataset(tables, phq9(0, 15, "2025-01-01") + phq9(1, 10), episodes), "outcome")
    assert found.possible.tolist() == [True, True]


def test_only_scores_known_on_the_day_count(tables):
    data = dataset(tables, phq9(0, 15, "2025-01-01") + phq9(3, 12) + phq9(6, 5, "2025-06-01"))
    snapshot = History(data).as_of(dt.date(2025, 3, 1))
    head = HeadConfig(name="outcome", source="outcome")
    found = target(head, snapshot, snapshot.episodes(), OutcomeConfig(), SDS)
    assert found.value[0] == pytest.approx((15 - 12) / 5)


def test_intake_sds_are_those_of_the_totals_at_intake(tables):
    episodes = "".join(f"e{i},c{i},t1,2025-01-01,,,,\n" for i in range(3))
    measures = "".join(
        f"e{i},0,phq9,0,client,2025-01-01,{v}\ne{i},4,phq9,0,client,,3\n" for i, v in enumerate((5, 10, 15))
    )
    assert intake_sds(known(dataset(tables, measures, episodes)), ("phq9", "gad7")) == {"phq9": 5.0}


# --- dropout --------------------------------------------------------------------------------------------------------


def test_courses_hold_the_change_since_intake_at_every_session_with_a_score(tables):
    gad7 = "e1,0,gad7,0,client,2025-01-01,12\ne1,6,gad7,0,client,2025-03-01,4\n"
    late = phq9(9, 0, "2025-07-03")
    data = dataset(tables, phq9(0, 15, "2025-01-01") + phq9(3, 12) + phq9(6, 10, "2025-03-01") + gad7 + late)
    snapshot = known(data)
    found = courses(snapshot.measures(), snapshot.episodes(), OutcomeConfig(), SDS)
    assert found.row.tolist() == [0, 0]
    assert found.session.tolist() == [3, 6]
    assert found.change == pytest.approx([0.6, (5 / 5 + 8 / 4) / 2])
    assert found.intake == pytest.approx([3.0, 3.0])
    assert found.last.tolist() == [False, True]


def two_kinds(tables) -> Dataset:
    """400 clients who change by 1 in all, half of it by session 2, when every fourth leaves."""
    episodes, measures = "", ""
    for i in range(400):
        left = i % 4 == 0
        ending = "dropout,2" if left else "planned,6"
        episodes += f"e{i},c{i},t{i % 8},2025-01-01,2025-01-08,2025-03-08,{ending}\n"
        scores = ((0, 15), (2, 12.5)) if left else ((0, 15), (2, 12.5), (6, 10))
        measures += "".join(f"e{i},{session},phq9,0,client,2025-02-01,{score}\n" for session, score in scores)
    return dataset(tables, measures, episodes)


def handled(data: Dataset, dropout: str) -> Target:
    snapshot = known(data)
    head, outcome = HeadConfig(name="outcome", source="outcome"), OutcomeConfig(dropout=dropout)
    return target(head, snapshot, snapshot.episodes(), outcome, SDS)


def test_the_outcome_of_who_left_is_the_last_score_unless_told_otherwise(tables):
    data = two_kinds(tables)
    left = known(data).episodes()["ending"] == "dropout"
    assert learned(data, "outcome").value[left] == pytest.approx(np.full(100, 0.5))
    assert handled(data, "last").weight is None


def test_the_outcome_of_who_left_may_be_what_is_expected_at_the_end(tables):
    data = two_kinds(tables)
    found = handled(data, "expected")
    assert found.value == pytest.approx(np.full(400, 1.0), abs=0.01)
    assert found.weight is None


def test_who_left_may_be_weighted_for_by_those_who_stayed(tables):
    data = two_kinds(tables)
    left = (known(data).episodes()["ending"] == "dropout").to_numpy()
    found = handled(data, "weighted")
    assert np.isnan(found.value[left]).all()
    assert not found.possible[left].any()
    assert found.weight is not None
    assert found.weight[~left] == pytest.approx(np.ones(300), abs=1e-6)


# --- alliance -------------------------------------------------------------------------------------------------------


def test_the_alliance_is_the_mean_over_sessions_3_to_5(tables):
    found = learned(dataset(tables, wai(2, 1) + wai(3, 3) + wai(5, 4) + wai(6, 5)), "alliance")
    assert found.value[0] == pytest.approx(3.5)
    assert not found.flagged[0]


def test_the_alliance_of_session_2_stands_in_and_is_flagged(tables):
    found = learned(dataset(tables, wai(1, 1) + wai(2, 4)), "alliance")
    assert found.value[0] == 4.0
    assert found.flagged[0]


def test_the_alliance_of_session_1_never_counts(tables):
    assert np.isnan(value(dataset(tables, wai(1, 4)), "alliance"))


def test_the_alliance_is_the_clients_own_rating(tables):
    assert np.isnan(value(dataset(tables, wai(3, 4, "therapist")), "alliance"))


# --- endings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "expected"),
    [("planned", 1.0), ("dropout", 0.0), ("transferred", None), ("stepped_up", None), ("ongoing", None)],
)
def test_retention_is_planned_against_dropout_and_all_else_is_censored(tables, ending: str, expected: float | None):
    data = dataset(tables, episodes=f"e1,c1,t1,2025-01-01,2025-01-08,2025-05-01,{ending},8\n")
    found = learned(data, "retention")
    assert found.known[0] == (expected is not None)
    assert found.possible[0] == (expected is not None)
    if expected is not None:
        assert found.value[0] == expected


@pytest.mark.parametrize(
    ("ending", "attended", "left_early"),
    [("dropout", 2, True), ("dropout", 3, False), ("planned", 1, False), ("transferred", 4, False)],
)
def test_early_dropout_is_before_session_3_and_staying_is_the_good_result(
    tables, ending: str, attended: int, left_early: bool
):
    data = dataset(tables, episodes=f"e1,c1,t1,2025-01-01,2025-01-08,2025-05-01,{ending},{attended}\n")
    assert value(data, "early_dropout") == (0.0 if left_early else 1.0)


def test_whether_a_transfer_before_session_3_would_have_stayed_is_unknown(tables):
    data = dataset(tables, episodes="e1,c1,t1,2025-01-01,2025-01-08,2025-02-01,transferred,2\n")
    assert np.isnan(value(data, "early_dropout"))


# --- targets declared in a configuration ----------------------------------------------------------------------------


def test_a_declared_measure_is_its_total_at_the_session(tables):
    data = dataset(tables, phq9(8, 7) + phq9(7, 9))
    assert value(data, "measure:phq9@8") == 7.0
    assert np.isnan(value(data, "measure:phq9@9"))


def test_a_declared_measure_points_upwards_when_lower_is_better(tables):
    assert value(dataset(tables, phq9(8, 7)), "measure:phq9@8", direction="lower") == -7.0


def test_a_declared_measure_may_come_from_any_rater_and_the_clients_own_goes_first(tables):
    assert value(dataset(tables, wai(4, 2, "therapist")), "measure:wai_sr@4") == 2.0
    both = wai(4, 2, "therapist") + wai(4, 4, "client") + wai(4, 3, "observer")
    assert value(dataset(tables, both), "measure:wai_sr@4") == 4.0
    assert value(dataset(tables, wai(4, 2, "therapist") + wai(4, 3, "observer")), "measure:wai_sr@4") == 3.0


def test_a_landmark_admits_measures_up_to_its_session_and_none_after(tables):
    data = dataset(tables, phq9(0, 15, "2025-01-01") + phq9(1, 12) + phq9(2, 11) + phq9(3, 10))
    found = learned(data, "outcome", landmark=2)
    assert list(found.landmark.columns) == ["landmark.phq9@1", "landmark.phq9@2"]
    assert found.landmark.iloc[0].tolist() == [12.0, 11.0]


def test_without_a_landmark_no_later_measure_is_seen(tables):
    assert learned(dataset(tables, phq9(0, 15) + phq9(1, 12)), "outcome").landmark.shape[1] == 0


# --- who is old enough ----------------------------------------------------------------------------------------------


def test_only_matches_at_least_thirty_weeks_old_are_learned_from(tables):
    cut = pd.Timestamp(AS_OF) - pd.Timedelta(weeks=30)
    days = [cut.date(), cut.date() + dt.timedelta(days=1)]
    episodes = "".join(f"e{i},c1,t1,{day},{day},,,\n" for i, day in enumerate(days))
    assert learnable(known(dataset(tables, episodes=episodes)), 30)["episode_id"].tolist() == ["e0"]


def test_an_episode_without_a_therapist_is_not_learned_from(tables):
    episodes = "e1,c1,,,,,waiting,\ne2,c2,t1,2025-01-01,2025-01-08,,,\n"
    assert learnable(known(dataset(tables, episodes=episodes)), 30)["episode_id"].tolist() == ["e2"]


def test_undated_episodes_are_all_old_enough_and_count_as_started(tables):
    data = dataset(tables, "e1,4,phq9,0,client,,7\n", "e1,c1,t1,,,,,\n", "undated = true\n")
    assert learnable(known(data), 30)["episode_id"].tolist() == ["e1"]
    assert value(data, "measure:phq9@4") == 7.0
