"""Beside the champion: its configuration fitted again before the same cut, and what the gate makes of it."""

from pathlib import Path

import pytest

from data.dataset import Dataset
from data.synthetic.truth import Truth
from features.policy import Policy
from training.bundle import Bundle
from training.config import DEFAULT_HEADS, FeaturesConfig, FitConfig, PrognosisConfig, TrainConfig
from training.gate import unmet
from training.run import train
from training.storage import load

QUICK = PrognosisConfig(rounds=15, refits=0)
HEADS = DEFAULT_HEADS[:2]


@pytest.fixture(scope="module")
def challenger(clinic: tuple[Dataset, Truth], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A run without any fit beside a champion that has one."""
    served = TrainConfig(heads=HEADS, prognosis=QUICK, bootstraps=50)
    config = served.model_copy(update={"fit": FitConfig(therapist=False, columns=False), "heads": HEADS[:1]})
    folder = tmp_path_factory.mktemp("challenger") / "bundle"
    return load(train(clinic[0], config, folder, champion=("served0", served)).folder)


def test_a_run_stands_beside_the_champion_for_the_heads_that_both_have(challenger: Bundle) -> None:
    found = challenger.manifest.evaluation["champion"]
    assert found["bundle_id"] == "served0"
    assert set(found["r2_over_champion"]) == {"outcome"}


def test_the_champions_figure_is_that_of_the_same_model_tested_alone(challenger: Bundle) -> None:
    tested = challenger.manifest.evaluation["heads"]["outcome"]
    over = challenger.manifest.evaluation["champion"]["r2_over_champion"]["outcome"]
    assert over["low"] <= over["value"] <= over["high"]
    assert over["value"] != 0
    assert tested["r2_over_patient_only"]["value"] == pytest.approx(0, abs=1e-9)


def test_the_same_configuration_differs_from_itself_by_nothing(clinic: tuple[Dataset, Truth], tmp_path: Path) -> None:
    config = TrainConfig(heads=HEADS[:1], prognosis=QUICK, bootstraps=50)
    manifest = train(clinic[0], config, tmp_path / "bundle", champion=("served0", config)).bundle.manifest
    assert manifest.evaluation["champion"]["r2_over_champion"]["outcome"] == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_champion_that_these_data_cannot_feed_is_said_and_stops_the_gate(
    clinic: tuple[Dataset, Truth], tmp_path: Path
) -> None:
    config = TrainConfig(heads=HEADS[:1], prognosis=QUICK, bootstraps=50)
    other = config.model_copy(update={"features": FeaturesConfig(exclude=("client.of_another_clinic",))})
    bundle = train(clinic[0], config, tmp_path / "bundle", champion=("served0", other)).bundle
    assert "client.of_another_clinic" in bundle.manifest.evaluation["champion"]["note"]
    assert any("of_another_clinic" in problem.rule for problem in unmet(bundle, Policy.read(), "served0"))


def test_the_gate_asks_for_a_comparison_with_the_champion_of_the_day(challenger: Bundle) -> None:
    assert any(problem.value == "not compared" for problem in unmet(challenger, Policy.read(), "another0"))
    assert not any("champion" in str(problem) for problem in unmet(challenger, Policy.read(), None))


def test_a_model_that_is_worse_than_the_champion_does_not_pass(challenger: Bundle) -> None:
    evaluation = dict(challenger.manifest.evaluation)
    evaluation["champion"] = {
        "bundle_id": "served0",
        "r2_over_champion": {"outcome": {"value": 0, "low": -0.1, "high": 0.1}},
    }
    manifest = challenger.manifest.model_copy(update={"evaluation": evaluation})
    worse = Bundle(manifest, challenger.features, challenger.design, challenger.heads, challenger.records)
    assert any("R2 difference to the champion" in problem.value for problem in unmet(worse, Policy.read(), "served0"))
