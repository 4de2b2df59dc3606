"""What a service's own tables say of everybody who was referred, on SQLite and on PostgreSQL."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from data import served
from data.database import connect
from data.served import FOLLOWED, NEXT_AVAILABLE, NOBODY_YET, NOT_RANKED, OVERRIDDEN, Referral
from data.served_safety import tasks, treated
from data.sql import CHOICES, EPISODES, MEASURES, RECEIPTS, RECOMMENDATIONS, SAFETY_TASKS

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
DAY = NOW.date()
HERE, ELSEWHERE = "default", "elsewhere"


class Kept:
    """Writes rows as the service would, with what a test does not care about filled in."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def add(self, table: sa.Table, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.insert(table), {"tenant": HERE, **values})

    def answer(self, name: str, client: str | None, *, differs: bool = True, **values: Any) -> None:
        request = {"client": {"gender": "woman"}, "measures": values.pop("measures", [])}
        said = "true" if differs else "false"
        row = {
            "recommendation_id": name, "made_at": NOW, "client_id": client, "request": request, "bundle_id": "b-1",
            "version": "1", "directory_version": 1, "directory_source": "here", "settings_hash": "s",
            "audience": "platform", "prices": {}, "answer": f'{{"meaningful_difference":{said}}}'.encode(),
        }  # fmt: skip
        self.add(RECOMMENDATIONS, **{**row, **values})

    def course(self, name: str, answer: str | None = None, kind: str = "chosen", **values: Any) -> None:
        row = {
            "episode_id": name, "client_id": f"c-{name}", "therapist_id": "t-1", "recommendation_id": answer,
            "matched_at": NOW, "holds_until": NOW + dt.timedelta(days=14), "referred_on": DAY,
            "assigned_by": "staff", "changed_at": NOW,
        }  # fmt: skip
        self.add(EPISODES, **{**row, **values})
        if answer is not None:
            reason = "clinical_judgement" if kind == "overridden" else None
            self.choice(answer, kind, episode_id=name, reason=reason)

    def choice(self, answer: str, kind: str, tenant: str = HERE, **values: Any) -> None:
        row = {"choice_id": f"h-{answer}-{kind}", "recommendation_id": answer, "kind": kind, "made_at": NOW}
        self.add(CHOICES, **{**row, **values, "tenant": tenant})

    def score(self, course: str, session: int, instrument: str, value: float, item: str = "0") -> None:
        self.add(
            MEASURES, episode_id=course, session=session, instrument=instrument, item=item, rater="client",
            taken_on=DAY, value=value, scored=False, made_at=NOW,
        )  # fmt: skip

    def task(self, name: str, hours: float, closed: float | None = None, **values: Any) -> None:
        opened = NOW - dt.timedelta(hours=hours)
        row = {
            "task_id": name, "status": "held", "raised_by": ["phq9.9"], "opened_at": opened,
            "due_at": opened + dt.timedelta(hours=24),
            "closed_at": None if closed is None else opened + dt.timedelta(hours=closed),
            "closed_by": None if closed is None else "clinician-7",
        }  # fmt: skip
        self.add(SAFETY_TASKS, **{**row, **values})

    def referrals(self, tenant: str = HERE) -> dict[str, Referral]:
        with self.engine.connect() as connection:
            found = list(served.referrals(connection, tenant, NOW))
        return {one.episode_id or f"without-{i}": one for i, one in enumerate(found)}


@pytest.fixture
def kept(database: str) -> Iterator[Kept]:
    engine = connect(database)
    yield Kept(engine)
    engine.dispose()


def test_who_followed_who_decided_otherwise_and_who_was_never_ranked_are_told_apart(kept: Kept) -> None:
    for name, differs in (("r-1", True), ("r-2", False), ("r-3", True)):
        kept.answer(name, f"c-e-{name}", differs=differs)
    kept.course("e-1", "r-1")
    kept.course("e-2", "r-2")
    kept.course("e-3", "r-3", kind="overridden")
    kept.course("e-4")
    kept.course("e-5", assigned_by="random")
    kept.course("e-6", assigned_by="algorithm")
    found = kept.referrals()
    assert {name: one.arm for name, one in found.items()} == {
        "e-1": FOLLOWED, "e-2": NEXT_AVAILABLE, "e-3": OVERRIDDEN,
        "e-4": NOT_RANKED, "e-5": NEXT_AVAILABLE, "e-6": FOLLOWED,
    }  # fmt: skip
    assert found["e-3"].reason == "clinical_judgement"
    with kept.engine.connect() as connection:
        arms = served.arms(connection, HERE)
    assert arms == {"e-1": FOLLOWED, "e-2": NEXT_AVAILABLE, "e-3": OVERRIDDEN}


def test_an_override_of_an_answer_without_a_difference_is_an_override(kept: Kept) -> None:
    kept.answer("r-1", "c-e-1", differs=False)
    kept.course("e-1", "r-1", kind="overridden")
    assert kept.referrals()["e-1"].arm == OVERRIDDEN


def test_who_was_shown_therapists_and_has_no_course_is_there_once_with_the_first_day(kept: Kept) -> None:
    kept.answer("r-1", "c-1", made_at=NOW - dt.timedelta(days=9))
    kept.answer("r-2", "c-1")
    kept.answer("r-3", "c-2")
    kept.choice("r-3", "declined", reason="wait_too_long")
    kept.answer("r-4", "c-3")
    kept.course("e-1", "r-4", client_id=None)
    found = kept.referrals()
    assert len(found) == 3
    waiting = {one.referred_on: one for one in found.values() if one.arm == NOBODY_YET}
    assert not waiting[DAY - dt.timedelta(days=9)].declined
    assert (waiting[DAY].declined, waiting[DAY].reason) == (True, "wait_too_long")


def test_scores_at_intake_are_added_up_and_the_last_score_is_that_of_the_last_session(kept: Kept) -> None:
    answers = [{"instrument": "phq9", "item": str(item), "value": 2} for item in range(1, 10)]
    kept.answer("r-1", "c-e-1", measures=[*answers, {"instrument": "gad7", "item": "0", "value": 9}])
    kept.course("e-1", "r-1")
    for session, value in ((1, 17), (5, 11), (3, 14)):
        kept.score("e-1", session, "phq9", value)
    kept.answer("r-2", "c-e-2", measures=answers[:8])
    kept.course("e-2", "r-2")
    kept.score("e-2", 0, "gad7", 12)
    found = kept.referrals()
    assert (found["e-1"].intake, found["e-1"].last) == ({"phq9": 18.0, "gad7": 9.0}, {"phq9": 11.0})
    assert (found["e-2"].intake, found["e-2"].last) == ({"gad7": 12.0}, {}), "eight of nine answers make no total"
    assert found["e-1"].risk_asked
    assert not found["e-2"].risk_asked


def test_another_tenants_clients_are_not_there(kept: Kept) -> None:
    kept.answer("r-1", "c-1", tenant=ELSEWHERE)
    kept.course("e-1", tenant=ELSEWHERE)
    kept.task("k-1", 30, tenant=ELSEWHERE)
    kept.add(RECEIPTS, receipt_id="x", client_hash="y", made_at=NOW, removed={}, tenant=ELSEWHERE)
    with kept.engine.connect() as connection:
        assert served.first_answer(connection, HERE) is None
        assert served.newest_model(connection, HERE) is None
        assert not served.decisions(connection, HERE)
        assert (served.erased(connection, HERE), served.erased(connection, ELSEWHERE)) == (0, 1)
        assert (tasks(connection, HERE), len(tasks(connection, ELSEWHERE))) == ([], 1)
    assert kept.referrals() == {}
    assert len(kept.referrals(ELSEWHERE)) == 2


def test_the_erased_are_counted_and_the_unnamed_too(kept: Kept) -> None:
    for name in ("x-1", "x-2"):
        kept.add(RECEIPTS, receipt_id=name, client_hash="the same", made_at=NOW, removed={})
    kept.answer("r-1", None, request=None, erased_at=NOW)
    kept.answer("r-2", None)
    kept.answer("r-3", None)
    kept.course("e-3", "r-3", client_id=None)
    with kept.engine.connect() as connection:
        assert served.erased(connection, HERE) == 1
        assert served.unnamed(connection, HERE) == 1
    assert list(kept.referrals()) == ["e-3"]


def test_the_model_that_answered_last_is_known_with_its_first_day(kept: Kept) -> None:
    for name, days, bundle in (("r-1", 9, "b-1"), ("r-2", 5, "b-2"), ("r-3", 1, "b-2")):
        kept.answer(name, f"c-{name}", bundle_id=bundle, made_at=NOW - dt.timedelta(days=days))
    kept.choice("r-1", "overridden", reason="other")
    kept.choice("r-3", "declined", reason="other")
    with kept.engine.connect() as connection:
        assert served.newest_model(connection, HERE) == ("b-2", NOW - dt.timedelta(days=5))
        assert served.first_answer(connection, HERE) == NOW - dt.timedelta(days=9)
        assert served.decisions(connection, HERE) == {
            ("b-1", "overridden", "other"): 1,
            ("b-2", "declined", "other"): 1,
        }


def test_tasks_come_open_ones_first_the_most_overdue_on_top_and_say_how_they_ended(kept: Kept) -> None:
    kept.task("k-new", 1)
    kept.task("k-late", 80)
    kept.task("k-released", 50, closed=10, recommendation_id="r-1")
    kept.task("k-closed", 40, closed=30, recommendation_id="r-2")
    kept.answer("r-9", "c-1", released_from="r-1", key_id="key-5")
    with kept.engine.connect() as connection:
        found = tasks(connection, HERE)
    assert [one.task_id for one in found] == ["k-late", "k-new", "k-closed", "k-released"]
    by_name = {one.task_id: one for one in found}
    assert [by_name[name].is_overdue(NOW) for name in ("k-late", "k-new", "k-closed")] == [True, False, False]
    assert [by_name[name].was_late(NOW) for name in ("k-late", "k-closed", "k-released")] == [True, True, False]
    assert by_name["k-released"].hours(NOW) == 10
    assert (by_name["k-released"].released, by_name["k-released"].released_with) == (True, "key-5")
    assert not by_name["k-closed"].released


def test_a_report_in_treatment_for_which_no_task_was_opened_is_found(kept: Kept) -> None:
    for name in ("e-1", "e-2", "e-3", "e-4"):
        kept.course(name)
        kept.score(name, 2, "phq9", 10)
    kept.score("e-1", 2, "phq9", 1, item="9")
    kept.score("e-2", 2, "core10", 2, item="6")
    kept.score("e-3", 2, "phq9", 0, item="9")
    kept.score("e-4", 0, "phq9", 3, item="9")
    kept.task("k-1", 1, episode_id="e-1")
    with kept.engine.connect() as connection:
        found = treated(connection, HERE)
    assert found.reported == {"e-1", "e-2"}
    assert found.without_task == {"e-2"}
    assert found.asked == {"e-1", "e-2", "e-3", "e-4"}
    assert found.scored == {"e-1", "e-2", "e-3", "e-4"}
