"""What to expect of one client with each of some therapists: within reason, as sure as it says, read back the same."""

import datetime as dt
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit

from data.consent import for_learning
from data.dataset import Dataset
from data.errors import BundleError
from data.history import History
from data.instruments import INSTRUMENTS
from data.synthetic.truth import Truth
from features.columns import Columns
from features.episodes import clients_from_history
from tests.training.conftest import carried
from training.bundle import Bundle
from training.config import TrainConfig
from training.conformal import Conformal, Credible
from training.intervals import learn_spans
from training.predicted import Span, Spans, predicted
from training.run import Trained, train
from training.storage import (
    INTERVALS,
    SEAL,
    UNSEALED,
    digest,
    load,
    read_spans,
    save,
)
from training.targets import learnable, target

EVERYONE = np.arange(8)
Ends = tuple[float, float]


def of_golden(bundle: Bundle, folder: Path, spans: Mapping[str, Span], row: int = 0) -> dict[str, Spans]:
    """What to expect of that golden client with the golden therapists, of whom the last was never seen."""
    rows = json.loads((folder / "golden.json").read_text())
    clients = bundle.clients(rows["clients"], 3, bundle.manifest.as_of)
    therapists = bundle.therapists(rows["ids"], rows["therapists"], bundle.manifest.as_of)
    return predicted(bundle, spans, clients.take(np.array([row])), therapists, EVERYONE)


@pytest.fixture(scope="module")
def spans(trained: Trained) -> dict[str, Span]:
    return read_spans(trained.folder)


@pytest.fixture
def folder(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the bundle that a test may spoil."""
    return Path(shutil.copytree(trained.folder, tmp_path / "bundle"))


def seal(folder: Path) -> None:
    (folder / SEAL).write_text(digest(folder, UNSEALED))


# --- figures --------------------------------------------------------------------------------------------------------


@given(
    st.tuples(st.floats(-4, 4), st.floats(-4, 4)).map(lambda ends: (min(ends), max(ends))),
    st.floats(0.1, 3),
    st.floats(0, 4),
    st.integers(0, 2),
)
def test_a_mean_lies_in_its_interval_and_both_within_what_is_possible(
    trained: Trained, ends: Ends, noise: float, trees: float, row: int
) -> None:
    score = Conformal({80: ends}, (noise,), 0.3 * noise)
    given_ = {
        "outcome": Span(score),
        "alliance": Span(score, (1.0, 5.0)),
        "retention": Span(Credible(trees)),
        "early_dropout": Span(Credible(trees)),
    }
    found = of_golden(trained.bundle, trained.folder, given_, row)
    assert list(found) == list(given_)
    for one in found.values():
        assert (one.low <= one.mean).all()
        assert (one.mean <= one.high).all()
    for name, (low, high) in {"alliance": (1, 5), "retention": (0, 1), "early_dropout": (0, 1)}.items():
        assert (found[name].low >= low).all()
        assert (found[name].high <= high).all()


def test_units_and_words_are_those_of_a_clinician(trained: Trained, spans: dict[str, Span]) -> None:
    found = of_golden(trained.bundle, trained.folder, spans)
    sds = trained.bundle.manifest.intake_sds
    assert {name: (one.unit, one.better, one.kind) for name, one in found.items()} == {
        "outcome": ("intake_sd", "higher", "conformal"),
        "alliance": ("points", "higher", "conformal"),
        "retention": ("probability", "higher", "credible"),
        "early_dropout": ("probability", "lower", "credible"),
    }
    assert found["outcome"].points == sds
    assert f"{sds['phq9']:.1f} points of phq9" in found["outcome"].words
    assert found["outcome"].words.startswith("improvement from intake to the last score within 26 weeks of the match; ")
    assert found["alliance"].points == {}
    assert found["retention"].words == "chance of staying to the planned end"
    assert found["early_dropout"].words == "chance of dropping out before session 3"


def test_leaving_early_is_the_chance_of_leaving_early(trained: Trained, spans: dict[str, Span]) -> None:
    found = of_golden(trained.bundle, trained.folder, spans)
    target_, head = trained.learned["early_dropout"].target, trained.bundle.heads["early_dropout"]
    assert head.info.direction == "lower"
    assert target_.mean() > 0.6  # the head has learned that staying is the good result
    assert (found["early_dropout"].mean < 0.5).all()


def test_a_measure_of_which_less_is_better_is_read_as_its_own_score(trained: Trained) -> None:
    outcome = trained.bundle.heads["outcome"]
    info = replace(outcome.info, source="measure:phq9@8", direction="lower")
    bundle = replace(trained.bundle, heads={"outcome": replace(outcome, info=info)})
    wide = {"outcome": Span(Conformal({80: (-1.0, 3.0)}, (1.0,), 0.3))}
    upwards = of_golden(trained.bundle, trained.folder, wide)["outcome"]
    found = of_golden(bundle, trained.folder, wide)["outcome"]
    assert found.mean == pytest.approx(-upwards.mean)
    assert found.low == pytest.approx(-upwards.high)
    assert found.high == pytest.approx(-upwards.low)
    assert (found.unit, found.better, found.words) == ("points", "lower", "total of phq9 at session 8")
    within = {"outcome": replace(wide["outcome"], possible=(0.0, 27.0))}
    assert (of_golden(bundle, trained.folder, within)["outcome"].low == 0).all()


def test_an_interval_is_wider_for_a_therapist_never_seen_than_for_the_same_one_well_known(
    trained: Trained, spans: dict[str, Span]
) -> None:
    bundle, rows = trained.bundle, json.loads((trained.folder / "golden.json").read_text())
    cases = bundle.records.counts["cases"]
    best = np.array([int(cases.argmax())])
    assert cases[best[0]] > 30
    clients = bundle.clients(rows["clients"], 3, bundle.manifest.as_of)
    known = bundle.therapists([bundle.records.ids[best[0]]], _first(rows["therapists"]), bundle.manifest.as_of)
    assert known.position == best
    unknown = replace(known, position=np.array([-1]))
    flat = {name: _same_noise_for_all(span) for name, span in spans.items()}
    for row in range(3):
        client = clients.take(np.array([row]))
        one, other = (predicted(bundle, flat, client, prepared, np.array([0])) for prepared in (known, unknown))
        for name in flat:
            ends = [(it[name].low[0], it[name].high[0]) for it in (one, other)]
            if one[name].unit == "probability":
                ends = [(logit(low), logit(high)) for low, high in ends]
            assert ends[1][1] - ends[1][0] > 1.0001 * (ends[0][1] - ends[0][0])


def _first(columns: Mapping[str, list[object]]) -> dict[str, list[object]]:
    return {name: cells[:1] for name, cells in columns.items()}


def _same_noise_for_all(span: Span) -> Span:
    """Noise that depends on neither severity nor prediction, which differ too, and no bounds that cut it."""
    if isinstance(span.of, Credible):
        return span
    return Span(replace(span.of, noise=span.of.noise[:1]))


# --- as sure as it says ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def year_before(clinic: tuple[Dataset, Truth], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run on what was known of the small clinic a year and a half before."""
    dataset = clinic[0]
    assert dataset.manifest.as_of is not None
    day = dataset.manifest.as_of - dt.timedelta(days=548)
    earlier = replace(dataset, manifest=dataset.manifest.model_copy(update={"as_of": day}))
    return train(earlier, TrainConfig(bootstraps=50), tmp_path_factory.mktemp("earlier") / "bundle")


def test_results_of_clients_who_came_later_lie_inside_as_often_as_said(
    clinic: tuple[Dataset, Truth], year_before: Trained
) -> None:
    dataset, truth = clinic
    bundle, spans = load(year_before.folder), read_spans(year_before.folder)
    history = History(for_learning(dataset))
    everyone = learnable(history.latest(), 30)
    later = everyone[everyone["matched_on"] > pd.Timestamp(bundle.manifest.as_of)].reset_index(drop=True)
    assert len(later) > 150
    clients = clients_from_history(history, later, bundle.manifest.severity_of)
    found = _of_their_own(bundle, spans, dataset, clients, later)
    config = TrainConfig()
    results = {
        head.name: target(head, history.latest(), later, config.outcome, dict(bundle.manifest.intake_sds)).value
        for head in config.heads
        if head.kind == "gaussian"
    }
    rows = pd.Index(truth.episode_ids).get_indexer(later["episode_id"])
    staff = pd.Index(truth.therapist_ids).get_indexer(later["therapist_id"])
    results["retention"] = truth.retention(rows, staff)
    inside = {name: _inside(result, *found[name]) for name, result in results.items()}
    assert 0.72 < inside["outcome"] < 0.88
    assert 0.72 < inside["alliance"] < 0.88
    assert 0.60 < inside["retention"] < 0.95  # few clients: what trees have not learned yet is not all known to be so


def _of_their_own(
    bundle: Bundle, spans: Mapping[str, Span], dataset: Dataset, clients: Columns, episodes: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Low and high of every client with the therapist seen, (2, n), by head."""
    staff = dataset["therapists"].drop_duplicates("therapist_id", keep="last")
    ids = list(staff["therapist_id"])
    skip = ("therapist_id", "profile_updated_on", "npi", "caseload_on")
    table = {
        name: [None if pd.isna(cell) else cell for cell in staff[name]] for name in staff.columns if name not in skip
    }
    prepared = bundle.therapists(ids, table, bundle.manifest.as_of)
    their = pd.Index(ids).get_indexer(episodes["therapist_id"])
    one_by_one = [
        predicted(bundle, spans, clients.take(np.array([row])), prepared, np.array([their[row]]))
        for row in range(len(episodes))
    ]
    return {name: np.array([[one[name].low[0], one[name].high[0]] for one in one_by_one]).T for name in one_by_one[0]}


def _inside(result: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    known = ~np.isnan(result)
    return float(((low <= result) & (result <= high))[known].mean())


# --- beside the bundle ----------------------------------------------------------------------------------------------


def test_what_is_learned_is_what_is_read_back(trained: Trained, spans: dict[str, Span]) -> None:
    learned = learn_spans(trained.learned, trained.material, TrainConfig(bootstraps=50), INSTRUMENTS)
    assert learned == spans
    assert spans["alliance"].possible == (1, 5)
    again = load(trained.folder)
    for row in range(3):
        before = of_golden(trained.bundle, trained.folder, learned, row)
        after = of_golden(again, trained.folder, read_spans(trained.folder), row)
        for name, one in before.items():
            assert after[name].mean == pytest.approx(one.mean, rel=1e-12)
            assert after[name].low == pytest.approx(one.low, rel=1e-12)
            assert after[name].high == pytest.approx(one.high, rel=1e-12)
            assert after[name].words == one.words


def test_a_head_with_a_landmark_predicts_nothing_absolute(trained: Trained) -> None:
    one = trained.learned["outcome"]
    looking = replace(one, head=replace(one.head, info=replace(one.head.info, landmark=("landmark.phq9@3",))))
    learned = {"outcome": looking, "alliance": trained.learned["alliance"]}
    assert list(learn_spans(learned, trained.material, TrainConfig(), INSTRUMENTS)) == ["alliance"]


def test_a_bundle_of_before_there_were_intervals_loads_and_predicts_nothing(folder: Path) -> None:
    (folder / INTERVALS).unlink()
    seal(folder)
    bundle = load(folder)
    assert read_spans(folder) == {}
    assert of_golden(bundle, folder, {}) == {}


def test_a_bundle_without_intervals_is_otherwise_the_same_files(trained: Trained, tmp_path: Path) -> None:
    golden = json.loads((trained.folder / "golden.json").read_text())
    golden.pop("computed")
    plain = save(load(trained.folder), tmp_path / "plain", golden, replace(carried(trained.folder), spans={}))
    names = {path.relative_to(trained.folder) for path in trained.folder.rglob("*") if path.is_file()}
    assert names - {path.relative_to(plain) for path in plain.rglob("*") if path.is_file()} == {Path(INTERVALS)}
    for name in names - {Path(INTERVALS), Path("manifest.json"), Path(SEAL)}:
        assert (plain / name).read_bytes() == (trained.folder / name).read_bytes()


def test_intervals_that_come_out_otherwise_than_in_training_are_refused(folder: Path) -> None:
    said = json.loads((folder / INTERVALS).read_text())
    said["heads"]["retention"]["trees"] += 1e-3
    (folder / INTERVALS).write_text(json.dumps(said))
    seal(folder)
    with pytest.raises(BundleError, match="retention predicted of row 0"):
        load(folder)
