"""A therapist's own report: as the audit counted it, else what the profile in the directory foretells."""

import numpy as np

from data.errors import NotFoundError
from data.sql import TENANT
from serving.access.keys import Caller
from serving.service import Service
from training.audit.reports import TherapistReport
from training.audit.therapists.screening import report_of as foretold


def report_of(service: Service, caller: Caller, therapist_id: str) -> TherapistReport:
    """The report from the audit of the bundle that answers now, or for somebody new by the profile alone.

    The audit is about the people of the tenant `default`; another's are reported by their profiles. Raises
    NotFoundError for somebody whom neither the audit nor the directory knows.
    """
    counted = _counted(service, therapist_id) if caller.tenant == TENANT else None
    return counted or _by_profile(service, caller, therapist_id)


def _counted(service: Service, therapist_id: str) -> TherapistReport | None:
    try:
        return service.audits.of(service.model.bundle.manifest.bundle_id).audit.therapists.get(therapist_id)
    except NotFoundError:
        return None


def _by_profile(service: Service, caller: Caller, therapist_id: str) -> TherapistReport:
    matcher = service.matcher(caller)
    directory, today = matcher.directory, matcher.today(service.now())
    if therapist_id not in directory.place:
        raise NotFoundError(
            f"therapist {therapist_id}: neither the audit nor the directory has anybody by this pseudonym "
            "-> see GET /v1/therapists, or list them with PUT /v1/therapists/{id}"
        )
    row = directory.place[therapist_id]
    updated = directory.updated_on[row]
    known = None if np.isnat(updated) else updated.item()
    return foretold(matcher.bundle, matcher.prepared(today), row, therapist_id, today, known)
