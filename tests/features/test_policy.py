"""The feature policy covers every feature there is, and what it forbids is not used."""

import tomllib
from importlib.resources import files

import pytest

from data.dataset import Dataset
from data.errors import ConfigError, PolicyError
from data.synthetic.truth import Truth
from features.catalog import CATALOG, PAIR_FEATURES, ROW_FEATURES
from features.policy import Policy
from training.choosing import choose
from training.config import FeaturesConfig, TrainConfig

POLICY = Policy.read()
TEXT = files("features").joinpath("policy.toml").read_text()
AUDIT_ONLY = [name for name in CATALOG if POLICY.rule(name).status == "audit-only"]


@pytest.mark.parametrize("name", CATALOG)
def test_every_feature_has_a_name_a_meaning_a_group_a_builder_and_a_rule_with_a_reason(name: str):
    feature = CATALOG[name]
    assert feature.name == name
    assert len(feature.meaning.split()) >= 2
    assert callable(feature.build)
    assert POLICY.feature[name].reason
    assert feature.group in (("client", "therapist") if feature in ROW_FEATURES else ("match", "track"))


def test_no_two_features_share_a_name():
    assert len(CATALOG) == len(ROW_FEATURES) + len(PAIR_FEATURES)


@pytest.mark.parametrize("name", CATALOG)
def test_what_is_known_of_the_client_alone_informs_the_prognosis_and_everything_else_the_fit(name: str):
    assert POLICY.rule(name).part == ("prognosis" if CATALOG[name].group == "client" else "fit")


def test_traits_of_the_person_are_kept_for_audits_only():
    traits = {"disability", "sexual_orientation"}
    traits |= {f"therapist_{trait}" for trait in ("age", "gender", "ethnicity", "faith")}
    assert set(AUDIT_ONLY) == traits


def test_no_feature_is_item_9_or_is_made_of_results():
    words = " ".join(f"{f.name} {f.meaning}".lower() for f in CATALOG.values())
    for never in ("item 9", "phq9.9", "suicid", "attended", "ending", "dropout", "outcome"):
        assert never not in words


@pytest.fixture
def dataset(clinic: tuple[Dataset, Truth]) -> Dataset:
    return clinic[0]


def test_a_run_uses_what_the_policy_allows_and_nothing_else(dataset: Dataset):
    chosen = choose(TrainConfig(), dataset, POLICY)
    assert set(chosen.names) & set(CATALOG) == set(CATALOG) - set(AUDIT_ONLY)
    assert set(POLICY.usable(CATALOG, "prognosis")) | set(POLICY.usable(CATALOG, "fit")) == set(CATALOG) - set(
        AUDIT_ONLY
    )


@pytest.mark.parametrize("name", AUDIT_ONLY)
def test_a_configuration_that_asks_for_an_audit_only_feature_is_refused_with_the_reason(name: str, dataset: Dataset):
    with pytest.raises(ConfigError) as raised:
        choose(TrainConfig(features=FeaturesConfig(include=(name,))), dataset, POLICY)
    assert "audit-only" in str(raised.value)
    assert POLICY.rule(name).reason in str(raised.value)


LATER = ("measure:phq9@8", "measure:phq9@0", "episode.ending", "episode.sessions_attended", "session.adherence")


@pytest.mark.parametrize("name", [*LATER, "client.phq9.9", "measures.phq9.9", "client.client_id", "nothing"])
def test_a_configuration_that_asks_for_what_comes_later_or_is_no_feature_is_refused(name: str, dataset: Dataset):
    with pytest.raises(ConfigError, match=name.rpartition(".")[2]):
        choose(TrainConfig(features=FeaturesConfig(include=(name,))), dataset, POLICY)


def test_a_datasets_own_columns_have_the_rule_of_their_table():
    assert POLICY.rule("client.pets").part == "prognosis"
    assert POLICY.rule("therapist.siblings").part == "fit"


def test_a_policy_that_lacks_a_feature_or_knows_a_stranger_is_refused_naming_both():
    with pytest.raises(PolicyError) as raised:
        Policy.read(TEXT.replace("[feature.severity]", "[feature.serenity]"))
    assert [problem.where for problem in raised.value.problems] == ["severity", "serenity"]


@pytest.mark.parametrize("text", ["[feature", TEXT.replace('"audit-only"', '"sometimes"'), "colour = 1\n" + TEXT])
def test_a_policy_that_cannot_be_read_is_refused(text: str):
    with pytest.raises(PolicyError):
        Policy.read(text)


def test_the_hash_changes_with_any_rule():
    changed = TEXT.replace('expected = "+"', 'expected = "-"', 1)
    assert tomllib.loads(changed) != tomllib.loads(TEXT)
    assert Policy.read(changed).hash() != POLICY.hash() == Policy.read(TEXT).hash()


def test_what_no_part_may_use_is_refused_one_problem_each():
    refused = POLICY.refused(["severity", *AUDIT_ONLY])
    assert [problem.where for problem in refused] == AUDIT_ONLY


def test_the_hash_of_a_rule_changes_with_that_rule_alone():
    policy = Policy.read()
    rule = policy.feature["recency"].model_copy(update={"expected": "0"})
    changed = policy.model_copy(update={"feature": {**policy.feature, "recency": rule}})
    differing = [name for name in policy.feature if policy.rule_hash(name) != changed.rule_hash(name)]
    assert differing == ["recency"]
    assert policy.hash() != changed.hash()
    assert policy.rule_hash("client.pets") == policy.rule_hash("client.home_area")  # the rule of their table
