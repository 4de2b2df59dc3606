"""Evaluation in words: what is said is true on clinics whose truth is known, and follows the numbers of the run."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.dataset import Dataset
from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from data.synthetic.truth import Truth
from training.audit.document import Chart, Section, Table, Words
from training.audit.evaluated.falsified import Control, controls, known_at_intake, slopes, sure_of, unchanged
from training.audit.evaluated.gains import gain_of_first, units
from training.audit.evaluated.heads import truth_findings, truth_words
from training.audit.evaluated.past import clear, e_value
from training.audit.evaluated.section import section
from training.audit.examined import Examined, examined
from training.audit.ranked import Ranked, ranked
from training.config import DEFAULT_HEADS, HeadConfig, TrainConfig
from training.evaluate import Offered, Resamples
from training.run import Trained, train

OUTCOME = TrainConfig(heads=DEFAULT_HEADS[:1], bootstraps=100)
BLAME = re.compile(r"\b(best|worst|poor|poorly|ineffective|safe)\b", re.IGNORECASE)

Audited = Callable[[Arm, int], Examined]


@pytest.fixture(scope="module")
def clinics(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    """A clinic of an arm, learned from for its outcome alone, each once."""
    kept: dict[tuple[Arm, int], Examined] = {}

    def make(arm: Arm, seed: int) -> Examined:
        if (arm, seed) not in kept:
            dataset, _ = simulate(Plan(arm=arm, episodes=4000, therapists=60, seed=seed))
            folder = tmp_path_factory.mktemp(f"{arm}-{seed}") / "bundle"
            train(dataset, OUTCOME, folder)
            kept[arm, seed] = examined(folder, dataset)
        return kept[arm, seed]

    return make


@pytest.fixture(scope="module")
def small(trained: Trained, clinic: tuple[Dataset, Truth]) -> Examined:
    """The small clinic with all its heads."""
    return examined(trained.folder, clinic[0])


def with_evaluation(looked_at: Examined, change: dict[str, Any], **manifest: Any) -> Examined:
    """The same as if `train` had found otherwise."""
    evaluation = {**looked_at.evaluation, **change}
    changed = looked_at.bundle.manifest.model_copy(update={"evaluation": evaluation, **manifest})
    return replace(looked_at, bundle=replace(looked_at.bundle, manifest=changed))


def with_gain(looked_at: Examined, low: float, value: float, high: float) -> Examined:
    utility = dict(looked_at.evaluation["utility"])
    gains = dict(utility["over_next_available"])
    gains["model"] = {**gains["model"], "gain": {"value": value, "low": low, "high": high}}
    found = {"utility": {**utility, "over_next_available": gains}}
    return with_evaluation(looked_at, found, proven=low > 0)


def told(found: Section) -> str:
    """Every word of a section that people read."""
    lines = [found.title, *found.says, *(one.words for one in found.findings)]
    for part in found.parts:
        lines.append(part.title)
        if isinstance(part, Words):
            lines += part.lines
        else:
            lines.append(part.note)
            lines += [column.label for column in part.columns]
            lines += [cell for row in part.rows for cell in row if isinstance(cell, str)]
    return "\n".join(lines)


def looked(found: Section) -> str:
    return "\n".join(one.words for one in found.findings if one.level in ("look", "stop"))


def failing(looked_at: Examined) -> list[Control]:
    rows = ranked(looked_at)
    assert rows is not None
    return [control for control in controls(looked_at, rows) if not control.holds]


# -- what is true on clinics whose truth is known -----------------------------------------------------------------


def test_where_severe_clients_are_sent_to_some_therapists_a_control_shows_it(clinics: Audited):
    looked_at = clinics("confounded", 3)
    assert "severity at intake" in [control.name for control in failing(looked_at)]
    assert "Not everything that must come to nothing did" in looked(section(looked_at))
    (gain,) = (one for one in section(with_gain(looked_at, 0.1, 0.2, 0.3)).findings if "proven" in one.words)
    assert gain.level == "note", "a gain is not simply fine where a control failed"
    assert "a control failed" in gain.words


def test_where_nobody_is_sent_by_severity_no_control_is_flagged(clinics: Audited):
    looked_at = clinics("base", 5)
    assert failing(looked_at) == []
    assert "must come to nothing" not in looked(section(looked_at))


def test_controls_that_cannot_fail_are_not_counted_among_those_that_held(clinics: Audited):
    looked_at = clinics("base", 5)
    rows = ranked(looked_at)
    assert rows is not None
    found = controls(looked_at, rows)
    assert [one.name for one in found if one.by_design] == ["dealt by lot", "results of others"]
    assert f"{len(found) - 2} controls that must come to nothing" in " ".join(section(looked_at).says)


def test_a_small_difference_that_is_surely_there_is_not_called_chance(clinics: Audited):
    rows = ranked(clinics("base", 5))
    assert rows is not None
    own = rows.offered.percentile(rows.utility)
    draws = np.random.default_rng(0).normal(size=len(own))
    rest = draws - np.polyval(np.polyfit(own, draws, 1), own)
    small = unchanged("age", "age", rest / 200 + 0.0004 * own, rows, 1)
    assert small.holds
    assert ("more than chance brings, but 0.10 SD at most" in small.words) == (small.figure.low > 0)
    sure = unchanged("age", "age", own, rows, 1)
    assert not sure.holds
    assert sure.words.endswith("more than chance brings.")


def test_where_therapists_do_not_differ_no_gain_is_claimed(clinics: Audited):
    found = section(clinics("null", 6))
    assert "No gain over the next available therapist is shown" in " ".join(found.says)
    assert "is not proven" in looked(found)
    assert "A gain over the next available therapist is not shown" in [part.title for part in found.parts]
    assert failing(clinics("null", 6)) == []


def test_where_therapists_differ_the_gain_is_told_with_its_interval_and_in_points(clinics: Audited):
    looked_at = clinics("base", 5)
    gain = looked_at.evaluation["utility"]["over_next_available"]["model"]["gain"]
    assert gain["low"] > 0
    says = " ".join(section(looked_at).says)
    assert f"{gain['value']:+.2f} ({gain['low']:+.2f} to {gain['high']:+.2f}) SD" in says
    assert "points of PHQ-9" in says


def test_a_score_at_intake_that_was_learned_as_a_result_is_a_control(small: Examined):
    heads = (*DEFAULT_HEADS, HeadConfig(name="intake", source="measure:phq9@0", direction="lower"))
    found = {"rows": 200, "rank_validity": {"value": 0.3, "low": 0.2, "high": 0.4}}
    learned = with_evaluation(small, {"heads": {**small.evaluation["heads"], "intake": found}})
    looked_at = replace(learned, config=small.config.model_copy(update={"heads": heads}))
    assert [one.holds for one in known_at_intake(looked_at)] == [False]
    assert "intake learned as a result" in " ".join(section(looked_at).says)


# -- words follow numbers -----------------------------------------------------------------------------------------


def test_words_and_level_change_with_the_lower_end_of_the_gain(small: Examined):
    above, below = section(with_gain(small, 0.01, 0.2, 0.4)), section(with_gain(small, -0.01, 0.2, 0.4))
    assert "was worth +0.20 (+0.01 to +0.40) SD" in " ".join(above.says)
    assert "is proven, in the sense given below" in " ".join(above.says)
    assert "the interval of the gain does not lie above 0" in " ".join(below.says)
    assert "The gain over the next available therapist is not proven" in looked(below)
    assert "The gain over the next available therapist is not proven" not in looked(above)
    lost = section(with_gain(small, -0.3, -0.2, -0.1))
    assert "was a loss: -0.20 (-0.30 to -0.10) SD" in " ".join(lost.says)


def test_every_reason_for_which_a_gain_is_not_proven_is_told(small: Examined):
    change = {"forward": False, "test_from": None, "offers_recorded": False}
    says = " ".join(section(with_evaluation(with_gain(small, 0.1, 0.2, 0.3), change, proven=False)).says)
    assert "it was not tested forward in time; who was available was not recorded." in says
    assert "the data have no dates" in says
    few = with_evaluation(with_gain(small, 0.1, 0.2, 0.3), {"therapists_tested": 4}, proven=False)
    assert "only 4 therapists were tested" in " ".join(section(few).says)


def test_a_bundle_that_was_not_tested_says_that_nothing_is_known(small: Examined):
    bare = small.bundle.manifest.model_copy(update={"evaluation": {"note": "not evaluated: too few"}})
    found = section(replace(small, bundle=replace(small.bundle, manifest=bare), tested=None))
    assert found.says == ("This model was not tested: not evaluated: too few. Nothing here says whether it works.",)
    assert [one.level for one in found.findings] == ["look"]
    assert found.parts == ()


def test_without_the_tested_bundle_the_figures_stay_and_controls_are_said_to_be_missing(small: Examined):
    found = section(replace(small, tested=None))
    assert "could not be tried" in " ".join(found.says)
    assert "gains" in [part.id for part in found.parts if isinstance(part, Chart)]


def test_predictions_that_did_not_come_true_are_to_be_looked_at(small: Examined):
    heads = dict(small.evaluation["heads"])
    wide = {"slope": {"value": 0.3, "low": 0.1, "high": 0.5}, "bias": {"value": 0.4, "low": 0.3, "high": 0.5}}
    heads["outcome"] = {**heads["outcome"], "calibration": {**heads["outcome"]["calibration"], **wide}}
    said = looked(section(with_evaluation(small, {"heads": heads})))
    assert "Results of outcome rose by 0.30 (0.10 to 0.50) for every 1 predicted." in said
    assert "Results of outcome lay +0.40 (+0.30 to +0.50) SD from what was predicted" in said


def test_an_interval_that_holds_both_one_and_nothing_bears_no_prediction_out():
    def head(low: float, high: float) -> dict[str, Any]:
        bias = {"value": 0.0, "low": -0.05, "high": 0.05}
        return {"r2": {}, "calibration": {"slope": {"value": (low + high) / 2, "low": low, "high": high}, "bias": bias}}

    sure, unsure = {"outcome": head(0.8, 1.2)}, {"outcome": head(0.8, 1.2), "early_dropout": head(-7.0, 13.5)}
    assert truth_words(sure) == (
        "For every 1 by which outcome was predicted to differ, it differed by 1.00 (0.80 to 1.20), as it should.",
    )
    assert "too uncertain to tell 1, as it should be, from nothing" in truth_words(unsure)[1]
    assert [one.level for one in truth_findings(sure)] == ["fine"]
    (found,) = truth_findings(unsure)
    assert found.level == "note"
    assert "early dropout" in found.words


def test_past_choices_that_cannot_be_valued_are_told_with_the_reason(small: Examined):
    found = section(with_evaluation(small, {"off_policy": {"note": "no value: fewer than 100 clients"}}))
    assert "Past choices could not be valued: no value: fewer than 100 clients." in told(found)


def test_a_gain_of_past_choices_comes_with_what_could_explain_it_away(small: Examined):
    past = {
        "propensity": {"share_recorded": 0.1, "clients": 900, "least": 0.01, "share_clipped": 0.0},
        "heads": {
            "outcome": {
                "policies": {
                    "top_tenth": {
                        "gain": {"value": 0.2, "low": 0.1, "high": 0.3},
                        "effective_size": 99.0,
                        "clients": 800,
                        "warning": "rough",
                    }
                },
                "power": {"words": "With 800 later clients ..."},
                "target_trial": {"eligibility": "800 courses", "assumptions": {}},
            }
        },
    }
    found = told(section(with_evaluation(small, {"off_policy": past})))
    assert f"a ratio of about {e_value(0.2):.1f} each ({e_value(0.1):.1f} for the lower end)" in found
    assert "worth 99 clients of an experiment, which is little: the interval itself is rough" in found
    assert "With 800 later clients" in found


def test_of_several_gains_of_past_choices_one_must_be_clearer_than_of_one_alone():
    gain = {"value": 0.2, "low": 0.03, "high": 0.37}  # 1.94 errors from 0
    assert not clear(gain, 1, 1000)
    sure = {"value": 0.24, "low": 0.07, "high": 0.41}  # 2.32
    assert clear(sure, 1, 1000)
    assert not clear(sure, 1, 4), "worth four clients of an experiment it is worth little"
    assert not clear(sure, 3, 1000)
    assert not clear({"value": 0.0, "low": 0.0, "high": 0.0}, 1, 1000)


def test_every_way_to_choose_stands_beside_the_model_under_every_regime(small: Examined):
    (table,) = (one for one in section(small).parts if isinstance(one, Table) and one.id == "gains-by-regime")
    assert [column.label for column in table.columns[2:]] == [
        "Came true: free choice",
        "Came true: available slots",
        "Came true: full caseloads",
    ]
    ways = [row[0] for row in table.rows]
    assert {"this model", "a shrunken therapist mean", "preferences only"} <= set(ways)
    assert ways[-1] == "the prognosis alone: the same of every therapist"


def test_nobody_is_called_names_and_no_picture_is_heavy(small: Examined):
    found = section(small)
    assert not BLAME.search(told(found))
    assert not any(str(name) in told(found) for name in small.test["therapist_id"].unique())
    assert all(len(part.svg) < 40_000 for part in found.parts if isinstance(part, Chart))


# -- how it is worked out -----------------------------------------------------------------------------------------


def test_points_are_sds_of_the_head_in_units_of_the_questionnaire(small: Examined):
    outcome, alliance, retention, _ = DEFAULT_HEADS
    heads, sds = small.asked.heads, small.asked.manifest.intake_sds
    assert units(small, outcome)["points of PHQ-9"] == heads["outcome"].info.sd * sds["phq9"]
    assert units(small, alliance) == {"points of WAI-SR": heads["alliance"].info.sd}
    assert units(small, retention) == {"more planned endings in 100 clients": 100 * heads["retention"].info.sd}


def test_the_gain_of_a_head_alone_is_the_one_that_train_found(clinics: Audited):
    looked_at = clinics("base", 5)
    rows = ranked(looked_at)
    assert rows is not None
    found = looked_at.evaluation["heads"]["outcome"]["policy"]["gain"]
    assert gain_of_first(rows, "outcome").value == pytest.approx(found["value"], rel=1e-6)


def test_the_rank_of_every_pair_is_that_of_the_assigned_one_if_it_were_assigned():
    rng = np.random.default_rng(0)
    client = np.repeat(np.arange(5), 4)
    score = rng.integers(0, 3, 20).astype(np.float64)  # with ties
    for place in range(4):
        assigned = np.arange(20) % 4 == place
        offered = Offered(client, assigned)
        rows = Ranked((), offered, {}, {}, {}, Resamples.of(np.arange(5), 50, 0))
        assert rows.percentiles(score)[assigned] == pytest.approx(offered.percentile(score))


@given(st.integers(0, 1000))
def test_slopes_of_many_are_the_least_squares_slopes_of_each(seed: int):
    rng = np.random.default_rng(seed)
    y, x, control, weight = rng.normal(size=30), rng.normal(size=(3, 30)), rng.normal(size=30), rng.random(30)
    root = np.sqrt(weight)[:, None]
    for i, found in enumerate(slopes(y, x, control, weight)):
        columns = np.column_stack([x[i], np.ones(30), control])
        assert found == pytest.approx(np.linalg.lstsq(root * columns, root[:, 0] * y, rcond=None)[0][0])


def test_an_e_value_is_1_for_no_gain_and_grows_with_it():
    assert e_value(0.0) == e_value(-0.3) == 1.0
    assert e_value(np.log(2) / 0.91) == pytest.approx(2 + np.sqrt(2))


def test_the_more_controls_are_looked_at_the_surer_each_must_be():
    assert sure_of(1) == pytest.approx(1.96, abs=0.001)
    assert sure_of(4) == pytest.approx(2.498, abs=0.001)
