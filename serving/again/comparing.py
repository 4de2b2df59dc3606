"""Why one therapist stands above another in an answer, how sure that is, and what would change it."""

import datetime as dt

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from data.errors import ConflictError, NotFoundError, Problem, RequestError
from features.columns import Floats
from features.eligibility import Judgement, judge
from serving.again.ledger import Excluded, excluded
from serving.again.past import Again
from serving.again.what_if import Change, Standing, changes
from serving.answering import reasons
from serving.answering.cautions import few_cases
from serving.answering.recommend import days_in_words
from serving.schemas import Interval
from training.audit.words import capital
from training.ranking import SURE, WORTH, Weighing, beats, difference

PRICE = "price"


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Side(_Told):
    """One of the two."""

    therapist_id: str
    eligible: bool
    rank: int | None = Field(description="place among all who were eligible, also beyond those who were shown")
    tie_group: int | None
    utility: float | None = Field(description="against the average eligible therapist, in SD")
    price: float | None = Field(description="what a place is worth to others who wait, in SD; the order subtracts it")
    next_free: AwareDatetime | None
    wait_days: int | None
    excluded: Excluded | None = Field(description="where not eligible: every rule and what is on record")


class Part(_Told):
    """An exact share of the difference; all parts add up to it."""

    name: str
    words: str
    share: float = Field(description="in SD; above 0 speaks for `a`, below 0 for `b`")


class WouldChange(_Told):
    """One fact that would bring the other to the top, found by answering the whole question again."""

    change: str
    words: str
    difference: float | None = Field(description="a less b in SD, if it were so")


class Comparison(_Told):
    """Two therapists of one answer; every number is `a` less `b`."""

    recommendation_id: str
    as_of: dt.date
    a: Side
    b: Side
    above: str | None = Field(description="who stands above; empty if neither was eligible")
    words: list[str]
    told_apart: bool | None = Field(description="whether one is surely (80 %) better by a difference that matters")
    chance_a_better: float | None = Field(description=f"chance that a is better by more than {WORTH} SD")
    chance_b_better: float | None
    utility: Interval | None = Field(description="difference of what is expected, with its 80 % interval")
    difference: float | None = Field(description="the same less the difference of prices: the sum of all parts")
    parts: list[Part]
    would_change: list[WouldChange]
    looked_at: list[str] = Field(description="every fact that was tried")


def compare(again: Again, a: str, b: str) -> Comparison:
    """Compares two therapists of a stored answer.

    Raises ConflictError while the answer is held, NotFoundError for somebody the directory did not list, RequestError
    for a therapist compared with themselves.
    """
    if a == b:
        raise RequestError([Problem("b", "the same as a", "two therapists are compared", "name another")])
    if again.assessment.status == "held":
        raise ConflictError(
            "this answer is held: a clinician talks with the client before anyone is compared -> release it first"
        )
    place = again.matcher.directory.place
    if not {a, b} <= place.keys():
        raise NotFoundError("the directory of this answer lists no such therapist -> see that both ids are right")
    judgement = judge(again.asked.practice, again.asked.ask)
    lot = None if again.assessment.needs_task else again.draw
    standing = Standing.of(again.matcher, again.asked, judgement, lot) if judgement.eligible.any() else None
    return _Pair(again, judgement, standing, place[a], place[b]).told()


class _Pair:
    """Two rows of a directory in one question."""

    def __init__(self, again: Again, judgement: Judgement, standing: Standing | None, a: int, b: int):
        self.again, self.judgement, self.standing = again, judgement, standing
        self.a, self.b = a, b
        self.both = standing is not None and a in standing.place and b in standing.place
        self.names = again.matcher.directory.ids

    @property
    def _weighing(self) -> Weighing:
        return self.again.matcher.bundle.counting

    def told(self) -> Comparison:
        """Everything that can be said of them."""
        above = self._above()
        found = changes(self.again, self.standing, self.a, self.b)
        chances = self._chances() if self.both else None
        parts = self._parts() if self.both else []
        return Comparison(
            recommendation_id=self.again.row.recommendation_id,
            as_of=self.again.asked.day,
            a=self._side(self.a),
            b=self._side(self.b),
            above=None if above is None else self.names[above],
            words=[*self._words(above, chances), *self._speaks(parts)],
            told_apart=None if chances is None else max(chances) >= SURE,
            chance_a_better=chances[0] if chances else None,
            chance_b_better=chances[1] if chances else None,
            utility=self._utility() if self.both else None,
            difference=self.standing.difference(self.a, self.b) if self.standing and self.both else None,
            parts=parts,
            would_change=[self._change(one) for one in found if one.above is not None and one.above != above],
            looked_at=[one.words for one in found],
        )

    def _above(self) -> int | None:
        if self.standing is None:
            return None
        eligible = [row for row in (self.a, self.b) if row in self.standing.place]
        return min(eligible, key=self.standing.rank) if eligible else None

    def _side(self, row: int) -> Side:
        matcher, asked, standing = self.again.matcher, self.again.asked, self.standing
        if standing is None or row not in standing.place:
            told = excluded(matcher, asked, self.judgement, row)
            nothing = dict.fromkeys(("rank", "tie_group", "utility", "price", "next_free", "wait_days"))
            return Side(therapist_id=self.names[row], eligible=False, excluded=told, **nothing)
        ranking, at, rank = standing.ranking, standing.place[row], standing.rank(row)
        (soonest,) = asked.practice.slots.starts(self.judgement.first[[row]])
        days = ranking.wait_days[at]
        return Side(
            therapist_id=self.names[row],
            eligible=True,
            rank=rank,
            tie_group=int(ranking.first.tie_group[rank - 1]),
            utility=float(ranking.first.utility[at]),
            price=None if asked.price is None else float(asked.price[row]),
            next_free=None if np.isnat(soonest) else soonest.item().replace(tzinfo=dt.UTC),
            wait_days=None if np.isnan(days) else int(days),
            excluded=None,
        )

    def _positions(self) -> tuple[Standing, int, int]:
        assert self.standing is not None, "asked only where both are eligible"
        return self.standing, self.standing.place[self.a], self.standing.place[self.b]

    def _chances(self) -> tuple[float, float]:
        """That a is better by more than what matters, and that b is; prices count as they do in the order."""
        standing, a, b = self._positions()
        heads, net = standing.ranking.fits.heads, standing.ranking.first.net
        chances = (beats(heads, self._weighing, net, of, np.array([to])) for of, to in ((a, b), (b, a)))
        first, second = (float(chance[0]) for chance in chances)
        return first, second

    def _utility(self) -> Interval:
        standing, a, b = self._positions()
        heads, utility = standing.ranking.fits.heads, standing.ranking.first.utility
        mean, low, high = difference(heads, self._weighing, utility, a, b)
        return Interval(mean=mean, low=low, high=high)

    def _parts(self) -> list[Part]:
        """Shares of each less those of the other, largest first; earlier results as one part where few are known."""
        standing, a, b = self._positions()
        matcher, ranking, at = self.again.matcher, standing.ranking, np.array([a, b])
        rows = ranking.rows[at]
        bundle, met = matcher.bundle, ranking.fits.met
        own, other = reasons.parts_of(ranking.fits.parts(self._weighing, at), bundle.features)
        if few_cases(matcher, self.again.asked, rows).any():
            own, other = reasons.as_one(own), reasons.as_one(other)
        theirs = {part.name: part.share for part in other}
        pairs = dict(zip(bundle.features.columns_of("pair"), met.built[:, at], strict=True))
        facts = reasons.Facts(bundle.features, met.prepared.columns.take(rows), pairs)
        meanings = reasons.meanings_of(bundle.features)
        parts = [
            Part(
                name=part.name,
                words=reasons.side_by_side(part.name, facts, meanings),
                share=part.share - theirs[part.name],
            )
            for part in own
        ]
        parts += self._price_part(self.again.asked.price)
        return sorted((part for part in parts if part.share != 0), key=lambda part: (-abs(part.share), part.name))

    def _price_part(self, price: Floats | None) -> list[Part]:
        if price is None:
            return []
        words = "What a place with each is worth to others who wait"
        return [Part(name=PRICE, words=words, share=float(price[self.b] - price[self.a]))]

    def _words(self, above: int | None, chances: tuple[float, float] | None) -> list[str]:
        if above is None:
            return ["Neither of the two was eligible; for each it is said which rules exclude them."]
        below = self.b if above == self.a else self.a
        first, second = self.names[above], self.names[below]
        if chances is None:
            return [f"{first} was eligible and {second} was not; it is said which rules exclude {second}."]
        better, worse = chances if above == self.a else chances[::-1]
        said = [self._why(above, below)]
        if max(chances) >= SURE:
            said.append(f"{first if better > worse else second} is expected to help more: {_chance(max(chances))}.")
        else:
            said.append(
                f"The two cannot be told apart well enough to matter: the chance that {first} is better by more than "
                f"{WORTH} SD is {better:.0%}, that {second} is {worse:.0%}. Either is a good choice."
            )
        return [*said, self._waiting(above, below)]

    def _speaks(self, parts: list[Part]) -> list[str]:
        """What speaks most for each, where it is worth saying."""
        told = []
        for name, sign in ((self.names[self.a], 1), (self.names[self.b], -1)):
            most = [part for part in parts if sign * part.share >= reasons.WORTH_SAYING][: reasons.MOST_FOR]
            if most:
                told.append(f"For {name}: {'; '.join(f'{part.words} ({abs(part.share):.2f} SD)' for part in most)}.")
        return told

    def _why(self, above: int, below: int) -> str:
        standing, _, _ = self._positions()
        ranking = standing.ranking
        first, second = self.names[above], self.names[below]
        positions = [standing.place[row] for row in (above, below)]
        if len(ranking.explored.near) > 1 and np.isin(positions, ranking.explored.near).all():
            return f"{first} and {second} are expected to help about equally; their order may have been drawn by lot."
        if ranking.first.by_wait:
            return (
                "No difference among those who can see this client is sure enough to matter, so the soonest free time "
                f"comes first, then the higher expected benefit: so {first} stands above {second}."
            )
        groups = [self._side(row).tie_group for row in (above, below)]
        if groups[0] != groups[1]:
            return (
                f"{first} stands in group {groups[0]} and {second} in group {groups[1]}: the best of the earlier group "
                f"is surely enough (80 %) better than {second}."
            )
        return f"Both stand in group {groups[0]}; within a group the higher expected benefit comes first: {first}."

    def _waiting(self, above: int, below: int) -> str:
        waits = [self._side(row).wait_days for row in (above, below)]
        told = ["at a time not known" if days is None else f"in {days_in_words(days)}" for days in waits]
        return f"{self.names[above]} is free {told[0]}, {self.names[below]} {told[1]}."

    def _change(self, one: Change) -> WouldChange:
        assert one.above is not None, "somebody would stand above"
        words = f"{capital(one.words)}, {self.names[one.above]} would stand above."
        return WouldChange(change=one.what, words=words, difference=one.difference)


def _chance(chance: float) -> str:
    return f"the chance of a difference of more than {WORTH} SD is {chance:.0%}"
