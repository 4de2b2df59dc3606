"""What an audit is, in a few facts, and the decisions on record about it."""

import datetime as dt
from collections.abc import Mapping, Sequence

from data.decisions import Action, Decision
from training.audit.document import Audit, Column, Table

ACTIONS: Mapping[Action, str] = {
    "sign": "signed features",
    "approve": "approved",
    "reject": "rejected",
    "promote": "put into service",
    "rollback": "put back into service",
}
"""What was decided, in words."""


def facts(audit: Audit, evidence_hash: str = "") -> list[tuple[str, str]]:
    """Name, data and dates of an audit: terms with their words."""
    until = "undated" if audit.as_of is None else f"known until {day(audit.as_of)}"
    found = [
        ("Model", f"{audit.name}, bundle {audit.bundle_id}"),
        ("Learned from", f"{audit.dataset} ({until}){', synthetic' if audit.synthetic else ''}"),
        ("Audited on", day(audit.made_at)),
        ("Policy of features", audit.policy_hash),
    ]
    return [*found, ("Evidence", evidence_hash)] if evidence_hash else found


def decisions_table(decisions: Sequence[Decision], brief: bool = False) -> Table:
    """Who decided what, the latest first; `brief` counts the features of a signature instead of naming them."""
    columns = [
        Column(name="when", label="When (UTC)"),
        Column(name="who", label="Who"),
        Column(name="action", label="Decided"),
        Column(name="bundle_id", label="Bundle"),
        Column(name="reason", label="Reason"),
        Column(name="evidence_hash", label="Evidence before them"),
    ]
    rows = [
        (
            f"{one.made_at:%Y-%m-%d %H:%M}",
            one.who,
            _decided(one, brief),
            one.bundle_id[:12],
            one.reason,
            one.evidence_hash or None,
        )
        for one in sorted(decisions, key=lambda one: one.made_at, reverse=True)
    ]
    return Table(id="decisions", title="Decisions on record", columns=tuple(columns), rows=tuple(rows))


def day(moment: dt.date) -> str:
    """A day as people write it."""
    return f"{moment.day} {moment:%B %Y}"


def _decided(one: Decision, brief: bool) -> str:
    if not one.features:
        return ACTIONS[one.action]
    names = sorted(one.features)
    count = "1 feature" if len(names) == 1 else f"{len(names)} features"
    return f"signed {count}" + ("" if brief else f": {', '.join(names)}")
