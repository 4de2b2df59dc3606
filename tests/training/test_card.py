"""The model card and the pictures of a run: they must stand without the program."""

from dataclasses import replace
from pathlib import Path

from training.card.data import card_of
from training.card.facts import counted_groups
from training.card.model_card import model_card
from training.pictures import draw
from training.run import Trained


def test_the_card_says_that_synthetic_people_are_invented(trained: Trained):
    card = model_card(trained.bundle.manifest, trained.bundle)
    assert "No figure here says anything about real therapy" in card
    real = trained.bundle.manifest.model_copy(update={"synthetic": False})
    assert "invented" not in model_card(real, trained.bundle)


def test_the_card_has_a_row_for_every_head_and_the_gain(trained: Trained):
    card = model_card(trained.bundle.manifest, trained.bundle)
    for name, head in trained.bundle.heads.items():
        assert f"| {name} | {head.info.source} | {head.info.rows} |" in card
    gain = trained.bundle.manifest.evaluation["utility"]["over_next_available"]["model"]["gain"]
    assert f"{gain['value']:.3f} ({gain['low']:.3f} to {gain['high']:.3f}) SD of utility" in card


def test_the_card_says_whether_predictions_came_true_and_compares_every_way_to_choose(trained: Trained):
    card = model_card(trained.bundle.manifest, trained.bundle)
    assert "## Whether it came true" in card
    assert "for every 1 predicted" in card
    assert "inside 80 % intervals" in card
    assert "observed less predicted" in card
    assert "| way to choose | free choice | available slots | full caseloads |" in card
    for words in ("this model", "preferences only", "nearest neighbours", "one boosted model"):
        assert f"| {words} |" in card


def test_a_bundle_without_the_newer_figures_still_has_a_card_and_pictures(trained: Trained, tmp_path: Path):
    newer = ("calibration", "intervals", "dose_response", "groups", "therapists_held_out")
    evaluation = dict(trained.bundle.manifest.evaluation)
    evaluation["heads"] = {
        name: {key: value for key, value in head.items() if key not in newer}
        for name, head in evaluation["heads"].items()
    }
    evaluation["utility"] = {key: value for key, value in evaluation["utility"].items() if key != "regimes"}
    manifest = trained.bundle.manifest.model_copy(update={"evaluation": evaluation})
    bundle = replace(trained.bundle, manifest=manifest)
    assert "## Gain" in model_card(manifest, bundle)
    assert "## Whether it came true" not in model_card(manifest, bundle)
    assert len(draw(replace(trained, bundle=bundle), tmp_path)) == 2


def test_the_card_names_what_was_left_out_and_what_was_not_tested(trained: Trained):
    manifest = trained.bundle.manifest.model_copy(
        update={"left_out": {"alliance": "0 labels; at least 50 are needed"}, "evaluation": {"note": "not evaluated"}}
    )
    card = model_card(manifest, trained.bundle)
    assert "head alliance was left out: 0 labels" in card
    assert "| outcome | outcome |" in card
    assert "not tested" in card
    assert "## Gain" not in card


def test_a_head_whose_past_choices_could_not_be_valued_says_why(trained: Trained):
    past = {"heads": {"outcome": {"note": "no value: 12 results of clients with a choice, 50 are needed"}}}
    manifest = trained.bundle.manifest.model_copy(
        update={"evaluation": {**trained.bundle.manifest.evaluation, "off_policy": past}}
    )
    card = model_card(manifest, trained.bundle)
    assert "- outcome: no value: 12 results of clients with a choice, 50 are needed" in card
    assert "The trial that these figures stand in for" not in card


def test_the_card_of_undated_data_says_so(trained: Trained):
    evaluation = trained.bundle.manifest.evaluation | {"forward": False, "test_from": None}
    manifest = trained.bundle.manifest.model_copy(update={"evaluation": evaluation, "as_of": None, "undated": True})
    assert "not tested forward in time: the data have no dates" in model_card(manifest, trained.bundle)


def test_the_card_states_its_limits_and_judges_no_therapist(trained: Trained):
    card = model_card(trained.bundle.manifest, trained.bundle)
    assert "does not judge therapists" in card
    assert "no unmeasured difference" in " ".join(card.split())
    assert not any(name in card for name in trained.material.therapist_ids)


def test_the_card_answers_the_31_questions_and_holds_hazards_rules_assessment_and_notices(trained: Trained):
    card = model_card(trained.bundle.manifest, trained.bundle)
    found = card_of(trained.bundle.manifest, trained.bundle)
    assert all(f"- **{one.id}** {one.asks}: {one.answer}" in card for one in (*found.attributes, *found.assessment))
    assert all(f"| {one.id} | {one.hazard} |" in card for one in found.hazards)
    assert all(f"| {one.rule} |" in card for one in found.rules)
    assert all(f"## Notice: {one.title}" in card for one in found.notices)
    opened = [one.id for one in found.attributes if one.state != "answered"]
    assert f"31 questions; open: {len(opened)} ({', '.join(opened)})." in card


def test_every_row_of_a_table_of_the_card_has_as_many_cells_as_its_header(trained: Trained):
    chapters = model_card(trained.bundle.manifest, trained.bundle).split("\n## ")
    for chapter in chapters:
        assert len({line.count("|") for line in chapter.splitlines() if line.startswith("|")}) <= 1, chapter


def test_pictures_are_drawn_of_the_therapists_and_of_the_evaluation(trained: Trained, tmp_path: Path):
    paths = draw(trained, tmp_path)
    names = ["therapists.png", "evaluation.png", "calibration.png", "dose_response.png"]
    assert [path.name for path in paths] == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_without_an_evaluation_there_is_no_picture_of_it(trained: Trained, tmp_path: Path):
    manifest = trained.bundle.manifest.model_copy(update={"evaluation": {"note": "not evaluated"}})
    bare = replace(trained, bundle=replace(trained.bundle, manifest=manifest))
    assert [path.name for path in draw(bare, tmp_path)] == ["therapists.png"]


def test_a_fit_without_therapists_can_be_drawn_too(trained: Trained, tmp_path: Path):
    solution = trained.bundle.heads["outcome"].solution
    bare = replace(solution, prior=solution.prior[:0, :0], within=solution.within[:, :0, :0])
    learned = replace(trained.learned["outcome"], head=replace(trained.bundle.heads["outcome"], solution=bare))
    assert len(draw(replace(trained, learned={"outcome": learned}), tmp_path)) == 4


def test_no_small_group_of_the_test_can_be_worked_out_from_the_card() -> None:
    rows = [("gender", "woman", 115), ("gender", "man", 58), ("gender", "non_binary", None), ("payer", "own", 175)]
    groups = [{"attribute": attribute, "group": group, "n": n} for attribute, group, n in rows]
    assert counted_groups({"utility": {"groups": groups}}) == {
        "gender": {"woman": 115, "man": None, "non_binary": None},
        "payer": {"own": 175},
    }
