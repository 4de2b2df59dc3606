"""What a reader should check before acting on one recommendation; none of it excludes anybody."""

import numpy as np

from features.columns import Columns, Ints, Pairs
from features.eligibility import spoken
from features.practice import TIMES, in_times, known, the_words
from features.preferences import TOPICS, met
from serving.matcher import Matcher, Question


def cautions(matcher: Matcher, asked: Question, row: int, own_slots: Ints) -> list[str]:
    """Calm sentences about one therapist for one client; `own_slots` are the rows of their bookable slots."""
    settings, meta = matcher.settings, matcher.directory.meta
    age = matcher.directory.age_days(row, asked.ask.day)
    therapist = asked.practice.therapists.take(np.array([row]))
    notes = [
        (
            age is not None and age > settings.old_profile_days,
            f"The profile was last updated {age} days ago; please check it.",
        ),
        (
            age is None and not meta.undated,
            "The day on which the profile was last updated is not on record.",
        ),
        (_interpreted(asked.client, therapist), "No language in common: an interpreter has to be there."),
        (
            cases(matcher, asked, row) < settings.little_known_cases,
            f"Fewer than {settings.little_known_cases} earlier courses of treatment are known: the estimate leans on "
            "the profile.",
        ),
        (_elsewhen(matcher, asked.client, own_slots), "None of the free times lies at the times the client gave."),
    ]
    return [words for applies, words in notes if applies] + _wishes(asked.client, therapist)


def cases(matcher: Matcher, asked: Question, row: int) -> float:
    """Courses of treatment with this therapist that the model knows of; NaN where nobody counted (undated data)."""
    return float(matcher.prepared(asked.day).columns.number("cases")[row])


def few_cases(matcher: Matcher, asked: Question, row: int) -> bool:
    """Whether too little is known of a therapist to speak of a track record."""
    return not cases(matcher, asked, row) >= matcher.settings.little_known_cases


def _interpreted(client: Columns, therapist: Columns) -> bool:
    if client.number("interpreter")[0] != 1:
        return False
    wanted = {spoken(word) for word in the_words(client, "languages")}
    return not wanted & {spoken(word) for word in the_words(therapist, "languages")}


def _elsewhen(matcher: Matcher, client: Columns, own_slots: Ints) -> bool:
    if not len(own_slots) or not known(client, "availability"):
        return False
    times = [time for time in the_words(client, "availability") if time in TIMES]
    return bool(times) and not in_times(matcher.directory.practice.slots.local[own_slots], times).any()


def _wishes(client: Columns, therapist: Columns) -> list[str]:
    """Wishes that are not met: they do not exclude, but the reader should know."""
    notes = []
    for strength, hoped in (("prefer", 1.0), ("avoid", 0.0)):
        for topic in TOPICS:
            if known(client, f"{strength}.{topic}"):
                answer, words = met(topic, strength, client, therapist, Pairs.each(1))[0], topic.replace("_", " ")
                if np.isnan(answer):
                    notes.append(f"Nothing on record about a wish: {words}.")
                elif answer != hoped:
                    notes.append(f"Does not match a wish: {words}.")
    return notes
