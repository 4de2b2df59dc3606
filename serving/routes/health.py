"""Whether the process lives, and whether it can answer. No key is needed, and nothing of any tenant is told."""

from typing import Any

from fastapi import APIRouter

from serving import problems
from serving.auth import TheService
from serving.schemas import ProblemDocument

router = APIRouter(tags=["operations"])
_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": ProblemDocument, "content": {problems.MEDIA_TYPE: {}}, "description": "cannot answer now"}
}


@router.get("/healthz", summary="The process is alive")
def alive() -> dict[str, str]:
    """The process answers; says nothing about whether it is ready."""
    return {"status": "alive"}


@router.get("/readyz", summary="Answers can be given and kept", responses=_NOT_READY)
def ready(service: TheService) -> dict[str, str]:
    """A bundle is loaded, and the database is there with this program's schema."""
    service.check()
    return {"status": "ready", "bundle_id": service.model.bundle.manifest.bundle_id, "version": service.model.version}
