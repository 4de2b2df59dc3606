"""What several do at the same moment ends as if they had done it one after the other."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx

from data.sql import CHOICES, EPISODES, MEASURES, SAFETY_TASKS

if TYPE_CHECKING:
    from tests.serving.treatment.conftest import Desk

MANY = 8


def at_once(ask: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    """Asked by many at the same time."""
    with ThreadPoolExecutor(MANY) as pool:
        return list(pool.map(ask, range(MANY)))


def statuses(responses: list[httpx.Response]) -> Counter[int]:
    return Counter(one.status_code for one in responses)


def test_of_many_who_choose_from_one_answer_one_gets_a_place(desk: "Desk") -> None:
    answer = desk.ask()
    shown = [one["therapist_id"] for one in answer["recommendations"]]
    responses = at_once(lambda i: desk.choose(answer, therapist_id=shown[i % len(shown)]))
    assert statuses(responses) == {201: 1, 409: MANY - 1}
    assert len(desk.rows(EPISODES)) == len(desk.rows(CHOICES)) == 1


def test_one_course_that_many_record_is_begun_once(desk: "Desk") -> None:
    known = {"client_id": "c-1", "therapist_id": "t-00000", "started_on": "2026-09-01"}
    assert statuses(at_once(lambda _: desk.put("e-1", **known))) == {201: 1, 200: MANY - 1}
    assert [one["episode_id"] for one in desk.on_record("t-00000")["caseload"]["taken"]] == ["e-1"]


def test_of_many_who_rest_on_one_state_one_changes_it(desk: "Desk") -> None:
    desk.begin()
    tag = desk.client.get("/v1/episodes/e-1").headers["etag"]
    assert statuses(at_once(lambda i: desk.put("e-1", if_match=tag, sessions_attended=i + 1))) == {
        200: 1,
        412: MANY - 1,
    }


def test_one_report_that_many_send_is_kept_once_and_opens_one_task(desk: "Desk") -> None:
    desk.begin()
    responses = at_once(lambda _: desk.measure({"instrument": "phq9", "item": 9, "value": 1}))
    assert statuses(responses) == {200: MANY}
    assert sum(one.json()["added"] for one in responses) == 1
    assert len(desk.rows(MEASURES)) == len(desk.rows(SAFETY_TASKS)) == 1


def test_what_comes_in_during_an_erasure_is_erased_with_the_rest_or_has_nowhere_to_go(desk: "Desk") -> None:
    desk.begin(client_id="c-71351")
    admin = desk.as_("admin")

    def ask(i: int) -> httpx.Response:
        if i == MANY // 2:
            return admin.delete("/v1/clients/c-71351")
        return desk.measure(
            {"instrument": "phq9", "item": 9, "value": 1, "taken_on": f"2026-09-{10 + i}"}, session=i + 1
        )

    responses = at_once(ask)
    assert responses[MANY // 2].status_code == 200
    assert set(statuses(responses)) <= {200, 404}
    assert desk.rows(EPISODES) == desk.rows(MEASURES) == desk.rows(SAFETY_TASKS) == []
