"""Pages of the audit for those who answer for the model: what drives it, for whom it works, and each part of that."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse

from data.errors import NotFoundError
from serving.access.auth import TheService, needs
from serving.access.keys import Caller
from serving.pages.audits import Shown, of_the_model, part_of, picture_of
from serving.pages.deciding import turned_down
from serving.pages.rendering import download, page
from serving.pages.telling import SEE_OTHER, PageRoute
from serving.reporting import report_of
from serving.service import Service
from training.audit.document import Section
from training.report.cells import csv_of
from training.report.drawings import slim
from training.report.file import file_of
from training.report.people import person
from training.report.records import facts

router = APIRouter(include_in_schema=False, route_class=PageRoute, prefix="/audit")
Auditor = Annotated[Caller, needs("auditor")]
Kind = Literal["section", "feature", "group", "therapist", "therapists"]
CSV, SVG = "text/csv; charset=utf-8", "image/svg+xml"


@router.get("")
def served(service: TheService, caller: Auditor) -> Response:
    """The audit of the bundle that answers now; where it was not audited, that, and what to run."""
    of_the_model(caller)
    bundle_id = service.model.bundle.manifest.bundle_id
    try:
        return _overview(service, caller, service.audits.of(bundle_id))
    except NotFoundError as missing:
        return page(
            "audit_none.html",
            who=caller.name,
            here="overview",
            bundle_id=bundle_id,
            version=service.model.version,
            command=f"therapist-fit audit {bundle_id} --data DATASET",
            words=str(missing).partition(" -> ")[0],
            others=service.audits.listed(),
        )


@router.get("/{name}")
def overview(name: str, service: TheService, caller: Auditor) -> Response:
    """The first page of one audit, by its evidence hash or its bundle."""
    of_the_model(caller)
    return _overview(service, caller, service.audits.named(name))


@router.get("/{name}/file")
def file(name: str, service: TheService, caller: Auditor) -> Response:
    """The whole audit as one file to keep or to e-mail."""
    of_the_model(caller)
    shown = service.audits.named(name)
    text = file_of(shown.audit, decisions=service.audits.decisions(shown), evidence_hash=shown.evidence.evidence_hash)
    return download(text, "text/html", f"audit-{shown.audit.bundle_id[:12]}.html")


@router.get("/{name}/therapists")
def therapists(name: str, service: TheService, caller: Auditor) -> Response:
    """All therapists, in the order of their pseudonyms."""
    return _page(service, caller, name, "therapists/all")


@router.get("/{name}/therapist")
def asked_for(name: str, therapist_id: Annotated[str, Query(max_length=64)] = "") -> Response:
    """From the field on the page of all therapists to the report of one."""
    return RedirectResponse(f"/audit/{quote(name)}/therapist/{quote(therapist_id.strip())}", SEE_OTHER)


@router.get("/{name}/{kind}/{about}")
def one(name: str, kind: Kind, about: str, service: TheService, caller: Auditor) -> Response:
    """A section, a feature, a grouping of clients, or a therapist's own report."""
    return _page(service, caller, name, f"{kind}/{about}")


@router.get("/{name}/{kind}/{about}/data/{part}.csv")
def data(name: str, kind: Kind, about: str, part: str, service: TheService, caller: Auditor) -> Response:
    """The data of a table or a picture."""
    of_the_model(caller)
    found = part_of(_section(service, caller, service.audits.named(name), f"{kind}/{about}"), part)
    return download(csv_of(found), CSV, f"{about}-{part}.csv")


@router.get("/{name}/{kind}/{about}/picture/{part}.svg")
def picture(name: str, kind: Kind, about: str, part: str, service: TheService, caller: Auditor) -> Response:
    """A picture."""
    of_the_model(caller)
    section = _section(service, caller, service.audits.named(name), f"{kind}/{about}")
    return download(slim(picture_of(section, part).svg), SVG)


def _overview(service: Service, caller: Caller, shown: Shown) -> Response:
    return page(
        "audit_overview.html",
        who=caller.name,
        here="overview",
        shown=shown,
        audit=shown.audit,
        facts=facts(shown.audit, shown.evidence.evidence_hash),
        rejection=turned_down(service, shown),
        is_served=shown.audit.bundle_id == service.model.bundle.manifest.bundle_id,
        version=shown.evidence.version,
        others=[one for one in service.audits.listed() if one != shown.evidence],
    )


def _page(service: Service, caller: Caller, name: str, key: str) -> Response:
    of_the_model(caller)
    shown = service.audits.named(name)
    section, kind = _section(service, caller, shown, key), key.partition("/")[0]
    return page("audit_page.html", who=caller.name, here=kind, shown=shown, audit=shown.audit, section=section, key=key)


def _section(service: Service, caller: Caller, shown: Shown, key: str) -> Section:
    """What stands on a page; of a therapist who is new since the audit, what the profile foretells."""
    found = shown.find(key)
    if found is not None:
        return found
    kind, _, about = key.partition("/")
    if kind == "therapist" and shown.audit.bundle_id == service.model.bundle.manifest.bundle_id:
        return person(report_of(service, caller, about))
    raise NotFoundError(f"{about[:64]!r}: no {kind} by this name is in this audit -> see its first page")
