"""Learning one head: weights for missing results, the parts of a fit, and what a binary head converges to."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from training.border import Border
from training.config import FitConfig, HeadConfig, PrognosisConfig, TrainConfig
from training.head import joint_effects, used_effects
from training.learn import Learned, learn_head, observation_weights
from training.prognosis import Trees, learn, learn_fills
from training.run import Trained
from training.targets import Target

NOTHING = FitConfig(therapist=False, slope=False, strengths=False, columns=False)


def target(value: np.ndarray, possible: np.ndarray | None = None) -> Target:
    everyone = np.ones(len(value), bool)
    none = pd.DataFrame(index=range(len(value)))
    return Target("head", value, everyone if possible is None else possible, ~everyone, none)


# --- weights --------------------------------------------------------------------------------------------------------


def half_missing(seed: int = 0) -> tuple[Target, np.ndarray]:
    """A column of clients, and results that are known more often where it is high."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2000, 1))
    seen = rng.random(2000) < 1 / (1 + np.exp(-1.5 * x[:, 0]))
    return target(np.where(seen, x[:, 0], np.nan)), x


def test_weights_bring_the_mean_of_those_seen_to_that_of_everyone():
    found, x = half_missing()
    weight = observation_weights(found, x)
    seen = found.known
    assert x[seen].mean() > 0.4
    assert np.average(x[seen, 0], weights=weight[seen]) == pytest.approx(x.mean(), abs=0.12)


def test_no_weight_is_above_five():
    found, x = half_missing()
    assert observation_weights(found, 4 * x).max() <= 5.0


def test_everyone_counts_once_where_nothing_is_missing():
    assert (observation_weights(target(np.arange(100.0)), np.ones((100, 1))) == 1).all()


def test_whoever_could_not_have_had_a_result_is_not_weighted_for():
    found, x = half_missing()
    possible = found.known
    assert (observation_weights(target(found.value, possible), x) == 1).all()


def test_weights_that_a_target_brings_along_count(trained: Trained):
    n = len(trained.material.episodes)
    goal = target(np.random.default_rng(0).normal(size=n))
    brought = np.linspace(0.5, 1.5, n)
    head = HeadConfig(name="head", source="measure:phq9@1", weight=1)
    config = TrainConfig(prognosis=PrognosisConfig(boosted=False))
    found = learn_head(head, trained.material, replace(goal, weight=brought), config, NOTHING)
    assert isinstance(found, Learned)
    assert found.weight == pytest.approx(brought)


# --- what is left out -----------------------------------------------------------------------------------------------


def again(trained: Trained, value: np.ndarray, kind: str = "gaussian", parts: FitConfig | None = None) -> Learned | str:
    """A head learned from other labels on the material of the shared run."""
    head = HeadConfig(name="head", source="measure:phq9@1", kind=kind, weight=1)
    return learn_head(head, trained.material, target(value), TrainConfig(), parts or FitConfig())


def test_a_head_with_too_few_labels_or_only_one_kind_says_so(trained: Trained):
    n = len(trained.material.episodes)
    few = np.where(np.arange(n) < 49, np.arange(n) / n, np.nan)
    assert again(trained, few) == "49 labels; at least 50 are needed"
    assert again(trained, np.ones(n), "binary") == "only one class"
    assert again(trained, np.ones(n)) == "all labels are equal"


# --- what is learned ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted(trained: Trained) -> tuple[np.ndarray, np.ndarray]:
    """Labels made of severity and of a strong effect of each therapist, and those effects."""
    rng = np.random.default_rng(1)
    material = trained.material
    effects = rng.normal(size=len(material.therapist_ids))
    severity = np.nan_to_num(material.clients.number("severity"))
    noise = 0.5 * rng.normal(size=len(severity))
    return 3 * severity + effects[material.therapist] + noise, effects


def test_a_planted_therapist_effect_is_found(trained: Trained, planted: tuple[np.ndarray, np.ndarray]):
    found = again(trained, planted[0])
    assert isinstance(found, Learned)
    cases = np.bincount(trained.material.therapist)
    own = found.head.mean(trained.material.ranking, trained.material.effects, trained.material.therapist)
    by_therapist = np.bincount(trained.material.therapist, own) / cases
    assert np.corrcoef(by_therapist[cases > 10], planted[1][cases > 10])[0, 1] > 0.95


def test_the_therapist_effect_of_a_binary_head_is_found_too(trained: Trained, planted: tuple[np.ndarray, np.ndarray]):
    label = (planted[0] > np.median(planted[0])).astype(float)
    found = again(trained, label, "binary")
    assert isinstance(found, Learned)
    cases = np.bincount(trained.material.therapist)
    own = found.head.mean(trained.material.ranking, trained.material.effects, trained.material.therapist)
    by_therapist = np.bincount(trained.material.therapist, own) / cases
    assert np.corrcoef(by_therapist[cases > 10], planted[1][cases > 10])[0, 1] > 0.9


def test_a_binary_head_without_anything_to_fit_expects_the_share_seen(trained: Trained):
    rng = np.random.default_rng(0)
    label = (rng.random(len(trained.material.episodes)) < 0.3).astype(float)
    found = learn_head(
        HeadConfig(name="head", source="measure:phq9@1", kind="binary", weight=1),
        trained.material,
        target(label),
        TrainConfig(prognosis=PrognosisConfig(boosted=False)),
        NOTHING,
    )
    assert isinstance(found, Learned)
    assert (found.target - found.residual()).mean() == pytest.approx(label.mean(), abs=1e-4)


def test_a_baseline_without_therapists_tells_no_two_apart(trained: Trained, planted: tuple[np.ndarray, np.ndarray]):
    found = again(trained, planted[0], parts=NOTHING)
    assert isinstance(found, Learned)
    columns, effects = np.zeros((4, 0)), np.zeros((4, 0))
    assert found.head.mean(columns, effects, np.array([0, 1, 2, -1])).tolist() == [0, 0, 0, 0]


def test_parts_of_the_fit_have_the_effects_they_name(trained: Trained):
    design = trained.material.design
    assert [design.effects[i] for i in used_effects(design, FitConfig(slope=False))] == [
        "therapist",
        *(f"strength.{problem}" for problem in design.problems),
    ]
    assert list(joint_effects(design, NOTHING)) == []
    assert Border.of(design, {}, NOTHING).structure(design, NOTHING, "gaussian").width == 0
    assert Border.of(design, {}, FitConfig()).structure(design, FitConfig(), "binary").dispersion == 1.0
    assert Border.of(design, {}, FitConfig()).structure(design, FitConfig(), "gaussian").dispersion is None


# --- prognosis ------------------------------------------------------------------------------------------------------


def rows(n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3))
    return x, 2.0 * (x[:, 0] > 0) + 0.3 * rng.normal(size=n), rng.permutation(np.arange(n) % 5)


def test_the_prognosis_of_a_row_has_not_seen_the_row():
    x, y, fold = rows()
    other = y.copy()
    other[fold == 2] = np.random.default_rng(1).permutation(y[fold == 2])  # the mean of all stays
    config = PrognosisConfig(rounds=1)  # the number of rounds is chosen over all folds
    before, after = (
        learn(x, labels, np.ones(600), fold, "gaussian", config, 0, np.zeros(600)) for labels in (y, other)
    )
    assert after.crossed[fold == 2] == pytest.approx(before.crossed[fold == 2], rel=1e-12)
    assert np.abs(after.crossed - before.crossed)[fold != 2].max() > 1e-3


def test_the_prognosis_leaves_the_fit_to_the_fit():
    x, y, fold = rows()
    fit = 2.0 * (x[:, 0] > 0)
    found = learn(x, y, np.ones(600), fold, "gaussian", PrognosisConfig(rounds=50), 0, fit - fit.mean())
    assert np.ptp(found.crossed) < 0.5


@pytest.mark.parametrize("config", [PrognosisConfig(boosted=False), PrognosisConfig(fewest_in_leaf=400)])
def test_without_trees_the_prognosis_is_the_weighted_mean(config: PrognosisConfig):
    x, y, fold = rows()
    weight = np.linspace(0.5, 2, 600)
    found = learn(x, y, weight, fold, "gaussian", config, 0, np.zeros(600))
    assert found.crossed == pytest.approx(np.full(600, np.average(y, weights=weight)))
    assert Trees(found.trees, found.constant, found.fills).predict(x[:2]) == pytest.approx(found.crossed[:2])


def test_trees_read_back_from_text_predict_the_same():
    x, y, fold = rows()
    found = learn(x, y, np.ones(600), fold, "gaussian", PrognosisConfig(rounds=30), 0, np.zeros(600))
    first, again = (Trees(found.trees, found.constant, found.fills).predict(x) for _ in range(2))
    assert first.tolist() == again.tolist()
    assert np.corrcoef(first, y)[0, 1] > 0.9


def test_a_column_never_missing_in_training_counts_as_its_mean_where_it_is_missing_later():
    x, _, fold = rows()
    x[:, 0] += 20.0  # an unknown taken for 0 would be far below everyone
    y = 2.0 * (x[:, 0] > 20.0)
    found = learn(x, y, np.ones(600), fold, "gaussian", PrognosisConfig(rounds=30), 0, np.zeros(600))
    trees = Trees(found.trees, found.constant, found.fills)
    asked = np.tile([[np.nan, 0.3, -0.2]], (2, 1))
    asked[1, 0] = x[:, 0].mean()
    assert trees.predict(asked)[0] == trees.predict(asked)[1]
    assert Trees(found.trees, found.constant, np.full(3, np.nan)).predict(asked)[0] < 0.3  # what it would have been


def test_trees_keep_what_they_learned_of_a_column_that_is_often_missing():
    x, _, fold = rows()
    x[:200, 0] = np.nan
    y = np.where(np.isnan(x[:, 0]), 3.0, 0.0)
    found = learn(x, y, np.ones(600), fold, "gaussian", PrognosisConfig(), 0, np.zeros(600))
    assert np.isnan(found.fills).tolist() == [True, False, False]
    said = Trees(found.trees, found.constant, found.fills).predict(np.array([[np.nan, 0, 0], [0.1, 0, 0]]))
    assert said == pytest.approx([3.0, 0.0], abs=0.2)


def test_a_column_that_hardly_anyone_lacks_is_filled_and_one_that_everyone_lacks_is_left():
    x = np.column_stack([np.arange(10.0), np.full(10, np.nan), np.r_[np.nan, np.ones(9)]])
    assert learn_fills(x, 3) == pytest.approx([4.5, np.nan, 1.0], nan_ok=True)
    assert learn_fills(x, 1) == pytest.approx([4.5, np.nan, np.nan], nan_ok=True)


def test_a_client_without_intake_scores_is_expected_to_do_as_one_of_average_severity(trained: Trained):
    """The columns of severity, never missing among clients with an outcome, are missing here."""
    head, material = trained.bundle.heads["outcome"], trained.material
    learned = material.blocks["client"][~np.isnan(material.blocks["client"]).any(axis=1)]
    names = list(material.features.columns_of("client"))
    scores = [i for i, name in enumerate(names) if name in ("severity", "phq9_intake", "gad7_intake")]
    assert len(scores) == 3
    assert not np.isnan(head.fills[scores]).any()
    without, average = learned[:20].copy(), learned[:20].copy()
    without[:, scores], average[:, scores] = np.nan, head.fills[scores]
    trees = Trees(head.trees, head.constant, head.fills)
    assert trees.predict(without).tolist() == trees.predict(average).tolist()


def test_columns_of_which_the_field_expects_something_have_variances_of_their_own(trained: Trained) -> None:
    design, material = trained.bundle.design, trained.material
    shape = Border.of(design, material.expected, FitConfig()).structure(design, FitConfig(), "gaussian")
    groups = [{design.names[i] for i in group} for group in shape.shrunken]
    assert {"interpersonal_skill"} in groups
    assert any({"wishes_met", "directiveness_gap", "main_problem_trained"} <= group for group in groups)
    assert not any({"wishes_met", "cases"} <= group for group in groups)
    grouped = [i for group in shape.shrunken for i in group]
    assert sorted([0, 1, *grouped]) == list(range(shape.border))
