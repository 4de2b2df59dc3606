"""What a reader of one answer should know about its day, its directory and its exclusions; none of it is an error."""

import datetime as dt

from serving.answering.matcher import Matcher, Question

NAMED = 5
"""Ids that are named one by one; the rest is counted."""


def notes(matcher: Matcher, asked: Question) -> list[str]:
    """Calm sentences about the whole answer, none where there is nothing to know."""
    said = [*_day(matcher, asked.day, asked.today), *_strangers(matcher, asked), *_no_later_slot(asked)]
    return said + _new_to(asked)


def _new_to(asked: Question) -> list[str]:
    """Where nothing the model has learned has a ground, it says so and steps back."""
    if not asked.new_to:
        return []
    words = " and ".join(kind.replace("_", " ") for kind in asked.new_to)
    return [
        f"The model has hardly seen clients of this {words}. It tells no therapists apart for them: whoever is free "
        "soonest comes first, and the figures beside the names come from other clients."
    ]


def _day(matcher: Matcher, day: dt.date, today: dt.date) -> list[str]:
    """A day of the past is asked for to replay, but what was learned later stays learned."""
    learned, said = matcher.bundle.manifest.as_of, []
    if day < today:
        said.append(f"Judged on {day}, a day of the past: therapists and free times are those on record now.")
    if learned is not None and day < learned:
        said.append(f"The model learned from data up to {learned}: what was learned after {day} may be in this answer.")
    return said


def _strangers(matcher: Matcher, asked: Question) -> list[str]:
    excluded = dict.fromkeys(one.therapist_id for one in asked.request.exclude_therapists)
    unknown = [name for name in excluded if name not in matcher.directory.place]
    if not unknown:
        return []
    names = ", ".join(unknown[:NAMED]) + (f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else "")
    return [f"To be left out, but not in this directory: {names}. Please check the ids."]


def _no_later_slot(asked: Question) -> list[str]:
    """A directory that was loaded a while ago leaves nobody eligible, and nothing else would say why."""
    slots = asked.practice.slots
    if not len(slots.starts_at) or slots.starts_at[-1] > asked.ask.now:
        return []
    last = slots.local(slice(-1, None))[0].astype("datetime64[D]")
    return [f"The directory has no free time after {last}: load newer slots."]
