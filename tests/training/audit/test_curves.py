"""What the curves say is true where the truth is known, and their words follow the numbers."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.dataset import Dataset
from data.synthetic.truth import Truth
from features.catalog import CATALOG
from features.columns import Columns, Pairs
from features.feature import PairFeature
from training.audit.curves.alliance import AdherenceAt, AdherenceCurve, Rated, adherence_curve, alliance_curve, rated
from training.audit.curves.courses import against, course_title, prognosis_chart
from training.audit.curves.drawn import change_title, product_title, ranking_chart
from training.audit.curves.prognosis import Along, Course, Prognoses, accumulated
from training.audit.curves.ranking import PRODUCTS, Product, Ranking, lines, product_lines
from training.audit.curves.section import RANKING_CURVES, examine, relations
from training.audit.curves.severity import SEVERITIES, Spread, severity_chart, severity_says, severity_title, spread
from training.audit.curves.shapes import apart, correlation, number, regressed, said, size, spline
from training.audit.curves.told import HARDLY, MODERATE, UNTOLD, adherence_title, alliance_title, does
from training.audit.document import Chart, Estimate, Section
from training.audit.examined import Examined
from training.audit.importances import UTILITY
from training.evaluate import Figure, Resamples

Audited = tuple[Examined, Truth]
NOISE = ("height_cm", "commute_minutes", "siblings", "coffees_a_day", "office_floor", "birth_month")
UP, DOWN, FLAT = Figure(0.2, 0.1, 0.3), Figure(-0.2, -0.3, -0.1), Figure(0.0, -0.1, 0.1)


@pytest.fixture(scope="module")
def ranking(audited: Audited) -> Ranking:
    return Ranking(audited[0])


@pytest.fixture(scope="module")
def severity(ranking: Ranking) -> Spread:
    found = spread(ranking, "outcome", 0)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def people(audited: Audited) -> Rated:
    found = rated(audited[0])
    assert found is not None
    return found


@pytest.fixture(scope="module")
def made(audited: Audited) -> tuple[Section, dict[str, Chart]]:
    return examine(audited[0])


def beside(looked_at: Examined, **frames: pd.DataFrame) -> Examined:
    """The same bundle beside other data."""
    dataset: Dataset = replace(looked_at.dataset, frames={**looked_at.dataset.frames, **frames})
    parts = (looked_at.folder, looked_at.bundle, looked_at.tested, looked_at.stability)
    return Examined(*parts, dataset, looked_at.config, looked_at.policy)


# --- planted effects ------------------------------------------------------------------------------------------------


def test_wishes_met_rise_and_a_gap_of_directiveness_falls_as_planted(ranking: Ranking):
    wishes, gap = lines(ranking, "wishes_met"), lines(ranking, "directiveness_gap")
    assert wishes is not None
    assert gap is not None
    assert apart(wishes.change["outcome"]) == 1
    assert apart(wishes.change[UTILITY]) == 1
    assert gap.change["outcome"].value < 0


def test_the_interval_of_a_planted_slope_holds_the_planted_one(ranking: Ranking, audited: Audited):
    planted = audited[1].describe()["match_terms"]["directiveness_gap"]["coefficient"]
    found = lines(ranking, "directiveness_gap")
    assert found is not None
    slope = ranking.bundle.heads["outcome"].info.sd / (found.x[-1] - found.x[0])
    assert found.change["outcome"].low * slope < planted < found.change["outcome"].high * slope


def test_columns_without_effect_hold_nothing_in_their_intervals(ranking: Ranking):
    found = [lines(ranking, f"therapist.{name}") for name in NOISE]
    assert all(one is not None and apart(one.change[UTILITY]) == 0 for one in found)


def test_an_effect_is_nothing_at_the_average_and_its_interval_is_widest_at_the_ends(ranking: Ranking):
    found = lines(ranking, "directiveness_gap")
    assert found is not None
    width = [one.high - one.low for one in found.by_head[UTILITY]]
    assert min(width) < 0.1 * max(width)
    assert max(width) in (width[0], width[-1])


def test_skill_helps_more_where_symptoms_are_severe(ranking: Ranking):
    (product,) = (one for one in PRODUCTS if one.name == "severity_x_skill")
    changes = [one.change["outcome"].value for one in product_lines(ranking, product).values()]
    assert changes == sorted(changes)
    assert changes[-1] > 0


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda one: one.name)
def test_products_are_those_that_features_build(product: Product):
    client, therapist = np.array([0.2, 0.9]), np.array([0.3, 0.7])
    names = {"years_practising": "year", "interpersonal_skill": "interpersonal_skill"}
    column = names.get(product.therapist, f"style_{product.therapist}")
    theirs = Columns(2, numbers={column: therapist, "practising_since": np.zeros(2)})
    feature = CATALOG[product.name]
    assert isinstance(feature, PairFeature)
    built = feature.build(Columns(2, numbers={product.client: client}), theirs, Pairs.each(2))
    assert built == pytest.approx((client - product.client_middle) * (therapist - product.therapist_middle))


def test_what_a_column_adds_is_what_the_fit_says_when_it_alone_is_changed(ranking: Ranking):
    head, row = ranking.bundle.heads["outcome"], ranking.columns[:1]
    gap = ranking.moved("wishes_met", np.array([1.0])) - ranking.moved("wishes_met", np.array([0.0]))
    effects, nobody = np.zeros((1, len(head.solution.prior))), np.array([-1])
    before, after = head.mean(row, effects, nobody), head.mean(row + gap, effects, nobody)
    added = ranking.adds(gap)["outcome"][0]
    trees = head.remainder(row + gap) - head.remainder(row)
    assert added.value * head.info.sd == pytest.approx(float((after - before - trees)[0]))
    spread_of = head.posterior(gap, effects, nobody)
    assert (added.high - added.value) * head.info.sd / 1.96 == pytest.approx(
        float(np.sqrt((spread_of.loading**2).sum())), rel=1e-3
    )


def test_therapists_differ_more_for_severe_clients_by_as_much_as_planted(severity: Spread):
    share = {float(s): one for s, one in zip(SEVERITIES, severity.share, strict=True)}
    for at, planted in ((-2.0, 0.02), (0.0, 0.05), (2.0, 0.10)):
        assert share[at].low < planted < share[at].high
    assert severity.rise.value > 0
    assert severity.sd[-1].value > severity.sd[4].value


def test_early_alliance_goes_with_outcome_as_closely_as_planted(people: Rated):
    found = alliance_curve(people)
    assert 0.20 < found.raw_r.value < 0.31
    assert 0.23 < found.r.value < 0.35
    assert found.raw_r.low < 0.28
    assert found.raw_r.high > 0.22
    assert found.mean[0].high < found.mean[-1].low
    assert sum(found.n) == len(people.raw)


def test_moderate_adherence_does_best_only_where_the_alliance_is_weak(people: Rated):
    found = adherence_curve(people)
    assert found is not None
    assert found.at["weak"].bend.value > found.at["middling"].bend.value > found.at["strong"].bend.value
    assert found.at["weak"].bend.value > 0.05
    assert apart(found.at["strong"].bend) == 0
    assert found.change_of_bend.value > 0.05


def test_who_answered_is_counted_among_those_who_started(people: Rated, audited: Audited):
    episodes = audited[0].episodes
    assert people.asked == int(episodes["started_on"].notna().sum())
    assert 0.5 < people.answered / people.asked < 1
    assert people.ceiling is not None
    assert 0 <= people.ceiling < 0.2


def test_results_of_people_not_seen_go_along_with_what_is_expected(audited: Audited):
    found = Prognoses(audited[0]).along("expectancy")
    assert found is not None
    course = found.courses["outcome"]
    assert course.change > 0
    assert course.borne_out is not None
    assert apart(course.borne_out) == 1
    assert min(course.n) >= 10


# --- how it is worked out -------------------------------------------------------------------------------------------


def test_accumulated_effects_of_a_straight_line_are_that_line(audited: Audited):
    looked_at = audited[0]
    prognoses, bundle = Prognoses(looked_at), looked_at.bundle
    head = replace(bundle.heads["outcome"], trees="")
    name = "expectancy"
    (column,) = prognoses.columns(bundle, name)
    edges = np.linspace(0.2, 0.8, 5)
    found = accumulated(bundle, head, prognoses.block[prognoses.sample], column, edges)
    at = bundle.design.client.names.index(name)
    slope = head.solution.b[2 + at] / bundle.design.client.sd[at]
    assert np.diff(found) == pytest.approx(slope * np.diff(edges))


def test_intervals_of_a_fitted_line_hold_the_line():
    rng = np.random.default_rng(1)
    therapist = rng.integers(0, 60, 3000)
    x = rng.standard_normal(3000)
    y = 1 + 0.5 * x + 0.3 * rng.standard_normal(60)[therapist] + rng.standard_normal(3000)
    resamples = Resamples.of(therapist, 200, 0)
    fitted = regressed(np.column_stack([np.ones(3000), x]), y, resamples)
    level, rise = fitted.at(np.eye(2), resamples)
    assert level.low < 1 < level.high
    assert rise.low < 0.5 < rise.high
    assert level.high - level.low > 2 * (rise.high - rise.low)  # therapists differ in level, not in slope
    assert correlation(x, x, resamples) == Figure(pytest.approx(1), pytest.approx(1), pytest.approx(1))
    assert correlation(x, -x, resamples).value == pytest.approx(-1)


@given(st.lists(st.floats(-5, 5), min_size=4, max_size=4, unique_by=lambda one: round(one, 1)), st.floats(6, 50))
def test_a_spline_is_straight_beyond_its_last_knots(knots: list[float], far: float):
    at = np.array([far, far + 1, far + 2])
    rows = spline(at, np.sort(knots))
    scale = np.abs(rows).max()
    assert rows[0] - 2 * rows[1] + rows[2] == pytest.approx(np.zeros(4), abs=1e-6 * scale)


# --- words follow the numbers ---------------------------------------------------------------------------------------


def test_a_title_says_which_way_it_goes_and_nothing_where_the_interval_holds_nothing():
    assert "the better" in change_title("wishes", UP, "SD")
    assert "the worse" in change_title("wishes", DOWN, "SD")
    assert "no clear effect" in change_title("wishes", FLAT, "SD")
    assert product_title("skill", "severity", DOWN, UP).index("harms") < product_title(
        "skill", "severity", DOWN, UP
    ).index("helps")
    assert "helps" not in product_title("skill", "severity", FLAT, DOWN)


@given(st.floats(-2, 2), st.floats(0, 1), st.floats(0, 1))
def test_no_title_claims_a_way_that_its_interval_does_not(value: float, below: float, above: float):
    figure = Figure(value, value - below, value + above)
    title = change_title("wishes", figure, "SD")
    assert ("better" in title) == (figure.low > 0)
    assert ("worse" in title) == (figure.high < 0)
    told = alliance_title(figure, "outcome")
    assert ("the better the outcome" in told) == (figure.low > 0)
    assert ("the worse the outcome" in told) == (figure.high < 0)


def spreading(low: float, high: float, rise: Figure) -> Spread:
    shares = tuple(Figure(v, v, v) for v in np.linspace(low, high, len(SEVERITIES)))
    return Spread("outcome", shares, shares, rise, own=True, therapists=50)


def test_therapists_who_differ_less_for_severe_clients_are_said_to():
    assert "matters more" in severity_title(spreading(0.01, 0.10, UP))
    assert "matters less" in severity_title(spreading(0.10, 0.01, DOWN))
    assert "no clear change" in severity_title(spreading(0.05, 0.05, FLAT))


def at(bend: Figure, rise: Figure) -> AdherenceAt:
    return AdherenceAt(3.0, (), rise, bend)


def adherent(weak: AdherenceAt, strong: AdherenceAt) -> AdherenceCurve:
    return AdherenceCurve(np.zeros(0), {"weak": weak, "middling": weak, "strong": strong}, UP, 1000, {})


def test_adherence_is_told_as_it_is_and_not_as_the_field_has_it():
    assert does(at(UP, FLAT)) == MODERATE
    assert "least good" in does(at(DOWN, FLAT))
    assert "more adherence went with better" in does(at(FLAT, UP))
    assert "more adherence went with less good" in does(at(FLAT, DOWN))
    assert does(at(FLAT, FLAT)) == HARDLY
    unclear = Figure(0.0, -0.58, 0.28)
    assert does(at(unclear, FLAT)) == does(at(FLAT, unclear)) == UNTOLD, "no sign of a thing is no sign against it"
    other_way = adherence_title(adherent(at(FLAT, FLAT), at(UP, FLAT)))
    assert other_way.index(HARDLY) < other_way.index(MODERATE)
    assert "Whether the alliance was weak or strong" in adherence_title(adherent(at(FLAT, UP), at(FLAT, UP)))


def course(change: float, borne: Figure | None) -> Course:
    none = np.zeros(0, dtype=np.int64)
    return Course(np.zeros(2), none, np.zeros(0), none, (), change, borne)


def test_results_of_people_not_seen_outweigh_what_the_model_expects():
    assert "higher by 0.20" in course_title("age", course(0.5, UP), "SD", is_words=False, who="people not seen")
    assert "lower by 0.20" in course_title("age", course(0.5, DOWN), "SD", is_words=False, who="people not seen")
    assert "no clear change" in course_title("age", course(0.5, FLAT), "SD", is_words=False, who="people not seen")
    assert "too few to test" in course_title("age", course(-0.5, None), "SD", is_words=False, who="people not seen")
    assert "no more than chance" in course_title("payer", course(0.5, FLAT), "SD", is_words=True, who="people not seen")


def test_results_that_go_the_other_way_are_a_finding_and_those_that_agree_or_are_unclear_are_not(audited: Audited):
    bundle, x = audited[0].bundle, np.array([0.0, 1.0])

    def found(borne: Figure | None) -> list[str]:
        return [one.words for one in against(bundle, "age", Along(x, {"outcome": course(0.5, borne)}, ()))]

    assert len(found(DOWN)) == 1
    assert "other way" in found(DOWN)[0]
    assert not [*found(UP), *found(FLAT), *found(None)]


def test_numbers_are_told_with_real_minus_signs_and_never_as_minus_nothing():
    assert number(-0.001) == "0.00"
    assert number(-0.25) == "\N{MINUS SIGN}0.25"
    assert said(FLAT, "SD") == "0.00 SD (\N{MINUS SIGN}0.10 to 0.10)"
    assert size(DOWN, "SD") == "0.20 SD (0.10 to 0.30)"


# --- the section ----------------------------------------------------------------------------------------------------


def test_the_section_answers_in_sentences_with_intervals_and_shows_each_relation(
    made: tuple[Section, dict[str, Chart]],
):
    section, pages = made
    shown = {part.id for part in section.parts if isinstance(part, Chart)}
    assert {"therapists_by_severity", "alliance_and_result", "alliance_by_adherence"} <= shown
    assert sum(bool(re.search(r"\d \(|\d [A-Za-z ]+\(", one)) for one in section.says) >= 5
    assert any("not what caused what" in one for one in section.says)
    assert any("have an early rating" in one and "highest rating" in one for one in section.says)
    assert 10 < len(pages) <= RANKING_CURVES + 10
    assert {"wishes_met", "directiveness_gap", "expectancy", "severity"} <= set(pages)


def test_every_chart_has_words_and_data_that_stand_for_it_and_stays_small(made: tuple[Section, dict[str, Chart]]):
    every = [*made[1].values(), *(part for part in made[0].parts if isinstance(part, Chart))]
    for one in every:
        assert len(one.alt) > 40
        assert one.title
        assert one.rows
        assert all(len(row) == len(one.columns) for row in one.rows)
        assert len(one.svg) < 40_000
        ElementTree.fromstring(one.svg)
    assert any(isinstance(cell, Estimate) for one in every for row in one.rows for cell in row)


def test_the_same_data_give_the_same_charts(ranking: Ranking):
    assert ranking_chart(ranking, "wishes_met") == ranking_chart(ranking, "wishes_met")


def test_curves_beyond_those_shown_are_named(made: tuple[Section, dict[str, Chart]]):
    assert "On their own pages, for the order" in made[0].parts[-1].model_dump_json()


def test_severity_in_a_chart_stands_beside_the_fields_figures(ranking: Ranking, severity: Spread):
    drawn = severity_chart(ranking, severity)
    assert [row[3] for row in drawn.rows if row[0] == 2] == ["0.10"]
    assert "Saxon and Barkham" in drawn.note


# --- data that know less --------------------------------------------------------------------------------------------


def test_without_adherence_the_rest_is_told_and_adherence_is_not(audited: Audited):
    looked_at = audited[0]
    sessions = looked_at.dataset.frames["sessions"].drop(columns=["adherence"])
    found = rated(beside(looked_at, sessions=sessions))
    assert found is not None
    assert found.enough
    assert adherence_curve(found) is None


def test_without_ratings_of_the_alliance_nothing_is_said_of_it(audited: Audited):
    looked_at = audited[0]
    measures = looked_at.dataset.frames["measures"]
    silent = beside(looked_at, measures=measures[measures["instrument"] != "wai_sr"].reset_index(drop=True))
    assert rated(silent) is None
    charts, told = relations(silent)
    assert not charts
    assert told[0].startswith("Nothing can be said on early alliance")


def test_a_bundle_that_was_never_tested_and_has_no_slope_is_told_as_it_is(audited: Audited):
    looked_at = audited[0]
    outcome = looked_at.bundle.heads["outcome"]
    one = outcome.solution
    flat = replace(
        outcome,
        info=replace(outcome.info, parts=outcome.info.parts.model_copy(update={"slope": False, "strengths": False})),
        solution=replace(
            one, at_zero=one.at_zero[:, :1], per_border=one.per_border[:, :1], within=one.within[:, :1, :1],
            prior=one.prior[:1, :1],
        ),
    )  # fmt: skip
    manifest = looked_at.bundle.manifest.model_copy(update={"correlation": ((1.0,),)})
    alone = replace(looked_at.bundle, heads={"outcome": flat}, manifest=manifest)
    untested = Examined(looked_at.folder, alone, None, {}, looked_at.dataset, looked_at.config, looked_at.policy)
    ranking = Ranking(untested)
    found, drawn = spread(ranking, "outcome", 0), ranking_chart(ranking, "wishes_met")
    assert found is not None
    assert not found.own
    assert "no therapist differ by severity beyond" in severity_says({"outcome": found}, "outcome")[0]
    assert drawn is not None
    assert [column.name for column in drawn.columns] == ["value", UTILITY, "outcome", "pairs"]
    along = Prognoses(untested).along("expectancy")
    assert along is not None
    assert list(along.courses) == ["outcome"]
    told = prognosis_chart(Prognoses(untested), "expectancy", along)
    assert "not seen" not in told.model_dump_json()
    assert "learned from" in told.alt


@settings(max_examples=10)
@given(st.integers(0, 50))
def test_shares_of_variance_lie_between_nothing_and_all(audited: Audited, seed: int):
    found = spread(Ranking(audited[0]), "retention", seed)
    assert found is not None
    assert all(0 <= one.low <= one.high < 1 for one in found.share)
