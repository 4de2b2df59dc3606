"""Whose data this is: from referral to use, who is lost where, whom the model has not seen."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes

from training.audit.charts import INK, SOFT, chart, plain_axes, wrapped
from training.audit.document import Chart, Column, Finding, Section, Table
from training.audit.examined import Examined
from training.audit.fairness.words import head_words
from training.audit.flow import losses as flow_losses
from training.audit.flow import unseen as flow_unseen
from training.audit.flow.change import Alliance, alliance, change_table
from training.audit.flow.counts import REASONS, STEPS, USED, Courses

STEP, USED_STEP = 1.0, 0.4
LEFT, MIDDLE, RIGHT = 0.0, 0.54, 0.58
"""Where the boxes begin and end, and where the words about losses begin, on a width of 1."""
OWN = "a result needs only what it is made of, so it may be used where another step is missing"


def section(looked_at: Examined) -> Section:
    """The section."""
    courses = Courses(looked_at)
    shares, answers = flow_losses.shares(courses), flow_losses.Answers.of(courses)
    kinds = flow_unseen.kinds(courses)
    rated = alliance(looked_at, courses.episodes["episode_id"][courses.reached["started"]])
    change = change_table(looked_at)
    parts = [_flow(courses), _used(courses), flow_losses.group_table(shares) if shares else None]
    parts += [answers.drawn() if answers.enough else None, *flow_unseen.tables(kinds), change, _alliance(rated)]
    found = (*flow_losses.findings(courses, shares), *flow_unseen.findings(kinds))
    return Section(
        id="data",
        title="Whose data is this?",
        says=(
            *_says(courses),
            answers.line(),
            *flow_unseen.lines(kinds, bool(looked_at.bundle.manifest.seen)),
            *([] if rated is None else [rated.line()]),
        ),
        findings=found or (Finding(level="fine", words="No group is surely lost more often.", page="section/data"),),
        parts=tuple(part for part in parts if part is not None),
    )


def _says(courses: Courses) -> Iterator[str]:
    all_of_them, whole = len(courses.end), int((courses.end == len(courses.steps)).sum())
    reached = courses.reached
    yield (
        f"Of {all_of_them:,} courses that were referred, {reached['started'].sum():,} started and "
        f"{reached['paired'].sum():,} ({reached['paired'].mean():.0%} of all referred) have paired scores; "
        f"{whole:,} have everything and may be learned from."
    )
    used = ", ".join(f"{head_words(name)} {count.sum():,}" for name, count in courses.used.items())
    yield f"The model learned from: {used}. A result may be used where another is missing."
    care, out = (~reached["agreed"]).sum(), (reached["agreed"] & ~reached["included"]).sum()
    yield (
        f"{care:,} courses are of clients who agreed to care only and {out:,} more of therapists who opted out: they "
        "are counted here as lost, and used nowhere."
    )


def _flow(courses: Courses) -> Chart:
    """Boxes from referral to use, and beside each what is lost before it."""
    counts, total = courses.counts(), len(courses.end)
    title = f"{counts[-1][1] / max(total, 1):.0%} of the courses referred have everything and may be learned from"
    used = [(head_words(head), int(count.sum())) for head, count in courses.used.items()]
    drawing, axes = plain_axes(0.7 * (len(counts) + 1) + 0.25 * len(used))
    _box(axes, 0, "referred", total, total)
    for place, (name, left, lost) in enumerate(counts, start=1):
        _box(axes, place, STEPS[name][0], left, total)
        words = wrapped(f"{lost:,} lost: {STEPS[name][1]}", 40)
        axes.text(RIGHT, -(place - 0.5) * STEP, words, va="center", fontsize=9, color="black")
        axes.plot([MIDDLE / 2, MIDDLE / 2], [-(place - 1) * STEP - 0.36, -place * STEP + 0.36], color=SOFT, linewidth=1)
    below = -len(counts) * STEP - 0.45
    for place, (words, count) in enumerate(used):
        axes.text(LEFT, below - (place + 0.5) * USED_STEP, f"used for {words}: {count:,}", va="center", fontsize=9)
    axes.set_xlim(-0.01, 1.05)
    axes.set_ylim(below - len(used) * USED_STEP, 0.5)
    axes.set_axis_off()
    columns = (
        Column(name="step", label="step"),
        Column(name="reach", label="courses that reach it", digits=0),
        Column(name="share", label="share of all referred"),
        Column(name="lost", label="lost before it", digits=0),
        Column(name="why", label="why"),
    )
    rows: list[tuple[str, int, float, int | None, str]] = [("referred", total, 1.0, 0, "")]
    rows += [(STEPS[n][0], left, round(left / max(total, 1), 4), lost, STEPS[n][1]) for n, left, lost in counts]
    rows += [(f"used for {words}", count, round(count / max(total, 1), 4), None, OWN) for words, count in used]
    alt = "Boxes one below the other, from referral to use: " + "; ".join(f"{r[0]} {r[1]:,}" for r in rows) + "."
    missing = [STEPS[name][0] for name in STEPS if name not in courses.steps]
    note = f"Each step is of those who reached all before it; a course is lost once. Used: {OWN}."
    if missing:
        note += f" Not on record in these data, so left out: {'; '.join(missing)}."
    return chart("flow", title, alt, drawing, columns, rows, note)


def _box(axes: Axes, place: int, words: str, count: int, total: int) -> None:
    """A step: its words and number, and a line below as long as the share of all who reach it."""
    y = -place * STEP
    axes.text(LEFT + 0.01, y, wrapped(words, 27), va="center", fontsize=9)
    axes.text(MIDDLE - 0.01, y, f"{count:,}", va="center", ha="right", fontsize=10, color=INK)
    axes.plot(
        [LEFT, MIDDLE, MIDDLE, LEFT, LEFT], y + np.array([-0.36, -0.36, 0.36, 0.36, -0.36]), color=SOFT, linewidth=1
    )
    share = count / max(total, 1)
    axes.plot([LEFT, LEFT + share * (MIDDLE - LEFT)], [y - 0.36, y - 0.36], color=INK, linewidth=4)


def _used(courses: Courses) -> Table:
    """For each head every referred course once: used, or why not."""
    rows = []
    for name, used in courses.used.items():
        ends = courses.ends_of(used).value_counts()
        rows.append((head_words(name), *(int(ends.get(reason, 0)) for reason in REASONS), len(used)))
    columns = (
        Column(name="head", label="result"),
        *(Column(name=reason, label=words, digits=0) for reason, words in REASONS.items()),
        Column(name="referred", label="all referred", digits=0),
    )
    note = "Each course is counted once in each line, at the first reason that holds."
    return Table(
        id=USED, title="What was used for each result, of all referred", columns=columns, rows=tuple(rows), note=note
    )


def _alliance(rated: Alliance | None) -> Table | None:
    """The mean rating with who answered and how many gave the highest."""
    if rated is None:
        return None
    columns = (
        Column(name="mean", label=f"mean early alliance, of {rated.highest:g}"),
        Column(name="rated", label="rated it", digits=0),
        Column(name="started", label="started", digits=0),
        Column(name="response", label="response rate"),
        Column(name="at_most", label="share of ratings at the highest"),
    )
    row = (rated.mean, rated.rated, rated.started, round(rated.rated / rated.started, 4), round(rated.at_most, 4))
    note = "Of those who agreed to learning. Sessions 3 to 5, else session 2."
    return Table(id="alliance", title="The early alliance, and who rated it", columns=columns, rows=(row,), note=note)
