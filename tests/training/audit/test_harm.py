"""Harm: what is known and what it can be, cells that nobody can work out, and who is pointed at and who is not."""

import re
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import beta

from data.consent import for_learning
from data.dataset import Dataset
from data.history import History
from data.nhs import outcomes as nhs
from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from training.audit.document import Chart, Section, Table
from training.audit.harm import section as harm
from training.audit.harm.compare import ALARMS, Contrast, Sides, contrasts, group_sides
from training.audit.harm.counts import counts, crossed
from training.audit.harm.courses import ARMS, OUTCOMES, Referrals, reliably_worse, severity_bands
from training.audit.harm.hiding import OTHERS, hidden_among, hidden_crossed, pooled
from training.audit.harm.rates import exact, quantile, wilson
from training.audit.harm.tables import crossed_table, group_tables, long_table
from training.bands import FEWEST_IN_CELL as FEWEST
from training.calibration import FEWEST_IN_CELL

if TYPE_CHECKING:
    from data.synthetic.truth import Truth
    from training.audit.examined import Examined

Tables = Callable[..., Dataset]


def words(*values: str) -> npt.NDArray[np.object_]:
    return np.array(values, dtype=object)


def people(n: int, **given_: Any) -> Referrals:
    """Clients of whom nothing went wrong, and what a test says otherwise."""
    first = given_.pop("first", {"phq9": np.full(n, 15.0)})
    row: dict[str, Any] = {
        "arm": words(*["not_ranked"] * n),
        "groups": {},
        "therapist": np.arange(n) % 7,
        "started": np.ones(n, bool),
        "ending": words(*["planned"] * n),
        "declined": np.zeros(n, bool),
        "attended": np.full(n, 6.0),
        "wait": np.full(n, 14.0),
        "waiting": np.full(n, np.nan),
        "first": first,
        "last": {name: values.copy() for name, values in first.items()},
    }
    row |= given_
    row["groups"] = {**row["groups"], "severity_band": severity_bands(row["first"], n)}
    return Referrals(**row)


# -- what is known, and what it can be --------------------------------------------------------------------------------


def test_worse_is_what_the_nhs_calls_reliable_deterioration() -> None:
    change = np.arange(-8.0, 9.0)
    phq, gad = (grid.ravel() for grid in np.meshgrid(change, change))
    first = {"phq9": np.full(phq.shape, 12.0), "gad7": np.full(phq.shape, 10.0)}
    last = {"phq9": 12 + phq, "gad7": 10 + gad}
    theirs = nhs(first["phq9"], last["phq9"], first["gad7"], last["gad7"], np.full(phq.shape, 5))
    assert (reliably_worse(first, last) == theirs["reliable_deterioration"].to_numpy(float)).all()


def test_one_questionnaire_alone_says_what_it_says_and_none_says_nothing() -> None:
    nothing = np.nan
    first = {"phq9": np.array([10.0, 10, nothing, nothing, 10]), "gad7": np.array([nothing, nothing, 9, nothing, 9])}
    last = {"phq9": np.array([16.0, 15, nothing, nothing, nothing]), "gad7": np.array([nothing, 3, 13, 5, nothing])}
    np.testing.assert_array_equal(reliably_worse(first, last), [1, 0, 1, nothing, nothing])


def test_other_questionnaires_are_read_only_where_neither_of_the_pair_was_given() -> None:
    scores = {"core10": np.array([10.0, 10.0]), "ors": np.array([20.0, 20.0])}
    later = {"core10": np.array([16.0, 10.0]), "ors": np.array([20.0, 15.0])}
    np.testing.assert_array_equal(reliably_worse(scores, later), [1, 1])
    both = {"phq9": np.full(2, 9.0), **scores}
    np.testing.assert_array_equal(reliably_worse(both, {"phq9": np.full(2, 9.0), **later}), [0, 0])


def test_each_ending_counts_for_what_it_is_and_a_death_for_nothing() -> None:
    endings = words("planned", "dropout", "dropout", "transferred", "declined", "", "died")
    attended = np.array([8.0, 2, 5, 4, 0, 1, 4])
    started = np.array([True, True, True, True, False, True, True])
    told = people(7, ending=endings, attended=attended, started=started).outcomes
    unknown = np.nan
    np.testing.assert_array_equal(told["dropout"], [0, 1, 1, 0, unknown, unknown, unknown])
    np.testing.assert_array_equal(told["early_dropout"], [0, 1, 0, 0, unknown, unknown, 0])
    np.testing.assert_array_equal(told["declined"], [0, 0, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(told["unplanned"], [0, 1, 1, 1, unknown, unknown, unknown])
    np.testing.assert_array_equal(told["any"], [0, 1, 1, 1, 1, unknown, unknown])


def test_without_days_and_sessions_who_ended_as_planned_counts_among_those_who_did_not_drop_out() -> None:
    nowhere, unknown = np.zeros(4, dtype=bool), np.full(4, np.nan)
    ending = words("planned", "planned", "planned", "dropout")
    told = people(4, ending=ending, attended=unknown, started=nowhere).outcomes
    np.testing.assert_array_equal(told["dropout"], [0, 0, 0, 1])
    np.testing.assert_array_equal(told["unplanned"], [0, 0, 0, 1])
    assert np.isnan(told["early_dropout"]).all(), "of who dropped out nobody knows when"


def test_of_all_referred_the_unknown_make_the_range() -> None:
    n = 40
    last = {"phq9": np.concatenate([np.full(4, 25.0), np.full(16, 15.0), np.full(20, np.nan)])}
    told = counts(words(*["all"] * n), people(n, last=last).outcomes)
    share = told.share("deteriorated", 0)
    assert share is not None
    assert share.value == 20
    assert told.bounds("deteriorated", 0) == (10, 60)


@given(st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=FEWEST, max_size=200))
def test_the_range_of_all_referred_holds_the_share_of_those_known(values: list[float]) -> None:
    y = np.array(values)
    told = counts(words(*["all"] * len(y)), {"deteriorated": y})
    share, (least, most) = told.share("deteriorated", 0), told.bounds("deteriorated", 0)
    if share is not None and least is not None and most is not None:
        assert least - 1e-9 <= share.value <= most + 1e-9
        assert share.low is not None
        assert share.high is not None
        assert share.low <= share.value + 1e-9
        assert share.value <= share.high + 1e-9


# -- intervals --------------------------------------------------------------------------------------------------------


@given(st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.9999]))
@settings(deadline=None)
def test_the_exact_interval_is_that_of_the_beta_distribution(n: int, share: float, level: float) -> None:
    events = round(share * n)
    low, high = exact(events, n, level)
    tail = (1 - level) / 2
    assert low == pytest.approx(0 if events == 0 else beta.ppf(tail, events, n - events + 1), abs=1e-8)
    assert high == pytest.approx(1 if events == n else beta.ppf(1 - tail, events + 1, n - events), abs=1e-8)


def test_the_score_interval_is_the_published_one() -> None:
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662), "Newcombe 1998, Stat Med 17:857, table I"


@given(st.lists(st.integers(0, 60), min_size=1, max_size=80), st.sampled_from([0.5, 0.9]))
@settings(deadline=None)
def test_a_quantile_lies_in_its_interval(values: list[int], q: float) -> None:
    found = quantile(np.array(values, float), q)
    assert found is not None
    assert found.low is None or found.low <= found.value
    assert found.high is None or found.high >= found.value


def test_the_median_of_ten_waits_lies_between_the_second_and_the_ninth() -> None:
    found = quantile(np.arange(1.0, 11.0), 0.5)
    assert found is not None
    assert (found.low, found.high) == (2, 9), "coverage 97.9 %, the least that is 95 % or more"


# -- nobody can be worked out -----------------------------------------------------------------------------------------


def test_cells_are_as_small_here_as_everywhere() -> None:
    assert FEWEST == FEWEST_IN_CELL


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_a_hidden_cell_is_never_alone_and_the_hidden_are_not_few(sizes: list[int]) -> None:
    n = np.array(sizes)
    hidden = hidden_among(n)
    assert hidden[(n > 0) & (n < FEWEST)].all()
    if hidden.any() and n.sum() >= FEWEST and (n > 0).sum() > 1:
        assert hidden.sum() >= 2
        assert n[hidden].sum() >= FEWEST


@given(arrays(np.int64, st.tuples(st.integers(2, 5), st.integers(2, 4)), elements=st.integers(0, 40)))
@settings(deadline=None, max_examples=300)
def test_a_hidden_cell_can_hold_another_number_with_the_same_totals(n: npt.NDArray[np.int64]) -> None:
    none = (np.zeros(n.shape[0], bool), np.zeros(n.shape[1], bool))
    hidden = hidden_crossed(n, *none)
    assert hidden[(n > 0) & (n < FEWEST)].all()
    if hidden.all():
        return  # nothing but the totals is told
    for row, column in np.argwhere(hidden):
        assert _another(n, hidden, row, column), "nothing else fits: the cell is known"


def _another(n: npt.NDArray[np.int64], hidden: npt.NDArray[np.bool_], row: int, column: int) -> bool:
    """Whether a table with the same totals and the same shown cells holds one more in that cell."""
    for i in range(n.shape[0]):
        for j in range(n.shape[1]):
            corners = (hidden[row, j], hidden[i, column], hidden[i, j])
            if i != row and j != column and all(corners) and n[row, j] >= 1 and n[i, column] >= 1:
                return True
    return False


def test_groups_too_small_to_be_shown_are_shown_together() -> None:
    many = words(*["woman"] * 40, *["man"] * 30, *["non_binary"] * 4, *["other"] * 3)
    together = pooled(many)
    assert set(together) == {"woman", OTHERS}
    assert (together == OTHERS).sum() == 37


def test_no_table_shows_a_number_of_fewer_than_ten_people() -> None:
    rng = np.random.default_rng(2)
    n = 400
    arms, ethnicities = (
        words(*rng.choice(list(ARMS), n)),
        words(*rng.choice(["a", "b", "c", "d"], n, p=[0.6, 0.3, 0.08, 0.02])),
    )
    last = {"phq9": np.where(rng.random(n) < 0.6, np.nan, 15.0 + rng.integers(-9, 10, n))}
    all_of = people(n, arm=arms, groups={"ethnicity": ethnicities}, last=last)
    for table in group_tables(all_of, list(ARMS)):
        at = [i for i, column in enumerate(table.columns) if column.name in ("referred", "known")]
        shown = [row[i] for row in table.rows for i in at]
        assert [cell for cell in shown if isinstance(cell, int) and 0 < cell < FEWEST] == []


def test_a_row_that_is_hidden_hides_its_shares_and_its_range() -> None:
    n = 60
    arms = words(*["followed"] * 30, *["not_ranked"] * 30)
    groups = {"gender": words(*["woman"] * 26, *["man"] * 4, *["woman"] * 14, *["man"] * 16)}
    table = crossed_table(people(n, arm=arms, groups=groups), "gender", list(ARMS))
    assert table is not None
    assert all(cell is None for row in table.rows for cell in row[2:]), "one small cell of a table of two by two"


@given(st.data())
@settings(deadline=None, max_examples=50)
def test_everybody_referred_is_in_one_arm(data: st.DataObject) -> None:
    arms = words(*data.draw(st.lists(st.sampled_from(list(ARMS)), min_size=FEWEST, max_size=120)))
    all_of = people(len(arms), arm=arms)
    assert int(counts(all_of.arm, all_of.outcomes, list(ARMS)).n.sum()) == all_of.size
    both = crossed(words(*["a", "b"] * len(arms))[: len(arms)], arms, all_of.outcomes, list(ARMS))
    assert both is None or int(both.n.sum()) == all_of.size


# -- who is pointed at ------------------------------------------------------------------------------------------------


def drawn(seed: int, harmed: float = 0.0, n: int = 2000) -> tuple[list[Sides], dict[str, npt.NDArray[np.float64]], Any]:
    """Clients of 40 therapists who differ; one of four groups fares worse by `harmed`."""
    rng = np.random.default_rng(seed)
    therapist = rng.integers(0, 40, n)
    severity = rng.integers(0, 3, n)
    group = rng.choice(5, n, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    own = rng.normal(0, 0.5, 40)[therapist] + 0.4 * (severity - 1)
    found = {}
    for name, level in (("deteriorated", -2.6), ("dropout", -1.1), ("declined", -2.7)):
        y = (rng.random(n) < 1 / (1 + np.exp(-(level + own)))).astype(float)
        y = np.where((group == 1) & (rng.random(n) < harmed), 1.0, y)
        found[name] = np.where(rng.random(n) < 0.2, np.nan, y)
    sides = [
        Sides("group", str(one), "everyone else", group == one, group != one, severity, frozenset()) for one in range(5)
    ]
    return sides, found, therapist


def test_where_nothing_differs_hardly_any_audit_points_at_anything() -> None:
    audits = 120
    alarms = sum(any(one.is_more for one in contrasts(*drawn(seed))) for seed in range(audits))
    assert alarms <= ALARMS * audits + 2 * np.sqrt(audits * ALARMS * (1 - ALARMS))


def test_a_group_that_is_harmed_stands_out() -> None:
    found = contrasts(*drawn(1, harmed=0.15))
    assert {one.outcome for one in found if one.is_more and one.group == "1"} == {"deteriorated", "dropout", "declined"}
    assert not [one for one in found if one.is_more and one.group != "1"]


def test_who_was_more_ill_at_intake_is_compared_with_those_as_ill() -> None:
    n = 3000
    rng = np.random.default_rng(4)
    severity = rng.integers(0, 3, n)
    ill = rng.random(n) < np.array([0.1, 0.3, 0.8])[severity]
    y = (rng.random(n) < np.array([0.05, 0.2, 0.5])[severity]).astype(float)
    raw = y[ill].mean() - y[~ill].mean()
    (one,) = contrasts(
        [Sides("ward", "ill", "the others", ill, ~ill, severity, frozenset())], {"dropout": y}, np.arange(n) % 60
    )
    assert raw > 0.15
    assert one.low < 0 < one.high
    assert abs(one.share - one.expected) < 0.05


def test_clients_of_one_therapist_count_for_fewer() -> None:
    n = 1200
    therapist = np.arange(n) // 60
    y = (therapist % 4 == 0).astype(float)
    mine = therapist < 10

    def width(who: npt.NDArray[np.int64]) -> float:
        sides = Sides("site", "north", "south", mine, ~mine, np.zeros(n, np.int64), frozenset())
        (one,) = contrasts([sides], {"dropout": y}, who)
        return one.high - one.low

    assert width(therapist) > 3 * width(np.arange(n))


def test_what_is_hidden_is_not_compared_either() -> None:
    n = 300
    groups = {"gender": words(*["woman"] * 200, *["man"] * 100)}
    last = {"phq9": np.concatenate([np.full(195, 15.0), np.full(5, np.nan), np.full(4, 15.0), np.full(96, np.nan)])}
    all_of = people(n, groups=groups, last=last)
    compared = {
        (one.group, one.outcome) for one in contrasts(list(group_sides(all_of)), all_of.outcomes, all_of.therapist)
    }
    assert ("woman", "deteriorated") not in compared
    assert ("woman", "dropout") in compared


# -- the section ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def harmed() -> Dataset:
    """A clinic in which men are harmed."""
    return simulate(Plan(episodes=6000, therapists=100, seed=3, harm="gender=man"))[0]


def looked(dataset: Dataset) -> Any:
    """What the section reads, where nothing was tested."""
    history = History(for_learning(dataset))
    return SimpleNamespace(dataset=dataset, history=history, snapshot=history.latest(), tested=None)


def pointed_at(dataset: Dataset) -> list[Contrast]:
    all_of = harm.referrals(looked(dataset))
    found = contrasts(list(group_sides(all_of)), all_of.outcomes, all_of.therapist)
    return [one for one in found if one.is_more and one.attribute != "severity_band"]


def test_a_planted_group_that_is_harmed_is_found_and_no_other(harmed: Dataset) -> None:
    found = pointed_at(harmed)
    assert {(one.attribute, one.group) for one in found if one.attribute != "problem"} == {("gender", "man")}
    assert {"deteriorated", "any"} <= {one.outcome for one in found if one.group == "man"}, "some problems are harder"
    section = harm.section(looked(harmed))
    (first, *_) = [one for one in section.findings if one.level == "look"]
    assert first.words.startswith("Gender, man: ")
    (drawn,) = [part for part in section.parts if isinstance(part, Chart)]
    assert drawn.title.startswith("More harm on record than expected: Gender: man")
    assert len(drawn.svg) < 40_000


def test_in_a_clinic_where_no_therapist_differs_nobody_is_pointed_at() -> None:
    dataset, _ = simulate(Plan(episodes=2500, therapists=50, seed=8, arm="null"))
    assert pointed_at(dataset) == []
    assert [one.level for one in harm.section(looked(dataset)).findings if one.level != "note"] == []


def test_everybody_referred_is_counted_and_who_agreed_to_care_only_is_told(harmed: Dataset) -> None:
    section = harm.section(looked(harmed))
    everybody = table(section, "harm_by_arm").rows[0][2]
    left = len(harmed["episodes"]) - len(for_learning(harmed)["episodes"])
    assert everybody == len(for_learning(harmed)["episodes"])
    assert any(f"{left:,} courses are not looked at here" in line for line in section.says)


def test_what_the_service_recorded_is_believed_before_who_decided(tables: Tables) -> None:
    rows = [
        f"e-{i},c-{i},t-1,2025-01-0{i % 8 + 1},2025-02-01,staff,{'overridden' if i < 12 else ''}" for i in range(30)
    ]
    text = "episode_id,client_id,therapist_id,referred_on,started_on,assigned_by,arm\n" + "\n".join(rows)
    clients = "client_id\n" + "\n".join(f"c-{i}" for i in range(30))
    dataset = tables(therapists="therapist_id\nt-1\n", clients=clients, episodes=text)
    all_of = harm.referrals(looked(dataset))
    assert (all_of.arm == "overridden").sum() == 12
    assert (all_of.arm == "not_ranked").sum() == 18
    says = " ".join(harm.section(looked(dataset)).says)
    assert "on record as the service kept it" in says


def test_data_without_days_scores_or_groups_say_what_cannot_be_said(tables: Tables) -> None:
    text = "episode_id,client_id,therapist_id\n" + "\n".join(f"e-{i},c-{i},t-1" for i in range(20))
    clients = "client_id\n" + "\n".join(f"c-{i}" for i in range(20))
    dataset = tables("undated = true\n", therapists="therapist_id\nt-1\n", clients=clients, episodes=text)
    section = harm.section(looked(dataset))
    assert "Of too few clients it is known whether they got reliably worse" in section.says[0]
    assert table(section, "harm_by_arm").rows[0][5:] == (0.0, 100.0)


def test_the_words_say_no_cause_and_no_verdict(harmed: Dataset) -> None:
    section = harm.section(looked(harmed))
    text = " ".join([*section.says, *(one.words for one in section.findings)]).lower()
    assert "not drawn by lot" in text
    forbidden = r"\b(because of|caused?|unsafe|safe|ineffective|poor|best|worst)\b"
    assert re.findall(forbidden, text) == []


def table(section: Section, name: str) -> Table:
    (found,) = [part for part in section.parts if isinstance(part, Table) and part.id == name]
    return found


def test_a_long_table_names_every_outcome_of_every_group() -> None:
    found = long_table("x", "X", "Who", [counts(words(*["a"] * 20, *["b"] * 20), people(40).outcomes)])
    assert [row[:2] for row in found.rows] == [(who, one.label) for who in ("a", "b") for one in OUTCOMES.values()]


def test_a_worker_reads_the_core_without_frames_or_pictures() -> None:
    code = (
        "import sys; import training.audit.harm.safety; "
        "print([m for m in ('pandas', 'scipy', 'matplotlib', 'sklearn', 'lightgbm') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_before_any_use_the_two_halves_of_the_ranking_are_compared(audited: "tuple[Examined, Truth]") -> None:
    """Clients of the test block, whom the tested bundle has not seen: nobody is in both halves, and nobody is lost."""
    looked_at, _ = audited
    section = harm.section(looked_at)
    rows = table(section, "harm_by_half").rows
    referred = {row[0]: row[2] for row in rows}
    assert set(referred) == {"upper half", "lower half"}
    assert sum(int(str(n)) for n in referred.values()) == len(looked_at.offered.rows)
    (told,) = [line for line in section.says if line.startswith("Before any use")]
    assert "not drawn by lot" in told
