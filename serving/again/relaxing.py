"""What a softer rule would bring: how many more therapists, and how the best of them compares with who is eligible."""

from dataclasses import replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from data.manifest import Rule
from features.columns import Bools
from features.eligibility import Judgement
from serving.answering import intake
from serving.answering.matcher import Matcher, Question
from serving.answering.recommend import RELAX_WORDS
from serving.schemas import Interval, Preference
from training.ranking import difference, utility

SOFTER = {"must": "prefer", "must_not": "avoid"}
"""What a strength becomes where a wish need no longer be met."""


class Brought(BaseModel):
    """What comes of relaxing one rule, the others as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Rule
    more_therapists: int
    best: str | None = Field(description="the best of those added; empty while the answer is held")
    gain: Interval | None = Field(description="of the best added over the best who is eligible, in SD")
    words: str


def brought(matcher: Matcher, asked: Question, judgement: Judgement, held: bool) -> list[Brought]:
    """Each rule that may relax and would bring somebody; nobody is named while the answer is held."""
    return [_one(matcher, asked, judgement, rule, more, held) for rule, more in judgement.brought.items()]


def _one(matcher: Matcher, asked: Question, judgement: Judgement, rule: Rule, more: Bools, held: bool) -> Brought:
    count = int(np.count_nonzero(more))
    words = f"{count} more {RELAX_WORDS[rule]}."
    if held:
        return Brought(rule=rule, more_therapists=count, best=None, gain=None, words=words)
    put = _softened(matcher, asked) if rule == "must" else asked
    rows = np.flatnonzero(judgement.eligible | more)
    weighing = matcher.bundle.counting
    heads = matcher.bundle.fits(put.client, matcher.prepared(asked.day), rows).heads
    total = utility(heads, weighing)
    best = int(np.argmax(np.where(more[rows], total, -np.inf)))
    name = matcher.directory.ids[rows[best]]
    if not judgement.eligible.any():
        return Brought(
            rule=rule, more_therapists=count, best=name, gain=None, words=f"{words} The best of them: {name}."
        )
    first = int(np.argmax(np.where(judgement.eligible[rows], total, -np.inf)))
    mean, low, high = difference(heads, weighing, total, best, first)
    told = f"{mean:+.2f} SD (80 % interval {low:+.2f} to {high:+.2f})"
    words = f"{words} The best of them, {name}, is expected to bring {told} over the best who is eligible."
    return Brought(
        rule=rule, more_therapists=count, best=name, gain=Interval(mean=mean, low=low, high=high), words=words
    )


def _softened(matcher: Matcher, asked: Question) -> Question:
    """What must be becomes what is preferred: it counts for the ranking then."""
    wishes: list[Preference] = [
        wish.model_copy(update={"strength": SOFTER.get(wish.strength, wish.strength)})
        for wish in asked.request.preferences
    ]
    table = intake.client_table(asked.request.model_copy(update={"preferences": wishes}))
    day = None if matcher.bundle.manifest.undated else asked.day
    return replace(asked, client=matcher.bundle.clients(table, 1, day))
