"""The waiting list of a dataset as requests of the service, and the cases that its therapists carry already."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from data.dataset import Dataset
from data.errors import NotFoundError, Problem
from data.history import History
from features.episodes import clients_from_history
from features.rows import Ranges
from serving.placing.cases import OpenCases, Waiting, at_risk, severe
from serving.problems import refused
from serving.schemas import RecommendationRequest


def waiting_list(dataset: Dataset) -> list[Waiting]:
    """Clients whose latest course has no therapist and is called waiting, longest waiting first.

    Raises NotFoundError if nobody waits.
    """
    episodes = dataset["episodes"]
    rows = episodes[episodes["therapist_id"].isna() & episodes["ending"].eq("waiting").fillna(False)]
    if rows.empty:
        raise NotFoundError(
            f"{dataset.manifest.name}: no episode without a therapist has `ending = waiting` "
            "-> name a dataset with a waiting list"
        )
    rows = rows.sort_values(["referred_on", "episode_id"], na_position="last").drop_duplicates("client_id")
    clients, wishes, measures = (_by(dataset[name], key) for name, key in _TABLES)
    kinds = {c.name: c.kind for c in dataset.contract("clients").columns if c.known == "before"}
    found: list[Waiting] = []
    for episode, client, day in zip(rows["episode_id"], rows["client_id"], rows["referred_on"], strict=True):
        body = {
            "client": {} if client not in clients else _client(clients[client].iloc[0], kinds),
            "preferences": _plain(wishes.get(client), ("about", "value", "strength")),
            "measures": _plain(_intake(measures.get(episode)), ("instrument", "item", "value", "taken_on")),
        }
        request, problems = _read(body) if client in clients else (None, (_stranger(),))
        referred = None if pd.isna(day) else day.date()
        found.append(Waiting(str(episode), str(client), referred, request, problems))
    return found


def open_cases(dataset: Dataset, place: Mapping[str, int], severity_of: Ranges) -> OpenCases:
    """Cases of a dataset that have not ended, with therapists of the directory (`place`: id -> row)."""
    history = History(dataset)
    episodes = history.latest().episodes()
    still = episodes["therapist_id"].isin(place.keys()) & episodes["ending"].eq("ongoing").fillna(False)
    rows = episodes[still].reset_index(drop=True)
    if rows.empty:
        return OpenCases.none()
    columns = clients_from_history(history, rows, severity_of)
    therapist = rows["therapist_id"].map(dict(place)).to_numpy(dtype=np.int64)
    return OpenCases(therapist, columns.number("severity"), severe(columns, severity_of), at_risk(columns))


_TABLES = (("clients", "client_id"), ("preferences", "client_id"), ("measures", "episode_id"))


def _by(frame: pd.DataFrame, key: str) -> dict[Any, pd.DataFrame]:
    return dict(iter(frame.groupby(key, sort=False)))


def _client(row: pd.Series, kinds: Mapping[str, str]) -> dict[str, Any]:
    return {name: _cell(row[name], kind) for name, kind in kinds.items() if pd.notna(row[name])}


def _cell(value: Any, kind: str) -> Any:
    if kind in ("codes", "tags"):
        return str(value).split("|")
    if kind in ("integer", "number", "boolean"):
        return {"integer": int, "number": float, "boolean": bool}[kind](value)
    return str(value)


def _intake(measures: pd.DataFrame | None) -> pd.DataFrame | None:
    return None if measures is None else measures[(measures["session"] == 0) & (measures["rater"] == "client")]


def _plain(rows: pd.DataFrame | None, names: tuple[str, ...]) -> list[dict[str, Any]]:
    if rows is None:
        return []
    return [
        {name: _value(value) for name, value in zip(names, cells, strict=True) if pd.notna(value)}
        for cells in rows[list(names)].itertuples(index=False)
    ]


def _value(value: Any) -> Any:
    return value.date().isoformat() if isinstance(value, pd.Timestamp) else value


def _stranger() -> Problem:
    return Problem("client_id", "unknown", "must be in the clients table", "add the client's row, then allocate again")


def _read(body: dict[str, Any]) -> tuple[RecommendationRequest | None, tuple[Problem, ...]]:
    try:
        return RecommendationRequest.model_validate(body), ()
    except ValidationError as error:
        return None, tuple(Problem(one.field, "refused", one.rule, one.next_step) for one in refused(error))
