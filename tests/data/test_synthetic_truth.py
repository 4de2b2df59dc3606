"""What is planted in each arm of the synthetic clinic, and that the data follow it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from data.commands import app
from data.dataset import Dataset, read
from data.synthetic.clinic import simulate
from data.synthetic.effects import POST_SD, RESIDUAL_SD
from data.synthetic.parts import regions, simulate_in_parts
from data.synthetic.plan import ARMS, Arm, Plan
from data.synthetic.truth import Truth, read_truth


def made(arm: Arm = "base", episodes: int = 4000, therapists: int = 100, **more: object) -> tuple[Dataset, Truth]:
    return simulate(Plan(arm=arm, episodes=episodes, therapists=therapists, **more))


def everyone(truth: Truth, episodes: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rows = np.linspace(0, len(truth.severity) - 1, episodes).astype(int)
    return rows[:, None], np.arange(len(truth.therapist_ids))[None, :]


def doubly_centred(pairs: np.ndarray) -> np.ndarray:
    return pairs - pairs.mean(axis=0) - pairs.mean(axis=1, keepdims=True) + pairs.mean()


def between(truth: Truth, severity: float) -> float:
    """Variance between therapists at one severity, over the residual variance of the post score."""
    same = replace(truth, severity=np.full(len(truth.severity), severity))
    return float(same.fit(*everyone(same)).mean(axis=0).var() / RESIDUAL_SD**2)


def last_outcomes(dataset: Dataset, truth: Truth) -> np.ndarray:
    """(episodes): intake composite minus the last one measured, on the scale of the truth."""
    m = dataset["measures"]
    later = m[(m["session"] > 0) & (m["item"] == "0")].sort_values("session")
    last = later.groupby(["instrument", "episode_id"])["value"].last()
    ids = pd.Index(truth.episode_ids)
    post = (last["phq9"].reindex(ids) / 6 + last["gad7"].reindex(ids) / 5) / 2
    finished = ~dataset["episodes"].set_index("episode_id")["ending"].isin(["ongoing", "waiting"]).reindex(ids)
    return np.where(finished, truth.composite - post.to_numpy(), np.nan)


@pytest.mark.parametrize(("arm", "share"), [("base", 0.02), ("weak", 0.01), ("strong", 0.04), ("confounded", 0.02)])
def test_the_doubly_centred_pair_effect_has_the_arms_share_of_variance(arm: Arm, share: float) -> None:
    _, truth = made(arm)
    found = doubly_centred(truth.fit(*everyone(truth, 600))).var() / POST_SD**2
    assert found == pytest.approx(share, rel=0.08)


def test_therapists_differ_by_two_five_and_ten_percent_from_mild_to_severe() -> None:
    clinics = [made(seed=seed, episodes=1000)[1] for seed in range(4)]
    shares = np.mean([[between(truth, at) for at in (-2, 0, 2)] for truth in clinics], axis=0)
    assert shares == pytest.approx([0.02, 0.05, 0.10], rel=0.25)


def test_without_interaction_every_client_gains_the_same_from_a_therapist() -> None:
    _, truth = made("main-only")
    fit = truth.fit(*everyone(truth))
    assert np.abs(doubly_centred(fit)).max() < 1e-12
    assert fit.var() > 0.02


def test_under_null_no_therapist_matters_for_any_head() -> None:
    _, truth = made("null")
    for value in (truth.outcome, truth.alliance, truth.retention):
        assert np.ptp(value(*everyone(truth)), axis=1).max() < 1e-12


@pytest.mark.parametrize(
    "arm", [arm for arm in ARMS if arm not in ("informative-dropout", "load", "weak", "strong", "drift")]
)
def test_observed_outcomes_scatter_around_the_true_expectation(arm: Arm) -> None:
    dataset, truth = made(arm)
    seen = last_outcomes(dataset, truth)
    known = np.flatnonzero(~np.isnan(seen))
    expected = truth.outcome(known, truth.therapist[known])
    rest = seen[known] - expected
    assert abs(rest.mean()) < 4 * rest.std() / np.sqrt(len(rest))
    slope = np.polyfit(expected, seen[known], 1)[0]
    assert slope == pytest.approx(1, abs=4 * rest.std() / expected.std() / np.sqrt(len(rest)))


def test_observed_dropout_and_alliance_follow_the_true_expectation() -> None:
    dataset, truth = made(episodes=6000)
    e = dataset["episodes"]
    rows = np.flatnonzero(e["ending"].isin(["planned", "dropout"]))
    stays = (e["ending"].to_numpy()[rows] == "planned").astype(float)
    rest = stays - truth.retention(rows, truth.therapist[rows])
    assert abs(rest.mean()) < 0.02
    m = dataset["measures"]
    first = m[(m["instrument"] == "wai_sr") & (m["item"] == "0") & (m["session"] == 1)]
    rows = pd.Index(truth.episode_ids).get_indexer(first["episode_id"])
    rest = first["value"].to_numpy() - truth.alliance(rows, truth.therapist[rows])
    assert abs(rest.mean()) < 4 * rest.std() / np.sqrt(len(rest))


def test_parts_add_up_to_the_fit_and_deviations_have_the_stated_covariance() -> None:
    _, truth = made(therapists=400, episodes=2000)
    pairs = everyone(truth)
    parts = truth.parts(*pairs)
    assert np.allclose(sum(v for name, v in parts.items() if name != "prognosis"), truth.fit(*pairs))
    e = truth.effects
    own = np.stack([e.main[0] - e.prior_main, e.slope[0] - e.prior_slope])
    assert np.cov(own)[0, 0] == pytest.approx(truth.deviation_covariance()[:, 0, 0].mean(), rel=0.25)
    assert np.cov(own)[0, 1] == pytest.approx(truth.deviation_covariance()[:, 0, 1].mean(), rel=0.35)


def test_interpersonal_skill_explains_a_quarter_of_the_therapist_effect_and_demographics_nothing() -> None:
    _, truth = made(therapists=1500, episodes=1500)
    main, staff = truth.effects.main[0], truth.staff
    assert np.corrcoef(main, staff.skill)[0, 1] ** 2 == pytest.approx(0.25, abs=0.06)
    for demographic in (staff.gender == 0, staff.birth_year, staff.ethnicity == 0):
        assert abs(np.corrcoef(main, demographic)[0, 1]) < 0.1


def assigned(truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    rows = np.flatnonzero(truth.therapist >= 0)
    return rows, truth.effects.main[truth.era[rows], truth.therapist[rows]]


def test_confounded_sends_severe_clients_to_better_therapists_and_base_hardly_does() -> None:
    for arm, low, high in (("confounded", 0.3, 0.8), ("base", -0.1, 0.15)):
        _, truth = made(arm)
        rows, main = assigned(truth)
        assert low < np.corrcoef(truth.severity[rows], main)[0, 1] < high


def test_confounding_can_be_turned_up_by_number_and_by_default_is_that_of_the_arm() -> None:
    found = []
    for strength in (0.0, 0.8, 1.6):
        _, truth = simulate(Plan(arm="confounded", episodes=1500, therapists=100, confounding=strength))
        rows, main = assigned(truth)
        found.append(np.corrcoef(truth.severity[rows], main)[0, 1])
    assert abs(found[0]) < 0.15
    assert found[0] + 0.1 < found[1] < found[2] - 0.05
    same = Plan(arm="confounded", episodes=300, therapists=20)
    stated = same.model_copy(update={"confounding": 0.8})
    assert simulate(same)[0].fingerprint() == simulate(stated)[0].fingerprint()
    base = Plan(episodes=300, therapists=20)
    assert simulate(base)[0].fingerprint() == simulate(base.model_copy(update={"confounding": 0.0}))[0].fingerprint()


def test_hidden_sends_by_a_severity_that_no_table_holds_and_that_makes_outcomes_worse() -> None:
    dataset, truth = made("hidden")
    rows, main = assigned(truth)
    hidden = truth.clients.hidden
    assert np.corrcoef(hidden[truth.client_of[rows]], main)[0, 1] > 0.3
    assert np.corrcoef(truth.needs.prognosis, hidden[truth.client_of])[0, 1] < -0.2
    for column in dataset["clients"].select_dtypes("number"):
        values = dataset["clients"][column].to_numpy(float, na_value=np.nan)
        known = ~np.isnan(values)
        assert abs(np.corrcoef(values[known], hidden[known])[0, 1]) < 0.1


def test_drift_raises_severity_by_half_an_sd_in_the_last_year_and_redraws_a_fifth_of_therapists() -> None:
    dataset, truth = made("drift", therapists=200)
    late = dataset["episodes"]["referred_on"] > pd.Timestamp(dataset.manifest.as_of) - pd.Timedelta(days=365)
    shift = truth.severity[late].mean() - truth.severity[~late].mean()
    assert shift == pytest.approx(0.5, abs=0.12)
    changed = truth.effects.main[0] != truth.effects.main[1]
    assert 0.1 < changed.mean() < 0.3
    assert (truth.effects.problem[0] != truth.effects.problem[1]).all(axis=1).tolist() == changed.tolist()


def test_informative_dropout_makes_last_scores_a_biased_reading_of_week_sixteen() -> None:
    dataset, truth = made("informative-dropout")
    seen = last_outcomes(dataset, truth)
    known = ~np.isnan(seen)
    bias = (seen - truth.outcome(np.arange(len(seen)), np.maximum(truth.therapist, 0)))[known]
    dropped = (dataset["episodes"]["ending"] == "dropout").to_numpy()[known]
    assert bias[dropped].mean() < -0.2
    assert bias.mean() < -0.03


def test_a_harmed_group_does_worse_with_anyone_and_worst_with_a_third_of_therapists() -> None:
    _, truth = made(harm="ethnicity=black", episodes=1500)
    _, unharmed = made(episodes=1500)
    episodes, therapists = np.arange(1500)[:, None], np.arange(100)[None, :]
    loss = truth.parts(episodes, therapists)["harm"]
    harmed = truth.needs.harmed
    assert 0.02 < harmed.mean() < 0.2
    assert (loss[~harmed] == 0).all()
    assert (loss[harmed] <= -0.1).all()
    worst = loss[harmed][0] < -0.5
    assert 0.2 < worst.mean() < 0.5
    assert truth.describe()["harmful_therapists"] == truth.therapist_ids[worst].tolist()
    assert (unharmed.parts(episodes, therapists)["harm"] == 0).all()


def test_the_truth_names_noise_proxies_and_terms_that_exist_in_the_data() -> None:
    dataset, truth = made(episodes=800, therapists=40)
    story = truth.describe()
    named = [*story["noise"], *story["proxies"], *story["proxies"].values(), *story["correlated"]]
    for table, column in (name.split(".") for name in named):
        assert dataset[table][column].notna().any()
    assert len(story["noise"]) >= 10
    shapes = {term["shape"] for term in story["match_terms"].values()}
    assert shapes == {"linear", "product", "threshold"}


def test_the_proxy_tells_a_therapists_ethnicity_and_noise_tells_nothing_of_the_effect() -> None:
    _, truth = made(therapists=600, episodes=800)
    assert abs(np.corrcoef(truth.staff.area, truth.staff.ethnicity > 0)[0, 1]) > 0.8
    for noise in truth.staff.noise.T:
        assert abs(np.corrcoef(noise, truth.effects.main[0])[0, 1]) < 0.15


def test_a_clinic_in_parts_is_one_dataset_with_ids_of_its_own_and_a_truth_per_part(tmp_path) -> None:
    plan = Plan(arm="load", episodes=1100, therapists=60)
    done: list[tuple[int, int]] = []
    simulate_in_parts(plan, tmp_path / "load", tmp_path / "truth", lambda *progress: done.append(progress), part=400)
    dataset = read(tmp_path / "load")
    assert [p.episodes for p in regions(plan, 400)] == [366, 367, 367]
    assert dataset["episodes"]["episode_id"].is_unique
    assert len(dataset["episodes"]) == 1100
    assert dataset["therapists"]["therapist_id"].nunique() == 60
    assert done == [(1, 3), (2, 3), (3, 3)]
    part = read_truth(tmp_path / "truth" / "part-00001")
    assert set(part.therapist_ids) <= set(dataset["therapists"]["therapist_id"])
    assert set(part.episode_ids) <= set(dataset["episodes"]["episode_id"])


def test_the_command_writes_the_dataset_and_apart_from_it_the_truth(tmp_path) -> None:
    out = tmp_path / "clinic"
    asked = ["simulate", str(out), "--episodes", "60", "--therapists", "8", "--as-of", "2026-01-31", "--json"]
    result = CliRunner().invoke(app, asked)
    facts = json.loads(result.stdout)
    assert result.exit_code == 0
    assert facts["rows"]["episodes"] == 60
    assert facts["synthetic"] is True
    assert str(read(out).manifest.as_of) == "2026-01-31"
    assert read_truth(tmp_path / "clinic-truth").plan.episodes == 60
    assert not list(out.glob("*truth*"))
