"""A bundle in memory: the fits of one client with the therapists of a directory, and their parts."""

import json
from dataclasses import replace

import numpy as np
import pytest

from features.columns import Columns, Ints
from features.track import CASES_WITH
from training.bundle import Bundle
from training.fits import Prepared
from training.ranking import rank, utility
from training.run import Trained

EVERYONE = np.arange(8)


@pytest.fixture(scope="module")
def asked(trained: Trained) -> tuple[Bundle, list[Columns], Prepared]:
    """The bundle, three made-up clients, and eight therapists of whom the last was never seen."""
    rows = json.loads((trained.folder / "golden.json").read_text())
    bundle = trained.bundle
    clients = bundle.clients(rows["clients"], 3, bundle.manifest.as_of)
    therapists = bundle.therapists(rows["ids"], rows["therapists"], bundle.manifest.as_of)
    return bundle, [clients.take(np.array([row])) for row in range(3)], therapists


@pytest.mark.parametrize("rows", [EVERYONE, np.array([1, 4, 7])])
def test_fits_for_an_answer_are_the_posteriors_of_every_head(asked: tuple[Bundle, list[Columns], Prepared], rows: Ints):
    bundle, clients, therapists = asked
    assert {head.info.kind for head in bundle.heads.values()} == {"gaussian", "binary"}
    for client in clients:
        fits = bundle.fits(client, therapists, rows)
        for name, full in bundle.posteriors(client, therapists, rows).items():
            few = fits.heads[name]
            assert few.mean == pytest.approx(full.mean, rel=1e-9, abs=1e-12)
            assert few.loading == pytest.approx(full.loading, rel=1e-9, abs=1e-12)
            assert few.gain_sd() == pytest.approx(full.gain_sd(), rel=1e-9)


def test_parts_sum_to_the_gain_of_every_head_and_to_the_utility(asked: tuple[Bundle, list[Columns], Prepared]):
    bundle, clients, therapists = asked
    weighing = bundle.weighing
    for client in clients:
        fits = bundle.fits(client, therapists, EVERYONE)
        total = utility(fits.heads, weighing)
        assert fits.parts(weighing, EVERYONE).values.sum(axis=1) == pytest.approx(total, abs=1e-12)
        for i, name in enumerate(weighing.names):
            alone = replace(weighing, weight=np.where(np.arange(len(weighing.names)) == i, 1.0, 0.0))
            parts = fits.parts(alone, np.array([7, 0])).values.sum(axis=1)
            mean = fits.heads[name].mean
            assert parts * weighing.sd[i] == pytest.approx((mean - mean.mean())[[7, 0]], abs=1e-12)


def test_every_part_belongs_to_a_feature_of_the_therapist_or_pair_or_to_an_effect(
    asked: tuple[Bundle, list[Columns], Prepared],
):
    bundle, clients, therapists = asked
    names = bundle.fits(clients[0], therapists, EVERYONE).parts(bundle.weighing, EVERYONE[:1]).names
    columns = {name for name in names if not name.startswith("effect.") and name != "remainder"}
    assert columns
    assert columns <= {*bundle.features.columns_of("therapist"), *bundle.features.columns_of("pair")}


def test_fits_do_not_depend_on_who_else_is_asked_about(asked: tuple[Bundle, list[Columns], Prepared]):
    bundle, clients, therapists = asked
    everyone = bundle.posteriors(clients[1], therapists, EVERYONE)["outcome"]
    some = bundle.posteriors(clients[1], therapists, np.array([6, 2]))["outcome"]
    assert some.mean == pytest.approx(everyone.mean[[6, 2]])
    assert some.own == pytest.approx(everyone.own[[6, 2]])


def test_a_therapist_never_seen_is_less_sure_than_one_with_the_most_cases(
    asked: tuple[Bundle, list[Columns], Prepared],
):
    bundle, clients, therapists = asked
    own = bundle.posteriors(clients[0], therapists, EVERYONE)["outcome"].own
    cases = bundle.records.counts["cases"][therapists.position[:7]]
    assert own[7] > own[cases.argmax()]


def test_posteriors_make_a_ranking(asked: tuple[Bundle, list[Columns], Prepared]):
    bundle, clients, therapists = asked
    fits = bundle.posteriors(clients[0], therapists, EVERYONE)
    found = rank(fits, bundle.weighing, np.full(8, np.nan), [f"t{i}" for i in range(8)])
    assert found.utility.mean.sum() == pytest.approx(0, abs=1e-9)
    assert set(found.gains) == {"outcome", "alliance", "retention", "early_dropout"}


def test_the_weighing_holds_units_of_every_head(asked: tuple[Bundle, list[Columns], Prepared]):
    weighing = asked[0].weighing
    assert weighing.names == ("outcome", "alliance", "retention", "early_dropout")
    assert weighing.sd[2:].tolist() == [0.43, 0.43]
    assert np.linalg.eigvalsh(weighing.correlation).min() > 0
    assert np.diag(weighing.correlation) == pytest.approx(np.ones(4))


def test_an_expectation_of_a_binary_head_is_a_log_odds(asked: tuple[Bundle, list[Columns], Prepared]):
    bundle, clients, _ = asked
    expected = [bundle.expected(bundle.heads["retention"], client) for client in clients]
    assert all(-4 < logit < 4 for logit in expected)
    assert len(set(expected)) == 3


def test_track_counts_go_on_from_the_day_of_the_bundle(asked: tuple[Bundle, list[Columns], Prepared]):
    records, as_of = asked[0].records, np.datetime64(asked[0].manifest.as_of, "D")
    seen = records.on(np.array([0, -1]), as_of + 10)
    assert seen["days_since_last_case"][0] == (as_of + 10 - records.last_case_on[0]).astype(int)
    assert np.isnan(seen["days_since_last_case"][1])
    assert seen["cases"].tolist() == [records.counts["cases"][0], 0.0]


def test_cases_by_problem_add_up_to_no_more_than_all_cases(asked: tuple[Bundle, list[Columns], Prepared]):
    bundle = asked[0]
    counts = [count for name, count in bundle.records.counts.items() if name.startswith(CASES_WITH)]
    assert len(counts) > 3
    by_problem = sum(counts)
    assert (by_problem <= bundle.records.counts["cases"]).all()


def test_the_default_bundle_can_be_served(asked: tuple[Bundle, list[Columns], Prepared]):
    assert asked[0].servable
