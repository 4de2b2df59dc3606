"""Pages beside an audit: what was decided, what happened to clients here, and one recommendation explained."""

import uuid
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from fastapi.responses import RedirectResponse

from data.decisions import history
from data.errors import GateError, NotFoundError, RequestError
from serving.access.auth import TheService, needs
from serving.access.keys import Caller
from serving.again.ledger import Ledger
from serving.pages import explained
from serving.pages.asking import Mend
from serving.pages.audits import Live, Shown, of_the_model, part_of
from serving.pages.deciding import TARGET, VERBS, form_of, mends_of, put_on_record, turned_down
from serving.pages.form import Typed
from serving.pages.rendering import download, page
from serving.pages.shown import Shown as Answer
from serving.pages.shown import clock
from serving.pages.telling import SEE_OTHER, PageRoute
from serving.pages.words import RULES
from serving.routes.pages import TheTyped
from serving.schemas import RecommendationAnswer
from serving.service import Service
from training.audit.harm.safety import live
from training.audit.words import capital
from training.report.cells import csv_of
from training.report.records import decisions_table

router = APIRouter(include_in_schema=False, route_class=PageRoute, prefix="/audit")
_Auditor = Annotated[Caller, needs("auditor")]
_Carer = Annotated[Caller, needs("auditor", "clinician")]


@router.get("/safety")
def safety(service: TheService, caller: _Carer) -> Response:
    """Holds, flags, waits and overrides of the caller's own clients, as they are now."""
    section = live(service.engine, caller.tenant, service.now())
    may = caller.may("auditor")
    return page("audit_safety.html", who=caller.name, here="safety", section=section, door=Live("safety"), may=may)


@router.get("/safety/data/{part}.csv")
def safety_data(part: str, service: TheService, caller: _Carer) -> Response:
    """The data of a table on that page."""
    section = live(service.engine, caller.tenant, service.now())
    return download(csv_of(part_of(section, part)), "text/csv; charset=utf-8", f"safety-{part}.csv")


@router.get("/decisions")
def decisions(
    service: TheService,
    caller: _Auditor,
    audit: Annotated[str, Query(max_length=64)] = "",
    done: Annotated[str, Query(max_length=16)] = "",
) -> Response:
    """All decisions on record, and a form to decide on one audit: the served bundle's if none is named."""
    of_the_model(caller)
    words = next((f"On record: {said.lower()}." for verb, (said, _) in VERBS.items() if verb == done), "")
    return _decisions(service, caller, _to_decide(service, audit), Typed(), words)


@router.get("/decisions/data/decisions.csv")
def decisions_data(service: TheService, caller: _Auditor) -> Response:
    """The decisions as CSV."""
    of_the_model(caller)
    table = decisions_table(history(service.engine))
    return download(csv_of(table), "text/csv; charset=utf-8", "decisions.csv")


@router.post("/decisions")
def decide(service: TheService, caller: _Auditor, typed: TheTyped) -> Response:
    """Puts a decision on record as the command line does, or shows everything that stands against it."""
    of_the_model(caller)
    shown = service.audits.named(typed.one("audit"))
    try:
        done = put_on_record(service, caller, shown, typed)
    except (GateError, RequestError) as error:
        return _decisions(service, caller, shown, typed, mends=mends_of(error), status=422)
    return RedirectResponse(f"{TARGET}?{urlencode({'audit': typed.one('audit'), 'done': done})}", SEE_OTHER)


@router.get("/recommendation")
def asked_for(recommendation_id: Annotated[str, Query(max_length=64)] = "") -> Response:
    """From the field on the first page to the recommendation."""
    return RedirectResponse(f"/audit/recommendation/{recommendation_id.strip()}", SEE_OTHER)


@router.get("/recommendation/{recommendation_id}")
def recommendation(recommendation_id: str, service: TheService, caller: _Auditor) -> Response:
    """One stored answer: what was asked, every reason, every exclusion, and whether it comes out the same today."""
    row = service.kept(caller, recommendation_id)
    answer = RecommendationAnswer.model_validate_json(row.answer)
    found = explained.left_out(service.past, caller.tenant, row)
    return page(
        "audit_answer.html",
        who=caller.name,
        here="answer",
        row=row,
        made=clock(row.made_at, service.settings.zone),
        shown=Answer(answer, service.settings.zone),
        answer=answer,
        request_words=explained.request_in_words(row.request),
        replayed=explained.replayed(service.past, caller.tenant, row),
        ledger=found if isinstance(found, Ledger) else None,
        no_ledger=found if isinstance(found, str) else "",
        rules=RULES,
    )


def _to_decide(service: Service, name: str) -> Shown | None:
    try:
        return service.audits.named(name) if name else service.audits.of(service.model.bundle.manifest.bundle_id)
    except NotFoundError:
        if name:
            raise
        return None


def _decisions(
    service: Service,
    caller: Caller,
    shown: Shown | None,
    typed: Typed,
    notice: str = "",
    mends: Sequence[Mend] = (),
    status: int = 200,
) -> Response:
    return page(
        "audit_decisions.html",
        status,
        who=caller.name,
        here="decisions",
        table=decisions_table(history(service.engine), brief=True),
        door=Live("decisions"),
        shown=shown,
        form=None if shown is None else form_of(service, shown),
        rejection=None if shown is None else turned_down(service, shown),
        is_served=shown is not None and shown.audit.bundle_id == service.model.bundle.manifest.bundle_id,
        bundle_id=service.model.bundle.manifest.bundle_id,
        verbs=VERBS,
        typed=typed,
        attempt=uuid.uuid4().hex,
        problems=list(mends),
        notice=notice,
        errors={one.place: capital(one.words) for one in mends if one.place},
    )
