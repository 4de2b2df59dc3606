"""What a worker process runs first: it keeps out what would take memory and is never used."""

import contextlib
import ctypes
import os
import socket
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection

from serving.settings import Settings
from serving.sources import Sources

FOR_OTHER_INPUTS = ("pandas", "sklearn", "dask", "charset_normalizer")
"""LightGBM imports these to take their frames, models and clusters, and NumPy the last to read Fortran; a worker gives
them arrays only."""
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_TRIM_THRESHOLD_": "1048576"}
"""What glibc's malloc reads as a process begins (others ignore it): arrays of a large directory go back to the system
when they are freed, instead of staying with the thread that asked for them."""


SMALL = 30_000
"""Therapists, of the largest directory: up to here there is room for speed."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as <malloc.h> numbers them


def begin(settings: Settings, sources: Sources, bound: socket.socket, parent: Connection, workers: int) -> None:
    """Imports LightGBM by itself, which saves some 100 MB, and then serves: see `serving.running.worker.work`."""
    with hidden(FOR_OTHER_INPUTS):
        import lightgbm  # noqa: F401
    from serving.running.worker import work

    work(settings, sources, bound, parent, workers)


@contextlib.contextmanager
def frugal() -> Iterator[None]:
    """Processes started in the block are told `MALLOC`, unless the operator has told them otherwise."""
    new = {name: value for name, value in MALLOC.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]


def give_back(therapists: int) -> None:
    """Returns what reading left over to the system, where the C library can.

    Up to `SMALL` arrays stay with the thread from then on: to ask for them anew takes twice as long.
    """
    frugally = all(os.environ.get(name) == value for name, value in MALLOC.items())
    library = ctypes.CDLL(None) if sys.platform != "win32" else None
    trim, option = getattr(library, "malloc_trim", None), getattr(library, "mallopt", None)
    if trim is not None:
        trim(0)
    if option is not None and therapists <= SMALL and frugally:
        option(_MMAP_THRESHOLD, 4_194_304)
        option(_TRIM_THRESHOLD, 16_777_216)


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
