"""From fits to an order: laws of gain, utility, ties and worth."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.head import PairPosterior
from training.ranking import Ranked, Weighing, beats, best_set, difference, rank, tie_groups, utility, utility_sd

Floats = npt.NDArray[np.float64]
ONE_HEAD = Weighing(("outcome",), np.array([1.0]), np.array([0.9]), np.eye(1))
NAMES = ("outcome", "alliance", "retention")
THREE = Weighing(
    NAMES,
    np.array([1.0, 0.5, 0.5]),
    np.array([0.9, 0.6, 0.43]),
    np.array([[1, 0.3, 0.2], [0.3, 1, 0.1], [0.2, 0.1, 1]]),
)


def sure(*means: float) -> PairPosterior:
    """Fits known without doubt."""
    return PairPosterior(np.array(means), np.zeros((len(means), 1)), np.zeros(len(means)))


def unsure(*means: float, sd: float = 1.0) -> PairPosterior:
    return PairPosterior(np.array(means), np.zeros((len(means), 1)), np.full(len(means), sd**2))


def drawn(seed: int, n: int, scale: float = 1.0) -> PairPosterior:
    rng = np.random.default_rng(seed)
    return PairPosterior(scale * rng.normal(size=n), 0.4 * rng.normal(size=(n, 3)), rng.uniform(0.05, 0.6, n))


def samples(fit: PairPosterior, count: int = 200_000) -> Floats:
    """Draws of the fits of all pairs, shape (count, n)."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(count, fit.loading.shape[1])) @ fit.loading.T
    return fit.mean + shared + rng.normal(size=(count, len(fit.mean))) * np.sqrt(fit.own)


def ranked(fits: Mapping[str, PairPosterior], weighing: Weighing = ONE_HEAD, waits: Floats | None = None) -> Ranked:
    n = len(next(iter(fits.values())).mean)
    return rank(fits, weighing, np.full(n, np.nan) if waits is None else waits, [f"t-{i}" for i in range(n)])


seeds, sizes = st.integers(0, 10_000), st.integers(1, 12)


@given(seeds, sizes)
def test_gains_and_utility_sum_to_zero_over_the_eligible(seed: int, n: int):
    found = ranked({name: drawn(seed + i, n) for i, name in enumerate(NAMES)}, THREE)
    for gain in (*found.gains.values(), found.utility):
        assert gain.mean.sum() == pytest.approx(0, abs=1e-9)


@given(seeds, st.integers(2, 12), st.randoms(use_true_random=False))
def test_permuting_the_therapists_permutes_the_answer(seed: int, n: int, random):
    fits = {name: drawn(seed + i, n) for i, name in enumerate(NAMES)}
    order = list(range(n))
    random.shuffle(order)
    waits, ids = np.random.default_rng(seed).integers(1, 5, n).astype(float), [f"t-{i}" for i in range(n)]
    moved = {name: PairPosterior(f.mean[order], f.loading[order], f.own[order]) for name, f in fits.items()}
    before = rank(fits, THREE, waits, ids)
    after = rank(moved, THREE, waits[order], [ids[i] for i in order])
    assert [ids[i] for i in before.order] == [ids[order[i]] for i in after.order]
    assert after.tie_group.tolist() == before.tie_group[order].tolist()
    assert after.utility.mean == pytest.approx(before.utility.mean[order])
    assert after.chance_worth == pytest.approx(before.chance_worth)


@given(seeds, st.integers(1, 8), st.floats(-3, 3))
def test_what_all_therapists_share_changes_nothing(seed: int, n: int, shift: float):
    fit = drawn(seed, n)
    raised = PairPosterior(fit.mean + shift, fit.loading + 0.7, fit.own)
    before, after = ranked({"outcome": fit}), ranked({"outcome": raised})
    assert after.order.tolist() == before.order.tolist()
    assert after.utility.low == pytest.approx(before.utility.low)
    assert after.tie_group.tolist() == before.tie_group.tolist()


def test_utility_is_the_weighted_mean_of_gains_in_sd_units():
    fits = {"outcome": sure(0.9, -0.9), "alliance": sure(0.6, -0.6), "retention": sure(0.0, 0.0)}
    assert utility(fits, THREE) == pytest.approx([0.75, -0.75])


def test_a_head_without_weight_does_not_count():
    weighing = Weighing(("outcome", "early_dropout"), np.array([1.0, 0.0]), np.array([1.0, 0.43]), np.eye(2))
    assert utility({"outcome": sure(1, -1), "early_dropout": sure(-9, 9)}, weighing) == pytest.approx([1, -1])


def test_the_weights_of_absent_heads_go_to_those_present():
    alone = utility({"outcome": sure(0.9, -0.9)}, THREE)
    assert alone == pytest.approx([1.0, -1.0])
    assert THREE.among(["outcome", "alliance"]).weight.sum() == pytest.approx(THREE.weight.sum())
    two = THREE.among(["alliance", "outcome"])
    assert two.weight[0] / two.weight[1] == pytest.approx(2)
    assert two.correlation == pytest.approx(np.array([[1, 0.3], [0.3, 1]]))


def test_without_any_head_that_counts_there_is_nothing_to_rank_by():
    with pytest.raises(ValueError, match="no head with a weight"):
        utility({"other": sure(1, 2)}, ONE_HEAD)


@pytest.mark.parametrize("seed", range(3))
def test_intervals_hold_four_fifths_of_the_posterior(seed: int):
    fit = drawn(seed, 6)
    found, draws = ranked({"outcome": fit}), samples(fit)
    gains = (draws - draws.mean(axis=1, keepdims=True)) / 0.9
    inside = ((gains > found.utility.low) & (gains < found.utility.high)).mean(axis=0)
    assert inside == pytest.approx(0.80, abs=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_the_chance_of_a_meaningful_difference_is_that_of_the_posterior(seed: int):
    fit = drawn(seed, 6, scale=0.5)
    found, draws = ranked({"outcome": fit}), samples(fit)
    best = int(fit.mean.argmax())
    worth = ((draws[:, best] - draws.mean(axis=1)) / 0.9 > 0.05).mean()
    assert found.chance_worth == pytest.approx(worth, abs=0.01)
    assert found.meaningful_difference == (found.chance_worth >= 0.80)


@pytest.mark.parametrize("seed", range(3))
def test_the_chance_that_one_beats_another_is_that_of_the_posterior(seed: int):
    fit = drawn(seed, 5)
    total, draws = utility({"outcome": fit}, ONE_HEAD), samples(fit) / 0.9
    expected = (draws[:, [2]] - draws > 0.05).mean(axis=0)
    assert beats({"outcome": fit}, ONE_HEAD, total, 2) == pytest.approx(expected, abs=0.01)


def test_errors_shared_by_heads_widen_the_utility_as_their_correlation_says():
    fit = drawn(1, 4)
    weighing = Weighing(("a", "b"), np.ones(2), np.ones(2), np.array([[1, 0.6], [0.6, 1]]))
    rng = np.random.default_rng(0)
    first = rng.normal(size=(200_000, 7))
    second = 0.6 * first + 0.8 * rng.normal(size=first.shape)
    root = np.column_stack([fit.loading, np.diag(np.sqrt(fit.own))])
    both = (first @ root.T + second @ root.T) / 2
    expected = (both - both.mean(axis=1, keepdims=True)).std(axis=0)
    assert utility_sd({"a": fit.gain_sd(), "b": fit.gain_sd()}, weighing) == pytest.approx(expected, rel=0.01)


def test_the_difference_of_two_therapists_has_its_own_interval():
    fit = drawn(3, 5)
    total, draws = utility({"outcome": fit}, ONE_HEAD), samples(fit) / 0.9
    mean, low, high = difference({"outcome": fit}, ONE_HEAD, total, of=1, to=4)
    gap = draws[:, 1] - draws[:, 4]
    assert mean == pytest.approx(gap.mean(), abs=0.01)
    assert ((gap > low) & (gap < high)).mean() == pytest.approx(0.80, abs=0.01)


# --- ties -----------------------------------------------------------------------------------------------------------


def test_whoever_the_best_does_not_surely_beat_is_tied_with_the_best():
    found = ranked({"outcome": unsure(2.0, 1.9, -2.0, -2.1, sd=0.1)})
    assert found.tie_group.tolist() == [1, 1, 2, 2]


def test_therapists_known_without_doubt_are_tied_within_a_twentieth_of_an_sd():
    found = ranked({"outcome": sure(0.9, 0.9 - 0.9 * 0.04, 0.9 - 0.9 * 0.06, -1.0)})
    assert found.tie_group.tolist() == [1, 1, 2, 3]


@given(seeds, st.integers(2, 12))
def test_each_group_is_what_its_best_does_not_surely_beat_among_those_left(seed: int, n: int):
    fits = {"outcome": drawn(seed, n, scale=3.0)}
    total = utility(fits, ONE_HEAD)
    best_first = np.argsort(-total)
    groups = tie_groups(fits, ONE_HEAD, total, best_first, n)
    left = np.arange(n)
    for number in range(1, groups.max() + 1):
        best = left[total[left].argmax()]
        tied = beats(fits, ONE_HEAD, total, best)[left] < 0.80
        tied |= left == best
        assert groups[left[tied]].tolist() == [number] * int(tied.sum())
        left = left[~tied]
    assert len(left) == 0


def test_groups_are_told_apart_only_as_far_as_asked():
    fits = {"outcome": sure(3, 2, 1, 0)}
    assert rank(fits, ONE_HEAD, np.full(4, np.nan), list("abcd"), groups_for=2).tie_group.tolist() == [1, 2, 0, 0]


# --- order ----------------------------------------------------------------------------------------------------------


def test_with_a_meaningful_difference_the_best_is_first_however_long_the_wait():
    found = ranked({"outcome": sure(0.0, 2.0, 1.0)}, waits=np.array([1.0, 90.0, 2.0]))
    assert found.meaningful_difference
    assert found.order.tolist() == [1, 2, 0]


def test_without_a_meaningful_difference_the_soonest_slot_is_first_then_utility_then_the_id():
    found = ranked({"outcome": unsure(0.0, 0.02, 0.01, 0.01)}, waits=np.array([3.0, 9.0, 3.0, 3.0]))
    assert not found.meaningful_difference
    assert found.order.tolist() == [2, 3, 0, 1]
    assert found.tie_group.tolist() == [1, 1, 1, 1]


def test_without_a_meaningful_difference_an_unknown_slot_comes_last():
    found = ranked({"outcome": unsure(0.02, 0.0)}, waits=np.array([np.nan, 30.0]))
    assert found.order.tolist() == [1, 0]


def test_equal_therapists_are_ordered_by_id():
    found = rank({"outcome": sure(1, 1, 0)}, ONE_HEAD, np.full(3, np.nan), ["t-2", "t-1", "t-0"])
    assert found.order.tolist() == [1, 0, 2]


def test_a_single_eligible_therapist_is_no_choice():
    found = ranked({"outcome": unsure(4.0)})
    assert found.order.tolist() == [0]
    assert found.utility.mean.tolist() == [0.0]
    assert not found.meaningful_difference


@given(seeds, st.integers(2, 10))
def test_groups_follow_each_other_and_within_one_the_posterior_mean_decides(seed: int, n: int):
    found = ranked({"outcome": drawn(seed, n, scale=3.0)})
    if found.meaningful_difference:
        places = [(found.tie_group[i], -found.utility.mean[i]) for i in found.order]
        assert places == sorted(places)


@given(seeds, st.integers(1, 10))
@settings(max_examples=50)
def test_everyone_eligible_is_in_the_order_once(seed: int, n: int):
    waits = np.random.default_rng(seed).choice([1.0, 5.0, np.nan], n)
    assert sorted(ranked({"outcome": drawn(seed, n)}, waits=waits).order.tolist()) == list(range(n))


# --- the set that holds the best ------------------------------------------------------------------------------------


def test_where_one_is_surely_best_the_set_is_that_one():
    sure = PairPosterior(np.array([0.0, 5.0, 0.0]), np.zeros((3, 1)), np.full(3, 0.01))
    assert best_set(sure).tolist() == [1]


def test_where_nobody_differs_the_set_is_nearly_everyone():
    alike = PairPosterior(np.zeros(10), np.zeros((10, 1)), np.ones(10))
    assert len(best_set(alike, 0.9)) >= 8


@given(st.integers(2, 12), st.integers(0, 1000))
def test_a_surer_set_holds_the_less_sure_one(n: int, seed: int):
    rng = np.random.default_rng(seed)
    posterior = PairPosterior(rng.normal(size=n), rng.normal(size=(n, 2)), rng.uniform(0.01, 1, n))
    few, more = best_set(posterior, 0.5).tolist(), best_set(posterior, 0.95).tolist()
    assert more[: len(few)] == few


def test_the_set_holds_the_best_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        mean, own = rng.normal(0, 0.3, 8), rng.uniform(0.02, 0.2, 8)
        truth = mean + rng.normal(size=8) * np.sqrt(own)
        held += int(truth.argmax()) in best_set(PairPosterior(mean, np.zeros((8, 1)), own), 0.9, draws=500)
    assert 0.86 < held / 400 < 0.99
