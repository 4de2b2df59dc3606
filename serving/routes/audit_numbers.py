"""The audit for programs: what drives the ranking, and a therapist's own report."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from serving.access.auth import TheService, needs
from serving.access.keys import Caller
from serving.reporting import report_of
from serving.routes.answers import problem_responses
from serving.values import Id
from training.audit.importances import Importance
from training.audit.reports import TherapistReport

router = APIRouter()
_Reader = Annotated[Caller, needs("auditor", "clinician")]
_Auditor = Annotated[Caller, needs("auditor")]


class ModelImportance(BaseModel):
    """What drives the ranking of the model that answers now, and which audit says so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bundle_id: str
    evidence_hash: str = Field(description="of the audit that people had before them")
    synthetic: bool
    importance: Importance


class ReportTold(TherapistReport):
    """A therapist's own report, with what they may do about it."""

    bundle_id: str
    synthetic: bool
    rights: list[str]


@router.get(
    "/v1/model/importance",
    tags=["model"],
    summary="What drives the ranking, in numbers",
    responses=problem_responses(404),
)
def importance(caller: _Reader, service: TheService) -> ModelImportance:
    """By feature and by group, for each head and for the utility, as the audit of the served bundle found it."""
    del caller  # the model is the same for every tenant
    shown = service.audits.of(service.model.bundle.manifest.bundle_id)
    audit = shown.audit
    return ModelImportance(
        bundle_id=audit.bundle_id,
        evidence_hash=shown.evidence.evidence_hash,
        synthetic=audit.synthetic,
        importance=audit.importance,
    )


@router.get(
    "/v1/therapists/{therapist_id}/report",
    tags=["therapists"],
    summary="A therapist's own report",
    responses=problem_responses(404, 422),
)
def report(
    therapist_id: Annotated[Id, Path(description="pseudonym of the therapist", examples=["t-1"])],
    caller: _Auditor,
    service: TheService,
) -> ReportTold:
    """What the model knows of one therapist, for them and whoever supports them: no verdict, not for pay or dismissal.

    Somebody whom the model has not seen is reported by what the profile in the directory foretells.
    """
    manifest = service.model.bundle.manifest
    found = report_of(service, caller, therapist_id)
    values: dict[str, Any] = found.answer()
    return ReportTold(**values, bundle_id=manifest.bundle_id, synthetic=manifest.synthetic)
