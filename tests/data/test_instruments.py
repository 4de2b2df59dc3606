"""What the definitions of questionnaires promise."""

import pytest

from data.errors import NotFoundError
from data.instruments import INSTRUMENTS, SYMPTOMS, Instrument, declared, instrument
from data.tables import CODE_PATTERN

ALL = pytest.mark.parametrize("one", INSTRUMENTS.values(), ids=lambda one: one.id)


def test_the_eleven_instruments_of_the_contract_ship():
    assert list(INSTRUMENTS) == [
        "phq9", "gad7", "wai_sr", "srs", "ors", "core10", "wsas", "csq8", "oq45", "absence_days",
        "presenteeism_percent",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "threshold", "value"),
    [
        ("phq9", "caseness", 10), ("phq9", "reliable_change", 6),
        ("gad7", "caseness", 8), ("gad7", "reliable_change", 4),
        ("core10", "caseness", 11), ("core10", "reliable_change", 6),
        ("ors", "caseness", 25), ("ors", "reliable_change", 5),
        ("oq45", "caseness", 64), ("oq45", "reliable_change", 14),
        ("wsas", "reliable_change", 8), ("srs", "attention_below", 36),
    ],
)  # fmt: skip
def test_thresholds_are_those_published(name: str, threshold: str, value: float):
    assert instrument(name).threshold(threshold) == value


@pytest.mark.parametrize(("name", "starts"), [("phq9", [0, 5, 10, 15, 20]), ("gad7", [0, 5, 10, 15])])
def test_bands_start_at_the_published_scores(name: str, starts: list[int]):
    assert [band.low for band in instrument(name).bands] == starts


def test_asking_for_a_threshold_that_does_not_exist_names_those_that_do():
    with pytest.raises(NotFoundError, match=r"wsas caseness: no such threshold: .* reliable_change"):
        _ = instrument("wsas").caseness
    with pytest.raises(NotFoundError, match=r"csq8 reliable_change: .* none"):
        _ = instrument("csq8").reliable_change


def test_asking_for_an_instrument_that_does_not_ship_says_how_to_declare_it():
    with pytest.raises(NotFoundError, match=r"pcl5: no such instrument: .*\[instrument.pcl5\]"):
        instrument("pcl5")


@ALL
def test_bands_cover_the_range_without_gap_or_overlap(one: Instrument):
    covered = [score for band in one.bands for score in range(int(band.low), int(band.high) + 1)]
    assert covered == (list(range(int(one.low), int(one.high) + 1)) if one.bands else [])


@ALL
def test_the_range_of_the_total_follows_from_the_items(one: Instrument):
    if one.totals_only:
        assert one.item_range("1") is None
        return
    size = 1 if one.score == "mean" else one.items
    assert (one.low, one.high) == (one.item_low * size, one.item_high * size)


@ALL
def test_subscales_are_codes_and_share_no_item(one: Instrument):
    import re

    items = [item for part in one.subscales.values() for item in part]
    assert len(items) == len(set(items))
    assert all(re.fullmatch(CODE_PATTERN, name) and not name.isdecimal() for name in one.subscales)


@ALL
def test_where_item_text_ships_so_do_the_question_and_a_name_for_each_value(one: Instrument):
    assert bool(one.text) == bool(one.asked)
    assert len(one.answers) == (one.item_high - one.item_low + 1 if one.text else 0)


@ALL
def test_item_text_ships_for_phq9_and_gad7_only(one: Instrument):
    assert len(one.text) == (one.items if one.id in ("phq9", "gad7") else 0)


@ALL
def test_every_instrument_says_where_its_figures_come_from_and_what_its_licence_asks(one: Instrument):
    assert one.source
    assert one.licence


@ALL
def test_loinc_has_panel_total_and_every_item_or_nothing(one: Instrument):
    whole = {"panel", *(str(item) for item in range(one.items + 1))}
    assert set(one.loinc) == (whole if one.id in ("phq9", "gad7") else set())


def test_loinc_of_the_self_harm_item_is_not_the_total():
    codes = instrument("phq9").loinc
    assert (codes["9"], codes["0"]) == ("44260-8", "44261-6")


def test_the_alliance_subscales_are_goal_task_and_bond():
    assert instrument("wai_sr").subscales == {"goal": (4, 6, 8, 11), "task": (1, 2, 10, 12), "bond": (3, 5, 7, 9)}


def test_risk_items_are_those_about_self_harm():
    risky = {name: one.risk_items for name, one in INSTRUMENTS.items() if one.risk_items}
    assert risky == {"phq9": (9,), "core10": (6,)}


def test_irritability_and_sleep_are_single_items():
    assert SYMPTOMS["irritability"] == ("gad7", "6")
    assert SYMPTOMS["sleep"] == ("phq9", "3")
    assert "annoyed or irritable" in instrument("gad7").text[5]
    assert "asleep" in instrument("phq9").text[2]


def test_instruments_that_need_a_licence_are_named():
    assert [one.id for one in INSTRUMENTS.values() if one.needs_licence] == ["srs", "ors", "csq8", "oq45"]


def test_an_instrument_is_frozen():
    with pytest.raises(AttributeError):
        instrument("phq9").high = 30  # type: ignore[misc]


def test_a_declared_instrument_has_a_range_and_no_thresholds():
    own = declared("panss_change", "change on PANSS", -180, 180, "lower")
    assert own.item_range("0") == (-180, 180)
    assert own.item_range("1") is None
    with pytest.raises(NotFoundError):
        _ = own.caseness
