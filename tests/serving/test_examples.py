"""Every example in the API's description can be sent as it stands."""

from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from conftest import Live

EVERY_SCOPE = ("platform", "clinician", "auditor", "admin")
HELD = [{"instrument": "phq9", "item": "9", "value": 2}]
IN_ORDER = ("post /v1/recommendations", "put /v1/episodes/{episode_id}", "put /v1/therapists/{therapist_id}")
"""Those that others need; the rest in any order."""


def ask(client: httpx.Client, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client.post("/v1/recommendations", json={**body, **changes}).json()
    return answer


def named(path: str, client: httpx.Client, body: dict[str, Any], examples: dict[str, Any]) -> str:
    """The path with ids of things that are there."""
    if path.endswith("/release"):
        return path.format(recommendation_id=ask(client, body, measures=HELD)["recommendation_id"])
    if "{task_id}" in path:
        return path.format(task_id=ask(client, body, measures=HELD)["safety"]["task_id"])
    if "{recommendation_id}" in path:
        return path.format(recommendation_id=ask(client, body)["recommendation_id"])
    episode = examples["post /v1/measures"]["episode_id"]
    return path.format(episode_id=episode, therapist_id="t-90001") if "{" in path else path


def test_every_example_can_be_sent_as_it_stands(service: "Live", body: dict[str, Any]) -> None:
    client = service.as_(*EVERY_SCOPE)
    examples = {
        f"{method} {path}": operation["requestBody"]["content"]["application/json"]["example"]
        for path, methods in service.app.openapi()["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }
    assert len(examples) >= 10
    for name in [*IN_ORDER, *(one for one in examples if one not in IN_ORDER)]:
        method, path = name.split(" ")
        merging = {"mode": "merge"} if path.endswith(":bulk") else {}
        response = client.request(method, named(path, client, body, examples), json=examples[name], params=merging)
        assert response.status_code in (200, 201), f"{name}: {response.status_code} {response.text}"
