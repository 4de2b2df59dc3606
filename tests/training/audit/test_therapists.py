"""What an audit says of therapists: true to what was planted, silent where little is known, no verdict on anyone."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.dataset import Dataset
from data.synthetic.truth import Truth
from experiments.audit_truth import true_effects
from training.audit.document import Chart, Estimate, Section, Table
from training.audit.examined import Examined, examined
from training.audit.reports import FEWEST_CASES, NOT_FOR, RIGHTS, TherapistReport
from training.audit.therapists.caseload import Caseloads, Gathered, between, gathering, mix_of, mixes
from training.audit.therapists.exposure import Shown, gini, shown, top_share
from training.audit.therapists.exposure import words as exposure_words
from training.audit.therapists.known import Known
from training.audit.therapists.reliable import Halves
from training.audit.therapists.section import examine
from training.audit.therapists.spread import MOST_DRAWN, beyond, caterpillar
from training.bundle import Bundle
from training.config import DEFAULT_HEADS, TrainConfig
from training.evaluate import Figure
from training.run import train

BLAME = ("ineffective", "poor", "best", "worst", "weak", "bad", "incompetent", "underperform", "failing", "harmful")

Rows = np.ndarray


@pytest.fixture(scope="module")
def looked_at(audited: tuple[Examined, Truth]) -> Examined:
    return audited[0]


@pytest.fixture(scope="module")
def truth(audited: tuple[Examined, Truth]) -> Truth:
    return audited[1]


@pytest.fixture(scope="module")
def found(looked_at: Examined) -> tuple[Section, dict[str, TherapistReport]]:
    return examine(looked_at)


@pytest.fixture(scope="module")
def known(looked_at: Examined) -> Known:
    return Known.of(looked_at)


@pytest.fixture(scope="module")
def seen(known: Known) -> Shown:
    there = shown(known)
    assert there is not None
    return there


def changed(looked_at: Examined, **frames: pd.DataFrame) -> Examined:
    """The same bundle beside other data."""
    dataset = replace(looked_at.dataset, frames={**looked_at.dataset.frames, **frames})
    parts = (looked_at.folder, looked_at.bundle, looked_at.tested, looked_at.stability)
    return Examined(*parts, dataset, looked_at.config, looked_at.policy)


def left_with(looked_at: Examined, cases: dict[str, int]) -> Examined:
    """Some therapists keep so many of their episodes whose outcome is known, and no others."""
    whole = Known.of(looked_at)
    told = looked_at.episodes["episode_id"][~np.isnan(whole.values["outcome"])]
    episodes = looked_at.dataset.frames["episodes"]
    away = pd.Series(False, index=episodes.index)
    for name, count in cases.items():
        mine = episodes["therapist_id"] == name
        kept = episodes.index[mine & episodes["episode_id"].isin(told)][:count]
        away |= mine & ~episodes.index.isin(kept)
    return changed(looked_at, episodes=episodes[~away].reset_index(drop=True))


def busiest(known: Known) -> list[str]:
    return [known.ids[i] for i in np.argsort(-known.result_counts["outcome"], kind="stable")]


def words_of(section: Section) -> Iterator[str]:
    yield from (section.title, *section.says, *(one.words for one in section.findings))
    for part in section.parts:
        yield part.title
        if isinstance(part, Table | Chart):
            yield part.note
            yield from (column.label for column in part.columns)
            yield from (cell for row in part.rows for cell in row if isinstance(cell, str))
            yield part.alt + part.svg if isinstance(part, Chart) else ""
        else:
            yield from part.lines


def table_of(section: Section, name: str) -> Table:
    (table,) = (part for part in section.parts if isinstance(part, Table) and part.id == name)
    return table


# --- true to what was planted --------------------------------------------------------------------------------------


def test_shrunken_effects_go_with_the_truth_as_their_reliability_says(known: Known, truth: Truth):
    named, effect = known.named("outcome"), known.with_own["outcome"]
    planted = true_effects(known, truth)[named]
    left = (effect.sd[named] ** 2).mean()
    expected = np.sqrt(1 - left / (effect.value[named].var() + left))
    met = np.corrcoef(effect.value[named], planted)[0, 1]
    assert abs(met - expected) < 0.25
    assert met > 0.4


def test_intervals_hold_about_as_often_as_they_say(known: Known, truth: Truth):
    planted = true_effects(known, truth)
    for effect in (known.told("outcome"), known.by_profile["outcome"]):
        inside = (planted > effect.low) & (planted < effect.high)
        assert inside.mean() >= 0.8


def test_effects_are_shrunken_from_the_raw_means(known: Known):
    cases, values = known.cases, known.values["outcome"]
    told = ~np.isnan(values)
    total = np.bincount(cases.therapist[told], values[told], minlength=len(known.ids))
    named = known.named("outcome")
    raw = total[named] / known.result_counts["outcome"][named]
    assert known.with_own["outcome"].value[named].std() < raw.std()


def test_the_average_over_past_cases_is_zero(known: Known):
    for head in known.heads:
        mean = np.average(known.with_own[head].value, weights=known.seen)
        assert abs(mean) < 0.1 * known.with_own[head].sd.mean()


def test_clients_shuffled_between_therapists_leave_no_spread(
    clinic: tuple[Dataset, Truth], tmp_path_factory: pytest.TempPathFactory
):
    dataset = clinic[0]
    episodes = dataset.frames["episodes"]
    luck = np.random.default_rng(1).permutation(len(episodes))
    mixed = episodes.assign(therapist_id=episodes["therapist_id"].to_numpy()[luck])
    frames = {name: frame for name, frame in dataset.frames.items() if name != "offers"}
    shuffled = replace(dataset, frames={**frames, "episodes": mixed})
    folder = tmp_path_factory.mktemp("shuffled") / "bundle"
    train(shuffled, TrainConfig(heads=DEFAULT_HEADS[:1], bootstraps=50), folder)
    known = Known.of(examined(folder, shuffled))
    effect, named = known.with_own["outcome"], known.named("outcome")
    assert beyond(effect)[named].sum() <= 2
    assert effect.value[named].std() < 0.08


def test_halves_of_what_differs_agree_and_halves_of_noise_do_not():
    rng = np.random.default_rng(0)
    therapist = np.repeat(np.arange(100), 30)
    own = rng.normal(size=100)[therapist]
    everyone = np.ones(100, dtype=bool)
    true = Halves(therapist, own + rng.normal(size=3000), 100, 0).agree(everyone, 0)
    noise = Halves(therapist, rng.normal(size=3000), 100, 0).agree(everyone, 0)
    assert true is not None
    assert noise is not None
    assert true.low < 30 / 31 < true.high + 0.02
    assert noise.low < 0 < noise.high


# --- who is named ---------------------------------------------------------------------------------------------------


def test_fifteen_cases_are_named_and_fourteen_are_not(looked_at: Examined, known: Known):
    one, other = busiest(known)[:2]
    fewer = Known.of(left_with(looked_at, {one: FEWEST_CASES, other: FEWEST_CASES - 1}))
    section, reports = examine(fewer.looked_at)
    assert (reports[one].expected["outcome"].cases, reports[other].expected["outcome"].cases) == (15, 0)
    i = fewer.ids.index(other)
    profile = fewer.by_profile["outcome"]
    assert reports[other].expected["outcome"].value == pytest.approx(profile.value[i], abs=1e-3)
    assert any("fewer than 15 cases" in line for line in reports[other].words)
    row = next(row for row in table_of(section, "therapists").rows if row[0] == other)
    assert isinstance(row[2], Estimate)
    assert row[2].value == pytest.approx(profile.value[i], abs=1e-3)
    assert any(isinstance(cell, str) and "what the profile foretells" in cell for cell in row)


def test_nobody_without_fifteen_results_has_a_figure_from_their_own(
    known: Known, found: tuple[Section, dict[str, TherapistReport]]
):
    few = 0
    for head in known.heads:
        for i, name in enumerate(known.ids):
            one = found[1][name].expected[head]
            assert all(told[0] >= FEWEST_CASES for told in one.by_kind.values())
            if known.result_counts[head][i] < FEWEST_CASES:
                few += 1
                assert one.cases == 0
                assert one.value == pytest.approx(known.by_profile[head].value[i], abs=1e-3)
                assert not one.by_kind
    assert few > 0


def test_who_opted_out_is_told_from_the_profile_alone(looked_at: Examined, known: Known):
    one = busiest(known)[0]
    therapists = looked_at.dataset.frames["therapists"]
    flags = therapists["learning_opt_out"].mask(therapists["therapist_id"] == one, True)
    out = Known.of(changed(looked_at, therapists=therapists.assign(learning_opt_out=flags)))
    section, reports = examine(out.looked_at)
    report, i = reports[one], out.ids.index(one)
    assert report.learning_opt_out
    assert (report.cases, report.basis, report.caseload) == (None, "profile", None)
    assert report.expected["outcome"].value == pytest.approx(out.by_profile["outcome"].value[i], abs=1e-3)
    assert "opted out" in report.words[0]
    row = next(row for row in table_of(section, "therapists").rows if row[0] == one)
    assert row[1] is None
    assert any(isinstance(cell, str) and "opted out" in cell for cell in row)


def test_a_therapist_without_cases_is_told_from_a_wide_interval(looked_at: Examined, known: Known):
    therapists = looked_at.dataset.frames["therapists"]
    new = therapists.tail(1).assign(therapist_id="t-new-1")
    fuller = Known.of(changed(looked_at, therapists=pd.concat([therapists, new], ignore_index=True)))
    report = examine(fuller.looked_at)[1]["t-new-1"]
    assert (report.cases, report.basis, report.caseload, report.exposure) == (0, "profile", None, None)
    one = report.expected["outcome"]
    assert one.low < one.value < one.high
    assert one.high - one.low > 2 * known.told("outcome").sd[known.named("outcome")].min()


# --- how it is shown ------------------------------------------------------------------------------------------------


def test_the_picture_is_in_order_and_names_nobody_and_the_table_is_in_the_order_of_ids(
    known: Known, found: tuple[Section, dict[str, TherapistReport]]
):
    section = found[0]
    pictures = [part for part in section.parts if isinstance(part, Chart) and part.id.startswith("therapists.")]
    assert len(pictures) == len(known.heads)
    for picture in pictures:
        values = [row[1] for row in picture.rows]
        assert values == sorted(values)  # type: ignore[type-var]
        assert not any(name in picture.model_dump_json() for name in known.ids)
        assert len(picture.svg) < 40_000
    for name in ("therapists", "screening"):
        ids = [row[0] for row in table_of(section, name).rows]
        assert ids == sorted(ids)  # type: ignore[type-var]
    assert {row[0] for row in table_of(section, "therapists").rows} == set(known.ids)


def test_the_picture_of_many_therapists_stays_small(known: Known):
    profiles = pd.concat([known.profiles] * 50, ignore_index=True)
    many = Known(known.looked_at, profiles, np.zeros(len(profiles), bool))
    counts = np.tile(known.result_counts["outcome"], 50)
    vars(many)["result_counts"] = {"outcome": counts}
    picture = caterpillar(many, "outcome")
    assert picture is not None
    assert len(picture.rows) == MOST_DRAWN
    assert len(picture.svg) < 40_000
    assert f"of {(counts >= FEWEST_CASES).sum()} therapists" in picture.title


def test_no_word_is_a_verdict_on_anyone(found: tuple[Section, dict[str, TherapistReport]]):
    section, reports = found
    said = [*words_of(section), *RIGHTS, *(line for one in reports.values() for line in one.words)]
    assert len(said) > 100
    spoken = set(" ".join(said).lower().replace("-", " ").replace(",", " ").replace(".", " ").split())
    assert not [word for word in BLAME if any(heard.startswith(word) for heard in spoken)]


def test_every_page_says_that_it_is_not_for_pay_or_dismissal_and_what_rights_there_are(
    found: tuple[Section, dict[str, TherapistReport]],
):
    section, reports = found
    assert NOT_FOR in section.says
    assert all(line in list(words_of(section)) for line in RIGHTS)
    for one in reports.values():
        assert NOT_FOR in one.words
        assert one.answer()["rights"] == list(RIGHTS)


def test_a_report_is_small_and_comes_back_from_its_text(found: tuple[Section, dict[str, TherapistReport]]):
    texts = [one.model_dump_json() for one in found[1].values()]
    assert np.mean([len(text) for text in texts]) < 2500
    assert [TherapistReport.model_validate_json(text) for text in texts] == list(found[1].values())
    assert json.loads(texts[0])["therapist_id"] in found[1]


# --- exposure -------------------------------------------------------------------------------------------------------


def test_exposures_sum_to_the_clients(seen: Shown, looked_at: Examined):
    for way in ("lot", "seen", "first"):
        assert seen.exposure(way).sum() == pytest.approx(seen.clients)
    offered = np.bincount(looked_at.offered.position)
    assert seen.exposure("first_five").sum() == np.minimum(offered, 5).sum()
    assert (seen.exposure("first") <= seen.exposure("first_five")).all()
    assert (seen.exposure("first_five") <= seen.times_offered).all()


def test_where_no_difference_is_worth_a_wait_nobody_is_put_first_and_nobody_gathers(seen: Shown):
    nothing = replace(seen, tells=np.zeros(seen.clients, dtype=bool))
    np.testing.assert_allclose(nothing.exposure("first"), nothing.exposure("lot"))
    assert nothing.new_share[0]["first"] == pytest.approx(nothing.new_share[0]["lot"])
    assert "For 100% of them it finds no difference worth a wait" in " ".join(exposure_words(nothing))
    caseloads = Caseloads(nothing)
    assert (caseloads.therapist["first"] == caseloads.therapist["seen"]).all()
    certain = replace(seen, tells=np.ones(seen.clients, dtype=bool))
    first = np.bincount(certain.therapist[certain.place == 0], minlength=len(certain.known.ids))
    np.testing.assert_allclose(certain.exposure("first"), first)
    assert "no difference worth a wait" not in " ".join(exposure_words(certain))


def test_whoever_stands_first_has_the_highest_utility_of_those_offered(seen: Shown, looked_at: Examined):
    first = seen.utility[seen.place == 0]
    assert (first >= looked_at.offered.best(seen.utility) - 1e-12).all()


def test_a_report_tells_the_exposure_that_was_counted(
    seen: Shown, known: Known, found: tuple[Section, dict[str, TherapistReport]]
):
    told = 0
    for i, name in enumerate(known.ids):
        one = found[1][name].exposure
        if one is None:
            assert seen.times_offered[i] < 10
            continue
        told += one.first
        assert one.offered == seen.times_offered[i]
    assert 0 < told <= seen.clients


def test_new_therapists_by_lot_have_their_share_of_those_offered(seen: Shown, looked_at: Examined):
    share, ratio = seen.new_share
    pairs = seen.new[seen.therapist]
    position = looked_at.offered.position
    each = np.bincount(position, pairs) / np.bincount(position)
    assert share["lot"] == pytest.approx(each.mean())
    assert ratio is not None
    assert ratio.low <= ratio.value <= ratio.high
    assert ratio.value == pytest.approx(share["first"] / share["lot"])


def test_the_picture_of_exposure_says_what_is_in_it(seen: Shown, found: tuple[Section, dict[str, TherapistReport]]):
    (picture,) = [part for part in found[0].parts if isinstance(part, Chart) and part.id == "therapist_first_places"]
    ordered = np.sort(seen.exposure("first")[seen.times_offered > 0])[::-1]
    count = len(ordered) / 10
    share = (ordered[: int(count)].sum() + (count - int(count)) * ordered[int(count)]) / ordered.sum()
    assert f"{share:.0%}" in picture.title
    assert [row[0] for row in picture.rows] == ["drawn by lot", "as clients were seen", "first place", "first five"]


@given(st.lists(st.integers(0, 50), min_size=10, max_size=40))
def test_concentration_lies_between_all_alike_and_one_has_all(counts: list[int]):
    values = np.array(counts, dtype=np.float64)
    assert -1e-9 <= gini(values) < 1
    if values.sum():
        assert 0.1 - 1e-9 <= top_share(values) <= 1 + 1e-9
    assert gini(np.ones(len(counts))) == pytest.approx(0)
    assert top_share(np.ones(len(counts))) == pytest.approx(0.1)
    alone = np.eye(len(counts))[0]
    assert gini(alone) == pytest.approx(1 - 1 / len(counts))
    assert top_share(alone) == pytest.approx(1)


# --- caseloads ------------------------------------------------------------------------------------------------------


def test_clients_who_gather_are_told_from_clients_who_do_not():
    rng = np.random.default_rng(3)
    therapist, values = np.repeat(np.arange(60), 20), rng.normal(size=1200)
    assert abs(between(values, therapist, 200, 0).value) < 0.03
    sorted_by = between(np.sort(values), therapist, 200, 0)
    assert sorted_by.value > 0.9
    planted = between(values + 0.5 * rng.normal(size=60)[therapist], therapist, 200, 0)
    assert planted.low < 0.2 < planted.high


def test_that_clients_gather_is_said_only_where_their_interval_says_it():
    nothing, much = Figure(0.27, -0.1, 0.64), Figure(0.3, 0.2, 0.4)
    assert "cannot be told" in gathering(Gathered(nothing, nothing))
    assert "gather with some therapists already" in gathering(Gathered(much, nothing))
    assert "hardly gather" in gathering(Gathered(Figure(0.0, -0.02, 0.02), Figure(0.0, -0.02, 0.02)))


@pytest.mark.parametrize(
    ("clients", "reported", "shown_clients", "shown_risk"),
    [
        (9, 4, None, None),
        (10, 4, 10, None),
        (20, 9, 20, None),
        (20, 10, 20, 0.5),
        (25, 16, 25, None),
        (30, 0, 30, None),
    ],
)
def test_counts_under_ten_are_not_shown(
    clients: int, reported: int, shown_clients: int | None, shown_risk: float | None
):
    risk = (np.arange(clients) < reported).astype(np.float64)
    count, _, share = mix_of(np.zeros(clients), risk)
    assert (count, share) == (shown_clients, shown_risk)


def test_a_caseload_under_ten_is_not_shown_and_one_of_ten_is(looked_at: Examined, known: Known):
    one, other = busiest(known)[:2]
    fewer = Known.of(left_with(looked_at, {one: 10, other: 9}))
    caseloads = dict(zip(fewer.ids, mixes(fewer), strict=True))
    assert caseloads[other] is None
    mine = caseloads[one]
    assert mine is not None
    assert mine.clients == 10
    assert mine.risk_share is None  # ten clients cannot hold ten who reported and ten who did not


def test_severity_is_the_one_the_model_reads(known: Known, looked_at: Examined):
    rows = np.flatnonzero(known.cases.tested)
    column = looked_at.bundle.features.columns_of("client").index("severity")
    design = looked_at.bundle.design
    read = (looked_at.seen.blocks["client"][:, column] - design.severity_mean) / design.severity_sd
    np.testing.assert_allclose(known.cases.severity[rows], read, atol=1e-9)


def test_who_reported_self_harm_is_who_answered_one_or_more(known: Known, looked_at: Examined):
    measures = looked_at.dataset.frames["measures"]
    ninth = measures[(measures["instrument"] == "phq9") & (measures["item"] == "9") & (measures["session"] == 0)]
    answer = ninth.set_index("episode_id")["value"].reindex(looked_at.episodes["episode_id"]).to_numpy()
    np.testing.assert_array_equal(known.cases.risk == 1, answer >= 1)
    np.testing.assert_array_equal(np.isnan(known.cases.risk), np.isnan(answer))


def test_bands_hold_every_therapist_and_their_clients_once(seen: Shown, found: tuple[Section, dict[str, object]]):
    table = table_of(found[0], "therapist_caseloads")
    assert sum(row[1] for row in table.rows) == len(seen.known.ids)  # type: ignore[misc]
    told = [row[2] for row in table.rows if isinstance(row[2], int)]
    assert sum(told) <= seen.clients
    assert (np.bincount(Caseloads(seen).band, minlength=4)[1:] > 0).all()


# --- data that cannot say everything --------------------------------------------------------------------------------


def no_offers(looked_at: Examined) -> Examined:
    frames = {name: frame for name, frame in looked_at.dataset.frames.items() if name != "offers"}
    return replace(looked_at, dataset=replace(looked_at.dataset, frames=frames))


def no_risk_items(looked_at: Examined) -> Examined:
    measures = looked_at.dataset.frames["measures"]
    return changed(looked_at, measures=measures[measures["item"] != "9"].reset_index(drop=True))


def nothing_tested(looked_at: Examined) -> Examined:
    return replace(looked_at, tested=None)


def undated(looked_at: Examined) -> Examined:
    """As a run leaves it of data without dates: no cases are counted, for there is no past."""
    frames = {name: without_dates(frame) for name, frame in looked_at.dataset.frames.items()}
    frames["therapists"] = frames["therapists"].drop_duplicates("therapist_id").reset_index(drop=True)
    manifest = looked_at.dataset.manifest.model_copy(update={"undated": True, "as_of": None})
    bundles = (uncounted(looked_at.bundle), uncounted(looked_at.asked))
    dataset = replace(looked_at.dataset, manifest=manifest, frames=frames)
    return replace(looked_at, bundle=bundles[0], tested=bundles[1], dataset=dataset)


def without_dates(frame: pd.DataFrame) -> pd.DataFrame:
    dates = [name for name in frame if pd.api.types.is_datetime64_any_dtype(frame[name].dtype)]
    return frame.assign(**{name: pd.Series(pd.NaT, index=frame.index, dtype=frame[name].dtype) for name in dates})


def uncounted(bundle: Bundle) -> Bundle:
    counts = {name: np.full(len(bundle.records.ids), np.nan) for name in bundle.records.counts}
    manifest = bundle.manifest.model_copy(update={"undated": True, "as_of": None})
    return replace(bundle, manifest=manifest, records=replace(bundle.records, counts=counts))


@pytest.mark.parametrize("without", [no_offers, no_risk_items, nothing_tested, undated])
def test_less_data_say_less_and_still_tell_of_everyone(looked_at: Examined, without: Callable[[Examined], Examined]):
    section, reports = examine(without(looked_at))
    assert len(reports) == looked_at.dataset["therapists"]["therapist_id"].nunique()
    assert Section.model_validate_json(section.model_dump_json()) == section
    said = [*words_of(section), *(line for one in reports.values() for line in one.words)]
    assert not [line for line in said if re.search(r"\bnan\b", line)]
    assert any(one.basis == "own_results" for one in reports.values())
    if without is no_risk_items:
        assert any("too few were asked" in line for line in words_of(section))
