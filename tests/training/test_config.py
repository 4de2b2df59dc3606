"""What a training run may be told."""

from pathlib import Path

import pytest

from data.errors import ConfigError, NotFoundError
from training.config import TrainConfig


def read(tmp_path: Path, text: str) -> TrainConfig:
    path = tmp_path / "train.toml"
    path.write_text(text)
    return TrainConfig.read(path)


def test_an_empty_file_learns_the_four_heads_with_the_standard_weights(tmp_path: Path):
    config = read(tmp_path, "")
    assert {head.name: head.weight for head in config.heads} == {
        "outcome": 1.0,
        "alliance": 0.5,
        "retention": 0.5,
        "early_dropout": 0.0,
    }
    assert config == TrainConfig()


def test_unknown_keys_are_errors_and_all_are_named_at_once(tmp_path: Path):
    with pytest.raises(ConfigError) as caught:
        read(
            tmp_path, 'sede = 1\n[fit]\nslop = true\n[prognosis]\nfolds = 1\n[[heads]]\nname = "o"\nsource = "outcom"\n'
        )
    told = str(caught.value)
    assert len(caught.value.problems) == 4
    for place in ("sede", "fit.slop", "prognosis.folds", "heads.0"):
        assert place in told
    assert "measure:INSTRUMENT@SESSION" in told


def test_a_head_may_be_declared_for_any_measure(tmp_path: Path):
    head = read(
        tmp_path, '[[heads]]\nname = "work"\nsource = "measure:wsas@8"\ndirection = "lower"\nweight = 1\n'
    ).heads[0]
    assert (head.kind, head.direction, head.landmark) == ("gaussian", "lower", None)


def test_the_programs_own_heads_know_their_kind_and_direction(tmp_path: Path):
    text = '[[heads]]\nname = "early"\nsource = "early_dropout"\nweight = 1\n'
    assert (read(tmp_path, text).heads[0].kind, read(tmp_path, text).heads[0].direction) == ("binary", "lower")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('[[heads]]\nname = "a"\nsource = "outcome"\n', "at least one head needs a weight"),
        (2 * '[[heads]]\nname = "a"\nsource = "outcome"\nweight = 1\n', "head names must differ"),
        ("[split]\ntest_share = 0.9\n", "less than 0.35"),
        ("bootstraps = 3\n", "greater than or equal to 50"),
        ("heads = [\n", "must be TOML"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(tmp_path: Path, text: str, rule: str):
    with pytest.raises(ConfigError, match=rule):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"none\.toml"):
        TrainConfig.read(tmp_path / "none.toml")
