"""A contest on a synthetic clinic: contenders rank later clients, and the truth says how those chosen would have done.

Clients of the last months, whom no model has learned from, each with some eligible therapists. Two regimes: *free*
(everyone gets their first choice) and *full* (places exactly equal clients, so that only fit counts). The gain is the
true expected outcome of those chosen less that of the eligible on average. The *ceiling* knows the prognosis, the
match effects, what the profile predicts and all variances, and learns only each therapist's own deviations, from the
same rows.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import linear_sum_assignment

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.truth import Truth, floored
from features.policy import Policy
from training import baselines
from training.choosing import choose
from training.config import HeadConfig, TrainConfig
from training.learn import Learned, Material, learn_head
from training.material import gather
from training.scoring import Scored, score
from training.targets import Target, intake_sds, learnable, target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

ELIGIBLE = 20
PLACES = 3
OUTCOME = HeadConfig(name="outcome", source="outcome", weight=1.0)


@dataclass(frozen=True)
class Contest:
    """One clinic: what was learned, and clients with the therapists that have places, both as rows of the truth."""

    truth: Truth
    material: Material
    goal: Target
    learned: Learned
    pairs: Scored
    clients: Ints
    therapists: Ints
    luck: Floats
    """(clients, therapists): who is eligible for whom: the smallest of each row."""
    eligible: Bools

    def shaped(self, values: Floats) -> Floats:
        """Values of all pairs as a table: a row a client, a column a therapist."""
        return values.reshape(len(self.clients), len(self.therapists))

    def among(self, count: int | None) -> "Contest":
        """The same with that many eligible therapists for each client; None: all of them."""
        many = len(self.therapists) if count is None else min(count, len(self.therapists))
        return replace(self, eligible=self.luck <= np.sort(self.luck, axis=1)[:, [many - 1]])


def prepare(dataset: Dataset, truth: Truth, seed: int, config: TrainConfig | None = None) -> Contest:
    """Learns a head (the outcome) from everything known, and sets later clients beside therapists who have places.

    With a `config` that is its first head.
    """
    config = config or TrainConfig(heads=(OUTCOME,), seed=seed)
    head = config.heads[0]
    history = History(for_learning(dataset))
    snapshot = history.as_of(dataset.manifest.as_of)
    known = learnable(snapshot, config.split.wait_weeks)
    material = gather(history, known, choose(config, dataset, Policy.read()), config)
    sds = intake_sds(snapshot, config.outcome.instruments)
    goal = target(head, snapshot, known, config.outcome, sds)
    learned = learn_head(head, material, goal, config, config.fit)
    assert isinstance(learned, Learned)  # these clinics have results
    later = snapshot.episodes()
    later = later[later["therapist_id"].notna() & ~later["episode_id"].isin(known["episode_id"])]
    rng = np.random.default_rng(seed)
    staff = np.array(sorted(set(later["therapist_id"]) & set(material.therapist_ids)))
    staff = rng.permutation(staff)[: len(later) // PLACES]
    clients = later.iloc[np.sort(rng.permutation(len(later))[: len(staff) * PLACES])]
    everyone = clients.iloc[np.repeat(np.arange(len(clients)), len(staff))]
    everyone = everyone.assign(therapist_id=np.tile(staff, len(clients))).reset_index(drop=True)
    pairs = score(history, everyone, material)
    luck = rng.random((len(clients), len(staff)))
    of_truth = pd.Index(truth.episode_ids).get_indexer(clients["episode_id"]).astype(np.int64)
    their = pd.Index(truth.therapist_ids).get_indexer(staff).astype(np.int64)
    everything = np.ones(luck.shape, dtype=bool)
    return Contest(truth, material, goal, learned, pairs, of_truth, their, luck, everything).among(ELIGIBLE)


def free(said: Floats, eligible: Bools) -> Ints:
    """Everyone's own first choice: a column for each client."""
    return np.asarray(np.where(eligible, said, -np.inf).argmax(axis=1), dtype=np.int64)


def full(said: Floats, eligible: Bools) -> Ints:
    """The assignment with the highest sum when every therapist takes `PLACES` clients, as far as rules let it."""
    worth = np.repeat(np.where(eligible, said, said.min() - 100.0), PLACES, axis=1)
    rows, seats = linear_sum_assignment(-worth)
    return np.asarray(seats[np.argsort(rows)] // PLACES, dtype=np.int64)


def gain(values: Floats, chosen: Ints, eligible: Bools) -> float:
    """Mean value of those chosen less the mean of the eligible; clients left without an eligible place do not count."""
    rows = np.arange(len(chosen))
    served = eligible[rows, chosen]
    average = (values * eligible).sum(axis=1) / eligible.sum(axis=1)
    return float((values[rows, chosen] - average)[served].mean())


def true_outcomes(contest: Contest) -> Floats:
    """The true expected outcome of every client with every therapist, in outcome units."""
    return contest.truth.outcome(contest.clients[:, None], contest.therapists[None, :])


def ceiling(contest: Contest) -> Floats:
    """Expected outcomes when only therapists' own deviations have to be learned, with the true covariances."""
    truth, learned, material = contest.truth, contest.learned, contest.material
    ids = material.episodes["episode_id"].iloc[learned.rows]
    episodes = pd.Index(truth.episode_ids).get_indexer(ids).astype(np.int64)
    seen = (
        pd.Index(truth.therapist_ids).get_indexer(material.episodes["therapist_id"].iloc[learned.rows]).astype(np.int64)
    )
    residual = learned.target - _outcome(truth, episodes, truth.known_fit(episodes, seen))
    columns = _deviation_columns(truth, episodes)
    prior = truth.deviation_covariance()
    known = truth.known_fit(contest.clients[:, None], contest.therapists[None, :])
    mine = _deviation_columns(truth, contest.clients)
    for j, therapist in enumerate(contest.therapists):
        cases = seen == therapist
        known[:, j] += mine @ _posterior(columns[cases], residual[cases], prior[therapist], truth, residual.var())
    return _outcome(truth, contest.clients[:, None], known)


def expressible(contest: Contest) -> Floats:
    """The ceiling with its match effects only as far as the model's own match columns can say them."""
    pairs, shape = contest.pairs.design.pair(contest.pairs.blocks["pair"]), contest.eligible.shape
    columns = np.column_stack([_centred(column.reshape(shape)).ravel() for column in pairs.T])
    parts = contest.truth.parts(contest.clients[:, None], contest.therapists[None, :])
    match = sum(np.broadcast_to(part, shape) for name, part in parts.items() if name.startswith("match:"))
    said = columns @ np.linalg.lstsq(columns, _centred(np.asarray(match)).ravel(), rcond=None)[0]
    return ceiling(contest) - _centred(np.asarray(match)) + said.reshape(shape)


def _centred(pairs: Floats) -> Floats:
    centred: Floats = pairs - pairs.mean(axis=0) - pairs.mean(axis=1, keepdims=True) + pairs.mean()
    return centred


def _posterior(columns: Floats, residual: Floats, joint: Floats, truth: Truth, noise: float) -> Floats:
    prior = np.zeros((columns.shape[1], columns.shape[1]))
    prior[:2, :2] = joint
    strengths = np.arange(2, columns.shape[1])
    prior[strengths, strengths] = truth.effects.problem_sd**2
    spread = columns @ prior @ columns.T + noise * np.eye(len(columns))
    return np.asarray(prior @ columns.T @ np.linalg.solve(spread, residual))


def _deviation_columns(truth: Truth, episodes: Ints) -> Floats:
    """1, severity, and 1 for the client's problem."""
    problem = truth.clients.problem[truth.client_of[episodes]]
    words = np.arange(truth.effects.problem.shape[-1])
    return np.column_stack([np.ones(len(episodes)), truth.severity[episodes], problem[:, None] == words])


def _outcome(truth: Truth, episodes: Ints, fit: Floats) -> Floats:
    """Expected outcome for a given fit, as `Truth.outcome` has it for the true one."""
    composite = truth.composite[episodes]
    return np.asarray(composite - floored(composite - truth.needs.prognosis[episodes] - fit))


def one_model(contest: Contest, seed: int) -> Floats:
    """What one boosted model of everything known of client, therapist and match says of all pairs."""
    return contest.shaped(baselines.one_model(contest.material, contest.learned, seed)(contest.pairs))
