"""The card as data: every question answered or plainly open, every control shown by a test that exists."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.dataset import Dataset
from data.errors import ConfigError
from data.synthetic.truth import Truth
from features.catalog import CATALOG
from training.audit.carded import section
from training.audit.document import Table, Words
from training.audit.examined import Examined, examined
from training.bundle import Bundle
from training.card.data import HTI1, Card, card_of, texts
from training.card.differences import against, differences
from training.config import TrainConfig
from training.run import Trained

ROOT = Path(__file__).parents[3]
CATEGORIES = {
    "Details and output": 4,
    "Purpose": 4,
    "Cautioned out-of-scope use": 2,
    "Development details and input features": 4,
    "Fairness in development": 2,
    "External validation": 4,
    "Quantitative measures of performance": 5,
    "Ongoing maintenance": 4,
    "Updates": 2,
}
"""45 CFR 170.315(b)(11)(iv)(B)(1) to (9), and how many attributes each lists."""
BLAME = re.compile(r"\b(best|worst|poor|poorly|ineffective|safe)\b", re.IGNORECASE)


def changed(bundle: Bundle, **manifest: Any) -> Bundle:
    """The bundle as if its manifest said otherwise."""
    return replace(bundle, manifest=bundle.manifest.model_copy(update=manifest))


def card(bundle: Bundle) -> Card:
    return card_of(bundle.manifest, bundle)


def answers(found: Card) -> dict[str, str]:
    asked = {one.id: one.answer for one in found.attributes}
    return asked | {f"dpia.{one.id}": one.answer for one in found.assessment}


def every_word(found: Card) -> Iterator[str]:
    for one in (*found.attributes, *found.assessment):
        yield from (one.asks, one.answer)
    for point in found.rules:
        yield from (point.rule, point.says, point.met, point.open)
    for hazard in found.hazards:
        yield from (hazard.hazard, hazard.cause, hazard.control, hazard.residual)
    for notice in found.notices:
        yield from (notice.title, *notice.lines)


@pytest.fixture(scope="module")
def looked_at(trained: Trained, clinic: tuple[Dataset, Truth]) -> Examined:
    return examined(trained.folder, clinic[0])


# -- the 31 source attributes -------------------------------------------------------------------------------------


def test_all_31_source_attributes_are_there_in_the_order_of_the_rule(trained: Trained):
    found = card(trained.bundle).attributes
    assert len(found) == HTI1 == 31
    assert Counter(one.group for one in found) == CATEGORIES
    roman = ("i", "ii", "iii", "iv", "v")
    ids = [f"{i}.{roman[j]}" for i, many in enumerate(CATEGORIES.values(), 1) for j in range(many)]
    assert [one.id for one in found] == ids


def test_every_question_has_an_answer_and_nothing_is_left_to_fill_in(trained: Trained):
    for words in every_word(card(trained.bundle)):
        assert words.strip()
        assert not re.search(r"[{}]|\bNone\b|\bnan\b", words), words


def test_what_a_run_cannot_know_is_said_to_be_open(trained: Trained):
    found = card(trained.bundle)
    assert [found.attribute(f"6.{i}").state for i in ("i", "ii", "iii", "iv")] == ["not done"] * 4
    assert found.attribute("7.iii").state == found.attribute("7.v").state == "not done"
    assert found.attribute("1.i").state == found.attribute("8.i").state == "not known"
    assert found.attribute("7.i").state == found.attribute("2.i").state == "answered"


def test_answers_come_from_the_run(trained: Trained):
    before = answers(card(trained.bundle))
    evaluation = dict(trained.bundle.manifest.evaluation)
    gain = {"value": 0.123, "low": 0.06, "high": 0.678}
    utility = dict(evaluation["utility"])
    utility["over_next_available"] = {
        **utility["over_next_available"],
        "model": {**utility["over_next_available"]["model"], "gain": gain},
    }
    heads = {name: dict(head) for name, head in evaluation["heads"].items()}
    heads["outcome"]["r2"] = {**heads["outcome"]["r2"], "model": {"value": 0.987, "low": 0.9, "high": 0.99}}
    utility["groups"] = [{**utility["groups"][0], "n": 4321, "attribute": "payer", "group": "someone"}]
    other = changed(
        trained.bundle,
        dataset="another clinic",
        bundle_id="b1",
        synthetic=False,
        policy_hash="0123456789abcdef",
        left_out={"absence": "no labels"},
        evaluation={**evaluation, "utility": utility, "heads": heads},
    )
    after = answers(card(other))
    differing = {name for name in before if before[name] != after[name]}
    assert {"1.i", "2.ii", "3.i", "4.i", "4.iii", "4.iv", "5.ii", "7.i", "7.ii", "8.ii", "8.iv"} <= differing
    assert {"dpia.scope", "dpia.purposes"} <= differing
    assert "0.12 (0.06 to 0.68) SD" in after["8.ii"]
    assert "outcome: R2 0.987" in after["7.i"]
    assert "payer: someone 4,321" in after["4.iii"]
    assert "absence (no labels)" in after["4.i"]
    assert "another clinic" in after["2.ii"]


def test_features_that_say_something_of_a_trait_are_named_where_they_are_used(trained: Trained):
    traits = texts("attributes")["traits"]
    assert len(traits) == 9  # paragraphs (A)(5) to (13)
    assert {name for names in traits.values() for name in names} <= set(CATALOG)
    said = card(trained.bundle).attribute("4.ii").answer
    assert "race: client_ethnicity;" in said
    assert "sexual orientation: not used;" in said


def test_an_organisation_answers_for_itself_what_a_run_cannot_know(trained: Trained):
    own = {"1.i": "Clinic North, model@clinic.example", "dpia.basis": "Article 6(1)(e) and 9(2)(h)"}
    config = {**trained.bundle.manifest.config, "card": own}
    found = card(changed(trained.bundle, config=config))
    assert found.attribute("1.i").answer == own["1.i"]
    assert found.attribute("1.i").state == "answered"
    assert {one.id: one.answer for one in found.assessment}["basis"] == own["dpia.basis"]


def test_a_configuration_may_answer_every_attribute_and_every_open_question_and_no_other(
    trained: Trained, tmp_path: Path
):
    found = card(trained.bundle)
    opened = [f"dpia.{one.id}" for one in found.assessment if one.state != "answered"]
    own = dict.fromkeys((*(one.id for one in found.attributes), *opened), "words")
    assert TrainConfig(card=own).card == own
    (tmp_path / "run.toml").write_text('[card]\n"2.v" = "words"\n')
    with pytest.raises(ConfigError, match=r"2\.v"):
        TrainConfig.read(tmp_path / "run.toml")


def test_a_bundle_that_was_not_tested_answers_that_nothing_was(trained: Trained):
    found = card(changed(trained.bundle, evaluation={"note": "too few episodes"}, proven=False))
    assert found.attribute("7.i").answer == "Not done: nothing was tested: too few episodes."
    assert found.attribute("4.iii").state == "not known"
    assert "We have not yet tested whether it helps." in " ".join(found.notices[0].lines)


# -- hazards, rules, assessment, notices --------------------------------------------------------------------------


def test_every_hazard_has_a_control_and_the_test_that_shows_it_exists(trained: Trained):
    hazards = card(trained.bundle).hazards
    assert len(hazards) >= 15
    assert len({one.id for one in hazards}) == len(hazards)
    assert all(one.cause and one.control and one.residual and one.tests for one in hazards)
    missing = [name for one in hazards for name in one.tests if not exists(name)]
    assert missing == []


def exists(name: str) -> bool:
    """Whether `file::test` is a test of this project."""
    path, test = name.split("::")
    file = ROOT / path
    if not file.is_file():
        return False
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == test
        for node in ast.walk(ast.parse(file.read_text()))
    )


def test_a_test_that_is_not_there_is_noticed():
    assert exists("tests/training/audit/test_carded.py::test_a_test_that_is_not_there_is_noticed")
    assert not exists("tests/training/audit/test_carded.py::test_of_nothing")
    assert not exists("tests/training/audit/test_nowhere.py::test_of_nothing")


def test_each_article_that_was_asked_for_has_a_line(trained: Trained):
    rules = " ".join(one.rule for one in card(trained.bundle).rules)
    for name in ("Annex III 4(b)", "Annex III 5(d)", "Article 6(1)", "Article 6(3)", "dates", "MHRA", "FDA", "HIPAA"):
        assert name in rules
    assert all(f"Article {number} (" in rules for number in range(9, 16))
    (dates,) = (one for one in card(trained.bundle).rules if one.rule == "EU AI Act, dates")
    assert "disagree" in dates.met
    assert "Verify" in dates.open


def test_the_assessment_goes_through_every_step(trained: Trained):
    found = card(trained.bundle).assessment
    assert sorted({one.group[0] for one in found}) == list("1234567")
    asked = {one.id for one in found}
    assert {"nature", "scope", "context", "purposes", "consultation", "article_22", "therapists", "retention"} <= asked


def test_notices_can_be_read_at_the_age_of_twelve(trained: Trained):
    """Flesch and Kincaid's grade 7 is a reading age of 12."""
    for bundle in (trained.bundle, changed(trained.bundle, proven=True), changed(trained.bundle, proven=False)):
        client, therapist = card(bundle).notices
        assert grade(" ".join(client.lines)) < 6
        assert grade(" ".join(therapist.lines)) < 7


def grade(text: str) -> float:
    """Flesch-Kincaid grade: .39 words a sentence + 11.8 syllables a word - 15.59 (Kincaid et al. 1975)."""
    words = re.findall(r"[A-Za-z]+", text)
    sentences = len(re.findall(r"[.!?](?:\s|$)", text))
    syllables = sum(max(len(re.findall(r"[aeiouy]+", re.sub(r"e$", "", word.lower()))), 1) for word in words)
    return 0.39 * len(words) / sentences + 11.8 * syllables / len(words) - 15.59


def test_the_grade_tells_a_childs_book_from_a_law():
    assert grade("The cat sat. It had a hat. The hat was red.") < 1
    assert (
        grade("Notwithstanding subsequent deliberations, interdisciplinary organisations necessitate documentation.")
        > 12
    )


def test_nobody_is_called_names(trained: Trained):
    terms = re.compile("safe harbour|second-best kind")  # of law, and of a value
    assert [words for words in every_word(card(trained.bundle)) if BLAME.search(terms.sub("", words))] == []


# -- what changed -------------------------------------------------------------------------------------------------


def test_a_card_does_not_differ_from_itself(trained: Trained):
    assert against(trained.bundle, trained.bundle) == []


def test_differences_name_data_features_controls_and_figures(trained: Trained):
    evaluation = dict(trained.bundle.manifest.evaluation)
    utility = {**evaluation["utility"], "model_over_therapist_mean": {"value": 9.0, "low": 8.0, "high": 9.5}}
    words = {name: value for name, value in trained.bundle.features.words.items() if name != "wishes_met"}
    other = changed(
        replace(trained.bundle, features=replace(trained.bundle.features, words=words)),
        data_hash="0000",
        rules=("licence",),
        evaluation={**evaluation, "utility": utility},
    )
    lines = against(trained.bundle, other)
    assert f"data: data hash was 0000, is {trained.bundle.manifest.data_hash}" in lines
    assert "feature: wishes_met is new" in lines
    assert any(line.startswith("control: hard rules was licence, is ") for line in lines)
    (gain,) = (line for line in lines if "gain over a therapist mean" in line)
    assert "was 9.00 (8.00 to 9.50)" in gain
    assert gain.endswith("the intervals do not meet")
    assert "feature: wishes_met is gone" in against(other, trained.bundle)


def test_a_hazard_that_came_or_went_and_an_answer_that_opened_are_told(trained: Trained):
    now = card(trained.bundle)
    first, *others = now.hazards
    mended = replace(first, control="another control")
    assert differences(now, replace(now, hazards=tuple(others))) == [
        f"control: hazard {first.id} is new: {first.hazard}"
    ]
    assert differences(replace(now, hazards=tuple(others)), now) == [
        f"control: hazard {first.id} is gone: {first.hazard}"
    ]
    assert differences(replace(now, hazards=(mended, *others)), now) == [
        f"control: hazard {first.id} reads otherwise: another control"
    ]
    untested = changed(trained.bundle, evaluation={"note": "too few"})
    assert any("7.i" in line and "was answered, is not done" in line for line in against(untested, trained.bundle))


# -- in the audit -------------------------------------------------------------------------------------------------


def test_the_section_holds_the_whole_card(looked_at: Examined):
    found = section(looked_at)
    tables = {part.id: part for part in found.parts if isinstance(part, Table)}
    assert len(tables["source-attributes"].rows) == 31
    assert len(tables["hazards"].rows) == len(texts("hazards")["hazard"])
    assert {"rules", "assessment"} <= set(tables)
    titles = [part.title for part in found.parts if isinstance(part, Words)]
    assert titles[:2] == ["How we help you find a therapist", "What the program does with your data"]
    assert any("6.i" in one.words for one in found.findings)
    assert any("not for pay" in line for line in found.says)


def test_the_section_tells_what_changed_since_the_bundle_that_it_is_given(looked_at: Examined):
    previous = changed(looked_at.bundle, bundle_id="b0", data_hash="0000")
    last = section(looked_at, previous).parts[-1]
    assert isinstance(last, Words)
    assert last.title == "What changed since bundle b0"
    assert last.lines == (f"data: data hash was 0000, is {looked_at.bundle.manifest.data_hash}",)
    same = section(looked_at, looked_at.bundle).parts[-1]
    assert isinstance(same, Words)
    assert same.lines == ("Nothing: data, features, controls and figures are the same.",)


def test_the_section_stands_beside_the_champion_that_was_fitted_before_the_same_cut(looked_at: Examined):
    beside = {"bundle_id": "c1", "r2_over_champion": {"outcome": {"value": 0.01, "low": -0.002, "high": 0.02}}}
    evaluation = {**looked_at.evaluation, "champion": beside}
    last = section(replace(looked_at, bundle=changed(looked_at.bundle, evaluation=evaluation))).parts[-1]
    assert isinstance(last, Words)
    assert last.lines == ("outcome: R2 0.010 (-0.002 to 0.020) more than the champion c1, fitted before the same cut.",)


def test_what_an_organisation_has_answered_is_no_longer_told_as_open(looked_at: Examined):
    own = {"6.i": "Tested in Clinic South in 2026.", "7.v": "A trial is described in ..."}
    config = {**looked_at.bundle.manifest.config, "card": own}
    found = section(replace(looked_at, bundle=changed(looked_at.bundle, config=config)))
    assert "It was not tested in another service." not in found.says
    assert "There was no trial of its use." not in found.says
