"""Experiments on contests: peers, learning curve, ablation, confounding, new therapists, and their results as text."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from data.errors import NotFoundError
from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from experiments import ablation, confounding, forest, learning_curve, new_therapists, peers
from experiments.clinics import best, figure, gains, learned_with, over_seeds, posteriors, said_by
from experiments.contest import OUTCOME, Contest, prepare, true_outcomes
from experiments.results import markdown, section, write
from experiments.tracking import keep
from training.config import FitConfig, TrainConfig

SMALL = {"episodes": 1200, "therapists": 30}


@pytest.fixture(scope="module")
def contest() -> Contest:
    return prepare(*simulate(Plan(**SMALL, seed=1)), seed=1)


def shown(module: Any, result: dict[str, Any], folder: Path) -> str:
    """The table as text, after the result has been through JSON and the picture has been drawn."""
    back = json.loads(json.dumps(result))
    assert module.picture(back, folder / "deep" / "picture.png").read_bytes()[:4] == b"\x89PNG"
    console = Console(width=250, file=io.StringIO(), record=True)
    console.print(module.table(back))
    text = console.export_text()
    assert "SYNTHETIC" in text
    return text


# -- the runner ---------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=8), st.floats(0.1, 3))
def test_a_mean_lies_in_its_interval_and_a_share_of_itself_is_one(values: list[float], scale: float) -> None:
    series = pd.Series(values)
    found = over_seeds(series)
    assert found is not None
    assert found["value"] == pytest.approx(np.mean(values))
    assert found["low"] - 1e-9 <= found["value"] <= found["high"] + 1e-9
    positive = series.abs() + 0.1
    share = over_seeds(scale * positive, positive)
    assert share == pytest.approx({"value": scale, "low": scale, "high": scale})


def test_a_share_of_almost_nothing_is_not_printed() -> None:
    assert over_seeds(pd.Series([0.1, 0.1]), pd.Series([0.001, 0.001])) is None
    assert figure(None) == "-"


def test_nobody_gains_more_than_one_who_knows_the_truth_and_indifference_gains_nothing_on_average(
    contest: Contest,
) -> None:
    true = true_outcomes(contest)
    found = gains(contest, {**best(contest), "oracle": true, "worst": -true})
    for regime in ("full", "free"):
        assert found[f"oracle_{regime}"] >= max(found[f"{name}_{regime}"] for name in ("model", "ceiling"))
        assert found[f"worst_{regime}"] < 0 < found[f"ceiling_{regime}"]


def test_posteriors_say_of_pairs_what_the_scores_say(contest: Contest) -> None:
    said = said_by(contest, contest.learned)
    for client, columns, fit in posteriors(contest, 5):
        assert columns.tolist() == np.flatnonzero(contest.eligible[client]).tolist()
        assert fit.mean == pytest.approx(said[client, columns])


# -- peers --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def beside() -> dict[str, Any]:
    return peers.run(**SMALL, seeds=2, arms=("base",))


def test_every_contender_stands_in_the_table_and_the_oracle_above_all(beside: dict[str, Any], tmp_path: Path) -> None:
    text = shown(peers, beside, tmp_path)
    entries = beside["arms"]["base"]
    for name, words in peers.WORDS.items():
        assert words in text
        assert (name in entries) != (name in beside["skipped"])
    for regime in ("full", "free"):
        top = entries["oracle"][f"gain_d_{regime}"]["value"]
        assert all(one[f"gain_d_{regime}"]["value"] <= top for one in entries.values())
        assert entries["ceiling"][f"share_of_ceiling_{regime}"]["value"] == 1


def test_without_econml_the_causal_forest_is_left_out_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(forest, "find_spec", lambda _: None)
    found = peers.run(**SMALL, seeds=1, arms=("base",))
    assert "causal_forest" not in found["arms"]["base"]
    assert "causal forest left out: EconML is not installed" in shown(peers, found, tmp_path)


# -- learning curve -----------------------------------------------------------------------------------------------


def test_the_curve_has_a_line_for_every_size(tmp_path: Path) -> None:
    found = learning_curve.run(sizes=((1000, 30), (1200, 30)), seeds=1)
    text = shown(learning_curve, found, tmp_path)
    assert [(one["episodes"], one["therapists"]) for one in found["sizes"]] == [(1000, 30), (1200, 30)]
    assert "1,000" in text
    assert "1,200" in text
    for one in found["sizes"]:
        assert one["ceiling_d_full"]["value"] > 0


# -- ablation -----------------------------------------------------------------------------------------------------


def test_a_variant_lacks_one_part_and_no_other() -> None:
    given_ = TrainConfig()
    found = dict(ablation.variants(given_))
    parts = [name for name, field in FitConfig.model_fields.items() if field.annotation is bool]
    on = [name for name in parts if getattr(given_.fit, name)]
    assert list(found) == [*(f"no {name}" for name in on), "no refits", "prognosis not boosted"]
    for name in on:
        assert found[f"no {name}"].fit == given_.fit.model_copy(update={name: False})
        assert found[f"no {name}"].prognosis == given_.prognosis
    assert found["no refits"].prognosis.refits == 0
    assert "no slope" not in dict(ablation.variants(TrainConfig(fit=FitConfig(slope=False))))


def test_without_any_part_of_the_fit_every_therapist_is_the_same(contest: Contest) -> None:
    bare = FitConfig(therapist=False, slope=False, strengths=False, columns=False)
    config = TrainConfig(heads=(OUTCOME,), seed=1, fit=bare)
    assert np.ptp(said_by(contest, learned_with(contest, config))) == 0


def test_what_is_lost_is_the_models_gain_less_the_variants(tmp_path: Path) -> None:
    found = ablation.run(**SMALL, seeds=1, arms=("confounded",))
    entries = found["arms"]["confounded"]
    text = shown(ablation, found, tmp_path)
    for name, one in entries.items():
        assert name in text
        gap = entries["model"]["gain_d_full"]["value"] - one["gain_d_full"]["value"]
        assert one["lost_d_full"]["value"] == pytest.approx(gap)


# -- confounding --------------------------------------------------------------------------------------------------


def test_bias_is_turned_up_with_severity_measured_and_hidden(tmp_path: Path) -> None:
    found = confounding.run(**SMALL, seeds=1, strengths=(0.0, 1.6))
    text = shown(confounding, found, tmp_path)
    assert "hidden" in text
    for entries in found["arms"].values():
        assert [one["strength"] for one in entries] == [0.0, 1.6]
        assert all(0 <= one["coverage"]["value"] <= 1 for one in entries)


def test_intervals_hold_everything_where_they_are_endless_and_little_where_they_are_nothing(contest: Contest) -> None:
    head = contest.learned.head
    for factor, low, high in ((1e6, 1.0, 1.0), (1e-6, 0.0, 0.05)):
        s = head.solution
        told = replace(s, b_cov=s.b_cov * factor, within=s.within * factor, prior=s.prior * factor)
        info = replace(head.info, unseen=head.info.unseen * factor)
        changed = replace(contest, learned=replace(contest.learned, head=replace(head, info=info, solution=told)))
        assert low <= confounding.coverage(changed)["coverage"] <= high


# -- new therapists -----------------------------------------------------------------------------------------------


def test_a_new_therapists_courses_are_gone_but_for_those_kept() -> None:
    dataset, _ = simulate(Plan(**SMALL, seed=1))
    counts = dataset["episodes"]["therapist_id"].value_counts()
    new, mine = str(counts.index[0]), dataset["episodes"]["therapist_id"] == counts.index[0]
    kept = set(dataset["episodes"].loc[mine, "episode_id"].head(3))
    found = new_therapists.without(dataset, [new], kept)
    left = found["episodes"]
    assert set(left.loc[left["therapist_id"] == new, "episode_id"]) == kept
    assert len(left) == len(dataset["episodes"]) - mine.sum() + 3
    for name in ("measures", "sessions", "offers"):
        assert set(found[name]["episode_id"]) <= set(left["episode_id"])
    assert len(found["clients"]) == len(dataset["clients"])


def test_of_a_therapist_never_seen_less_is_known_than_of_one_with_cases(contest: Contest) -> None:
    nobody = replace(contest, material=replace(contest.material, therapist_ids=("nobody-0",)))
    known, stranger = new_therapists.averaged(contest), new_therapists.averaged(nobody)
    assert (known.own < stranger.own).all()
    assert known.gain_sd().mean() < stranger.gain_sd().mean()


def test_every_number_of_cases_has_its_line_and_words_give_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_therapists, "CASES", (0, 15))
    found = new_therapists.run(episodes=1500, therapists=30, seeds=1)
    text = shown(new_therapists, found, tmp_path)
    none, some = found["cases"]
    assert (none["cases"], some["cases"]) == (0, 15)
    assert some["therapists"] == none["therapists"]
    assert -1 <= none["correlation"]["value"] <= 1
    assert none["therapists"]["value"] >= 3
    assert "From the profile alone" in text
    assert text.count("not a verdict") == 2


# -- results ------------------------------------------------------------------------------------------------------


def test_a_table_becomes_markdown_with_numbers_to_the_right() -> None:
    table = Table("name", title="t")
    table.add_column("value", justify="right")
    table.add_row("[bold]a|b[/]", "1")
    assert markdown(table) == "| name | value |\n| --- | ---: |\n| a\\|b | 1 |"


def test_results_hold_every_table_below_its_command_and_name_what_was_not_run(
    beside: dict[str, Any], tmp_path: Path
) -> None:
    command = "therapist-fit experiment peers --quick"
    keep("peers", {**beside, "command": command}, folder=tmp_path)
    found = write(tmp_path / "RESULTS.md", tmp_path)
    text = (tmp_path / "RESULTS.md").read_text()
    assert found["peers"] == command
    assert found["ablation"] == "not run"
    assert section("peers", {**beside, "command": command}) in text
    assert text.index(command) < text.index("| this model |".replace("|", "").strip())
    assert "Not run yet: `ranking_quality`" in text
    with pytest.raises(NotFoundError, match="run one first"):
        write(tmp_path / "RESULTS.md", tmp_path / "nothing")
