"""One answer: hard rules over the whole directory, fits of the eligible, an order, and why. NumPy from end to end."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.loading import DirectoryMeta
from features.columns import Floats, Ints
from features.eligibility import Judgement, judge
from serving import reasons
from serving.cautions import cautions, few_cases
from serving.matcher import Matcher, Question
from serving.notes import notes
from serving.safety import Assessment
from serving.schemas import (
    Counts,
    Interval,
    ModelInfo,
    Recommendation,
    RecommendationAnswer,
    Relaxation,
    Safety,
    Slot,
    VersusSoonest,
)
from training.bundle import Manifest
from training.head import PairPosterior
from training.ranking import Gain, Ranked, difference, rank

_RELAX_WORDS: Mapping[str, str] = {
    "modality": "if any way of meeting will do",
    "must": "if what must be becomes what is preferred",
    "capacity": "if the client can wait for a place",
    "slot": "if a later or other time will do",
}


def answer(
    matcher: Matcher, asked: Question, assessment: Assessment, recommendation_id: str, task_id: str | None
) -> RecommendationAnswer:
    """The answer to a good request: ranked, held for a clinician, or empty with what happens next."""
    judgement = judge(asked.practice, asked.ask)
    rows = np.flatnonzero(judgement.eligible)
    held = assessment.status == "held"
    ranked = _Ranking.of(matcher, asked, judgement, rows) if len(rows) and not held else None
    settings = matcher.settings
    next_step = (settings.held_next_step or settings.next_step) if held else None if len(rows) else settings.next_step
    return RecommendationAnswer(
        recommendation_id=recommendation_id,
        model=model_info(matcher.bundle.manifest, matcher.version, matcher.directory.meta),
        as_of=asked.day,
        counts=Counts(considered=matcher.directory.size, eligible=len(rows)),
        meaningful_difference=ranked.ranked.meaningful_difference if ranked else None,
        recommendations=ranked.recommendations() if ranked else [],
        versus_soonest=ranked.versus_soonest() if ranked else None,
        excluded=judgement.counts(),
        rules_not_checked=list(judgement.not_checked),
        relaxations=_relaxations(judgement),
        safety=Safety(
            status=assessment.status, asked=list(assessment.asked), task_id=task_id, words=assessment.words(settings)
        ),
        next_step=next_step,
        notes=notes(matcher, asked),
    )


def model_info(manifest: Manifest, version: str, meta: DirectoryMeta) -> ModelInfo:
    """Which model this is, and what a reader of its ranking should know."""
    known = [
        (not manifest.proven, "Not yet shown to do better than the next available therapist."),
        (manifest.synthetic, "Learned from synthetic data: for demonstration, not for people."),
        (manifest.undated, "Learned from undated data: not tested forward in time."),
        (not meta.rules, "The directory lists no hard rules: whether the client can really be seen was not checked."),
    ]
    said = [words for applies, words in known if applies]
    return ModelInfo(version=version, bundle_id=manifest.bundle_id, proven=manifest.proven, notes=said)


def _relaxations(judgement: Judgement) -> list[Relaxation]:
    return [
        Relaxation(rule=rule, more_therapists=count, words=f"{count} more {_RELAX_WORDS[rule]}")
        for rule, count in judgement.relaxations.items()
    ]


@dataclass(frozen=True)
class _Ranking:
    """The eligible of one question in order. Arrays are indexed by position in `rows`."""

    matcher: Matcher
    asked: Question
    judgement: Judgement
    rows: Ints
    posteriors: Mapping[str, PairPosterior]
    ranked: Ranked
    wait: Floats
    """Days until the first bookable slot, with fractions; NaN where there is none."""
    wait_days: Floats
    """The same in whole calendar days."""

    @classmethod
    def of(cls, matcher: Matcher, asked: Question, judgement: Judgement, rows: Ints) -> "_Ranking":
        soonest = matcher.directory.soonest(judgement.bookable)[rows]
        wait = _days(soonest - asked.ask.now)
        whole = _days(soonest.astype("datetime64[D]") - asked.ask.day.astype("datetime64[D]"))
        posteriors = matcher.bundle.posteriors(asked.client, matcher.prepared(asked.day), rows)
        ids = [matcher.directory.ids[row] for row in rows]
        ranked = rank(posteriors, matcher.bundle.weighing, wait, ids, groups_for=asked.request.k)
        return cls(matcher, asked, judgement, rows, posteriors, ranked, wait, whole)

    def recommendations(self) -> list[Recommendation]:
        return [self._one(int(at), number + 1) for number, at in enumerate(self.ranked.order[: self.asked.request.k])]

    def _one(self, at: int, number: int) -> Recommendation:
        row, directory = int(self.rows[at]), self.matcher.directory
        own = self._own_slots(row)
        return Recommendation(
            therapist_id=directory.ids[row],
            rank=number,
            tie_group=int(self.ranked.tie_group[at]),
            utility=_interval(self.ranked.utility, at, 1.0),
            gain=self._gains(at),
            next_slots=self._slots(own),
            wait_days=None if np.isnan(self.wait_days[at]) else int(self.wait_days[at]),
            reasons=self._reasons(at, row),
            cautions=cautions(self.matcher, self.asked, row, own),
            data_age_days=directory.age_days(row, self.asked.ask.day),
        )

    def _gains(self, at: int) -> dict[str, Interval]:
        weighing = self.matcher.bundle.weighing
        units = dict(zip(weighing.names, weighing.sd.tolist(), strict=True))
        return {name: _interval(gain, at, units[name]) for name, gain in self.ranked.gains.items()}

    def _own_slots(self, row: int) -> Ints:
        slots = self.matcher.directory.practice.slots
        return np.flatnonzero(self.judgement.bookable & (slots.therapist == row))

    def _slots(self, own: Ints) -> list[Slot]:
        slots = self.matcher.directory.practice.slots
        return [
            Slot(
                starts_at=slots.starts_at[at].item().replace(tzinfo=dt.UTC),
                modality=None if slots.modality.index[at] < 0 else slots.modality.vocabulary[slots.modality.index[at]],
            )
            for at in own[: self.matcher.settings.slots_shown]
        ]

    def _reasons(self, at: int, row: int) -> list[str]:
        bundle, prepared = self.matcher.bundle, self.matcher.prepared(self.asked.day)
        shares = bundle.contributions(self.asked.client, prepared, self.rows, at)
        parts = reasons.parts_of(shares, bundle.weighing, bundle.features)
        values = reasons.values_of(bundle.features, self.asked.client, prepared.columns, row)
        meanings = reasons.meanings_of(bundle.features)
        few = few_cases(self.matcher, self.asked, row)
        return reasons.in_words(parts, float(self.ranked.utility.mean[at]), values, meanings, few)

    def versus_soonest(self) -> VersusSoonest | None:
        """What waiting for the first brings over whoever has the soonest free time; None where waits are unknown."""
        top, waits = int(self.ranked.order[0]), self.wait_days
        if np.isnan(waits[top]):
            return None
        total = self.ranked.utility.mean
        ids = np.array([self.matcher.directory.ids[row] for row in self.rows])
        soonest = int(np.lexsort((ids, -total, np.where(np.isnan(self.wait), np.inf, self.wait)))[0])
        extra = int(waits[top] - waits[soonest])
        if top == soonest:
            words = "The first in the list also has the soonest free time."
            return VersusSoonest(gain=0.0, low=0.0, high=0.0, extra_days=0, words=words)
        gain, low, high = difference(self.posteriors, self.matcher.bundle.weighing, total, top, soonest)
        words = _waiting(gain, low, high, extra) + self._as_good_and_sooner(top)
        return VersusSoonest(gain=gain, low=low, high=high, extra_days=extra, words=words)

    def _as_good_and_sooner(self, top: int) -> str:
        """Whoever, among those shown who cannot be told apart from the first, is free before them."""
        shown = self.ranked.order[: self.asked.request.k]
        tied = shown[self.ranked.tie_group[shown] == self.ranked.tie_group[top]]
        sooner = tied[self.wait_days[tied] < self.wait_days[top]]
        if not len(sooner):
            return ""
        best = int(sooner[np.argmin(self.wait_days[sooner])])
        therapist, days = self.matcher.directory.ids[self.rows[best]], days_in_words(self.wait_days[best])
        return f" Of those who cannot be told apart from the first, {therapist} is free soonest, in {days}."


def days_in_words(count: float) -> str:
    """A count of days as a person would say it."""
    return "1 day" if count == 1 else f"{int(count)} days"


def _waiting(gain: float, low: float, high: float, extra: int) -> str:
    days = "no longer wait" if extra == 0 else f"{days_in_words(extra)} more of waiting"
    numbers = f"{gain:+.2f} SD (80 % interval {low:+.2f} to {high:+.2f})"
    start = f"The first in the list, at {days}, is expected to bring {numbers} over the soonest free time"
    if low > 0:
        return f"{start}."
    return f"{start}: the difference may be nothing, and the soonest free time is a good choice too."


def _interval(gain: Gain, at: int, unit: float) -> Interval:
    mean, low, high = (float(values[at]) / unit for values in (gain.mean, gain.low, gain.high))
    return Interval(mean=mean, low=low, high=high)


def _days(spans: np.ndarray) -> Floats:
    days: Floats = np.where(np.isnat(spans), np.nan, spans / np.timedelta64(1, "D"))
    return days
