"""A therapist's own report, as numbers and words: `GET /v1/therapists/{id}/report` and the audit's pages."""

from pydantic import BaseModel, ConfigDict


class TherapistReport(BaseModel):
    """What the model knows of one therapist, for them and whoever supports them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    therapist_id: str
