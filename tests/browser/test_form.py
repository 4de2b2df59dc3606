"""What was typed, as the body that the API is asked with; and which field each problem is about."""

import datetime as dt
import zoneinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.access.keys import Caller
from serving.pages.asking import next_free
from serving.pages.choosing import Pressed
from serving.pages.form import Typed, asked
from serving.pages.shown import Shown
from serving.pages.words import LABELS, label_of, language, said
from serving.schemas import FieldProblem, RecommendationAnswer, RecommendationRequest
from tests.serving.conftest import Live

ZONE = zoneinfo.ZoneInfo("America/Los_Angeles")
NAMES = st.sampled_from(
    ["client.payer", "client.problems", "client.languages", "wish.0.what", "wish.7.about", "wish.x.what", "phq9.3",
     "gad7.0", "phq9.taken_on", "window.from", "k", "exclude_therapists", "choice", "wish.99999.value", "zzz"]
)  # fmt: skip


def typed(**fields: str | list[str]) -> Typed:
    """`client__payer="x"` is what was typed into `client.payer`."""
    lists = {name.replace("__", "."): of if isinstance(of, list) else [of] for name, of in fields.items()}
    return Typed.of((name, one) for name, of in lists.items() for one in of)


def problem(field: str) -> FieldProblem:
    return FieldProblem(field=field, rule="", next_step="")


def test_an_empty_form_asks_nothing() -> None:
    assert asked(Typed()).body == {"client": {}}


def test_spaces_alone_are_nothing() -> None:
    assert asked(typed(client__payer="  ", k=" ")).body == {"client": {}}


def test_the_main_problem_comes_first_and_none_twice() -> None:
    form = typed(client__problems="grief", client__problems__more=["anxiety", "grief"])
    assert asked(form).body["client"]["problems"] == ["grief", "anxiety"]


def test_what_is_not_listed_can_be_typed_as_it_is_said() -> None:
    form = typed(client__problems="?", client__problems__other="Hoarding disorder", client__payer="?")
    other = Typed({**form.fields, "client.payer.other": ("Blue Cross of Ohio",)})
    client = asked(other).body["client"]
    assert client == {"problems": ["hoarding_disorder"], "payer": "Blue Cross of Ohio"}


def test_a_list_with_something_else_chosen_and_nothing_typed_is_unknown() -> None:
    assert asked(typed(client__payer="?")).body == {"client": {}}


def test_languages_keep_their_writing() -> None:
    form = typed(client__languages=["en"], client__languages__other="zh-Hant, yue")
    assert asked(form).body["client"]["languages"] == ["en", "zh-Hant", "yue"]


def test_rows_left_out_do_not_shift_what_a_problem_is_about() -> None:
    wish = {"wish__1__what": "gender=woman", "wish__1__strength": "must"}
    wanted = asked(typed(**wish, phq9__9="7", phq9__taken_on="2026-10-01"))
    assert wanted.body["preferences"] == [{"about": "gender", "value": "woman", "strength": "must"}]
    assert wanted.body["measures"] == [{"instrument": "phq9", "item": "9", "value": "7", "taken_on": "2026-10-01"}]
    assert wanted.field_of(problem("preferences[0].value")) == "wish.1.what"
    assert wanted.field_of(problem("measures[0].value")) == "phq9.9"
    assert wanted.field_of(problem("measures[0].taken_on")) == "phq9.taken_on"
    assert wanted.field_of(problem("client.problems[1]")) == "client.problems"
    assert wanted.field_of(problem("window")) == "window.from"
    assert wanted.field_of(problem("as_of")) == ""


def test_a_total_of_zero_and_an_answer_of_not_at_all_are_answers() -> None:
    assert [one["value"] for one in asked(typed(gad7__0="0", phq9__1="0")).body["measures"]] == ["0", "0"]


@given(st.lists(st.tuples(NAMES, st.text(max_size=20))))
def test_whatever_is_sent_can_be_read_and_named(sent: list[tuple[str, str]]) -> None:
    wanted = asked(Typed.of(sent))
    for name in {*wanted.places.values(), *LABELS}:
        assert label_of(name)
    assert len(Typed.of(sent).wishes) <= 20
    assert Pressed.of(Typed.of(sent))


@pytest.mark.parametrize(
    ("code", "words"),
    [("social_anxiety", "Social anxiety"), ("ptsd", "PTSD"), ("mon_am", "Monday morning"), ("under_35", "Under 35")],
)
def test_a_code_is_put_as_people_say_it(code: str, words: str) -> None:
    assert said(code) == words


def test_a_language_has_its_name_where_it_is_a_common_one() -> None:
    assert [language(tag) for tag in ("es", "es-MX", "xx")] == ["Spanish", "Spanish (es-MX)", "xx"]


# -- an answer as it is read --------------------------------------------------------------------------------------


def answer(groups: list[int], waits: list[int], eligible: int, meaningful: bool) -> Shown:
    """A list with these tie groups and waits."""
    interval = {"mean": 0.1, "low": -0.1, "high": 0.3}
    people: list[dict[str, Any]] = [
        {
            "therapist_id": f"t-{i}", "rank": i + 1, "tie_group": group, "utility": interval, "gain": {},
            "next_slots": [], "wait_days": wait, "reasons": [], "cautions": [], "data_age_days": None,
        }
        for i, (group, wait) in enumerate(zip(groups, waits, strict=True))
    ]  # fmt: skip
    whole = {
        "recommendation_id": "r-1", "model": {"version": "1", "bundle_id": "b", "proven": False, "notes": []},
        "as_of": "2026-10-01", "counts": {"considered": 40, "eligible": eligible},
        "meaningful_difference": meaningful, "recommendations": people, "versus_soonest": None, "excluded": {},
        "rules_not_checked": [], "relaxations": [], "next_step": None, "notes": [],
        "safety": {"status": "not_asked", "asked": [], "words": ""},
    }  # fmt: skip
    return Shown(RecommendationAnswer.model_validate(whole), ZONE)


def test_groups_are_cut_where_therapists_can_be_told_apart() -> None:
    first, second = answer([1, 1, 2], [5, 3, 1], 3, True).groups
    assert [one.name for one in first.people] == ["t-0", "t-1"]
    assert first.heading == "First: these 2 cannot be told apart; choose by time"
    assert second.heading == "Next: one therapist"


def test_a_list_that_ends_within_a_group_does_not_say_that_one_stands_alone() -> None:
    (only,) = answer([1], [5], 28, True).groups
    assert only.heading == "First in the list"


def test_it_says_that_time_decides_only_where_it_does() -> None:
    (tied,) = answer([1, 1], [1, 2], 2, False).groups
    assert tied.heading == "These 2 cannot be told apart; choose by time"
    assert "free soonest comes first" in tied.words
    assert "soonest" not in answer([1, 1], [2, 1], 2, False).groups[0].words


def test_a_picture_lies_within_its_line_and_zero_is_the_same_for_all() -> None:
    pictures = [one.picture for one in answer([1, 1], [1, 2], 2, False).groups[0].people]
    assert len({one.zero for one in pictures}) == 1
    for one in pictures:
        assert 0 < one.low < one.mean < one.high < 100


def test_the_next_free_time_is_the_soonest_of_all_who_can_see_the_client(clinic_service: Live) -> None:
    """A list of one therapist names the same next free time as a list of everybody."""
    token = clinic_service.key("platform")
    caller: Caller = clinic_service.service.admit(token)
    found = []
    for k in (1, 100):
        body = {
            "client": {
                "birth_year": 1990, "jurisdiction": "US-CA", "payer": "self-pay", "problems": ["anxiety"],
                "care_level": "outpatient", "languages": ["en"], "modalities": ["video"],
            },
            "k": k,
        }  # fmt: skip
        given_body = clinic_service.client(Authorization=f"Bearer {token}").post("/v1/recommendations", json=body)
        parsed = RecommendationAnswer.model_validate_json(given_body.content)
        free = next_free(clinic_service.service, caller, RecommendationRequest.model_validate(body), parsed)
        assert free is not None
        found.append(free.slot.starts_at)
    times = [slot.starts_at for one in parsed.recommendations for slot in one.next_slots]
    assert found == [min(times), min(times)]
    assert found[0] > dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
