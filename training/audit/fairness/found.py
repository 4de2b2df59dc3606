"""What a person should look at: who would lose by the ranking, whose results fall short, for whom predictions err.

Every rule is judged over all groups and figures it is asked of, by Holm's rule at .05: where nothing is wrong, the
chance that it names anyone at all is at most .05.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from training.audit.document import Estimate, Finding
from training.audit.fairness.cells import ALPHA, EVERYONE, Drawn, holm
from training.audit.fairness.figures import FREE, Figures, Measured, Named
from training.audit.fairness.results import MARGIN, Compared
from training.audit.fairness.words import head_words, named
from training.audit.importances import UTILITY
from training.audit.words import capital, listed, with_interval

Floats = npt.NDArray[np.float64]

LOSS = -0.02
"""The largest loss, in SD, that any group may have."""
WAITS_LONGER = 7.0
"""Days of waiting worth looking at."""
STARTS_LESS = 0.05
STANDING = 0.05
"""A difference in the general standing of therapists, in SD, worth looking at."""
ABSTAINS = 0.10
BIAS = 0.10
"""Observed less predicted, in SD, worth looking at."""


@dataclass(frozen=True)
class Asked:
    """One figure of one cell with its chance under a rule, as it was and adjusted."""

    measured: Measured
    name: Named
    place: int
    adjusted: float

    @property
    def page(self) -> str:
        """The page about its attribute."""
        return f"group/{self.name[0]}"


def judged(measured: Sequence[Measured], chances: Sequence[Floats]) -> list[Asked]:
    """All groups of some figures judged together; everyone's own figure is not asked."""
    asked = [
        (one, name, place, float(chance[place]))
        for one, chance in zip(measured, chances, strict=True)
        for place, name in enumerate(one.names)
        if name != EVERYONE and not np.isnan(chance[place])
    ]
    adjusted = holm(np.array([chance for *_, chance in asked], dtype=np.float64))
    return [Asked(one, name, place, float(a)) for (one, name, place, _), a in zip(asked, adjusted, strict=True)]


def _sure(measured: Sequence[Measured], chances: Sequence[Floats]) -> Iterator[tuple[Asked, Estimate]]:
    """Groups of which a rule surely holds, each with its figure; those without one to show are left out."""
    for one in judged(measured, chances):
        found = one.measured.of(one.name)
        if one.adjusted < ALPHA and found is not None:
            yield one, found


def findings(figures: Figures, compared: Sequence[Compared]) -> list[Finding]:
    """Every finding, those to mend first first."""
    found = [
        *results(compared),
        *losses(figures),
        *_not_come_true(figures),
        *_gains_less(figures),
        *_biased(figures),
        *_waits(figures),
        *_stands_first(figures),
    ]
    return sorted(found, key=lambda one: ("stop", "look", "note", "fine").index(one.level))


def results(compared: Iterable[Compared]) -> Iterator[Finding]:
    """Groups that do worse than their need explains."""
    for one in compared:
        page = f"group/{one.attribute}"
        if one.gap is not None and one.behind:
            words = (
                f"{_start(one)} {head_words(one.head)} is {with_interval(one.gap)} beside other clients with the same "
                f"need at intake and the same therapist ({one.n} results, {one.therapists} therapists)"
            )
            if one.worse:
                words += f", surely more than {MARGIN:.2f} SD lower. Find out why before this ranking is served."
                yield Finding(level="stop", words=words + _spread(one), page=page)
            else:
                words += f"; that it is more than {MARGIN:.2f} SD lower is not sure: intake may not record all."
                yield Finding(level="note", words=words, page=page)
        if one.uneven:
            words = f"{_start(one)} how {head_words(one.head)} turns out depends on the therapist more than for others."
            yield Finding(level="look", words=words + _spread(one), page=page)


def _start(one: Compared) -> str:
    words = named((one.attribute, one.group))
    return f"{capital(words)}:"


def _spread(one: Compared) -> str:
    if one.spread is None or not one.spread.low:
        return ""
    return f" From therapist to therapist it differs with an SD of {with_interval(one.spread, '', sign=False)}."


def _gains(figures: Figures) -> list[Measured]:
    return [one for about, one in figures.items() if about[0] == "gain"]


def losses(figures: Figures) -> Iterator[Finding]:
    """Groups that the ranking's choice leaves worse off than the next available therapist, as the model expects."""
    gains = _gains(figures)
    some = judged(gains, [gain.drawn.below(0.0) for gain in gains])
    much = judged(gains, [gain.drawn.below(LOSS) for gain in gains])
    for one, more in zip(some, much, strict=True):
        found = one.measured.of(one.name)
        if found is None or found.value >= LOSS or one.adjusted >= ALPHA:
            continue
        _, head, regime = one.measured.about
        words = (
            f"{named(one.name)}: under {regime} the ranking's choice is expected to bring {with_interval(found)} in "
            f"{head_words(head)}, against the next available therapist; no group may lose more than {-LOSS:.2f} SD."
        )
        yield Finding(level="stop" if more.adjusted < ALPHA else "look", words=capital(words), page=one.page)


def lowest(figures: Figures) -> tuple[Asked | None, int, int]:
    """The lowest expected gain of any group (None: none is known), and how many of how many lie below `LOSS`."""
    every = [
        (float(gain.drawn.value[place]), Asked(gain, name, place, 1.0))
        for gain in _gains(figures)
        for place, name in enumerate(gain.names)
        if name != EVERYONE and not np.isnan(gain.drawn.value[place])
    ]
    below = sum(value < LOSS for value, _ in every)
    return (min(every, key=lambda one: one[0])[1] if every else None), below, len(every)


def _gains_less(figures: Figures) -> Iterator[Finding]:
    """Groups that gain less than everyone does, by more than may be: one finding for each."""
    gains = _gains(figures)
    beside = [gain.drawn.less_everyone() for gain in gains]
    by_about = {gain.about: one for gain, one in zip(gains, beside, strict=True)}
    less: dict[str, list[tuple[Asked, Estimate, Estimate]]] = {}
    for one, own in _sure(gains, [drawn.below(LOSS) for drawn in beside]):
        found = by_about[one.measured.about].estimates[one.place]
        if found is not None:
            less.setdefault(named(one.name), []).append((one, found, own))
    for words, several in less.items():
        counts = any(one.measured.about[1] == UTILITY for one, *_ in several)
        said = listed(_beside(one.measured.about, found, own) for one, found, own in several)
        words = (
            f"{words}: the expected gain beside everyone's (and over the next available therapist) is {said}, "
            "the model taken as right."
        )
        yield Finding(level="look" if counts else "note", words=capital(words), page=several[0][0].page)


def _beside(about: tuple[str, ...], found: Estimate, own: Estimate) -> str:
    _, head, regime = about
    return f"{with_interval(found)} in {head_words(head)} under {regime} ({own.value:+.2f})"


def _not_come_true(figures: Figures) -> Iterator[Finding]:
    """Groups in which the ranking has been wrong, or less right than for everyone."""
    true = [one for about, one in figures.items() if about[0] == "true"]
    brought = [_brought(one, figures) for one in true]
    for one, found in _sure(brought, [drawn.drawn.below(LOSS) for drawn in brought]):
        words = (
            f"{named(one.name)}: those who saw a therapist whom the ranking puts high did worse; by that its "
            f"first choice brings {with_interval(found)} in {head_words(one.measured.about[1])}."
        )
        yield Finding(level="stop", words=capital(words), page=one.page)
    beside = [one.drawn.less_everyone() for one in true]
    for one, found in _sure(true, [drawn.below(0.0) for drawn in beside]):
        words = (
            f"{named(one.name)}: of each SD that the ranking promised in {head_words(one.measured.about[1])}, "
            f"{with_interval(found)} came true, less than for everyone."
        )
        yield Finding(level="look", words=capital(words), page=one.page)


def _brought(one: Measured, figures: Figures) -> Measured:
    """What the first choice brings by what came true: the expected gain times the slope."""
    gain = figures["gain", one.about[1], FREE]
    drawn = Drawn(one.drawn.value * gain.drawn.value, one.drawn.draws * gain.drawn.value, one.drawn.n)
    return Measured(("brought", one.about[1]), one.names, drawn)


def _biased(figures: Figures) -> Iterator[Finding]:
    """Groups whose results differ from what was predicted."""
    biases = [one for about, one in figures.items() if about[0] == "bias"]
    chances = [np.minimum(2 * np.fmin(one.drawn.below(-BIAS), one.drawn.above(BIAS)), 1.0) for one in biases]
    for one, found in _sure(biases, chances):
        way = "too hopeful" if found.value < 0 else "not hopeful enough"
        words = (
            f"{named(one.name)}: predictions of {head_words(one.measured.about[1])} are {way}: observed less "
            f"predicted is {with_interval(found)}."
        )
        yield Finding(level="look", words=capital(words), page=one.page)


def _waits(figures: Figures) -> Iterator[Finding]:
    """Groups that wait longer, or start less often, than everyone."""
    for about, margin, unit in ((("wait",), WAITS_LONGER, " days"), (("never",), STARTS_LESS, "")):
        if about not in figures:
            continue
        beside = replace(figures[about], drawn=figures[about].drawn.less_everyone())
        for one, found in _sure([beside], [beside.drawn.above(margin)]):
            said = "the wait for the first session" if unit else "the share who never started"
            digits = 1 if unit else 2
            words = f"{named(one.name)}: {said} is {with_interval(found, unit, digits=digits)} beside everyone's."
            yield Finding(level="look", words=capital(words), page=one.page)


def _stands_first(figures: Figures) -> Iterator[Finding]:
    """Groups that are offered, or sent to, therapists of lower standing; groups for whom nothing can be told."""
    for of, said in (("first", "who would be first"), ("offered", "those offered")):
        standing = figures.get(("quality", of))
        if standing is None:
            return
        beside = replace(standing, drawn=standing.drawn.less_everyone())
        for one, found in _sure([beside], [beside.drawn.below(-STANDING)]):
            words = f"{named(one.name)}: the general standing of {said} is {with_interval(found)} beside everyone's."
            yield Finding(level="look", words=capital(words), page=one.page)
    abstains = figures["abstains",]
    for one, own in _sure([abstains], [abstains.drawn.less_everyone().above(ABSTAINS)]):
        share = f"{own.value:.0%} have no meaningful difference between therapists"
        words = f"{named(one.name)}: {share}, of everyone {abstains.drawn.value[0]:.0%}."
        yield Finding(level="note", words=capital(words), page=one.page)


def least_gain(figures: Figures) -> tuple[Named, Measured] | None:
    """The group that the ranking's first choice brings least, in utility."""
    gain = figures.get(("gain", UTILITY, FREE))
    if gain is None:
        return None
    shown = [(value, name) for value, name in zip(gain.drawn.value, gain.names, strict=True) if name != EVERYONE]
    known = [(float(value), name) for value, name in shown if not np.isnan(value)]
    return (min(known)[1], gain) if known else None
