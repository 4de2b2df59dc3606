"""The settings file: the shipped example is good, and everything wrong is named at once."""

from pathlib import Path

import pytest

from data.errors import ConfigError, NotFoundError
from serving.settings import Settings

EXAMPLE = Path(__file__).parents[2] / "serving" / "settings.example.toml"


def test_the_example_is_good() -> None:
    settings = Settings.read(EXAMPLE)
    assert settings.next_step.by_when
    assert settings.held_next_step is not None
    assert settings.required_training["ptsd"] == "ptsd"


def test_everything_wrong_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('time_zone = "Mars/Olympus"\ncolour = "blue"\n[next_step]\ncontact = "a"\n[safety]\nhold_at = 3\n')
    with pytest.raises(ConfigError) as caught:
        Settings.read(path)
    said = str(caught.value)
    for place in ("time_zone", "colour", "next_step.contact", "next_step.place_kept", "safety.hold_at"):
        assert place in said


def test_a_missing_file_says_what_to_do() -> None:
    with pytest.raises(NotFoundError, match=r"settings\.example\.toml"):
        Settings.read("nowhere.toml")


def test_other_settings_have_another_name_also_as_a_copy(told: Settings) -> None:
    assert told.hash == Settings.model_validate(told.model_dump()).hash
    other = told.model_copy(update={"slots_shown": told.slots_shown + 1})
    assert other.hash == Settings.model_validate(other.model_dump()).hash != told.hash
