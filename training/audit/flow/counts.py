"""Every course that was referred, from referral to use: what is known of it, and where it was lost.

Counts are of the whole dataset: who did not agree to learning is counted, as a loss. That a score of theirs exists is
read, and never what it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.consent import CARE_ONLY
from data.history import History
from training.audit.examined import Examined
from training.groups import Groups, client_groups
from training.targets import early_alliance, improvement, intake_sds, target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

STEPS: Mapping[str, tuple[str, str]] = {
    "assessed": ("assessed: a score at intake", "no score at intake"),
    "matched": ("matched with a therapist", "assessed, never matched: waiting, or left before"),
    "started": ("started: a first session", "matched, never started"),
    "rated": ("early alliance rated", "started, alliance not rated early"),
    "paired": ("paired scores: a later one beside that of intake", "no later score"),
    "agreed": ("agreed to learning", "client agreed to care only"),
    "included": ("with a therapist who takes part", "therapist opted out of learning"),
    "old": ("long enough ago to be learned from", "too recent to be learned from"),
}
"""Each step of the flow: who reaches it, and who is lost before it."""
USED = "used"
REASONS = {
    USED: "used",
    "care_only": "client agreed to care only",
    "opted_out": "therapist opted out of learning",
    "waiting": "never matched",
    "recent": "too recent",
    "not_started": "never started",
    "no_result": "started, no such result",
}
"""Ends of the courses for one head; each course is in exactly one."""


@dataclass(frozen=True)
class Courses:
    """All referred courses, row by row."""

    looked_at: Examined

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """Every row of the table."""
        return self.looked_at.dataset["episodes"].reset_index(drop=True)

    @cached_property
    def _known(self) -> pd.DataFrame:
        return History(self.looked_at.dataset).latest().measures()

    @cached_property
    def _measures(self) -> pd.DataFrame:
        """Totals as the client rated them, of the questionnaires that are learned from or make severity."""
        e = self.looked_at
        known = self._known
        severity = (name.split(".")[0] for name in e.asked.severity_of)
        names = {*e.config.outcome.instruments, e.config.outcome.alliance_instrument, *severity}
        return known[(known["item"] == "0") & (known["rater"] == "client") & known["instrument"].isin(list(names))]

    @cached_property
    def clients(self) -> pd.DataFrame:
        """The client's row of each course."""
        table = self.looked_at.dataset["clients"].drop_duplicates("client_id").set_index("client_id")
        return table.reindex(self.episodes["client_id"].to_numpy()).rename_axis("client_id").reset_index()

    @cached_property
    def intake(self) -> pd.DataFrame:
        """Totals at intake as the client rated them: a column for each instrument."""
        first = self._measures[self._measures["session"] == 0]
        wide = first.drop_duplicates(["episode_id", "instrument"]).pivot(
            index="episode_id", columns="instrument", values="value"
        )
        return wide.reindex(self.episodes["episode_id"].to_numpy()).reset_index(drop=True)

    @cached_property
    def severity(self) -> Floats:
        """Standardised as the model does it; NaN where there is no score at intake."""
        asked = self.looked_at.asked
        shares = [
            (self.intake[name.split(".")[0]].to_numpy(dtype=np.float64) - low) / (high - low)
            for name, (low, high) in asked.severity_of.items()
            if name.endswith(".0") and name.split(".")[0] in self.intake
        ]
        if not shares:
            return np.full(len(self.episodes), np.nan)
        known = ~np.isnan(np.array(shares))
        mean = np.nansum(np.array(shares), axis=0) / np.maximum(known.sum(axis=0), 1)
        z = (mean - asked.design.severity_mean) / asked.design.severity_sd
        return np.where(known.any(axis=0), z, np.nan)

    @cached_property
    def groups(self) -> Groups:
        """Attribute -> the group of each course's client."""
        day = self.episodes["referred_on"].fillna(self.episodes["matched_on"])
        return client_groups(self.clients, pd.Series(day.dt.year.to_numpy()), self.severity)

    @cached_property
    def reached(self) -> dict[str, Bools]:
        """Step -> who meets it, whatever they met before."""
        e, episodes = self.looked_at, self.episodes
        outcome = e.config.outcome
        scored = [name for name in outcome.instruments if name in self.intake]
        sds = dict.fromkeys(outcome.instruments, 1.0)
        rated, _ = early_alliance(self._measures, episodes, outcome.alliance_instrument)
        opted = e.dataset["therapists"]
        out = opted.loc[opted["learning_opt_out"].fillna(False), "therapist_id"].unique()
        return {
            "assessed": (self.intake[scored] if scored else self.intake).notna().any(axis=1).to_numpy(dtype=bool),
            "matched": episodes["therapist_id"].notna().to_numpy(dtype=bool),
            "started": self._started,
            "rated": ~np.isnan(rated),
            "paired": ~np.isnan(improvement(self._measures, episodes, outcome, sds)),
            "agreed": (self.clients["data_use"] != CARE_ONLY).to_numpy(dtype=bool),
            "included": ~_among(episodes["therapist_id"], out),
            "old": self._old,
        }

    @cached_property
    def _started(self) -> Bools:
        """A first session on record, or a score after it; data that record neither are taken to be of starters."""
        episodes = self.episodes
        if not episodes[["started_on", "sessions_attended"]].notna().any(axis=None):
            return np.asarray(episodes["therapist_id"].notna().to_numpy(dtype=bool))
        later = self._known.loc[self._known["session"] > 0, "episode_id"]
        begun = episodes["started_on"].notna() | (episodes["sessions_attended"].fillna(0) > 0)
        return np.asarray(begun.to_numpy(dtype=bool) | _among(episodes["episode_id"], later.unique()))

    @cached_property
    def _old(self) -> Bools:
        """Matched long enough before the end of the data, as for learning; undated courses always."""
        day = self.looked_at.snapshot.day
        if day is None:
            return np.ones(len(self.episodes), dtype=bool)
        last = pd.Timestamp(day) - pd.Timedelta(weeks=self.looked_at.config.split.wait_weeks)
        found: Bools = (self.episodes["matched_on"] <= last).to_numpy(dtype=bool)
        return found

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """Steps that the data can tell: one that nobody meets was not recorded, and is left out."""
        return tuple(name for name in STEPS if self.reached[name].any())

    @cached_property
    def end(self) -> Ints:
        """The first step each course does not reach, as a place among `steps`; their number: it reaches all."""
        met = np.column_stack([self.reached[name] for name in self.steps])
        return np.where(met.all(axis=1), len(self.steps), met.argmin(axis=1)).astype(np.int64)

    def counts(self) -> list[tuple[str, int, int]]:
        """Step, how many reach it and all before, how many are lost just there."""
        lost = np.bincount(self.end, minlength=len(self.steps) + 1)
        left = len(self.end) - np.cumsum(lost)
        return [(name, int(left[i]), int(lost[i])) for i, name in enumerate(self.steps)]

    @cached_property
    def used(self) -> dict[str, Bools]:
        """Head -> courses whose result the bundle learned from."""
        e = self.looked_at
        sds = dict(e.bundle.manifest.intake_sds) or intake_sds(e.snapshot, e.config.outcome.instruments)
        found = {}
        for head in e.config.heads:
            if head.name in e.bundle.heads:
                goal = target(head, e.snapshot, e.episodes, e.config.outcome, sds)
                found[head.name] = _among(self.episodes["episode_id"], e.episodes["episode_id"][goal.known])
        return found

    def ends_of(self, used: Bools) -> pd.Series:
        """The reason of each course for one head: a key of `REASONS`."""
        r = self.reached
        lost = [used, ~r["agreed"], ~r["included"], ~r["matched"], ~r["old"], ~r["started"]]
        return pd.Series(np.select(lost, list(REASONS)[:-1], default="no_result"))


def _among(ids: pd.Series, some: Any) -> Bools:
    """Which ids are among some, each of which is there once: faster than asking string by string."""
    return np.asarray(pd.Index(some).get_indexer(pd.Index(ids)) >= 0)
