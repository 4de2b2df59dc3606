"""What alliance and adherence showed, as charts and sentences: the words follow the intervals."""

from collections.abc import Sequence

from training.audit.charts import BINS, chart, density, line, panels, points
from training.audit.curves.alliance import LEVELS, AdherenceAt, AdherenceCurve, AllianceCurve, Rated
from training.audit.curves.shapes import apart, ends, estimate, rounded, said, size
from training.audit.document import Cell, Chart, Column
from training.evaluate import Figure

FIELD_R = "0.22 to 0.28"
FIELD_ADJUSTED = "0.23 to 0.31"
MODERATE, HARDLY = "moderate adherence went with the best results", "adherence hardly mattered"
UNTOLD = "it cannot be told whether adherence mattered"
SMALL = 0.2
"""A difference, in SD, that this field calls small: with intervals inside it something hardly matters."""
NOT_ADVICE = "This is what went together, not what caused what, and no advice on how to work."


def alliance_title(r: Figure, head: str) -> str:
    """The finding: whether a better early alliance went with better results."""
    way = apart(r)
    if way == 0:
        return f"No clear relation between early alliance and {head}: r {said(r)}"
    return f"The better the early alliance, the {'better' if way > 0 else 'worse'} the {head}: r {said(r)}"


def alliance_chart(found: Rated, curve: AllianceCurve) -> Chart:
    """Tenths of clients and a smooth line over early alliance."""
    canvas, (axes,) = panels(1, 3.0, xlabel=f"early alliance ({found.instrument}, sessions 3 to 5)")
    line(axes, curve.smooth_x, *ends(curve.smooth))
    points(axes, curve.x, *ends(curve.mean))
    axes.set_ylabel(f"{found.head} less prognosis (SD)")
    density(axes, found.alliance)
    first, last = curve.mean[0], curve.mean[-1]
    alt = (
        f"Ten groups of clients from the lowest to the highest early alliance, and a smooth line. Risk-adjusted "
        f"{found.head} was {said(first, 'SD')} from the average in the lowest group and {said(last, 'SD')} in the "
        f"highest; correlation {said(curve.r)}."
    )
    columns = [
        Column(name="kind", label="Row"),
        Column(name="alliance", label="Early alliance", digits=2),
        Column(name="result", label=f"{found.head} less prognosis", unit="SD", digits=3),
        Column(name="clients", label="Clients", digits=0),
    ]
    rows: list[list[Cell]] = [
        ["tenth of clients", rounded(x), estimate(one), n]
        for x, one, n in zip(curve.x, curve.mean, curve.n, strict=True)
    ]
    rows += [
        ["smooth line", rounded(x), estimate(one), None] for x, one in zip(curve.smooth_x, curve.smooth, strict=True)
    ]
    note = (
        "Squares: tenths of clients; equal ratings stay together, and groups of fewer than ten are not shown. 95 % "
        f"intervals, therapists resampled. Below: how many clients gave each rating. {_reach(found)}"
    )
    return chart("alliance_and_result", alliance_title(curve.r, found.head), alt, canvas, columns, rows, note)


def alliance_says(found: Rated, curve: AllianceCurve) -> list[str]:
    """Correlation beside the field's, who answered, and the ceiling."""
    beside = (
        f"Early alliance and {found.head} correlate {said(curve.r)} once the prognosis is taken off, and "
        f"{said(curve.raw_r)} as they are; in the field it was {FIELD_ADJUSTED} adjusted and {FIELD_R} as it is "
        f"(Flueckiger 2018, 2020). Results are known for {len(found.raw):,} of the clients who rated it. {NOT_ADVICE}"
    )
    return [beside, _reach(found)]


def _reach(found: Rated) -> str:
    share = found.answered / max(found.asked, 1)
    top = (
        "the questionnaire's range is not known"
        if found.ceiling is None
        else f"{found.ceiling:.1%} gave the highest rating there is"
    )
    return f"{found.answered:,} of {found.asked:,} clients who started ({share:.0%}) have an early rating; {top}."


def adherence_title(curve: AdherenceCurve) -> str:
    """The finding: what adherence went with where the alliance was weak, and where it was strong."""
    weak, strong = does(curve.at["weak"]), does(curve.at["strong"])
    if weak == strong:
        return f"Whether the alliance was weak or strong, {weak}"
    return f"Where the alliance was weak, {weak}; where it was strong, {strong}"


def does(at: AdherenceAt) -> str:
    """What adherence went with at one level of the alliance, as far as the intervals know."""
    if apart(at.bend) > 0:
        return MODERATE
    if apart(at.bend) < 0:
        return "moderate adherence went with the least good results"
    if apart(at.rise):
        return f"more adherence went with {'better' if apart(at.rise) > 0 else 'less good'} results"
    return HARDLY if all(abs(end) <= SMALL for one in (at.bend, at.rise) for end in (one.low, one.high)) else UNTOLD


def adherence_chart(curve: AdherenceCurve, head: str) -> Chart:
    """Three panels: adherence where the alliance was weak, middling, strong."""
    canvas, every = panels(len(LEVELS), 2.8, len(LEVELS), share_y=True, xlabel="adherence, mean of the rated sessions")
    for axes, (name, at) in zip(every, curve.at.items(), strict=True):
        line(axes, curve.x, *ends(at.line))
        axes.set_title(f"{name} alliance\n({at.alliance:.1f})", fontsize=9, loc="left")
        density(axes, curve.seen[name], BINS // 2)
    every[0].set_ylabel(f"{head} less prognosis (SD)")
    told = "; ".join(f"{name} alliance: {_told(at)}" for name, at in curve.at.items())
    columns = [
        Column(name="alliance", label="Early alliance"),
        Column(name="adherence", label="Adherence", digits=3),
        Column(name="result", label=f"{head}, beside moderate adherence", unit="SD", digits=3),
    ]
    rows: list[list[Cell]] = [
        [f"{name} ({at.alliance:.2f})", rounded(x), estimate(one)]
        for name, at in curve.at.items()
        for x, one in zip(curve.x, at.line, strict=True)
    ]
    note = (
        f"{curve.n:,} clients with both recorded. A quadratic of adherence that changes with the alliance, shown where "
        "a tenth, half and nine tenths of ratings lie below; 0 is moderate adherence. 95 % intervals, therapists "
        f"resampled. Below: adherence of the third of clients nearest. {NOT_ADVICE}"
    )
    alt = f"Three lines over adherence, {head} less prognosis beside moderate adherence. {told}."
    return chart("alliance_by_adherence", adherence_title(curve), alt, canvas, columns, rows, note)


def _told(at: AdherenceAt) -> str:
    bend = f"moderate adherence beside the mean of low and high {said(at.bend, 'SD')}"
    return f"{bend}, high beside low {said(at.rise, 'SD')}"


def adherence_says(curve: AdherenceCurve) -> list[str]:
    """The finding with its figures, beside the field's."""
    weak, strong = curve.at["weak"], curve.at["strong"]
    field = (
        "Barber and others (2006) found that adherence hardly mattered where the alliance was strong, and that "
        "moderate adherence did best where it was weak"
    )
    alike = does(weak) == MODERATE and does(strong) == HARDLY and apart(curve.change_of_bend) > 0
    untold = UNTOLD in (does(weak), does(strong)) or not apart(curve.change_of_bend)
    seen = (
        "these data show the same"
        if alike
        else "these data cannot tell whether it is so here"
        if untold
        else "these data do not show just that"
    )
    return [
        f"{adherence_title(curve)}. Moderate adherence beside the mean of low and high adherence: "
        f"{said(weak.bend, 'SD')} with a weak alliance and {said(strong.bend, 'SD')} with a strong one; the two differ "
        f"by {size(curve.change_of_bend, 'SD')}. {field}; {seen}. "
        f"{NOT_ADVICE}"
    ]


def nothing_on(what: str, why: Sequence[str]) -> str:
    """What cannot be said, and why."""
    return f"Nothing can be said on {what}: {' and '.join(why)}."
