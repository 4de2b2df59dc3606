"""Kinds of clients to which a model can be new: what it says of others may be quite untrue of them."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from features.columns import Codes, Columns
from features.eligibility import age_groups_of, spoken

FEW = 30
"""Courses of treatment; with fewer to learn from, a model counts as new to the kind."""
KINDS = ("age_group", "language", "problem", "care_level")
"""By what kinds are told apart. Payers and the like are not among them: they do not change what therapy is."""
Words = list[tuple[str, ...]]


def kinds_of(clients: Columns) -> dict[str, Words]:
    """Kind -> of each row the words that are known: the languages, the main one first, and one of the others.

    An age group is known where year and year of birth are; two where the birthday decides, the older one first.
    """
    years = zip(clients.number("birth_year").tolist(), clients.number("year").tolist(), strict=True)
    languages = clients.set("languages")
    spoken_words = [spoken(word) for word in languages.vocabulary]
    first = languages.first.tolist()
    rows = [np.flatnonzero(member).tolist() for member in languages.member]
    return {
        "age_group": [
            () if np.isnan(born + year) else age_groups_of(int(born), int(year))[::-1] for born, year in years
        ],
        "language": [
            tuple(spoken_words[at] for at in (main, *mine) if at >= 0) for mine, main in zip(rows, first, strict=True)
        ],
        "problem": _words(clients.set("problems").first_codes()),
        "care_level": _words(clients.code("care_level")),
    }


def _words(codes: Codes) -> Words:
    return [() if at < 0 else (codes.vocabulary[at],) for at in codes.index.tolist()]


def enough(clients: Columns) -> dict[str, tuple[str, ...]]:
    """Kind -> the words of which there are `FEW` rows or more, by the first word; without kinds never on record."""
    found = {kind: Counter(words[0] for words in rows if words) for kind, rows in kinds_of(clients).items()}
    return {
        kind: tuple(sorted(word for word, count in counts.items() if count >= FEW))
        for kind, counts in found.items()
        if counts
    }


def new_to(seen: Mapping[str, tuple[str, ...]], client: Columns) -> list[str]:
    """Kinds in which the one client is of none that was seen; what is not known of the client says nothing."""
    own = {kind: rows[0] for kind, rows in kinds_of(client).items()}
    return [kind for kind in KINDS if kind in seen and own[kind] and not set(own[kind]) & set(seen[kind])]
