"""Totals, bands and change: the rules by which answers become numbers."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data import change, nhs, scoring
from data.errors import DataError, NotFoundError
from data.instruments import CORE10, GAD7, INSTRUMENTS, ORS, PHQ9, WAI_SR, WSAS, Instrument, declared
from data.totals import totals

GAP = np.nan
SCORED = [PHQ9, GAD7, WAI_SR, CORE10, WSAS]


def answers_of(one: Instrument, gaps: bool = False) -> st.SearchStrategy[npt.NDArray[np.float64]]:
    values = st.integers(int(one.item_low), int(one.item_high)).map(float)
    return hnp.arrays(
        float, st.tuples(st.integers(1, 5), st.just(one.items)), elements=values | st.just(GAP) if gaps else values
    )


def test_a_total_is_the_sum_of_all_items():
    assert scoring.total(PHQ9, [[2, 2, 2, 2, 1, 1, 2, 0, 0]]).tolist() == [12]


def test_incomplete_answers_have_no_total_unless_proration_is_asked_for():
    answers = [[GAP, 2, 2, 2, 2, 2, 2, 2, 2]]
    assert np.isnan(scoring.total(PHQ9, answers)[0])
    assert scoring.total(PHQ9, answers, missing="prorate")[0] == 18


@pytest.mark.parametrize(
    ("one", "limit"), [(PHQ9, 2), (GAD7, 1), (CORE10, 1), (WSAS, 1)], ids=lambda v: getattr(v, "id", v)
)
def test_proration_stops_at_the_limit_of_the_instrument(one: Instrument, limit: int):
    rows = np.full((2, one.items), 1.0)
    rows[0, :limit] = GAP
    rows[1, : limit + 1] = GAP
    known = ~np.isnan(scoring.total(one, rows, missing="prorate"))
    assert known.tolist() == [True, False]


def test_without_phq9_item_9_there_is_never_a_total():
    answers = [[1] * 8 + [GAP]]
    assert np.isnan(scoring.total(PHQ9, answers, missing="prorate")[0])


def test_a_prorated_half_is_rounded_up():
    # seven items, mean of the six answered = 9/6 = 1.5, times 7 = 10.5
    assert scoring.total(GAD7, [[GAP, 1, 2, 1, 2, 1, 2]], missing="prorate")[0] == 11


def test_alliance_is_an_item_mean_and_one_item_may_miss_in_each_subscale():
    answers = np.full(12, 4.0)
    answers[[0, 2, 3]] = GAP  # one each of task, bond, goal
    assert scoring.total(WAI_SR, [answers], missing="prorate")[0] == 4
    answers[1] = GAP  # a second one of task
    assert np.isnan(scoring.total(WAI_SR, [answers], missing="prorate")[0])


def test_alliance_subscales_are_means_of_their_own_items():
    answers = np.ones((1, 12))
    answers[0, [3, 5, 7, 10]] = 5
    assert scoring.subscale(WAI_SR, answers, "goal").tolist() == [5]
    assert scoring.subscale(WAI_SR, answers, "task").tolist() == [1]
    assert scoring.subscale(WAI_SR, answers, "bond").tolist() == [1]


def test_a_subscale_that_does_not_exist_is_refused_by_name():
    with pytest.raises(NotFoundError, match="goal, task, bond"):
        scoring.subscale(WAI_SR, np.ones((1, 12)), "warmth")


def test_the_two_reversed_items_of_core10_are_turned_round():
    best = [0, 4, 4, 0, 0, 0, 0, 0, 0, 0]
    worst = [4, 0, 0, 4, 4, 4, 4, 4, 4, 4]
    assert scoring.total(CORE10, [best, worst]).tolist() == [0, 40]


@pytest.mark.parametrize("one", [ORS, declared("own", "own", 0, 10, "lower", items=3)], ids=lambda one: one.id)
def test_an_instrument_kept_as_a_total_is_not_scored_from_items(one: Instrument):
    with pytest.raises(NotFoundError, match="only its total"):
        scoring.total(one, [[1, 1, 1, 1]])


def test_answers_out_of_range_are_named_by_row_and_item():
    with pytest.raises(DataError, match="phq9 row 2 item 4: 4: must be a whole number from 0 to 3"):
        scoring.total(PHQ9, [[0] * 9, [0, 0, 0, 4, 0, 0, 0, 0, 0]])


def test_a_wrong_number_of_items_is_refused():
    with pytest.raises(DataError, match="gad7 has 7 items"):
        scoring.total(GAD7, [[1] * 9])


@pytest.mark.parametrize("one", SCORED, ids=lambda one: one.id)
@given(data=st.data())
def test_totals_lie_in_the_range_and_a_row_alone_scores_as_in_a_crowd(one: Instrument, data: st.DataObject):
    answers = data.draw(answers_of(one, gaps=True))
    together = scoring.total(one, answers, missing="prorate")
    alone = [scoring.total(one, row, missing="prorate")[0] for row in answers]
    np.testing.assert_array_equal(together, alone)
    known = together[~np.isnan(together)]
    assert ((known >= one.low) & (known <= one.high)).all()


@pytest.mark.parametrize("one", SCORED, ids=lambda one: one.id)
@given(data=st.data())
def test_proration_changes_nothing_where_all_is_answered(one: Instrument, data: st.DataObject):
    answers = data.draw(answers_of(one))
    np.testing.assert_array_equal(scoring.total(one, answers), scoring.total(one, answers, missing="prorate"))


@given(data=st.data())
def test_proration_is_the_mean_of_the_answered_items_rounded_half_up(data: st.DataObject):
    answers = data.draw(answers_of(PHQ9, gaps=True))
    for row, score in zip(answers, scoring.total(PHQ9, answers, missing="prorate"), strict=True):
        known = [int(a) for a in row if not np.isnan(a)]
        if len(known) < 7 or np.isnan(row[8]):
            assert np.isnan(score)
        else:
            assert 0 <= score - 9 * sum(known) / len(known) + 0.5 <= 1
            assert score == int(9 * sum(known) / len(known) + 0.5)


def test_a_million_rows_are_scored_in_one_call():
    answers = np.tile(np.arange(9) % 4, (1_000_000, 1))
    found = scoring.total(PHQ9, answers)
    assert found.shape == (1_000_000,)
    assert (found == answers[0].sum()).all()


def test_a_band_begins_at_its_lowest_score():
    assert scoring.band(PHQ9, [4, 5, 9, 10, 14, 15, 19, 20, 27]).tolist() == [
        "none", "mild", "mild", "moderate", "moderate", "moderately_severe", "moderately_severe", "severe", "severe",
    ]  # fmt: skip


def test_an_unknown_total_has_no_band():
    assert scoring.band(GAD7, [np.nan, 15]).tolist() == [None, "severe"]


def test_an_instrument_without_bands_says_so():
    with pytest.raises(NotFoundError, match="ors bands"):
        scoring.band(ORS, [20])


def test_caseness_is_on_the_worse_side_of_the_cut_off():
    assert change.at_caseness(PHQ9, [9, 10]).tolist() == [False, True]
    assert change.at_caseness(ORS, [25, 25.1]).tolist() == [True, False]


def test_an_unknown_score_is_neither_a_case_nor_not():
    assert change.at_caseness(PHQ9, [np.nan])[0] is pd.NA


def test_improvement_is_a_fall_in_symptoms_and_a_rise_in_wellbeing():
    assert change.improvement(PHQ9, [20], [12]).tolist() == [8]
    assert change.improvement(ORS, [20], [26]).tolist() == [6]


def test_reliable_change_begins_at_its_threshold():
    assert change.reliably_improved(PHQ9, [15, 15], [9, 10]).tolist() == [True, False]
    assert change.reliably_deteriorated(PHQ9, [9, 10], [15, 15]).tolist() == [True, False]
    assert change.reliably_improved(ORS, [20.1], [25.1]).tolist() == [True]


def test_change_is_recovered_improved_unchanged_or_deteriorated():
    found = change.change_category(PHQ9, [15, 20, 15, 9, 5, np.nan], [9, 12, 12, 3, 12, 5])
    assert found.tolist() == ["recovered", "improved", "unchanged", "improved", "deteriorated", None]


def test_leaving_the_clinical_range_by_less_than_the_reliable_change_is_no_recovery():
    assert change.clinically_significant(PHQ9, [11, 15], [9, 9]).tolist() == [False, True]
    assert change.change_category(PHQ9, [11], [9]).tolist() == ["unchanged"]


@given(st.lists(st.tuples(st.integers(0, 27), st.integers(0, 27)), min_size=1))
def test_nobody_improves_and_deteriorates_at_once_and_swapping_the_ends_swaps_the_two(pairs: list[tuple[int, int]]):
    first, last = np.array(pairs, dtype=float).T
    better, worse = change.reliably_improved(PHQ9, first, last), change.reliably_deteriorated(PHQ9, first, last)
    assert not (better & worse).any()
    assert (change.reliably_deteriorated(PHQ9, last, first) == better).all()


def test_jacobson_truax_names_the_sd_it_rests_on():
    first, last = [10, 14, 20, 24], [8, 10, np.nan, np.nan]
    everyone = change.jacobson_truax(PHQ9, first, last, reliability=0.84, spread="all_with_intake")
    both = change.jacobson_truax(PHQ9, first, last, reliability=0.84, spread="those_with_both")
    assert (everyone.n, everyone.sd) == (4, pytest.approx(np.std([10, 14, 20, 24], ddof=1)))
    assert (both.n, both.sd) == (2, pytest.approx(np.std([10, 14], ddof=1)))
    assert both.standard_error == pytest.approx(both.sd * np.sqrt(2) * np.sqrt(1 - 0.84))
    assert both.index[1] == pytest.approx(4 / both.standard_error)
    assert both.smallest_reliable_change == pytest.approx(1.96 * both.standard_error)


@pytest.mark.parametrize("reliability", [-0.1, 1.0])
def test_jacobson_truax_refuses_an_impossible_reliability(reliability: float):
    with pytest.raises(DataError, match="0 <= reliability < 1"):
        change.jacobson_truax(PHQ9, [1, 2, 3], [1, 2, 3], reliability, "all_with_intake")


def test_jacobson_truax_needs_two_scores():
    with pytest.raises(DataError, match="at least two"):
        change.jacobson_truax(PHQ9, [1, np.nan], [1, 2], 0.8, "all_with_intake")


def test_the_cut_off_between_two_populations_lies_nearer_to_the_narrower():
    assert change.cut_off(clinical=(20, 5), general=(5, 5)) == 12.5
    assert change.cut_off(clinical=(20, 10), general=(5, 5)) == 10


def measures(rows: list[tuple[str, int, str, str, str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["episode_id", "session", "instrument", "item", "taken_on", "value"])
    frame["taken_on"] = pd.to_datetime(frame["taken_on"]).astype("datetime64[us]")
    return frame.assign(rater="client", session=frame["session"].astype("Int64"))


def test_totals_are_added_where_items_stand_without_one_on_the_day_of_the_last_item():
    rows = [("e1", 0, "gad7", str(i), f"2024-01-0{i}", 2.0) for i in range(1, 8)]
    out = totals(measures(rows))
    added = out[out["item"] == "0"]
    assert added["value"].tolist() == [14]
    assert added["taken_on"].dt.strftime("%d").tolist() == ["07"]
    assert len(out) == 8


def test_a_total_that_is_there_is_left_alone():
    rows = [("e1", 0, "gad7", str(i), "2024-01-01", 2.0) for i in range(1, 8)]
    given_rows = measures([*rows, ("e1", 0, "gad7", "0", "2024-01-01", 13.0)])
    pd.testing.assert_frame_equal(totals(given_rows), given_rows)


def test_a_total_is_not_added_from_incomplete_items_unless_proration_is_asked_for():
    rows = measures([("e1", 0, "gad7", str(i), "2024-01-01", 2.0) for i in range(1, 7)])
    assert len(totals(rows)) == 6
    assert totals(rows, missing="prorate")["value"].iloc[-1] == 14


def test_totals_of_different_sessions_and_raters_stay_apart():
    rows = [("e1", s, "gad7", str(i), "2024-01-01", float(s)) for s in (1, 2) for i in range(1, 8)]
    out = totals(measures(rows))
    added = out[out["item"] == "0"]
    assert dict(zip(added["session"], added["value"], strict=True)) == {1: 7, 2: 14}


def courses(**scores: float) -> pd.Series:
    given_scores = {"phq9_first": 15, "phq9_last": 5, "gad7_first": 12, "gad7_last": 4, "sessions_attended": 6} | scores
    return nhs.outcomes(**{name: [value] for name, value in given_scores.items()}).iloc[0]


def test_recovery_needs_caseness_on_either_first_and_both_below_last():
    assert courses()["recovery"]
    assert courses(gad7_first=3, gad7_last=3)["recovery"]
    assert not courses(gad7_last=8)["recovery"]
    assert not courses(phq9_first=9, gad7_first=7)["at_caseness"]


def test_improvement_on_one_does_not_count_if_the_other_has_risen_by_its_own_threshold():
    assert courses(phq9_last=9, gad7_last=15)["reliable_improvement"]
    assert not courses(phq9_last=9, gad7_last=16)["reliable_improvement"]


def test_deterioration_mirrors_improvement():
    assert courses(phq9_last=21, gad7_last=9)["reliable_deterioration"]
    assert not courses(phq9_last=21, gad7_last=8)["reliable_deterioration"]
    assert not courses(phq9_last=20, gad7_last=12)["reliable_deterioration"]


def test_reliable_recovery_needs_both_recovery_and_reliable_improvement():
    found = courses(phq9_first=10, phq9_last=9, gad7_first=7, gad7_last=5)
    assert found["recovery"]
    assert not found["reliable_recovery"]
    assert courses()["reliable_recovery"]


def test_a_course_of_one_session_does_not_count():
    found = courses(sessions_attended=1)
    assert not found["counted"]
    assert found.drop("counted").isna().all()


def test_an_unknown_last_score_leaves_recovery_unknown_unless_the_other_decides():
    assert courses(gad7_last=np.nan)["recovery"] is pd.NA
    assert courses(phq9_last=12, gad7_last=np.nan)["recovery"] == False  # noqa: E712


def test_rates_are_over_those_at_caseness_for_recovery_and_over_all_for_change():
    table = nhs.outcomes([15, 15, 5, 5], [5, 15, 5, 12], [3] * 4, [3] * 4, [6] * 4)
    assert nhs.rates(table) == {
        "recovery": 0.5,
        "reliable_recovery": 0.5,
        "reliable_improvement": 0.25,
        "reliable_deterioration": 0.25,
    }


scores = st.integers(0, 21) | st.just(np.nan)


@given(st.tuples(scores, scores, scores, scores, st.integers(0, 5)))
def test_reliable_recovery_implies_recovery_improvement_and_no_deterioration(course: tuple[float, ...]):
    row = nhs.outcomes(*[[value] for value in course]).fillna(False).iloc[0]
    assert not row["reliable_recovery"] or (row["recovery"] and row["reliable_improvement"])
    assert not (row["reliable_improvement"] and row["reliable_deterioration"])


def test_every_shipped_instrument_scored_from_items_is_covered_by_these_tests():
    assert [one for one in INSTRUMENTS.values() if one.scored and not one.totals_only] == SCORED
