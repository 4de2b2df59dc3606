"""How results change along what matters: features, alliance and adherence, severity, early alliance."""

from collections.abc import Mapping, Sequence

from training.audit.curves.alliance import FEWEST_ROWS, Rated, adherence_curve, alliance_curve, rated, result_of
from training.audit.curves.courses import against, prognosis_chart
from training.audit.curves.drawn import ranking_chart, words_of
from training.audit.curves.prognosis import Along, Prognoses
from training.audit.curves.ranking import Ranking
from training.audit.curves.severity import severity_chart, severity_says, spread
from training.audit.curves.told import (
    adherence_chart,
    adherence_says,
    alliance_chart,
    alliance_says,
    nothing_on,
)
from training.audit.document import Chart, Finding, Part, Section, Words
from training.audit.examined import Examined

RANKING_CURVES, PROGNOSIS_CURVES = 12, 10
SHOWN_RANKING, SHOWN_PROGNOSIS = 3, 2
WHAT_IT_IS = (
    "These pictures show how results, as the model has them, change along what is known of client and therapist. "
    "1 SD is the spread of results between clients; every band and bar is a 95 % interval, and where it holds 0 the "
    "data do not tell which way it goes."
)


def examine(looked_at: Examined) -> tuple[Section, dict[str, Chart]]:
    """The section, and the curve of each important feature for its own page."""
    ranking, prognoses = Ranking(looked_at), Prognoses(looked_at)
    ranks = _ranking_charts(ranking) if len(looked_at.pairs.therapist_id) and ranking.heads else {}
    courses = _courses(prognoses) if len(looked_at.test) else {}
    foretells = {name: prognosis_chart(prognoses, name, one) for name, one in courses.items()}
    apart, told = _therapists_by_severity(looked_at, ranking)
    related, said = relations(looked_at)
    shown = [*list(ranks.values())[:SHOWN_RANKING], *apart, *related, *list(foretells.values())[:SHOWN_PROGNOSIS]]
    says = (WHAT_IT_IS, *_first(ranks, foretells), *told, *said)
    parts: list[Part] = [*shown, *_elsewhere(looked_at, ranks, foretells)]
    section = Section(
        id="curves",
        title="How do results change along what matters?",
        says=says,
        findings=tuple(_findings(looked_at, courses)),
        parts=tuple(parts),
    )
    return section, {**foretells, **ranks}


def _ranking_charts(ranking: Ranking) -> dict[str, Chart]:
    """Of the features that move the order of therapists most."""
    drawn = {name: ranking_chart(ranking, name) for name in list(ranking.spread())[:RANKING_CURVES]}
    return {name: one for name, one in drawn.items() if one is not None}


def _courses(prognoses: Prognoses) -> dict[str, Along]:
    """Of the features that move the prognosis most."""
    found = {name: prognoses.along(name) for name in list(prognoses.spread())[:PROGNOSIS_CURVES]}
    return {name: one for name, one in found.items() if one is not None}


def _findings(looked_at: Examined, courses: Mapping[str, Along]) -> list[Finding]:
    """Where results of people whom the model has not seen contradict it."""
    if looked_at.tested is None:
        return []
    return [one for name, found in courses.items() for one in against(looked_at.bundle, name, found)]


def _first(ranks: dict[str, Chart], foretells: dict[str, Chart]) -> list[str]:
    found = []
    if ranks:
        found.append(
            f"Of the features on record, most moves the order of therapists: {next(iter(ranks.values())).title}."
        )
    else:
        found.append("No feature moves the order of therapists: only what their own cases tell does, if anything.")
    if foretells:
        found.append(
            "Most moves the prognosis of one result or another, whoever the therapist is: "
            f"{next(iter(foretells.values())).title}."
        )
    return found


def _therapists_by_severity(looked_at: Examined, ranking: Ranking) -> tuple[list[Chart], list[str]]:
    result = result_of(looked_at)
    if not ranking.has("severity"):
        return [], [nothing_on("therapists' effects along severity", ["no severity at intake is on record"])]
    found = None if result is None else spread(ranking, result.name, looked_at.config.seed)
    if found is None:
        return [], [nothing_on("therapists' effects along severity", ["the model knows too few therapists"])]
    return [severity_chart(ranking, found)], severity_says({found.head: found}, found.head)


def relations(looked_at: Examined) -> tuple[list[Chart], list[str]]:
    """Alliance and results, and adherence where the alliance was weak or strong."""
    found = rated(looked_at)
    if found is None or not found.enough:
        why = [
            f"fewer than {FEWEST_ROWS} clients have an early rating and a known result"
            if found
            else "the data hold no early rating of the alliance beside a result"
        ]
        return [], [nothing_on("early alliance, or adherence beside it,", why)]
    along = alliance_curve(found)
    charts, said = _adherence(found)
    return [alliance_chart(found, along), *charts], [*alliance_says(found, along), *said]


def _adherence(found: Rated) -> tuple[list[Chart], list[str]]:
    curve = adherence_curve(found)
    if curve is None:
        both = int(found.with_adherence.sum())
        why = [f"both are recorded for {both:,} clients, which are too few or vary too little"]
        return [], [nothing_on("adherence and how strong the alliance was", why)]
    return [adherence_chart(curve, found.head)], adherence_says(curve)


def _elsewhere(looked_at: Examined, ranks: dict[str, Chart], foretells: dict[str, Chart]) -> Sequence[Words]:
    """Names the curves that are on their features' own pages."""
    lines = []
    for what, charts, shown in (("the order", ranks, SHOWN_RANKING), ("the prognosis", foretells, SHOWN_PROGNOSIS)):
        rest = [words_of(looked_at.bundle, name) for name in list(charts)[shown:]]
        if rest:
            lines.append(f"On their own pages, for {what}: {'; '.join(rest)}.")
    return (Words(title="More curves", lines=tuple(lines)),) if lines else ()
