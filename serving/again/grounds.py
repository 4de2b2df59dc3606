"""What stands on record where a hard rule excludes a therapist: the datum, in words and as data, one function a rule.

Of the client only that is told which the rule asked for.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from data.manifest import Rule
from features.columns import Bools, Columns, Ints, Pairs
from features.eligibility import age_groups_of
from features.practice import at_wanted_times, bookable_slots, known, the_code, the_words
from features.preferences import AGE_BANDS, CODE_TOPICS, SET_TOPICS, STYLE_VALUES, TOPICS, met
from serving.answering.matcher import Matcher, Question

UNKNOWN = "not on record"


class Ground(NamedTuple):
    """Why one rule excludes one therapist."""

    words: str
    on_record: Mapping[str, Any]
    asked: Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One therapist, at a row of the directory, and what was asked."""

    matcher: Matcher
    asked: Question
    row: int

    @property
    def therapist(self) -> Columns:
        """The one row of the profile."""
        return self.asked.practice.therapists.take(np.array([self.row]))

    @property
    def slots(self) -> Ints:
        """Positions of the therapist's slots that are free and still to come."""
        slots = self.asked.practice.slots
        own = slots.of_therapist(self.row)
        return own[slots.free[own] & (slots.starts_at[own] > self.asked.ask.now)]


def ground(case: Case, rule: Rule) -> Ground:
    """What is on record of the therapist where this rule excludes them."""
    return _GROUNDS[rule](case)


def recorded_on(case: Case, rule: Rule) -> dt.date | None:
    """The day of the record that the rule was judged by, None where it is unknown or the request alone decides."""
    if rule == "conflict":
        return None
    directory = case.matcher.directory
    day = (directory.slots_on if rule == "slot" else directory.updated_on)[case.row]
    return None if np.isnat(day) else day.item()


def _conflict(case: Case) -> Ground:
    therapist = case.matcher.directory.ids[case.row]
    reasons = [one.reason for one in case.asked.request.exclude_therapists if one.therapist_id == therapist]
    said = sorted({reason for reason in reasons if reason})
    because = f" ({', '.join(said)})" if said else ""
    return Ground(f"The request asks to leave this therapist out{because}.", {}, {"reasons": said})


def _licence(case: Case) -> Ground:
    licences, place = case.asked.practice.licences, the_code(case.asked.client, "jurisdiction")
    own = np.flatnonzero(licences.therapist == case.row)
    found = [
        {
            "jurisdiction": _word(licences.jurisdiction.vocabulary, int(licences.jurisdiction.index[at])),
            "valid_from": _day(licences.valid_from[at]),
            "valid_until": _day(licences.valid_until[at]),
            "status": "active" if licences.active[at] else "suspended",
        }
        for at in own.tolist()
    ]
    day = case.asked.day.isoformat()
    known = f"On record: {_joined([_licence_words(one) for one in found])}." if found else "None is on record."
    words = f"No licence that holds in {place} on {day}. {known}"
    return Ground(words, {"licences": found}, {"jurisdiction": place, "day": day})


def _licence_words(licence: Mapping[str, Any]) -> str:
    start, end = licence["valid_from"] or "an unknown day", licence["valid_until"]
    until = f" until {end}" if end else ""
    suspended = ", suspended" if licence["status"] == "suspended" else ""
    return f"{licence['jurisdiction'] or 'an unknown place'} from {start}{until}{suspended}"


def _age_group(case: Case) -> Ground:
    groups = age_groups_of(int(case.asked.client.number("birth_year")[0]), case.asked.day.year)
    told = f"The client is in the age group {groups[0]}"
    if len(groups) > 1:
        told = f"The client may be in the age group {groups[0]} or {groups[1]}, so both must be served"
    return _offered(case, "age_groups", groups, f"{told}. Sees")


def _care_level(case: Case) -> Ground:
    level = the_code(case.asked.client, "care_level")
    return _offered(case, "care_levels", [level], f"Asked for: the care level {level}. Offers")


def _training(case: Case) -> Ground:
    required = case.asked.practice.required_training
    problems = {word: required[word] for word in the_words(case.asked.client, "problems") if word in required}
    needed = sorted(set(problems.values()))
    found = _offered(case, "trained_for", needed, f"Asked for: verified training in {_joined(needed)}. Verified")
    return Ground(found.words, found.on_record, {"trained_for": needed, "problems": sorted(problems)})


def _payer(case: Case) -> Ground:
    payer = the_code(case.asked.client, "payer")
    return _offered(case, "payers", [payer], f"Asked for: the payer {payer}. Takes")


def _language(case: Case) -> Ground:
    wanted = the_words(case.asked.client, "languages")
    return _offered(case, "languages", wanted, f"Asked for: {_joined(wanted, 'or')}. Speaks")


def _modality(case: Case) -> Ground:
    wanted = the_words(case.asked.client, "modalities")
    return _offered(case, "modalities", wanted, f"Asked for: {_joined(wanted, 'or')}. Meets by")


def _offered(case: Case, column: str, asked: Sequence[str], words: str) -> Ground:
    """For rules that compare what is asked with a set of the profile."""
    values = _set(case.therapist, column)
    return Ground(f"{words}: {_joined(values or [])}.", {column: values}, {column: list(asked)})


def _must(case: Case) -> Ground:
    """Every wish that must, or must not, be and is not met; others are not told."""
    client, therapist = case.asked.client, case.therapist
    failed = [
        (topic, strength, _on_record(therapist, topic, the_words(client, f"{strength}.{topic}")))
        for strength, needed in (("must", 1.0), ("must_not", 0.0))
        for topic in TOPICS
        if known(client, f"{strength}.{topic}") and met(topic, strength, client, therapist, Pairs.each(1))[0] != needed
    ]
    failed += _must_time(case)
    wishes = [
        {"about": topic, "strength": strength, "values": the_words(client, f"{strength}.{topic}")}
        for topic, strength, _ in failed
    ]
    words = [
        f"{_topic(topic)} {strength.replace('_', ' ')} be {_joined(wish['values'], 'or')}; on record: {_plain(value)}"
        for (topic, strength, value), wish in zip(failed, wishes, strict=True)
    ]
    return Ground(f"{'. '.join(words)}.", {topic: value for topic, _, value in failed}, {"wishes": wishes})


def _must_time(case: Case) -> list[tuple[str, str, Any]]:
    client, slots = case.asked.client, case.asked.practice.slots
    strengths = [one for one in ("must", "must_not") if known(client, f"{one}.time")]
    if not strengths:
        return []
    bookable = bookable_slots(slots, case.asked.ask, any_modality=False)
    own = case.slots
    if at_wanted_times(slots, case.asked.ask, bookable)[own].any():
        return []
    others = int(np.count_nonzero(bookable[own]))
    return [("time", strength, f"{_free_times(others)} at other times") for strength in strengths]


def _on_record(therapist: Columns, topic: str, wanted: Sequence[str]) -> Any:
    if topic in CODE_TOPICS:
        codes = therapist.code(CODE_TOPICS[topic])
        return _word(codes.vocabulary, int(codes.index[0]))
    if topic in SET_TOPICS:
        return _set(therapist, SET_TOPICS[topic])
    if topic == "age_band":
        age = therapist.number("age")[0]
        return next((band for band, (low, high) in AGE_BANDS.items() if low <= age < high), None)
    styles = sorted({STYLE_VALUES[word][0] for word in wanted if word in STYLE_VALUES})
    return {name: _number(therapist, name) for name in styles}


def _capacity(case: Case) -> Ground:
    open_cases, capacity = (_number(case.therapist, name) for name in ("open_cases", "caseload_capacity"))
    accepts = _number(case.therapist, "accepts_new")
    said = [
        f"open cases: {_plain(open_cases)}",
        f"places in all: {_plain(capacity)}",
        f"takes new clients: {UNKNOWN if accepts is None else 'yes' if accepts else 'no'}",
    ]
    words = f"No free place on record: {', '.join(said)}."
    data = {"open_cases": open_cases, "caseload_capacity": capacity}
    return Ground(words, {**data, "accepts_new": None if accepts is None else bool(accepts)}, {})


def _slot(case: Case) -> Ground:
    """Free times of the therapist that lie outside what was asked, and the next of them."""
    slots, ask = case.asked.practice.slots, case.asked.ask
    own = case.slots
    elsehow = ~bookable_slots(slots, ask, any_modality=False)[own] & bookable_slots(slots, ask, any_modality=True)[own]
    elsewhen = ~bookable_slots(slots, ask, any_modality=True)[own]
    counts = {"other_times": _count(elsewhen), "other_modalities": _count(elsehow)}
    first = _slot_data(case, int(own[0])) if len(own) else None
    if first is None:
        words = "No free time to come is on record."
    else:
        words = (
            f"No free time that fits what was asked. On record: {_free_times(counts['other_times'])} at other times, "
            f"{_free_times(counts['other_modalities'])} in another way of meeting; the next is {first['starts_at']}"
            f"{' (' + first['modality'] + ')' if first['modality'] else ''}."
        )
    modalities = the_words(case.asked.client, "modalities")
    window = None if ask.window is None else [f"{moment.item():%Y-%m-%dT%H:%M:%SZ}" for moment in ask.window]
    return Ground(words, {"free": len(own), **counts, "next": first}, {"modalities": modalities, "window": window})


def _slot_data(case: Case, at: int) -> dict[str, Any]:
    slots = case.asked.practice.slots
    modality = _word(slots.modality.vocabulary, int(slots.modality.index[at]))
    return {"starts_at": f"{slots.starts_at[at].item():%Y-%m-%dT%H:%M:%SZ}", "modality": modality}


_GROUNDS: Mapping[Rule, Callable[[Case], Ground]] = {
    "conflict": _conflict,
    "licence": _licence,
    "age_group": _age_group,
    "care_level": _care_level,
    "training": _training,
    "payer": _payer,
    "language": _language,
    "modality": _modality,
    "must": _must,
    "capacity": _capacity,
    "slot": _slot,
}


def _set(columns: Columns, name: str) -> list[str] | None:
    values = columns.set(name)
    return the_words(columns, name) if values.known[0] else None


def _number(columns: Columns, name: str) -> float | None:
    value = float(columns.number(name)[0])
    return None if np.isnan(value) else value


def _word(vocabulary: Sequence[str], index: int) -> str | None:
    return vocabulary[index] if index >= 0 else None


def _day(day: np.datetime64) -> str | None:
    return None if np.isnat(day) else str(day)


def _count(found: Bools) -> int:
    return int(np.count_nonzero(found))


def _free_times(count: int) -> str:
    return "1 free time" if count == 1 else f"{count} free times"


def _topic(topic: str) -> str:
    return topic.replace("_", " ").capitalize()


def _joined(words: Sequence[str], last: str = "and") -> str:
    if not words:
        return UNKNOWN
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _plain(value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(one)}" for name, one in value.items())
    if isinstance(value, list):
        return _joined(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
