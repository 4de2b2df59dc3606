"""Simpler ways to choose a therapist: each does what it says, on the shared run and on data with obvious answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.synthetic.truth import Truth
from training.baselines import (
    FEWEST_IN_DOMAIN,
    NEIGHBOURS,
    NOISE_TO_THERAPIST,
    learn_baselines,
    neighbours,
    of_head,
    one_model,
    preferences_only,
    risk_adjusted,
    top_rule,
)
from training.config import DEFAULT_HEADS, TrainConfig
from training.learn import Learned, Material
from training.run import Trained
from training.scoring import Scored, score
from training.targets import target

CONFIG = TrainConfig(bootstraps=50)
NAMES = {
    "next_available", "patient_only", "preferences_only", "therapist_mean", "therapist_severity_problem",
    "top_rule", "neighbours", "one_model", "one_model_with_id",
}  # fmt: skip


@pytest.fixture(scope="module")
def seen(clinic: tuple[Dataset, Truth], trained: Trained) -> Scored:
    """The pairs that the run learned from, scored as new ones are."""
    history = History(for_learning(clinic[0]))
    return score(history, trained.material.episodes, trained.material)


def among(scored: Scored, rows: np.ndarray, therapist: str | None = None) -> Scored:
    """Some of the pairs, or their clients with one therapist."""
    ids = scored.therapist_id[rows] if therapist is None else np.full(len(rows), therapist, dtype=object)
    return replace(
        scored, blocks={n: b[rows] for n, b in scored.blocks.items()}, effects=scored.effects[rows], therapist_id=ids
    )


def with_results(learned: Learned, result: np.ndarray) -> Learned:
    """The same rows with other risk-adjusted results."""
    return replace(learned, target=learned.first.crossed + result)


def of_therapist(trained: Trained, fewest: int) -> tuple[int, np.ndarray]:
    """A therapist with at least so many results, and where they stand among the rows learned from."""
    therapist = trained.material.therapist[trained.learned["outcome"].rows]
    one = int(np.flatnonzero(np.bincount(therapist) >= fewest)[0])
    return one, np.flatnonzero(therapist == one)


@pytest.mark.parametrize("head", DEFAULT_HEADS[:3], ids=lambda head: head.name)
def test_every_baseline_scores_every_pair(
    head: Any, clinic: tuple[Dataset, Truth], trained: Trained, seen: Scored
) -> None:
    material, learned = trained.material, trained.learned[head.name]
    snapshot = History(for_learning(clinic[0])).latest()
    goal = target(head, snapshot, material.episodes, CONFIG.outcome, dict(trained.bundle.manifest.intake_sds))
    found = learn_baselines(head, material, goal, CONFIG, learned)
    assert set(found) == NAMES
    for scores in found.values():
        said = scores(seen)
        assert said.shape == (len(seen.therapist_id),)
        assert np.isfinite(said).all()
    assert set(learn_baselines(head, material, goal, CONFIG, learned, ["neighbours"])) == {"neighbours"}


def test_whoever_is_free_first_is_no_better_than_another_and_nor_does_a_prognosis_tell_them_apart(
    clinic: tuple[Dataset, Truth], trained: Trained, seen: Scored
) -> None:
    head, material = DEFAULT_HEADS[0], trained.material
    snapshot = History(for_learning(clinic[0])).latest()
    goal = target(head, snapshot, material.episodes, CONFIG.outcome, dict(trained.bundle.manifest.intake_sds))
    names = ("next_available", "patient_only")
    for scores in learn_baselines(head, material, goal, CONFIG, trained.learned["outcome"], names).values():
        assert not scores(seen).any()


def test_preferences_count_wishes_met_and_dislikes_hit_and_nothing_else(trained: Trained, seen: Scored) -> None:
    names = trained.material.features.columns_of("pair")
    pair = np.full((3, len(names)), 0.7)
    wish, dislike = names.index("wishes_met"), names.index("dislikes_hit")
    pair[:, wish], pair[:, dislike] = [1.0, 0.5, np.nan], [0.0, 1.0, 0.5]
    three = among(seen, np.arange(3))
    three = replace(three, blocks={**three.blocks, "pair": pair})
    assert preferences_only(trained.material)(three).tolist() == [1.0, -0.5, -0.5]


def test_a_therapist_without_a_case_is_average_to_those_that_only_count_cases(trained: Trained, seen: Scored) -> None:
    stranger = among(seen, np.arange(5), "never-seen-0")
    learned = trained.learned["outcome"]
    makers: tuple[Callable[[Material, Learned], Any], ...] = (top_rule, neighbours)
    for make in makers:
        assert not make(trained.material, learned)(stranger).any()


def test_the_rule_by_domain_knows_effective_and_ineffective_therapists_and_calls_the_others_neutral(
    trained: Trained, seen: Scored
) -> None:
    material, learned = trained.material, trained.learned["outcome"]
    one, rows = of_therapist(trained, FEWEST_IN_DOMAIN)
    rng = np.random.default_rng(0)
    noise = 1e-3 * rng.normal(size=len(learned.rows))
    alternating = np.where(np.arange(len(learned.rows)) % 2, 0.5, -0.5)
    for result in (0.4, -0.4):
        lifted = alternating.copy()
        lifted[rows] = result + noise[rows]
        said = top_rule(material, with_results(learned, lifted))(
            among(seen, np.arange(200), material.therapist_ids[one])
        )
        assert (np.sign(said) == np.sign(result)).all()
        assert np.abs(said).max() <= 0.4 + 0.1


def test_fewer_than_fifteen_cases_in_a_domain_are_neutral_however_good(trained: Trained, seen: Scored) -> None:
    material, learned = trained.material, trained.learned["outcome"]
    therapist = material.therapist[learned.rows]
    for cases, effective in ((FEWEST_IN_DOMAIN - 1, False), (FEWEST_IN_DOMAIN, True)):
        one, rows = of_therapist(trained, FEWEST_IN_DOMAIN)
        kept = np.flatnonzero((therapist != one) | np.isin(np.arange(len(therapist)), rows[:cases]))
        result = np.zeros(len(therapist))
        result[rows] = 1.0 + 0.01 * np.arange(len(rows))
        few = with_results(learned, result)
        few = replace(
            few,
            rows=few.rows[kept],
            target=few.target[kept],
            first=replace(few.first, crossed=few.first.crossed[kept]),
        )
        said = top_rule(material, few)(among(seen, np.arange(100), material.therapist_ids[one]))
        assert bool((said > 0).all()) is effective


def test_neighbours_are_the_therapists_own_clients_shrunken_by_how_few_they_are(trained: Trained, seen: Scored) -> None:
    material, learned = trained.material, trained.learned["outcome"]
    one, rows = of_therapist(trained, 3)
    result = np.zeros(len(learned.rows))
    result[rows] = 1.0
    said = neighbours(material, with_results(learned, result))
    near = min(NEIGHBOURS, len(rows))
    theirs = said(among(seen, np.arange(50), material.therapist_ids[one]))
    assert theirs == pytest.approx(np.full(50, near / (near + NOISE_TO_THERAPIST)))
    other = material.therapist_ids[(one + 1) % len(material.therapist_ids)]
    assert not said(among(seen, np.arange(50), other)).any()


def test_neighbours_are_those_who_are_most_alike(trained: Trained, seen: Scored) -> None:
    material, learned = trained.material, trained.learned["outcome"]
    one, rows = of_therapist(trained, 2 * NEIGHBOURS)
    severity = material.effects[learned.rows, 1]
    result = np.where(severity > np.median(severity[rows]), 1.0, -1.0)
    said = neighbours(material, with_results(learned, result))
    their = severity[rows]
    mild, severe = learned.rows[rows[their.argmin()]], learned.rows[rows[their.argmax()]]
    low, high = said(among(seen, np.array([mild, severe]), material.therapist_ids[one]))
    assert low < high


def test_one_model_finds_what_a_therapists_profile_foretells_and_an_id_finds_what_it_does_not(
    trained: Trained, seen: Scored
) -> None:
    material, learned = trained.material, trained.learned["outcome"]
    rng = np.random.default_rng(1)
    effect = rng.permutation(np.linspace(-1, 1, len(material.therapist_ids)))
    planted = effect[material.therapist]
    strong = with_results(learned, 2 * planted[learned.rows])
    said = one_model(material, strong, 0, with_id=True)(seen)
    assert np.corrcoef(said, planted)[0, 1] > 0.6
    without = one_model(material, strong, 0)
    unknown = among(seen, np.arange(20))
    renamed = replace(unknown, therapist_id=np.full(20, "never-seen-0", dtype=object))
    assert (without(unknown) == without(renamed)).all()


def test_risk_adjusted_results_are_free_of_what_was_to_be_expected(trained: Trained) -> None:
    for name in ("outcome", "retention"):
        learned = trained.learned[name]
        assert abs(np.average(risk_adjusted(learned), weights=learned.weight)) < 0.05
        assert np.abs(risk_adjusted(learned)).max() <= np.ptp(learned.target) + 3 * learned.target.std()


def test_a_head_as_a_baseline_ranks_as_the_head_does(trained: Trained, seen: Scored) -> None:
    for name in ("outcome", "retention"):
        learned = trained.learned[name]
        fit, said = seen.fit(learned.head, trained.material.place), of_head(learned, trained.material)(seen)
        assert (np.argsort(fit, kind="stable") == np.argsort(said, kind="stable")).all()
