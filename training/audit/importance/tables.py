"""Tables and pictures of importance: what drives the ranking, and apart from it what drives the prognosis."""

from collections.abc import Sequence

import numpy as np

from training.audit.charts import chart, intervals
from training.audit.document import Cell, Chart, Column, Estimate, Table
from training.audit.importances import (
    UTILITY,
    FeatureImportance,
    GroupImportance,
    Importance,
    Interval,
    Matching,
    Prognostic,
    Verdict,
)
from training.audit.words import id_of, listed

SHOWN = 12
"""Of a picture; the table below it has all."""
SIGNS = {"+": "better", "-": "worse", "0": "none", "?": "open"}
"""What more of a feature goes with."""
VERDICTS: dict[Verdict, str] = {
    "drives": "drives the ranking",
    "matters": "matters",
    "unsure": "some sign, not clear",
    "noise": "no sign that it matters",
    "unused": "not used",
}
KINDS = {
    "client": "the client",
    "therapist": "the therapist's profile",
    "match": "client and therapist together",
    "track": "counts of earlier cases",
    "results": "the therapist's own earlier results",
}
WORDS = {
    "results.therapist": "own earlier results",
    "results.severity": "own earlier results by severity",
    "results.strengths": "own earlier results by problem",
}
SPREAD_NOTE = (
    "Spread: how far the feature moves a client's therapists apart (SD of its contribution over those offered, mean "
    "over clients), in SD of the result. Someone else first: clients for whom another therapist would stand first "
    "without it. Loss without it: by how much results are foretold worse when its contribution is exchanged between "
    "a client's therapists, as a share of what the prognosis leaves open; below 0 where exchanging it does no harm. A "
    "loss is hard to see: an interval that reaches below 0 says that the test cannot tell, not that nothing is there. "
    "Intervals are over clients, and take the model as it is."
)


def plain(name: str) -> str:
    """A feature's name for people."""
    return WORDS.get(name, name.replace("client.", "client's ").replace("therapist.", "therapist's ").replace("_", " "))


def percent(one: Interval | None) -> Estimate | None:
    """In per cent."""
    if one is None:
        return None
    return Estimate(value=hundred(one.value), low=hundred(one.low), high=hundred(one.high))


def hundred(share: float) -> float:
    """A share in per cent, without the dust of the multiplication."""
    return round(100 * share, 4)


def estimate(one: Interval) -> Estimate:
    """As a cell."""
    return Estimate(value=one.value, low=one.low, high=one.high)


MATCHING_COLUMNS = (
    Column(name="spread", label="Spread", unit="SD", digits=3),
    Column(name="first_changes", label="Someone else first", unit="% of clients", digits=1),
    Column(name="loss_rise", label="Loss without it", unit="%", digits=2),
)
PROGNOSTIC_COLUMNS = (
    Column(name="contribution", label="Mean contribution", unit="SD", digits=3),
    Column(name="share", label="Share of all contributions", unit="%", digits=1),
    Column(name="loss_rise", label="Loss without it", unit="%", digits=2),
)


def matching_cells(one: Matching) -> tuple[Cell, ...]:
    """Under `MATCHING_COLUMNS`."""
    return estimate(one.spread), percent(one.first_changes), percent(one.loss_rise)


def prognostic_cells(one: Prognostic) -> tuple[Cell, ...]:
    """Under `PROGNOSTIC_COLUMNS`."""
    return estimate(one.contribution), hundred(one.share), percent(one.loss_rise)


def by_first(features: Sequence[FeatureImportance]) -> list[FeatureImportance]:
    """Those that rank, whoever changes the order of most clients first."""
    ranking = [one for one in features if UTILITY in one.matching]
    return sorted(ranking, key=lambda one: -one.matching[UTILITY].spread.value)


def by_share(features: Sequence[FeatureImportance], head: str) -> list[FeatureImportance]:
    """Those of the client, whoever carries most of the head's prognosis first."""
    client = [one for one in features if head in one.prognostic]
    return sorted(client, key=lambda one: -one.prognostic[head].contribution.value)


def order_chart(features: Sequence[FeatureImportance]) -> Chart | None:
    """What moves a client's therapists apart most."""
    shown = by_first(features)[:SHOWN]
    if not shown or shown[0].matching[UTILITY].spread.value == 0:
        return None
    spread = [one.matching[UTILITY].spread for one in shown]
    clear = [plain(one.name) for one in shown if one.verdict == "drives"][:4]
    title = (
        f"What clearly moves the order of therapists: {listed(clear)}" if clear else "Nothing clearly moves the order"
    )
    alt = (
        f"Dots with intervals for {len(shown)} features, the widest spread first: "
        + "; ".join(f"{plain(one.name)} {one.matching[UTILITY].spread.value:.3f} SD" for one in shown)
        + "."
    )
    return _chart("order", title, alt, shown, spread, "Spread over a client's therapists, in SD of the result")


def prognosis_chart(features: Sequence[FeatureImportance], head: str) -> Chart | None:
    """What carries the prognosis of one head."""
    shown = by_share(features, head)[:SHOWN]
    if not shown or shown[0].prognostic[head].contribution.value == 0:
        return None
    size = [one.prognostic[head].contribution for one in shown]
    said = listed([plain(one.name) for one in shown[:3] if one.prognostic[head].contribution.value > 0])
    title = f"What to expect whoever the therapist is ({plain(head)}) rests most on {said}"
    alt = (
        f"Dots with intervals for {len(shown)} features of the client, the greatest mean contribution first: "
        + "; ".join(f"{plain(one.name)} {one.prognostic[head].contribution.value:.3f} SD" for one in shown)
        + "."
    )
    return _chart(f"prognosis-{id_of(head)}", title, alt, shown, size, "Mean contribution to the prognosis, in SD")


def _chart(
    name: str, title: str, alt: str, shown: Sequence[FeatureImportance], values: Sequence[Interval], label: str
) -> Chart:
    value, low, high = (np.array([getattr(one, part) for one in values]) for part in ("value", "low", "high"))
    canvas = intervals([plain(one.name) for one in shown], value, low, high, label)
    columns = (Column(name="feature", label="Feature"), Column(name="value", label=label, unit="SD", digits=3))
    rows = [(one.name, estimate(size)) for one, size in zip(shown, values, strict=True)]
    return chart(f"importance-{name}-drawn", title, alt, canvas, columns, rows)


def order_table(features: Sequence[FeatureImportance]) -> Table:
    """Every feature that ranks."""
    mine = by_first(features) or [one for one in features if one.part == "fit"]
    columns = (
        Column(name="feature", label="Feature"),
        Column(name="kind", label="Part of"),
        *MATCHING_COLUMNS,
        Column(name="expected", label="More of it: expected"),
        Column(name="learned", label="More of it: learned"),
        Column(name="verdict", label="In short"),
    )
    rows = [
        (
            plain(one.name),
            KINDS[one.kind],
            *(matching_cells(one.matching[UTILITY]) if UTILITY in one.matching else (None, None, None)),
            SIGNS[one.expected],
            SIGNS[one.learned],
            _verdict(one),
        )
        for one in mine
    ]
    return Table(
        id="importance-order",
        title="What changes who comes first: every feature that ranks",
        columns=columns,
        rows=tuple(rows),
        pages=tuple(f"feature/{one.name}" if one.kind != "results" else None for one in mine),
        note=SPREAD_NOTE,
    )


def prognosis_table(features: Sequence[FeatureImportance], head: str) -> Table:
    """Every feature of the client, for one head."""
    mine = by_share(features, head)
    columns = (
        Column(name="feature", label="Feature"),
        *PROGNOSTIC_COLUMNS,
        Column(name="learned", label="More of it: learned"),
        Column(name="verdict", label="In short"),
    )
    return Table(
        id=f"importance-prognosis-{id_of(head)}",
        title=f"Who does well whoever the therapist is: {plain(head)}",
        columns=columns,
        rows=tuple(
            (plain(one.name), *prognostic_cells(one.prognostic[head]), SIGNS[one.learned], _verdict(one))
            for one in mine
        ),
        pages=tuple(f"feature/{one.name}" for one in mine),
        note="None of these changes the order of therapists: they are the same for every therapist of a client. Loss "
        "without it: by how much results are foretold worse when its values are exchanged between clients, as a "
        "share of the variance of results. Intervals are over clients, and take the model as it is.",
    )


def groups_table(importance: Importance) -> Table:
    """Groups and clusters of features that rank, each as one."""
    some = [one for one in (*importance.groups, *importance.clusters) if UTILITY in one.matching]
    columns = (Column(name="features", label="Features taken as one"), *MATCHING_COLUMNS)
    return Table(
        id="importance-groups",
        title="Features that belong together, taken as one",
        columns=columns,
        rows=tuple((_group(one), *matching_cells(one.matching[UTILITY])) for one in some),
        note="Of two features that go together each may look idle while the other stands in for it. So groups, and "
        "clusters of features whose ranks correlate by more than .5, are looked at as one as well.",
    )


def clusters_table(importance: Importance, head: str) -> Table | None:
    """Clusters of the client's features, for one head."""
    some = [one for one in importance.clusters if head in one.prognostic]
    if not some:
        return None
    return Table(
        id=f"importance-clusters-{id_of(head)}",
        title=f"Features of the client that go together, taken as one: {plain(head)}",
        columns=(Column(name="features", label="Features taken as one"), *PROGNOSTIC_COLUMNS),
        rows=tuple((_group(one), *prognostic_cells(one.prognostic[head])) for one in some),
    )


def _group(one: GroupImportance) -> str:
    return KINDS.get(one.name) or ", ".join(map(plain, one.features))


def _verdict(one: FeatureImportance) -> str:
    return VERDICTS[one.verdict] + (" - look at it" if one.flags else "")
