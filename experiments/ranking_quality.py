"""Does the ranking send clients to therapists with whom they do better? Synthetic clinics, where the truth is known.

Clients of the last months, whom no model has learned from, each with some eligible therapists. Two regimes: *free*
(everyone gets their first choice) and *full* (places exactly equal clients, so that only fit counts). The gain is the
true expected outcome of those chosen less that of the eligible on average, in outcome SD. The *ceiling* knows the
prognosis, the match effects, what the profile predicts and all variances, and learns only each therapist's own
deviations, from the same rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from data.synthetic.truth import Truth, floored
from features.policy import Policy
from training.choosing import choose
from training.config import HeadConfig, TrainConfig
from training.head import PairPosterior, used_effects
from training.learn import Learned, Material, learn_head
from training.material import gather
from training.ranking import Weighing, rank
from training.scoring import Scored, score
from training.targets import intake_sds, learnable, target

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ARMS: tuple[Arm, ...] = ("base", "confounded", "main-only", "null")
ELIGIBLE = 20
PLACES = 3
JUDGED = 150
"""Clients of each clinic for whom it is asked whether a difference is declared meaningful."""
LEAST_CEILING = 0.01
OUTCOME = HeadConfig(name="outcome", source="outcome", weight=1.0)
BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Trial:
    """One clinic: what was learned, and clients with the therapists that have places, both as rows of the truth."""

    truth: Truth
    material: Material
    learned: Learned
    pairs: Scored
    clients: Ints
    therapists: Ints
    eligible: npt.NDArray[np.bool_]

    def shaped(self, values: Floats) -> Floats:
        """Values of all pairs as a table: a row a client, a column a therapist."""
        return values.reshape(len(self.clients), len(self.therapists))


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 5,
    arms: Sequence[Arm] = ARMS,
    on_clinic: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Shares of the ceiling's gain, and what the model claims, for every arm; means over seeds, at 20 eligible."""
    found = {}
    for arm in arms:
        rows = []
        for seed in range(seeds):
            rows.append(measure(Plan(arm=arm, episodes=episodes, therapists=therapists, seed=seed)))
            if on_clinic is not None:
                on_clinic()
        found[arm] = summary(pd.DataFrame(rows), episodes)
    return {"synthetic": True, "eligible": ELIGIBLE, "seeds": seeds, "therapists": therapists, "arms": found}


def summary(rows: pd.DataFrame, episodes: int) -> dict[str, Any]:
    """Means over seeds, and ratios of means with an interval from resampling seeds."""
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(rows), (BOOTSTRAPS, len(rows)))
    claimed = rows["claimed_full"].to_numpy()[draws].mean(axis=1)
    ceiling = {regime: float(rows[f"ceiling_{regime}"].mean()) for regime in ("full", "free")}

    def share(name: str, regime: str) -> float | None:
        return None if ceiling[regime] < LEAST_CEILING else float(rows[f"{name}_{regime}"].mean() / ceiling[regime])

    ratio = rows["model_full"].to_numpy()[draws].mean(axis=1) / rows["ceiling_full"].to_numpy()[draws].mean(axis=1)
    wide = ceiling["full"] < LEAST_CEILING
    return {
        "episodes": episodes,
        "ceiling_d_full": ceiling["full"],
        "ceiling_d_free": ceiling["free"],
        "share_of_ceiling_full": share("model", "full"),
        "share_of_ceiling_full_low": None if wide else float(np.quantile(ratio, 0.025)),
        "share_of_ceiling_full_high": None if wide else float(np.quantile(ratio, 0.975)),
        "share_of_ceiling_free": share("model", "free"),
        "one_model_share_full": share("one_model", "full"),
        "one_model_share_free": share("one_model", "free"),
        "claimed_d_full": float(rows["claimed_full"].mean()),
        "claimed_d_full_low": float(np.quantile(claimed, 0.025)),
        "claimed_d_full_high": float(np.quantile(claimed, 0.975)),
        "abstained": float(rows["abstained"].mean()),
    }


def measure(plan: Plan) -> dict[str, float]:
    """Gains of the ceiling, the model and one boosted model on one clinic, in outcome SD."""
    trial = prepare(*simulate(plan), plan.seed)
    true = _true(trial)
    sd = trial.learned.head.info.sd
    model = trial.shaped(trial.pairs.fit(trial.learned.head, trial.material.place))
    scores = {"ceiling": _ceiling(trial), "model": model, "one_model": _one_model(trial, plan.seed)}
    found = {}
    for name, said in scores.items():
        found[f"{name}_free"] = gain(true, free(said, trial.eligible), trial.eligible) / sd
        found[f"{name}_full"] = gain(true, full(said, trial.eligible), trial.eligible) / sd
    found["claimed_full"] = gain(model, full(model, trial.eligible), trial.eligible) / sd
    found["abstained"] = abstained(trial)
    return found


def prepare(dataset: Dataset, truth: Truth, seed: int) -> Trial:
    """Learns the outcome from everything known, and sets later clients beside the therapists who have places."""
    config = TrainConfig(heads=(OUTCOME,), seed=seed)
    history = History(for_learning(dataset))
    snapshot = history.as_of(dataset.manifest.as_of)
    known = learnable(snapshot, config.split.wait_weeks)
    material = gather(history, known, choose(config, dataset, Policy.read()), config)
    sds = intake_sds(snapshot, config.outcome.instruments)
    learned = learn_head(OUTCOME, material, target(OUTCOME, snapshot, known, config.outcome, sds), config, config.fit)
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
    eligible = luck <= np.sort(luck, axis=1)[:, [min(ELIGIBLE, len(staff)) - 1]]
    of_truth = pd.Index(truth.episode_ids).get_indexer(clients["episode_id"]).astype(np.int64)
    their = pd.Index(truth.therapist_ids).get_indexer(staff).astype(np.int64)
    return Trial(truth, material, learned, pairs, of_truth, their, eligible)


def free(said: Floats, eligible: npt.NDArray[np.bool_]) -> Ints:
    """Everyone's own first choice: a column for each client."""
    return np.asarray(np.where(eligible, said, -np.inf).argmax(axis=1), dtype=np.int64)


def full(said: Floats, eligible: npt.NDArray[np.bool_]) -> Ints:
    """The assignment with the highest sum when every therapist takes `PLACES` clients, as far as rules let it."""
    worth = np.repeat(np.where(eligible, said, said.min() - 100.0), PLACES, axis=1)
    rows, seats = linear_sum_assignment(-worth)
    return np.asarray(seats[np.argsort(rows)] // PLACES, dtype=np.int64)


def gain(values: Floats, chosen: Ints, eligible: npt.NDArray[np.bool_]) -> float:
    """Mean value of those chosen less the mean of the eligible; clients left without an eligible place do not count."""
    rows = np.arange(len(chosen))
    served = eligible[rows, chosen]
    average = (values * eligible).sum(axis=1) / eligible.sum(axis=1)
    return float((values[rows, chosen] - average)[served].mean())


def abstained(trial: Trial) -> float:
    """Share of clients for whom no difference is declared meaningful."""
    head, design = trial.learned.head, trial.material.design
    weighing = Weighing(("outcome",), np.ones(1), np.array([head.info.sd]), np.eye(1))
    ids = trial.pairs.therapist_id
    position = np.array([trial.material.place[name] for name in ids], dtype=np.int64)
    ranking = design.ranking_part(trial.pairs.blocks)
    effects = trial.pairs.effects[:, used_effects(design, head.info.parts)]
    said = []
    for client in range(min(JUDGED, len(trial.clients))):
        rows = client * len(trial.therapists) + np.flatnonzero(trial.eligible[client])
        fit: PairPosterior = head.posterior(ranking[rows], effects[rows], position[rows])
        waits = np.full(len(rows), np.nan)
        said.append(rank({"outcome": fit}, weighing, waits, list(ids[rows]), groups_for=1).meaningful_difference)
    return 1.0 - float(np.mean(said))


def _true(trial: Trial) -> Floats:
    return trial.truth.outcome(trial.clients[:, None], trial.therapists[None, :])


def _ceiling(trial: Trial) -> Floats:
    """Expected outcomes when only therapists' own deviations have to be learned, with the true covariances."""
    truth, learned, material = trial.truth, trial.learned, trial.material
    ids = material.episodes["episode_id"].iloc[learned.rows]
    episodes = pd.Index(truth.episode_ids).get_indexer(ids).astype(np.int64)
    seen = (
        pd.Index(truth.therapist_ids).get_indexer(material.episodes["therapist_id"].iloc[learned.rows]).astype(np.int64)
    )
    residual = learned.target - _outcome(truth, episodes, truth.known_fit(episodes, seen))
    columns = _deviation_columns(truth, episodes)
    prior = truth.deviation_covariance()
    known = truth.known_fit(trial.clients[:, None], trial.therapists[None, :])
    mine = _deviation_columns(truth, trial.clients)
    for j, therapist in enumerate(trial.therapists):
        cases = seen == therapist
        known[:, j] += mine @ _posterior(columns[cases], residual[cases], prior[therapist], truth, residual.var())
    return _outcome(truth, trial.clients[:, None], known)


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


def _one_model(trial: Trial, seed: int) -> Floats:
    """One boosted model of everything known of client, therapist and match, its rounds cross-validated by client."""
    learned, material = trial.learned, trial.material
    x = np.column_stack([material.blocks[part] for part in ("client", "therapist", "pair")])[learned.rows]
    fold = material.fold[learned.rows]
    settings = {
        "objective": "regression",
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": 40,
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "verbose": -1,
    }
    whole = lightgbm.Dataset(x, learned.target, weight=learned.weight, params={"verbose": -1}, free_raw_data=False)
    found = lightgbm.cv(
        settings,
        whole,
        num_boost_round=400,
        folds=[(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in np.unique(fold)],
        callbacks=[lightgbm.early_stopping(30, verbose=False)],
    )
    errors: Any = next(iter(found.values()))
    rounds = max(len(errors), 1)
    booster = lightgbm.train(settings, whole, num_boost_round=rounds)
    blocks = trial.pairs.blocks
    wide = np.column_stack([blocks[part] for part in ("client", "therapist", "pair")])
    return trial.shaped(np.asarray(booster.predict(wide, num_threads=1)))


def table(result: dict[str, Any]) -> Table:
    """One line an arm; shares are of the ceiling's true gain."""
    title = f"SYNTHETIC: {result['therapists']} therapists, {result['eligible']} eligible, {result['seeds']} seeds"
    names = (
        "ceiling_d_full",
        "share_of_ceiling_full",
        "share_of_ceiling_free",
        "one_model_share_full",
        "claimed_d_full",
        "abstained",
    )
    grid = Table("arm", "episodes", *names, title=title)
    for arm, row in result["arms"].items():
        grid.add_row(arm, str(row["episodes"]), *("-" if row[name] is None else f"{row[name]:.3f}" for name in names))
    return grid
