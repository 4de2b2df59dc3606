"""Pages of the audit: who may read what, what stands there, and what is told where there is nothing."""

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from data.database import writing
from data.decisions import Evidence, keep_evidence
from data.sql import RECOMMENDATIONS
from serving.access.keys import create
from tests.serving.auditing.conftest import browser_of, put_before
from tests.training.report.examples import MADE_AT, NAMES

if TYPE_CHECKING:
    from conftest import Live

HELD = [{"instrument": "phq9", "item": "9", "value": 2}]


def answered(running: "Live", body: dict[str, Any], **more: Any) -> str:
    found = running.as_("platform").post("/v1/recommendations", json={**body, **more})
    return str(found.json()["recommendation_id"])


@pytest.mark.parametrize("path", ["/audit", "/audit/decisions", "/audit/x/section/drives", "/audit/recommendation/x"])
def test_an_auditor_may_read_it_and_others_are_told_so(audited: "Live", path: str) -> None:
    assert audited.client().get(path).headers["location"] == "/login"
    for scope in ("platform", "clinician", "admin"):
        refused = browser_of(audited, scope).get(path)
        assert refused.status_code == 403
        assert "sign in with a key for auditing" in refused.text


def test_a_clinician_may_read_the_safety_page(audited: "Live") -> None:
    assert browser_of(audited, "clinician").get("/audit/safety").status_code == 200
    assert browser_of(audited, "platform").get("/audit/safety").status_code == 403


def test_another_tenant_reads_its_own_safety_and_no_audit_of_the_model(audited: "Live") -> None:
    elsewhere = browser_of(audited, "auditor", tenant="elsewhere")
    told = elsewhere.get("/audit")
    assert told.status_code == 403
    assert "the audit of the model is for those who run it" in told.text.lower()
    assert elsewhere.get("/audit/safety").status_code == 200
    name = audited.service.audits.listed()[0].evidence_hash
    assert elsewhere.get(f"/audit/{name}/therapist/t-1").status_code == 403
    assert elsewhere.post("/audit/decisions", data={"audit": name}).status_code == 403


def test_whoever_only_audits_is_led_to_the_audit(audited: "Live") -> None:
    signed_in = audited.client().post("/login", data={"key": audited.key("auditor")})
    assert signed_in.headers["location"] == "/audit"


def test_a_bundle_that_was_not_audited_serves_on_and_the_page_says_what_to_run(
    fresh: "Live", body: dict[str, Any]
) -> None:
    assert fresh.as_("platform").post("/v1/recommendations", json=body).status_code == 200
    bundle_id = fresh.service.model.bundle.manifest.bundle_id
    for path in ("/audit", "/audit/decisions"):
        page = browser_of(fresh, "auditor").get(path)
        assert page.status_code == 200
        assert "was not audited" in page.text
    assert f"therapist-fit audit {bundle_id} --data DATASET" in browser_of(fresh, "auditor").get("/audit").text


def test_an_audit_that_another_version_wrote_is_kept_and_said_to_be_so(fresh: "Live") -> None:
    bundle_id = fresh.service.model.bundle.manifest.bundle_id
    kept = Evidence("00ff00ff00ff00ff", bundle_id, "3", MADE_AT)
    with writing(fresh.service.engine) as connection:
        keep_evidence(connection, kept, b'{"format": 0}')
    auditor = browser_of(fresh, "auditor")
    assert "another version of this program" in auditor.get("/audit").text
    assert auditor.get("/audit/decisions").status_code == 200
    assert auditor.get(f"/audit/{kept.evidence_hash}").status_code == 404


def test_the_audit_is_found_by_its_evidence_and_by_its_bundle(audited: "Live") -> None:
    auditor, (one,) = browser_of(audited, "auditor"), audited.service.audits.listed()
    pages = [auditor.get(f"/audit/{name}/section/drives").text for name in (one.evidence_hash, one.bundle_id)]
    assert pages[0] == pages[1]
    assert "What drives the ranking?" in pages[0]


NOWHERE = ("section/nothing", "feature/nothing", "therapist/t-4711", "nothing/x", "group/x/data/y.csv")


@pytest.mark.parametrize("path", ["nothing", *(f"{{}}/{one}" for one in NOWHERE)])
def test_what_is_not_there_is_told_calmly(audited: "Live", path: str) -> None:
    name = audited.service.audits.listed()[0].evidence_hash
    told = browser_of(audited, "auditor").get(f"/audit/{path.format(name)}")
    assert told.status_code == 404
    assert "There is nothing by this name here" in told.text


def test_a_page_runs_nothing_and_loads_nothing_from_elsewhere(audited: "Live") -> None:
    auditor, (one,) = browser_of(audited, "auditor"), audited.service.audits.listed()
    for path in ("", "/decisions", "/safety", f"/{one.evidence_hash}/feature/{NAMES[0]}"):
        page = auditor.get(f"/audit{path}")
        assert page.headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        assert " style=" not in page.text
    drawn = auditor.get(f"/audit/{one.evidence_hash}/feature/{NAMES[0]}/picture/curve.svg")
    assert drawn.headers["content-type"].startswith("image/svg+xml")
    assert "default-src 'none'" in drawn.headers["content-security-policy"]


def test_data_come_as_csv_without_formulas(audited: "Live") -> None:
    auditor, (one,) = browser_of(audited, "auditor"), audited.service.audits.listed()
    found = auditor.get(f"/audit/{one.evidence_hash}/section/drives/data/importance.csv")
    assert found.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in found.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(found.text)))
    assert rows[1]["share"] == "-0.1234"
    assert rows[0]["remark"] == '\'=HYPERLINK("x")'


def test_the_whole_audit_can_be_taken_along_as_one_file(audited: "Live") -> None:
    (one,) = audited.service.audits.listed()
    found = browser_of(audited, "auditor").get(f"/audit/{one.evidence_hash}/file")
    assert found.headers["content-disposition"].startswith("attachment")
    assert "The file stands alone" in found.text
    assert one.evidence_hash in found.text


def test_a_new_therapist_is_told_what_the_profile_foretells(audited: "Live") -> None:
    (one,) = audited.service.audits.listed()
    known = set(audited.service.audits.named(one.evidence_hash).audit.therapists)
    directory = audited.service.loaded.all()["default"].directory
    new = next(name for name in directory.ids if name not in known)
    page = browser_of(audited, "auditor").get(f"/audit/{one.evidence_hash}/therapist/{new}")
    assert page.status_code == 200
    assert f"Report for {new}" in page.text
    assert "Your rights" in page.text


# -- one recommendation -------------------------------------------------------------------------------------------


def test_a_recommendation_is_explained_and_comes_out_the_same(audited: "Live", body: dict[str, Any]) -> None:
    given = audited.as_("platform").post("/v1/recommendations", json=body).json()
    page = browser_of(audited, "auditor").get(f"/audit/recommendation/{given['recommendation_id']}").text
    assert "Derived again today from the same model, directory and settings" in page
    for one in given["recommendations"]:
        assert one["therapist_id"] in page
    assert "Anxiety, Insomnia" in page
    assert f"{given['counts']['eligible']} of {given['counts']['considered']} therapists" in page


def test_a_held_recommendation_names_nobody(audited: "Live", body: dict[str, Any]) -> None:
    held = answered(audited, body, measures=HELD)
    page = browser_of(audited, "auditor").get(f"/audit/recommendation/{held}").text
    assert "It was held" in page
    assert 'class="person"' not in page


def test_an_erased_recommendation_is_told_to_be_gone(fresh: "Live", body: dict[str, Any]) -> None:
    given = answered(fresh, body)
    assert fresh.as_("admin").delete(f"/v1/clients/{body['client']['client_id']}").status_code == 200
    told = browser_of(fresh, "auditor").get(f"/audit/recommendation/{given}")
    assert told.status_code == 410
    assert "This has been erased" in told.text


def test_what_no_longer_comes_out_the_same_is_said(fresh: "Live", body: dict[str, Any]) -> None:
    given = answered(fresh, body)
    with fresh.service.engine.begin() as connection:
        row = connection.execute(sa.select(RECOMMENDATIONS.c.answer)).one()
        changed = row.answer.replace(b'"rank":1', b'"rank":9')
        connection.execute(sa.update(RECOMMENDATIONS).values(answer=changed))
    page = browser_of(fresh, "auditor").get(f"/audit/recommendation/{given}").text
    assert "recommendations.rank" in page


def test_what_cannot_be_derived_again_says_why(fresh: "Live", body: dict[str, Any]) -> None:
    given = answered(fresh, body)
    with fresh.service.engine.begin() as connection:
        connection.execute(sa.update(RECOMMENDATIONS).values(bundle_id="gone"))
    page = browser_of(fresh, "auditor").get(f"/audit/recommendation/{given}").text
    assert "It could not be derived again today" in page


def test_nobody_reads_a_recommendation_of_another_tenant(audited: "Live", body: dict[str, Any]) -> None:
    given = answered(audited, body)
    assert browser_of(audited, "auditor", tenant="elsewhere").get(f"/audit/recommendation/{given}").status_code == 404


# -- numbers ------------------------------------------------------------------------------------------------------


def test_importance_is_told_to_auditors_and_clinicians(audited: "Live") -> None:
    for scope in ("auditor", "clinician"):
        found = audited.as_(scope).get("/v1/model/importance")
        assert found.status_code == 200
        assert found.json()["evidence_hash"] == audited.service.audits.listed()[0].evidence_hash
    assert audited.as_("platform").get("/v1/model/importance").status_code == 403


def test_without_an_audit_the_numbers_say_what_to_run(fresh: "Live") -> None:
    missing = fresh.as_("auditor").get("/v1/model/importance")
    assert missing.status_code == 404
    assert "therapist-fit audit" in missing.json()["detail"]


def test_a_report_is_told_with_rights(audited: "Live") -> None:
    client = audited.as_("auditor")
    known = client.get("/v1/therapists/t-1/report").json()
    assert (known["cases"], known["basis"], known["synthetic"]) == (34, "own_results", True)
    assert known["rights"]
    missing = client.get("/v1/therapists/t-4711/report")
    assert missing.status_code == 404
    assert " -> " in missing.json()["detail"]
    assert audited.as_("clinician").get("/v1/therapists/t-1/report").status_code == 403


def test_another_tenant_gets_no_report_of_our_therapists(audited: "Live") -> None:
    _, key = create(audited.service.engine, "elsewhere", "a test", ["auditor"], MADE_AT)
    answer = audited.client(Authorization=f"Bearer {key}").get("/v1/therapists/t-1/report")
    assert answer.status_code in (404, 503)
    assert "cases" not in answer.json()


def test_the_newest_audit_of_the_served_bundle_is_shown(fresh: "Live") -> None:
    put_before(fresh)
    later = put_before(fresh, made_at=MADE_AT.replace(hour=9))
    assert later in browser_of(fresh, "auditor").get("/audit").text
    assert fresh.as_("auditor").get("/v1/model/importance").json()["evidence_hash"] == later
