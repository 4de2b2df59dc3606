"""What the record of decisions says of a bundle: which of its features are signed, and whether it is approved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import sqlalchemy as sa

from data.decisions import Decision, Evidence, evidence_in, history_in, published_in
from data.errors import BundleError, NotFoundError, Problem
from features.policy import Policy
from training.audit.document import Audit

DEMO = "demo"
"""The name under which test runs on synthetic data decide."""


def is_demo(who: str) -> bool:
    """Whether the name is the one of demonstrations."""
    return who.strip().casefold() == DEMO


EARLIER_RESULTS = "results."
"""What an audit calls the therapists' own earlier results: learned, no feature, so the policy has no rule to sign."""


def signable(audit: Audit) -> tuple[str, ...]:
    """Features of the audited bundle, which the policy has rules for."""
    return tuple(sorted(name for name in audit.features if not name.startswith(EARLIER_RESULTS)))


def flagged(audit: Audit) -> dict[str, tuple[str, ...]]:
    """Feature -> what a person should look at before signing it: findings of level look or stop about it."""
    features = signable(audit)
    about = [(one.page or "", one) for section in audit.sections for one in section.findings]
    for name, page in audit.features.items():
        about += [(one.page or f"feature/{name}", one) for one in page.findings]
    found: dict[str, list[str]] = {}
    for page_key, finding in about:
        kind, _, name = page_key.partition("/")
        if kind == "feature" and name in features and finding.level in ("look", "stop"):
            found.setdefault(name, []).append(finding.words)
    return {name: tuple(dict.fromkeys(words)) for name, words in found.items()}


def _stops(audit: Audit) -> tuple[str, ...]:
    """Reasons to stop, in words."""
    return tuple(dict.fromkeys(one.words for one in audit.findings if one.level == "stop"))


def together(problems: Sequence[Problem]) -> list[Problem]:
    """Problems that are the same but for where they are become one that names all places: fewer lines to read."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for one in problems:
        places.setdefault((one.value, one.rule, one.next_step), []).append(one.where)
    return [Problem(", ".join(dict.fromkeys(where)), *said) for said, where in places.items()]


class Asked(NamedTuple):
    """A bundle as the record is asked about it."""

    bundle_id: str
    synthetic: bool
    features: tuple[str, ...]
    flags: Mapping[str, tuple[str, ...]]


def asked_of(audit: Audit) -> Asked:
    """The bundle of an audit."""
    return Asked(audit.bundle_id, audit.synthetic, signable(audit), flagged(audit))


def holding(decisions: Sequence[Decision], policy: Policy) -> dict[str, list[Decision]]:
    """Feature -> its signatures under today's rule, the latest first; one under another rule is void."""
    found: dict[str, list[Decision]] = {}
    for decision in reversed(decisions):
        for name, rule_hash in (decision.features or {}).items():
            if decision.action == "sign" and rule_hash == policy.rule_hash(name):
                found.setdefault(name, []).append(decision)
    return found


def verdict(decisions: Sequence[Decision], bundle_id: str, who: str = "") -> Decision | None:
    """The latest approval or rejection of the bundle, as it counts for this person; None where there is none.

    What `demo` decided counts for `demo` alone, and never against a person's rejection.
    """
    mine = [one for one in decisions if one.bundle_id == bundle_id and one.action in ("approve", "reject")]
    of_people = [one for one in mine if not is_demo(one.who)]
    if not is_demo(who) or (of_people and of_people[-1].action == "reject"):
        mine = of_people
    return mine[-1] if mine else None


@dataclass(frozen=True)
class Record:
    """What is on record, read within one transaction."""

    connection: sa.Connection
    policy: Policy
    tenant: str
    _audits: dict[str, Audit | None] = field(default_factory=dict)

    @cached_property
    def decisions(self) -> list[Decision]:
        """All of them, oldest first."""
        return history_in(self.connection, self.tenant)

    @cached_property
    def _holding(self) -> Mapping[str, Sequence[Decision]]:
        return holding(self.decisions, self.policy)

    def newest(self, bundle_id: str) -> Evidence | None:
        """The newest audit of the bundle that was put before people."""
        every = published_in(self.connection, self.tenant)
        return next((one for one in every if one.bundle_id == bundle_id), None)

    def unsigned(self, asked: Asked, who: str) -> list[Problem]:
        """A problem for each of the features that the policy allows and nobody has signed.

        What was signed on invented people does not count for a bundle of real ones, and a flagged feature counts as
        signed only if it was named on an audit of this bundle that says the same of it.
        """
        allowed = [name for name in asked.features if self.policy.rule(name).status == "allowed"]
        return [problem for name in allowed for problem in self._unsigned(name, asked, who)]

    def _unsigned(self, name: str, asked: Asked, who: str) -> list[Problem]:
        signatures = [one for one in self._holding.get(name, ()) if is_demo(who) or not is_demo(one.who)]
        if any(self._counts(one, name, asked) for one in signatures):
            return []
        flags, step = asked.flags.get(name), f"therapist-fit audit sign {asked.bundle_id}"
        if flags:
            rule = f"flagged, so it is signed by name ({'; '.join(flags)})"
            return [Problem(name, "unsigned", rule, f"{step} --feature {name}")]
        earlier = [one for one in self.decisions if name in (one.features or {}) and not is_demo(one.who)]
        rule = "the signature was given under another rule or on invented people" if earlier else "nobody has signed it"
        return [Problem(name, "unsigned", rule, step)]

    def _counts(self, signature: Decision, name: str, asked: Asked) -> bool:
        flags, own = asked.flags.get(name), signature.bundle_id == asked.bundle_id
        if own and not flags:
            return True
        seen = self.audit(signature.evidence_hash)
        if seen is None:
            return False
        if flags:
            return own and flagged(seen).get(name) == flags
        return asked.synthetic or not seen.synthetic

    def unapproved(self, bundle_id: str, who: str) -> list[Problem]:
        """The problem of a bundle that nobody has approved, that was rejected, or gave reasons to stop later."""
        found = verdict(self.decisions, bundle_id, who)
        if found is None:
            step = f"therapist-fit models approve {bundle_id}"
            return [Problem(f"bundle {bundle_id}", "not approved", "a named person approves what is served", step)]
        return self.rejected(bundle_id, who) if found.action == "reject" else self._came_later(found)

    def _came_later(self, approval: Decision) -> list[Problem]:
        """Reasons to stop in the newest audit that whoever approved could not have read."""
        newest, read = self.newest(approval.bundle_id), self.audit(approval.evidence_hash)
        audit = None if newest is None else self.audit(newest.evidence_hash)
        if newest is None or audit is None or newest.evidence_hash == approval.evidence_hash:
            return []
        known = _stops(read) if read else ()
        step = f"read it, then therapist-fit models approve {approval.bundle_id}, or reject it"
        said = f"approved by {approval.who} on {approval.made_at:%Y-%m-%d}"
        return [
            Problem(f"bundle {approval.bundle_id}", said, f"a later audit gives a reason to stop: {words}", step)
            for words in _stops(audit)
            if words not in known
        ]

    def rejected(self, bundle_id: str, who: str) -> list[Problem]:
        """The problem of a bundle whose latest verdict is a rejection."""
        found = verdict(self.decisions, bundle_id, who)
        if found is None or found.action != "reject":
            return []
        said = f"rejected by {found.who} on {found.made_at:%Y-%m-%d}"
        step = f"train another, or therapist-fit models approve {bundle_id}"
        return [Problem(f"bundle {bundle_id}", said, found.reason, step)]

    def audit(self, evidence_hash: str) -> Audit | None:
        """The audit that was kept under the hash; None where there is none that this program reads."""
        if evidence_hash not in self._audits:
            try:
                text = evidence_in(self.connection, evidence_hash, self.tenant)
                self._audits[evidence_hash] = Audit.parse(text, f"evidence {evidence_hash}")
            except (NotFoundError, BundleError):
                self._audits[evidence_hash] = None
        return self._audits[evidence_hash]
