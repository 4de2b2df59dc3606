"""What would change the order of two therapists: single facts, each tried by answering the whole question again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from features.columns import Columns, Floats, Sets
from features.eligibility import Judgement, judge
from features.practice import the_words
from serving.again.past import Again
from serving.again.relaxing import SOFTER
from serving.answering.exploration import Draw
from serving.answering.matcher import Matcher, Question, question
from serving.answering.recommend import Ranking
from training.first import First, first

MOST_TRIED = 12
_NEAR = 64
"""How far down one of the two is looked for before everybody is put in order."""
_FACTS = {"trained_for": "verified training for {}", "specialties": "{} among the specialties"}


@dataclass(frozen=True)
class Standing:
    """Everybody who is eligible in one question, in order; `rows` of the directory are positions here."""

    ranking: Ranking

    @classmethod
    def of(cls, matcher: Matcher, asked: Question, judgement: Judgement, lot: Draw | None = None) -> "Standing":
        """All in order; `lot` as it was drawn for an answer that was given."""
        return cls.first_of(matcher, asked, judgement, int(np.count_nonzero(judgement.eligible)), lot)

    @classmethod
    def first_of(
        cls, matcher: Matcher, asked: Question, judgement: Judgement, k: int, lot: Draw | None = None
    ) -> "Standing":
        """The first k in order."""
        wanted = replace(asked, request=asked.request.model_copy(update={"k": k}))
        return cls(Ranking.of(matcher, wanted, judgement, np.flatnonzero(judgement.eligible), lot))

    @cached_property
    def place(self) -> dict[int, int]:
        """Position of each row."""
        return {row: position for position, row in enumerate(self.ranking.rows.tolist())}

    @cached_property
    def ranks(self) -> dict[int, int]:
        """Rank of each position, from 1."""
        return {position: rank for rank, position in enumerate(self.ranking.explored.order.tolist(), 1)}

    def has_rank(self, row: int) -> bool:
        """Whether who is at this row is among those in order."""
        return self.place[row] in self.ranks

    def rank(self, row: int) -> int:
        """Rank of who is at this row of the directory."""
        return self.ranks[self.place[row]]

    def difference(self, a: int, b: int) -> float:
        """What decides between two rows: utility less price, in SD."""
        net = self.ranking.first.net
        return float(net[self.place[a]] - net[self.place[b]])


@dataclass(frozen=True)
class Change:
    """One fact that was otherwise, and how two therapists would then stand."""

    what: str
    words: str
    difference: float | None
    """The first less the second, in SD; None where one of them would not be eligible."""
    above: int | None
    """The row that would stand above; None where both would not be eligible."""


def changes(again: Again, standing: Standing | None, a: int, b: int) -> list[Change]:
    """The facts that were tried, in the order of the request and the record; `a` and `b` are rows of the directory."""
    tried = [*_wishes(again, a, b)]
    if standing is not None and a in standing.place and b in standing.place:
        below = b if standing.rank(a) < standing.rank(b) else a
        tried += [*_free_time(standing, a, b, below), *_prices(standing, a, b), *_facts(again, a, b, below)]
    return tried[:MOST_TRIED]


def _wishes(again: Again, a: int, b: int) -> Iterator[Change]:
    """Without one wish, or with it as a preference where it had to be."""
    wishes = again.request.preferences
    for about, strength in dict.fromkeys((wish.about, wish.strength) for wish in wishes):
        softer = SOFTER.get(strength)
        others = [wish for wish in wishes if (wish.about, wish.strength) != (about, strength)]
        same = [wish for wish in wishes if (wish.about, wish.strength) == (about, strength)]
        kept = others + [wish.model_copy(update={"strength": softer}) for wish in same] if softer else others
        topic = about.replace("_", " ")
        words = f"if the wish about {topic} were one to be met if possible" if softer else f"without the wish: {topic}"
        request = again.request.model_copy(update={"preferences": kept})
        asked = question(again.matcher, request, again.row.made_at)
        yield _tried(again.matcher, asked, f"wish:{strength}.{about}", words, a, b)


def _free_time(standing: Standing, a: int, b: int, below: int) -> Iterator[Change]:
    """Where the soonest free time decides: a time of the one below just before the other's."""
    ranking = standing.ranking
    above = a if below == b else b
    wait = ranking.wait.copy()
    soonest = wait[standing.place[above]]
    if not ranking.first.by_wait or np.isnan(soonest):
        return
    wait[standing.place[below]] = soonest - 1 / 1440
    name = ranking.matcher.directory.ids[below]
    yield _reordered(standing, "free_time", f"if {name} had a free time just before the other's first", a, b, wait=wait)


def _prices(standing: Standing, a: int, b: int) -> Iterator[Change]:
    price = standing.ranking.asked.price
    if price is not None and price[a] != price[b]:
        words = "if places with both were worth the same to others who wait"
        yield _reordered(standing, "price", words, a, b, priced=False)


def _reordered(
    standing: Standing, what: str, words: str, a: int, b: int, wait: Floats | None = None, priced: bool = True
) -> Change:
    """The same fits in another order: free times and prices do not enter them."""
    ranking = standing.ranking
    price = ranking.asked.price
    own = price[ranking.rows] if priced and price is not None else None
    waits = ranking.wait if wait is None else wait
    found: First = first(ranking.fits.heads, ranking.matcher.bundle.counting, waits, len(ranking.rows), own)
    ranks = {position: rank for rank, position in enumerate(found.order.tolist())}
    at, to = standing.place[a], standing.place[b]
    return Change(what, words, float(found.net[at] - found.net[to]), a if ranks[at] < ranks[to] else b)


def _facts(again: Again, a: int, b: int, below: int) -> Iterator[Change]:
    """If the one below had the main problem on record, as verified training and as a specialty."""
    problems = the_words(again.asked.client, "problems")
    sets = again.asked.client.set("problems")
    if not problems:
        return
    main = sets.vocabulary[int(sets.first[0])]
    therapists = again.matcher.directory.columns
    for column, words in _FACTS.items():
        values = therapists.set(column)
        if main in values.vocabulary and values.member[below, values.vocabulary.index(main)]:
            continue
        matcher = _with_word(again.matcher, column, below, main)
        name, fact = matcher.directory.ids[below], words.format(main.replace("_", " "))
        asked = question(matcher, again.request, again.row.made_at)
        yield _tried(matcher, asked, f"record:{column}", f"if {name} had {fact} on record", a, b)


def _tried(matcher: Matcher, asked: Question, what: str, words: str, a: int, b: int) -> Change:
    judgement = judge(asked.practice, asked.ask)
    eligible = [row for row in (a, b) if judgement.eligible[row]]
    if len(eligible) < 2:
        return Change(what, words, None, eligible[0] if eligible else None)
    standing = Standing.first_of(matcher, asked, judgement, _NEAR)
    if not standing.has_rank(a) and not standing.has_rank(b):
        standing = Standing.of(matcher, asked, judgement)
    above = min(filter(standing.has_rank, (a, b)), key=standing.rank)
    return Change(what, words, standing.difference(a, b), above)


def _with_word(matcher: Matcher, column: str, row: int, word: str) -> Matcher:
    """The directory with one more word in one profile."""
    columns = matcher.directory.columns
    changed = replace(columns, sets={**columns.sets, column: _added(columns, column, row, word)})
    return replace(matcher, directory=replace(matcher.directory, columns=changed), _prepared={})


def _added(therapists: Columns, column: str, row: int, word: str) -> Sets:
    values = therapists.set(column)
    vocabulary: Sequence[str] = values.vocabulary
    member, known, first_word = values.member, values.known.copy(), values.first.copy()
    if word not in vocabulary:
        vocabulary = (*vocabulary, word)
        member = np.column_stack([member, np.zeros(len(member), dtype=bool)])
    member = member.copy()
    at = vocabulary.index(word)
    member[row, at], known[row] = True, True
    first_word[row] = at if first_word[row] < 0 else first_word[row]
    return Sets(tuple(vocabulary), member, known, first_word)
