"""What a worker process is told to serve. Light to import: it is read before anything else."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sources:
    """Where a service takes its bundle, directory and database from."""

    bundle: Path
    version: str = ""
    """What the registry calls the bundle; its day of making if it came from no registry."""
    data: Path | None = None
    """A dataset to serve as it stands, to the tenant `default`; the database's directories if not given."""
    database: str | None = None
