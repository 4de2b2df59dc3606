"""The form on which a person decides: all problems at once, nothing typed is lost, and twice sent decides once."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from data.decisions import history
from tests.serving.auditing.conftest import browser_of, document, put_before
from tests.training.report.examples import NAMES
from training.deciding import Wish, decide

if TYPE_CHECKING:
    from conftest import Live

SIGNED = {"action": "sign", "who": "A. Lead", "reason": "read; sensible", "feature": [NAMES[1], NAMES[2]]}


@pytest.fixture
def name(fresh: "Live") -> str:
    """The audit of the served bundle."""
    return put_before(fresh)


def attempt_of(page: httpx.Response) -> str:
    found = re.search(r'name="attempt" value="([0-9a-f]+)"', page.text)
    assert found is not None
    return found[1]


def form(client: httpx.Client, name: str, **typed: Any) -> dict[str, Any]:
    return {"audit": name, "attempt": attempt_of(client.get("/audit/decisions")), **typed}


def test_what_is_signed_on_the_page_is_what_the_command_signs(fresh: "Live", name: str) -> None:
    auditor = browser_of(fresh, "auditor")
    done = auditor.post("/audit/decisions", data=form(auditor, name, **SIGNED))
    assert done.status_code == 303
    shown = fresh.service.audits.named(name)
    wish = Wish("sign", "A. Lead", "read; sensible", (NAMES[1], NAMES[2]))
    decide(fresh.service.engine, wish, shown.audit, shown.text, shown.evidence.version)
    page, command = history(fresh.service.engine)
    assert replace(page, made_at=command.made_at) == command
    assert set(page.features or {}) == set(NAMES)
    after = auditor.get(done.headers["location"]).text
    assert "On record: sign the features." in after
    assert "Every feature of this bundle is signed." in after


def test_all_problems_are_shown_at_once_and_nothing_typed_is_lost(fresh: "Live", name: str) -> None:
    auditor = browser_of(fresh, "auditor")
    typed = form(auditor, name, action="approve", who="", reason="because <it> is sensible", feature=[NAMES[1]])
    page = auditor.post("/audit/decisions", data=typed)
    assert page.status_code == 422
    assert "because &lt;it&gt; is sensible" in page.text
    assert re.search(r'value="approve" checked', page.text)
    assert re.search(rf'value="{NAMES[1]}" checked', page.text)
    problems = page.text[
        page.text.index('id="problems"') : page.text.index("</section>", page.text.index('id="problems"'))
    ]
    assert "Who decides" in problems
    assert "are named to sign them" in problems
    assert history(fresh.service.engine) == []


def test_an_empty_form_says_everything_that_is_missing(fresh: "Live", name: str) -> None:
    auditor = browser_of(fresh, "auditor")
    page = auditor.post("/audit/decisions", data=form(auditor, name))
    assert page.status_code == 422
    for label in ("What you decide", "Who decides", "Reason"):
        assert f"{label}</a>: " in page.text
    assert history(fresh.service.engine) == []


def test_flagged_features_count_only_if_they_are_ticked(fresh: "Live", name: str) -> None:
    auditor = browser_of(fresh, "auditor")
    auditor.post("/audit/decisions", data=form(auditor, name, **{**SIGNED, "feature": []}))
    (made,) = history(fresh.service.engine)
    assert set(made.features or {}) == set(NAMES) - {NAMES[1], NAMES[2]}


def test_a_rejected_model_that_still_answers_is_said_to(fresh: "Live", name: str) -> None:
    auditor = browser_of(fresh, "auditor")
    pages = ("/audit", "/audit/decisions")
    assert not any("still answers" in auditor.get(page).text for page in pages)
    rejected = {"action": "reject", "who": "B. Lead", "reason": "older adults lose"}
    auditor.post("/audit/decisions", data=form(auditor, name, **rejected))
    for page in pages:
        assert "This model was rejected by B. Lead on" in auditor.get(page).text
    auditor.post("/audit/decisions", data=form(auditor, name, **SIGNED))
    auditor.post("/audit/decisions", data=form(auditor, name, action="approve", who="B. Lead", reason="looked again"))
    assert not any("still answers" in auditor.get(page).text for page in pages)


def test_a_form_sent_many_times_at_once_decides_once(fresh: "Live", name: str) -> None:
    auditor = browser_of(fresh, "auditor")
    sent = form(auditor, name, **SIGNED)
    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(lambda _: auditor.post("/audit/decisions", data=sent).status_code, range(4)))
    assert answers == [303] * 4
    assert len(history(fresh.service.engine)) == 1


def test_the_same_form_with_other_words_is_no_second_decision(fresh: "Live", name: str) -> None:
    auditor = browser_of(fresh, "auditor")
    sent = form(auditor, name, **SIGNED)
    assert auditor.post("/audit/decisions", data=sent).status_code == 303
    page = auditor.post("/audit/decisions", data={**sent, "who": "B. Other"})
    assert page.status_code == 422
    assert "this form was sent before" in page.text
    assert len(history(fresh.service.engine)) == 1


def test_a_form_of_another_site_decides_nothing(fresh: "Live", name: str) -> None:
    auditor = browser_of(fresh, "auditor")
    sent = form(auditor, name, **SIGNED)
    refused = auditor.post("/audit/decisions", data=sent, headers={"Sec-Fetch-Site": "cross-site"})
    assert refused.status_code == 403
    assert history(fresh.service.engine) == []


def test_an_older_audit_is_not_signed_any_more(fresh: "Live", name: str) -> None:
    put_before(fresh, made_at=document(fresh).made_at.replace(hour=9))
    auditor = browser_of(fresh, "auditor")
    page = auditor.post("/audit/decisions", data=form(auditor, name, **SIGNED))
    assert page.status_code == 422
    assert "there is a newer one of this bundle" in page.text
    assert history(fresh.service.engine) == []


def test_decisions_can_be_taken_along_as_csv(fresh: "Live", name: str) -> None:
    auditor = browser_of(fresh, "auditor")
    auditor.post("/audit/decisions", data=form(auditor, name, **{**SIGNED, "reason": "=1+1"}))
    found = auditor.get("/audit/decisions/data/decisions.csv").text
    assert "'=1+1" in found
    assert "A. Lead" in found
