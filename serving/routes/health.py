"""Whether the process lives, and whether it can answer. No key is needed, and nothing of any tenant is told."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from serving import problems
from serving.access.auth import TheService
from serving.schemas import ProblemDocument

router = APIRouter(tags=["operations"])
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": ProblemDocument, "content": {problems.MEDIA_TYPE: {}}, "description": "cannot answer now"}
}


class Refused(BaseModel):
    """A bundle that was promoted but is not served."""

    version: str
    reason: str


class Readiness(BaseModel):
    """What answers now."""

    status: Literal["ready"] = "ready"
    bundle_id: str
    version: str
    refused: Refused | None


@router.get("/healthz", summary="The process is alive")
def alive() -> dict[str, str]:
    """The process answers; says nothing about whether it is ready."""
    return {"status": "alive"}


@router.get("/readyz", summary="Answers can be given and kept", responses=_NOT_READY)
def ready(service: TheService) -> Readiness:
    """A bundle is loaded, and the database is there with this program's schema.

    `refused` names a bundle that was promoted but is not served, and why; the one before serves on.
    """
    service.check()
    model, refusal = service.model, service.loaded.refusal
    refused = None if refusal is None else Refused(version=refusal.version, reason=refusal.reason)
    return Readiness(bundle_id=model.bundle.manifest.bundle_id, version=model.version, refused=refused)
