"""What tests of training share: one run on the small clinic, and a way to write tiny datasets."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from data.dataset import Dataset
    from data.synthetic.truth import Truth
    from training.run import Trained

settings.register_profile("training", deadline=None)  # a busy machine is no failure
settings.load_profile("training")

Tables = Callable[..., "Dataset"]


@pytest.fixture(scope="session")
def trained(clinic: "tuple[Dataset, Truth]", tmp_path_factory: pytest.TempPathFactory) -> "Trained":
    """A run on the small clinic. Shared by all tests of a session: copy its folder before changing it."""
    from training.config import TrainConfig
    from training.run import train

    return train(clinic[0], TrainConfig(bootstraps=50), tmp_path_factory.mktemp("trained") / "bundle")


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Makes a dataset of a manifest and of tables written as CSV text."""
    from data.dataset import read

    def make(manifest: str = "as_of = 2026-01-01\n", **texts: str) -> "Dataset":
        (tmp_path / "dataset.toml").write_text(f'name = "tiny"\n{manifest}')
        for name, text in texts.items():
            (tmp_path / f"{name}.csv").write_text(text)
        return read(tmp_path)

    return make
