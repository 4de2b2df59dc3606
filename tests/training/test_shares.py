"""How much of a fit counts: what it says of clients it has not seen."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.border import Border
from training.mixed import Solution, Structure, fit
from training.shares import Crossed, Rows, cross, gains, shares, weighed
from training.sums import Sums
from training.unsure import unsure

BORDER = Border(fixed=1, client=2, usual=1, therapist=("skill",), pair=("a", "b"), expected={})
THERAPISTS = 40


def rows(therapist: float, match: float, seed: int = 0) -> tuple[Rows, np.ndarray, np.ndarray]:
    """Rows with planted sizes of a therapist effect and of a match column; usual values of the columns; folds."""
    rng = np.random.default_rng(seed)
    n = 3000
    owner, severity = rng.integers(0, THERAPISTS, n), rng.normal(size=n)
    usual, pair = rng.normal(size=n) * 0.3, rng.normal(size=(n, 2))
    pair[:, 0] += usual
    skill, own = rng.normal(size=THERAPISTS)[owner], rng.normal(size=THERAPISTS)[owner]
    y = 0.5 * severity + therapist * own + match * pair[:, 0] + rng.normal(size=n)
    x = np.column_stack([np.ones(n), severity, usual, skill, pair])
    effects = np.column_stack([np.ones(n), severity])
    whole = Rows(x, effects, y, np.ones(n), owner, THERAPISTS)
    return whole, np.column_stack([usual, np.zeros(n)]), rng.permutation(n) % 5


def found(therapist: float, match: float, seed: int = 0) -> tuple[Solution, list[Crossed], Rows]:
    whole, usual, fold = rows(therapist, match, seed)
    structure = _structure()
    solution = fit(whole.total, structure)
    return solution, cross(whole, usual, BORDER, structure, solution.theta, [fold, (fold * 7 + 3) % 5]), whole


def _structure() -> Structure:
    return Structure(joint=2, strengths=0, border=BORDER.size, shrunken=BORDER.shrunken(), near=0.1)


def test_parts_that_are_there_count_in_full():
    solution, crossed, _ = found(0.3, 0.2)
    share = shares(crossed, solution.noise)
    assert share["therapist"] > 0.99
    assert share["fit"] > 0.99
    gained = gains(crossed)
    assert gained["match"]["low"] > 0
    assert gained["therapist"]["low"] > 0


@pytest.mark.parametrize(("therapist", "match"), [(0.0, 0.0), (0.3, 0.0)])
def test_parts_that_are_not_there_hardly_count_and_claim_next_to_nothing(therapist: float, match: float):
    counted = []
    for seed in range(6):
        solution, crossed, _ = found(therapist, match, seed)
        share = shares(crossed, solution.noise)
        counted.append(share["fit"])
        assert (share["therapist"] > 0.9) == (therapist > 0)
        assert gains(crossed)["fit"]["low"] <= 0
    assert np.mean(counted) < 0.2


def test_a_gain_is_the_fall_of_the_squared_error_of_rows_not_seen():
    _, crossed, _ = found(0.3, 0.2)
    one = crossed[0]
    before = one.weight * (one.rest - one.parts[:, 0]) ** 2
    after = one.weight * (one.rest - one.parts[:, 0] - one.parts[:, 1]) ** 2
    assert one.gain((1,), (0,)) == pytest.approx(before - after)


def test_rows_are_foretold_by_fits_that_have_not_seen_them():
    whole, usual, fold = rows(0.3, 0.2)
    theta = fit(whole.total, _structure()).theta
    out = fold == 2
    changed = replace(whole, response=np.where(out, 100.0, whole.response))
    before, after = (cross(one, usual, BORDER, _structure(), theta, [fold])[0] for one in (whole, changed))
    assert after.parts[out] == pytest.approx(before.parts[out])
    assert not np.allclose(after.parts[~out], before.parts[~out])


@given(st.floats(0.01, 1), st.floats(0.01, 1))
@settings(max_examples=15, deadline=None)
def test_effects_and_variances_are_multiplied_by_their_shares(therapist: float, match: float):
    solution, _, _ = found(0.3, 0.2)
    less = weighed(solution, BORDER, {"therapist": therapist, "fit": match})
    assert less.b[:3] == pytest.approx(solution.b[:3])
    assert less.b[3] == pytest.approx(therapist * solution.b[3])
    assert less.b[4:] == pytest.approx(match * solution.b[4:])
    assert less.effects() == pytest.approx(solution.effects() * [therapist, match])
    assert np.diag(less.prior) == pytest.approx(np.diag(solution.prior) * [therapist, match])
    assert np.diag(less.b_cov)[4:] == pytest.approx(match * np.diag(solution.b_cov)[4:])


def test_a_share_of_nothing_leaves_nothing_and_a_share_of_one_everything():
    solution, _, _ = found(0.3, 0.2)
    whole = weighed(solution, BORDER, {"therapist": 1.0, "fit": 1.0})
    assert whole.effects() == pytest.approx(solution.effects())
    assert whole.per_border == pytest.approx(solution.per_border)
    none = weighed(solution, BORDER, {"therapist": 0.0, "fit": 0.0})
    assert not none.b[3:].any()
    assert np.abs(none.effects()).max() == 0
    assert not none.within.any()


def test_variances_that_are_unsure_widen_what_rests_on_them_and_move_no_mean():
    solution, _, whole = found(0.1, 0.05)
    wider = unsure(whole.total, _structure(), solution, seed=0)
    assert (wider.b == solution.b).all()
    assert (wider.effects() == solution.effects()).all()
    assert np.trace(wider.within.sum(axis=0)) > np.trace(solution.within.sum(axis=0))
    assert (np.linalg.eigvalsh(wider.within) > -1e-12).all()
    again = unsure(whole.total, _structure(), solution, seed=0)
    assert (again.within == wider.within).all()


def test_without_variances_nothing_is_unsure():
    x = np.random.default_rng(0).normal(size=(50, 2))
    sums = Sums.of(x, np.zeros((50, 0)), x[:, 0], np.zeros(50, dtype=np.int64), 1)
    solution = fit(sums, Structure(0, 0, 2))
    assert unsure(sums, Structure(0, 0, 2), solution, 0) is solution
