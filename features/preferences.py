"""Whether a therapist has what a client asked for: one answer for the preference features and for the `must` rule.

Preferences reach this room as columns of the client, `prefer.gender`, `must_not.language` and so on, each holding the
values wanted (several values of one topic mean any of them).
"""

from collections.abc import Iterable, Mapping

import numpy as np

from data.tables import STRENGTHS
from features.columns import Bools, Codes, Columns, Floats, Pairs, Sets

CODE_TOPICS = {"gender": "gender", "ethnicity": "ethnicity", "faith": "faith", "orientation": "orientation"}
SET_TOPICS = {"language": "languages", "affirming": "affirming", "modality": "modalities"}
AGE_BANDS = {"under_35": (0, 35), "35_to_49": (35, 50), "50_and_over": (50, 200)}
STYLE_VALUES = {
    f"{style}_{level}": (f"style_{style}", low, high)
    for style in ("directiveness", "expressiveness", "homework")
    for level, low, high in (("low", 0.0, 0.4), ("high", 0.6, 1.0))
}
TOPICS = (*CODE_TOPICS, *SET_TOPICS, "age_band", "style")
"""Topics a profile can answer; `time` is answered by slots alone."""


def widen(preferences: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """One client's preferences as `{strength}.{about}` -> values joined by `|`."""
    wide: dict[str, str] = {}
    for wish in preferences:
        name = f"{wish['strength']}.{wish['about']}"
        wide[name] = f"{wide[name]}|{wish['value']}" if name in wide else wish["value"]
    return wide


def wish_kinds() -> dict[str, str]:
    """Kinds of the widened columns, for `Columns.of`."""
    return {f"{strength}.{about}": "tags" for strength in STRENGTHS for about in (*TOPICS, "time")}


def met(topic: str, strength: str, clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
    """1 where the therapist has any of the values wanted, 0 where none, NaN where nothing is wanted or on record."""
    wanted = clients.set(f"{strength}.{topic}")
    has, on_record = _therapist_words(topic, wanted.vocabulary, therapists)
    found, unanswered = np.zeros(len(pairs), dtype=bool), np.zeros(len(pairs), dtype=bool)
    for asked, offered, recorded in zip(wanted.member.T, has.T, on_record.T, strict=True):  # word by word: few
        asks = asked[pairs.client]
        found |= asks & offered[pairs.therapist]
        unanswered |= asks & ~recorded[pairs.therapist]
    answer: Floats = found.astype(np.float64)
    answer[~wanted.known[pairs.client] | (unanswered & ~found)] = np.nan
    return answer


def wanted(topic: str, strength: str, clients: Columns) -> Bools:
    """Which clients said anything about the topic at that strength."""
    return clients.set(f"{strength}.{topic}").known


def _therapist_words(topic: str, vocabulary: tuple[str, ...], therapists: Columns) -> tuple[Bools, Bools]:
    """Whether each therapist has each word, and whether the record can say so; both of shape (therapists, words)."""
    if topic in CODE_TOPICS:
        return _code_words(therapists.code(CODE_TOPICS[topic]), vocabulary)
    if topic in SET_TOPICS:
        values: Sets = therapists.set(SET_TOPICS[topic])
        return values.within(vocabulary), np.repeat(values.known[:, None], len(vocabulary), axis=1)
    if topic == "age_band":
        return _range_words(vocabulary, {word: ("age", *band) for word, band in AGE_BANDS.items()}, therapists)
    return _range_words(vocabulary, STYLE_VALUES, therapists)


def _code_words(codes: Codes, vocabulary: tuple[str, ...]) -> tuple[Bools, Bools]:
    place = codes.within(vocabulary)
    return place[:, None] == np.arange(len(vocabulary))[None, :], np.repeat((place != -1)[:, None], len(vocabulary), 1)


def _range_words(
    vocabulary: tuple[str, ...], ranges: Mapping[str, tuple[str, float, float]], therapists: Columns
) -> tuple[Bools, Bools]:
    has = np.zeros((therapists.size, len(vocabulary)), dtype=bool)
    on_record = np.ones((therapists.size, len(vocabulary)), dtype=bool)
    for j, word in enumerate(vocabulary):
        if word not in ranges:
            continue
        name, low, high = ranges[word]
        value = therapists.number(name)
        on_record[:, j] = ~np.isnan(value)
        has[:, j] = (value >= low) & ((value < high) | (high == 1.0))
    return has, on_record
