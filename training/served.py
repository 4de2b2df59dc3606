"""What was served when, by the decisions on record."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.decisions import Decision

MAKE_CHAMPION = ("promote", "rollback")


@dataclass(frozen=True)
class Day:
    """One day in UTC: what was served when it began, what was decided, and what was served when it ended."""

    day: dt.date
    at_start: Decision | None
    """The decision by which a bundle was served then; None where none had been promoted."""
    at_end: Decision | None
    decisions: tuple[Decision, ...]
    """All that were made on the day, oldest first."""

    @property
    def changes(self) -> tuple[Decision, ...]:
        """Those that changed what is served."""
        return tuple(one for one in self.decisions if one.action in MAKE_CHAMPION)

    def as_json(self, versions: Mapping[str, str]) -> dict[str, Any]:
        """In plain values; `versions` maps bundle ids to their numbers in the registry."""
        return {
            "day": self.day.isoformat(),
            "at_start": None if self.at_start is None else row(self.at_start, versions),
            "at_end": None if self.at_end is None else row(self.at_end, versions),
            "changes": [row(one, versions) for one in self.changes],
            "decisions": [row(one, versions) for one in self.decisions],
        }

    def lines(self, versions: Mapping[str, str]) -> list[str]:
        """In words."""
        return [
            f"{self.day} (UTC), by the decisions on record",
            f"served at the start of the day: {_champion_words(self.at_start, versions)}",
            *(f"  {line(one, versions)}" for one in self.decisions),
            f"served at the end of the day:   {_champion_words(self.at_end, versions)}",
        ]


def on(decisions: Sequence[Decision], day: dt.date) -> Day:
    """What the record, oldest first, says of a day from midnight to midnight UTC."""
    before = [one for one in decisions if one.made_at.astimezone(dt.UTC).date() < day]
    within = [one for one in decisions if one.made_at.astimezone(dt.UTC).date() == day]
    return Day(day, champion(before), champion([*before, *within]), tuple(within))


def champion(decisions: Sequence[Decision]) -> Decision | None:
    """The latest decision that made a bundle the champion."""
    return next((one for one in reversed(decisions) if one.action in MAKE_CHAMPION), None)


def earlier(decisions: Sequence[Decision]) -> list[str]:
    """Bundles that were served before the champion, the last one first: where returning leads, one step a time.

    A return takes back all that were promoted since: returning again goes further back, never forward to them.
    """
    served: list[str] = []
    for one in decisions:
        if one.action == "rollback" and one.bundle_id in served:
            del served[len(served) - served[::-1].index(one.bundle_id) :]
        elif one.action in MAKE_CHAMPION:
            served.append(one.bundle_id)
    return [bundle_id for bundle_id in reversed(served) if bundle_id != served[-1]]


def row(decision: Decision, versions: Mapping[str, str]) -> dict[str, Any]:
    """One decision in plain values."""
    return {
        "made_at": decision.made_at.astimezone(dt.UTC).isoformat(),
        "action": decision.action,
        "who": decision.who,
        "reason": decision.reason,
        "bundle_id": decision.bundle_id,
        "version": versions.get(decision.bundle_id),
        "policy_hash": decision.policy_hash,
        "evidence_hash": decision.evidence_hash,
        "features": None if decision.features is None else dict(decision.features),
    }


def line(decision: Decision, versions: Mapping[str, str]) -> str:
    """One decision on one line."""
    features = "" if decision.features is None else f", {len(decision.features)} features"
    return (
        f"{decision.made_at.astimezone(dt.UTC):%Y-%m-%d %H:%M}  {decision.action:<8}  "
        f"{_bundle(decision, versions)}{features}  by {decision.who}: {' '.join(decision.reason.split())}  "
        f"[evidence {decision.evidence_hash}]"
    )


def _bundle(decision: Decision, versions: Mapping[str, str]) -> str:
    return f"version {versions.get(decision.bundle_id, 'not known')} (bundle {decision.bundle_id})"


def _champion_words(made: Decision | None, versions: Mapping[str, str]) -> str:
    if made is None:
        return "nothing: no model had been promoted"
    return f"{_bundle(made, versions)}, since {made.made_at.astimezone(dt.UTC):%Y-%m-%d %H:%M}"
