"""What the audit says of importance is true where the truth is known."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from data.synthetic.truth import Truth
from training.audit.document import Section, Table
from training.audit.examined import Examined
from training.audit.importance.matching import Contributions, contributions, link_contributions
from training.audit.importance.prognosis import contributions as to_prognosis
from training.audit.importance.proxy import TRAITS
from training.audit.importance.section import examine
from training.audit.importance.sources import Sources, clusters, sources_of
from training.audit.importances import UTILITY, FeatureImportance, Importance, Verdict
from training.binary import sigmoid
from training.scoring import Choice

Audited = tuple[Examined, Truth]
TRULY_BETTER = ("wishes_met", "interpersonal_skill", "main_problem_trained")
TRULY_WORSE = ("directiveness_gap",)
CHANCE = 2
"""Of twelve noise columns so many may look like more than noise: an 80 % interval misses one in five by chance."""


@pytest.fixture(scope="module")
def said(audited: Audited) -> tuple[Section, Importance, Mapping[str, Section]]:
    return examine(audited[0])


@pytest.fixture(scope="module")
def numbers(said: tuple[Section, Importance, Mapping[str, Section]]) -> Importance:
    return said[1]


@pytest.fixture(scope="module")
def by_name(numbers: Importance) -> dict[str, FeatureImportance]:
    return {one.name: one for one in numbers.features}


@pytest.fixture(scope="module")
def sources(audited: Audited) -> Sources:
    return sources_of([audited[0].bundle, audited[0].asked], audited[0].policy)


@pytest.fixture(scope="module")
def added(audited: Audited, sources: Sources) -> Contributions:
    found = contributions(audited[0], sources.ranking)
    assert found is not None
    return found


def noise(truth: Truth) -> list[str]:
    return [
        name.replace("therapists.", "therapist.").replace("clients.", "client.") for name in truth.describe()["noise"]
    ]


def test_contributions_add_up_to_the_fit_of_every_pair(audited: Audited, sources: Sources) -> None:
    looked_at = audited[0]
    for head in looked_at.asked.heads.values():
        whole = looked_at.pairs.fit(head, looked_at.asked.place)
        parts = link_contributions(looked_at, head, sources.ranking).sum(axis=1)
        np.testing.assert_allclose(parts, whole, atol=1e-12)


def test_contributions_add_up_to_the_utility_of_every_pair(audited: Audited, added: Contributions) -> None:
    looked_at, offered = audited[0], added.offered
    total, weights = np.zeros(len(offered.client)), 0.0
    for config in looked_at.head_configs:
        head = looked_at.asked.heads[config.name]
        fit = looked_at.pairs.fit(head, looked_at.asked.place)
        if head.info.kind == "binary":
            link = looked_at.seen.prognosis(head)[offered.rows] + offered.means(fit)
            fit = fit * (sigmoid(link) * (1 - sigmoid(link)))[offered.position]
        total += config.weight * fit / head.info.sd
        weights += config.weight
    utility = total / weights
    utility -= offered.means(utility)[offered.position]
    np.testing.assert_allclose(added.ordered[UTILITY].value.sum(axis=1), utility, atol=1e-12)


def test_contributions_to_the_prognosis_add_up_to_it(audited: Audited) -> None:
    looked_at = audited[0]
    design, block = looked_at.asked.design, looked_at.seen.blocks["client"][:50]
    for head in looked_at.asked.heads.values():
        link = head.prognosis(head.client_part(design, block))
        some = to_prognosis(design, head, block)
        rest = link - some.sum(axis=1)
        np.testing.assert_allclose(rest, rest[0], atol=1e-9)


def test_what_is_the_same_for_all_therapists_offered_changes_nothing(added: Contributions) -> None:
    moved = added.moved(UTILITY, np.zeros((len(added.sources), 1)))
    assert moved.spread.value[0] == moved.first.value[0] == 0
    assert moved.rise is not None
    assert moved.rise.value[0] == 0


def test_without_all_that_tells_therapists_apart_anyone_may_stand_first(added: Contributions) -> None:
    everything = added.moved(UTILITY, np.ones((len(added.sources), 1)))
    offered = np.bincount(added.offered.position)
    assert everything.first.value[0] == pytest.approx(np.mean(1 - 1 / offered))


def test_the_rise_of_the_loss_is_its_mean_over_all_exchanges(added: Contributions) -> None:
    one, offered = added.ordered["outcome"], added.offered
    some = np.flatnonzero(~np.isnan(one.response))[:200]
    column = np.abs(one.value).sum(axis=0).argmax()
    total, part = one.value.sum(axis=1), one.value[:, column]
    rises = []
    for client in some:
        mine = offered.position == client
        seen = mine & offered.assigned
        left = one.response[client] - total[seen]
        rises.append(float(np.mean((left + part[seen] - part[mine]) ** 2 - left**2)))
    weight = one.weight[some]
    known = np.isin(np.arange(len(one.response)), some)
    few = replace(one, response=np.where(known, one.response, np.nan))
    found = replace(added, ordered={"outcome": few}).moved("outcome", np.eye(len(added.sources))[:, [column]]).rise
    assert found is not None
    expected = np.average(rises, weights=weight) / np.average(one.response[some] ** 2, weights=weight)
    assert found.value[0] == pytest.approx(expected)


def test_planted_match_effects_have_the_right_sign(by_name: dict[str, FeatureImportance]) -> None:
    for names, sign in ((TRULY_BETTER, 1), (TRULY_WORSE, -1)):
        for name in names:
            (outcome,) = (one for one in by_name[name].coefficients if one.head == "outcome")
            assert sign * outcome.value > 0, name


def test_planted_match_effects_are_never_called_noise_and_the_large_ones_drive(
    by_name: dict[str, FeatureImportance],
) -> None:
    assert by_name["wishes_met"].verdict == by_name["interpersonal_skill"].verdict == "drives"
    assert all(by_name[name].verdict != "noise" for name in (*TRULY_BETTER, *TRULY_WORSE))


def test_planted_match_effects_are_among_the_first(numbers: Importance) -> None:
    ranking = [one for one in numbers.features if one.matching and one.kind != "results"]
    in_order = sorted(ranking, key=lambda one: -one.matching[UTILITY].spread.value)
    assert {"wishes_met", "interpersonal_skill"} <= {one.name for one in in_order[:4]}
    assert "directiveness_gap" in {one.name for one in in_order[:8]}


def test_noise_is_called_noise_and_never_drives(audited: Audited, by_name: dict[str, FeatureImportance]) -> None:
    planted = [by_name[name] for name in noise(audited[1])]
    assert len(planted) >= 10
    assert sum(one.verdict != "noise" for one in planted) <= CHANCE
    strong: set[Verdict] = {"drives", "matters"}
    assert not [one.name for one in planted if one.verdict in strong]
    assert all("No sign that it matters" in one.says for one in planted if one.verdict == "noise")


def test_planted_stand_ins_for_a_trait_are_flagged_and_hardly_anything_else(
    by_name: dict[str, FeatureImportance],
) -> None:
    flagged = {name for name, one in by_name.items() if "proxy" in one.flags}
    assert {"therapist.practice_area", "client.home_area"} <= flagged
    assert len(flagged) <= 3
    told = {one.trait for one in by_name["therapist.practice_area"].proxies if one.flagged}
    assert told == {"ethnicity"}


def test_what_goes_with_a_trait_by_nature_is_told_and_not_flagged(
    by_name: dict[str, FeatureImportance], said: tuple[Section, Importance, Mapping[str, Section]]
) -> None:
    age = next(one for one in by_name["years_practising"].proxies if one.trait == "age")
    assert age.auc.value > 0.8
    assert "proxy" not in by_name["years_practising"].flags
    assert "lies in what it is" in said[2]["years_practising"].model_dump_json()


def test_severity_tells_who_does_well_and_never_ranks(by_name: dict[str, FeatureImportance]) -> None:
    severity = by_name["severity"]
    assert severity.part == "prognosis"
    assert not severity.matching
    client = [one for one in by_name.values() if one.prognostic]
    assert max(client, key=lambda one: one.prognostic["outcome"].contribution.value).name in ("severity", "expectancy")
    assert sum(one.prognostic["outcome"].share for one in client) == pytest.approx(1, abs=1e-4)


def test_own_earlier_results_count_as_features_of_their_own(by_name: dict[str, FeatureImportance]) -> None:
    assert {"results.therapist", "results.severity", "results.strengths"} <= set(by_name)
    assert by_name["results.therapist"].status == "learned"


def with_rule(looked_at: Examined, name: str, **changes: str) -> Examined:
    """The same under a policy that says something else of one feature."""
    policy = looked_at.policy
    rules = {**policy.feature, name: policy.feature[name].model_copy(update=changes)}
    return replace(looked_at, policy=policy.model_copy(update={"feature": rules}))


def test_a_feature_learned_against_what_the_field_expects_is_flagged(audited: Audited) -> None:
    section, numbers, _ = examine(with_rule(audited[0], "interpersonal_skill", expected="-"))
    found = {one.name: one for one in numbers.features}["interpersonal_skill"]
    assert (found.expected, found.learned, found.flags) == ("-", "+", ("sign",))
    assert [one.level for one in section.findings if one.page == "feature/interpersonal_skill"] == ["look"]


@pytest.mark.parametrize("changes", [{"status": "audit-only"}, {"part": "prognosis"}])
def test_a_feature_that_the_policy_keeps_from_the_ranking_must_be_mended(
    audited: Audited, changes: dict[str, str]
) -> None:
    section, _, pages = examine(with_rule(audited[0], "wishes_met", **changes))
    assert [one.level for one in section.findings if one.page == "feature/wishes_met"] == ["stop"]
    assert [one.level for one in pages["wishes_met"].findings] == ["stop"]


def test_where_no_trait_is_on_record_nothing_is_said_of_stand_ins(audited: Audited) -> None:
    looked_at = replace(audited[0])
    bare = {
        name: table.drop(columns=[c for c in TRAITS.get(name.removesuffix("s"), ()) if c in table])
        for name, table in looked_at.dataset.frames.items()
    }
    section, numbers, _ = examine(replace(looked_at, dataset=replace(looked_at.dataset, frames=bare)))
    assert not any(one.proxies for one in numbers.features)
    assert sum("cannot be said" in one.words for one in section.findings) == 2


def test_every_feature_of_the_bundle_has_a_page_and_flags_point_to_it(
    audited: Audited, said: tuple[Section, Importance, Mapping[str, Section]]
) -> None:
    section, numbers, pages = said
    assert set(pages) == set(audited[0].bundle.features.words)
    flagged = {f"feature/{one.name}" for one in numbers.features if one.flags}
    assert {one.page for one in section.findings if one.level == "look"} == flagged
    for name, page in pages.items():
        assert page.id == name
        assert page.says


def test_the_shares_of_variance_add_up_and_the_literature_stands_apart(
    said: tuple[Section, Importance, Mapping[str, Section]],
) -> None:
    section, numbers, _ = said
    assert sum(one.share.value for one in numbers.variance) == pytest.approx(1, abs=1e-5)
    notes = [part.note for part in section.parts if part.kind == "table" and part.id.startswith("norcross")]
    assert len(notes) == 2
    assert all("Another kind of quantity" in note for note in notes)


def test_tables_and_words_say_that_their_intervals_take_the_model_as_it_is(
    said: tuple[Section, Importance, Mapping[str, Section]],
) -> None:
    section = said[0]
    assert "take the model as it is" in section.says[-1]
    notes = {part.id: part.note for part in section.parts if isinstance(part, Table)}
    mine = [name for name in notes if name == "importance-order" or name.startswith("importance-prognosis-")]
    assert mine
    assert all("Intervals are over clients, and take the model as it is." in notes[name] for name in mine)


def test_refits_lie_in_range(audited: Audited) -> None:
    heads = audited[0].stability["heads"]
    assert set(heads) == set(audited[0].bundle.heads)
    for name, head in heads.items():
        ranking = audited[0].bundle.design.names[audited[0].bundle.design.ranking]
        assert set(head["columns"]) == set(ranking), name
        for column in head["columns"].values():
            assert 0 <= column["same_sign"] <= 1
            assert column["sd"] >= 0
        assert sum(one["mean"] for one in head["trees"].values()) == pytest.approx(1, abs=1e-3)
        assert all(one["low"] <= one["mean"] <= one["high"] for one in head["trees"].values())
        assert all(1 <= one["rank_low"] <= one["rank_high"] for one in head["trees"].values())
        assert -1 <= head["agreement"] <= 1


def test_refits_lie_around_the_coefficient_that_is_served(audited: Audited) -> None:
    wishes = audited[0].stability["heads"]["outcome"]["columns"]["wishes_met"]
    assert wishes["same_sign"] >= 0.9
    assert wishes["mean"] == pytest.approx(wishes["value"], abs=3 * wishes["sd"])
    (served,) = (c for c in _coefficients(audited[0]) if c[0] == "wishes_met")
    assert wishes["value"] == pytest.approx(served[1], abs=1e-5)


def _coefficients(looked_at: Examined) -> list[tuple[str, float]]:
    head, names = looked_at.bundle.heads["outcome"], looked_at.bundle.design.names
    return list(zip(names, (head.solution.b / head.info.sd).tolist(), strict=True))


def test_features_whose_ranks_go_together_make_a_cluster() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 400))
    found = clusters(np.column_stack([one, np.exp(one), other]), np.eye(3), seed=0)
    assert found[0] == found[1] != found[2]


def test_the_same_asked_twice_gives_the_same(
    audited: Audited, said: tuple[Section, Importance, Mapping[str, Section]]
) -> None:
    assert examine(audited[0])[1] == said[1]


def test_a_bundle_without_a_test_or_refits_says_so(audited: Audited) -> None:
    section, numbers, _ = examine(replace(audited[0], tested=None, stability={}))
    assert not numbers.held_out
    assert "which flatters it" in section.says[-1]
    assert all(c.same_sign is None for one in numbers.features for c in one.coefficients)


def test_without_a_choice_on_record_the_order_is_not_spoken_of(audited: Audited) -> None:
    looked_at = replace(audited[0])
    own = looked_at.choice.assigned
    alone = Choice(looked_at.choice.episode[own], looked_at.choice.therapist_id[own], own[own], False, 0.0)
    vars(looked_at)["choice"] = alone
    section, numbers, _ = examine(looked_at)
    assert "not on record" in section.says[0]
    assert not any(one.matching for one in numbers.features)
    assert {one.name for one in numbers.features if one.verdict == "drives"} >= {"wishes_met"}
