"""`/match` in a real Chromium: what an intake coordinator types, reads and chooses."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from data.sql import TENANT
from data.versions import current
from serving.access.writes import Asked
from serving.schemas import RecommendationAnswer
from serving.treatment.choices import ChoiceRequest, choose
from tests.browser.conftest import Visit
from tests.serving.conftest import Live

CLIENT = {
    "birth_year": "1990",
    "jurisdiction": "US-CA",
    "payer": "self-pay",
    "problems": "anxiety",
    "care_level": "outpatient",
}


BODY = {
    "client": {
        "birth_year": 1990,
        "jurisdiction": "US-CA",
        "payer": "self-pay",
        "problems": ["anxiety"],
        "care_level": "outpatient",
        "languages": ["en"],
        "modalities": ["video", "in_person", "phone"],
    },
    "k": 5,
}
"""The same client, as the API is asked."""


def fill(page: Page, **changes: str) -> None:
    """A client whom many can see."""
    for name, value in {**CLIENT, **changes}.items():
        field = page.locator(f"[id='client.{name}']")
        if name == "birth_year":
            field.fill(value)
        else:
            field.select_option(value)
    page.get_by_role("group", name="Languages").get_by_label("English").check()
    for way in ("Video", "In person", "Phone"):
        page.get_by_role("group", name="How the client can attend").get_by_label(way).check()


def answer_phq9(page: Page, item_9: int) -> None:
    if not page.locator("[id='phq9.1']").is_visible():
        page.get_by_text("PHQ-9: Patient Health").click()
    for item in range(1, 9):
        page.locator(f"[name='phq9.{item}'][value='1']").check()
    page.locator(f"[name='phq9.9'][value='{item_9}']").check()


def ask(page: Page) -> None:
    page.get_by_role("button", name="Show therapists").click()


def wide(page: Page) -> tuple[int, int]:
    """How wide the content is, and how wide the window."""
    found: list[int] = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return found[0], found[1]


def serious(page: Page) -> list[str]:
    """What axe-core finds against WCAG A and AA, with where."""
    rules = {
        "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    }
    found = Axe().run(page, options=rules).response["violations"]
    return [f"{one['id']}: {node['target']}" for one in found for node in one["nodes"]]


@pytest.fixture
def signed_in(visit: Visit, clinic_service: Live) -> Page:
    return visit.come_in(clinic_service.key("platform"))


# -- asking -------------------------------------------------------------------------------------------------------


def test_the_keyboard_alone_gets_a_ranking(visit: Visit, clinic_service: Live) -> None:
    page = visit.open("/login")
    page.keyboard.insert_text(clinic_service.key("clinician"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/match")

    def to(identity: str) -> None:
        """Tab until the focus is there."""
        for _ in range(120):
            page.keyboard.press("Tab")
            focused = "[document.activeElement.id, document.activeElement.name + '=' + document.activeElement.value]"
            if identity in page.evaluate(focused):
                return
        raise AssertionError(f"{identity} cannot be reached with the keyboard")

    to("client.birth_year")
    page.keyboard.type("1990")
    for name, start in (("jurisdiction", "US-CA"), ("payer", "self-pay")):
        to(f"client.{name}")
        page.keyboard.type(start)
    to("client.languages=en")
    page.keyboard.press("Space")
    to("client.modalities=video")
    page.keyboard.press("Space")
    for name, start in (("problems", "Anxiety"), ("care_level", "Outpatient")):
        to(f"client.{name}")
        page.keyboard.type(start)
    to("send")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_contain_text("to choose from")
    expect(page.get_by_role("status")).to_contain_text("to choose from")


def test_the_page_shows_what_the_api_answers(signed_in: Page, clinic_service: Live) -> None:
    fill(signed_in)
    ask(signed_in)
    expect(signed_in.locator(".person")).to_have_count(5)
    shown = signed_in.locator("h3").all_inner_texts()
    answered = clinic_service.as_("platform").post("/v1/recommendations", json=BODY)
    answer = RecommendationAnswer.model_validate_json(answered.content)
    assert shown == [one.therapist_id for one in answer.recommendations]
    text = signed_in.locator("main").inner_text()
    for reason in answer.recommendations[0].reasons + answer.model.notes:
        assert reason in text
    assert answer.versus_soonest is not None
    assert answer.versus_soonest.words in text
    assert f"{answer.counts.eligible} of {answer.counts.considered} therapists" in text
    rows = signed_in.locator(".excluded tbody td:last-child").all_inner_texts()
    assert [int(count) for count in rows] == list(answer.excluded.values())


def test_those_who_cannot_be_told_apart_are_shown_as_one_group(signed_in: Page) -> None:
    fill(signed_in)
    ask(signed_in)
    group = signed_in.locator(".group").first
    expect(group.get_by_role("heading", level=2)).to_contain_text("cannot be told apart; choose by time")
    assert group.locator(".person").count() > 1


def test_every_interval_is_drawn_and_told(signed_in: Page) -> None:
    fill(signed_in)
    ask(signed_in)
    pictures = signed_in.get_by_role("img", name="Expected gain with")
    expect(pictures).to_have_count(5)
    assert "8 times in 10 between" in str(pictures.first.get_attribute("aria-label"))
    bar, dot = pictures.first.locator(".bar").bounding_box(), pictures.first.locator(".dot").bounding_box()
    assert bar is not None
    assert dot is not None
    assert bar["x"] < dot["x"] + dot["width"] / 2 < bar["x"] + bar["width"]


def test_a_held_answer_shows_nobody_and_says_who_acts_by_when(signed_in: Page) -> None:
    fill(signed_in)
    answer_phq9(signed_in, item_9=2)
    ask(signed_in)
    expect(signed_in.get_by_role("heading", level=1)).to_have_text("A clinician talks with the client first")
    expect(signed_in.locator(".person")).to_have_count(0)
    text = signed_in.locator("main").inner_text()
    for words in ("A clinician talks first.", "Today.", "The place is kept.", "The clinician on duty."):
        assert words in text
    assert "safe" not in text.lower().split()
    assert serious(signed_in) == []


def test_a_clinician_releases_a_held_answer_with_a_reason(visit: Visit, clinic_service: Live) -> None:
    page = visit.come_in(clinic_service.key("clinician"))
    fill(page)
    answer_phq9(page, item_9=3)
    ask(page)
    button = page.get_by_role("button", name="Show the list")
    button.click()
    expect(page.locator("#notice")).to_contain_text("Please say who releases the list")
    page.get_by_label("Who talked with the client").fill("clinician-7")
    page.get_by_label("What was found").fill("Talked on the phone; a safety plan is made.")
    assert serious(page) == []
    button.click()
    expect(page.locator(".person")).to_have_count(5)


def test_only_a_clinician_is_offered_to_release(signed_in: Page) -> None:
    fill(signed_in)
    answer_phq9(signed_in, item_9=3)
    ask(signed_in)
    expect(signed_in.get_by_role("heading", level=1)).to_have_text("A clinician talks with the client first")
    expect(signed_in.get_by_role("button", name="Show the list")).to_have_count(0)


def test_what_a_client_is_predicted_to_reach_is_shown_to_nobody(visit: Visit, clinic_service: Live) -> None:
    page = visit.come_in(clinic_service.key("clinician"))
    ranked(page)
    button = page.locator(".person button").first.get_attribute("value")
    kept = clinic_service.as_("clinician").get(f"/v1/recommendations/{str(button).split('|')[0]}").json()
    assert all(one.get("predicted") is None for one in kept["recommendations"])


def test_a_reported_thought_is_told_beside_the_ranking(signed_in: Page) -> None:
    fill(signed_in)
    answer_phq9(signed_in, item_9=1)
    ask(signed_in)
    expect(signed_in.locator(".safety")).to_contain_text("Thoughts of self-harm were reported")
    expect(signed_in.locator(".person")).to_have_count(5)


def test_an_empty_answer_says_why_and_what_happens_next(signed_in: Page) -> None:
    fill(signed_in, payer="?")
    signed_in.get_by_label("Who pays, if not in the list").fill("Nobody Health")
    ask(signed_in)
    expect(signed_in.get_by_role("heading", level=1)).to_contain_text("Nobody can be proposed")
    expect(signed_in.get_by_role("heading", name="What happens next")).to_be_visible()
    expect(signed_in.get_by_role("cell", name="Does not work with this payer")).to_be_visible()
    expect(signed_in.get_by_text("The coordinator calls.")).to_be_visible()


# -- choosing -----------------------------------------------------------------------------------------------------


def ranked(page: Page) -> None:
    """A ranking is on the page."""
    fill(page)
    ask(page)
    expect(page.locator(".person")).to_have_count(5)


def chosen(page: Page) -> tuple[str, str]:
    """What the page says was booked: the therapist's name and the episode."""
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("is booked")
    expect(heading).to_be_focused()
    episode = page.locator("dt:text-is('Course of treatment') + dd").inner_text()
    return heading.inner_text().removesuffix(" is booked"), episode


def entry(service: Live, therapist: str, kind: str) -> Any:
    """What the directory has on record of a therapist now."""
    with service.service.engine.connect() as connection:
        return current(connection, TENANT, therapist)[kind]


def taken(service: Live, therapist: str) -> list[str]:
    """Episodes that hold a place with the therapist."""
    return [one["episode_id"] for one in entry(service, therapist, "caseload").get("taken", [])]


def somebody_else_takes(running: Live, therapist: str, starts_at: str) -> None:
    """The same time, from an answer of their own."""
    token = running.key("platform")
    answered = running.client(Authorization=f"Bearer {token}").post("/v1/recommendations", json=BODY).json()
    sent = ChoiceRequest.model_validate({"kind": "chosen", "therapist_id": therapist, "starts_at": starts_at})
    caller = running.service.admit(token)
    choose(running.service, caller, answered["recommendation_id"], sent, Asked.of(None, "POST", "", b""))


def test_one_click_takes_a_place_at_the_time_chosen(signed_in: Page, clinic_service: Live) -> None:
    ranked(signed_in)
    person = signed_in.locator(".person").nth(1)
    name = person.get_by_role("heading").inner_text()
    person.get_by_role("button").first.click()
    therapist, episode = chosen(signed_in)
    assert therapist == name
    assert episode in taken(clinic_service, therapist)


def test_one_click_books_the_next_free_time_of_all(signed_in: Page, clinic_service: Live) -> None:
    ranked(signed_in)
    words = signed_in.locator("#soonest-heading").inner_text().removeprefix("The next free time: ")
    signed_in.get_by_role("button", name="Book this time").click()
    therapist, episode = chosen(signed_in)
    assert episode in taken(clinic_service, therapist)
    assert words.split(",")[0] in signed_in.locator("dl").inner_text()


def test_a_time_that_was_just_taken_is_told_and_a_new_list_is_shown(signed_in: Page, clinic_service: Live) -> None:
    ranked(signed_in)
    button = signed_in.locator(".person").first.get_by_role("button").first
    _, _, therapist, starts_at = str(button.get_attribute("value")).split("|")
    somebody_else_takes(clinic_service, therapist, starts_at)
    button.click()
    expect(signed_in.locator("#notice")).to_contain_text("Nothing was booked")
    expect(signed_in.locator(".person")).to_have_count(5)
    values = [str(one.get_attribute("value")) for one in signed_in.locator(".person button").all()]
    assert not [value for value in values if value.endswith(f"|{therapist}|{starts_at}")]


def test_that_a_client_declines_is_noted_with_a_reason(signed_in: Page) -> None:
    ranked(signed_in)
    signed_in.get_by_text("Decide otherwise").click()
    decline = signed_in.get_by_role("button", name="Note that the client declines")
    decline.click()
    expect(signed_in.locator("#notice")).to_have_text("Please pick a reason first; then it can be noted.")
    expect(signed_in.locator(".person")).to_have_count(5)
    signed_in.get_by_label("The client declines, because").select_option("wait_too_long")
    decline.click()
    expect(signed_in.get_by_role("heading", level=1)).to_have_text("It is noted that the client declined")


# -- mending ------------------------------------------------------------------------------------------------------


def test_what_must_be_mended_stands_beside_its_field_and_nothing_typed_is_lost(signed_in: Page) -> None:
    fill(signed_in, birth_year="190")
    signed_in.locator("[id='client.client_id']").fill("Jane")
    signed_in.get_by_text("GAD-7: Generalised").click()
    signed_in.get_by_label("Or only the total").last.fill("99")
    signed_in.locator("[id='wish.0.what']").select_option("gender=woman")
    ask(signed_in)
    summary = signed_in.locator("#problems")
    expect(summary).to_be_focused()
    names = summary.get_by_role("link").all_inner_texts()
    assert {"Pseudonym", "Year of birth", "GAD-7, total"} <= set(names)
    expect(signed_in.locator("[id='client.client_id']")).to_have_attribute("aria-invalid", "true")
    expect(signed_in.locator("[id='gad7.0-wrong']")).to_be_visible()
    expect(signed_in.locator("[id='client.client_id']")).to_have_value("Jane")
    expect(signed_in.locator("[id='client.birth_year']")).to_have_value("190")
    expect(signed_in.locator("[id='client.payer']")).to_have_value("self-pay")
    expect(signed_in.locator("[id='wish.0.what']")).to_have_value("gender=woman")
    summary.get_by_role("link", name="Pseudonym").click()
    expect(signed_in.locator("[id='client.client_id']")).to_be_focused()


def test_a_field_that_this_directory_cannot_do_without_is_asked_for(signed_in: Page) -> None:
    ask(signed_in)
    expect(signed_in.locator("#problems")).to_contain_text("Who pays: please fill this in.")
    expect(signed_in.locator("[id='client.payer-wrong']")).to_have_text("Please fill this in.")


def test_a_wish_can_be_added_and_is_asked(signed_in: Page) -> None:
    fill(signed_in)
    before = signed_in.locator("[data-wish]").count()
    signed_in.get_by_role("button", name="Add another wish").click()
    expect(signed_in.locator("[data-wish]")).to_have_count(before + 1)
    what = f"[id='wish.{before}.what']"
    expect(signed_in.locator(f"[name='wish.{before}.strength']")).to_be_focused()
    signed_in.locator(f"[name='wish.{before}.strength']").select_option("must")
    signed_in.locator(what).select_option("gender=non_binary")
    ask(signed_in)
    expect(signed_in.get_by_role("cell", name="Does not have what must be")).to_be_visible()


def test_a_session_that_ended_meanwhile_loses_nothing(signed_in: Page) -> None:
    fill(signed_in)
    signed_in.context.clear_cookies()
    ask(signed_in)
    expect(signed_in.locator("#notice")).to_contain_text("You have been signed out")
    expect(signed_in.locator("[id='client.birth_year']")).to_have_value("1990")


# -- everybody ----------------------------------------------------------------------------------------------------


def test_without_scripts_the_whole_way_works(unscripted: Visit, clinic_service: Live) -> None:
    page = unscripted.come_in(clinic_service.key("platform"))
    fill(page)
    page.get_by_role("button", name="Add another wish").click()
    expect(page.locator("[data-wish]")).to_have_count(3)
    expect(page.locator("[id='client.birth_year']")).to_have_value("1990")
    ask(page)
    expect(page.locator(".person")).to_have_count(5)


def test_on_a_phone_nothing_lies_beside_the_screen(phone: Visit, clinic_service: Live) -> None:
    page = phone.come_in(clinic_service.key("platform"))
    assert wide(page)[0] <= wide(page)[1]
    fill(page)
    answer_phq9(page, item_9=0)
    assert wide(page)[0] <= wide(page)[1]
    ask(page)
    expect(page.locator(".person")).to_have_count(5)
    assert wide(page)[0] <= wide(page)[1]


@pytest.mark.parametrize("path", ["/login", "/match"])
def test_axe_finds_nothing_on_an_empty_page(visit: Visit, clinic_service: Live, path: str) -> None:
    page = visit.come_in(clinic_service.key("platform"))
    visit.open(path)
    assert serious(page) == []


def test_axe_finds_nothing_in_a_ranking_and_the_form_it_came_from(signed_in: Page) -> None:
    fill(signed_in)
    answer_phq9(signed_in, item_9=1)
    ask(signed_in)
    expect(signed_in.locator(".person")).to_have_count(5)
    for fold in signed_in.locator("summary").all():
        fold.click()
    assert serious(signed_in) == []


def test_nothing_is_kept_in_the_browser(signed_in: Page) -> None:
    fill(signed_in)
    ask(signed_in)
    expect(signed_in.locator(".person")).to_have_count(5)
    kept: Any = signed_in.evaluate("[localStorage.length, sessionStorage.length, document.cookie, location.search]")
    assert kept == [0, 0, "", ""]
