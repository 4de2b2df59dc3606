"""Answers of the past, derived again: from the bundle, the directory and the settings that they were given under."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from data.errors import ConflictError, NotFoundError
from data.sql import SETTINGS
from serving.answering.exploration import Draw
from serving.answering.matcher import Matcher, Question, question
from serving.answering.recommend import Answered, Ids, answer
from serving.answering.safety import Assessment, assess
from serving.listing.directory import Directory
from serving.running.exports import bundle_id_of
from serving.schemas import RecommendationRequest
from serving.settings import Settings
from training.bundle import Bundle
from training.storage import load

MATCHERS_KEPT = 4
DIRECTORIES_KEPT = 2
BUNDLES_KEPT = 2

Served = Callable[[str], Matcher | None]
"""The matcher that answers a tenant now, if there is one."""
Fetch = Callable[[str], Path]
"""A bundle by its id, as a folder. Raises NotFoundError without one."""


@dataclass(frozen=True)
class Again:
    """One stored answer with what it came from."""

    row: sa.Row[Any]
    matcher: Matcher
    request: RecommendationRequest
    assessment: Assessment
    asked: Question
    draw: Draw | None

    def answered(self) -> Answered:
        """The answer, made again."""
        ids = Ids(self.row.recommendation_id, told(self.row)["safety"]["task_id"], self.row.released_from)
        return answer(self.matcher, self.asked, self.assessment, ids, self.row.audience, self.draw)


class Past:
    """Finds what answers were derived from; keeps the few directories and bundles that were needed last."""

    def __init__(
        self,
        engine: sa.Engine,
        bundles: Iterable[Path] = (),
        data: Path | None = None,
        served: Served = lambda _tenant: None,
        fetch: Fetch | None = None,
    ):
        """`bundles` are folders of a bundle, or folders of such folders; `data` a dataset that was served as it stands.

        `served` gives what is in memory anyway; `fetch` finds bundles that are in none of the folders.
        """
        self._engine = engine
        self._folders = tuple(bundles)
        self._data = data
        self._served = served
        self._fetch = fetch
        self._matcher = lru_cache(MATCHERS_KEPT)(self._read_matcher)
        self._directory = lru_cache(DIRECTORIES_KEPT)(self._read_directory)
        self._bundle = lru_cache(BUNDLES_KEPT)(self._read_bundle)

    def again(self, tenant: str, row: sa.Row[Any]) -> Again:
        """The question of a journal's row as it was when it was answered.

        Raises NotFoundError or ConflictError where something that it was derived from is no longer there.
        """
        matcher = self.matcher(tenant, row)
        request = RecommendationRequest.model_validate(row.request)
        found = assess(request.measures, matcher.settings.safety, matcher.today(row.made_at))
        signed = matcher.settings.exploration
        draw = None if row.seed is None or signed is None else Draw(row.seed, signed.share)
        if row.released_from is not None:
            assessment = found.after_release()
        else:
            assessment = found.still_held() if told(row)["safety"]["status"] == "held" else found
        return Again(row, matcher, request, assessment, question(matcher, request, row.made_at), draw)

    def matcher(self, tenant: str, row: sa.Row[Any], bundle_id: str | None = None) -> Matcher:
        """What the row was answered from; with another bundle if one is named."""
        wanted = bundle_id or row.bundle_id
        here = self._served(tenant)
        if here is not None and here.bundle.manifest.bundle_id == wanted and _same_directory(here, row):
            return replace(here, version=row.version)
        found = self._matcher(tenant, wanted, row.directory_version, row.directory_source, row.settings_hash)
        return replace(found, version=row.version)

    def bundle(self, tenant: str, bundle_id: str) -> Bundle:
        """A bundle by its id: the one that serves now, or one in the folders. Raises NotFoundError without one."""
        here = self._served(tenant)
        if here is not None and here.bundle.manifest.bundle_id == bundle_id:
            return here.bundle
        return self._bundle(bundle_id)

    def _read_matcher(self, tenant: str, bundle_id: str, version: int, source: str, settings_hash: str) -> Matcher:
        directory, settings = self._directory(tenant, version, source, settings_hash)
        return Matcher(self.bundle(tenant, bundle_id), "", directory, settings)

    def _read_directory(self, tenant: str, version: int, source: str, settings_hash: str) -> tuple[Directory, Settings]:
        settings = self._settings(tenant, settings_hash)
        if version == 0:
            return self._dataset(source, settings), settings
        found = Directory.read(self._engine, settings, tenant, version)
        if found is None or found.version != version:
            raise NotFoundError(f"version {version} of the directory is not on record -> ask anew")
        return found, settings

    def _settings(self, tenant: str, settings_hash: str) -> Settings:
        mine = sa.and_(SETTINGS.c.tenant == tenant, SETTINGS.c.settings_hash == settings_hash)
        with self._engine.connect() as connection:
            found = connection.scalar(sa.select(SETTINGS.c.settings).where(mine))
        if found is None:
            raise NotFoundError("the settings of this answer are not on record -> ask anew")
        return Settings.model_validate(found)

    def _dataset(self, source: str, settings: Settings) -> Directory:
        """A dataset that was served as it stood: it must still be what it was."""
        step = "serve or name that dataset (--data), or load datasets with `therapist-fit data load`, which keeps them"
        if self._data is None:
            raise ConflictError(f"this answer came from the dataset {source}, which is not stored here -> {step}")
        from serving.listing.dataset import directory_data  # reads tables, which a service without --data never does

        data = directory_data(self._data)
        if data.source != source:
            raise ConflictError(f"this answer came from the dataset {source}, not from {data.source} -> {step}")
        return Directory.of(data, settings)

    def _read_bundle(self, bundle_id: str) -> Bundle:
        for folder in _bundle_folders(self._folders):
            if bundle_id_of(folder) == bundle_id:
                return load(folder)
        if self._fetch is not None:
            return load(self._fetch(bundle_id))
        raise NotFoundError(
            f"bundle {bundle_id}, which gave this answer, is not here -> whoever runs the service can put it beside "
            f"the one that serves: therapist-fit models export {bundle_id} FOLDER"
        )


def told(row: sa.Row[Any]) -> dict[str, Any]:
    """What was answered, as parsed JSON: fields may have come and gone since."""
    found: dict[str, Any] = json.loads(row.answer)
    return found


def _same_directory(matcher: Matcher, row: sa.Row[Any]) -> bool:
    here = (matcher.directory.version, matcher.directory.source, matcher.settings.hash)
    return here == (row.directory_version, row.directory_source, row.settings_hash)


def _bundle_folders(folders: Iterable[Path]) -> list[Path]:
    return [one for folder in folders if folder.is_dir() for one in (folder, *sorted(folder.iterdir()))]
