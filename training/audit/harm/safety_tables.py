"""Tables about safety tasks: what is open now, how long the others took, and how each ended."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from data.served_safety import Task
from training.audit.document import Cell, Column, Table
from training.audit.harm.rates import percent, quantile
from training.bands import FEWEST_IN_CELL

MOST_LISTED = 200
KINDS: Mapping[bool, str] = {True: "Held: nobody is proposed", False: "Flagged: the list was shown"}


def open_table(open_ones: Sequence[Task], now: dt.datetime) -> Table:
    """What waits for a clinician, the most overdue first."""
    columns = (
        Column(name="state", label="State"),
        Column(name="kind", label="Kind"),
        Column(name="raised_by", label="Raised by"),
        Column(name="opened", label="Opened (UTC)"),
        Column(name="due", label="Due (UTC)"),
        Column(name="hours_open", label="Open for", unit="hours", digits=1),
        Column(name="hours_late", label="Past its time by", unit="hours", digits=1),
        Column(name="about", label="About"),
        Column(name="task", label="Task"),
    )
    rows: list[tuple[Cell, ...]] = []
    for one in open_ones[:MOST_LISTED]:
        late = max((now - one.due_at).total_seconds() / 3600, 0.0)
        state = "Overdue" if one.is_overdue(now) else "Open"
        raised, kind = ", ".join(one.raised_by), KINDS[one.held]
        when = (moment(one.opened_at), moment(one.due_at), one.hours(now), late)
        rows.append((state, kind, raised, *when, about(one), one.task_id))
    more = len(open_ones) - len(rows)
    note = f"{more} more are open, due later than these. " if more > 0 else ""
    return Table(
        id="open_tasks",
        title="Open and overdue",
        columns=columns,
        rows=tuple(rows),
        note=f"{note}The record says who closed a task, and not who has read it: an open one may have been looked at.",
    )


def times_table(found: Sequence[Task], now: dt.datetime) -> Table:
    """How many there were, how long they took, and how many were acted on in time, by kind and by month."""
    columns = (
        Column(name="which", label="Which"),
        Column(name="opened", label="Opened", unit="tasks", digits=0),
        Column(name="open", label="Still open", unit="tasks", digits=0),
        Column(name="overdue", label="Of these overdue", unit="tasks", digits=0),
        Column(name="in_time", label="Acted on in time", unit="%", digits=1),
        Column(name="median", label="Half closed within", unit="hours", digits=1),
        Column(name="p90", label="Nine in ten closed within", unit="hours", digits=1),
        Column(name="longest", label="Longest", unit="hours", digits=1),
    )
    sets: dict[str, list[Task]] = {"All": list(found)}
    for held, words in KINDS.items():
        sets[words] = [one for one in found if one.held == held]
    for month in sorted({f"{one.opened_at:%Y-%m}" for one in found}, reverse=True):
        sets[f"Opened in {month}"] = [one for one in found if f"{one.opened_at:%Y-%m}" == month]
    rows = tuple((name, *_times(some, now)) for name, some in sets.items() if some)
    note = (
        "In time: closed before it was due, of all that were closed or are overdue. Half and nine in ten: of those "
        "closed. Longest: open ones too. Each share and time with the interval in which it would lie 95 times of 100. "
        f"Empty: of fewer than {FEWEST_IN_CELL}."
    )
    return Table(id="task_times", title="How soon somebody acted", columns=columns, rows=rows, note=note)


def _times(some: Sequence[Task], now: dt.datetime) -> tuple[Cell, ...]:
    still = [one for one in some if one.closed_at is None]
    overdue = sum(one.is_overdue(now) for one in still)
    done = [one for one in some if one.closed_at is not None]
    judged = len(done) + overdue
    in_time = sum(not one.was_late(now) for one in done)
    hours = np.array([one.hours(now) for one in done])
    enough = len(done) >= FEWEST_IN_CELL
    share = percent(in_time, judged) if judged >= FEWEST_IN_CELL else None
    half, most = (quantile(hours, q) if enough else None for q in (0.5, 0.9))
    return (len(some), len(still), overdue, share, half, most, max(one.hours(now) for one in some))


def closed_table(closed: Sequence[Task], now: dt.datetime) -> Table:
    """Those closed, newest first, and how each ended."""
    columns = (
        Column(name="kind", label="Kind"),
        Column(name="raised_by", label="Raised by"),
        Column(name="opened", label="Opened (UTC)"),
        Column(name="due", label="Due (UTC)"),
        Column(name="closed", label="Closed (UTC)"),
        Column(name="hours", label="Open for", unit="hours", digits=1),
        Column(name="in_time", label="In time"),
        Column(name="ended", label="How it ended"),
        Column(name="closed_by", label="Closed by"),
        Column(name="key", label="Released with key"),
        Column(name="about", label="About"),
    )
    rows: list[tuple[Cell, ...]] = []
    for one in closed[:MOST_LISTED]:
        assert one.closed_at is not None
        when = (moment(one.opened_at), moment(one.due_at), moment(one.closed_at), one.hours(now))
        told = ("no" if one.was_late(now) else "yes", ending(one), one.closed_by, one.released_with)
        rows.append((KINDS[one.held], ", ".join(one.raised_by), *when, *told, about(one)))
    more = len(closed) - len(rows)
    note = f"{more} older ones are not listed." if more > 0 else ""
    return Table(id="closed_tasks", title="Closed", columns=columns, rows=tuple(rows), note=note)


def endings_table(found: Iterable[Task]) -> Table:
    """How the holds ended."""
    times: dict[str, int] = {}
    for one in found:
        if one.held:
            times[ending(one)] = times.get(ending(one), 0) + 1
    columns = (
        Column(name="ended", label="How the hold ended"),
        Column(name="times", label="Times", unit="holds", digits=0),
    )
    rows = tuple(sorted(times.items(), key=lambda one: -one[1]))
    return Table(id="hold_endings", title="How holds ended", columns=columns, rows=rows)


def ending(task: Task) -> str:
    """In words."""
    if task.closed_at is None:
        return "still held" if task.held else "still open"
    if task.released:
        return "released: a new list was shown"
    if task.held and task.recommendation_id is not None:
        return "closed without a release: the list stays hidden"
    return "closed"


def about(task: Task) -> str:
    """What it is about: ids only."""
    if task.episode_id is not None:
        return f"course {task.episode_id}"
    return "" if task.recommendation_id is None else f"answer {task.recommendation_id}"


def moment(when: dt.datetime) -> str:
    """A time as people read it, in UTC."""
    return f"{when.astimezone(dt.UTC):%Y-%m-%d %H:%M}"
