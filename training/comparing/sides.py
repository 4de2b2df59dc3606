"""What two bundles learned from and what they look at, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.audit.document import Audit
from training.audit.importances import FeatureImportance
from training.bundle import Bundle

RULE = ("status", "part", "expected")
"""What an audit tells of a feature's rule in the policy of its time."""


@dataclass(frozen=True)
class Side:
    """One of the two bundles; `audit` is None where it was never audited."""

    bundle: Bundle
    audit: Audit | None

    @property
    def bundle_id(self) -> str:
        """Its id."""
        return self.bundle.manifest.bundle_id

    def with_audit(self, other: tuple[Audit, bytes] | None) -> "Side":
        """The same, with the other audit if that is newer."""
        if other is None or (self.audit is not None and self.audit.made_at >= other[0].made_at):
            return self
        return Side(self.bundle, other[0])

    @property
    def importance(self) -> Mapping[str, FeatureImportance]:
        """What its audit says of the importance of each feature; empty without an audit."""
        return {} if self.audit is None else {one.name: one for one in self.audit.importance.features}


def data(first: Side, second: Side) -> dict[str, Any]:
    """Name, hash, day, rows and notes of the data that each learned from."""
    same = first.bundle.manifest.data_hash == second.bundle.manifest.data_hash
    return {"first": _learned_from(first), "second": _learned_from(second), "same": same}


def _learned_from(side: Side) -> dict[str, Any]:
    manifest = side.bundle.manifest
    return {
        "dataset": manifest.dataset,
        "data_hash": manifest.data_hash,
        "synthetic": manifest.synthetic,
        "as_of": None if manifest.as_of is None else manifest.as_of.isoformat(),
        "rows": {name: head.info.rows for name, head in side.bundle.heads.items()},
        "therapists": len(side.bundle.records.ids),
        "notes": manifest.notes,
        "trained_at": manifest.created_at.isoformat(),
    }


def features(first: Side, second: Side) -> dict[str, Any]:
    """Features and heads that came or went, and rules of the policy that changed for those that stayed."""
    ours, theirs = first.bundle.features.words, second.bundle.features.words
    heads = [set(side.bundle.heads) for side in (first, second)]
    policies = [side.bundle.manifest.policy_hash for side in (first, second)]
    return {
        "added": sorted(set(theirs) - set(ours)),
        "removed": sorted(set(ours) - set(theirs)),
        "heads_added": sorted(heads[1] - heads[0]),
        "heads_removed": sorted(heads[0] - heads[1]),
        "policy": {"first": policies[0], "second": policies[1], "same": policies[0] == policies[1]},
        "rules": _rules(first, second),
        "note": _rules_note(first, second),
    }


def _rules(first: Side, second: Side) -> list[dict[str, Any]]:
    """Features of both whose status, part or expected sign is not the same in the two audits."""
    ours, theirs = first.importance, second.importance
    found = []
    for name in sorted(set(ours) & set(theirs)):
        rules = [{key: getattr(one, key) for key in RULE} for one in (ours[name], theirs[name])]
        if rules[0] != rules[1]:
            found.append({"feature": name, "first": rules[0], "second": rules[1]})
    return found


def _rules_note(first: Side, second: Side) -> str:
    if first.bundle.manifest.policy_hash == second.bundle.manifest.policy_hash:
        return "learned under the same policy"
    if not (first.importance and second.importance):
        return "the policy changed in between; which rules did cannot be told without an audit of both"
    return "the policy changed in between; of a feature's rule its status, part and expected sign are compared"
