"""What answers about self-harm lead to, and that configuration can only be stricter."""

import pytest
from pydantic import ValidationError

from serving.safety import assess, risk_items
from serving.schemas import Measure
from serving.settings import SafetySettings

USUAL = SafetySettings()


def measure(instrument: str, item: int, value: float) -> Measure:
    return Measure(instrument=instrument, item=str(item), value=value)


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([], "not_asked"),
        ([("phq9", 0, 20), ("phq9", 1, 3)], "not_asked"),
        ([("phq9", 9, 0)], "nothing_reported"),
        ([("phq9", 9, 1)], "flagged"),
        ([("phq9", 9, 2)], "held"),
        ([("phq9", 9, 3)], "held"),
        ([("core10", 6, 1)], "flagged"),
        ([("core10", 6, 4)], "held"),
        ([("phq9", 9, 0), ("core10", 6, 2)], "held"),
        ([("phq9", 9, 2), ("phq9", 9, 0)], "held"),
        ([("core10", 9, 4)], "not_asked"),
    ],
)
def test_the_highest_answer_decides(answers: list[tuple[str, int, float]], status: str) -> None:
    assert assess([measure(*answer) for answer in answers], USUAL).status == status


def test_phq9_item_9_and_core10_item_6_are_watched() -> None:
    assert set(risk_items()) == {"phq9.9", "core10.6"}


def test_a_service_may_hold_earlier_but_never_later() -> None:
    assert assess([measure("phq9", 9, 1)], SafetySettings(hold_at=1)).status == "held"
    with pytest.raises(ValidationError):
        SafetySettings(hold_at=3)
    with pytest.raises(ValidationError):
        SafetySettings(hours_to_act=48)


def test_what_raised_it_is_named() -> None:
    assessment = assess([measure("phq9", 9, 0), measure("core10", 6, 1)], USUAL)
    assert assessment.asked == ("phq9.9", "core10.6")
    assert assessment.raised_by == ("core10.6",)
