"""Answers without a server and without a journal, by the chain of the service."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data.database import new_id
from data.dataset import Dataset, read
from data.errors import DataError, NotFoundError, Problem, RequestError
from data.loading import from_dataset
from serving.answering.matcher import Matcher, well_asked
from serving.answering.recommend import Ids, answer
from serving.answering.safety import assess
from serving.listing.directory import Directory
from serving.placing.allocation import Terms
from serving.placing.allocation_answer import AllocationAnswer
from serving.placing.allocation_told import allocation
from serving.placing.waiting import open_cases, waiting_list
from serving.problems import refused
from serving.running.loaded import Model
from serving.schemas import RecommendationAnswer, RecommendationRequest
from serving.service import Clock, utc_now
from serving.settings import NextStep, Settings

WITHOUT_A_SERVICE = Settings(
    next_step=NextStep(
        contact="Nobody yet: this was computed on the command line, without a service.",
        place_kept="The client keeps their place.",
        who_acts="Whoever ran the command.",
        by_when="Before anything else is done with this answer.",
    )
)
"""For an answer that nobody stands behind: it says so where a service would say who acts."""


def rank_once(
    settings: Settings, bundle: Path, version: str, data: Path, request: RecommendationRequest, now: Clock = utc_now
) -> RecommendationAnswer:
    """The answer that a service on this dataset would give. Raises RequestError with every problem of the request."""
    matcher = _matcher(settings, bundle, version, read(data))
    moment = now()
    asked = well_asked(matcher, request, moment)
    assessment = assess(request.measures, settings.safety, matcher.today(moment))
    return answer(matcher, asked, assessment, Ids(new_id(moment)), "platform", None).answer


def allocate_once(
    settings: Settings, bundle: Path, version: str, data: Path, terms: Terms, now: Clock = utc_now
) -> AllocationAnswer:
    """The waiting list of a dataset, placed at once under its own directory. Raises NotFoundError if nobody waits."""
    dataset = read(data)
    matcher = _matcher(settings, bundle, version, dataset)
    cases = open_cases(dataset, matcher.directory.place, matcher.bundle.manifest.severity_of)
    return allocation(matcher, waiting_list(dataset), cases, terms, now())


def read_request(path: Path, k: int | None = None) -> RecommendationRequest:
    """The request in a JSON file; the client's columns alone will do. Raises with every problem of the file."""
    body = _object(path)
    body = body if "client" in body else {"client": body}
    try:
        return RecommendationRequest.model_validate(body if k is None else {**body, "k": k})
    except ValidationError as error:
        found = refused(error)
        raise RequestError(Problem(one.field, "refused", one.rule, one.next_step) for one in found) from None


def _matcher(settings: Settings, bundle: Path, version: str, dataset: Dataset) -> Matcher:
    """What a service on the dataset would answer from."""
    model = Model.of(bundle, version)
    return Matcher(model.bundle, model.version, Directory.of(from_dataset(dataset), settings), settings)


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file: a request is a JSON file -> name one with --client")
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError([Problem(str(path), str(error), "must be JSON", "mend the file")]) from None
    if not isinstance(body, dict):
        raise DataError([Problem(str(path), type(body).__name__, "must be one JSON object", "mend the file")])
    return body
