"""Signing in and out, what other sites can do, and the API's documentation, without anything from elsewhere."""

import re

import pytest
from playwright.sync_api import expect

from serving.access.auth import COOKIE
from tests.browser.conftest import Visit
from tests.serving.conftest import Live


def test_without_a_key_a_page_leads_to_the_sign_in(visit: Visit) -> None:
    page = visit.open("/match")
    assert page.url.endswith("/login")
    expect(page.get_by_label("Key")).to_be_focused()


def test_a_key_that_does_not_open_is_told_calmly(visit: Visit) -> None:
    page = visit.open("/login")
    page.get_by_label("Key").fill("tf_0123456789ab_nothing")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("This key does not open the service")
    assert page.context.cookies() == []


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(visit: Visit, clinic_service: Live) -> None:
    page = visit.sign_in(clinic_service.key("platform"))
    (cookie,) = page.context.cookies()
    assert cookie["name"] == COOKIE
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    assert cookie["expires"] == -1
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login")
    assert page.context.cookies() == []


def test_behind_https_the_cookie_stays_on_https(clinic_service: Live) -> None:
    client = clinic_service.client(**{"X-Forwarded-Proto": "https"})
    answer = client.post("/login", data={"key": clinic_service.key("platform")})
    assert answer.status_code == 303
    assert "secure" in answer.headers["set-cookie"].lower().split("; ")


def test_a_key_for_other_things_is_told_so(visit: Visit, clinic_service: Live) -> None:
    page = visit.sign_in(clinic_service.key("admin"))
    expect(page.get_by_role("heading", level=1)).to_have_text("This key is not for this page")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_a_form_of_another_site_is_refused(clinic_service: Live) -> None:
    client = clinic_service.client(
        **{"Sec-Fetch-Site": "cross-site", "Cookie": f"{COOKIE}={clinic_service.key('platform')}"}
    )
    assert client.post("/match", data={"k": "5"}).status_code == 403


@pytest.mark.parametrize("path", ["/login", "/match"])
def test_a_page_allows_only_what_comes_from_this_server_and_is_kept_nowhere(clinic_service: Live, path: str) -> None:
    answer = clinic_service.as_("platform").get(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "://" not in answer.text
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", answer.text)


def test_the_documentation_is_whole_without_a_network(visit: Visit) -> None:
    page = visit.open("/docs")
    expect(page.get_by_text("/v1/recommendations", exact=True).first).to_be_visible()
    assert "://" not in page.content().replace("http://www.w3.org/", "")


@pytest.mark.parametrize("path", ["page.css", "page.js", "icon.svg", "docs.js"])
def test_our_static_files_name_no_other_place(clinic_service: Live, path: str) -> None:
    text = clinic_service.client().get(f"/static/{path}").raise_for_status().text
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_what_was_typed_comes_back_as_text_and_never_as_markup(clinic_service: Live) -> None:
    answer = clinic_service.as_("platform").post("/match", data={"client.client_id": '"><script>1</script>'})
    assert answer.status_code == 422
    assert "&lt;script&gt;1" in answer.text
    assert "<script>1" not in answer.text
