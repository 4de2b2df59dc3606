"""For whom it works less well: error, calibration, gain, exposure, abstention and wait by group of clients."""

from collections.abc import Iterator, Mapping, Sequence

from training.audit.document import Column, Finding, Section, Table
from training.audit.examined import Examined
from training.audit.fairness.cells import EVERYONE
from training.audit.fairness.figures import FREE, Figures, Tables, tables_of
from training.audit.fairness.found import LOSS, findings, least_gain, losses, lowest
from training.audit.fairness.pages import Page
from training.audit.fairness.results import MARGIN, Compared, compare
from training.audit.fairness.words import attribute_words, head_words, named, short_words
from training.audit.importances import UTILITY
from training.audit.words import capital, listed, with_interval
from training.bands import UNKNOWN

TITLE = "For whom does it work less well?"


def examine(looked_at: Examined) -> tuple[Section, dict[str, Section]]:
    """The section, and a page for each attribute by which clients are grouped."""
    tables = tables_of(looked_at)
    figures, compared = tables.figures(), compare(tables.people)
    found = findings(figures, compared)
    pages = {name: _page(name, tables, figures, compared, found) for name in _attributes(tables)}
    section = Section(
        id="groups",
        title=TITLE,
        says=tuple(_says(looked_at, tables, figures, compared)),
        findings=tuple(found) or (nothing(figures, compared),),
        parts=tuple(_parts(pages, figures, compared)),
    )
    return section, pages


def _attributes(tables: Tables) -> list[str]:
    return list(dict.fromkeys([*tables.people.groups, *tables.test_groups]))


def _page(
    name: str, tables: Tables, figures: Figures, compared: Sequence[Compared], found: Sequence[Finding]
) -> Section:
    both = (tables.people.groups, tables.test_groups)
    groups = sorted({str(g) for one in both if name in one for g in one[name]}, key=lambda g: (g == UNKNOWN, g))
    own = [one for one in compared if one.attribute == name]
    return Page(name, tuple(groups), figures, own, tuple(f for f in found if f.page == f"group/{name}")).section()


def nothing(figures: Figures, compared: Sequence[Compared]) -> Finding:
    """What may be said where nothing was found: that nothing was found is no proof where little could be asked."""
    least, below, _ = lowest(figures)
    lost = (
        "what the ranking brings to groups is not known"
        if least is None
        else f"that no group would lose more than {-LOSS:.2f} SD by the ranking is not sure"
        if below
        else f"by what the model claims no group would lose more than {-LOSS:.2f} SD by the ranking"
    )
    worse = (
        "none surely does worse than its need explains"
        if compared
        else "there are too few results to ask whether one does worse than its need explains"
    )
    fine = least is not None and not below and bool(compared)
    words = f"{capital(lost)}, and {worse}."
    return Finding(level="fine" if fine else "note", words=words, page="section/groups")


def _says(e: Examined, tables: Tables, figures: Figures, compared: Sequence[Compared]) -> Iterator[str]:
    if not tables.people.groups:
        yield "The data record nothing by which clients could be grouped: how it works for whom cannot be said."
        return
    yield (
        f"Clients were compared by {listed(short_words(name) for name in _attributes(tables))}; those of whom a "
        "thing is not on record are a group of their own, and groups under 10 are not shown."
    )
    if e.tested is None:
        yield "Nothing was tested: errors are those on the clients that the model learned from, and look too small."
    if tables.ranking is not None:
        yield _choice_line(e)
    yield from gain_lines(figures)
    yield from _result_lines(compared)
    yield from _agreement_lines(figures)
    yield (
        "A finding is made only where it holds after Holm's rule over all groups compared: if nothing were wrong, the "
        "chance of any such finding would be at most .05 for each question."
    )


def _choice_line(e: Examined) -> str:
    count = f"{len(e.offered.rows):,} clients of the test"
    if e.choice.recorded:
        return f"Gains are those of {count} whose choice is on record, {e.choice.share:.0%} of those looked at."
    return (
        f"Gains are those of {count}; who was available is not on record, and taken to be who began with anyone then."
    )


def gain_lines(figures: Figures) -> Iterator[str]:
    """What the ranking claims to bring, to whom least, how much came true, and whether any group loses."""
    least = least_gain(figures)
    if least is None:
        yield "Nobody had a choice that could be scored, so what the ranking brings to each group is unknown."
        return
    name, gain = least
    everyone, own = gain.of(EVERYONE), gain.of(name)
    if everyone is None or own is None:
        return
    yield (
        f"By what the model claims, the ranking's first choice brings {with_interval(everyone)} over the next "
        f"available therapist where all can choose freely; least for {named(name)}, {with_interval(own)}. These "
        f"intervals are over clients, and take the model as right. {_came_true(figures)}{_loses(figures)}"
    )


def _came_true(figures: Figures) -> str:
    true = figures.get(("true", UTILITY))
    found = None if true is None else true.of(EVERYONE)
    if found is None:
        return "How much of it came true is not known. "
    told = f"of each SD claimed {with_interval(found)} came true. "
    return f"O{told[1:]}" if found.low is not None and found.low > 0 else f"Whether it came true is not shown: {told}"


def _loses(figures: Figures) -> str:
    if lost := len(list(losses(figures))):
        return f"For groups there are {lost} figures that show a loss."
    least, below, every = lowest(figures)
    found = None if least is None else least.measured.of(least.name)
    if least is None or found is None or not below:
        return f"By these claims no group loses more than {-LOSS:.2f} SD."
    _, head, regime = least.measured.about
    return (
        f"Of {every} such figures for groups {below} lie below {LOSS:+.2f} SD, the lowest for {named(least.name)}: "
        f"{with_interval(found)} in {head_words(head)} under {regime}. With so many figures that may be chance; it is "
        "not shown that no group loses."
    )


def _result_lines(compared: Sequence[Compared]) -> Iterator[str]:
    if not compared:
        yield "There are too few results to ask whether a group does worse than its need explains."
        return
    worse = list(dict.fromkeys(named((one.attribute, one.group)) for one in compared if one.worse))
    if worse:
        yield (
            f"Results of {listed(worse)} are worse than those of other clients with the same need at intake and the "
            f"same therapist, surely by more than {MARGIN:.2f} SD. This says nothing about the cause."
        )
    else:
        yield (
            f"No group surely does worse, by more than {MARGIN:.2f} SD, than other clients with the same need at "
            "intake and the same therapist."
        )


def _agreement_lines(figures: Figures) -> Iterator[str]:
    if ("agrees", "alone") not in figures:
        return
    alone, equal = (figures["agrees", name].of(EVERYONE) for name in ("alone", "equal"))
    given, also = (figures["given up", name].of(EVERYONE) for name in ("alone", "equal"))
    if alone and equal and given and also:
        yield (
            f"Were the outcome alone to count, {alone.value:.0%} of clients would have the same first therapist, and "
            f"{given.value:.2f} SD of utility would be given up; with equal weights {equal.value:.0%} and "
            f"{also.value:.2f} SD."
        )


def _parts(pages: Mapping[str, Section], figures: Figures, compared: Sequence[Compared]) -> Iterator[Table]:
    yield _overview(pages, figures, compared)
    if ("agrees", "alone") in figures:
        yield _agreement(figures)


def _overview(pages: Mapping[str, Section], figures: Figures, compared: Sequence[Compared]) -> Table:
    """A line for each attribute: who gains least, who does worst given the need, what was found."""
    gain, rows = figures.get(("gain", UTILITY, FREE)), []
    for name, page in pages.items():
        own = [] if gain is None else [(gain.told(n), n) for n in gain.names if n[0] == name]
        shown = [(one.value, n, one) for one, n in own if one is not None]
        least = min(shown, key=lambda one: one[0]) if shown else None
        gaps = [(one.gap.value, one, one.gap) for one in compared if one.attribute == name and one.gap is not None]
        worst = min(gaps, key=lambda one: one[0]) if gaps else None
        rows.append(
            (
                attribute_words(name),
                None if least is None else named(least[1]),
                None if least is None else least[2],
                None if worst is None else f"{named((name, worst[1].group))}, {head_words(worst[1].head)}",
                None if worst is None else worst[2],
                len(page.findings),
            )
        )
    columns = (
        Column(name="attribute", label="by"),
        Column(name="least", label="who gains least"),
        Column(name="gain", label="expected gain", unit="SD"),
        Column(name="lowest", label="whose results lie lowest given the need"),
        Column(name="gap", label="beside others", unit="SD"),
        Column(name="findings", label="findings", digits=0),
    )
    return Table(
        id="groups",
        title="Each attribute at a glance",
        columns=columns,
        rows=tuple(rows),
        pages=tuple(f"group/{name}" for name in pages),
        note="The lowest of several groups lies low by chance too: findings are judged over all of them. Empty: "
        "too few, or not to be told from these data.",
    )


def _agreement(figures: Figures) -> Table:
    """How often the first therapist stays the same under other weights, by group."""
    abouts = [("agrees", "alone"), ("given up", "alone"), ("agrees", "equal"), ("given up", "equal")]
    first = figures[abouts[0]]
    rows = tuple(
        (named(name), *(figures[about].told(name) for about in abouts))
        for name in first.names
        if first.told(name) is not None
    )
    columns = (
        Column(name="group", label="group"),
        Column(name="agrees_alone", label="same first by outcome alone", unit="share"),
        Column(name="given_up_alone", label="utility given up", unit="SD"),
        Column(name="agrees_equal", label="same first by equal weights", unit="share"),
        Column(name="given_up_equal", label="utility given up", unit="SD"),
    )
    note = (
        "Beside the weights of this model. Groups under 10 are not shown, nor one from which they could be worked out."
    )
    return Table(id="weights", title="How much the weights matter", columns=columns, rows=rows, note=note)
