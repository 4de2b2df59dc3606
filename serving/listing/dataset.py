"""A dataset on disk as a directory: what `--data` names. Frames are read here, and in no other room of a worker."""

from pathlib import Path

from data.dataset import read
from data.directory import DirectoryData
from data.loading import from_dataset


def directory_data(folder: Path) -> DirectoryData:
    """The directory of the dataset in a folder. Raises DataError with every problem, NotFoundError without one."""
    return from_dataset(read(folder))
