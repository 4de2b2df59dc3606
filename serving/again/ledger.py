"""The ledger of an answer: every therapist who was not eligible, every rule that excludes them, with datum and day."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from data.errors import NotFoundError
from data.manifest import RULES, Rule
from features.columns import Ints
from features.eligibility import Judgement, judge
from serving.again.grounds import Case, ground, recorded_on
from serving.again.relaxing import Brought, brought
from serving.answering.matcher import Matcher, Question
from serving.schemas import Counts

LONGEST_PAGE = 200


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FailedRule(_Told):
    """One rule that excludes a therapist, and what on record makes it so."""

    rule: Rule
    words: str
    on_record: Mapping[str, Any] = Field(description="what the rule found; null where nothing is on record")
    asked: Mapping[str, Any] = Field(description="what the rule asked for, nothing else of the client")
    recorded_on: dt.date | None = Field(description="day of the record; empty where it is not known")
    judged_on: dt.date


class Excluded(_Told):
    """A therapist who was not eligible."""

    therapist_id: str
    counted_as: Rule = Field(description="the first rule that failed: under it the answer counts the exclusion")
    profile_updated_on: dt.date | None
    failed: list[FailedRule]


class Ledger(_Told):
    """A page of those who were not eligible, in the order of their ids."""

    recommendation_id: str
    as_of: dt.date
    counts: Counts
    excluded: Mapping[Rule, int] = Field(description="by the first rule that failed; with the eligible they add up")
    failures: Mapping[Rule, int] = Field(description="how many each rule excludes, whatever else excludes them")
    rules_not_checked: list[Rule]
    relaxations: list[Brought] = Field(description="what softer rules would bring, and how good the best of it is")
    matching: int = Field(description="how many therapists this question is about, over all pages")
    words: str
    therapists: list[Excluded]
    next_cursor: str | None = Field(description="give it as `cursor` for the next page; empty on the last")


def ledger(
    recommendation_id: str,
    matcher: Matcher,
    asked: Question,
    therapist_id: str | None = None,
    rule: Rule | None = None,
    limit: int = LONGEST_PAGE,
    cursor: str | None = None,
    held: bool = False,
) -> Ledger:
    """A page of the ledger: of one therapist, of those whom one rule excludes, or of all. `cursor` is the last id seen.

    While an answer is `held` nobody is proposed, not even as what a softer rule would bring.
    Raises NotFoundError for a therapist whom the directory of the answer does not list.
    """
    judgement = judge(asked.practice, asked.ask)
    rows = _rows(matcher, judgement, therapist_id, rule)
    ids = matcher.directory.ids
    left = rows if cursor is None else rows[[ids[row] > cursor for row in rows.tolist()]]
    page = left[:limit].tolist()
    size, eligible = matcher.directory.size, int(np.count_nonzero(judgement.eligible))
    return Ledger(
        recommendation_id=recommendation_id,
        as_of=asked.day,
        counts=Counts(considered=size, eligible=eligible),
        excluded=judgement.counts(),
        failures=_failures(judgement),
        rules_not_checked=list(judgement.not_checked),
        relaxations=brought(matcher, asked, judgement, held),
        matching=len(rows),
        words=_words(size, eligible, therapist_id, judgement, matcher),
        therapists=[excluded(matcher, asked, judgement, row) for row in page],
        next_cursor=ids[page[-1]] if len(left) > len(page) else None,
    )


def excluded(matcher: Matcher, asked: Question, judgement: Judgement, row: int) -> Excluded:
    """Everything that excludes the therapist at a row."""
    case, day = Case(matcher, asked, row), matcher.directory.updated_on[row]
    rules = judgement.rules_failed(row)
    return Excluded(
        therapist_id=matcher.directory.ids[row],
        counted_as=rules[0],
        profile_updated_on=None if np.isnat(day) else day.item(),
        failed=[_failed(case, rule) for rule in rules],
    )


def _failed(case: Case, rule: Rule) -> FailedRule:
    found = ground(case, rule)
    return FailedRule(
        rule=rule,
        words=found.words,
        on_record=found.on_record,
        asked=found.asked,
        recorded_on=recorded_on(case, rule),
        judged_on=case.asked.day,
    )


def _rows(matcher: Matcher, judgement: Judgement, therapist_id: str | None, rule: Rule | None) -> Ints:
    """Rows in the order of the ids, which is the order of the directory."""
    wanted = ~judgement.eligible
    if rule is not None:
        wanted &= judgement.failed >> np.uint16(RULES.index(rule)) & np.uint16(1) == 1
    if therapist_id is not None:
        if therapist_id not in matcher.directory.place:
            raise NotFoundError("the directory of this answer lists no such therapist -> see that the id is right")
        wanted &= np.arange(matcher.directory.size) == matcher.directory.place[therapist_id]
    return np.flatnonzero(wanted)


def _failures(judgement: Judgement) -> dict[Rule, int]:
    counts = {rule: int(np.count_nonzero(judgement.failed >> np.uint16(i) & 1)) for i, rule in enumerate(RULES)}
    return {rule: count for rule, count in counts.items() if count}


def _words(size: int, eligible: int, therapist_id: str | None, judgement: Judgement, matcher: Matcher) -> str:
    if therapist_id is not None and judgement.eligible[matcher.directory.place[therapist_id]]:
        return f"{therapist_id} was eligible: no rule excludes them."
    return f"{size - eligible} of {size} therapists were not eligible; for each, every rule and what is on record."
