"""Everyone who was referred and agreed to learning: groups, what they needed, how long they waited."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.columns import Floats
from features.episodes import clients_from_history
from training.audit.examined import Examined
from training.groups import Groups, groups_with, standard_severity

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MOST_PEOPLE = 30_000
"""Courses looked at; of a larger dataset that many, drawn at random."""
NEED = (
    "severity", "main_problem", "problem", "problem_count", "care_level", "prior_episodes", "expectancy", "motivation",
    "social_support", "employment", "long_term_condition",
    "wants_directiveness", "wants_expressiveness", "wants_homework",
)  # fmt: skip
"""What a client needs, with every intake score; who the client is (age, gender, ethnicity, language, payer,
deprivation, and what a dataset declares beside) is left out, or a group's worse results would be explained by it."""


@dataclass(frozen=True)
class People:
    """Courses of those who agreed, old enough to have shown a result, row by row; who still waits has no therapist."""

    looked_at: Examined

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """Matched, or referred, before the last weeks; `matched_on` of those still waiting is the day of referral."""
        known = self.looked_at.snapshot.episodes()
        known = known.assign(matched_on=known["matched_on"].fillna(known["referred_on"]))
        day = self.looked_at.snapshot.day
        if day is not None:
            last = pd.Timestamp(day) - pd.Timedelta(weeks=self.looked_at.config.split.wait_weeks)
            known = known[known["matched_on"] <= last]
        if len(known) > MOST_PEOPLE:
            known = known.sample(MOST_PEOPLE, random_state=self.looked_at.config.seed).sort_index()
        return known.reset_index(drop=True)

    @cached_property
    def block(self) -> Floats:
        """Client columns as built, NaN where unknown."""
        asked = self.looked_at.asked
        clients = clients_from_history(self.looked_at.history, self.episodes, asked.severity_of)
        return asked.features.build_rows("client", clients)

    @cached_property
    def severity(self) -> Floats:
        """Standardised, NaN where unknown."""
        return standard_severity(self.block, self.looked_at.asked)

    @cached_property
    def groups(self) -> Groups:
        """Attribute -> the group of each row, those for audits only included."""
        return groups_with(self.looked_at.history, self.episodes, self.severity)

    @cached_property
    def met(self) -> Bools:
        """Who was matched with a therapist."""
        found: Bools = self.episodes["therapist_id"].notna().to_numpy(dtype=bool)
        return found

    @cached_property
    def therapist(self) -> Ints:
        """The therapist of each row as a number, -1: none."""
        codes: Ints = self.episodes["therapist_id"].factorize()[0].astype(np.int64)
        return codes

    @cached_property
    def wait(self) -> Floats:
        """Days from referral to the first session; NaN where either day is not on record."""
        span = self.episodes["started_on"] - self.episodes["referred_on"]
        days: Floats = (span / pd.Timedelta(days=1)).to_numpy(dtype=np.float64)
        return days

    @cached_property
    def never(self) -> Floats:
        """1: never started, 0: started; NaN throughout where starts are not on record."""
        started = self.episodes["started_on"].notna() | (self.episodes["sessions_attended"].fillna(0) > 0)
        if not started.any():
            return np.full(len(started), np.nan)
        found: Floats = (~started).to_numpy(dtype=np.float64)
        return found

    @cached_property
    def need(self) -> Floats:
        """What is known of the need at intake, standardised, unknown at the mean: severity also squared."""
        names = self.looked_at.asked.features.columns_of("client")
        kept = [i for i, name in enumerate(names) if is_need(name)]
        block = self.block[:, kept]
        known = ~np.isnan(block)
        mean = np.where(known, block, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
        centred = np.where(known, block - mean, 0.0)
        sd = centred.std(axis=0)
        z = centred[:, sd > 1e-9] / sd[sd > 1e-9]
        severity = np.nan_to_num(self.severity)
        return np.column_stack([z, severity**2, np.isnan(self.severity).astype(np.float64)])


def is_need(column: str) -> bool:
    """Whether a client column says what the client needs, not who the client is."""
    return not column.startswith("client.") and (column.split(".")[0] in NEED or column.endswith("_intake"))
