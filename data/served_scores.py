"""First and last scores of a service's clients: from their requests and from the measures of their courses."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from data.instruments import INSTRUMENTS, TOTAL
from data.scoring import total
from data.sql import MEASURES

_AT_ONCE = 2000
RISK_ITEMS = frozenset((name, str(item)) for name, one in INSTRUMENTS.items() for item in one.risk_items)
"""Instrument and item of every question about self-harm."""


def course_scores(connection: sa.Connection, tenant: str) -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """Episode -> totals as the client gave them, by instrument: at intake, and those of the last later session."""
    table = MEASURES.c
    mine = (table.tenant == tenant, table.item == TOTAL, table.rater == "client")
    newest = (
        sa.select(table.episode_id, table.instrument, sa.func.max(table.session).label("session"))
        .where(*mine)
        .group_by(table.episode_id, table.instrument)
        .subquery()
    )
    is_newest = sa.and_(
        table.episode_id == newest.c.episode_id,
        table.instrument == newest.c.instrument,
        sa.or_(table.session == newest.c.session, table.session == 0),
    )
    wanted = sa.select(table.episode_id, table.instrument, table.session, table.value)
    rows = connection.execute(
        wanted.select_from(MEASURES.join(newest, is_newest)).where(*mine), execution_options={"yield_per": _AT_ONCE}
    )
    found: dict[str, tuple[dict[str, float], dict[str, float]]] = {}
    for episode, instrument, session, value in rows:
        found.setdefault(episode, ({}, {}))[1 if session > 0 else 0][instrument] = value
    return found


def intakes(requests: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Of each request the totals by instrument that it holds, or that its answers add up to."""
    found: list[dict[str, float]] = []
    answers: dict[str, list[tuple[int, dict[str, float]]]] = {}
    for at, request in enumerate(requests):
        found.append({})
        items: dict[str, dict[str, float]] = {}
        for one in request.get("measures", ()):
            if one.get("item", TOTAL) == TOTAL:
                found[at][one["instrument"]] = float(one["value"])
            else:
                items.setdefault(one["instrument"], {})[one["item"]] = float(one["value"])
        for name, given in items.items():
            if name not in found[at]:
                answers.setdefault(name, []).append((at, given))
    for name, some in answers.items():
        for at, value in _added(name, some):
            found[at][name] = value
    return found


def _added(name: str, some: Sequence[tuple[int, Mapping[str, float]]]) -> Iterator[tuple[int, float]]:
    """Totals of an instrument from complete answers: nothing is made up for what is missing."""
    instrument = INSTRUMENTS.get(name)
    if instrument is None or not instrument.scored or instrument.totals_only:
        return
    numbers = [str(i) for i in range(1, instrument.items + 1)]
    rows = [[given.get(i, np.nan) for i in numbers] for _, given in some]
    for (at, _), value in zip(some, total(instrument, rows).tolist(), strict=True):
        if not np.isnan(value):
            yield at, value


def risk_asked(request: Mapping[str, Any]) -> bool:
    """Whether a question about self-harm is answered in the request."""
    return any((one["instrument"], one.get("item", TOTAL)) in RISK_ITEMS for one in request.get("measures", ()))
