"""What is claimed where there is nothing to claim, and how certainty is counted."""

import numpy as np

from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from experiments.certainty import certainty
from experiments.contest import prepare
from experiments.falsification import LIMIT, measure, run, shuffled, table

PLAN = Plan(episodes=1500, therapists=40, seed=5)


def test_shuffling_keeps_everyone_s_caseload_in_a_site_and_quarter_and_moves_most():
    dataset, _ = simulate(PLAN)
    before = dataset["episodes"]
    after = shuffled(dataset, 1)["episodes"]
    quarter = before["matched_on"].dt.to_period("Q").astype("str")
    for table_of in (before, after):
        assert (table_of["therapist_id"].notna() == before["therapist_id"].notna()).all()
    caseloads = [one.groupby([one["site"], quarter, "therapist_id"]).size() for one in (before, after)]
    assert caseloads[0].equals(caseloads[1])
    moved = before["therapist_id"].dropna() != after["therapist_id"].dropna()
    assert moved.mean() > 0.5
    assert after.drop(columns="therapist_id").equals(before.drop(columns="therapist_id"))


def test_the_intake_score_as_outcome_is_no_therapist_s_doing():
    found = measure("control", Plan(episodes=1500, therapists=40, seed=5, arm="null"))
    assert abs(found["claimed"]) < LIMIT


def test_a_run_tells_every_kind_and_arm():
    found = run(episodes=1200, therapists=30, seeds=2, arms=("null",), jobs=2)
    assert {kind: list(arms) for kind, arms in found["kinds"].items()} == {"shuffled": ["null"], "control": ["null"]}
    assert 0 <= found["kinds"]["shuffled"]["null"]["abstained"] <= 1
    assert table(found).row_count == 2


def test_certainty_is_counted_against_the_truth():
    contest = prepare(*simulate(PLAN), PLAN.seed)
    found = certainty(contest, 40)
    shares = [found[name] for name in ("covered_80", "covered_95", "set_holds", "abstained")]
    assert all(0 <= share <= 1 for share in shares)
    assert found["covered_80"] <= found["covered_95"]
    assert 1 <= found["set_size"] <= contest.eligible.sum(axis=1).max()
    assert np.isnan(found["declared_right"]) == (found["declared"] == 0)
