"""An audit made by hand, with one of everything: what the doors show must be in it, so the doors can be held to it."""

import datetime as dt
import io
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from training.audit.document import Audit, Chart, Column, Estimate, Finding, Section, Table, Words
from training.audit.importances import Importance
from training.audit.reports import TherapistReport

MADE_AT = dt.datetime(2026, 10, 1, 8, 0, tzinfo=dt.UTC)


def drawing(points: int = 5) -> str:
    """An SVG as matplotlib makes it."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "a test"}):
        canvas = Canvas(figsize=(7, 3), layout="constrained")
        axes = canvas.subplots()
        axes.plot(range(points), [at % 3 for at in range(points)], "o-")
        axes.set_xlabel("wishes met & more")
        held = io.StringIO()
        canvas.savefig(held, format="svg", metadata={"Date": None, "Creator": None})
    text = held.getvalue()
    return text[text.index("<svg") :]


def chart(name: str = "curve", points: int = 5) -> Chart:
    """A picture with its data."""
    return Chart(
        id=name,
        title="More wishes met, a better alliance",
        alt="A line that rises from 0 to 2 and falls again.",
        svg=drawing(points),
        columns=(Column(name="x", label="Wishes met"), Column(name="effect", label="Effect", unit="SD")),
        rows=tuple((at, Estimate(value=at / 10, low=at / 10 - 0.05, high=at / 10 + 0.05)) for at in range(points)),
        note="The band is where 95 of 100 such studies would find it.",
    )


def table(name: str = "importance", rows: int = 3) -> Table:
    """A table with one of each kind of cell."""
    columns = (
        Column(name="feature", label="Feature"),
        Column(name="share", label="Share of what decides", unit="SD", digits=3),
        Column(name="people", label="People", digits=0),
        Column(name="remark", label="Remark"),
        Column(name="unknown", label="Not shown"),
    )
    cells: list[tuple[Any, ...]] = [
        (f"feature_{at}", Estimate(value=-0.1234 * at, low=-0.2, high=0.1), 1234, '=HYPERLINK("x")', None)
        for at in range(rows)
    ]
    pages = tuple(f"feature/feature_{at}" if at < 12 else None for at in range(rows))
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


def rich(features: int = 12, therapists: int = 30, points: int = 5, **changes: Any) -> Audit:
    """An audit with so many features and therapists."""
    names = [f"feature_{at}" for at in range(features)]
    drives = Section(
        id="drives",
        title="What drives the ranking?",
        says=("Wishes that are met matter most.", "Nothing else comes near <them> & that is sensible."),
        findings=(
            Finding(level="fine", words="The noise is named as noise.", page="section/drives"),
            Finding(level="look", words="feature_1 stands in for where somebody lives.", page="feature/feature_1"),
            Finding(level="stop", words="feature_2 turns its sign from refit to refit.", page="feature/feature_2"),
            Finding(level="note", words="Nobody has such a page.", page="feature/of nobody"),
        ),
        parts=(table(rows=features), chart("order"), Words(title="What it cannot say", lines=("It is no cause.",))),
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
        "therapists": {f"t-{at}": TherapistReport(therapist_id=f"t-{at}") for at in range(1, therapists + 1)},
    }
    return Audit(**{**made, **changes})
