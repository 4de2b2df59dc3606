"""What a reader should check before acting on a recommendation; none of it excludes anybody."""

from collections.abc import Sequence

import numpy as np

from features.columns import Bools, Columns, Ints, Pairs
from features.eligibility import spoken
from features.practice import TIMES, in_times, known, the_words
from features.preferences import TOPICS, met
from serving.answering.matcher import Matcher, Question


def cautions(matcher: Matcher, asked: Question, rows: Ints, own_slots: Sequence[Ints]) -> list[list[str]]:
    """Calm sentences about each therapist at these rows; `own_slots` are the rows of their bookable slots."""
    settings, therapists = matcher.settings, asked.practice.therapists.take(rows)
    few = few_cases(matcher, asked, rows)
    alone = _no_language(asked.client, therapists)
    wishes = _wishes(asked.client, therapists)
    found = []
    for i, row in enumerate(rows.tolist()):
        age = matcher.directory.age_days(row, asked.ask.day)
        slots_age = matcher.directory.slots_age_days(row, asked.ask.day)
        notes = [
            (
                age is not None and age > settings.old_profile_days,
                f"The profile was last updated {age} days ago; please check it.",
            ),
            (
                age is None and not matcher.directory.meta.undated,
                "The day on which the profile was last updated is not on record.",
            ),
            (
                len(own_slots[i]) > 0 and slots_age is not None and slots_age > settings.old_slots_days,
                f"The free times were given {slots_age} days ago; please check them.",
            ),
            (alone[i], "No language in common: an interpreter has to be there."),
            (
                few[i],
                f"Fewer than {settings.little_known_cases} earlier courses of treatment are known: the estimate leans "
                "on the profile.",
            ),
            (
                _elsewhen(matcher, asked.client, own_slots[i]),
                "None of the free times lies at the times the client gave.",
            ),
        ]
        found.append([words for applies, words in notes if applies] + [words[i] for words in wishes if words[i]])
    return found


def few_cases(matcher: Matcher, asked: Question, rows: Ints) -> Bools:
    """Whether too little is known of each to speak of a track record; also where nobody counted (undated data)."""
    cases = matcher.prepared(asked.day).columns.number("cases")[rows]
    return np.array([not count >= matcher.settings.little_known_cases for count in cases], dtype=bool)


def _no_language(client: Columns, therapists: Columns) -> Bools:
    """Who needs the interpreter whom the client will bring."""
    if client.number("interpreter")[0] != 1:
        return np.zeros(therapists.size, dtype=bool)
    wanted = {spoken(word) for word in the_words(client, "languages")}
    offered = therapists.set("languages")
    common = [spoken(word) in wanted for word in offered.vocabulary]
    return np.array([not member[common].any() for member in offered.member], dtype=bool)


def _elsewhen(matcher: Matcher, client: Columns, own_slots: Ints) -> bool:
    if not len(own_slots) or not known(client, "availability"):
        return False
    times = [time for time in the_words(client, "availability") if time in TIMES]
    return bool(times) and not in_times(matcher.directory.practice.slots.local(own_slots), times).any()


def _wishes(client: Columns, therapists: Columns) -> list[list[str]]:
    """For every wish what to say of each therapist: it does not exclude, but the reader should know. Else empty."""
    notes, pairs = [], Pairs.of_one(np.arange(therapists.size))
    for strength, hoped in (("prefer", 1.0), ("avoid", 0.0)):
        for topic in TOPICS:
            if known(client, f"{strength}.{topic}"):
                answers, words = met(topic, strength, client, therapists, pairs), topic.replace("_", " ")
                said = (f"Nothing on record about a wish: {words}.", f"Does not match a wish: {words}.")
                notes.append([said[0] if np.isnan(one) else "" if one == hoped else said[1] for one in answers])
    return notes
