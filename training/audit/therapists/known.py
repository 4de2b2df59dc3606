"""What an audit knows of the therapists: their past cases, and what the served bundle expects of each."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.history import main_problem
from data.instruments import INSTRUMENTS
from training.audit.examined import Examined
from training.audit.reports import FEWEST_CASES
from training.audit.therapists.effects import Effect, effects, ranking_heads, usual_client
from training.bundle import Bundle
from training.fits import Prepared
from training.targets import intake_sds, target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Cases:
    """Past episodes, row by row, those of the test block among them; therapists as positions in `Known.ids`."""

    therapist: Ints
    severity: Floats
    """At intake, in SD from the mean of those learned from; NaN where unknown."""
    problem: npt.NDArray[np.object_]
    """Main problem; None where unknown."""
    risk: Floats
    """1 if the client reported thoughts of self-harm at intake, 0 if not, NaN if not asked."""
    tested: Bools

    def count(self, rows: Bools, therapists: int) -> Ints:
        """How many of these rows each therapist has."""
        return np.bincount(self.therapist[rows], minlength=therapists)


@dataclass(frozen=True)
class Known:
    """Every therapist of the dataset, in the order of their ids, with what the bundle expects of them."""

    looked_at: Examined
    profiles: pd.DataFrame
    opted_out: Bools

    @classmethod
    def of(cls, looked_at: Examined) -> "Known":
        """Everyone who has a profile, as it is at the end."""
        profiles = looked_at.snapshot.therapists().sort_values("therapist_id", ignore_index=True)
        every = looked_at.dataset["therapists"]
        flagged = every.loc[every["learning_opt_out"].fillna(False).to_numpy(dtype=bool), "therapist_id"]
        return cls(looked_at, profiles, profiles["therapist_id"].isin(flagged).to_numpy())

    @cached_property
    def ids(self) -> list[str]:
        """Ids in order."""
        return [str(one) for one in self.profiles["therapist_id"]]

    @cached_property
    def heads(self) -> list[str]:
        """Heads that rank."""
        return ranking_heads(self.looked_at.bundle)

    @cached_property
    def prepared(self) -> Prepared:
        """Everyone as the served bundle sees them."""
        bundle = self.looked_at.bundle
        return bundle.therapists(self.ids, {str(n): self.profiles[n] for n in self.profiles}, bundle.manifest.as_of)

    @cached_property
    def seen(self) -> Ints:
        """Past cases of each that the served bundle knows; of undated data, those learned from."""
        return self._counted(self.looked_at.bundle, np.ones(len(self.cases.therapist), dtype=bool))

    @cached_property
    def seen_before(self) -> Ints:
        """Past cases of each that were known before the test block."""
        tested = self.looked_at.tested is not None
        return self._counted(self.looked_at.asked, ~self.cases.tested if tested else self.cases.tested)

    def _counted(self, bundle: Bundle, rows: Bools) -> Ints:
        counts = bundle.records.counts["cases"]
        if np.isnan(counts).any():
            return self.cases.count(rows, len(self.ids))
        at = np.array([bundle.place.get(one, -1) for one in self.ids], dtype=np.int64)
        return np.concatenate([counts, [0.0]])[at].astype(np.int64)

    @cached_property
    def usual(self) -> Floats:
        """The client for whom effects are told."""
        return usual_client(self.looked_at.bundle)

    @cached_property
    def with_own(self) -> dict[str, Effect]:
        """By head what is expected of each with what their own cases say."""
        return {head: self.expected(head, self.usual) for head in self.heads}

    @cached_property
    def by_profile(self) -> dict[str, Effect]:
        """By head what the profile alone foretells."""
        return {head: effects(self.looked_at.bundle, head, self.prepared, self.usual, own=False) for head in self.heads}

    def expected(self, head: str, client: Floats) -> Effect:
        """What is expected of each with such a client."""
        return effects(self.looked_at.bundle, head, self.prepared, client)

    @cached_property
    def cases(self) -> Cases:
        """The episodes learned from, with what is known of their clients at intake."""
        looked_at, episodes = self.looked_at, self.looked_at.episodes
        clients = looked_at.snapshot.clients().set_index("client_id")
        problem = main_problem(clients["problems"]).reindex(episodes["client_id"]).astype(object)
        tested = np.ones(len(episodes), bool) if looked_at.tested is None else np.asarray(looked_at.blocks.test)
        return Cases(
            pd.Index(self.ids).get_indexer(episodes["therapist_id"]).astype(np.int64),
            _severity(looked_at, episodes),
            problem.where(problem.notna(), None).to_numpy(dtype=object),
            _risk(looked_at, episodes),
            tested,
        )

    @cached_property
    def values(self) -> dict[str, Floats]:
        """By head the result of every one of those episodes, NaN where it is not known."""
        looked_at = self.looked_at
        sds = dict(looked_at.bundle.manifest.intake_sds)
        sds = sds or intake_sds(looked_at.snapshot, looked_at.config.outcome.instruments)
        configs = [head for head in looked_at.config.heads if head.name in self.heads]
        return {
            head.name: target(head, looked_at.snapshot, looked_at.episodes, looked_at.config.outcome, sds).value
            for head in configs
        }

    def results(self, head: str, rows: Bools | None = None) -> Ints:
        """Own cases of each with a known result, of all or of some episodes."""
        known = ~np.isnan(self.values[head])
        return self.cases.count(known if rows is None else known & rows, len(self.ids))

    @cached_property
    def result_counts(self) -> dict[str, Ints]:
        """By head own cases of each with a known result."""
        return {head: self.results(head) for head in self.heads}

    def learns(self, head: str) -> bool:
        """Whether own results count in this head at all."""
        return self.looked_at.bundle.heads[head].solution.at_zero.size > 0

    def named(self, head: str) -> Bools:
        """Whose own results in this head count, and are enough to be told."""
        return (self.result_counts[head] >= FEWEST_CASES) & ~self.opted_out & self.learns(head)

    def told(self, head: str) -> Effect:
        """What is told of each: with own results where they are enough, else what the profile foretells."""
        own, profile, enough = self.with_own[head], self.by_profile[head], self.named(head)
        return Effect(np.where(enough, own.value, profile.value), np.where(enough, own.sd, profile.sd))


def _first_totals(looked_at: Examined) -> pd.DataFrame:
    measures = looked_at.snapshot.measures()
    return measures[(measures["session"] == 0) & (measures["rater"] == "client")]


def _severity(looked_at: Examined, episodes: pd.DataFrame) -> Floats:
    """As `features.rows.client_columns` has it: the mean share of the range over the instruments there are."""
    bundle, first = looked_at.bundle, _first_totals(looked_at)
    shares = []
    for name, (low, high) in bundle.severity_of.items():
        instrument, _, item = name.partition(".")
        mine = first[(first["instrument"] == instrument) & (first["item"] == item)]
        score = mine.drop_duplicates("episode_id").set_index("episode_id")["value"].reindex(episodes["episode_id"])
        shares.append((score.to_numpy(dtype=np.float64) - low) / (high - low))
    if not shares:
        return np.full(len(episodes), np.nan)
    given = ~np.isnan(np.array(shares))
    mean = np.nansum(shares, axis=0) / np.maximum(given.sum(axis=0), 1)
    z = (mean - bundle.design.severity_mean) / bundle.design.severity_sd
    found: Floats = np.where(given.any(axis=0), z, np.nan)
    return found


def _risk(looked_at: Examined, episodes: pd.DataFrame) -> Floats:
    """Whether any answer to an item about self-harm at intake was 1 or more."""
    first = _first_totals(looked_at)
    asked = {name: {str(item) for item in one.risk_items} for name, one in INSTRUMENTS.items() if one.risk_items}
    mine = [first[(first["instrument"] == name) & first["item"].isin(items)] for name, items in asked.items()]
    most = pd.concat(mine).groupby("episode_id")["value"].max().reindex(episodes["episode_id"])
    found: Floats = np.where(most.isna(), np.nan, (most >= 1).astype(np.float64))
    return found
