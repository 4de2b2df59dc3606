"""The border: who shares a variance, what leans together, and that match columns rest on one client's therapists."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from training.border import Border, without_usual
from training.mixed import Structure, fit
from training.sums import Sums

PLAIN = Border(
    fixed=2, client=4, usual=2, therapist=("skill", "siblings"), pair=("wishes", "gap", "cases"), expected={}
)
FIELD = replace(PLAIN, expected={"skill": 1.0, "wishes": 1.0, "gap": -1.0})


def test_every_column_with_a_prior_is_in_one_group_and_what_the_field_expects_is_apart():
    groups = FIELD.shrunken()
    assert sorted(i for group in groups for i in group) == list(range(FIELD.fixed, FIELD.size))
    assert (6,) in groups  # skill
    assert (8, 9) in groups  # wishes, gap
    assert PLAIN.shrunken()[-1] == (8, 9, 10)


def test_match_columns_lean_the_way_the_field_expects_and_no_column_leans_alone():
    assert FIELD.leans() == ((0.0,) * 8 + (1.0, -1.0, 0.0),)
    assert PLAIN.leans() == ()
    assert replace(FIELD, expected={"wishes": 1.0}).leans() == ()


def leaning(seed: int = 0) -> tuple[Sums, np.ndarray, np.ndarray]:
    """Rows whose ten columns all matter by the same little, sums of them, and the columns and response."""
    rng = np.random.default_rng(seed)
    n, p = 600, 10
    x = np.column_stack([np.ones(n), rng.normal(size=(n, p))])
    y = x[:, 1:].sum(axis=1) * 0.06 + rng.normal(size=n)
    owner = rng.integers(0, 20, n)
    return Sums.of(x, np.ones((n, 1)), y, owner, 20), x, y


def test_a_lean_is_what_a_column_of_the_signed_sum_would_be():
    sums, x, y = leaning()
    lean = (0.0,) + (1.0,) * 10
    shape = Structure(joint=0, strengths=0, border=11, shrunken=(tuple(range(1, 11)),), leans=(lean,))
    empty = replace(sums, zz=sums.zz[:, :0, :0], zx=sums.zx[:, :0], zy=sums.zy[:, :0])
    found = fit(empty, shape)
    wide = np.column_stack([x, x[:, 1:].sum(axis=1)])
    beside = Sums.of(wide, np.zeros((len(y), 0)), y, np.zeros(len(y), dtype=np.int64), 1)
    explicit = fit(beside, Structure(joint=0, strengths=0, border=12, shrunken=(tuple(range(1, 11)), (11,))))
    assert found.b == pytest.approx(explicit.b[:11] + np.r_[0.0, np.full(10, explicit.b[11])], abs=1e-4)
    assert found.criterion == pytest.approx(explicit.criterion, abs=1e-4)


def test_leaning_together_brings_small_equal_effects_nearer_the_truth():
    errors = {True: 0.0, False: 0.0}
    for seed in range(8):
        sums = leaning(seed)[0]
        for leans in errors:
            lean = ((0.0,) + (1.0,) * 10,) if leans else ()
            shape = Structure(joint=1, strengths=0, border=11, shrunken=(tuple(range(1, 11)),), leans=lean, near=0.1)
            errors[leans] += float(((fit(sums, shape).b[1:] - 0.06) ** 2).sum())
    assert errors[True] < 0.6 * errors[False]


def test_the_prior_keeps_variances_off_zero_and_its_gradient_is_that_of_finite_differences():
    rng = np.random.default_rng(3)
    n = 200
    x = np.column_stack([np.ones(n), rng.normal(size=(n, 5))])
    sums = Sums.of(x, np.ones((n, 1)), rng.normal(size=n), rng.integers(0, 10, n), 10)
    shape = Structure(joint=1, strengths=0, border=6, shrunken=((1, 2, 3, 4, 5),))
    kept_off = fit(sums, replace(shape, near=0.1))
    assert abs(fit(sums, shape).theta[-1]) < 0.02 < kept_off.theta[-1] < 0.1
    at = np.array([0.3, 0.07])
    held = replace(shape, near=0.1)
    found = approx_fprime(at, lambda theta: held.prior(theta)[0], 1e-7)
    assert held.prior(at)[1] == pytest.approx(found, rel=1e-3, abs=1e-4)


def asked(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Clients who ask much are met more and do worse with anyone: the match column, its usual value, owner, result."""
    rng = np.random.default_rng(seed)
    n = 4000
    many = rng.random(n)
    met = np.clip(many + rng.normal(0, 0.3, n), 0, 1)
    usual = np.clip(many, 0, 1)
    y = 1.0 * met - 1.5 * many + rng.normal(0, 0.5, n)
    return met, usual, rng.integers(0, 40, n), y


def test_a_match_column_beside_its_usual_value_rests_on_differences_within_a_client():
    met, usual, owner, y = asked()
    ones = np.ones(len(y))
    alone = fit(Sums.of(np.column_stack([ones, met]), ones[:, None], y, owner, 40), Structure(1, 0, 2))
    beside = fit(Sums.of(np.column_stack([ones, usual, met]), ones[:, None], y, owner, 40), Structure(1, 0, 3))
    assert alone.b[-1] < 0.5
    assert beside.b[-1] == pytest.approx(1.0, abs=0.1)


def test_without_the_usual_value_the_ranking_part_stays_and_client_columns_take_over_what_they_can_tell():
    met, usual, owner, y = asked()
    ones, told = np.ones(len(y)), 2 * usual - 1
    columns = np.column_stack([ones, told, usual, met])
    border = Border(fixed=1, client=2, usual=1, therapist=(), pair=("met",), expected={})
    shape = Structure(1, 0, 4, shrunken=border.shrunken())
    found = fit(Sums.of(columns, ones[:, None], y, owner, 40), shape)
    settled = without_usual(found, border, columns)
    assert settled.b[-1] == found.b[-1]
    assert settled.b_cov[-1, -1] == found.b_cov[-1, -1]
    assert settled.effects() == pytest.approx(found.effects(), abs=1e-10)
    assert columns[:, [0, 1, 3]] @ settled.b == pytest.approx(columns @ found.b, abs=1e-6)
