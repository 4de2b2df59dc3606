"""What a worker process runs first: it keeps out what would take memory and is never used."""

import contextlib
import socket
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection

from serving.settings import Settings
from serving.sources import Sources

FOR_OTHER_INPUTS = ("pandas", "sklearn", "dask")
"""LightGBM imports these to take their frames, models and clusters; a worker gives it arrays only."""


def begin(settings: Settings, sources: Sources, bound: socket.socket, parent: Connection, workers: int) -> None:
    """Imports LightGBM by itself, which saves some 100 MB, and then serves: see `serving.running.worker.work`."""
    with hidden(FOR_OTHER_INPUTS):
        import lightgbm  # noqa: F401
    from serving.running.worker import work

    work(settings, sources, bound, parent, workers)


@contextlib.contextmanager
def hidden(packages: tuple[str, ...]) -> Iterator[None]:
    """As if these were not installed, for the length of the block; those that are imported already stay."""
    new = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(new))  # type: ignore[arg-type]  # None stands for: not to be found
    try:
        yield
    finally:
        for name in new:
            del sys.modules[name]
