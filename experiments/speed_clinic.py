"""A directory of any size in which everybody may see the example client, and every therapist differs. Synthetic."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np

from data.loading import DirectoryData

SLOTS = 20
"""Free times of each therapist, over eight weeks."""
OPEN = {
    "languages": "en",
    "modalities": "video|in_person",
    "payers": "self-pay",
    "age_groups": "adult",
    "care_levels": "outpatient",
    "caseload_capacity": 30,
    "accepts_new": True,
}
LICENCE = {"jurisdiction": "US-CA", "kind": "full", "valid_from": "2015-01-01", "status": "active"}
SHARES = ("style_directiveness", "style_expressiveness", "style_homework")


def everyone_eligible(base: DirectoryData, count: int, first: dt.datetime) -> DirectoryData:
    """`count` therapists after the profiles of `base`, whose own come first with their ids; free from `first` on."""
    rng = np.random.default_rng(0)
    known = sorted(base.entries["profile"])
    ids = [known[i] if i < len(known) else f"made-{i:06d}" for i in range(count)]
    draws = rng.random((count, len(SHARES) + 2))
    profiles = {name: _profile(base.entries["profile"][known[i % len(known)]], draws[i]) for i, name in enumerate(ids)}
    times = _times(first)
    hours = rng.integers(0, len(times), (count, SLOTS))
    entries: dict[str, Any] = {
        "profile": profiles,
        "licences": {name: [LICENCE] for name in ids},
        "slots": {name: _slots(times, one) for name, one in zip(ids, hours.tolist(), strict=True)},
        "caseload": {name: {"open_cases": 5} for name in ids},
        "price": {},
    }
    return DirectoryData(0, f"{count} therapists made for measuring", base.meta, entries)


def _profile(one: dict[str, Any], draws: Any) -> dict[str, Any]:
    shares = {name: round(float(draw), 3) for name, draw in zip(SHARES, draws, strict=False)}
    skill, begun = round(float(draws[-2]) * 2 - 1, 3), 1985 + int(draws[-1] * 38)
    return {**one, **OPEN, **shares, "interpersonal_skill": skill, "practising_since": begun}


def _times(first: dt.datetime) -> list[str]:
    hours = [first + dt.timedelta(days=day, hours=hour) for day in range(56) for hour in range(9)]
    return [hour.strftime("%Y-%m-%dT%H:%M:%SZ") for hour in hours]


def _slots(times: Sequence[str], hours: Sequence[int]) -> list[dict[str, str]]:
    ways = ("video", "in_person")
    return [{"starts_at": times[hour], "modality": ways[hour % 2], "status": "free"} for hour in sorted(set(hours))]
