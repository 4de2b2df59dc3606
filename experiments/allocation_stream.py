"""Later clients of a synthetic clinic in the order of their referral, and what choosing by a rule brings them.

Everyone matched after the last day that could be learned from; each therapist has as many places as makes places equal
clients. Demand is what the clinic saw before the first of them: the clients it learned from, with the same number of
eligible therapists. Appointments are drawn: a day within four weeks for each place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History, main_problem
from data.synthetic.truth import Truth
from experiments.contest import Contest
from training.prices import Demand, place_in_turn
from training.scoring import score

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

RECENT = 1000
"""Clients before the first of the stream, from whom prices are learned."""
EVERY = 4
"""Prices are learned again after so many clients."""
LAST_DAY = 28
FEWEST = 30
"""Clients that make a group whose mean is looked at."""


@dataclass(frozen=True)
class Stream:
    """Clients (rows) in the order of their referral, with all therapists (columns) of the contest."""

    said: Floats
    """Predicted outcome, in SD."""
    true: Floats
    """True expected outcome, in SD."""
    luck: Floats
    earlier: Floats
    earlier_luck: Floats
    places: Ints
    days: Floats
    """(therapists, places): days until each appointment, soonest first."""
    severity: Floats
    risk: Bools
    groups: Mapping[str, Bools]
    eligible: Bools

    def among(self, count: int | None) -> "Stream":
        """The same with that many eligible therapists for each client; None: all."""
        return replace(self, eligible=_smallest(self.luck, count))

    def gains(self, values: Floats) -> Floats:
        """Values less the mean over each client's eligible therapists."""
        return _centred(values, self.eligible)

    def demand(self, count: int | None) -> Demand:
        """What the clinic saw before the first client."""
        eligible = _smallest(self.earlier_luck, count)
        return Demand.of(_centred(self.earlier, eligible), eligible)


def stream_of(contest: Contest, dataset: Dataset, truth: Truth, seed: int) -> Stream:
    """Everyone who was matched after the last episode learned from, and who came before them."""
    history = History(for_learning(dataset))
    episodes = history.as_of(dataset.manifest.as_of).episodes()
    later = episodes[episodes["therapist_id"].notna()]
    later = later[~later["episode_id"].isin(contest.material.episodes["episode_id"])]
    therapists = len(contest.therapists)
    places = len(later) // therapists
    rng = np.random.default_rng(seed)
    later = later.iloc[rng.permutation(len(later))[: places * therapists]].sort_values(["referred_on", "episode_id"])
    earlier = contest.material.episodes.sort_values(["matched_on", "episode_id"]).tail(RECENT)
    rows = pd.Index(truth.episode_ids).get_indexer(later["episode_id"])
    sd = contest.learned.head.info.sd
    said = _said(contest, history, truth, later)
    return Stream(
        said=said,
        true=truth.outcome(rows[:, None], contest.therapists[None, :]) / sd,
        luck=rng.random(said.shape),
        earlier=_said(contest, history, truth, earlier),
        earlier_luck=rng.random((len(earlier), therapists)),
        places=np.full(therapists, places),
        days=np.sort(rng.integers(1, LAST_DAY + 1, (therapists, places)), axis=1).astype(np.float64),
        severity=truth.severity[rows],
        risk=later["episode_id"].isin(_at_risk(dataset)).to_numpy(),
        groups=groups_of(dataset, later["client_id"]),
        eligible=np.ones(said.shape, dtype=bool),
    )


def groups_of(dataset: Dataset, client_ids: pd.Series) -> dict[str, Bools]:
    """Groups of clients of at least `FEWEST`; unknown is a group of its own."""
    clients = dataset["clients"].set_index("client_id").loc[client_ids]
    deprivation = pd.cut(clients["deprivation_decile"].astype("float64"), [0, 3, 7, 10], labels=["1-3", "4-7", "8-10"])
    columns = {
        "gender": clients["gender"],
        "ethnicity": clients["ethnicity"],
        "deprivation": deprivation.astype("object"),
        "problem": main_problem(clients["problems"]),
    }
    found: dict[str, Any] = {}
    for name, column in columns.items():
        words = column.astype("object").where(column.notna(), "unknown").to_numpy()
        found |= {f"{name}={word}": mask for word in sorted(set(words)) if (mask := words == word).sum() >= FEWEST}
    return found


def policies(stream: Stream, count: int | None, seed: int) -> dict[str, Ints]:
    """Whom each rule places with whom: (clients,) columns, -1 for those left without a place that they may take."""
    gains = stream.gains(stream.said)
    chance = np.random.default_rng(seed).random(gains.shape)
    return {
        "optimum": optimum(gains, stream.eligible, stream.places),
        "prices": place_in_turn(gains, stream.eligible, stream.places, stream.demand(count), EVERY),
        "greedy": in_turn(gains, stream),
        "next_available": in_turn(None, stream),
        "random": in_turn(chance, stream),
    }


def optimum(gains: Floats, eligible: Bools, places: Ints) -> Ints:
    """What hindsight would choose: as many as can be placed, at the highest sum."""
    seat = np.repeat(np.arange(len(places)), places)
    worth = np.where(eligible, gains, -100.0)[:, seat]
    rows, seats = linear_sum_assignment(-worth)
    chosen = np.full(len(gains), -1, dtype=np.int64)
    chosen[rows] = seat[seats]
    return np.where(eligible[np.arange(len(gains)), np.maximum(chosen, 0)], chosen, -1)


def in_turn(score_of: Floats | None, stream: Stream) -> Ints:
    """Everyone takes the highest score that has a place left, without prices; None: the soonest appointment."""
    used = np.zeros(len(stream.places), dtype=np.int64)
    chosen = np.full(len(stream.eligible), -1, dtype=np.int64)
    for client, eligible in enumerate(stream.eligible):
        possible = eligible & (used < stream.places)
        if possible.any():
            values = -_next_day(stream.days, used) if score_of is None else score_of[client]
            chosen[client] = int(np.where(possible, values, -np.inf).argmax())
            used[chosen[client]] += 1
    return chosen


def extra_wait(stream: Stream, chosen: Ints) -> Floats:
    """Days that each placed client waits beyond the soonest appointment that was left for them in their turn."""
    used = np.zeros(len(stream.places), dtype=np.int64)
    extra = []
    for client, therapist in enumerate(chosen.tolist()):
        if therapist >= 0:
            day = np.where(stream.eligible[client] & (used < stream.places), _next_day(stream.days, used), np.inf)
            extra.append(day[therapist] - day.min())
            used[therapist] += 1
    return np.array(extra)


def taken(values: Floats, chosen: Ints) -> Floats:
    """Each client's value with the therapist chosen; 0, the mean of the eligible, for those without a place."""
    found = values[np.arange(len(chosen)), np.maximum(chosen, 0)]
    return np.where(chosen >= 0, found, 0.0)


def lowest_group(values: Floats, chosen: Ints, other: Ints, groups: Mapping[str, Bools]) -> float:
    """The smallest difference over groups between the means of two choices: how the group worst served fares."""
    ours, theirs = taken(values, chosen), taken(values, other)
    return min(float(ours[mask].mean() - theirs[mask].mean()) for mask in groups.values())


def mix(chosen: Ints, severity: Floats, risk: Bools, therapists: int) -> dict[str, float]:
    """How new clients are spread over therapists: SD and highest of their mean severity and of their share at risk."""
    placed = chosen >= 0
    load = np.bincount(chosen[placed], minlength=therapists)
    has = load > 0
    mean = np.bincount(chosen[placed], severity[placed], therapists)[has] / load[has]
    share = np.bincount(chosen[placed], risk[placed].astype(np.float64), therapists)[has] / load[has]
    return {
        "severity_mean": float(mean.mean()),
        "severity_sd": float(mean.std()),
        "severity_max": float(mean.max()),
        "risk_mean": float(share.mean()),
        "risk_sd": float(share.std()),
        "risk_max": float(share.max()),
    }


def _said(contest: Contest, history: History, truth: Truth, episodes: pd.DataFrame) -> Floats:
    """The fit expected of every client with every therapist of the contest, in outcome SD."""
    staff = truth.therapist_ids[contest.therapists]
    everyone = episodes.iloc[np.repeat(np.arange(len(episodes)), len(staff))]
    everyone = everyone.assign(therapist_id=np.tile(staff, len(episodes))).reset_index(drop=True)
    head = contest.learned.head
    fits = score(history, everyone, contest.material).fit(head, contest.material.place)
    return fits.reshape(len(episodes), len(staff)) / head.info.sd


def _at_risk(dataset: Dataset) -> set[str]:
    """Episodes with any answer but 0 to the question about self-harm at intake."""
    measures = dataset["measures"]
    asked = measures[(measures["session"] == 0) & (measures["instrument"] == "phq9") & (measures["item"] == "9")]
    return set(asked.loc[asked["value"] >= 1, "episode_id"])


def _next_day(days: Floats, used: Ints) -> Floats:
    return np.asarray(days[np.arange(len(days)), np.minimum(used, days.shape[1] - 1)])


def _smallest(luck: Floats, count: int | None) -> Bools:
    many = luck.shape[1] if count is None else min(count, luck.shape[1])
    return np.asarray(luck <= np.sort(luck, axis=1)[:, [many - 1]])


def _centred(values: Floats, eligible: Bools) -> Floats:
    mean = (values * eligible).sum(axis=1, keepdims=True) / eligible.sum(axis=1, keepdims=True)
    return np.asarray(values - mean)
