"""What this client and this therapist are to each other: needs met by training, wishes met, styles apart or alike."""

from collections.abc import Callable

import numpy as np

from features.columns import Bools, Columns, Floats, Pairs, Sets
from features.feature import PairBuilder, PairFeature
from features.preferences import TOPICS, met
from features.therapist import years_practising

MIDDLE = 0.5
"""Middle of the range 0 to 1: products are taken from there, so that they do not stand in for their factors."""


def _needs(clients: Columns, therapists: Columns, column: str) -> tuple[Sets, Bools, Bools]:
    problems, skills = clients.set("problems"), therapists.set(column)
    return problems, skills.within(problems.vocabulary), skills.known


def main_problem_in(column: str) -> PairBuilder:
    """1 where the client's main problem is among the therapist's `column`."""

    def build(clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
        problems, has, known = _needs(clients, therapists, column)
        if not problems.vocabulary:
            return np.full(len(pairs), np.nan)
        first = problems.first[pairs.client]
        answer = has[pairs.therapist, first].astype(np.float64)
        answer[(first < 0) | ~known[pairs.therapist]] = np.nan
        return answer

    return build


def share_of_problems_in(column: str) -> PairBuilder:
    """Share of the client's problems that are among the therapist's `column`."""

    def build(clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
        problems, has, known = _needs(clients, therapists, column)
        shared = np.zeros(len(pairs))
        for asked, offered in zip(problems.member.T, has.T, strict=True):  # word by word: there are few
            shared += asked[pairs.client] & offered[pairs.therapist]
        count = problems.member.sum(axis=1)[pairs.client]
        answer = np.where(count > 0, shared / np.maximum(count, 1), np.nan)
        answer[~known[pairs.therapist]] = np.nan
        return answer

    return build


def style_gap(style: str) -> PairBuilder:
    """Distance between the style the client wants and the therapist's, 0 to 1."""

    def build(clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
        return np.abs(clients.number(style)[pairs.client] - therapists.number(style)[pairs.therapist])

    return build


def with_severity(of_therapist: Callable[[Columns], Floats]) -> PairBuilder:
    """The client's severity, from the middle of its range, times a number of the therapist's."""

    def build(clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
        return (clients.number("severity")[pairs.client] - MIDDLE) * of_therapist(therapists)[pairs.therapist]

    return build


def client_times_therapist(client: str, therapist: str) -> PairBuilder:
    """A number of the client's times one of the therapist's, each from the middle of its range 0 to 1."""

    def build(clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
        theirs = therapists.number(therapist)[pairs.therapist] - MIDDLE
        return (clients.number(client)[pairs.client] - MIDDLE) * theirs

    return build


def wishes_met(clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
    """Share of the topics preferred that the therapist meets; a wish that no record can answer is left out."""
    return _share(clients, therapists, pairs, "prefer")


def dislikes_hit(clients: Columns, therapists: Columns, pairs: Pairs) -> Floats:
    """Share of the topics to be avoided that the therapist has."""
    return _share(clients, therapists, pairs, "avoid")


def _share(clients: Columns, therapists: Columns, pairs: Pairs, strength: str) -> Floats:
    total, asked = np.zeros(len(pairs)), np.zeros(len(pairs))
    for topic in TOPICS:
        if f"{strength}.{topic}" in clients.sets:
            answer = met(topic, strength, clients, therapists, pairs)
            asked += ~np.isnan(answer)
            total += np.nan_to_num(answer)
    return np.where(asked > 0, total / np.maximum(asked, 1), 0.0)


def _match(name: str, meaning: str, build: PairBuilder) -> PairFeature:
    return PairFeature(name, meaning, "match", build)


FEATURES = (
    _match(
        "main_problem_trained",
        "the therapist has verified training for the client's main problem",
        main_problem_in("trained_for"),
    ),
    _match(
        "main_problem_specialty",
        "the therapist says they work with the client's main problem",
        main_problem_in("specialties"),
    ),
    _match(
        "problems_trained",
        "share of the client's problems the therapist is trained for",
        share_of_problems_in("trained_for"),
    ),
    _match(
        "problems_specialty",
        "share of the client's problems the therapist says they work with",
        share_of_problems_in("specialties"),
    ),
    _match("wishes_met", "share of the client's wishes the therapist meets", wishes_met),
    _match("dislikes_hit", "share of what the client would rather avoid that the therapist has", dislikes_hit),
    _match(
        "directiveness_gap", "distance between the directiveness wanted and offered", style_gap("style_directiveness")
    ),
    _match(
        "expressiveness_gap",
        "distance between the expressiveness wanted and offered",
        style_gap("style_expressiveness"),
    ),
    _match("homework_gap", "distance between the work between sessions wanted and given", style_gap("style_homework")),
    _match(
        "severity_x_skill",
        "interpersonal skill where symptoms are severe",
        with_severity(lambda t: t.number("interpersonal_skill")),
    ),
    _match("severity_x_years", "years in practice where symptoms are severe", with_severity(years_practising)),
    _match(
        "expectancy_x_directiveness",
        "a directive style where expectancy is high",
        client_times_therapist("expectancy", "style_directiveness"),
    ),
    _match(
        "support_x_expressiveness",
        "an expressive style where support is strong",
        client_times_therapist("social_support", "style_expressiveness"),
    ),
    _match(
        "motivation_x_homework",
        "work between sessions where motivation is high",
        client_times_therapist("motivation", "style_homework"),
    ),
)
