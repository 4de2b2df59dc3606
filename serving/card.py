"""The model that answers, as `GET /v1/model` tells it."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from serving.answering.matcher import Matcher
from serving.answering.recommend import model_info

LIMITS = (
    "Associations in routine data: who was seen by whom was not decided by chance.",
    "Differences between therapists are small; ties are shown as ties.",
    "No diagnosis and no triage; a predicted outcome never decides who is seen.",
)


class HeadCard(BaseModel):
    """One target of the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    source: str
    weight: float = Field(description="weight in the utility, per standard deviation")
    episodes: int = Field(description="courses of treatment it learned from")


class ModelCard(BaseModel):
    """What the model is, what it learned from, how it was tested, and its limits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    bundle_id: str
    proven: bool
    notes: list[str]
    name: str
    created_at: dt.datetime
    as_of: dt.date | None
    dataset: str
    data_hash: str
    synthetic: bool
    undated: bool
    policy_hash: str
    heads: list[HeadCard]
    left_out: Mapping[str, str] = Field(description="heads that could not be learned, and why")
    evaluation: Mapping[str, Any]
    limits: list[str]


def card_of(matcher: Matcher) -> ModelCard:
    """The card of the bundle that this matcher answers from."""
    manifest = matcher.bundle.manifest
    heads = [
        HeadCard(name=info.name, source=info.source, weight=info.weight, episodes=info.rows)
        for info in (head.info for head in matcher.bundle.heads.values())
    ]
    return ModelCard(
        **model_info(manifest, matcher.version, matcher.directory.meta).model_dump(),
        **manifest.model_dump(
            include={
                "name", "created_at", "as_of", "dataset", "data_hash", "synthetic", "undated", "policy_hash",
                "left_out", "evaluation",
            }
        ),
        heads=heads,
        limits=list(LIMITS),
    )  # fmt: skip
