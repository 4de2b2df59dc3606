"""What drives the ranking, as numbers for programs: `GET /v1/model/importance` and the audit's pages."""

from pydantic import BaseModel, ConfigDict


class Importance(BaseModel):
    """Importance of every feature, for each head and for the utility."""

    model_config = ConfigDict(extra="forbid", frozen=True)
