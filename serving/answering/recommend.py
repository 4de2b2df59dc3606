"""One answer: hard rules over the whole directory, fits of the eligible, an order, and why. NumPy from end to end."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from data.directory import DirectoryMeta
from features.columns import Floats, Ints
from features.eligibility import Judgement, judge
from features.practice import Slots
from serving.answering import reasons
from serving.answering.cautions import cautions, few_cases
from serving.answering.exploration import WORDS as EXPLORED
from serving.answering.exploration import Draw, Explored, explore, near, unexplored
from serving.answering.matcher import Audience, Matcher, Question
from serving.answering.notes import notes
from serving.answering.safety import Assessment
from serving.running.metrics import Lap, no_lap
from serving.schemas import (
    Counts,
    Interval,
    ModelInfo,
    Prediction,
    Recommendation,
    RecommendationAnswer,
    Relaxation,
    Safety,
    Slot,
    VersusSoonest,
)
from training.bundle import Manifest
from training.first import First, Told, first, soonest_first, told
from training.parts import Fits
from training.predicted import Spans, predicted
from training.ranking import Gain, difference

RELAX_WORDS: Mapping[str, str] = {
    "modality": "if any way of meeting will do",
    "must": "if what must be becomes what is preferred",
    "capacity": "if the client can wait for a place",
    "slot": "if a later or other time will do",
}


@dataclass(frozen=True)
class Ids:
    """What an answer and its safety task are called."""

    recommendation_id: str
    task_id: str | None = None
    released_from: str | None = None
    """The held answer that a clinician released."""


@dataclass(frozen=True)
class Answered:
    """An answer, and what the journal keeps beside it."""

    answer: RecommendationAnswer
    propensities: Mapping[str, float] | None
    """Each therapist's chance of standing first; None while exploration is off."""


def answer(
    matcher: Matcher,
    asked: Question,
    assessment: Assessment,
    ids: Ids,
    audience: Audience,
    draw: Draw | None,
    lap: Lap = no_lap,
) -> Answered:
    """The answer to a good request: ranked, held for a clinician, or empty with what happens next.

    A pure function of what it is given. `draw` is the lot of a service that explores; it is not used where anything
    about self-harm was reported. `lap` is told when a stage is over.
    """
    judgement = judge(asked.practice, asked.ask)
    rows = np.flatnonzero(judgement.eligible)
    lap("rules")
    held = assessment.status == "held"
    lot = None if draw is None or assessment.needs_task else draw
    ranked = Ranking.of(matcher, asked, judgement, rows, lot) if len(rows) and not held else None
    lap("rank")
    settings = matcher.settings
    next_step = (settings.held_next_step or settings.next_step) if held else None if len(rows) else settings.next_step
    given = RecommendationAnswer(
        recommendation_id=ids.recommendation_id,
        released_from=ids.released_from,
        model=model_info(matcher.bundle.manifest, matcher.version, matcher.directory.meta),
        as_of=asked.day,
        counts=Counts(considered=matcher.directory.size, eligible=len(rows)),
        meaningful_difference=ranked.first.meaningful_difference if ranked else None,
        recommendations=ranked.recommendations(audience) if ranked else [],
        versus_soonest=ranked.versus_soonest() if ranked else None,
        excluded=judgement.counts(),
        rules_not_checked=list(judgement.not_checked),
        relaxations=_relaxations(judgement),
        safety=Safety(
            status=assessment.status,
            asked=list(assessment.asked),
            task_id=ids.task_id,
            words=assessment.words(settings),
        ),
        next_step=next_step,
        notes=notes(matcher, asked) + (ranked.explored_words() if ranked else []),
    )
    lap("reasons")
    return Answered(given, None if draw is None else ranked.propensities() if ranked else {})


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
        Relaxation(rule=rule, more_therapists=count, words=f"{count} more {RELAX_WORDS[rule]}")
        for rule, count in judgement.relaxations.items()
    ]


@dataclass(frozen=True)
class Ranking:
    """The eligible of one question in order. Arrays of n are indexed by position in `rows`."""

    matcher: Matcher
    asked: Question
    judgement: Judgement
    rows: Ints
    fits: Fits
    first: First
    explored: Explored
    wait: Floats
    """Days until the first bookable slot, with fractions; NaN where there is none."""
    wait_days: Floats
    """The same in whole calendar days."""

    @classmethod
    def of(cls, matcher: Matcher, asked: Question, judgement: Judgement, rows: Ints, lot: Draw | None) -> "Ranking":
        """The eligible, those at `rows`, in order; `lot` where some may be shuffled."""
        soonest = asked.practice.slots.starts(judgement.first[rows])
        wait = _days(soonest - asked.ask.now)
        whole = _days(soonest.astype("datetime64[D]") - asked.ask.day.astype("datetime64[D]"))
        fits = matcher.bundle.fits(asked.client, matcher.prepared(asked.day), rows)
        price = None if asked.price is None else asked.price[rows]
        found = first(fits.heads, matcher.bundle.counting, wait, asked.request.k, price, apart=not asked.new_to)
        explored = explore(found.order, near(found, whole), lot) if lot else unexplored(found.order)
        return cls(matcher, asked, judgement, rows, fits, found, explored, wait, whole)

    def recommendations(self, audience: Audience) -> list[Recommendation]:
        """The first of them, as the answer shows them."""
        order, matcher, asked = self.explored.order, self.matcher, self.asked
        rows, ids = self.rows[order], matcher.directory.ids
        slots, most = asked.practice.slots, matcher.settings.slots_shown
        own = [self._own_slots(row) for row in rows.tolist()]
        known = told(self.fits.heads, matcher.bundle.counting, self.first.utility, order)
        gains, utilities = self._gains(known), _intervals(known.utility, 1.0)
        groups, waits = self.first.tie_group.tolist(), self.wait_days[order].tolist()
        reasons, notes = self._reasons(order, rows), cautions(matcher, asked, rows, own)
        expected = self._predicted(rows) if audience == "clinical" and not asked.new_to else None
        return [
            Recommendation(
                therapist_id=ids[row],
                rank=i + 1,
                tie_group=groups[i],
                utility=utilities[i],
                gain={name: values[i] for name, values in gains.items()},
                next_slots=[slot_at(slots, at) for at in own[i][:most].tolist()],
                wait_days=None if np.isnan(waits[i]) else int(waits[i]),
                reasons=reasons[i],
                cautions=notes[i],
                data_age_days=matcher.directory.age_days(row, asked.ask.day),
                predicted=expected and expected[i],
            )
            for i, row in enumerate(rows.tolist())
        ]

    def _predicted(self, rows: Ints) -> list[dict[str, Prediction]]:
        """For clinicians: what to expect with each of these, by head; empty for a bundle that cannot say."""
        bundle, prepared = self.matcher.bundle, self.fits.met.prepared
        found = predicted(bundle, bundle.spans, self.asked.client, prepared, rows)
        return [{name: _prediction(spans, i) for name, spans in found.items()} for i in range(len(rows))]

    def propensities(self) -> dict[str, float]:
        """By therapist, the chance of standing first."""
        ids = [self.matcher.directory.ids[row] for row in self.rows[self.explored.near].tolist()]
        return dict(zip(ids, self.explored.propensity.tolist(), strict=True))

    def explored_words(self) -> list[str]:
        """What the client is told where some could have been shuffled."""
        count = min(len(self.explored.near), len(self.explored.order))
        return [EXPLORED.format(count=count)] if count > 1 else []

    def _gains(self, known: Told) -> dict[str, list[Interval]]:
        weighing = self.matcher.bundle.weighing
        units = dict(zip(weighing.names, weighing.sd.tolist(), strict=True))
        return {name: _intervals(gain, units[name]) for name, gain in known.gains.items()}

    def _own_slots(self, row: int) -> Ints:
        own = self.asked.practice.slots.of_therapist(row)
        return own[self.judgement.bookable[own]]

    def _reasons(self, order: Ints, rows: Ints) -> list[list[str]]:
        bundle, prepared = self.matcher.bundle, self.fits.met.prepared
        pairs = dict(zip(bundle.features.columns_of("pair"), self.fits.met.built[:, order], strict=True))
        facts = reasons.Facts(bundle.features, prepared.columns.take(rows), pairs)
        meanings, few = reasons.meanings_of(bundle.features), few_cases(self.matcher, self.asked, rows)
        parts = reasons.parts_of(self.fits.parts(bundle.counting, order), bundle.features, reasons.WORTH_SAYING)
        worth = self.first.utility[order].tolist()
        return [
            reasons.in_words(parts[i], worth[i], partial(facts.value, one=i), meanings, bool(few[i]))
            for i in range(len(order))
        ]

    def versus_soonest(self) -> VersusSoonest | None:
        """What waiting for the first brings over whoever has the soonest free time; None where waits are unknown."""
        top, waits, total = int(self.explored.order[0]), self.wait_days, self.first.utility
        if np.isnan(waits[top]):
            return None
        (soonest,) = soonest_first(self.wait, total, 1).tolist()
        extra = int(waits[top] - waits[soonest])
        if top == soonest:
            words = "The first in the list also has the soonest free time."
            return VersusSoonest(gain=0.0, low=0.0, high=0.0, extra_days=0, words=words)
        gain, low, high = difference(self.fits.heads, self.matcher.bundle.counting, total, top, soonest)
        words = _waiting(gain, low, high, extra) + self._as_good_and_sooner(top)
        return VersusSoonest(gain=gain, low=low, high=high, extra_days=extra, words=words)

    def _as_good_and_sooner(self, top: int) -> str:
        """Whoever, among those shown who cannot be told apart from the first, is free before them."""
        tied = self.explored.order[self.first.tie_group == self.first.tie_group[0]]
        sooner = tied[self.wait_days[tied] < self.wait_days[top]]
        if not len(sooner):
            return ""
        best = int(sooner[np.argmin(self.wait_days[sooner])])
        therapist, days = self.matcher.directory.ids[self.rows[best]], days_in_words(self.wait_days[best])
        return f" Of those who cannot be told apart from the first, {therapist} is free soonest, in {days}."


def slot_at(slots: Slots, at: int) -> Slot:
    """One of the directory's slots, as it is shown."""
    modality = int(slots.modality.index[at])
    return Slot(
        starts_at=slots.starts_at[at].item().replace(tzinfo=dt.UTC),
        modality=None if modality < 0 else slots.modality.vocabulary[modality],
    )


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


def _intervals(gain: Gain, unit: float) -> list[Interval]:
    ends = zip(*((values / unit).tolist() for values in (gain.mean, gain.low, gain.high)), strict=True)
    return [Interval(mean=mean, low=low, high=high) for mean, low, high in ends]


def _prediction(spans: Spans, i: int) -> Prediction:
    mean, low, high = (float(values[i]) for values in (spans.mean, spans.low, spans.high))
    points = dict(spans.points) or None
    told = {"unit": spans.unit, "better": spans.better, "kind": spans.kind, "words": spans.words, "points": points}
    return Prediction(mean=mean, low=low, high=high, **told)


def _days(spans: np.ndarray) -> Floats:
    days: Floats = np.where(np.isnat(spans), np.nan, spans / np.timedelta64(1, "D"))
    return days
