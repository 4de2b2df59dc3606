"""Two models side by side: what they learned from, look at and found, and for whom another therapist stands first."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from data.errors import ConfigError
from training.audit.document import Audit
from training.audit.importances import FeatureImportance, Importance, Interval, Matching, Prognostic
from training.bundle import Bundle
from training.comparing.ranks import correlations, ranked_differently
from training.comparing.sides import Side
from training.comparing.whole import compared
from training.comparing.words import lines
from training.run import Trained
from training.storage import load

if TYPE_CHECKING:
    from data.dataset import Dataset
    from data.synthetic.truth import Truth

AnAudit = Callable[..., Audit]


@pytest.fixture(scope="module")
def bundle(trained: Trained) -> Bundle:
    return load(trained.folder)


def otherwise(bundle: Bundle, **words: Any) -> Bundle:
    """The bundle with other words in its manifest."""
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"bundle_id": "b2", **words}))


def told(first: Bundle, second: Bundle, *audits: Audit) -> dict[str, Any]:
    one, other = audits or (None, None)
    return compared(Side(first, one), Side(second, other))


def between(value: float, half: float = 0.01) -> Interval:
    return Interval(value=value, low=value - half, high=value + half)


def important(name: str, order: float, prognosis: float, **words: Any) -> FeatureImportance:
    matching = Matching(spread=between(order), first_changes=between(order))
    prognostic = Prognostic(contribution=between(prognosis), share=0.1)
    rule = {"kind": "match", "part": "fit", "status": "allowed", "expected": "+", "learned": "+", "verdict": "drives"}
    own = {"matching": {"utility": matching}, "prognostic": {"outcome": prognostic}}
    return FeatureImportance(name=name, meaning=name, says=name, **{**rule, **own, **words})


# --- data, features, importance -------------------------------------------------------------------------------------


def test_a_model_beside_itself_differs_in_nothing(bundle: Bundle):
    same = told(bundle, bundle)
    assert same["data"]["same"]
    assert same["features"]["policy"]["same"]
    assert (same["features"]["added"], same["features"]["removed"], same["groups_worse"]) == ([], [], [])
    assert all(row["first"] == row["second"] for row in same["metrics"]["figures"])
    assert same["metrics"]["note"] == "tested on the same clients"


def test_data_are_told_by_name_hash_day_rows_and_notes(bundle: Bundle):
    later = otherwise(bundle, data_hash="f" * 16, as_of=dt.date(2027, 1, 1), notes="a year more")
    data = told(bundle, later)["data"]
    assert not data["same"]
    assert data["second"]["data_hash"] == "f" * 16
    assert (data["second"]["as_of"], data["second"]["notes"]) == ("2027-01-01", "a year more")
    assert data["first"]["rows"]["outcome"] == bundle.heads["outcome"].info.rows
    assert "a year more" in "\n".join(lines(told(bundle, later)))


def test_features_and_heads_that_came_and_went_are_named(bundle: Bundle):
    words = {name: value for name, value in bundle.features.words.items() if name != "wishes_met"}
    heads = {name: head for name, head in bundle.heads.items() if name != "alliance"}
    less = replace(otherwise(bundle), features=replace(bundle.features, words=words), heads=heads)
    found = told(bundle, less)["features"]
    assert (found["removed"], found["heads_removed"], found["added"]) == (["wishes_met"], ["alliance"], [])
    assert told(less, bundle)["features"]["added"] == ["wishes_met"]


def test_a_rule_of_the_policy_that_changed_is_told_with_both(bundle: Bundle, an_audit: AnAudit):
    other = otherwise(bundle, policy_hash="0" * 16)
    both = [
        an_audit(one.manifest, importance=Importance(features=(important("wishes_met", 0.1, 0, expected=sign),)))
        for one, sign in ((bundle, "+"), (other, "?"))
    ]
    found = told(bundle, other, *both)["features"]
    (rule,) = found["rules"]
    assert (rule["feature"], rule["first"]["expected"], rule["second"]["expected"]) == ("wishes_met", "+", "?")
    assert "rule of wishes_met: expected + -> ?" in "\n".join(lines(told(bundle, other, *both)))
    assert "cannot be told without an audit" in told(bundle, other)["features"]["note"]


def test_the_largest_changes_of_importance_come_first_for_order_and_prognosis_apart(bundle: Bundle, an_audit: AnAudit):
    before = (important("a", 0.30, 0.10), important("b", 0.20, 0.10), important("gone", 0.05, 0.0))
    after = (important("a", 0.31, 0.30), important("b", 0.02, 0.11))
    both = [an_audit(bundle.manifest, importance=Importance(features=found)) for found in (before, after)]
    found = told(bundle, otherwise(bundle), *both)["importance"]
    assert [row["feature"] for row in found["order"]] == ["b", "gone", "a"]
    assert [row["change"] for row in found["order"]] == pytest.approx([-0.18, -0.05, 0.01])
    assert found["order"][1]["second"] is None
    assert (found["prognosis"][0]["feature"], found["prognosis"][0]["head"]) == ("a", "outcome")


def test_a_missing_audit_is_said(bundle: Bundle, an_audit: AnAudit):
    found = compared(Side(bundle, an_audit(bundle.manifest)), Side(otherwise(bundle), None))["importance"]
    assert (found["order"], found["prognosis"]) == (None, None)
    assert "not compared: no audit" in found["note"]
    assert "b2" in found["note"]


# --- tests ----------------------------------------------------------------------------------------------------------


def with_group(bundle: Bundle, **figures: Any) -> Bundle:
    row = {"attribute": "gender", "group": "woman", "n": 100, **figures}
    hidden = {"attribute": "gender", "group": "unknown", "n": None}
    heads = {"outcome": {**bundle.manifest.evaluation["heads"]["outcome"], "groups": [row, hidden]}}
    return otherwise(bundle, evaluation={**bundle.manifest.evaluation, "heads": heads})


def wide(value: float, half: float) -> dict[str, float]:
    return {"value": value, "low": value - half, "high": value + half}


@pytest.mark.parametrize(("before", "after", "worse", "clear"), [
    ({"gain": wide(0.2, 0.01)}, {"gain": wide(0.1, 0.01)}, True, True),
    ({"gain": wide(0.2, 0.1)}, {"gain": wide(0.1, 0.1)}, True, False),
    ({"gain": wide(0.2, 0.01)}, {"gain": wide(0.185, 0.01)}, False, False),
    ({"gain": wide(0.1, 0.01)}, {"gain": wide(0.2, 0.01)}, False, False),
    ({"bias": wide(0.0, 0.01)}, {"bias": wide(-0.2, 0.01)}, True, True),
    ({"bias": wide(-0.2, 0.01)}, {"bias": wide(0.1, 0.01)}, False, False),
])  # fmt: skip
def test_a_group_is_named_where_its_gain_falls_or_its_error_grows(
    bundle: Bundle, before: dict[str, Any], after: dict[str, Any], worse: bool, clear: bool
):
    found = told(with_group(bundle, **before), with_group(bundle, **after))["groups_worse"]
    assert [(one["group"], one["clear"]) for one in found] == ([("woman", clear)] if worse else [])


def test_figures_of_other_clients_are_said_to_be_so_and_those_of_no_test_too(bundle: Bundle):
    assert "tested on different clients" in told(bundle, otherwise(bundle, data_hash="f"))["metrics"]["note"]
    untested = otherwise(bundle, evaluation={"note": "too few"})
    found = told(bundle, untested)
    assert found["metrics"]["note"] == "not tested: bundle b2"
    assert {row["second"] for row in found["metrics"]["figures"]} == {None}
    assert "unknown" in "\n".join(lines(found))


# --- who is ranked differently --------------------------------------------------------------------------------------


def test_nobody_is_ranked_differently_by_the_same_model(bundle: Bundle, clinic: "tuple[Dataset, Truth]"):
    found = ranked_differently(clinic[0], bundle, bundle)
    everybody = found["all"]
    assert everybody["n"] > 0
    assert everybody["another_first"]["value"] == 0
    assert everybody["correlation"]["value"] == pytest.approx(1)
    assert everybody["given_up"]["value"] == 0


def test_a_model_that_turns_the_order_round_puts_another_first_for_everybody(
    bundle: Bundle, clinic: "tuple[Dataset, Truth]"
):
    turned = {name: replace(head, info=replace(head.info, sd=-head.info.sd)) for name, head in bundle.heads.items()}
    found = ranked_differently(clinic[0], bundle, replace(otherwise(bundle), heads=turned))
    assert found["all"]["another_first"]["value"] == 1
    assert found["all"]["correlation"]["value"] == pytest.approx(-1)
    assert found["all"]["given_up"]["value"] > 0
    women = next(row for row in found["by_group"] if (row["attribute"], row["group"]) == ("gender", "woman"))
    assert women["another_first"]["value"] == 1
    assert all("another_first" not in row for row in found["by_group"] if row["n"] is None)


def test_data_without_a_choice_cannot_tell(bundle: Bundle, clinic: "tuple[Dataset, Truth]"):
    frames = clinic[0].frames
    nobody = replace(clinic[0], frames={**frames, "episodes": frames["episodes"][:0], "offers": frames["offers"][:0]})
    with pytest.raises(ConfigError, match="had a choice of therapists"):
        ranked_differently(nobody, bundle, bundle)


def test_orders_are_correlated_client_by_client():
    client = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 3])
    one = np.array([1.0, 2, 3, 1, 2, 3, 1, 2, 5, 5, 5])
    other = np.array([10.0, 20, 99, 3, 2, 1, 1, 2, 1, 2, 3])
    found = correlations(client, one, other)
    assert found[:2].tolist() == [1, -1]
    assert np.isnan(found[2:]).all()  # too few to tell, and all alike
