"""Planted effects of the synthetic clinic are recovered within their intervals."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.clinic import simulate
from data.synthetic.plan import Arm, Plan
from data.synthetic.truth import Truth
from training.border import Border
from training.config import DEFAULT_HEADS, FitConfig, TrainConfig
from training.head import PairPosterior, used_effects
from training.learn import Learned, learn_head
from training.mixed import criterion, fit
from training.run import Trained, train
from training.scoring import score
from training.sums import Sums
from training.targets import target

Floats = npt.NDArray[np.float64]
Planted = tuple[Trained, Dataset, Truth]
CLIENTS = 100
CHI2_95 = 3.841
ALONE = FitConfig(columns=False, slope=False, strengths=False)


@pytest.fixture(scope="module")
def small(trained: Trained, clinic: tuple[Dataset, Truth]) -> Planted:
    return (trained, *clinic)


@pytest.fixture(scope="module", params=["base", "main-only", "confounded"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return planted(request.param, tmp_path_factory.mktemp(request.param))


def planted(arm: Arm, folder: Path, episodes: int = 6000, therapists: int = 90, seed: int = 11) -> Planted:
    dataset, truth = simulate(Plan(arm=arm, episodes=episodes, therapists=therapists, seed=seed))
    config = TrainConfig(bootstraps=50, heads=DEFAULT_HEADS[:2])
    return train(dataset, config, folder / "bundle"), dataset, truth


def truly(clinic: Planted, head: str, clients: int = CLIENTS) -> Iterator[tuple[PairPosterior, Floats]]:
    """Posterior of some past clients with every therapist learned from, each beside the true fits."""
    found, dataset, truth = clinic
    material, learned = found.material, found.bundle.heads[head]
    some = np.random.default_rng(0).permutation(len(material.episodes))[:clients]
    ids = list(material.therapist_ids)
    pairs = material.episodes.iloc[np.repeat(some, len(ids))]
    pairs = pairs.assign(therapist_id=np.tile(ids, len(some))).reset_index(drop=True)
    seen = score(History(for_learning(dataset)), pairs, material)
    ranking = material.design.ranking_part(seen.blocks)
    effects = seen.effects[:, used_effects(material.design, learned.info.parts)]
    row_of = {name: row for row, name in enumerate(truth.episode_ids)}
    column_of = {name: row for row, name in enumerate(truth.therapist_ids)}
    therapists = np.array([column_of[name] for name in ids])
    true_fit = truth.fit if head == "outcome" else truth.alliance
    for number, episode in enumerate(material.episodes["episode_id"].iloc[some]):
        rows = slice(number * len(ids), (number + 1) * len(ids))
        posterior = learned.posterior(ranking[rows], effects[rows], np.arange(len(ids)))
        yield posterior, true_fit(np.array([row_of[episode]]), therapists)


def coverage(clinic: Planted, head: str) -> tuple[float, float]:
    """How often 95 % intervals of gains hold the true gain, and the slope of true on estimated gains."""
    inside, cross, own = [], 0.0, 0.0
    for posterior, true in truly(clinic, head):
        gain, truth = posterior.mean - posterior.mean.mean(), true - true.mean()
        inside.append(np.abs(gain - truth) < 1.96 * posterior.gain_sd())
        cross, own = cross + float(gain @ truth), own + float(gain @ gain)
    return float(np.mean(inside)), cross / own


def without_columns(clinic: Planted) -> tuple[Learned, npt.NDArray[np.int64], int]:
    """Outcome learned with a therapist intercept alone; the therapist of each row, and how many there are."""
    found, dataset, _ = clinic
    material, config = found.material, TrainConfig()
    snapshot = History(for_learning(dataset)).as_of(dataset.manifest.as_of)
    goal = target(DEFAULT_HEADS[0], snapshot, material.episodes, config.outcome, found.bundle.manifest.intake_sds)
    learned = learn_head(DEFAULT_HEADS[0], material, goal, config, ALONE)
    assert isinstance(learned, Learned)
    return learned, material.therapist[learned.rows], len(material.therapist_ids)


def therapist_variance(clinic: Planted) -> tuple[float, float, float]:
    """Variance between therapists' mean effects on outcome: its 95 % profile interval, and the truth."""
    learned, therapist, count = without_columns(clinic)
    shape = Border.of(clinic[0].bundle.design, {}, ALONE).structure(clinic[0].bundle.design, ALONE, "gaussian")
    ones = np.ones((len(learned.rows), 1))
    sums = Sums.of(learned.border, ones, learned.target, therapist, count, learned.weight)
    best = fit(sums, shape)
    sds = np.linspace(0.0, 1.0, 201)
    profile = np.array([criterion(sums, shape, np.r_[sd, best.theta[1:]])[0] for sd in sds])
    inside = sds[profile < best.criterion + CHI2_95] * np.sqrt(best.noise)
    return float(inside.min() ** 2), float(inside.max() ** 2), float(mean_effects(clinic).var(ddof=1))


def skill(clinic: Planted) -> tuple[float, float, float]:
    """Outcome gained per SD of interpersonal skill, as a fixed effect: estimate, its SD, and the truth.

    Not shrunken, as it is in a bundle. The truth is the slope of these therapists' mean effects on their skill: skilled
    therapists are also more expressive, which has planted effects of its own.
    """
    learned, therapist, count = without_columns(clinic)
    design, material = clinic[0].bundle.design, clinic[0].material
    place = design.therapist.names.index("interpersonal_skill")
    column = (design.therapist(material.blocks["therapist"])[:, place] / design.therapist.sd[place])[learned.rows]
    border = np.column_stack([learned.border, column])
    sums = Sums.of(border, np.ones((len(border), 1)), learned.target, therapist, count, learned.weight)
    shape = Border.of(design, {}, ALONE).structure(design, ALONE, "gaussian")
    solution = fit(sums, replace(shape, border=shape.border + 1))
    of_therapist = np.bincount(therapist, column, count) / np.maximum(np.bincount(therapist, minlength=count), 1)
    truth = np.polyfit(of_therapist, mean_effects(clinic), 1)[0]
    return float(solution.b[-1]), float(np.sqrt(solution.b_cov[-1, -1])), float(truth)


def mean_effects(clinic: Planted) -> Floats:
    """The true fit of every therapist, averaged over clients."""
    means: Floats = np.mean([true for _, true in truly(clinic, "outcome")], axis=0)
    return means


@pytest.mark.parametrize("head", ["outcome", "alliance"])
def test_intervals_of_gains_hold_the_true_gains(small: Planted, head: str):
    inside, slope = coverage(small, head)
    assert inside > 0.87
    assert 0.5 < slope < 1.5


def test_the_interval_of_the_therapist_variance_holds_the_true_one(small: Planted):
    low, high, truth = therapist_variance(small)
    assert low < truth < high


def test_interpersonal_skill_helps_by_about_as_much_as_was_planted(small: Planted):
    estimate, sd, truth = skill(small)
    assert estimate > 0
    assert abs(estimate - truth) < 2.58 * sd  # 99 %: one clinic, and one in twenty would miss 95 %


@pytest.mark.prove
def test_of_ten_small_clinics_at_least_eight_intervals_hold_what_was_planted(tmp_path: Path):
    clinics = [planted("base", tmp_path / str(seed), 1500, 40, seed) for seed in range(20, 30)]
    skills = [skill(clinic) for clinic in clinics]
    variances = [therapist_variance(clinic) for clinic in clinics]
    assert sum(abs(estimate - truth) < 1.96 * sd for estimate, sd, truth in skills) >= 8
    assert sum(low < truth < high for low, high, truth in variances) >= 8


@pytest.mark.prove
@pytest.mark.parametrize("head", ["outcome", "alliance"])
def test_intervals_of_gains_hold_the_true_gains_in_a_larger_clinic(large: Planted, head: str):
    inside, slope = coverage(large, head)
    # The clinic has match effects of shapes that no column has: pairs differ by more than the model can say.
    assert inside > (0.9 if large[2].plan.arm == "main-only" else 0.75)
    assert 0.7 < slope < 1.4


@pytest.mark.prove
def test_the_interval_of_the_therapist_variance_holds_the_true_one_in_a_larger_clinic(large: Planted):
    low, high, truth = therapist_variance(large)
    assert 0 < low < truth < high


@pytest.mark.prove
def test_interpersonal_skill_helps_by_about_as_much_as_was_planted_in_a_larger_clinic(large: Planted):
    estimate, sd, truth = skill(large)
    assert estimate > 0
    assert abs(estimate - truth) < 1.96 * sd
