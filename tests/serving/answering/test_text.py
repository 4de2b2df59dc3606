"""An answer as text: what a person reads beside the ranking."""

from typing import Any

import httpx

from serving.answering.text import lines


def text_of(client: httpx.Client, body: dict[str, Any]) -> list[str]:
    return lines(client.post("/v1/recommendations", json=body).json())


def test_what_softer_rules_would_bring_is_told_apart_from_what_is_excluded(
    client: httpx.Client, body: dict[str, Any]
) -> None:
    body["client"]["modalities"] = ["phone"]
    shown = text_of(client, body)
    (at,) = [i for i, line in enumerate(shown) if line.startswith("Softer rules would bring")]
    assert "several of these lines" in shown[at]
    assert shown[at + 1].startswith("  ")
    assert " more if " in shown[at + 1]


def test_the_first_group_is_worth_preferring_to_the_average(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = client.post("/v1/recommendations", json=body).json()
    preferring = [line for line in lines({**answer, "meaningful_difference": True}) if "worth preferring" in line]
    assert preferring == [
        "The first group is worth preferring to the average of those who can see this client; "
        "within a group, take whoever is free soonest."
    ]


def test_notes_stand_below_the_ranking(client: httpx.Client, body: dict[str, Any]) -> None:
    body["exclude_therapists"] = [{"therapist_id": "t-not-listed-1"}]
    assert "To be left out, but not in this directory: t-not-listed-1. Please check the ids." in text_of(client, body)
