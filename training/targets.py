"""Targets: what the heads learn, read from what was known on the day of the cut.

All targets point upwards here: where a lower score is better its sign is turned, so that a higher value of any head
is the better result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import Snapshot
from training.config import MEASURE, HeadConfig, OutcomeConfig
from training.dropout import Courses, expected_at_the_end, weights_for_staying

Floats = npt.NDArray[np.float64]

EARLY_SESSIONS = (3, 4, 5)
NOT_EARLY = 3  # dropout before this session is early
CASENESS_ENDINGS = {"planned": 1.0, "dropout": 0.0}


@dataclass(frozen=True)
class Target:
    """One head's target for every episode: `value` (NaN where missing), and who could have had one."""

    name: str
    value: Floats
    possible: npt.NDArray[np.bool_]
    """Episodes that belong to the population: a missing value among them is weighted for."""
    flagged: npt.NDArray[np.bool_]
    """Values of a second-best kind (alliance read at session 2)."""
    landmark: pd.DataFrame
    """Columns of measures up to the landmark; empty for heads that are served."""
    weight: Floats | None = None
    """How much each episode counts for those who left, where they are weighted for."""

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Episodes whose target is known."""
        return ~np.isnan(self.value)

    def measured(self, names: Sequence[str]) -> Floats:
        """Measures up to the landmark, (episodes, names); NaN where they were not taken."""
        values: Floats = self.landmark.reindex(columns=list(names)).to_numpy(dtype=np.float64)
        return values


def learnable(snapshot: Snapshot, wait_weeks: int) -> pd.DataFrame:
    """Episodes old enough to have shown their result: matched at least `wait_weeks` before the snapshot's day."""
    episodes = snapshot.episodes()
    met = episodes["therapist_id"].notna()
    if snapshot.day is not None:
        met &= episodes["matched_on"] <= pd.Timestamp(snapshot.day) - pd.Timedelta(weeks=wait_weeks)
    return episodes[met].reset_index(drop=True)


def target(
    head: HeadConfig, snapshot: Snapshot, episodes: pd.DataFrame, outcome: OutcomeConfig, sds: dict[str, float]
) -> Target:
    """The head's target for `episodes`; `sds` are the intake standard deviations that make the outcome's units."""
    none = pd.DataFrame(index=episodes.index)
    flagged = np.zeros(len(episodes), bool)
    started = _started(snapshot, episodes)
    possible, weight = started, None
    if head.source == "outcome":
        value = improvement(snapshot.measures(), episodes, outcome, sds)
        if outcome.dropout != "last":
            state = courses(snapshot.measures(), episodes, outcome, sds)
            left = (episodes["ending"] == "dropout").to_numpy(dtype=bool)
            therapist = episodes["therapist_id"].factorize()[0].astype(np.int64)
            if outcome.dropout == "expected":
                value = expected_at_the_end(value, state, left, therapist)
            else:
                possible, weight = started & ~left, weights_for_staying(state, left, therapist)
    elif head.source == "alliance":
        value, flagged = early_alliance(snapshot.measures(), episodes, outcome.alliance_instrument)
    elif head.source == "retention":
        value = episodes["ending"].map(CASENESS_ENDINGS).to_numpy(dtype=np.float64)
        possible = started & ~np.isnan(value)
    elif head.source == "early_dropout":
        value = early_dropout(episodes)
        possible = started & ~np.isnan(value)
    else:
        found = MEASURE.fullmatch(head.source)
        assert found is not None  # the configuration was checked
        value = score_at(snapshot.measures(), episodes, found["instrument"], int(found["session"]))
        possible = np.ones(len(episodes), bool)
    value = np.where(possible, value, np.nan) * (-1.0 if head.direction == "lower" else 1.0)
    if head.kind == "binary" and head.direction == "lower":
        value = value + 1.0  # the good result is 1
    landmark = none if head.landmark is None else _landmark(snapshot, episodes, head.landmark)
    return Target(head.name, value, possible, flagged, landmark, weight)


def intake_sds(snapshot: Snapshot, instruments: tuple[str, ...]) -> dict[str, float]:
    """Standard deviation of the intake totals of every instrument that has at least two."""
    measures = _totals(snapshot.measures())
    first = measures[(measures["session"] == 0) & measures["instrument"].isin(instruments)]
    spread = first.groupby("instrument")["value"].std()
    return {str(name): float(sd) for name, sd in spread.items() if sd > 0}


def improvement(
    measures: pd.DataFrame, episodes: pd.DataFrame, outcome: OutcomeConfig, sds: dict[str, float]
) -> Floats:
    """Mean over the instruments present of (intake - last) / intake SD; everyone who started and has a later score.

    The last total is taken at least one session after intake and within `outcome.weeks` of the match.
    """
    totals = _in_time(measures, episodes, outcome)
    changes = []
    for name in outcome.instruments:
        if name not in sds:
            continue
        mine = totals[totals["instrument"] == name]
        intake = mine[mine["session"] == 0].set_index("episode_id")["value"]
        last = mine[mine["session"] > 0].sort_values("session").groupby("episode_id")["value"].last()
        changes.append(((intake - last) / sds[name]).reindex(episodes["episode_id"]).to_numpy())
    if not changes:
        return np.full(len(episodes), np.nan)
    return _row_means(np.array(changes))


def courses(measures: pd.DataFrame, episodes: pd.DataFrame, outcome: OutcomeConfig, sds: dict[str, float]) -> Courses:
    """Change since intake at every session with a score, mean over the instruments present, in intake SDs."""
    totals = _in_time(measures, episodes, outcome)
    totals = totals[totals["instrument"].isin([name for name in outcome.instruments if name in sds])]
    scaled = totals.assign(value=totals["value"] / totals["instrument"].map(sds))
    intake = scaled[scaled["session"] == 0].set_index(["episode_id", "instrument"])["value"].rename("intake")
    later = scaled[scaled["session"] > 0].join(intake, on=["episode_id", "instrument"], how="inner")
    states = later.groupby(["episode_id", "session"], as_index=False)[["value", "intake"]].mean()
    row = pd.Index(episodes["episode_id"]).get_indexer(states["episode_id"])
    states = states.assign(row=row)[row >= 0].sort_values(["row", "session"])
    return Courses(
        row=states["row"].to_numpy(dtype=np.int64),
        session=states["session"].to_numpy(dtype=np.float64),
        change=(states["intake"] - states["value"]).to_numpy(dtype=np.float64),
        intake=states["intake"].to_numpy(dtype=np.float64),
    )


def early_alliance(
    measures: pd.DataFrame, episodes: pd.DataFrame, instrument: str
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Mean client-rated alliance over attended sessions 3-5; of session 2 where there is none, flagged."""
    mine = _totals(measures)
    mine = mine[mine["instrument"] == instrument]
    early = (
        mine[mine["session"].isin(EARLY_SESSIONS)].groupby("episode_id")["value"].mean().reindex(episodes["episode_id"])
    )
    second = mine[mine["session"] == 2].groupby("episode_id")["value"].mean().reindex(episodes["episode_id"])
    flagged = (early.isna() & second.notna()).to_numpy()
    return early.fillna(second).to_numpy(dtype=np.float64), flagged


def early_dropout(episodes: pd.DataFrame) -> Floats:
    """1: dropped out before session 3; 0: reached session 3, or ended as planned; else unknown."""
    dropped = episodes["ending"] == "dropout"
    attended = episodes["sessions_attended"].astype("float64")
    value = np.where(dropped & (attended < NOT_EARLY), 1.0, np.nan)
    stayed = (attended >= NOT_EARLY) | (episodes["ending"] == "planned")
    return np.where(stayed.to_numpy(dtype=bool, na_value=False), 0.0, value)


def score_at(measures: pd.DataFrame, episodes: pd.DataFrame, instrument: str, session: int) -> Floats:
    """The total of one instrument at one session."""
    totals = _totals_of_any_rater(measures)
    mine = totals[(totals["instrument"] == instrument) & (totals["session"] == session)]
    values: Floats = mine.set_index("episode_id")["value"].reindex(episodes["episode_id"]).to_numpy(dtype=np.float64)
    return values


def _landmark(snapshot: Snapshot, episodes: pd.DataFrame, latest: int) -> pd.DataFrame:
    totals = _totals_of_any_rater(snapshot.measures())
    seen = totals[(totals["session"] >= 1) & (totals["session"] <= latest)]
    name = "landmark." + seen["instrument"] + "@" + seen["session"].astype("str")
    wide = seen.assign(column=name).pivot(index="episode_id", columns="column", values="value")
    return wide.reindex(episodes["episode_id"]).reset_index(drop=True)


def _totals(measures: pd.DataFrame) -> pd.DataFrame:
    """Totals as the client rated them."""
    return measures[(measures["item"] == "0") & (measures["rater"] == "client")]


def _in_time(measures: pd.DataFrame, episodes: pd.DataFrame, outcome: OutcomeConfig) -> pd.DataFrame:
    """Totals taken within `outcome.weeks` of the match; what has no day counts."""
    totals = _totals(measures)
    matched = totals["episode_id"].map(episodes.set_index("episode_id")["matched_on"])
    late = totals["taken_on"] > matched + pd.Timedelta(weeks=outcome.weeks)
    return totals[~late]


def _totals_of_any_rater(measures: pd.DataFrame) -> pd.DataFrame:
    """One total for each episode, session and instrument: the client's, else an observer's, else the therapist's."""
    totals = measures[measures["item"] == "0"]
    order = totals["rater"].map({"client": 0, "observer": 1, "therapist": 2})
    first = totals.assign(order=order).sort_values("order", kind="stable")
    return first.drop_duplicates(["episode_id", "session", "instrument"])


def _started(snapshot: Snapshot, episodes: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Who had a first session. Data that record neither starts nor sessions are taken to be of starters."""
    known = episodes[["started_on", "sessions_attended"]].notna().any(axis=None)
    if not known:
        return np.ones(len(episodes), bool)
    begun: npt.NDArray[np.bool_] = (
        episodes["started_on"].notna() | (episodes["sessions_attended"].fillna(0) > 0)
    ).to_numpy(dtype=bool)
    if begun.all():
        return begun
    measures = snapshot.measures()
    asked = measures["episode_id"].isin(episodes.loc[~begun, "episode_id"])  # few: the others need no look
    later = measures.loc[asked & (measures["session"] > 0), "episode_id"].unique()
    answer: npt.NDArray[np.bool_] = begun | episodes["episode_id"].isin(later).to_numpy(dtype=bool)
    return answer


def _row_means(values: Floats) -> Floats:
    """Column means of what is present; NaN where nothing is."""
    count = (~np.isnan(values)).sum(axis=0)
    total = np.nansum(values, axis=0)
    means: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return means
