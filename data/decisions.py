"""Who decided what about a model, when, and why: one table that is only ever appended to."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Literal, get_args

import sqlalchemy as sa

from data.database import new_id, writing
from data.sql import DECISIONS, TENANT

Action = Literal["sign", "approve", "reject", "promote", "rollback"]
ACTIONS: tuple[Action, ...] = get_args(Action)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Decision:
    """One decision of a named person about a bundle; hashes say exactly what they had before them."""

    action: Action
    bundle_id: str
    who: str
    reason: str
    policy_hash: str = ""
    evidence_hash: str = ""
    made_at: dt.datetime = field(default_factory=_now)

    def __post_init__(self) -> None:
        for name in ("who", "reason", "bundle_id"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name} is empty: a decision names person, reason and bundle -> give it")
        if self.action not in ACTIONS:
            raise ValueError(f"action {self.action!r}: must be one of {', '.join(ACTIONS)} -> use one of these")


def append_decision(engine: sa.Engine, decision: Decision, tenant: str = TENANT) -> str:
    """Puts the decision on record and returns its id."""
    decision_id = new_id(decision.made_at)
    row = {name: getattr(decision, name) for name in Decision.__dataclass_fields__}
    with writing(engine) as connection:
        connection.execute(sa.insert(DECISIONS), {**row, "tenant": tenant, "decision_id": decision_id})
    return decision_id


def history(engine: sa.Engine, tenant: str = TENANT) -> list[Decision]:
    """All decisions, oldest first."""
    columns = [DECISIONS.c[name] for name in Decision.__dataclass_fields__]
    asked = (
        sa.select(*columns).where(DECISIONS.c.tenant == tenant).order_by(DECISIONS.c.made_at, DECISIONS.c.decision_id)
    )
    with engine.connect() as connection:
        return [Decision(**row._mapping) for row in connection.execute(asked)]
