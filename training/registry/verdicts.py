"""Decisions about a registered bundle from the command line, on the newest audit that there is of it."""

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from mlflow.exceptions import MlflowException

from data.decisions import Decision, published
from data.errors import GateError, Problem
from data.migrating import open_database
from training.audit.document import FILE, Audit, Finding
from training.deciding import Wish, decide, newest_published, unsigned
from training.registry.models import CHAMPION, Version, find, folder_of, versions
from training.served import row
from training.signing import together

_DONE = {"sign": "signed", "approve": "approved", "reject": "rejected"}

_STILL = "it is the champion, and is served until another is -> therapist-fit models rollback"


@dataclass(frozen=True)
class Verdict:
    """A decision that is on record, and what is still to do before the bundle may be served."""

    version: str
    decision: Decision
    left: list[Problem]
    """Features of the bundle that may not be used or that nobody has signed."""
    findings: tuple[Finding, ...]
    """What the audit says a person should look at or mend first."""
    is_champion: bool
    """Whether it is served: a rejection alone does not change that."""

    def as_json(self) -> dict[str, Any]:
        """In plain values: what is on record, and what is still to do."""
        return {
            **row(self.decision, {self.decision.bundle_id: self.version}),
            "is_champion": self.is_champion,
            "unsigned": [problem.where for problem in self.left],
            "left": [str(problem) for problem in self.left],
            "findings": [one.model_dump() for one in self.findings],
        }

    def lines(self) -> list[str]:
        """In words: what is on record, what the audit asked to look at, what is still to do."""
        made = self.decision
        of = "" if made.features is None else f"{len(made.features)} features of "
        which = f"bundle {made.bundle_id} (version {self.version})"
        return [
            f"{_DONE[made.action]}: {of}{which}, by {made.who}, on audit {made.evidence_hash}",
            *(f"the audit says ({one.level}): {one.words}" for one in self.findings),
            *(f"still to do: {problem}" for problem in together(self.left) if made.action != "reject"),
            *([_STILL] if made.action == "reject" and self.is_champion else []),
        ]


def conclude(
    name: str,
    action: Literal["sign", "approve", "reject"],
    who: str,
    reason: str,
    features: tuple[str, ...] = (),
    database: str | None = None,
) -> Verdict:
    """Signs, approves or rejects a registered bundle: see `training.deciding.decide`.

    Raises NotFoundError for a bundle that is not registered, GateError with everything that stands against it.
    """
    one = find(name)
    engine = open_database(database)
    try:
        audit, text = newest_audit(one, engine)
        decision = decide(engine, Wish(action, who, reason, features, one.bundle_id), audit, text, one.version)
        left = unsigned(engine, audit, who)
    finally:
        engine.dispose()
    urgent = tuple(finding for finding in audit.findings if finding.level in ("look", "stop"))
    return Verdict(one.version, decision, left, urgent, CHAMPION in one.aliases)


def newest_audit(one: Version, engine: sa.Engine) -> tuple[Audit, bytes]:
    """The audit beside the registered bundle or the one put before auditors, whichever is newer, and its bytes.

    Raises GateError if the bundle was never audited.
    """
    put = newest_published(engine, one.bundle_id)
    audits = [] if put is None else [put]
    beside = folder_of(one) / FILE
    if beside.is_file():
        text = beside.read_bytes()
        audits.append((Audit.parse(text, f"audit of version {one.version}"), text))
    if not audits:
        rule = "nobody can decide on what nobody could read"
        step = f"therapist-fit audit {one.version} --data DATASET"
        raise GateError([Problem(f"version {one.version}", "not audited", rule, step)])
    return max(audits, key=lambda found: found[0].made_at)


def version_names(engine: sa.Engine) -> dict[str, str]:
    """Bundle id -> its number in the registry: as it was when it was audited, else as the registry has it now."""
    audited = {one.bundle_id: one.version for one in reversed(published(engine))}
    try:
        return {one.bundle_id: one.version for one in versions()} | audited
    except MlflowException:  # the record is read with the registry down
        return audited
