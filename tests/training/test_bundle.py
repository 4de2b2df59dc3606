"""A bundle in memory: the fits of one client with the therapists of a directory, and their parts."""

import json

import numpy as np
import pytest

from features.columns import Columns
from training.bundle import Bundle, Prepared, problem_words
from training.ranking import rank
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


@pytest.mark.parametrize("which", [0, 3, 7])
def test_contributions_sum_to_the_gain_of_every_head(asked: tuple[Bundle, list[Columns], Prepared], which: int):
    bundle, clients, therapists = asked
    kinds = {head.info.kind for head in bundle.heads.values()}
    assert kinds == {"gaussian", "binary"}
    for client in clients:
        fits = bundle.posteriors(client, therapists, EVERYONE)
        for name, parts in bundle.contributions(client, therapists, EVERYONE, which).items():
            gain = fits[name].mean[which] - fits[name].mean.mean()
            assert sum(parts.values()) == pytest.approx(gain, abs=1e-12)


def test_every_contribution_belongs_to_a_feature_or_an_effect(asked: tuple[Bundle, list[Columns], Prepared]):
    bundle, clients, therapists = asked
    for parts in bundle.contributions(clients[0], therapists, EVERYONE, 0).values():
        for name in parts:
            assert name.startswith("effect.") or name in bundle.features.feature_of


def test_no_feature_of_the_client_alone_ranks(asked: tuple[Bundle, list[Columns], Prepared]):
    bundle, clients, therapists = asked
    parts = bundle.contributions(clients[0], therapists, EVERYONE, 0)["outcome"]
    assert not set(parts) & set(bundle.features.columns_of("client"))


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
    words = problem_words(bundle)
    assert len(words) > 3
    by_problem = sum(bundle.records.counts[f"cases_with.{word}"] for word in words)
    assert (by_problem <= bundle.records.counts["cases"]).all()


def test_the_default_bundle_can_be_served(asked: tuple[Bundle, list[Columns], Prepared]):
    assert asked[0].servable
