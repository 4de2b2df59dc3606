"""An audit made by hand, with one of everything: what the doors show must be in it, so the doors can be held to it."""

import datetime as dt
from collections.abc import Sequence
from functools import cache
from typing import Any

from training.audit import charts
from training.audit.document import Audit, Chart, Column, Estimate, Finding, Section, Table, Words
from training.audit.importances import Importance
from training.audit.reports import Caseload, Expected, Exposure, TherapistReport

NAMES = tuple(f"feature_{at}" for at in range(12))
MADE_AT = dt.datetime(2026, 10, 1, 8, 0, tzinfo=dt.UTC)


@cache
def chart(name: str = "curve", points: int = 5) -> Chart:
    """A picture with its data, drawn as all are."""
    canvas, axes = charts.plain_axes()
    axes.plot(range(points), [at % 3 for at in range(points)], "o-")
    axes.set_xlabel("wishes met & more")
    columns = (Column(name="x", label="Wishes met"), Column(name="effect", label="Effect", unit="SD"))
    rows = [(at, Estimate(value=at / 10, low=at / 10 - 0.05, high=at / 10 + 0.05)) for at in range(points)]
    alt = "A line that rises from 0 to 2 and falls again."
    note = "The band is where 95 of 100 such studies would find it."
    return charts.chart(name, "More wishes met, a better alliance", alt, canvas, columns, rows, note)


def table(name: str = "importance", names: Sequence[str] = NAMES[:3]) -> Table:
    """A table with one of each kind of cell."""
    columns = (
        Column(name="feature", label="Feature"),
        Column(name="share", label="Share of what decides", unit="SD", digits=3),
        Column(name="people", label="People", digits=0),
        Column(name="remark", label="Remark"),
        Column(name="unknown", label="Not shown"),
    )
    cells: list[tuple[Any, ...]] = [
        (feature, Estimate(value=-0.1234 * at, low=-0.2, high=0.1), 1234, '=HYPERLINK("x")', None)
        for at, feature in enumerate(names)
    ]
    pages = tuple(f"feature/{one}" for one in names)
    return Table(id=name, title="What counts most", columns=columns, rows=tuple(cells), pages=pages, note="Few: –.")


def feature(name: str, points: int = 5) -> Section:
    """A feature's page."""
    return Section(
        id=name.replace(" ", "_"),
        title=f"{name}: how much it counts",
        says=("It matters for the order of therapists.", "More of it goes with a better alliance."),
        findings=(Finding(level="note", words="Its sign is as expected.", page=f"feature/{name}"),),
        parts=(chart(points=points), table("refits")),
    )


def report(name: str) -> TherapistReport:
    """What the model knows of one therapist."""
    expected = Expected(
        value=0.05, low=-0.1, high=0.2, unit="intake_sd", cases=31, by_kind={"severity.milder": (16, 0.1, -0.2, 0.4)}
    )
    return TherapistReport(
        therapist_id=name,
        as_of=dt.date(2026, 9, 1),
        basis="own_results",
        cases=34,
        expected={"outcome": expected},
        caseload=Caseload(clients=34, severity=0.2),
        exposure=Exposure(offered=120, first=4, first_five=19, seen=9),
        profile={"orientation": "cbt", "gender": ""},
        profile_updated_on=dt.date(2026, 1, 9),
        words=("Results are much like those of others.", "34 past cases are known."),
    )


def rich(names: Sequence[str] = NAMES, therapists: int = 30, points: int = 5, **changes: Any) -> Audit:
    """An audit of these features, of which the second and the third are flagged, with so many therapists."""
    drives = Section(
        id="drives",
        title="What drives the ranking?",
        says=("Wishes that are met matter most.", "Nothing else comes near <them> & that is sensible."),
        findings=(
            Finding(level="fine", words="The noise is named as noise.", page="section/drives"),
            Finding(level="look", words=f"{names[1]} stands in for where somebody lives.", page=f"feature/{names[1]}"),
            Finding(level="stop", words=f"{names[2]} turns its sign from refit to refit.", page=f"feature/{names[2]}"),
            Finding(level="note", words="Nobody has such a page.", page="feature/of nobody"),
        ),
        parts=(table(names=names), chart("order"), Words(title="What it cannot say", lines=("It is no cause.",))),
    )
    apart = Section(
        id="groups",
        title="For whom does it work less well?",
        says=("For nobody, as far as the data can say.",),
        findings=(Finding(level="note", words="Few people are older.", page="group/age band"),),
        parts=(table("by_group").model_copy(update={"pages": ("group/gender", "group/age band", None)}),),
    )
    made: dict[str, Any] = {
        "bundle_id": "0123456789abcdef",
        "name": "clinic",
        "dataset": "synthetic clinic",
        "synthetic": True,
        "as_of": dt.date(2026, 9, 1),
        "made_at": MADE_AT,
        "policy_hash": "00aa",
        "sections": (drives, apart),
        "features": {name: feature(name, points) for name in names},
        "groups": {name: feature(name) for name in ("gender", "age band")},
        "importance": Importance(),
        "therapists": {f"t-{at}": report(f"t-{at}") for at in range(1, therapists + 1)},
    }
    return Audit(**{**made, **changes})
