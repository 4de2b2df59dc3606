"""Signing, approving and rejecting: what is demanded of a person, and what the record keeps of it."""

import datetime as dt
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from data.database import connect
from data.decisions import Decision, append_decision, evidence_of, history, published
from data.errors import BundleError, GateError
from data.migrating import open_database
from features.policy import Policy
from training.audit.document import Audit, Section, evidence_hash
from training.deciding import Wish, decide, publish, unsigned
from training.signing import holding, verdict

AnAudit = Callable[..., Audit]
LEAD, WHY = "A. Lead", "read it"
FEATURES = ("severity", "wishes_met", "homework_gap")


@pytest.fixture
def engine(database: str) -> Iterator[sa.Engine]:
    found = open_database(database)
    yield found
    found.dispose()


def do(engine: sa.Engine, action: Any, audit: Audit, who: str = LEAD, **more: Any) -> Decision:
    policy = more.pop("policy", None)
    wish = Wish(action, who, more.pop("reason", WHY), **more)
    return decide(engine, wish, audit, audit.model_dump_json().encode(), "3", policy=policy)


def refusal(engine: sa.Engine, action: Any, audit: Audit, **more: Any) -> list[str]:
    """The problems for which the decision is refused; nothing is written then."""
    before = history(engine), published(engine)
    with pytest.raises(GateError) as caught:
        do(engine, action, audit, **more)
    assert (history(engine), published(engine)) == before
    return [str(problem) for problem in caught.value.problems]


def changed_rule(name: str) -> Policy:
    policy = Policy.read()
    rule = policy.feature[name].model_copy(update={"reason": "another"})
    return policy.model_copy(update={"feature": {**policy.feature, name: rule}})


# --- signing --------------------------------------------------------------------------------------------------------


def test_a_signature_covers_every_feature_under_the_hash_of_its_rule(engine: sa.Engine, an_audit: AnAudit):
    made = do(engine, "sign", an_audit("b1", FEATURES))
    assert made.features == {name: Policy.read().rule_hash(name) for name in FEATURES}
    assert history(engine) == [made]
    assert unsigned(engine, an_audit("b1", FEATURES)) == []


def test_an_unsigned_feature_is_named(engine: sa.Engine, an_audit: AnAudit):
    do(engine, "sign", an_audit("b1", FEATURES))
    lines = [str(one) for one in unsigned(engine, an_audit("b1", (*FEATURES, "recency")))]
    assert lines == ["recency: unsigned: nobody has signed it -> therapist-fit audit sign b1"]


def test_a_signature_holds_for_later_bundles_too(engine: sa.Engine, an_audit: AnAudit):
    do(engine, "sign", an_audit("b1", FEATURES))
    assert unsigned(engine, an_audit("b2", ("severity", "wishes_met"))) == []
    assert holding(history(engine), Policy.read()).keys() == set(FEATURES)


def test_a_changed_rule_makes_the_signature_of_this_feature_void(engine: sa.Engine, an_audit: AnAudit):
    audit, policy = an_audit("b1", FEATURES), changed_rule("wishes_met")
    do(engine, "sign", audit)
    (line,) = unsigned(engine, audit, policy=policy)
    assert (line.where, line.value) == ("wishes_met", "unsigned")
    assert "another rule" in line.rule
    assert holding(history(engine), policy).keys() == {"severity", "homework_gap"}


def test_a_flagged_feature_is_signed_only_by_name(engine: sa.Engine, an_audit: AnAudit):
    audit = an_audit("b1", FEATURES, {"wishes_met": "learned the other way"})
    assert do(engine, "sign", audit).features.keys() == {"severity", "homework_gap"}
    (left,) = unsigned(engine, audit)
    assert left.where == "wishes_met"
    assert "learned the other way" in left.rule
    assert left.next_step.endswith("--feature wishes_met")
    do(engine, "sign", audit, features=("wishes_met",))
    assert unsigned(engine, audit) == []


def test_a_flag_on_the_page_of_a_feature_counts_as_one_in_a_section(engine: sa.Engine, an_audit: AnAudit):
    audit = an_audit("b1", FEATURES, {"wishes_met": "unstable"})
    finding = audit.sections[0].findings[0].model_copy(update={"page": None})
    pages = {**audit.features, "wishes_met": Section(id="wishes_met", title="w", says=(), findings=(finding,))}
    elsewhere = audit.model_copy(update={"features": pages, "sections": ()})
    assert do(engine, "sign", elsewhere).features.keys() == {"severity", "homework_gap"}


def test_a_flag_that_came_later_asks_for_the_name_again(engine: sa.Engine, an_audit: AnAudit):
    do(engine, "sign", an_audit("b1", FEATURES))
    for bundle_id in ("b1", "b2"):
        flagged = an_audit(bundle_id, FEATURES, {"wishes_met": "unstable"})
        assert [one.where for one in unsigned(engine, flagged)] == ["wishes_met"]


def test_a_flag_that_was_signed_on_one_bundle_is_signed_anew_on_the_next(engine: sa.Engine, an_audit: AnAudit):
    flags = {"wishes_met": "unstable"}
    do(engine, "sign", an_audit("b1", FEATURES, flags), features=("wishes_met",))
    assert unsigned(engine, an_audit("b1", FEATURES, flags)) == []
    assert [one.where for one in unsigned(engine, an_audit("b2", FEATURES, flags))] == ["wishes_met"]


def test_the_same_audit_made_again_asks_for_no_new_signature(engine: sa.Engine, an_audit: AnAudit):
    flags = {"wishes_met": "unstable"}
    do(engine, "sign", an_audit("b1", FEATURES, flags), features=("wishes_met",))
    assert unsigned(engine, an_audit("b1", FEATURES, flags, made_at=dt.datetime(2026, 2, 2, tzinfo=dt.UTC))) == []
    worse = an_audit("b1", FEATURES, {"wishes_met": "stands in for ethnicity"})
    assert [one.where for one in unsigned(engine, worse)] == ["wishes_met"]


@pytest.mark.parametrize("name", ["disability", "sexual_orientation"])
def test_a_feature_kept_for_audits_can_never_be_signed(engine: sa.Engine, an_audit: AnAudit, name: str):
    audit = an_audit("b1", ("severity", name))
    (line,) = refusal(engine, "sign", audit, features=(name,))
    assert line.startswith(f"{name}: audit-only: cannot be signed")
    assert do(engine, "sign", audit).features == {"severity": Policy.read().rule_hash("severity")}
    assert [one.where for one in unsigned(engine, audit)] == [name]


def test_a_forbidden_feature_can_never_be_signed(engine: sa.Engine, an_audit: AnAudit):
    policy = Policy.read()
    rule = policy.feature["wishes_met"].model_copy(update={"status": "forbidden"})
    policy = policy.model_copy(update={"feature": {**policy.feature, "wishes_met": rule}})
    audit = an_audit("b1", FEATURES, policy_hash=policy.hash())
    assert "forbidden: cannot be signed" in refusal(engine, "sign", audit, features=("wishes_met",), policy=policy)[0]
    do(engine, "sign", audit, policy=policy)
    assert "forbidden" in refusal(engine, "approve", audit, policy=policy)[0]


def test_a_feature_that_the_bundle_does_not_have_cannot_be_signed(engine: sa.Engine, an_audit: AnAudit):
    (line,) = refusal(engine, "sign", an_audit("b1", FEATURES), features=("shoe_size",))
    assert line.startswith("shoe_size: named to be signed: the audited bundle has no such feature")


def test_where_all_are_flagged_and_none_is_named_there_is_nothing_to_sign(engine: sa.Engine, an_audit: AnAudit):
    (line,) = refusal(engine, "sign", an_audit("b1", ("severity",), {"severity": "look"}))
    assert "none to sign" in line


def test_earlier_results_of_therapists_are_no_feature_to_sign(engine: sa.Engine, an_audit: AnAudit):
    assert do(engine, "sign", an_audit("b1", ("severity", "results.therapist"))).features.keys() == {"severity"}


# --- approving and rejecting ----------------------------------------------------------------------------------------


def test_nothing_is_approved_before_its_features_are_signed(engine: sa.Engine, an_audit: AnAudit):
    audit = an_audit("b1", FEATURES)
    (line,) = refusal(engine, "approve", audit)
    assert line.startswith(f"{', '.join(sorted(FEATURES))}: unsigned: nobody has signed")
    do(engine, "sign", audit)
    made = do(engine, "approve", audit)
    assert (made.action, made.features, made.bundle_id) == ("approve", None, "b1")


def test_anything_may_be_rejected_at_any_time(engine: sa.Engine, an_audit: AnAudit):
    old = an_audit("b1", FEATURES, policy_hash="0" * 16)
    assert do(engine, "reject", old, reason="older adults lose").reason == "older adults lose"


def test_the_latest_verdict_counts(engine: sa.Engine, an_audit: AnAudit):
    audit = an_audit("b1", FEATURES)
    do(engine, "sign", audit)
    for action in ("approve", "reject", "approve"):
        made = do(engine, action, audit)
        assert verdict(history(engine), "b1") == made
    assert verdict(history(engine), "b2") is None


def test_decisions_without_person_or_reason_are_refused_with_all_problems(engine: sa.Engine, an_audit: AnAudit):
    lines = refusal(engine, "sign", an_audit("b1", FEATURES), who=" ", reason="", features=("x",), bundle_id="b2")
    assert [line.split(":")[0] for line in lines] == ["who", "reason", "bundle", "x"]
    (long,) = refusal(engine, "sign", an_audit("b1", FEATURES), who="A" * 201)
    assert "201 characters" in long
    (unseen,) = refusal(engine, "sign", an_audit("b1", FEATURES), who="A.\x00 Lead", reason="several\nlines are fine")
    assert unseen.startswith("who: 'A.\\x00 Lead': holds characters that cannot be seen")


def test_an_audit_of_another_bundle_is_refused(engine: sa.Engine, an_audit: AnAudit):
    for action in ("sign", "approve"):
        assert any(
            "the audit is of bundle b1" in line for line in refusal(engine, action, an_audit("b1"), bundle_id="b2")
        )
    other = an_audit("b2").model_dump_json().encode()
    with pytest.raises(GateError, match="those of another audit"):
        decide(engine, Wish("sign", LEAD, WHY), an_audit("b1"), other, "3")


def test_an_audit_under_an_earlier_policy_is_refused(engine: sa.Engine, an_audit: AnAudit):
    (line,) = refusal(engine, "sign", an_audit("b1", policy_hash="0" * 16))
    assert Policy.read().hash() in line


def test_who_decides_reads_the_newest_audit(engine: sa.Engine, an_audit: AnAudit):
    newer = an_audit("b1", made_at=dt.datetime(2026, 2, 2, tzinfo=dt.UTC))
    publish(engine, newer.model_dump_json().encode(), "3")
    (line,) = refusal(engine, "sign", an_audit("b1"))
    assert "there is a newer one of this bundle" in line
    do(engine, "sign", newer)
    do(engine, "sign", an_audit("b2"))


def test_features_are_named_only_to_sign_them(engine: sa.Engine, an_audit: AnAudit):
    do(engine, "sign", an_audit("b1"))
    assert "are named to sign them" in refusal(engine, "approve", an_audit("b1"), features=("severity",))[0]


# --- demonstrations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["demo", " Demo "])
def test_the_name_demo_is_for_synthetic_bundles(engine: sa.Engine, an_audit: AnAudit, who: str):
    for action in ("sign", "reject"):
        (line,) = refusal(engine, action, an_audit("b1"), who=who)
        assert "the name demo is for synthetic data" in line
    do(engine, "sign", an_audit("b1", synthetic=True), who=who)


def test_what_demo_signed_counts_for_demo_alone(engine: sa.Engine, an_audit: AnAudit):
    audit = an_audit("b1", FEATURES, synthetic=True)
    do(engine, "sign", audit, who="demo")
    assert unsigned(engine, audit, who="demo") == []
    assert len(unsigned(engine, audit, who=LEAD)) == len(FEATURES)


def test_what_was_signed_on_invented_people_does_not_count_for_real_ones(engine: sa.Engine, an_audit: AnAudit):
    do(engine, "sign", an_audit("b1", FEATURES, synthetic=True))
    assert unsigned(engine, an_audit("b2", FEATURES, synthetic=True)) == []
    assert "on invented people" in str(unsigned(engine, an_audit("b3", FEATURES))[0])


def test_demo_does_not_overrule_a_persons_rejection(engine: sa.Engine, an_audit: AnAudit):
    audit = an_audit("b1", synthetic=True)
    do(engine, "sign", audit, who="demo")
    do(engine, "reject", audit, who="demo")
    assert verdict(history(engine), "b1", LEAD) is None
    approved = do(engine, "approve", audit, who="demo")
    assert verdict(history(engine), "b1", "demo") == approved
    rejected = do(engine, "reject", audit)
    do(engine, "approve", audit, who="demo")
    assert verdict(history(engine), "b1", "demo") == rejected


# --- evidence -------------------------------------------------------------------------------------------------------


def test_the_audit_is_kept_byte_for_byte_under_its_hash(engine: sa.Engine, an_audit: AnAudit):
    audit = an_audit("b1", FEATURES)
    text = audit.model_dump_json(indent=3).encode()
    made = decide(engine, Wish("sign", LEAD, WHY), audit, text, "3")
    assert made.evidence_hash == evidence_hash(text)
    assert evidence_of(engine, made.evidence_hash) == text
    (kept,) = published(engine)
    assert kept == (made.evidence_hash, "b1", "3", audit.made_at)


def test_publishing_puts_an_audit_before_people_once(engine: sa.Engine, an_audit: AnAudit):
    first, second = an_audit("b1"), an_audit("b2", made_at=dt.datetime(2026, 2, 2, tzinfo=dt.UTC))
    for audit in (first, second, first):
        publish(engine, audit.model_dump_json().encode(), "3")
    assert [one.bundle_id for one in published(engine)] == ["b2", "b1"]
    assert published(engine, "another") == []
    assert history(engine) == []
    with pytest.raises(BundleError, match="not a readable audit"):
        publish(engine, b"{}", "3")


def test_an_audit_of_a_day_to_come_would_stand_before_every_later_one_and_is_refused(
    engine: sa.Engine, an_audit: AnAudit
):
    later = an_audit("b1", made_at=dt.datetime(2999, 1, 1, tzinfo=dt.UTC))
    assert "is of a day to come" in refusal(engine, "sign", later)[0]
    with pytest.raises(BundleError, match="a day to come"):
        publish(engine, later.model_dump_json().encode(), "3")
    assert published(engine) == []
    do(engine, "reject", later)  # at any time


def test_a_reason_is_as_long_as_people_read(engine: sa.Engine, an_audit: AnAudit):
    (line,) = refusal(engine, "reject", an_audit("b1"), reason="too long " * 1000)
    assert "at most 4,000 are kept" in line
    assert len(line) < 200


# --- the table ------------------------------------------------------------------------------------------------------


def test_decisions_made_at_once_are_all_kept_in_one_order(database: str, an_audit: AnAudit):
    audit, failed = an_audit("b1", FEATURES), []

    def sign(number: int) -> None:
        engine = connect(database)
        try:
            do(engine, "sign", audit, reason=f"number {number}")
        except BaseException as error:
            failed.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=sign, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    engine = connect(database)
    made = history(engine)
    assert sorted(one.reason for one in made) == [f"number {number}" for number in range(6)]
    times = [one.made_at for one in made]
    assert len(set(times)) == 6
    assert times == sorted(times)
    assert history(engine) == made
    engine.dispose()


def test_a_decision_comes_after_those_on_record_whatever_the_clock_says(engine: sa.Engine, an_audit: AnAudit):
    ahead = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    append_decision(engine, Decision("reject", "b1", LEAD, WHY, made_at=ahead))
    made = do(engine, "sign", an_audit("b1"))
    assert made.made_at > ahead
    assert history(engine)[-1] == made


def test_deciding_needs_neither_pandas_nor_mlflow():
    heavy = "{'pandas', 'mlflow', 'sklearn', 'scipy', 'matplotlib', 'lightgbm'}"
    code = f"import sys, training.deciding; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
