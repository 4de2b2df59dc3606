"""A synthetic clinic of any size, written part by part: memory stays that of one part."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.dataset import Dataset
from data.errors import DataError, Problem
from data.manifest import MANIFEST, manifest_toml
from data.synthetic.clinic import Origin, simulate
from data.synthetic.manifest import manifest
from data.synthetic.plan import Plan
from data.synthetic.truth import Truth

PART = 10_000
"""Episodes of one part: a region with clients, therapists and sites of its own."""


def simulate_in_parts(
    plan: Plan,
    folder: Path | str,
    truth_folder: Path | str | None = None,
    on_part: Callable[[int, int], None] | None = None,
    part: int = PART,
) -> Path:
    """Writes the dataset as Parquet, one row group per part and table, and each part's truth into a folder below
    `truth_folder`. Raises DataError if `folder` already holds something."""
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise DataError(
            [Problem(str(folder), "not empty", "a dataset is written into a new folder", "name another, or remove it")]
        )
    folder.mkdir(parents=True, exist_ok=True)
    plans = regions(plan, part)
    with ExitStack() as closing:
        writers: dict[str, pq.ParquetWriter] = {}
        for number, (dataset, truth) in enumerate(_each(plans)):
            _append(dataset, folder, writers, closing)
            if truth_folder is not None:
                truth.write(Path(truth_folder) / f"part-{number:05d}")
            if on_part is not None:
                on_part(number + 1, len(plans))
    (folder / MANIFEST).write_text(manifest_toml(manifest(plan)))
    return folder


def regions(plan: Plan, part: int = PART) -> list[Plan]:
    """One plan per part; their episodes and therapists add up to the whole."""
    count = max(1, round(plan.episodes / part))
    count = min(count, max(1, plan.therapists // 5), max(1, plan.episodes // 50))
    return [
        plan.model_copy(
            update={
                "episodes": plan.episodes * (i + 1) // count - plan.episodes * i // count,
                "therapists": plan.therapists * (i + 1) // count - plan.therapists * i // count,
                "seed": plan.seed + 1_000_003 * i,
            }
        )
        for i in range(count)
    ]


def _each(plans: list[Plan]) -> Iterator[tuple[Dataset, Truth]]:
    origin = Origin()
    for plan in plans:
        dataset, truth = simulate(plan, origin)
        yield dataset, truth
        origin = Origin(
            client=origin.client + len(truth.clients.numbers),
            therapist=origin.therapist + plan.therapists,
            episode=origin.episode + plan.episodes,
            site=origin.site + int(truth.staff.site.max()) + 1,
        )


def _append(dataset: Dataset, folder: Path, writers: dict[str, pq.ParquetWriter], closing: ExitStack) -> None:
    for name, frame in dataset.frames.items():
        rows = pa.table({column: _arrow(frame[column]) for column in frame})
        if name not in writers:
            writers[name] = closing.enter_context(pq.ParquetWriter(folder / f"{name}.parquet", rows.schema))
        writers[name].write_table(rows)


def _arrow(values: pd.Series) -> pa.Array:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return pa.array(values.dt.tz_convert(None).to_numpy(), pa.timestamp("us", tz="UTC"))
    return pa.array(values.array, from_pandas=True)
