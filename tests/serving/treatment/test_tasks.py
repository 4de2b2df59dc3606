"""Safety tasks: the late ones first, page by page, closed by a named clinician with a reason."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from serving.treatment.tasks import EXAMPLE_CLOSING

if TYPE_CHECKING:
    import httpx

    from tests.serving.treatment.conftest import Desk

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)


def report(desk: "Desk") -> str:
    """A task that a recommendation opens."""
    answer = desk.ask(measures=[{"instrument": "phq9", "item": 9, "value": 1}])
    task: str = answer["safety"]["task_id"]
    return task


def ids(client: "httpx.Client", **query: Any) -> list[str]:
    response = client.get("/v1/safety/tasks", params=query)
    assert response.status_code == 200, response.text
    return [task["task_id"] for task in response.json()["tasks"]]


def test_the_late_come_first_and_each_says_what_raised_it(desk: "Desk") -> None:
    clinician = desk.as_("clinician")
    later = NOW + dt.timedelta(hours=25)
    early = report(desk)
    desk.moment = NOW + dt.timedelta(hours=23)
    late = report(desk)
    desk.moment = later
    assert ids(clinician) == [early, late]
    assert ids(clinician, status="overdue") == [early]
    tasks = clinician.get("/v1/safety/tasks").json()["tasks"]
    assert [task["state"] for task in tasks] == ["overdue", "open"]
    assert (tasks[0]["raised_by"], tasks[0]["client_id"]) == (["phq9.9"], desk.body["client"]["client_id"])


def test_pages_follow_each_other_without_gap_or_repeat(desk: "Desk") -> None:
    clinician = desk.as_("clinician")
    opened = {report(desk) for _ in range(5)}
    found: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = clinician.get("/v1/safety/tasks", params=query).json()
        found += [task["task_id"] for task in page["tasks"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert (set(found), len(found)) == (opened, 5)
    for task in found:
        assert clinician.post(f"/v1/safety/tasks/{task}/close", json=EXAMPLE_CLOSING).status_code == 200
    first = clinician.get("/v1/safety/tasks", params={"status": "closed", "limit": 3}).json()
    rest = ids(clinician, status="closed", limit=3, cursor=first["next_cursor"])
    assert {task["task_id"] for task in first["tasks"]} | set(rest) == opened
    assert clinician.get("/v1/safety/tasks", params={"cursor": "nonsense"}).status_code == 422
    assert clinician.get("/v1/safety/tasks", params={"limit": 0}).status_code == 422


def test_a_task_is_closed_once_by_somebody_with_a_reason(desk: "Desk") -> None:
    clinician, task = desk.as_("clinician"), report(desk)
    path = f"/v1/safety/tasks/{task}/close"
    assert clinician.post(path, json={"who": "clinician-7"}).status_code == 422
    assert clinician.post(path, json={"reason": "Talked."}).status_code == 422
    closed = clinician.post(path, json=EXAMPLE_CLOSING)
    assert closed.status_code == 200, closed.text
    told = closed.json()
    assert (told["state"], told["closed_by"]) == ("closed", EXAMPLE_CLOSING["who"])
    assert dt.datetime.fromisoformat(told["closed_at"]) == NOW
    assert clinician.post(path, json=EXAMPLE_CLOSING).json() == told
    other = clinician.post(path, json={**EXAMPLE_CLOSING, "who": "clinician-8"})
    assert (other.status_code, "clinician-7" in other.json()["detail"]) == (409, True)
    assert ids(clinician) == []
    assert ids(clinician, status="closed") == [task]


def test_a_course_whose_task_was_closed_says_so(desk: "Desk") -> None:
    desk.begin()
    item = {"instrument": "phq9", "item": 9, "value": 1}
    task = desk.measure(item).json()["safety"]["task_id"]
    assert desk.as_("clinician").post(f"/v1/safety/tasks/{task}/close", json=EXAMPLE_CLOSING).status_code == 200
    told = desk.measure(item).json()["safety"]
    assert (told["status"], told["task_id"]) == ("flagged", None)
    assert "has closed the task" in told["words"]


def test_only_clinicians_close_and_other_tenants_see_nothing(desk: "Desk") -> None:
    task = report(desk)
    path = f"/v1/safety/tasks/{task}/close"
    assert desk.client.get("/v1/safety/tasks").status_code == 403
    assert ids(desk.as_("auditor")) == [task]
    assert desk.as_("auditor", "platform", "admin").post(path, json=EXAMPLE_CLOSING).status_code == 403
    south = desk.elsewhere("clinician")
    assert ids(south) == []
    assert south.post(path, json=EXAMPLE_CLOSING).status_code == 404
