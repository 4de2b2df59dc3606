"""The model that answers now."""

from typing import Annotated

from fastapi import APIRouter

from serving.access.auth import TheService, needs
from serving.access.keys import Caller
from serving.card import ModelCard, card_of
from serving.routes.answers import problem_responses

router = APIRouter(tags=["model"])


@router.get("/v1/model", summary="The model that answers now", responses=problem_responses())
def model(caller: Annotated[Caller, needs()], service: TheService) -> ModelCard:
    """What the model learned from, how it was tested, and what it must not be used for."""
    return card_of(service.matcher(caller))
