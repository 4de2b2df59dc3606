"""The least that NumPy and LightGBM can do for one client, and the journal's commit time against its size."""

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from data.database import new_id, writing
from data.migrating import open_database
from data.sql import RECOMMENDATIONS, TENANT
from features.columns import Columns
from serving import journal
from training.bundle import Bundle
from training.fits import Prepared

BULK = 20_000
COMMITS = 60


def floor_of(bundle: Bundle, client: Columns, prepared: Prepared) -> Callable[[], object]:
    """What any implementation of this model does for one client and all therapists, on columns made beforehand.

    A prognosis per head, a float32 product for all heads at once, the variance of each therapist's utility difference
    to the best, and trees of the remainder where the bundle keeps them. No rules, no order, no words, no effects.
    """
    everybody = np.arange(len(prepared.position))
    ranking = bundle.ranking_columns(client, prepared, everybody)
    x = ranking.astype(np.float32)
    block = bundle.features.build_rows("client", client)
    heads = bundle.weighing.among(list(bundle.heads))
    b = np.stack([head.solution.b[-x.shape[1] :] for head in bundle.heads.values()], axis=1).astype(np.float32)
    roots = [_root(bundle.heads[name].solution.b_cov[-x.shape[1] :, -x.shape[1] :]) for name in heads.names]
    own = [np.full(len(x), 0.01, dtype=np.float32) for _ in heads.names]
    share = heads.share.astype(np.float32)

    def once() -> object:
        for head in bundle.heads.values():
            head.prognosis(head.client_part(bundle.design, block))
        fits = x @ b
        for at, head in enumerate(bundle.heads.values()):
            if head.remainder.text:
                fits[:, at] += head.remainder(ranking)
        utility = fits[:, : len(share)] @ share
        best = int(utility.argmax())
        gap = x - x[best]
        scaled = np.empty((len(share), len(x)), dtype=np.float32)
        for at, root in enumerate(roots):
            spread = gap @ root
            scaled[at] = share[at] * np.sqrt(np.einsum("np,np->n", spread, spread) + own[at] + own[at][best])
        return np.einsum("hn,hg,gn->n", scaled, heads.correlation.astype(np.float32), scaled)

    return once


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    root: np.ndarray = vectors * np.sqrt(np.maximum(values, 0.0))
    return root.astype(np.float32)


def commit_times(folder: Path, rows: int) -> dict[str, float]:
    """Median milliseconds of keeping one answer in a journal that is empty, and in one of so many rows."""
    engine = open_database(f"sqlite:///{folder}/journal.db")
    try:
        at_first = _commit_ms(engine)
        _fill(engine, rows)
        return {"0": at_first, str(rows): _commit_ms(engine)}
    finally:
        engine.dispose()


def _entry(now: dt.datetime) -> journal.Entry:
    return journal.Entry(
        recommendation_id=new_id(now),
        made_at=now,
        client_id=f"c-{new_id(now)}",
        request={"client": {}},
        bundle_id="0" * 16,
        version="1",
        directory_version=1,
        directory_source="made for measuring",
        settings_hash="0" * 64,
        answer=b"x" * 6_000,
    )


def _commit_ms(engine: sa.Engine) -> float:
    found = []
    for _ in range(COMMITS):
        entry = _entry(dt.datetime.now(dt.UTC))
        since = time.perf_counter()
        with writing(engine) as connection:
            journal.write(connection, entry, TENANT)
        found.append(time.perf_counter() - since)
    return float(np.median(found)) * 1e3


def _fill(engine: sa.Engine, rows: int) -> None:
    """Rows of some years, with short answers: what grows is the table's index, not the pages that a commit writes."""
    names = [name for name in journal.Entry.__dataclass_fields__ if name != "task"]
    start = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=40 * rows)
    for first in range(0, rows, BULK):
        entries = [_entry(start + dt.timedelta(seconds=40 * i)) for i in range(first, min(first + BULK, rows))]
        values = [
            {"tenant": TENANT, **{name: getattr(one, name) for name in names}, "answer": b"{}"} for one in entries
        ]
        with writing(engine) as connection:
            connection.execute(sa.insert(RECOMMENDATIONS), values)
