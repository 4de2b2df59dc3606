"""What was answered to questions about self-harm, and what follows: nothing, a task for a clinician, or a held answer.

It never says that someone is safe: an answer of 0 is what was reported, on one day, to one question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from data.instruments import INSTRUMENTS
from serving.schemas import Measure
from serving.settings import SafetySettings

Status = Literal["not_asked", "nothing_reported", "flagged", "held"]

_WORDS: Mapping[Status, str] = {
    "not_asked": "No question about self-harm was answered. Please ask before a first session is arranged.",
    "nothing_reported": "Thoughts of self-harm were asked about and not reported on that day. Please keep asking.",
    "flagged": "Thoughts of self-harm were reported. A clinician needs to talk with the client soon.",
    "held": "Thoughts of self-harm were reported. A clinician talks with the client before anyone is proposed.",
}


@dataclass(frozen=True)
class Assessment:
    """The status, the questions asked (`phq9.9`), and those whose answers raised it."""

    status: Status
    asked: tuple[str, ...]
    raised_by: tuple[str, ...]

    @property
    def needs_task(self) -> bool:
        """Whether a clinician has something to look at."""
        return self.status in ("flagged", "held")

    @property
    def words(self) -> str:
        """What the answer says of it."""
        return _WORDS[self.status]


def risk_items() -> tuple[str, ...]:
    """Every question about self-harm in the instruments that ship."""
    return tuple(f"{name}.{item}" for name, instrument in INSTRUMENTS.items() for item in instrument.risk_items)


def assess(measures: Sequence[Measure], settings: SafetySettings) -> Assessment:
    """From the highest answer given to each question, whenever it was given."""
    highest: dict[str, float] = {}
    for measure in measures:
        name = f"{measure.instrument}.{measure.item}"
        highest[name] = max(measure.value, highest.get(name, measure.value))
    asked = tuple(name for name in risk_items() if name in highest)
    raised = tuple(name for name in asked if highest[name] >= 1)
    if not asked:
        return Assessment("not_asked", (), ())
    if any(highest[name] >= settings.hold_at for name in asked):
        return Assessment("held", asked, raised)
    return Assessment("flagged" if raised else "nothing_reported", asked, raised)
