"""Which features a run may use; what is refused, and in which words."""

import pytest

from data.dataset import Dataset
from data.errors import ConfigError
from features.catalog import CATALOG
from features.policy import Policy
from training.choosing import Chosen, choose
from training.config import TrainConfig

MANIFEST = """undated = true
[column.clients.question_words]
meaning = "words in the question"
known = "before"
[column.therapists.region]
kind = "code"
meaning = "where they work"
known = "before"
[column.episodes.answer_words]
meaning = "words in the answer"
known = "after"
[column.episodes.views]
meaning = "how often the answer was seen"
known = "after"
"""


@pytest.fixture
def answers(tables) -> Dataset:
    return tables(
        MANIFEST,
        therapists="therapist_id,region\nt1,north\n",
        clients="client_id,question_words\nc1,12\n",
        episodes="episode_id,client_id,therapist_id,answer_words,views\ne1,c1,t1,40,7\n",
    )


def chosen(dataset: Dataset, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> Chosen:
    config = TrainConfig.model_validate({"features": {"include": include, "exclude": exclude}})
    return choose(config, dataset, Policy.read())


def refused(dataset: Dataset, *include: str, exclude: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        chosen(dataset, include, exclude)
    return [str(problem) for problem in caught.value.problems]


def test_a_run_uses_what_the_policy_allows_and_what_the_data_declare(answers: Dataset):
    names = chosen(answers).names
    allowed = {name for name in CATALOG if Policy.read().rule(name).status == "allowed"}
    assert set(names) == allowed | {"client.question_words", "therapist.region"}
    assert chosen(answers).declared == {
        "client.question_words": "words in the question",
        "therapist.region": "where they work",
    }


def test_what_is_excluded_is_not_used(answers: Dataset):
    found = chosen(answers, exclude=("severity", "client.question_words"))
    assert "severity" not in found.names
    assert "client.question_words" not in found.declared


@pytest.mark.parametrize("column", ["answer_words", "views"])
@pytest.mark.parametrize("table", ["episode", "episodes"])
def test_a_column_known_only_after_the_match_is_refused_by_name_and_rule(answers: Dataset, table: str, column: str):
    (told,) = refused(answers, f"{table}.{column}")
    assert f"episodes.{column}" in told
    assert "known after the match is never a feature" in told


def test_a_column_known_after_the_match_is_never_used_unasked(answers: Dataset):
    assert not [name for name in chosen(answers).names if "answer_words" in name or "views" in name]


@pytest.mark.parametrize("name", ["episode.sessions_attended", "episode.ending", "session.adherence"])
def test_the_course_of_treatment_is_refused(answers: Dataset, name: str):
    (told,) = refused(answers, name)
    assert "known after the match is never a feature" in told


@pytest.mark.parametrize("name", ["measure:phq9@5", "measure:wai_sr@3"])
def test_a_measure_of_a_later_session_is_refused_by_name_and_rule(answers: Dataset, name: str):
    (told,) = refused(answers, name)
    assert name in told
    assert "is taken after the match, and is never a feature" in told


def test_intake_scores_need_not_be_asked_for(answers: Dataset):
    (told,) = refused(answers, "measure:phq9@0")
    assert "intake scores are features already" in told


@pytest.mark.parametrize("name", [n for n in CATALOG if Policy.read().rule(n).status != "allowed"])
def test_a_feature_kept_for_audits_is_refused(answers: Dataset, name: str):
    (told,) = refused(answers, name)
    assert told.startswith(name)
    assert Policy.read().rule(name).reason in told


def test_every_refusal_is_told_at_once(answers: Dataset):
    told = refused(answers, "episode.views", "measure:phq9@5", "disability", "nonsense", exclude=("neither",))
    assert len(told) == 5
    for name in ("views", "measure:phq9@5", "disability", "nonsense", "neither"):
        assert any(name in line for line in told)


def test_a_column_of_the_contract_that_is_not_built_is_refused(answers: Dataset):
    (told,) = refused(answers, "therapist.npi")
    assert "is not built as a feature" in told
