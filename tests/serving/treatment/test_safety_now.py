"""A real service is used for a day, and its page on safety says what happened."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from data.database import connect
from data.dataset import read
from data.exporting import export
from data.served import FOLLOWED, NEXT_AVAILABLE, OVERRIDDEN, referrals
from training.audit.document import Table
from training.audit.harm.safety import live

if TYPE_CHECKING:
    from pathlib import Path

    import httpx
    from conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)


def ask(client: "httpx.Client", body: dict[str, Any], name: str, risk: int | None = 0) -> dict[str, Any]:
    """An answer for a client of that name, who answered the question about self-harm so."""
    measures = [one for one in body["measures"] if str(one["item"]) != "9"]
    if risk is not None:
        measures.append({"instrument": "phq9", "item": 9, "value": risk})
    sent = {**body, "client": {**body["client"], "client_id": name}, "measures": measures, "k": 3}
    response = client.post("/v1/recommendations", json=sent)
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


def choose(client: "httpx.Client", answer: dict[str, Any], **sent: Any) -> dict[str, Any]:
    response = client.post(f"/v1/recommendations/{answer['recommendation_id']}/choice", json=sent)
    assert response.status_code == 201, response.text
    told: dict[str, Any] = response.json()
    return told


def use(service: "Live", body: dict[str, Any]) -> dict[str, Any]:
    """One chosen as shown, one decided otherwise, one declined, one held and released, one held still, one erased."""
    platform = service.as_("platform")
    shown = ask(platform, body, "c-follows-1")
    first = shown["recommendations"][0]["therapist_id"]
    followed = choose(platform, shown, kind="chosen", therapist_id=first)
    other = ask(platform, body, "c-other-1", risk=None)
    short = {one["therapist_id"] for one in other["recommendations"]}
    longer = ask(platform, {**body, "k": 20}, "c-longer-1")
    elsewhere = [one["therapist_id"] for one in ranked(platform, body) if one["therapist_id"] not in short]
    overridden = choose(platform, other, kind="overridden", therapist_id=elsewhere[0], reason="continuity_of_care")
    choose(platform, longer, kind="declined", reason="wait_too_long")
    released = ask(platform, body, "c-released-1", risk=3)
    reason = {"who": "clinician-7", "reason": "talked today"}
    path = f"/v1/recommendations/{released['recommendation_id']}/release"
    assert service.as_("clinician").post(path, json=reason).status_code == 200
    held = ask(platform, body, "c-held-1", risk=2)
    ask(platform, body, "c-gone-1")
    assert service.as_("admin").delete("/v1/clients/c-gone-1").status_code == 200
    return {"followed": followed, "overridden": overridden, "held": held, "shown": shown}


def ranked(client: "httpx.Client", body: dict[str, Any]) -> list[dict[str, Any]]:
    sent = {**body, "client": {**body["client"], "client_id": "c-gone-1"}, "k": 100}
    found: list[dict[str, Any]] = client.post("/v1/recommendations", json=sent).json()["recommendations"]
    return found


def test_what_happened_in_a_service_is_what_its_page_on_safety_says(service: "Live", body: dict[str, Any]) -> None:
    done = use(service, body)
    engine = service.service.engine
    later = NOW + dt.timedelta(hours=30)
    with engine.connect() as connection:
        found = list(referrals(connection, "default", later))
    by_course = {one.episode_id: one for one in found if one.episode_id}
    arm = FOLLOWED if done["shown"]["meaningful_difference"] else NEXT_AVAILABLE
    assert by_course[done["followed"]["episode_id"]].arm == arm
    assert by_course[done["overridden"]["episode_id"]].arm == OVERRIDDEN
    assert by_course[done["overridden"]["episode_id"]].reason == "continuity_of_care"
    assert by_course[done["followed"]["episode_id"]].intake == {"phq9": 14, "gad7": 12}
    assert [by_course[done[one]["episode_id"]].risk_asked for one in ("followed", "overridden")] == [True, False]
    assert len(found) == 5, "followed, overridden, declined, released, held; the erased one is not there"
    assert [one.declined for one in found if not one.episode_id].count(True) == 1

    section = live(engine, "default", later)
    tables = {part.id: part for part in section.parts if isinstance(part, Table)}
    (open_one,) = tables["open_tasks"].rows
    assert open_one[0] == "Overdue"
    assert open_one[7] == f"answer {done['held']['recommendation_id']}"
    assert section.findings[0].level == "stop"
    (closed,) = tables["closed_tasks"].rows
    assert closed[7:9] == ("released: a new list was shown", "clinician-7")
    assert closed[9] is not None, "the key with which it was released"
    assert any(line.startswith("1 client erased") for line in section.says)
    assert "c-held-1" not in section.model_dump_json()
    assert live(engine, "another", later).findings == ()


def test_an_export_keeps_who_followed_and_who_decided_otherwise(
    service: "Live", body: dict[str, Any], tmp_path: "Path"
) -> None:
    done = use(service, body)
    engine = connect(service.service.engine.url.render_as_string(hide_password=False))
    export(engine, tmp_path / "after", NOW)
    engine.dispose()
    episodes = read(tmp_path / "after")["episodes"].set_index("episode_id")["arm"]
    arm = FOLLOWED if done["shown"]["meaningful_difference"] else NEXT_AVAILABLE
    assert episodes[done["followed"]["episode_id"]] == arm
    assert episodes[done["overridden"]["episode_id"]] == OVERRIDDEN
