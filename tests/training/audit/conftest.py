"""What tests of the audit share: a clinic in which planted effects can be seen, a bundle of it, and its truth."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from data.synthetic.truth import Truth
    from training.audit.examined import Examined


@pytest.fixture(scope="session")
def audited(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Examined, Truth]":
    """A trained clinic and its truth. Shared by all tests of a session: copy its folder before you write into it."""
    from data.synthetic.clinic import simulate
    from data.synthetic.plan import Plan
    from training.audit.examined import examined
    from training.config import DEFAULT_HEADS, TrainConfig
    from training.run import train

    dataset, truth = simulate(Plan(episodes=5000, therapists=90, seed=31))
    folder: Path = tmp_path_factory.mktemp("audited") / "bundle"
    train(dataset, TrainConfig(bootstraps=100, heads=DEFAULT_HEADS[:3]), folder)
    return examined(folder, dataset), truth
