"""Rows of the journal for work on many of them: by name, or the latest."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from data.sql import RECOMMENDATIONS
from serving import journal


def latest(
    engine: sa.Engine, tenant: str, since: dt.datetime | None = None, limit: int | None = None, first_only: bool = False
) -> list[str]:
    """Ids of the latest answers that were not erased, oldest first; `first_only` leaves out what was released later."""
    rows = RECOMMENDATIONS
    wanted = sa.select(rows.c.recommendation_id).where(rows.c.tenant == tenant, rows.c.erased_at.is_(None))
    if since is not None:
        wanted = wanted.where(rows.c.made_at >= since)
    if first_only:
        wanted = wanted.where(rows.c.released_from.is_(None))
    newest = wanted.order_by(rows.c.made_at.desc(), rows.c.recommendation_id.desc()).limit(limit)
    with engine.connect() as connection:
        return list(connection.scalars(newest))[::-1]


def rows_of(engine: sa.Engine, tenant: str, ids: Sequence[str]) -> Iterator[sa.Row[Any]]:
    """Each answer's row. Raises NotFoundError for one that the tenant does not have, GoneError for one erased."""
    for recommendation_id in ids:
        with engine.connect() as connection:
            row = journal.read(connection, recommendation_id, tenant)
        yield row
