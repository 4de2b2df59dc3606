"""What tests of training share: one run on the small clinic, and a way to write tiny datasets."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from features.policy import Policy

if TYPE_CHECKING:
    from data.dataset import Dataset
    from data.synthetic.truth import Truth
    from training.audit.document import Audit
    from training.bundle import Manifest
    from training.run import Trained
    from training.storage import Beside

settings.register_profile("training", deadline=None)  # a busy machine is no failure
settings.load_profile("training")

AnAudit = Callable[..., "Audit"]
Tables = Callable[..., "Dataset"]


@pytest.fixture(scope="session")
def trained(clinic: "tuple[Dataset, Truth]", tmp_path_factory: pytest.TempPathFactory) -> "Trained":
    """A run on the small clinic. Shared by all tests of a session: copy its folder before changing it."""
    from training.config import TrainConfig
    from training.run import train

    return train(clinic[0], TrainConfig(bootstraps=50), tmp_path_factory.mktemp("trained") / "bundle")


def carried(folder: Path) -> "Beside":
    """What the bundle of a folder carries beside the model."""
    from training.storage import Beside, read_spans, read_stability, read_tested

    return Beside(read_spans(folder), read_stability(folder), read_tested(folder))


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


@pytest.fixture(scope="session")
def an_audit() -> AnAudit:
    """Writes an audit by hand: `of` a manifest or of a bundle's id, of these features, with flags on some of them."""
    from training.audit.document import Audit, Finding, Section
    from training.audit.importances import Importance

    def write(
        of: "Manifest | str",
        features: Collection[str] = ("severity", "wishes_met"),
        flags: Mapping[str, str] | None = None,
        **words: object,
    ) -> Audit:
        about = {} if isinstance(of, str) else {name: getattr(of, name) for name in ("bundle_id", "synthetic")}
        findings = [Finding(level="look", words=said, page=f"feature/{name}") for name, said in (flags or {}).items()]
        told: dict[str, Any] = {
            "bundle_id": of,
            "name": "tiny",
            "dataset": "tiny",
            "synthetic": False,
            "as_of": dt.date(2026, 1, 1),
            "made_at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
            "policy_hash": Policy.read().hash(),
            "sections": (Section(id="importance", title="What drives it?", says=("this",), findings=tuple(findings)),),
            "features": {name: Section(id=name, title=name, says=()) for name in features},
            "groups": {},
            "importance": Importance(),
            "therapists": {},
        }
        return Audit(**{**told, **about, **words})

    return write
