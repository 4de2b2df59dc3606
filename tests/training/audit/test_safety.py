"""What a service's records say of safety now: what is open and overdue first, who acted when, who was never asked."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from data.database import connect
from data.served_safety import Task
from data.sql import CHOICES, EPISODES, MEASURES, RECOMMENDATIONS, SAFETY_TASKS
from training.audit.document import Estimate, Section, Table
from training.audit.harm.safety import live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
HERE = {"tenant": "default"}


@pytest.fixture
def engine(new_database: Callable[[str, Path], str], tmp_path: Path) -> Iterator[sa.Engine]:
    made = connect(new_database("sqlite", tmp_path))
    yield made
    made.dispose()


def add(engine: sa.Engine, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [HERE | row for row in rows])


def task(name: str, hours: float, closed: float | None = None, status: str = "held", **values: Any) -> dict[str, Any]:
    """Opened so many hours ago, due after 24, closed after so many."""
    opened = NOW - dt.timedelta(hours=hours)
    row = {"task_id": name, "status": status, "raised_by": ["phq9.9"], "opened_at": opened, "reason": "a secret"}
    row |= {"recommendation_id": f"r-{name}", "episode_id": None, "client_id": f"person-{name}"}
    row |= {"due_at": opened + dt.timedelta(hours=24), "closed_at": None, "closed_by": None}
    if closed is not None:
        row |= {"closed_at": opened + dt.timedelta(hours=closed), "closed_by": "clinician-7"}
    return row | values


def answer(name: str, days: float = 0, asked: bool = True, bundle: str = "b-1") -> dict[str, Any]:
    measures = [{"instrument": "phq9", "item": "9", "value": 0}] if asked else []
    return {
        "recommendation_id": name, "made_at": NOW - dt.timedelta(days=days), "client_id": f"c-{name}",
        "request": {"client": {"gender": "woman"}, "measures": measures}, "bundle_id": bundle, "version": "1",
        "directory_version": 1, "directory_source": "here", "settings_hash": "s", "audience": "platform",
        "prices": {}, "answer": b'{"meaningful_difference":true}',
    }  # fmt: skip


def course(name: str, **values: Any) -> dict[str, Any]:
    row = {"episode_id": name, "client_id": f"c-{name}", "therapist_id": "t-1", "recommendation_id": None}
    row |= {"matched_at": NOW - dt.timedelta(days=90), "referred_on": dt.date(2026, 6, 1), "assigned_by": "staff"}
    return row | {"started_on": dt.date(2026, 6, 11), "holds_until": None, "changed_at": NOW, "ended_on": None} | values


def table(section: Section, name: str) -> Table:
    (found,) = [part for part in section.parts if isinstance(part, Table) and part.id == name]
    return found


def cells(section: Section, name: str, column: str) -> list[Any]:
    found = table(section, name)
    return [row[[one.name for one in found.columns].index(column)] for row in found.rows]


def test_before_anything_happened_it_says_so_and_calls_nobody_safe(engine: sa.Engine) -> None:
    section = live(engine, "default", NOW)
    assert (section.id, section.findings) == ("safety", ())
    assert "No answer about self-harm has opened a task yet" in section.says[0]
    assert "Nobody has been referred yet." in section.says


def test_what_is_overdue_comes_first_and_says_who_acts(engine: sa.Engine) -> None:
    add(engine, SAFETY_TASKS, [task("new", 2), task("late", 60), task("later", 30), task("flag", 40, status="flagged")])
    section = live(engine, "default", NOW)
    assert section.says[0].startswith("4 tasks open, 3 past the time")
    assert cells(section, "open_tasks", "task") == ["late", "flag", "later", "new"]
    assert cells(section, "open_tasks", "hours_late") == [36, 16, 6, 0]
    assert section.parts[0].kind == "table"
    assert [one.level for one in section.findings] == ["stop", "look", "note"]
    assert "2 tasks for held answers past the time to act, the longest by 36 hours" in section.findings[0].words
    assert "The clinician on duty talks with each client now" in section.findings[0].words


def test_how_soon_somebody_acted_and_how_each_hold_ended(engine: sa.Engine) -> None:
    closed = [task(f"k{i}", 200, closed=i + 1) for i in range(10)]
    add(engine, SAFETY_TASKS, [*closed, task("slow", 200, closed=90), task("late", 30)])
    add(engine, RECOMMENDATIONS, [answer("again") | {"released_from": "r-k3", "key_id": "key-5"}])
    section = live(engine, "default", NOW)
    everything = dict(
        zip(
            [one.name for one in table(section, "task_times").columns],
            table(section, "task_times").rows[0],
            strict=True,
        )
    )
    in_time = everything["in_time"]
    assert isinstance(in_time, Estimate)
    assert in_time.value == pytest.approx(100 * 10 / 12)
    assert (everything["opened"], everything["open"], everything["overdue"], everything["longest"]) == (12, 1, 1, 90)
    median = everything["median"]
    assert isinstance(median, Estimate)
    assert median.value == 6
    assert dict(table(section, "hold_endings").rows) == {
        "closed without a release: the list stays hidden": 10, "still held": 1, "released: a new list was shown": 1,
    }  # fmt: skip
    assert cells(section, "closed_tasks", "in_time").count("no") == 1
    assert [key for key in cells(section, "closed_tasks", "key") if key] == ["key-5"]


def test_of_few_tasks_no_share_is_shown(engine: sa.Engine) -> None:
    add(engine, SAFETY_TASKS, [task(f"k{i}", 100, closed=5) for i in range(9)])
    section = live(engine, "default", NOW)
    assert cells(section, "task_times", "in_time") == [None, None, None]
    assert "none is open now" in section.says[0]
    assert "It does not say that nobody is at risk" in section.says[0]


def test_a_report_in_treatment_without_a_task_stops_everything(engine: sa.Engine) -> None:
    add(engine, EPISODES, [course("e-1"), course("e-2")])
    row = {
        "session": 2,
        "instrument": "phq9",
        "rater": "client",
        "taken_on": NOW.date(),
        "scored": False,
        "made_at": NOW,
    }
    add(engine, MEASURES, [row | {"episode_id": name, "item": "9", "value": 1.0} for name in ("e-1", "e-2")])
    add(engine, SAFETY_TASKS, [task("k1", 5, closed=1, recommendation_id=None, episode_id="e-1")])
    (missed,) = [one for one in live(engine, "default", NOW).findings if one.level == "stop"]
    assert "e-2" in missed.words
    assert "e-1" not in missed.words


def test_who_was_never_asked_is_told_by_month(engine: sa.Engine) -> None:
    add(engine, RECOMMENDATIONS, [answer(f"a{i}", days=40, asked=i < 18) for i in range(20)])
    add(engine, RECOMMENDATIONS, [answer(f"b{i}", asked=i < 3) for i in range(12)])
    section = live(engine, "default", NOW)
    assert cells(section, "never_asked", "month") == ["2026-08", "2026-10"]
    shares = cells(section, "never_asked", "never_asked")
    assert [one.value for one in shares] == [10, 75]
    assert [one.level for one in section.findings] == ["look"]
    assert "11 of 32 clients never answered" in section.findings[0].words


def test_waits_and_reasons_before_the_service_and_since(engine: sa.Engine) -> None:
    add(engine, EPISODES, [course(f"e{i}") for i in range(12)])
    add(engine, RECOMMENDATIONS, [answer(f"a{i}", days=20) for i in range(12)])
    add(engine, RECOMMENDATIONS, [answer(f"b{i}", days=9, bundle="b-2") for i in range(11)])
    for name, days, count in (("a", 20, 12), ("b", 9, 11)):
        begun = NOW.date() - dt.timedelta(days=days)
        chosen = [
            course(
                f"{name}{i}", recommendation_id=f"{name}{i}", referred_on=begun, started_on=begun + dt.timedelta(days=4)
            )
            for i in range(count)
        ]
        add(engine, EPISODES, chosen)
        kinds = ["overridden" if i < 3 and name == "b" else "chosen" for i in range(count)]
        reasons = ["known_to_client" if kind == "overridden" else None for kind in kinds]
        choices = [
            {"choice_id": f"h{name}{i}", "recommendation_id": f"{name}{i}", "episode_id": f"{name}{i}",
             "kind": kinds[i], "reason": reasons[i], "made_at": NOW} for i in range(count)
        ]  # fmt: skip
        add(engine, CHOICES, choices)
    section = live(engine, "default", NOW)
    assert cells(section, "waits_by_period", "group") == [
        "before the service", "with earlier models", "with the model now",
    ]  # fmt: skip
    assert [one.value for one in cells(section, "waits_by_period", "median_wait")] == [10, 4, 4]
    (row,) = table(section, "reasons").rows
    assert row[:3] == ("Overridden", "known to client", 0)
    assert row[4] == 3


def test_a_death_is_a_case_to_look_at_and_in_no_share(engine: sa.Engine) -> None:
    ended = {"ended_on": dt.date(2026, 8, 1)}
    planned = [course(f"e{i}", ending="planned", **ended) for i in range(19)]
    add(engine, EPISODES, [*planned, course("e-x", ending="died", **ended)])
    section = live(engine, "default", NOW)
    (death,) = [one for one in section.findings if "death" in one.words]
    assert (death.level, death.words[:8]) == ("look", "1 course")
    known = dict(
        zip(cells(section, "harm_by_arm", "outcome")[:6], cells(section, "harm_by_arm", "known")[:6], strict=True)
    )
    assert known["Dropped out"] == 19


def test_it_names_no_client_and_tells_no_reason_that_somebody_wrote(engine: sa.Engine) -> None:
    add(engine, SAFETY_TASKS, [task("k1", 50), task("k2", 50, closed=3)])
    add(engine, RECOMMENDATIONS, [answer(f"a{i}") for i in range(12)])
    text = live(engine, "default", NOW).model_dump_json()
    assert "person-" not in text
    assert "c-a" not in text
    assert "a secret" not in text
    assert not re.search(r"\b(safe|unsafe)\b", text)


@given(st.integers(-500, 500), st.one_of(st.none(), st.integers(-500, 500)))
def test_hours_are_never_negative_and_the_closed_are_not_overdue(due: int, closed: int | None) -> None:
    end = None if closed is None else NOW + dt.timedelta(hours=closed)
    one = Task("k", True, ("phq9.9",), None, None, NOW, NOW + dt.timedelta(hours=due), end, None)
    later = NOW + dt.timedelta(hours=100)
    assert one.hours(later) >= 0
    assert not (one.is_overdue(later) and closed is not None)
    assert one.was_late(later) or not one.is_overdue(later)
