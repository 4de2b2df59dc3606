"""Signing, approving and rejecting: the one function behind the command line and the page, and what it demands.

A signature is about features: it holds for each of them under the rule that the policy has for it. An approval and a
rejection are about one bundle. Light to import: a worker of the service decides without pandas or MLflow.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from data.database import writing
from data.decisions import (
    Decision,
    Evidence,
    append_in,
    decide_in_turn,
    deciding,
    evidence_of,
    keep_evidence,
    now_in,
    published,
    published_in,
)
from data.errors import BundleError, GateError, Problem
from data.sql import TENANT
from features.policy import Policy
from training.audit.document import Audit, evidence_hash
from training.signing import DEMO, Record, asked_of, flagged, is_demo, signable, together

MOST_WHO = 200
"""Longest name that the table keeps."""
MOST_REASON = 4_000
"""Longest reason: what is on record is read with every decision, for good."""
CLOCKS = dt.timedelta(minutes=5)
"""How far the clocks of two machines may be apart."""


Verb = Literal["sign", "approve", "reject"]


@dataclass(frozen=True)
class Wish:
    """What a person wants to put on record about the bundle of an audit."""

    action: Verb
    who: str
    reason: str
    features: tuple[str, ...] = ()
    """To sign: features named expressly, which the flagged ones have to be."""
    bundle_id: str = ""
    """The bundle that the person means; refused if the audit is of another. Not asked if empty."""


def decide(
    engine: sa.Engine,
    wish: Wish,
    audit: Audit,
    evidence: bytes,
    version: str,
    tenant: str = TENANT,
    policy: Policy | None = None,
) -> Decision:
    """Puts one decision on record, and keeps the audit that the person had before them.

    `evidence` is `audit.json` byte for byte, `version` the bundle's number in the registry, `policy` today's if not
    given. Raises GateError with everything that stands against it; then nothing is written.
    """
    with writing(engine) as connection:
        return decide_in(connection, wish, audit, evidence, version, tenant, policy)


def decide_in(
    connection: sa.Connection,
    wish: Wish,
    audit: Audit,
    evidence: bytes,
    version: str,
    tenant: str = TENANT,
    policy: Policy | None = None,
) -> Decision:
    """The same within a transaction that writes; others who decide wait until it ends."""
    decide_in_turn(connection)
    policy = policy or Policy.read()
    seen = Evidence(evidence_hash(evidence), audit.bundle_id, version, audit.made_at)
    covered = _covered(wish, audit, policy) if wish.action == "sign" else None
    problems = _person(wish, audit) + _matching(wish, audit, evidence)
    problems += _today(wish, audit, seen, policy, published_in(connection, tenant)) + _named(wish, audit, policy)
    if wish.action == "approve":
        found = Record(connection, policy, tenant).unsigned(asked_of(audit), wish.who)
        problems += policy.refused(signable(audit)) + found
    if covered == {} and not problems:
        rule = "every feature is flagged or not allowed, and none was named"
        problems.append(Problem("features", "none to sign", rule, "name each flagged one that you sign"))
    if problems:
        raise GateError(together(problems))
    keep_evidence(connection, seen, evidence, tenant)
    who, reason = wish.who.strip(), wish.reason.strip()
    made = Decision(wish.action, audit.bundle_id, who, reason, policy.hash(), seen.evidence_hash, features=covered)
    decision = now_in(connection, made, tenant)
    append_in(connection, decision, tenant)
    return decision


def publish(engine: sa.Engine, audit_bytes: bytes, version: str, tenant: str = TENANT) -> Evidence:
    """Puts an audit before those who decide, without a decision. Raises BundleError if the bytes are no audit,
    or one of a day to come.
    """
    audit = Audit.parse(audit_bytes, "the audit to publish")
    if audit.made_at > dt.datetime.now(dt.UTC) + CLOCKS:  # it would stand before every later one
        raise BundleError(f"the audit to publish: made on {audit.made_at:%Y-%m-%d}, a day to come -> audit again")
    evidence = Evidence(evidence_hash(audit_bytes), audit.bundle_id, version, audit.made_at)
    with deciding(engine) as connection:
        keep_evidence(connection, evidence, audit_bytes, tenant)
    return evidence


def newest_published(engine: sa.Engine, bundle_id: str, tenant: str = TENANT) -> tuple[Audit, bytes] | None:
    """The newest audit of a bundle that was put before those who decide, and its bytes; None where there is none."""
    mine = [one for one in published(engine, tenant) if one.bundle_id == bundle_id]
    if not mine:
        return None
    text = evidence_of(engine, mine[0].evidence_hash, tenant)
    return Audit.parse(text, f"evidence {mine[0].evidence_hash}"), text


def unsigned(
    engine: sa.Engine, audit: Audit, who: str = "", tenant: str = TENANT, policy: Policy | None = None
) -> list[Problem]:
    """A problem for each feature of the audit's bundle that may not be used or whose signature is missing.

    What `demo` signed counts for `demo` alone: `who` is the person who asks.
    """
    policy = policy or Policy.read()
    with engine.connect() as connection:
        found = Record(connection, policy, tenant).unsigned(asked_of(audit), who)
    return policy.refused(signable(audit)) + found


def blank(who: str, reason: str) -> list[Problem]:
    """A problem for a name or a reason that is missing or that no line could show: both go on record."""
    found = [
        Problem(what, repr(said), "is empty", "name the person and the reason: they go on record")
        for what, said in (("who", who), ("reason", reason))
        if not said.strip()
    ]
    if len(who.strip()) > MOST_WHO:
        found.append(Problem("who", f"{len(who.strip())} characters", f"at most {MOST_WHO} are kept", "shorten it"))
    if len(reason.strip()) > MOST_REASON:
        rule = f"at most {MOST_REASON:,} are kept"
        found.append(Problem("reason", f"{len(reason.strip()):,} characters", rule, "shorten it"))
    unseen = [("who", who.strip()), ("reason", "".join(reason.split()))]
    return found + [
        Problem(what, repr(said), "holds characters that cannot be seen", "leave them out")
        for what, said in unseen
        if not said.isprintable()
    ]


def _person(wish: Wish, audit: Audit) -> list[Problem]:
    problems = blank(wish.who, wish.reason)
    if is_demo(wish.who) and not audit.synthetic:
        rule = f"the name {DEMO} is for synthetic data"
        problems.append(Problem("who", wish.who, rule, "a named person must answer for a model of real people"))
    return problems


def _matching(wish: Wish, audit: Audit, evidence: bytes) -> list[Problem]:
    """The audit, its bytes and the bundle that the person means are of one bundle."""
    problems = []
    if wish.bundle_id and wish.bundle_id != audit.bundle_id:
        rule = f"the audit is of bundle {audit.bundle_id}"
        problems.append(Problem("bundle", wish.bundle_id, rule, "audit this bundle and decide on that audit"))
    if Audit.parse(evidence, "the evidence") != audit:
        rule = "the bytes to keep are those of another audit"
        problems.append(Problem("evidence", evidence_hash(evidence), rule, "read the audit again"))
    return problems


def _today(wish: Wish, audit: Audit, seen: Evidence, policy: Policy, others: list[Evidence]) -> list[Problem]:
    """Whoever signs or approves looks at the newest audit, made under today's policy; anyone may reject at any time."""
    if wish.action == "reject":
        return []
    problems = []
    if audit.policy_hash != policy.hash():
        rule = f"the feature policy is now {policy.hash()}"
        problems.append(Problem("policy of the audit", audit.policy_hash, rule, "train again under today's policy"))
    if seen.made_at > dt.datetime.now(dt.UTC) + CLOCKS:
        problems.append(Problem("audit", f"made on {seen.made_at:%Y-%m-%d}", "is of a day to come", "audit again"))
    newer = next((one for one in others if one.bundle_id == seen.bundle_id and one.made_at > seen.made_at), None)
    if newer is not None:
        said = f"{seen.evidence_hash} of {seen.made_at:%Y-%m-%d %H:%M}"
        rule = f"there is a newer one of this bundle: {newer.evidence_hash} of {newer.made_at:%Y-%m-%d %H:%M}"
        problems.append(Problem("audit", said, rule, "read the newer one"))
    return problems


def _named(wish: Wish, audit: Audit, policy: Policy) -> list[Problem]:
    """What was named expressly is there, and may be signed at all."""
    if wish.features and wish.action != "sign":
        return [Problem("features", ", ".join(wish.features), "are named to sign them", "sign them first")]
    own = signable(audit)
    known = [name for name in wish.features if name in own]
    strangers = [name for name in wish.features if name not in own]
    rule = "the audited bundle has no such feature"
    return [Problem(name, "named to be signed", rule, "see its features in the audit") for name in strangers] + [
        Problem(one.where, f"{one.value}: cannot be signed", one.rule, one.next_step) for one in policy.refused(known)
    ]


def _covered(wish: Wish, audit: Audit, policy: Policy) -> dict[str, str]:
    """What a signature covers: every allowed feature that is not flagged, and the flagged ones that were named."""
    flags = flagged(audit)
    return {
        name: policy.rule_hash(name)
        for name in signable(audit)
        if policy.rule(name).status == "allowed" and (name not in flags or name in wish.features)
    }
