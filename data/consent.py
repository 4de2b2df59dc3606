"""Whose data may teach a model: clients who agreed, and cases of therapists who did not opt out."""

from dataclasses import replace

import pandas as pd

from data.dataset import Dataset

CARE_ONLY = "care_only"


def for_learning(dataset: Dataset) -> Dataset:
    """The dataset without the rows of `care_only` clients, and without the cases of therapists who opted out.

    Therapists who opted out keep their profile, so that it can be predicted from; nothing they did shapes it.
    """
    clients, therapists, episodes = dataset["clients"], dataset["therapists"], dataset["episodes"]
    refused = set(clients.loc[clients["data_use"] == CARE_ONLY, "client_id"])
    opted_out = set(therapists.loc[therapists["learning_opt_out"].fillna(False), "therapist_id"])
    kept = episodes[~episodes["client_id"].isin(refused) & ~episodes["therapist_id"].isin(opted_out)]
    frames = dict(dataset.frames)
    for name in ("clients", "preferences"):
        if name in frames:
            frames[name] = _without(frames[name], "client_id", refused)
    for name in ("episodes", "offers", "measures", "sessions"):
        if name in frames:
            frames[name] = _among(frames[name], set(kept["episode_id"]))
    return replace(dataset, frames=frames)


def _without(frame: pd.DataFrame, column: str, refused: set[str]) -> pd.DataFrame:
    return frame[~frame[column].isin(refused)].reset_index(drop=True)


def _among(frame: pd.DataFrame, kept: set[str]) -> pd.DataFrame:
    return frame[frame["episode_id"].isin(kept)].reset_index(drop=True)
